//! Two clocks, the source's and ours: a wrong one costs requests, and never rows.
//!
//! Runs are made inside the test, so that our clock can be set beside the account's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pearlift::event::{Event, Events};
use pearlift::manifest::State;
use pearlift::run::{End, Outcome, RunMode, run_in};
use pearlift::sandbox::{AnswerRule, Sandbox, Status, Wrong};

use crate::support::{Program, account, check_truth, head, query};

pub const HOUR: SignedDuration = SignedDuration::from_hours(1);
pub const DAY: SignedDuration = SignedDuration::from_hours(24);
pub const OVERLAP: Duration = Duration::from_secs(2 * 3600);
/// Tables with changes by dates.
const DATED: &str = "order,order_row,order_party,customer_payment,supplier_payment,product,goods_movement,contact";
const NAMES: [&str; 6] = ["order", "customer_payment", "supplier_payment", "product", "goods_movement", "contact"];
/// A list beside the snapshots: it is read each time, and its answer shows the source's clock.
const STOCK: [&str; 2] = ["brand", "product_availability"];

/// An account, its tables, and the warnings of its runs.
struct Shop {
    sandbox: Sandbox,
    lake: tempfile::TempDir,
    program: Program,
    said: Arc<Mutex<Vec<String>>>,
}

impl Shop {
    async fn open(orders: u64) -> Self {
        let (sandbox, lake) = (account(orders).await, tempfile::tempdir().unwrap());
        let program = Program::new(&sandbox, lake.path());
        Self { sandbox, lake, program, said: Arc::default() }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.program = self.program.clone().with(name, value);
    }

    /// A run of these resources while our clock is so much ahead of the account's.
    async fn run_at(&self, names: &[&str], mode: RunMode, ahead: SignedDuration) -> Outcome {
        let mut request = self.program.request(names);
        (request.now, request.mode) = (self.sandbox.now() + ahead, mode);
        let said = Arc::clone(&self.said);
        request.events = Events::new(move |event| {
            if let Event::Warning { resource, text } = event {
                said.lock().unwrap().push(format!("{}: {text}", resource.as_deref().unwrap_or_default()));
            }
        });
        run_in(request, self.program.store()).await.unwrap()
    }

    /// A run while both clocks agree; returns its warnings.
    async fn run(&self, names: &[&str]) -> Vec<String> {
        self.run_with(names, SignedDuration::ZERO).await
    }

    /// A run that ends well while our clock is so much ahead; returns its warnings.
    async fn run_with(&self, names: &[&str], ahead: SignedDuration) -> Vec<String> {
        self.said.lock().unwrap().clear();
        let outcome = self.run_at(names, RunMode::Update { full: false }, ahead).await;
        let failures: Vec<String> =
            outcome.resources.iter().filter_map(|resource| resource.failure()).map(ToString::to_string).collect();
        assert_eq!(outcome.exit_code(false), 0, "{failures:?}");
        std::mem::take(&mut self.said.lock().unwrap())
    }

    /// The `Date` of these answers is off by so much from now on; of all of them where none are named.
    fn misdate(&self, by: SignedDuration, at: &[u64]) {
        let rule =
            AnswerRule { method: String::new(), path: String::new(), at: at.to_vec(), then: Wrong::Date(by.as_secs()) };
        self.sandbox.change(|settings| settings.answers = vec![rule]);
    }

    /// Answers are right again.
    fn heal(&self) {
        self.sandbox.change(|settings| {
            settings.answers.clear();
            settings.headers.clear();
        });
    }

    /// Hours go by, in the midst of which records are made and changed.
    fn hours_go_by(&self, hours: u64) {
        self.sandbox.age(Duration::from_secs(hours * 1800));
        for kind in ["order", "customer_payment", "supplier_payment", "product"] {
            self.sandbox.insert(kind, 2);
        }
        for kind in ["order", "product", "contact"] {
            let ids: Vec<i64> = self.sandbox.ids(kind).into_iter().rev().step_by(7).take(5).collect();
            self.sandbox.edit(kind, &ids);
        }
        self.sandbox.age(Duration::from_secs(hours * 1800));
    }

    fn check(&self) {
        check_truth(&self.sandbox, self.lake.path().to_str().unwrap(), &["--only", DATED]);
    }

    fn state(&self, resource: &str) -> State {
        serde_json::from_value(head(self.lake.path(), resource)["state"].clone()).unwrap()
    }

    /// Snapshots, each with the number of its rows.
    fn days(&self) -> Vec<String> {
        query(&format!(
            "SELECT snapshot_date, count(*), min(_extracted_at) FROM read_parquet('{}/product_availability/**/*.parquet', \
             hive_partitioning = true) GROUP BY ALL ORDER BY ALL",
            self.lake.path().display()
        ))
    }
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_date_that_is_a_day_ahead_or_behind_during_one_run_loses_nothing() {
    for (by, answers) in [(DAY, &[][..]), (-DAY, &[][..]), (DAY * 400, &[1, 2, 3, 4][..]), (DAY, &[1][..])] {
        // GIVEN a loaded account WHEN the source's clock is wrong during one run
        let shop = Shop::open(120).await;
        shop.run(&NAMES).await;
        shop.hours_go_by(6);
        shop.misdate(by, answers);
        let said = shop.run(&NAMES).await;
        assert!(said.iter().any(|text| text.contains("the source's clock")), "it is reported: {said:?}");
        shop.heal();
        // THEN the changes of the next days are all there after each night
        for _ in 0..4 {
            shop.hours_go_by(8);
            shop.run(&NAMES).await;
            shop.check();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_first_load_under_a_wrong_clock_that_is_resumed_under_a_right_one_loses_nothing() {
    // GIVEN a first load that began while the source's clock was two days ahead, and stopped half-way
    let mut shop = Shop::open(800).await;
    shop.set("PEARLIFT_LIMITS_RETRY_TRIES", "1");
    let fails = |path: &str, at: Vec<u64>| AnswerRule {
        method: "GET".into(),
        path: path.into(),
        at,
        then: Wrong::Status(Status { status: 500, body: "{}".into() }),
    };
    shop.misdate(DAY * 2, &[]);
    shop.sandbox.change(|settings| settings.answers.push(fails("order-service/order/", (3..1_000).collect())));
    let outcome = shop.run_at(&["order"], RunMode::Update { full: false }, SignedDuration::ZERO).await;
    assert_ne!(outcome.exit_code(false), 0);
    assert!(outcome.resources[0].version.is_some(), "{:?}", outcome.resources);
    assert!(shop.state("order").scan.is_some(), "it stopped half-way");
    shop.heal();
    // WHEN records change that it had read, and it is resumed a day later
    let ids = shop.sandbox.ids("order");
    shop.sandbox.age(Duration::from_secs(3600));
    shop.sandbox.edit("order", &ids);
    shop.sandbox.age(Duration::from_secs(86_400));
    shop.run(&["order"]).await;
    // THEN the changes are there
    let tables = ["--only", "order,order_row,order_party"];
    check_truth(&shop.sandbox, shop.lake.path().to_str().unwrap(), &tables);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_without_a_legible_date_is_told_and_loses_nothing() {
    for date in ["", "yesterday", "Sun, 99 Nov 2025 08:49:37 GMT"] {
        let shop = Shop::open(80).await;
        shop.run(&NAMES).await;
        shop.hours_go_by(6);
        // WHEN no answer of a run shows a clock
        shop.sandbox.change(|settings| settings.headers = BTreeMap::from([("date".to_owned(), date.to_owned())]));
        let said = shop.run(&NAMES).await;
        // THEN it is reported once, and nothing is lost then or later
        assert_eq!(said.iter().filter(|text| text.contains("legible `Date`")).count(), 1, "{said:?}");
        shop.check();
        shop.heal();
        shop.hours_go_by(6);
        shop.run(&NAMES).await;
        shop.check();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clocks_more_than_an_hour_apart_are_a_warning_and_no_error() {
    let shop = Shop::open(20).await;
    for (ahead, reported) in [
        (HOUR + SignedDuration::from_secs(90), true),
        (-HOUR - SignedDuration::from_secs(90), true),
        (HOUR - SignedDuration::from_secs(90), false),
        (SignedDuration::ZERO, false),
    ] {
        // WHEN our clock is so much ahead of the source's THEN the run ends with 0, and reports it once
        let said = shop.run_with(&["brand", "channel", "order"], ahead).await;
        let words = if ahead.is_negative() { "ahead of ours" } else { "behind ours" };
        assert_eq!(said.iter().filter(|text| text.contains(words)).count(), usize::from(reported), "{ahead}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn our_clock_that_is_wrong_for_a_run_or_for_good_loses_nothing() {
    for (first, then) in [(DAY * -3, DAY * -3), (DAY * 3, DAY * 3), (DAY * 3, SignedDuration::ZERO), (DAY * -40, DAY)] {
        let shop = Shop::open(100).await;
        shop.run_with(&NAMES, first).await;
        for _ in 0..2 {
            shop.hours_go_by(10);
            shop.run_with(&NAMES, then).await;
            shop.check();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_price_that_changed_after_a_copy_was_taken_under_a_wrong_clock_is_read() {
    let shop = Shop::open(100).await;
    let names = ["product", "product_price"];
    shop.run(&names).await;
    // GIVEN prices read while the source's clock was a day ahead
    shop.sandbox.edit("product", &shop.sandbox.ids("product"));
    shop.sandbox.age(Duration::from_secs(600));
    shop.misdate(DAY, &[]);
    shop.run(&names).await;
    shop.heal();
    // WHEN products change some hours later THEN their prices are there after the next run
    shop.sandbox.age(Duration::from_secs(5 * 3600));
    shop.sandbox.edit("product", &shop.sandbox.ids("product"));
    shop.sandbox.age(Duration::from_secs(600));
    shop.run(&names).await;
    let tables = ["--only", "product,product_price,product_price_list"];
    check_truth(&shop.sandbox, shop.lake.path().to_str().unwrap(), &tables);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_snapshot_under_a_wrong_clock_is_of_an_empty_day_or_none() {
    // GIVEN the snapshots of two days, and that snapshots of three days are kept
    let mut shop = Shop::open(60).await;
    shop.set("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_KEEP", "3d");
    shop.run(&STOCK).await;
    shop.sandbox.age(Duration::from_secs(86_400));
    shop.run(&STOCK).await;
    let two = shop.days();
    assert_eq!(two.len(), 2);
    // WHEN on the third day the source's clock is a day behind
    shop.sandbox.age(Duration::from_secs(86_400));
    shop.sandbox.edit("product", &shop.sandbox.ids("product"));
    shop.misdate(-DAY, &[]);
    for _ in 0..2 {
        let said = shop.run(&STOCK).await;
        // THEN neither day is overwritten, and it is reported
        assert!(said.iter().any(|text| text.contains("it is left as it is")), "{said:?}");
        assert_eq!(shop.days(), two);
    }
    // AND where it is a month ahead, that empty day is written and no other is deleted
    shop.misdate(DAY * 30, &[]);
    shop.run(&STOCK).await;
    let three = shop.days();
    assert_eq!((three.len(), &three[..2]), (3, &two[..]));
    // AND with a right clock the day's snapshot is taken after all, beside the others
    shop.heal();
    shop.run(&STOCK).await;
    let four = shop.days();
    assert_eq!(four.len(), 4);
    assert_eq!((&four[..2], &four[3..]), (&two[..], &three[2..]));
    // AND so is that of the next day
    shop.sandbox.age(Duration::from_secs(86_400));
    shop.run(&STOCK).await;
    let days = shop.days();
    assert!(days.iter().any(|day| day.starts_with(&shop.sandbox.now().to_string()[..10])), "{days:?}");
    // AND of days before those kept, those alone are gone that the right clock puts there
    assert!(days[0].starts_with(&two[1][..10]), "{days:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_snapshot_is_taken_again_the_same_day_while_clocks_agree_or_keep_their_distance() {
    for ahead in [SignedDuration::ZERO, HOUR * 5, HOUR * -5] {
        let mut shop = Shop::open(40).await;
        shop.set("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms");
        shop.run_with(&STOCK, ahead).await;
        let before = shop.days();
        shop.sandbox.edit("product", &shop.sandbox.ids("product"));
        shop.sandbox.age(Duration::from_secs(3600 * 3));
        let version = || head(shop.lake.path(), "product_availability")["version"].as_u64();
        let first = version();
        let said = shop.run_with(&STOCK, ahead).await;
        assert!(!said.iter().any(|text| text.contains("it is left as it is")), "{ahead}: {said:?}");
        assert!(version() > first, "{ahead}");
        assert_eq!(shop.days().len(), before.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_read_a_moment_ago_is_not_due_however_far_apart_the_clocks_are() {
    for ahead in [SignedDuration::from_secs(-1), HOUR * -7, HOUR * 7, DAY * 200] {
        let mut shop = Shop::open(20).await;
        shop.set("PEARLIFT_RESOURCE_BRAND_EVERY", "1d");
        let names = ["brand", "product_availability"];
        shop.run_with(&names, ahead).await;
        shop.sandbox.take_log();
        // WHEN it runs again at once THEN nothing is asked
        let outcome = shop.run_at(&names, RunMode::Update { full: false }, ahead).await;
        assert!(outcome.resources.iter().all(|resource| matches!(resource.end, End::Idle(_))), "{ahead}: {outcome:?}");
        assert_eq!(shop.sandbox.take_log().total(), 0, "{ahead}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_falls_due_by_the_sources_clock_alone_is_read_in_the_same_run() {
    let mut shop = Shop::open(30).await;
    shop.set("PEARLIFT_RESOURCE_BRAND_EVERY", "1d");
    shop.set("PEARLIFT_RESOURCE_ORDER_RECONCILE_EVERY", "1d");
    let names = ["brand", "product_availability", "order"];
    shop.run(&names).await;
    // GIVEN a day that our clock did not see, and records that are gone
    shop.sandbox.age(Duration::from_secs(86_400));
    let gone: Vec<i64> = shop.sandbox.ids("order").into_iter().take(2).collect();
    shop.sandbox.delete("order", &gone);
    // WHEN it runs THEN lists, snapshots and comparisons of ids are made all the same
    let outcome = shop.run_at(&names, RunMode::Update { full: false }, -DAY).await;
    assert!(outcome.resources.iter().all(|resource| matches!(resource.end, End::Complete)), "{outcome:?}");
    assert_eq!(shop.days().len(), 2);
    let order = outcome.resources.iter().find(|resource| resource.resource == "order").unwrap();
    assert!(order.found.as_deref().is_some_and(|found| found.contains("2 of them gone")), "{order:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_watermark_held_back_for_more_than_two_days_is_told_with_what_it_costs() {
    for (behind, reported) in [(HOUR * 47, false), (HOUR * 49, true)] {
        let shop = Shop::open(60).await;
        shop.run(&["customer_payment", "brand"]).await;
        shop.sandbox.insert("customer_payment", 5);
        shop.sandbox.age(Duration::from_secs(3 * 86_400));
        // WHEN our clock is behind for so long THEN each night reports the resources that it reads again
        let said = shop.run_with(&["customer_payment", "brand"], SignedDuration::ZERO - behind).await;
        let held: Vec<&String> = said.iter().filter(|text| text.contains("held back")).collect();
        assert_eq!(held.len(), usize::from(reported), "{said:?}");
        assert!(
            held.iter().all(|text| text.starts_with("customer_payment: ") && text.contains(" records in this one"))
        );
        shop.check_payments();
    }
}

impl Shop {
    fn check_payments(&self) {
        check_truth(&self.sandbox, self.lake.path().to_str().unwrap(), &["--only", "customer_payment"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_watermark_later_than_both_clocks_is_lowered_and_what_it_hid_is_read() {
    let shop = Shop::open(60).await;
    shop.run(&NAMES).await;
    // GIVEN a run during which both clocks were five days ahead
    shop.misdate(DAY * 5, &[]);
    shop.run_with(&NAMES, DAY * 5).await;
    shop.heal();
    shop.hours_go_by(1);
    // WHEN both are right again THEN changes are asked from an earlier point, it is reported, and nothing is missing
    let said = shop.run(&NAMES).await;
    for name in NAMES {
        assert!(said.iter().any(|text| text.starts_with(&format!("{name}: the watermark"))), "{name}: {said:?}");
        assert!(shop.state(name).watermark.unwrap() < shop.sandbox.now(), "{name}");
    }
    shop.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_id_that_is_left_out_under_a_wrong_clock_is_asked_for_again_after_thirty_days() {
    let mut shop = Shop::open(400).await;
    let schemas = crate::reading::without_filter();
    shop.set("PEARLIFT_SCHEMAS", schemas.path().to_str().unwrap());
    // WHEN products are left out while the source's clock is a year ahead
    shop.misdate(DAY * 366, &[]);
    shop.run(&STOCK).await;
    // THEN they are left out no longer than with a right one
    let skipped = shop.state("product_availability").skipped_ids;
    let end = shop.sandbox.now() + DAY * 30;
    assert!(!skipped.is_empty() && skipped.iter().all(|out| out.until <= end), "{skipped:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_payments_name_is_handed_on_though_they_are_first_read_under_a_wrong_clock() {
    for (ours, by) in [(SignedDuration::ZERO, DAY * 60), (DAY * 60, SignedDuration::ZERO)] {
        // GIVEN orders, and payments that are new since
        let shop = Shop::open(60).await;
        shop.run(&["order"]).await;
        shop.sandbox.age(Duration::from_secs(3600));
        shop.sandbox.insert("customer_payment", 5);
        shop.sandbox.age(Duration::from_secs(600));
        // WHEN payments are first read while one clock is two months ahead
        shop.misdate(by, &[]);
        let outcome = shop.run_at(&["order", "customer_payment"], RunMode::Update { full: false }, ours).await;
        // THEN their orders are read again
        let order = outcome.resources.iter().find(|resource| resource.resource == "order").unwrap();
        assert!(order.scans.iter().any(|scan| scan.starts_with("touched")), "{ours} {by}: {:?}", order.scans);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_throttle_header_that_names_the_end_of_time_holds_up_nothing() {
    let mut shop = Shop::open(20).await;
    shop.set("PEARLIFT_LIMITS_PERIOD", "100ms");
    // GIVEN that no request is left until the year 5195
    shop.sandbox.change(|settings| {
        settings.headers = BTreeMap::from([
            ("brightpearl-requests-remaining".to_owned(), "0".to_owned()),
            ("brightpearl-next-throttle-period".to_owned(), "99999999999999".to_owned()),
        ]);
    });
    // WHEN it runs THEN it waits for periods as they are
    shop.run(&["brand", "channel"]).await;
    // GIVEN that the source asks to wait until then, by either name
    let busy = Status { status: 429, body: "{}".into() };
    for name in ["retry-after", "brightpearl-next-throttle-period"] {
        for text in ["99999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
            let rule = AnswerRule {
                method: String::new(),
                path: String::new(),
                at: vec![1],
                then: Wrong::Status(busy.clone()),
            };
            shop.sandbox.change(|settings| {
                settings.answers = vec![rule];
                settings.headers = BTreeMap::from([(name.to_owned(), text.to_owned())]);
            });
            // WHEN it runs THEN it waits for a period
            shop.run(&["brand", "channel"]).await;
        }
    }
}
