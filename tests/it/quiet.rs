//! Requests to the bucket of a run that finds nothing new: as many for any number of stored records.

use std::collections::BTreeMap;
use std::time::Duration;

use pearlift::sandbox::{SandboxSettings, Size};

use crate::support::{Program, Proxy, Weed, start, this_morning};

const HOUR: Duration = Duration::from_secs(3_600);
/// Resources with tables partitioned by month.
const NAMES: [&str; 7] =
    ["order", "goods_out_note", "goods_in_note", "goods_movement", "journal", "customer_payment", "supplier_payment"];

/// The requests by their method and the folder that they are of; a list is a GET of the bucket.
fn by_folder(requests: Vec<(String, String)>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (method, path) in requests {
        let path = path.strip_prefix("/lake/").unwrap_or(&path);
        let folder = match path.split_once('?') {
            Some((_, query)) if query.contains("list-type") || query.contains("uploads") => "a list".to_owned(),
            _ => path.split('/').skip(1).take_while(|part| !part.contains('.')).take(2).collect::<Vec<_>>().join("/"),
        };
        let folder = folder.split("/created_month").next().unwrap_or_default().to_owned();
        let folder = folder.split("/received_month").next().unwrap_or_default().to_owned();
        *counts.entry(format!("{method} {folder}")).or_default() += 1;
    }
    counts
}

/// The requests of a run that finds nothing new, of accounts of 12 and of 60 months in a bucket.
async fn quiet_runs(settle: impl Fn(Program) -> Program) -> Vec<BTreeMap<String, usize>> {
    let weed = Weed::start();
    let proxy = Proxy::start(weed.endpoint()).await;
    let arguments = [&["run"][..], &NAMES].concat();
    let mut counts = Vec::new();
    for months in [12, 60] {
        // GIVEN an account of so many months in a bucket
        let settings =
            SandboxSettings { limit: 0, now: Some(this_morning()), history: months * 30, ..SandboxSettings::default() };
        let sandbox = start(settings, Size { orders: 600, ..Size::default() }).await;
        let program = weed
            .reach(Program::new(&sandbox, format!("s3://lake/{months}")).by_month())
            .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &proxy.endpoint());
        let program = settle(program);
        program.run(&arguments).expect(0);
        let files = weed.keys().await.iter().filter(|key| key.starts_with(&format!("{months}/order/"))).count();
        assert!(files.abs_diff(months.try_into().unwrap()) <= 2, "{files} files of orders");

        // WHEN nights go by, and a run an hour later finds nothing new
        for _ in 0..2 {
            sandbox.age(26 * HOUR);
            program.run(&arguments).expect(0);
        }
        sandbox.age(HOUR);
        proxy.take_log();
        program.run(&arguments).expect(0);
        counts.push(by_folder(proxy.take_log()));
    }
    counts
}

/// THEN the second makes as many requests as the first, and hardly any to files of tables.
fn are_alike(counts: &[BTreeMap<String, usize>]) {
    let but_versions = |counts: &BTreeMap<String, usize>| {
        let mut counts = counts.clone();
        (counts.remove("GET _pearlift/manifests").unwrap_or_default(), counts)
    };
    let ((few, first), (many, second)) = (but_versions(&counts[0]), but_versions(&counts[1]));
    assert_eq!(first, second);
    // A version lists its files itself, or refers to one that does: one request more or less of each resource.
    assert!(few.abs_diff(many) <= NAMES.len(), "{few} and {many} requests to manifests");
    let ours =
        |request: &str| request.contains(" _pearlift") || request.ends_with("a list") || request.starts_with("POST");
    let tables = first.iter().filter(|(request, _)| !ours(request)).map(|(_, count)| count).sum::<usize>();
    assert!(tables <= 2, "{first:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_that_finds_nothing_new_asks_the_bucket_as_often_for_60_months_as_for_12() {
    are_alike(&quiet_runs(|program| program).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn so_it_does_where_history_begins_at_a_day_and_deleted_rows_stay_marked() {
    let settle = |program: Program| {
        NAMES.iter().fold(program, |program, name| {
            let setting = |key: &str| format!("PEARLIFT_RESOURCE_{}_{key}", name.to_uppercase());
            program.with(&setting("START"), "2019-01-01").with(&setting("DELETES"), "mark")
        })
    };
    are_alike(&quiet_runs(settle).await);
}
