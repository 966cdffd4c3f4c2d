//! A source in trouble: failed requests are repeated, and nothing is lost or believed.

use pearlift::sandbox::{Fault, Faults, Sandbox, SandboxSettings, Size};

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::{Done, Echo, Program, account, check_truth, files, head, peak_memory, query, start, this_morning};

/// Short waits: a period of two seconds, so that being sent away costs no minute.
fn patient(program: Program) -> Program {
    program.with("PEARLIFT_LIMITS_PERIOD", "2s").with("PEARLIFT_LIMITS_RETRY_TRIES", "12")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_run_and_a_day_at_one_fault_in_five_equal_the_truth() {
    // GIVEN a source of which every fifth answer goes wrong, in every way
    let sandbox = account(1_500).await;
    sandbox.change(|settings| settings.faults = Faults { percent: 20, ..Faults::default() });
    let lake = tempfile::tempdir().unwrap();
    let program = patient(Program::new(&sandbox, lake.path()));

    // WHEN it is exported
    program.run(&["run"]).expect(0);

    // THEN the tables equal the truth, and the requests are bounded
    let log = sandbox.take_log();
    assert!(log.faults > 8, "{log:?}");
    assert!(log.total() < 3 * (log.total() - log.faults), "{log:?}");
    let tables = lake.path().to_str().unwrap();
    check_truth(&sandbox, tables, &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_fault_by_itself_is_overcome() {
    // GIVEN a source that goes wrong in one way, three times in ten
    let sandbox = account(100).await;
    for fault in Fault::ALL {
        sandbox.change(|settings| settings.faults = Faults { percent: 30, kinds: vec![fault], ..Faults::default() });
        let lake = tempfile::tempdir().unwrap();

        // WHEN orders are read THEN they equal the truth
        let done = patient(Program::new(&sandbox, lake.path())).run(&["run", "order", "brand"]);
        assert_eq!(done.code, 0, "{fault:?}: {}", done.said());
        check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order,order_row,brand"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_resource_that_only_fails_stops_and_the_others_are_complete() {
    // GIVEN a source that never answers for orders but with an error
    let sandbox = account(300).await;
    let path = "order-service/order/".to_owned();
    let faults = Faults { percent: 100, kinds: vec![Fault::Internal], path, ..Faults::default() };
    sandbox.change(|settings| settings.faults = faults);
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_RETRY_TRIES", "2");

    // WHEN it runs THEN orders fail, with the observed fault, and the rest is complete
    let done = program.run(&["run"]).expect(3);
    assert!(done.stderr.contains("order: could not read order"), "{}", done.stderr);
    assert!(done.stderr.contains("CMNU-003"), "{}", done.stderr);
    assert_eq!(done.stderr.matches("FAILED").count(), 1, "{}", done.stderr);

    // WHEN the source is well again THEN the next run completes it
    sandbox.change(|settings| settings.faults = Faults::default());
    program.run(&["run"]).expect(0);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_that_never_comes_or_never_ends_is_given_up_and_asked_for_again() {
    // GIVEN a source of which one answer hangs, trickles, or never ends
    let sandbox = account(60).await;
    for (fault, timeout, said) in [
        (Fault::Hang, "2s", "it timed out"),
        (Fault::Trickle, "2s", "it timed out"),
        (Fault::Endless, "90s", "the body is longer than 33554432 bytes"),
    ] {
        let faults = Faults { at: vec![2], kinds: vec![fault], ..Faults::default() };
        sandbox.change(|settings| settings.faults = faults);
        let lake = tempfile::tempdir().unwrap();
        let program = patient(Program::new(&sandbox, lake.path())).with("PEARLIFT_LIMITS_TIMEOUT", timeout);

        // WHEN orders are read THEN they equal the truth, and the given-up retries are reported
        let done = program.run(&["-v", "run", "order"]);
        assert_eq!(done.code, 0, "{fault:?}: {}", done.said());
        assert!(done.stderr.contains(said), "{fault:?}: {}", done.stderr);
        check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn credentials_do_not_follow_a_redirect_to_another_host() {
    // GIVEN a source that sends us elsewhere, where somebody listens
    let elsewhere = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = elsewhere.local_addr().unwrap();
    let heard = tokio::spawn(async move { elsewhere.accept().await.map(|(_, from)| from) });
    let sandbox = account(60).await;
    sandbox.change(|settings| {
        let path = "order-service/order/".to_owned();
        let elsewhere = format!("http://{address}");
        settings.faults =
            Faults { percent: 100, kinds: vec![Fault::RedirectElsewhere], path, elsewhere, ..Faults::default() };
    });
    let lake = tempfile::tempdir().unwrap();

    // WHEN it runs THEN that resource stops with the reason, the others are complete, and no request left for another host
    let done = Program::new(&sandbox, lake.path()).run(&["run", "order", "brand"]).expect(3);
    assert!(done.stderr.contains("credentials do not follow"), "{}", done.stderr);
    assert_eq!(done.stderr.matches("FAILED").count(), 1, "{}", done.stderr);
    assert!(!heard.is_finished(), "{heard:?}");
    heard.abort();
}

/// Runs orders, notes, prices and contacts against a source with this fault in the first documents of each.
async fn read_with(fault: Fault) -> (Sandbox, tempfile::TempDir, Program, Done) {
    let sandbox = account(150).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    for (path, resource) in [
        ("order-service/order/", "order"),
        ("goods-note/goods-out/", "goods_out_note"),
        ("contact-service/contact/", "contact"),
    ] {
        let faults = Faults { at: vec![1], kinds: vec![fault], path: path.to_owned(), ..Faults::default() };
        sandbox.change(|settings| settings.faults = faults);
        let done = program.run(&["run", resource]);
        assert!([0, 3].contains(&done.code), "{fault:?} {resource}: {}", done.said());
        assert_eq!(sandbox.take_log().faults, 1, "{fault:?} {resource}");
    }
    let done = program.run(&["status"]);
    sandbox.change(|settings| settings.faults = Faults::default());
    (sandbox, lake, program, done)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_record_that_cannot_be_read_is_kept_whole_and_owed_and_settled_when_the_source_is_well() {
    let tables = "order,order_row,goods_out_note,goods_out_note_row,contact,contact_postal_address";
    for (fault, mark) in [(Fault::Deep, "[[[[[[[["), (Fault::HugeId, "99999999999999999999"), (Fault::NegativeId, "-")]
    {
        // GIVEN records with something that cannot be read
        let (sandbox, lake, program, status) = read_with(fault).await;

        // THEN each is kept whole, and each resource has a pending id
        for resource in ["order", "goods_out_note", "contact"] {
            let kept = files(&lake.path().join("_pearlift/misfits").join(resource));
            let kept: String = kept.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
            assert!(kept.contains(mark), "{fault:?} {resource}: {}\n{kept}", status.said());
            assert!(kept.lines().all(|line| line.len() > 200), "{fault:?} {resource}: {kept}");
        }

        // WHEN the source is well THEN the next run settles them
        program.run(&["run", "order", "goods_out_note", "contact"]).expect(0);
        check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", tables]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_value_that_does_not_fit_is_kept_beside_its_row_and_told() {
    // GIVEN a number of 400 digits, a date of a thirteenth month, and a key that occurs twice
    for (fault, kept) in [
        (Fault::HugeNumber, "7".repeat(400)),
        (Fault::ImpossibleDate, "-13-45T".to_owned()),
        (Fault::NamedTwice, "\"id\":".to_owned()),
    ] {
        let (_sandbox, lake, program, _) = read_with(fault).await;

        // THEN the row is there, and the rejected value is in `_extra`
        let glob = format!("{}/order*/**/*.parquet", lake.path().display());
        let extras =
            query(&format!("SELECT _extra FROM read_parquet('{glob}', union_by_name = true) WHERE _extra IS NOT NULL"));
        assert!(extras.iter().any(|extra| extra.contains(&kept)), "{fault:?}: {extras:?}");

        // AND reading everything again from a healthy source repairs it
        program.run(&["run", "--full", "order"]).expect(0);
        assert_eq!(query(&format!("SELECT count(_extra) FROM read_parquet('{glob}', union_by_name = true)")), ["0"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_malformed_time_of_accounting_periods_is_an_instant() {
    let (_sandbox, lake, _, _) = read_with(Fault::OddTime).await;
    for resource in ["order", "goods_out_note"] {
        assert_eq!(files(&lake.path().join("_pearlift/misfits").join(resource)), Vec::<std::path::PathBuf>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_payment_whose_id_cannot_be_read_is_kept_wherever_its_page_has_it() {
    for payments in [1, 20] {
        // GIVEN payments in pages of seven, and in each answer a last row with an id that is no number of ours
        let settings = SandboxSettings { limit: 0, page_cap: 7, ..SandboxSettings::default() };
        let size = Size { orders: 5, ..Size::default() }.with("customer_payment", payments);
        let sandbox = start(settings, size).await;
        sandbox.change(|settings| {
            // The first answer is the count.
            let path = "customer-payment-search".to_owned();
            settings.faults = Faults { at: vec![2, 4], kinds: vec![Fault::HugeId], path, ..Faults::default() };
        });
        let lake = tempfile::tempdir().unwrap();
        let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_CONCURRENCY", "1");

        // WHEN they are read
        program.run(&["run", "customer_payment"]).expect(3);

        // THEN such rows are kept
        let kept = files(&lake.path().join("_pearlift/misfits/customer_payment"));
        let kept: String = kept.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        assert!(kept.contains("99999999999999999999"), "{payments}: {kept}");

        // AND settled when the source is well
        sandbox.change(|settings| settings.faults = Faults::default());
        program.run(&["run", "customer_payment"]).expect(0);
        check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "customer_payment"]);
    }
}

/// A source of nothing but payments of today: ids and orders of the first page, whether more follow, and those behind it.
fn payments_with(first: Value, more: bool, second: Value) -> Echo {
    let whole: Value = serde_json::from_str(include_str!("../fixtures/customer_payment.json")).unwrap();
    let (asked, none) = (AtomicUsize::new(0), json!([]));
    Echo::start(move |request, stream| {
        // A caller that would never stop gets an empty page.
        let over = asked.fetch_add(1, Ordering::SeqCst) > 50;
        let shown = if over {
            &none
        } else if request.contains("firstResult=1 ") {
            &first
        } else {
            &second
        };
        let mut answer = whole.clone();
        let row = answer["response"]["results"][0].clone();
        let rows = shown.as_array().unwrap().iter().map(|shown| {
            let mut row = row.clone();
            (row[0], row[5], row[12]) = (shown[0].clone(), shown[1].clone(), json!(this_morning().to_string()));
            row
        });
        answer["response"]["results"] = rows.collect();
        let meta = &mut answer["response"]["metaData"];
        (meta["morePagesAvailable"], meta["resultsAvailable"]) =
            (json!(more && !over), json!(if more && !over { 100 } else { 0 }));
        let body = answer.to_string();
        let date = this_morning().strftime("%a, %d %b %Y %H:%M:%S GMT");
        let head = format!(
            "Date: {date}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close",
            body.len()
        );
        // A client that has heard enough is gone.
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").as_bytes());
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_page_of_which_no_row_can_be_told_from_others_is_not_the_end() {
    let (huge, more) = (json!("99999999999999999999"), json!("88888888888888888888"));
    for (first, second) in [
        // GIVEN a page without one id that can be read, though more follow; and one where none behind the overlap can
        (json!([[huge, 1], [more, 2]]), json!([])),
        (json!([[1, 1], [2, 2]]), json!([[2, 2], [huge, 3], [more, 4]])),
    ] {
        let (source, lake) = (payments_with(first.clone(), true, second), tempfile::tempdir().unwrap());
        let program = Program::bare(lake.path())
            .with("BRIGHTPEARL_STAFF_TOKEN", "sandbox-staff-token")
            .with("PEARLIFT_LIMITS_CONCURRENCY", "1")
            .with("PEARLIFT_ACCOUNT_BASE_URL", &format!("{}/public-api/acme", source.root()));

        // WHEN payments are read THEN they fail by name, and do not count as loaded
        let done = program.run(&["run", "customer_payment"]).expect(4);
        assert!(done.stderr.contains("has a readable `paymentId`"), "{first}: {}", done.stderr);
        let status = program.run(&["status"]).expect(0).stdout;
        assert!(!status.contains("complete"), "{first}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_payment_that_names_no_order_hands_none_on() {
    // GIVEN payments of which one references an order, and others have values for none, at a source that knows no
    // orders
    let (source, lake) =
        (payments_with(json!([[1, 0], [2, -3], [3, 7]]), false, json!([])), tempfile::tempdir().unwrap());
    let program = Program::bare(lake.path())
        .with("BRIGHTPEARL_STAFF_TOKEN", "sandbox-staff-token")
        .with("PEARLIFT_LIMITS_RETRY_TRIES", "2")
        .with("PEARLIFT_ACCOUNT_BASE_URL", &format!("{}/public-api/acme", source.root()));

    // WHEN both are read THEN orders fail, and the one reference stays pending
    program.run(&["run", "customer_payment", "order"]).expect(3);
    assert_eq!(head(lake.path(), "customer_payment")["state"]["pending_references"], json!({ "order": [7] }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_search_that_shows_an_id_below_one_is_asked_again() {
    // GIVEN orders that changed, and a search that once shows a number that is no id
    for (fault, lake) in
        [(Fault::NegativeId, tempfile::tempdir().unwrap()), (Fault::HugeId, tempfile::tempdir().unwrap())]
    {
        let sandbox = account(60).await;
        let program = Program::new(&sandbox, lake.path());
        program.run(&["run", "order"]).expect(0);
        sandbox.age(std::time::Duration::from_secs(3 * 3600));
        sandbox.edit("order", &sandbox.ids("order")[..9]);
        sandbox.age(std::time::Duration::from_secs(600));
        let path = "order-service/order-search".to_owned();
        sandbox.change(|settings| {
            settings.faults = Faults { at: vec![1], kinds: vec![fault], path, ..Faults::default() };
        });
        sandbox.take_log();

        // WHEN they are read THEN nothing of that number is asked for, and they equal the truth
        let done = program.run(&["-v", "run", "order"]).expect(0);
        let log = sandbox.take_log();
        assert_eq!((log.faults, log.ids["order-service/order"]), (1, 9), "{fault:?} {log:?}: {}", done.stderr);
        check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order,order_row"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_body_that_swells_takes_no_more_memory_than_an_honest_one() {
    // GIVEN a source that answers with gzip of 300 MiB, with gzip of an understated length, or without end, each time
    let sandbox = account(60).await;
    for (fault, words, most) in [
        (Fault::GzipBomb, "states a length of 314572800 bytes", 100),
        (Fault::GzipLie, "has another length than it states", 100),
        (Fault::Endless, "the body is longer than", 512),
    ] {
        let path = "order-service/order/".to_owned();
        let faults = Faults { percent: 100, kinds: vec![fault], path, ..Faults::default() };
        sandbox.change(|settings| settings.faults = faults);
        let lake = tempfile::tempdir().unwrap();
        let program = patient(Program::new(&sandbox, lake.path()))
            .with("PEARLIFT_LIMITS_RETRY_TRIES", "3")
            .with("PEARLIFT_LIMITS_CONCURRENCY", "1");

        // WHEN orders are read THEN it reports that, and its memory stays bounded
        let (done, peak) = peak_memory(&program, &["run", "order"]);
        assert_eq!(done.code, 4, "{fault:?}: {}", done.said());
        assert!(done.stderr.contains(words), "{fault:?}: {}", done.stderr);
        assert!(sandbox.take_log().faults >= 3, "{fault:?}");
        assert!(peak < most << 20, "{fault:?}: {} MiB", peak >> 20);
    }
}
