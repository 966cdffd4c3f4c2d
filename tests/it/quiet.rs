//! Requests to the bucket of a run that finds nothing new: as many whatever is held.

use std::collections::BTreeMap;
use std::time::Duration;

use pearlift::sandbox::{Settings, Size};

use crate::support::{Program, Proxy, Weed, start, this_morning};

const HOUR: Duration = Duration::from_secs(3_600);
/// Resources whose tables are partitioned by month.
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_that_finds_nothing_new_asks_the_bucket_as_often_for_60_months_as_for_12() {
    let weed = Weed::start();
    let proxy = Proxy::start(weed.endpoint()).await;
    let arguments = [&["run"][..], &NAMES].concat();
    let mut counts = Vec::new();
    for months in [12, 60] {
        // GIVEN an account of so many months in a bucket
        let settings = Settings { limit: 0, now: Some(this_morning()), history: months * 30, ..Settings::default() };
        let sandbox = start(settings, Size { orders: 600, ..Size::default() }).await;
        let program = weed
            .reach(Program::new(&sandbox, format!("s3://lake/{months}")))
            .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &proxy.endpoint());
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

    // THEN it makes as many requests, and hardly any to files of tables: a note of the last hour before the night is read
    assert_eq!(counts[0], counts[1]);
    let ours =
        |request: &str| request.contains(" _pearlift") || request.ends_with("a list") || request.starts_with("POST");
    let tables = counts[0].iter().filter(|(request, _)| !ours(request)).map(|(_, count)| count).sum::<usize>();
    assert!(tables <= 2, "{:#?}", counts[0]);
}
