//! The cost of listed ids that are not returned, and rows of a list that is read by a search.

use std::time::Duration;

use pearlift::sandbox::{AnswerRule, Claim, SandboxSettings, Size, Wrong};

use crate::support::{Program, account, check_truth, query, start, this_morning};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_listed_ids_that_are_not_returned_twenty_at_most_are_asked_for_alone() {
    // GIVEN a source that lists thirty orders and does not return them
    let sandbox = account(150).await;
    let never: Vec<i64> = sandbox.ids("order").into_iter().step_by(5).take(30).collect();
    assert_eq!(never.len(), 30);
    sandbox.change(|settings| settings.never_returned = never);
    let lake = tempfile::tempdir().unwrap();

    // WHEN they are loaded THEN they are asked for in their set, in a set with a witness, and twenty of them alone
    let done = Program::new(&sandbox, lake.path()).run(&["run", "order"]).expect(3);
    assert_eq!(sandbox.take_log().requests["GET order-service/order"], 1 + 1 + 20, "{}", done.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_read_by_a_search_that_lacks_records_once_loses_none() {
    // GIVEN currencies, of which a later answer shows all but two, and claims no more; the limit would permit it
    let settings = SandboxSettings { limit: 0, now: Some(this_morning() - 5 * DAY), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 20, ..Size::default() }).await;
    sandbox.insert("currency", 20);
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_LIMITS_COMPARE_COUNTS", "false");
    program.run(&["run", "currency"]).expect(0);
    let held = || {
        let glob = format!("{}/currency/*.parquet", lake.path().display());
        query(&format!("SELECT count(*) FROM read_parquet('{glob}')"))[0].parse::<usize>().unwrap()
    };
    let (there, left) = (held(), held() - 2);
    let short = |at: &[u64]| {
        let search = |then: Wrong| AnswerRule {
            method: "GET".to_owned(),
            path: "currency-search".to_owned(),
            at: at.to_vec(),
            then,
        };
        let available = Some(u64::try_from(left).unwrap());
        vec![search(Wrong::Keep(left)), search(Wrong::Claim(Claim { available, more: Some(false), last: available }))]
    };
    sandbox.change(|settings| settings.answers = short(&[1]));
    sandbox.age(DAY);
    sandbox.take_log();

    // WHEN it is read THEN it is read again, and nothing goes
    program.run(&["run", "currency"]).expect(0);
    let asked = sandbox.take_log();
    assert_eq!((asked.wrong.len(), asked.total()), (1, 2), "{asked:?}");
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "currency"]);

    // WHEN every answer lacks them THEN they are gone
    sandbox.change(|settings| settings.answers = short(&[]));
    sandbox.age(DAY);
    program.run(&["run", "currency"]).expect(0);
    assert_eq!(held(), left);

    // WHEN half is gone THEN that is refused on the first day, and accepted on the second
    let (most, left) = (there, 1);
    assert!(most - left > 3);
    sandbox.change(|settings| {
        for rule in &mut settings.answers {
            match &mut rule.then {
                Wrong::Keep(kept) => *kept = left,
                Wrong::Claim(claim) => (claim.available, claim.last) = (Some(1), Some(1)),
                other => unreachable!("{other:?}"),
            }
        }
    });
    sandbox.age(DAY);
    let done = program.run(&["run", "currency"]).expect(3);
    assert!(done.stderr.contains("records would go"), "{}", done.said());
    assert_eq!(held(), there - 2);
    sandbox.age(DAY);
    program.run(&["run", "currency"]).expect(0);
    assert_eq!(held(), left);
}
