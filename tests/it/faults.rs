//! A source in trouble: what goes wrong on the way is asked for again, and nothing is lost or believed.

use pearlift::sandbox::{Fault, Faults};

use crate::support::{Program, account, check_truth};

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
    let sandbox = account(300).await;
    for fault in Fault::ALL {
        sandbox.change(|settings| settings.faults = Faults { percent: 30, kinds: vec![fault], ..Faults::default() });
        let lake = tempfile::tempdir().unwrap();

        // WHEN orders are read THEN they equal the truth
        let done = patient(Program::new(&sandbox, lake.path())).run(&["run", "order", "brand", "customer_payment"]);
        assert_eq!(done.code, 0, "{fault:?}: {}", done.said());
        check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order,order_row,brand,customer_payment"]);
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

    // WHEN it runs THEN orders fail, with what was seen, and the rest is complete
    let done = program.run(&["run"]).expect(3);
    assert!(done.stderr.contains("order: could not read order"), "{}", done.stderr);
    assert!(done.stderr.contains("CMNU-003"), "{}", done.stderr);
    assert_eq!(done.stderr.matches("FAILED").count(), 1, "{}", done.stderr);

    // WHEN the source is well again THEN the next run mends it
    sandbox.change(|settings| settings.faults = Faults::default());
    program.run(&["run"]).expect(0);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &[]);
}
