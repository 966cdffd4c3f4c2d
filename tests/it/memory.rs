//! Memory: it stays in proportion to the setting for any answer of the source.

use std::time::Duration;

use pearlift::sandbox::{Fault, Faults, Sandbox, SandboxSettings, Size};

use crate::support::{Program, check_truth, peak_memory, query, schemas_with_sets_of, start, this_morning};

/// An account of products with descriptions of so many bytes.
async fn wordy(products: u64, text_bytes: usize) -> Sandbox {
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), text_bytes, ..SandboxSettings::default() };
    start(settings, Size { orders: 20, ..Size::default() }.with("product", products)).await
}

fn small(sandbox: &Sandbox, lake: &std::path::Path) -> Program {
    Program::new(sandbox, lake).with("PEARLIFT_LIMITS_MEMORY", "128MiB")
}

/// Products, and the bytes of their longest texts.
fn described(lake: &std::path::Path) -> Vec<String> {
    let folder = lake.join("product_sales_channel");
    query(&format!(
        "SELECT count(DISTINCT product_id), min(strlen(description)), max(strlen(description)) \
         FROM read_parquet('{}/**/*.parquet')",
        folder.display()
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn texts_of_sixty_kilobytes_take_no_more_memory_than_the_setting_allows() {
    // GIVEN 6,000 products, each with a description of 60 kB
    let sandbox = wordy(6_000, 60_000).await;
    let lake = tempfile::tempdir().unwrap();
    let program = small(&sandbox, lake.path());

    // WHEN they are read THEN memory stays bounded, and every text is there
    let (done, peak) = peak_memory(&program, &["run", "product"]);
    assert_eq!(done.code, 0, "{}", done.said());
    assert!(peak < 300 << 20, "{} MiB for the first load", peak >> 20);
    assert_eq!(described(lake.path()), ["6000|60000|60000"]);

    // WHEN every hundredth changes THEN old rows and new ones are merged within the same bound
    sandbox.age(Duration::from_secs(6 * 3600));
    let some: Vec<i64> = sandbox.ids("product").into_iter().step_by(100).collect();
    sandbox.edit("product", &some);
    let (done, peak) = peak_memory(&program, &["run", "product"]);
    assert_eq!(done.code, 0, "{}", done.said());
    assert!(peak < 300 << 20, "{} MiB for the night", peak >> 20);
    assert_eq!(described(lake.path()), ["6000|60000|60000"]);

    // WHEN everything is read again into new files, committed at once
    let (done, peak) = peak_memory(&program, &["run", "--full", "product"]);
    assert_eq!(done.code, 0, "{}", done.said());
    assert!(peak < 300 << 20, "{} MiB for a full read", peak >> 20);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "product_sales_channel"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn texts_of_a_megabyte_load() {
    // GIVEN 2,300 products with descriptions of a megabyte: more than the offsets of one batch can number
    let sandbox = wordy(2_300, 1_000_000).await;
    let lake = tempfile::tempdir().unwrap();
    // AND sets of such answers, in a run that commits once, so that all meet in one spool and one file's merge
    let schemas = tempfile::tempdir().unwrap();
    schemas_with_sets_of(25, schemas.path());
    let program = small(&sandbox, lake.path())
        .with("PEARLIFT_LIMITS_COMMIT_BYTES", "8GiB")
        .with("PEARLIFT_SCHEMAS", schemas.path().to_str().unwrap());

    // WHEN they are read
    let (done, peak) = peak_memory(&program, &["run", "product"]);

    // THEN they are there; a page of 25 such texts is the most that memory holds
    assert_eq!(done.code, 0, "{}", done.said());
    assert_eq!(described(lake.path()), ["2300|1000000|1000000"]);
    assert!(peak < 800 << 20, "{} MiB", peak >> 20);

    // AND changes of some are merged with all the others
    sandbox.age(Duration::from_secs(6 * 3600));
    sandbox.edit("product", &sandbox.ids("product")[..5]);
    program.run(&["run", "product"]).expect(0);
    assert_eq!(described(lake.path()), ["2300|1000000|1000000"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_that_all_swell_at_once_share_one_budget() {
    // GIVEN a source of which half of the answers never end, once sixteen are asked at a time
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 4_000, ..Size::default() }).await;
    let path = "order-service/order/".to_owned();
    let faults = Faults { percent: 50, kinds: vec![Fault::Endless], path, ..Faults::default() };
    sandbox.change(|settings| settings.faults = faults);
    let lake = tempfile::tempdir().unwrap();
    let program =
        small(&sandbox, lake.path()).with("PEARLIFT_LIMITS_RETRY_TRIES", "20").with("PEARLIFT_LIMITS_RETRY_FOR", "1h");

    // WHEN orders are read THEN one such answer at a time is read up to its bound, beside the budget of all
    let (done, peak) = peak_memory(&program, &["run", "order"]);
    assert!(sandbox.take_log().faults >= 8);
    assert!(peak < 640 << 20, "{} MiB", peak >> 20);
    // AND in the end every order is there
    assert_eq!(done.code, 0, "{}", done.said());
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order,order_row"]);
}
