//! A store that takes its time: another while for each thing that is asked of it.

use std::time::Duration;

use pearlift::run::run_in;
use pearlift::sandbox::{SandboxSettings, Size};
use pearlift::store::Store;
use pearlift::verify::{Inquiry, verify};
use serde_json::Value;

use crate::support::{Faults, Program, check_truth, pour, start, this_morning};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_takes_its_time_changes_nothing_but_how_long_it_takes() {
    let tables = "order,order_row,order_party,order_invoice,order_custom_field,brand,customer_payment";
    for seed in 0..2 {
        // GIVEN an account in small pages, and a bucket where each thing takes a while, though locks expire within a second
        let settings = SandboxSettings {
            limit: 0,
            page_cap: 40,
            max_ids: 25,
            now: Some(this_morning()),
            ..SandboxSettings::default()
        };
        let sandbox = start(settings, Size { orders: 150, ..Size::default() }).await;
        let store = Store::memory().with_lock_timing(Duration::from_millis(100), Duration::from_secs(1));
        let faults = Faults::default();
        faults.slow(seed);
        let slow = faults.before(&store);
        let folder = tempfile::tempdir().unwrap();
        let schemas = folder.path().join("schemas");
        std::fs::create_dir(&schemas).unwrap();
        let orders = include_str!("../../schemas/order.toml").replace("max_ids = 200", "max_ids = 25");
        std::fs::write(schemas.join("order.toml"), orders).unwrap();
        let program = Program::new(&sandbox, "unused")
            .with("PEARLIFT_SCHEMAS", schemas.to_str().unwrap())
            .with("PEARLIFT_LIMITS_COMMIT_EVERY", "1ms")
            .with("PEARLIFT_RESOURCE_BRAND_EVERY", "1ms");
        for round in 0..2 {
            // WHEN it is loaded, and brought up to date, by runs that commit after every set
            let outcome = run_in(program.request(&["order", "brand", "customer_payment"]), slow.clone()).await.unwrap();

            // THEN nothing fails, and the tables equal the truth
            assert_eq!(outcome.exit_code(false), 0, "seed {seed}, round {round}: {:?}", outcome.resources);
            let order = outcome.resources.iter().find(|found| found.resource == "order").unwrap();
            assert!(round > 0 || order.tally.commits > 3, "{order:?}");
            let poured = pour(&store).await;
            check_truth(&sandbox, poured.path().to_str().unwrap(), &["--only", tables]);
            sandbox.age(Duration::from_secs(3 * 3600));
            sandbox.insert("order", 30);
            sandbox.edit("order", &sandbox.ids("order")[..20]);
            sandbox.insert("brand", 1);
            sandbox.age(Duration::from_secs(600));
        }
        // AND every byte agrees with the heads, in versions that follow each other, with nothing in staging
        let (request, spool) = (program.request(&[]), tempfile::tempdir().unwrap());
        let inquiry = Inquiry { store: &store, catalog: &request.catalog, names: &[], deep: true, spool: spool.path() };
        let report = verify(inquiry).await.unwrap();
        assert!(report.findings.is_empty(), "seed {seed}: {:?}", report.findings);
        assert_eq!(store.list("_pearlift/staging").await.unwrap(), []);
        let mut parent = Value::Null;
        for (number, (path, _)) in (1..).zip(store.list("_pearlift/manifests/order").await.unwrap()) {
            let version: Value = serde_json::from_slice(&store.get(&path).await.unwrap().unwrap()).unwrap();
            assert_eq!((&version["version"], &version["parent"]), (&Value::from(number), &parent), "{path}");
            parent = version["nonce"].clone();
        }
    }
}
