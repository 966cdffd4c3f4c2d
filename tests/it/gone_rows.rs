//! Deleted rows of a search: they leave the table after two narrow searches, and not because one comes empty.

use serde_json::json;

use crate::gone::{absence, answer, length, loaded, orders, rows, text};
use crate::support::check_truth;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deleted_payment_leaves_the_table_after_two_narrow_searches_in_different_runs() {
    // GIVEN three deleted payments of a few days
    let (sandbox, lake, program) = loaded(orders(600), &["customer_payment", "supplier_payment"]).await;
    let all = sandbox.ids("customer_payment");
    sandbox.delete("customer_payment", &all[40..43]);
    let before = rows(&lake, "customer_payment");

    // WHEN rows are compared THEN the missing ones are suspects
    program.run(&["reconcile", "customer_payment"]).expect(0);
    assert_eq!(length(&absence(&lake, "customer_payment")["suspects"]), 3);
    assert_eq!(rows(&lake, "customer_payment"), before);

    // WHEN one comes back and the next night's search lacks the others THEN those are gone
    sandbox.restore("customer_payment", &all[40..41]);
    program.run(&["run", "customer_payment"]).expect(0);
    assert_eq!(length(&absence(&lake, "customer_payment")["suspects"]), 0);
    check_truth(&sandbox, text(&lake), &["--only", "customer_payment"]);
    assert_eq!(rows(&lake, "customer_payment"), before - 2);

    // AND where the stated count is wrong nothing is deleted
    sandbox.delete("supplier_payment", &sandbox.ids("supplier_payment")[3..5]);
    let before = rows(&lake, "supplier_payment");
    for _ in 0..2 {
        let done = program.run(&["reconcile", "supplier_payment"]).expect(0);
        assert!(done.stderr.contains("does not agree with the count"), "{}", done.stderr);
        program.run(&["run", "supplier_payment"]).expect(0);
    }
    assert_eq!(rows(&lake, "supplier_payment"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_search_that_comes_empty_once_deletes_no_payment() {
    // GIVEN a search that shows half of the payments, once whole and once narrow, in each of two runs
    let (sandbox, lake, program) = loaded(orders(600), &["customer_payment"]).await;
    let before = rows(&lake, "customer_payment");
    for at in [1, 2] {
        let rule = json!({"method": "GET", "path": "customer-payment-search", "at": [at], "then": "none"});
        answer(&sandbox, json!([rule]));
        program.run(&["reconcile", "customer_payment"]);
    }
    answer(&sandbox, json!([]));

    // WHEN the source is well THEN nothing is gone
    program.run(&["run", "customer_payment"]).expect(0);
    assert_eq!(rows(&lake, "customer_payment"), before);
    assert_eq!(length(&absence(&lake, "customer_payment")["suspects"]), 0);
}
