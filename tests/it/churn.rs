//! An account that changes between any two requests: when it rests, one quiet run makes the tables true.
//!
//! Each case is made from its seed, which is printed if it fails. `make churn` tries many more.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::Offset;
use pearlift::sandbox::{Churn, Sandbox, SandboxSettings, Size, Verb};

use crate::support::{Program, check_truth, schemas_with_sets_of, start, this_morning};

/// The resource that is not read.
const LEFT_OUT: &str = "goods_in_batch";

/// A case; a failing one reports its seed, the requests and the changes.
struct Case {
    seed: u64,
    percent: u64,
    sandbox: Sandbox,
    program: Program,
    said: Vec<String>,
}

impl Case {
    /// Runs the program to its end, which is a good one.
    fn run(&mut self, command: &str) {
        let code = self.run_amid_changes(command);
        assert_eq!(code, 0, "{}", self.said.join("\n"));
    }

    /// Runs the program to its end. Amid changes records may stay pending: a clock that was set back dates a change before the
    /// stored one, and more of a short list may go than one night accepts.
    fn run_amid_changes(&mut self, command: &str) -> i32 {
        let arguments: Vec<&str> = std::iter::once("-v").chain(command.split(' ')).collect();
        let done = self.program.run(&arguments);
        self.said.push(format!("{command}: exit code {}\n{}", done.code, done.said()));
        self.said.push(self.sandbox.take_log().churned.join("\n"));
        assert!([0, 3].contains(&done.code), "{}", done.said());
        done.code
    }
}

impl Drop for Case {
    #[expect(clippy::print_stderr, reason = "what a failed case was made from")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.said.join("\n"));
            let (seed, percent) = (self.seed, self.percent);
            eprintln!("the seed is {seed}: PEARLIFT_CHURN={seed} PEARLIFT_CHURN_PERCENT={percent} make churn");
        }
    }
}

/// One of these, by the seed.
fn pick<T: Copy>(of: &[T], seed: u64) -> T {
    of[usize::try_from(seed).unwrap() % of.len()]
}

/// The account of a case: served in small pages and sets; one in four about the hour in which summer time ends or begins,
/// one in five with a quota that another app eats.
fn settings(seed: u64) -> SandboxSettings {
    let mut settings = SandboxSettings {
        seed,
        limit: 0,
        history: 40,
        now: Some(this_morning()),
        page_cap: pick(&[7, 50, 13, 3], seed),
        max_ids: pick(&[5, 20, 11], seed),
        inclusive: !seed.is_multiple_of(3),
        ..SandboxSettings::default()
    };
    if seed % 4 == 1 {
        let (zone, now) =
            pick(&[("Europe/London", "2026-10-25T00:20:00Z"), ("America/New_York", "2026-03-08T06:20:00Z")], seed / 4);
        (settings.zone, settings.now) = (zone.to_owned(), Some(now.parse().unwrap()));
    }
    if seed % 5 == 2 {
        (settings.limit, settings.period, settings.foreign) = (120, 1_000, 2_000);
    }
    settings
}

/// A first load and two nights under churn, then a quiet night and a comparison of ids.
///
/// Returns the changes.
async fn tables_are_true_in_the_end(seed: u64, percent: u64) -> BTreeSet<String> {
    // GIVEN an account of some hundred records, enough of each that no table is empty
    let settings = settings(seed);
    let scarce = settings.limit > 0;
    let (lake, schemas) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    schemas_with_sets_of(settings.max_ids, schemas.path());
    let size = Size { orders: 50 + seed % 4 * 30, ..Size::default() }
        .with("product", 40)
        .with("goods_out_note", 120)
        .with("company", 30);
    let sandbox = start(settings, size).await;
    let mut program = Program::new(&sandbox, lake.path())
        .with("PEARLIFT_SCHEMAS", schemas.path().to_str().unwrap())
        .with("PEARLIFT_RESOURCES_PARTITION", pick(&["auto", "month", "quarter"], seed))
        .with("PEARLIFT_LIMITS_CONCURRENCY", pick(&["1", "16"], seed))
        .with("PEARLIFT_LIMITS_PACE", "burst")
        // The account may reach the next day; its truth has one.
        .with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_KEEP", "1d")
        .with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms")
        // Pages of three rows do not hold a batch, which fails: `repeats::` has it.
        .with("PEARLIFT_RESOURCES_EXCLUDE", LEFT_OUT);
    if scarce {
        program = program
            .with("PEARLIFT_LIMITS_REQUESTS_PER_PERIOD", "120")
            .with("PEARLIFT_LIMITS_PERIOD", "1s")
            .with("PEARLIFT_LIMITS_RESERVE", "40")
            .with("PEARLIFT_LIMITS_RETRY_TRIES", "20");
    }
    let mut case = Case { seed, percent, sandbox, program, said: Vec::new() };

    // WHEN it is loaded and brought up to date while it changes
    case.sandbox.change(|settings| settings.churn = Churn { seed, percent, ..Churn::default() });
    case.run_amid_changes("run");
    for _ in 0..2 {
        case.sandbox.age(Duration::from_secs(seed % 3 * 5_000));
        case.run_amid_changes("run");
    }
    // AND then rests for the least time between two distinguishable edits, and if an id is pending for an hour
    case.sandbox.change(|settings| settings.churn = Churn::default());
    case.sandbox.age(Duration::from_secs(70));
    if case.run_amid_changes("run") == 3 {
        case.sandbox.age(Duration::from_secs(3_700));
        case.run("run --full brand product_price product_supplier");
        case.run("run");
    }
    // More of so few records may be gone than a comparison takes out by itself.
    case.run("reconcile --force");
    // A record that only a search shows is a suspect first.
    case.run("run");

    // THEN the tables equal the truth; only prices and suppliers of products that are gone wait for the next whole read of them
    let day = Offset::UTC.to_datetime(case.sandbox.now()).date().to_string();
    let catalog = pearlift::schema::Catalog::load(None).unwrap();
    let read = catalog.resources().iter().filter(|resource| resource.is_default && resource.name != LEFT_OUT);
    let tables: Vec<&str> = read.flat_map(|resource| &resource.tables).map(|table| table.name.as_str()).collect();
    let more = [
        "--only",
        &tables.join(","),
        "--allow-extra",
        "product_price,product_price_list,product_supplier",
        "--day",
        &day,
        "--may-be-empty",
        "product_bundle_component,channel_brand_shipping_template,drop_ship_note,drop_ship_note_row,drop_ship_note_event",
    ];
    check_truth(&case.sandbox, lake.path().to_str().unwrap(), &more);
    case.said.iter().flat_map(|said| said.lines()).filter_map(|line| Some(line.split(' ').nth(1)?.to_owned())).collect()
}

/// Cases of these seeds; between them everything has happened that can.
async fn tables_are_true_for(seeds: std::ops::Range<u64>, percent: u64) {
    let mut happened = BTreeSet::new();
    for seed in seeds {
        happened.extend(tables_are_true_in_the_end(seed, percent).await);
    }
    for verb in ["Insert", "Edit", "EditAgain", "Pay", "Delete", "Age", "StepBack"] {
        assert!(happened.contains(verb), "nothing of {verb} happened");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_account_that_changes_between_any_two_requests_is_true_after_a_quiet_night() {
    tables_are_true_for(0..3, 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_account_that_never_rests_is_true_after_a_quiet_night() {
    tables_are_true_for(12..14, 80).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_payment_that_lands_while_its_order_and_payments_are_first_read_is_in_both() {
    // GIVEN orders and payments that are read at the same time, in pages of three rows and sets of five, while with every
    // request a payment lands
    let churn = Churn { seed: 3, percent: 100, verbs: vec![Verb::Pay], ..Churn::default() };
    let settings =
        SandboxSettings { limit: 0, page_cap: 3, now: Some(Timestamp::now()), churn, ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 60, ..Size::default() }).await;
    let (lake, schemas) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    schemas_with_sets_of(5, schemas.path());
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_SCHEMAS", schemas.path().to_str().unwrap());

    // WHEN they are loaded, and a quiet night goes by
    program.run(&["run", "customer_payment", "order"]).expect(0);
    assert!(sandbox.take_log().churned.len() > 40);
    sandbox.change(|settings| settings.churn = Churn::default());
    sandbox.age(Duration::from_secs(70));
    program.run(&["run", "customer_payment", "order"]).expect(0);

    // THEN every order shows its payments
    let tables = "customer_payment,order,order_row,order_party,order_invoice,order_custom_field";
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", tables]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_record_that_moves_to_an_earlier_page_of_its_set_is_read_all_the_same() {
    // GIVEN contacts asked for in sets of sixteen and given in pages of five, while with every request one is deleted
    let resources = vec!["contact".to_owned()];
    let churn = Churn { seed: 5, percent: 100, resources, verbs: vec![Verb::Delete] };
    let settings = SandboxSettings { limit: 0, max_ids: 5, churn, ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 10, ..Size::default() }.with("contact", 150)).await;
    let (lake, schemas) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    schemas_with_sets_of(5, schemas.path());
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_SCHEMAS", schemas.path().to_str().unwrap());

    // WHEN they are loaded
    program.run(&["run", "contact"]).expect(0);
    assert!(sandbox.take_log().churned.len() > 20);

    // THEN all that are left are there
    let tables = "contact,contact_postal_address,contact_status_history,contact_custom_field";
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", tables, "--allow-extra", tables]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "an hour of it, with `make churn`; PEARLIFT_CHURN is a seed or a range of them, PEARLIFT_CHURN_PERCENT how much changes"]
async fn many() {
    let text =
        std::env::var_os("PEARLIFT_CHURN").map_or_else(|| "100-400".to_owned(), |text| text.into_string().unwrap());
    let (from, to) = text.split_once('-').unwrap_or((&text, &text));
    let percent: Option<u64> =
        std::env::var_os("PEARLIFT_CHURN_PERCENT").map(|text| text.into_string().unwrap().parse().unwrap());
    for seed in from.parse::<u64>().unwrap()..=to.parse().unwrap() {
        tables_are_true_in_the_end(seed, percent.unwrap_or(10 + seed * 7 % 90)).await;
    }
}
