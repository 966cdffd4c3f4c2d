//! The smallest piece fails: one wrong row, record or set costs itself and nothing beside it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pearlift::sandbox::{
    AnswerRule, Partial, Replacement, Sandbox, SandboxSettings, SetPieces, Size, Spoiler, Status, Wrong,
};
use serde_json::{Value, json};

use crate::support::{Done, Program, account, check_truth, files, head, query, start, this_morning};

/// A rule for answers to GET.
pub fn rule(path: &str, at: &[u64], then: Wrong) -> AnswerRule {
    AnswerRule { method: "GET".to_owned(), path: path.to_owned(), at: at.to_vec(), then }
}

fn replace(path: &str, from: &str, to: &str) -> AnswerRule {
    rule(path, &[], Wrong::Replace(Replacement { from: from.to_owned(), to: to.to_owned() }))
}

fn spoiler(id: i64, status: u16, code: &str, message: &str) -> Spoiler {
    let path = "order-service/order/".to_owned();
    Spoiler { path, id, status, code: code.to_owned(), message: message.to_owned() }
}

/// Few tries: the waits between them are most of a test's time.
pub fn hasty(sandbox: &Sandbox, lake: &std::path::Path) -> Program {
    Program::new(sandbox, lake).with("PEARLIFT_LIMITS_RETRY_TRIES", "2")
}

/// The lines of the files of rejected records, by resource.
fn rejected(lake: &std::path::Path, resource: &str) -> Vec<Value> {
    let kept = files(&lake.join("_pearlift/misfits").join(resource));
    let kept: String = kept.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The keys that a resource's state has pending.
fn pending(lake: &std::path::Path, resource: &str) -> Vec<Value> {
    let pending = head(lake, resource)["state"]["pending"].clone();
    pending.as_array().cloned().unwrap_or_default().into_iter().map(|pending| pending["id"].clone()).collect()
}

fn rows(lake: &std::path::Path, table: &str) -> String {
    let glob = format!("{}/{table}/**/*.parquet", lake.display());
    query(&format!("SELECT count(*) FROM read_parquet('{glob}', union_by_name = true)")).concat()
}

/// The report of a resource from a run with JSON logs.
#[track_caller]
fn report(done: &Done, resource: &str) -> Value {
    let whole: Value = serde_json::from_str(done.stderr.lines().last().expect("there is a report")).unwrap();
    let resources = whole["resources"].as_array().cloned().expect("it has resources");
    resources.into_iter().find(|found| found["resource"] == resource).expect("the resource is there")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_record_whose_set_always_fails_is_pending_alone_and_all_others_are_committed() {
    for (status, code, message, every) in [
        (500, "CMNU-003", "Internal Server Error", "10m"),
        // With a commit for each set: one that is put off is pending meanwhile.
        (500, "CMNU-003", "Internal Server Error", "0s"),
        (400, "ORDC-999", "Order 505 cannot be shown", "10m"),
    ] {
        // GIVEN an account of which order 505 can never be read
        let sandbox = account(980).await;
        sandbox.change(|settings| settings.pieces.spoilers = vec![spoiler(505, status, code, message)]);
        let lake = tempfile::tempdir().unwrap();
        let program = hasty(&sandbox, lake.path()).with("PEARLIFT_LIMITS_COMMIT_EVERY", every);

        // WHEN orders are read THEN it alone is pending, and the exit code states so
        let done = program.run(&["run", "order"]).expect(3);
        assert_eq!(pending(lake.path(), "order"), [json!(505)], "{status}: {}", done.said());
        assert_eq!(rows(lake.path(), "order"), "979");
        let asked = sandbox.take_log().total();
        assert!(asked < 40, "{status}: {asked} requests");

        // WHEN it is asked for again THEN the same, and others that changed meanwhile are there
        sandbox.edit("order", &[504, 506]);
        program.run(&["run", "order"]).expect(3);
        assert_eq!(pending(lake.path(), "order"), [json!(505)]);

        // WHEN the source is well THEN nothing is pending
        sandbox.change(|settings| settings.pieces = SetPieces::default());
        program.run(&["run", "order"]).expect(0);
        check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order,order_row"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_record_that_makes_its_set_unreadable_is_pending_alone() {
    // GIVEN an order with a text that breaks the JSON of each answer with it
    let sandbox = account(980).await;
    sandbox.change(|settings| settings.answers = vec![replace("order-service/order/", "{\"id\":505,", "{\"id\";505,")]);
    let lake = tempfile::tempdir().unwrap();
    let program = hasty(&sandbox, lake.path());

    // WHEN orders are read THEN it alone is pending
    let done = program.run(&["run", "order"]).expect(3);
    assert_eq!(pending(lake.path(), "order"), [json!(505)], "{}", done.said());
    assert_eq!(rows(lake.path(), "order"), "979");

    // WHEN the source is well THEN nothing is pending
    sandbox.change(|settings| settings.answers.clear());
    program.run(&["run", "order"]).expect(0);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order,order_row"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_night_with_a_single_set_halves_it_too() {
    // GIVEN a loaded account, and two changed orders of which one can never be read again
    let sandbox = account(150).await;
    let lake = tempfile::tempdir().unwrap();
    let program = hasty(&sandbox, lake.path()).with("PEARLIFT_RESOURCE_ORDER_OPEN_EVERY", "100d");
    program.run(&["run", "order"]).expect(0);
    sandbox.age(std::time::Duration::from_secs(3 * 3600));
    sandbox.edit("order", &[20, 21]);
    sandbox.change(|settings| settings.pieces.spoilers = vec![spoiler(21, 500, "CMNU-003", "Internal Server Error")]);

    // WHEN the night's only set fails THEN the other order is there, and this one is pending
    program.run(&["run", "order"]).expect(3);
    assert_eq!(pending(lake.path(), "order"), [json!(21)]);
    sandbox.change(|settings| settings.pieces = SetPieces::default());
    program.run(&["run", "order"]).expect(0);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_failing_sets_in_a_row_end_the_resource_within_few_requests() {
    for (status, code) in [(500, "CMNU-003"), (400, "ORDC-999")] {
        // GIVEN a source that fails for every order, or refuses each
        let sandbox = account(2_000).await;
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"x"}}]}}"#);
        let then = Wrong::Status(Status { status, body });
        sandbox.change(|settings| settings.answers = vec![rule("order-service/order/", &[], then)]);
        let lake = tempfile::tempdir().unwrap();

        // WHEN orders are read THEN they end, and the ten sets were not halved one by one
        let done = hasty(&sandbox, lake.path()).run(&["run", "order"]).expect(4);
        assert!(done.stderr.contains(code), "{}", done.stderr);
        let asked = sandbox.take_log();
        assert!(asked.total() <= 20, "{status}: {asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_source_that_takes_smaller_sets_gets_them_for_seven_days() {
    for (message, sizes) in [
        ("At most 60 ids may be asked for", 60),
        ("Too many resources requested", 50),
        ("The maximum is 3 of 150 resources", 25),
    ] {
        // GIVEN a source that takes fewer ids than the schema states
        let settings =
            SandboxSettings { limit: 0, now: Some(this_morning()), max_ids: 60, ..SandboxSettings::default() };
        let sandbox = start(settings, Size { orders: 400, ..Size::default() }).await;
        sandbox.change(|settings| settings.pieces.too_many = message.to_owned());
        let lake = tempfile::tempdir().unwrap();
        let program = hasty(&sandbox, lake.path()).with("PEARLIFT_LIMITS_CONCURRENCY", "1");

        // WHEN orders are read from a plan of larger sets
        let schemas = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/order.toml")).unwrap();
        std::fs::write(schemas.path().join("order.toml"), text).unwrap();
        program.run(&["run", "order"]).expect(0);

        // THEN they are there, and the state keeps the size
        check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order,order_row"]);
        let sets = head(lake.path(), "order")["state"]["pieces"]["sets"].clone();
        assert_eq!(sets["ids"], json!(sizes), "{message}: {sets}");
        let until: Timestamp = sets["until"].as_str().unwrap().parse().unwrap();
        let days = until.duration_since(Timestamp::now()).as_hours();
        assert!((166..=168).contains(&days), "{message}: {days} hours");

        // WHEN it runs again THEN no set is refused
        sandbox.take_log();
        program.run(&["run", "--full", "order"]).expect(0);
        let log = sandbox.take_log();
        assert_eq!(log.statuses.get(&400), None, "{message}: {log:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_url_that_is_too_long_makes_sets_shorter() {
    // GIVEN an account with many gaps in its ids, and a source that refuses long URLs with a page that is no JSON
    let sandbox = account(400).await;
    let gaps: Vec<i64> = (1..=400).filter(|id| id % 2 == 0).collect();
    sandbox.delete("order", &gaps);
    sandbox.change(|settings| settings.pieces.url_cap = 400);
    let lake = tempfile::tempdir().unwrap();

    // WHEN orders are read THEN all are there, and the length is kept
    hasty(&sandbox, lake.path()).run(&["run", "order"]).expect(0);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order"]);
    let sets = head(lake.path(), "order")["state"]["pieces"]["sets"].clone();
    assert!(sets["bytes"].as_u64().is_some_and(|bytes| (100..400).contains(&bytes)) && sets["ids"].is_null(), "{sets}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_sets_whose_halves_come_show_that_sets_are_too_large() {
    // GIVEN a source that fails for sets of more than 120 ids, without a word of why
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), max_ids: 120, ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 1_000, ..Size::default() }).await;
    sandbox.change(|settings| settings.pieces.too_many = "Something went wrong".to_owned());
    let lake = tempfile::tempdir().unwrap();
    let program = hasty(&sandbox, lake.path()).with("PEARLIFT_LIMITS_CONCURRENCY", "1");

    // WHEN orders are read THEN they are there, nothing is pending, and sets are smaller from then on
    let done = program.run(&["run", "order"]).expect(0);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order"]);
    let sets = head(lake.path(), "order")["state"]["pieces"]["sets"].clone();
    assert_eq!(sets["ids"], json!(100), "{sets}: {}", done.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_child_row_that_does_not_fit_is_rejected_and_its_record_stays() {
    // GIVEN addresses of one contact, then of all, without a readable id
    for (from, to, least) in [("\"addressId\":160,", "\"addressId\":\"none\",", 1), ("\"addressId\":", "\"lost\":", 60)]
    {
        let sandbox = account(400).await;
        let contacts = sandbox.ids("contact").len();
        sandbox.change(|settings| settings.answers = vec![replace("contact-service/contact/", from, to)]);
        let lake = tempfile::tempdir().unwrap();
        let program = hasty(&sandbox, lake.path());

        // WHEN contacts are read
        let done = program.run(&["--log-format", "json", "run", "contact"]).expect(0);

        // THEN every contact is there and none is pending; the rows are kept with table, key, reason and text, and reported
        assert_eq!(rows(lake.path(), "contact"), contacts.to_string());
        assert_eq!(pending(lake.path(), "contact"), Vec::<Value>::new());
        let kept = rejected(lake.path(), "contact");
        assert!(kept.len() >= least, "{kept:?}");
        for row in &kept {
            assert_eq!(row["table"], "contact_postal_address");
            assert_eq!(row["reason"], "contact_postal_address.id has no value that fits");
            assert!(row["id"].as_i64().is_some() && row["record"].as_str().unwrap().contains("addressLine1"), "{row}");
        }
        let report = report(&done, "contact");
        assert_eq!(report["rejected_rows"][0]["count"], json!(kept.len()), "{report}");
        assert_eq!(report["rejected_records"], json!(0));

        // AND `--fail-on misfit` turns rejected values into the exit code
        program.run(&["run", "--full", "--fail-on", "misfit", "contact"]).expect(3);

        // WHEN the source is well THEN they are read again, and nobody calls that a missed change
        sandbox.change(|settings| settings.answers.clear());
        program.run(&["run", "contact"]).expect(0);
        check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "contact,contact_postal_address"]);
        assert!(head(lake.path(), "contact")["state"].get("pieces").is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_row_that_is_rejected_for_good_is_no_missed_change_and_costs_one_request_a_night() {
    // GIVEN a contact with an address that never fits, read twice
    let sandbox = account(300).await;
    let wrong = replace("contact-service/contact/", "\"addressId\":160,", "\"addressId\":\"none\",");
    sandbox.change(|settings| settings.answers = vec![wrong]);
    let lake = tempfile::tempdir().unwrap();
    let program = hasty(&sandbox, lake.path());
    program.run(&["run", "contact"]).expect(0);
    program.run(&["run", "contact"]).expect(0);
    let state = head(lake.path(), "contact")["state"]["pieces"].clone();
    assert_eq!(state, json!({"known": [40]}));

    // WHEN another night comes THEN one request asks for it, and the state is the same
    sandbox.age(std::time::Duration::from_secs(6 * 3600));
    sandbox.take_log();
    program.run(&["run", "contact"]).expect(0);
    assert_eq!(sandbox.take_log().ids.get("contact-service/contact"), Some(&1));
    assert_eq!(head(lake.path(), "contact")["state"]["pieces"], state);

    // WHEN everything is read again, then from a source that is well THEN nothing counts as missed
    for _ in 0..2 {
        let done = program.run(&["--log-format", "json", "run", "--full", "contact"]).expect(0);
        assert_eq!(report(&done, "contact")["missed_changes"], json!(0));
        sandbox.change(|settings| settings.answers.clear());
    }
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "contact_postal_address"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_records_of_one_key_one_stays_and_the_other_is_kept_and_reported() {
    for (resource, path, style) in [
        ("brand", "product-service/brand", "a list"),
        ("product_price", "product-service/product-price/", "a read by owner"),
        ("order", "order-service/order/", "a read by ids"),
        ("customer_payment", "customer-payment-search?sort", "a search"),
    ] {
        // GIVEN an answer with a twin of its last record
        let sandbox = account(90).await;
        // A list that is read first is asked for twice.
        sandbox.change(|settings| settings.answers = vec![rule(path, &[1, 2], Wrong::Twin)]);
        let lake = tempfile::tempdir().unwrap();

        // WHEN it is read
        let done = hasty(&sandbox, lake.path()).run(&["--log-format", "json", "run", resource]);

        // THEN one of the two is rejected, and reported
        assert_eq!(done.code, 0, "{style}: {}", done.said());
        let kept = rejected(lake.path(), resource);
        assert_eq!(kept.len(), 1, "{style}: {kept:?}");
        assert_eq!(kept[0]["reason"], "another record of the same key is in the same answer", "{style}");
        assert!(!kept[0]["record"].as_str().unwrap().contains("(twin)"), "{style}: the later of two stays: {kept:?}");
        assert_eq!(report(&done, resource)["rejected_rows"][0]["count"], json!(1), "{style}: {}", done.stdout);
        assert_eq!(pending(lake.path(), resource), Vec::<Value>::new(), "{style}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_records_of_one_key_on_two_pages_of_a_list_one_is_kept_and_reported() {
    // GIVEN a list in pages of seven, with another record of the first page's key on the second page
    let sandbox = account(60).await;
    sandbox.change(|settings| {
        settings.pieces.list_page = 7;
        settings.answers =
            vec![AnswerRule { path: "brand?firstResult=7".to_owned(), ..replace("", "{\"id\":9,", "{\"id\":2,") }];
    });
    let lake = tempfile::tempdir().unwrap();

    // WHEN it is read
    let done = hasty(&sandbox, lake.path()).run(&["--log-format", "json", "run", "brand"]).expect(0);

    // THEN the later one is in the table, and the other is kept and reported
    let kept = rejected(lake.path(), "brand");
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(kept[0]["reason"], "another record of the same key is on another page");
    assert_eq!(report(&done, "brand")["rejected_rows"][0]["count"], json!(1), "{}", done.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_raw_control_character_in_a_search_or_a_listing_costs_nothing() {
    // GIVEN searches and listings of ids that hold a raw tab in a text
    let sandbox = account(90).await;
    sandbox.change(|settings| {
        let listing =
            AnswerRule { method: String::new(), ..replace("", "{\"getUris\":", "{\"note\":\"a\tb\",\"getUris\":") };
        settings.answers = vec![replace("-search?", "\"metaData\":{", "\"metaData\":{\"note\":\"a\tb\","), listing];
    });
    let lake = tempfile::tempdir().unwrap();
    let program = hasty(&sandbox, lake.path());

    // WHEN a first load and a night are read THEN all is there
    for _ in 0..2 {
        program.run(&["run", "order", "product", "customer_payment"]).expect(0);
        let tables =
            ["--only", "order,order_row,order_party,order_invoice,order_custom_field,product,customer_payment"];
        check_truth(&sandbox, lake.path().to_str().unwrap(), &tables);
        sandbox.edit("order", &sandbox.ids("order")[..9]);
        sandbox.insert("customer_payment", 3);
        sandbox.age(std::time::Duration::from_secs(6 * 3600));
    }
    assert!(!sandbox.take_log().wrong.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_raw_control_character_arrives_and_a_lone_surrogate_costs_its_own_value() {
    // GIVEN an order with a raw tab in a text, and others with texts and names that are no Unicode
    let sandbox = account(300).await;
    sandbox.change(|settings| {
        let path = "order-service/order/";
        settings.answers = vec![
            replace(path, "{\"id\":55,", "{\"id\":55,\"note\":\"a\tb\u{1}\",\"externalRef\":\"tab\there\","),
            replace(path, "{\"id\":56,", r#"{"id":56,"shown":1,"externalRef":"x\ud800y","#),
            replace(path, "{\"id\":57,", r#"{"id":57,"na\udc00me":1,"behind":2,"#),
        ];
    });
    let lake = tempfile::tempdir().unwrap();

    // WHEN orders are read THEN all are there
    let done = hasty(&sandbox, lake.path()).run(&["run", "order"]).expect(0);
    assert_eq!(rows(lake.path(), "order"), "300");
    let glob = format!("{}/order/**/*.parquet", lake.path().display());
    let sql = |id: i64| {
        format!(
            "SELECT external_ref, json_extract(_extra, '$') FROM read_parquet('{glob}', union_by_name = true) WHERE id = {id}"
        )
    };
    // AND the tab is a tab; a text that is no Unicode is null and beside its row, and counted
    assert!(query(&sql(55)).concat().starts_with("tab\there|"), "{:?}", query(&sql(55)));
    assert!(query(&sql(55)).concat().contains(r#""note":"a\tb\u0001""#), "{:?}", query(&sql(55)));
    let lone = query(&sql(56)).concat();
    assert!(lone.contains(r#""externalRef":"\"x\\ud800y\"""#) && lone.contains("\"shown\":1"), "{lone}");
    assert!(done.said().contains("order.externalRef (1×"), "{}", done.said());
    let named = query(&sql(57)).concat();
    assert!(named.contains(r#""na\\udc00me":1"#) && named.contains("\"behind\":2"), "{named}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_partial_answer_what_came_is_taken_at_once() {
    for (wrong, came) in [
        (Wrong::Partial(Partial { keep: 23, status: 200 }), 23),
        (Wrong::Partial(Partial { keep: 23, status: 207 }), 23),
        (Wrong::Partial(Partial { keep: 30, status: 207 }), 30),
        (Wrong::Null, 0),
        (Wrong::Shape, 0),
    ] {
        // GIVEN a set of which a part comes, beside errors; or another shape of answer
        let sandbox = account(30).await;
        sandbox.change(|settings| settings.answers = vec![rule("order-service/order/", &[1], wrong.clone())]);
        let lake = tempfile::tempdir().unwrap();

        // WHEN orders are read
        let done = Program::new(&sandbox, lake.path()).run(&["-v", "run", "order"]);

        // THEN the set is not asked for again as a whole, nor waited for; its missing ids are reported
        assert!(!done.stderr.contains("again in"), "{wrong:?}: {}", done.stderr);
        let asked = sandbox.take_log().total();
        assert!(asked <= 6, "{wrong:?}: {asked} requests");
        let stated = done.stderr.contains(&format!("{} of 30 ids in a set not returned", 30 - came));
        assert_eq!(stated, came < 30, "{wrong:?}: {}", done.stderr);
        let count = rows(lake.path(), "order");
        assert!(came == 0 || count.parse::<u64>().unwrap() >= came, "{wrong:?}: {count}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rejected_rows_without_number_take_no_memory_and_none_is_lost() {
    // GIVEN more addresses without an id than the memory setting has room for
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 10, ..Size::default() }.with("contact", 3_000)).await;
    sandbox
        .change(|settings| settings.answers = vec![replace("contact-service/contact/", "\"addressId\":", "\"lost\":")]);
    let lake = tempfile::tempdir().unwrap();

    // WHEN contacts are read THEN files are begun on the way, and together hold every row
    let program = hasty(&sandbox, lake.path()).with("PEARLIFT_LIMITS_MEMORY", "128MiB");
    let done = program.run(&["--log-format", "json", "run", "contact"]).expect(0);
    let kept = files(&lake.path().join("_pearlift/misfits/contact"));
    assert!(kept.len() > 1, "{kept:?}");
    let named = head(lake.path(), "contact")["rejected"].as_array().unwrap().len();
    assert_eq!(named, kept.len());
    let count = rejected(lake.path(), "contact").len();
    assert!(count > 3_000, "{count}");
    assert_eq!(report(&done, "contact")["rejected_rows"][0]["count"], json!(count));
    // AND the state does not grow with them
    let pieces = head(lake.path(), "contact")["state"]["pieces"].clone();
    assert_eq!(pieces["again"].as_array().unwrap().len(), 1_000);
}

#[test]
fn spoilers_are_known_by_their_ids() {
    let pieces = SetPieces { spoilers: vec![spoiler(5, 500, "X", "y")], ..SetPieces::default() };
    let refused: BTreeMap<&str, bool> = ["1-9", "5", "1,6"]
        .into_iter()
        .map(|set| (set, pieces.refuse("order-service/order/", Some(set)).is_some()))
        .collect();
    assert_eq!(refused, BTreeMap::from([("1-9", true), ("5", true), ("1,6", false)]));
}
