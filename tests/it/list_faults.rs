//! Answers of lists that are not whole: pages that follow, pages that never advance, stated errors, another shape.

use pearlift::sandbox::{Partial, Wrong};

use crate::pieces::{hasty, rule};
use crate::support::{account, check_truth, peak_memory};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_is_read_on_while_it_states_that_more_pages_follow() {
    // GIVEN lists that come in pages
    for page in [1, 7, 40] {
        let sandbox = account(60).await;
        sandbox.change(|settings| settings.pieces.list_page = page);
        let lake = tempfile::tempdir().unwrap();

        // WHEN they are read THEN they are whole
        hasty(&sandbox, lake.path()).run(&["run", "brand", "channel", "order_status"]).expect(0);
        check_truth(
            &sandbox,
            lake.path().to_str().unwrap(),
            &["--only", "brand,channel,channel_warehouse,order_status"],
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pages_that_never_advance_end_the_scan_with_an_error_and_in_bounded_memory() {
    for (resource, path) in [("contact", "contact-service/contact/"), ("brand", "product-service/brand")] {
        // GIVEN a source that gives the same page for ever and states that more follow
        let sandbox = account(300).await;
        sandbox.change(|settings| settings.pieces.stuck = path.to_owned());
        let lake = tempfile::tempdir().unwrap();

        // WHEN it is read THEN it ends, with a reason
        let done = hasty(&sandbox, lake.path()).run(&["run", resource]).expect(4);
        assert!(done.stderr.contains("contains nothing new"), "{resource}: {}", done.stderr);
        assert!(sandbox.take_log().total() < 12, "{resource}");
    }
    // AND it took no memory to speak of
    let sandbox = account(300).await;
    sandbox.change(|settings| settings.pieces.stuck = "contact-service/contact/".to_owned());
    let lake = tempfile::tempdir().unwrap();
    let (done, bytes) = peak_memory(&hasty(&sandbox, lake.path()), &["run", "contact"]);
    assert!(done.code == 4 && bytes < 300 << 20, "{bytes} bytes: {}", done.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_that_states_errors_or_has_another_shape_loses_nothing() {
    // GIVEN a list that is held, and then comes in part, as null, as a text, or empty, once or for good
    let sandbox = account(60).await;
    let brand = "product-service/brand";
    for (wrong, code) in
        [(Wrong::Partial(Partial { keep: 5, status: 207 }), 3), (Wrong::Null, 4), (Wrong::Shape, 4), (Wrong::Empty, 3)]
    {
        let lake = tempfile::tempdir().unwrap();
        let program = hasty(&sandbox, lake.path());
        program.run(&["run", "brand"]).expect(0);
        for (at, code) in [(vec![1], 0), (vec![], code)] {
            // WHEN it is read again
            sandbox.change(|settings| settings.answers = vec![rule(brand, &at, wrong.clone())]);
            let done = program.run(&["run", "--full", "brand"]);
            assert_eq!(done.code, code, "{wrong:?} {at:?}: {}", done.said());

            // THEN no row has gone, and the next run is well
            sandbox.change(|settings| settings.answers.clear());
            check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "brand"]);
            program.run(&["run", "brand"]).expect(0);
        }
        // AND a first load is whole, or pending, or not stored
        let fresh = tempfile::tempdir().unwrap();
        sandbox.change(|settings| settings.answers = vec![rule(brand, &[1], wrong.clone())]);
        hasty(&sandbox, fresh.path()).run(&["run", "brand"]).expect(0);
        check_truth(&sandbox, fresh.path().to_str().unwrap(), &["--only", "brand"]);
    }
}
