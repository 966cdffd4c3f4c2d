//! Resources that show records of others a second time, which are read only where they are named: they follow each change, and so
//! do values that the source sets after a record's creation.

use std::path::Path;
use std::time::Duration;

use pearlift::sandbox::{Sandbox, Verb};

use crate::support::{Program, account, check_truth, head};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The second view, its tables, and the resource that has its records.
const VIEWS: [(&str, &str, &str); 3] = [
    ("contact_search", "contact_search", "contact"),
    ("journal_row", "journal_row", "journal"),
    ("sales_order", "sales_order,sales_order_row", "order"),
];

fn check(sandbox: &Sandbox, lake: &Path) {
    for (_, tables, _) in VIEWS {
        check_truth(sandbox, lake.to_str().unwrap(), &["--only", tables]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn second_views_of_records_follow_their_changes_and_deletions() {
    // GIVEN an account with exported second views
    let sandbox = account(300).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    let names = VIEWS.map(|(name, ..)| name);
    let run = || program.run(&[&["run"][..], &names].concat()).expect(0);
    run();
    check(&sandbox, lake.path());

    // WHEN the records that they show come and change THEN the next night has it
    for (_, _, shown) in VIEWS {
        sandbox.insert(shown, 5);
        if shown != "journal" {
            sandbox.edit(shown, &sandbox.eligible(Verb::Edit, shown)[20..25]);
        }
    }
    sandbox.age(DAY);
    run();
    check(&sandbox, lake.path());

    // WHEN some of these change without a date THEN the whole read of the month has it
    for (_, _, shown) in VIEWS {
        sandbox.touch(shown, &sandbox.eligible(Verb::Touch, shown)[..9]);
    }
    sandbox.age(31 * DAY);
    run();
    check(&sandbox, lake.path());

    // WHEN some go THEN the next nights take them out
    for (_, _, shown) in VIEWS {
        sandbox.delete(shown, &sandbox.eligible(Verb::Delete, shown)[40..42]);
    }
    for _ in 0..3 {
        sandbox.age(DAY);
        run();
    }
    check(&sandbox, lake.path());

    // WHEN nothing happens THEN a night changes nothing
    sandbox.age(DAY);
    let versions = names.map(|name| head(lake.path(), name)["tables"].clone());
    run();
    check(&sandbox, lake.path());
    assert_eq!(names.map(|name| head(lake.path(), name)["tables"].clone()), versions);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn second_views_are_read_only_where_they_are_named() {
    // GIVEN an account WHEN everything is read that is read by default
    let sandbox = account(20).await;
    let lake = tempfile::tempdir().unwrap();
    Program::new(&sandbox, lake.path()).run(&["run"]).expect(0);

    // THEN a view that is off by default has no table, the others have one
    for (name, ..) in VIEWS {
        assert!(!lake.path().join(name).exists(), "{name}");
    }
    for name in ["purchase_order_landed_cost", "webhook"] {
        assert!(!lake.path().join(name).exists(), "{name}");
    }
    for name in ["account_configuration", "channel_brand", "project", "company", "order_note"] {
        assert!(lake.path().join(name).exists(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_payment_that_changes_after_its_creation_arrives_within_a_month() {
    // GIVEN exported payments, of which some get another value without a date, as a journal is set
    let payments = ["customer_payment", "supplier_payment"];
    let sandbox = account(200).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    let run = || program.run(&[&["run"][..], &payments].concat()).expect(0);
    run();
    for name in payments {
        sandbox.touch(name, &sandbox.ids(name)[..5]);
    }

    // WHEN a night goes by THEN nothing has shown it
    sandbox.age(DAY);
    run();
    let only = &["--only", &payments.join(",")];
    assert!(crate::support::compare_with_truth(&sandbox, lake.path().to_str().unwrap(), only).is_err());

    // WHEN a month goes by THEN the values are there
    sandbox.age(30 * DAY);
    run();
    check_truth(&sandbox, lake.path().to_str().unwrap(), only);
}
