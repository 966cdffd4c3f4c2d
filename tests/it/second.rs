//! A second answer where the first one is wrong once: owners that a listing lacks, halves of sets, short pages, columns that
//! are missing, and a record that spoils every set it is in.

use std::time::Duration;

use pearlift::sandbox::{AnswerRule, Replacement, Sandbox, SandboxSettings, Size, Spoiler, Wrong};

use crate::support::{Program, account, check_truth, head, start, this_morning};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn once(sandbox: &Sandbox, method: &str, path: &str, then: Wrong) {
    let rule = AnswerRule { method: method.to_owned(), path: path.to_owned(), at: vec![1], then };
    sandbox.change(|settings| settings.answers = vec![rule]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_owner_that_one_listing_lacks_loses_no_row() {
    // GIVEN a listing of products that has half of them or none, once
    for then in [Wrong::Half, Wrong::Empty] {
        for full in [false, true] {
            let sandbox = account(600).await;
            let lake = tempfile::tempdir().unwrap();
            let program = Program::new(&sandbox, lake.path());
            if full {
                program.run(&["run", "product_price"]).expect(0);
            }
            once(&sandbox, "OPTIONS", "product-service/product", then.clone());

            // WHEN prices are read, first or again THEN none is missing
            let arguments: &[&str] = if full { &["run", "--full", "product_price"] } else { &["run", "product_price"] };
            let done = program.run(arguments).expect(0);
            assert_eq!(sandbox.take_log().wrong.len(), 1, "{}", done.said());
            check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "product_price,product_price_list"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn owners_that_one_answer_of_a_first_load_lacks_are_asked_for_again() {
    // GIVEN a set of prices or of stock of which half comes, once, without a word
    for (resource, path, tables) in [
        ("product_price", "product-price/", "product_price,product_price_list"),
        (
            "product_availability",
            "product-availability/",
            "product_availability,product_availability_warehouse,product_availability_location",
        ),
    ] {
        let sandbox = account(600).await;
        once(&sandbox, "GET", path, Wrong::Half);
        let lake = tempfile::tempdir().unwrap();

        // WHEN they are read first THEN none is missing
        let done = Program::new(&sandbox, lake.path()).run(&["run", resource]).expect(0);
        assert_eq!(sandbox.take_log().wrong.len(), 1, "{}", done.said());
        check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", tables]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_first_page_that_is_short_once_does_not_shorten_the_steps_after_it() {
    // GIVEN a search with one row on its first page, once
    for rows in [1, 5] {
        let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
        let size = Size { orders: 20, ..Size::default() }.with("customer_payment", 3_000);
        let sandbox = start(settings, size).await;
        once(&sandbox, "GET", "customer-payment-search?sort=paymentId.ASC", Wrong::Keep(rows));
        let lake = tempfile::tempdir().unwrap();

        // WHEN it is read THEN a few requests are enough
        let done = Program::new(&sandbox, lake.path()).run(&["run", "customer_payment"]).expect(0);
        let asked = sandbox.take_log();
        assert_eq!(asked.wrong.len(), 1, "{}", done.said());
        assert!(asked.total() <= 30, "{asked:?}");
        check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "customer_payment"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_record_that_fails_alone_on_a_quiet_night_is_pending_and_then_withheld() {
    // GIVEN a contact for which the source fails, in any set
    let settings = SandboxSettings { limit: 0, now: Some(this_morning() - 7 * DAY), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 100, ..Size::default() }).await;
    let id = sandbox.ids("contact")[7];
    let path = "contact-service/contact/".to_owned();
    let (code, message) = ("CMNU-003".to_owned(), "Internal Server Error".to_owned());
    sandbox.change(|settings| settings.pieces.spoilers = vec![Spoiler { path, id, status: 500, code, message }]);
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_RETRY_TRIES", "2");

    // WHEN nights go by on which nothing changes THEN it is pending for two of them, and withheld from the third on
    for (night, code) in [(1, 3), (2, 3), (3, 0), (4, 0)] {
        let done = program.run(&["run", "contact"]);
        assert_eq!(done.code, code, "night {night}: {}", done.said());
        sandbox.age(DAY);
    }
    assert!(head(lake.path(), "contact")["state"]["absence"]["withheld"][id.to_string()].is_object());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_column_that_one_page_of_a_search_lacks_is_asked_for_again() {
    // GIVEN a search with another name of a column in its metaData, once
    let sandbox = account(900).await;
    let (from, to) = ("amountPaid".to_owned(), "amount".to_owned());
    once(&sandbox, "GET", "customer-payment-search?sort=paymentId.ASC", Wrong::Rename(Replacement { from, to }));
    let lake = tempfile::tempdir().unwrap();

    // WHEN it is read first THEN every row has its value
    let done = Program::new(&sandbox, lake.path()).run(&["run", "customer_payment"]).expect(0);
    assert_eq!(sandbox.take_log().wrong.len(), 1, "{}", done.said());
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "customer_payment"]);
}
