//! Filters that a search is always asked with: they find the records of a resource among those of others, and are checked in each
//! row where the search shows their column.

use std::time::Duration;

use pearlift::sandbox::{Ignored, Sandbox, SandboxSettings, Size};
use pearlift::schema::Catalog;

use crate::support::{Program, check_truth, this_morning};

const CREDITS: &str = include_str!("../../schemas/sales_credit.toml");
const TABLES: &str = "sales_credit,sales_credit_row";

async fn account() -> Sandbox {
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    crate::support::start(settings, Size { orders: 400, ..Size::default() }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_search_of_all_orders_finds_the_sales_credits_alone() {
    // GIVEN sales credits, loaded
    let sandbox = account().await;
    let credits = sandbox.ids("sales_credit");
    assert!(credits.len() > 5 && credits.len() < 200, "{}", credits.len());
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    let text = lake.path().to_str().unwrap();
    program.run(&["run", "sales_credit"]).expect(0);
    check_truth(&sandbox, text, &["--only", TABLES]);

    // WHEN orders of every type come and change
    sandbox.age(Duration::from_secs(24 * 3600));
    let new = sandbox.insert("order", 60);
    let old: Vec<i64> = sandbox.ids("order").into_iter().step_by(4).collect();
    sandbox.edit("order", &old);
    let changed = sandbox.ids("sales_credit").into_iter().filter(|id| new.contains(id) || old.contains(id)).count();
    assert!(changed > 3, "{changed}");
    sandbox.take_log();
    program.run(&["run", "sales_credit"]).expect(0);

    // THEN a night asks for the credits among them, and no other order
    let log = sandbox.take_log();
    assert_eq!(log.ids.values().sum::<u64>(), u64::try_from(changed).unwrap(), "{:?}", log.ids);
    assert_eq!(log.of("OPTIONS"), 0, "{:?}", log.requests);
    check_truth(&sandbox, text, &["--only", TABLES]);

    // AND the columns of filters are looked for in the search
    program.run(&["check"]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_search_that_ignores_a_filter_is_not_believed() {
    // GIVEN sales credits, loaded, and a source that ignores the filter by which they are found
    let sandbox = account().await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "sales_credit"]).expect(0);
    sandbox.insert("order", 60);
    sandbox.change(|settings| {
        settings.ignored = vec![Ignored { search: "order-search".to_owned(), filter: "orderTypeId".to_owned() }];
    });

    // WHEN a night goes by THEN it fails and names the filter
    let done = program.run(&["run", "sales_credit"]);
    assert_ne!(done.code, 0);
    assert!(done.said().contains("ignores the filter on `orderTypeId`: a row has "), "{}", done.said());

    // WHEN the column is stated not to be shown THEN rows are not checked, and the ids of others have no document
    let schemas = tempfile::tempdir().unwrap();
    let hidden = CREDITS.replace("is = 3 }", "is = 3, shown = false }");
    assert_ne!(hidden, CREDITS);
    std::fs::write(schemas.path().join("sales_credit.toml"), hidden).unwrap();
    let program = program.with("PEARLIFT_SCHEMAS", schemas.path().to_str().unwrap());
    program.run(&["run", "sales_credit"]);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", TABLES]);
}

#[test]
fn a_filter_that_a_search_cannot_have_is_refused_with_its_line() {
    let filters = "filters = [{ column = \"orderTypeId\", is = 3 }]";
    for (from, to, why, line) in [
        (filters, "filters = [{ column = \"orderTypeId\", is = 3.5 }]", "`is` is a whole number", "filters"),
        (filters, "filters = [{ column = \"orderTypeId\", is = \"a b\" }]", "`is` is a whole number", "filters"),
        (filters, "filters = [{ column = \"order?\", is = 3 }]", "a column has letters", "filters"),
        (filters, "filters = [{ column = \"updatedOn\", is = 3 }]", "filtered by it twice", "filters"),
        (
            filters,
            "filters = [{ column = \"orderTypeId\", is = 3 }, { column = \"orderTypeId\", is = 4 }]",
            "filtered by it twice",
            "filters",
        ),
        (
            "inventory = { options = \"sales-credit\" }",
            "inventory = { options = \"sales-credit\", filters = [{ column = \"a\", is = 1 }] }",
            "`inventory.filters` goes with a search",
            "inventory",
        ),
        ("key = \"id\"", "key = \"id\"\nfilters = [{ column = \"a\", is = 1 }]", "`filters` does not go", "filters"),
    ] {
        assert!(CREDITS.contains(from), "{from}");
        let text = CREDITS.replacen(from, to, 1);
        let texts = [("sales_credit".to_owned(), text.clone())];
        let refused = Catalog::from_texts(&texts).unwrap_err().to_string();
        let at = text.lines().position(|found| found.starts_with(line)).unwrap() + 1;
        assert!(refused.contains(why) && refused.contains(&format!("sales_credit.toml, line {at}")), "{to}: {refused}");
    }
    let unknown = CREDITS.replacen("is = 3 }", "is = 3, show = false }", 1);
    assert!(Catalog::from_texts(&[("sales_credit".to_owned(), unknown)]).is_err());
}
