//! The query of the tour gives the figures that are printed there.

use pearlift::sandbox::{SandboxSettings, Size};

use crate::business::program;
use crate::support::{query, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_query_of_the_tour_gives_the_figures_that_are_printed_there() {
    // GIVEN the account of a demo on the day that the page names
    let now = Some("2026-11-28T10:00:00Z".parse().unwrap());
    let sandbox = start(SandboxSettings { limit: 0, now, ..SandboxSettings::default() }, Size::default()).await;
    let lake = tempfile::tempdir().unwrap();
    program(&sandbox, &lake).run(&["run", "order", "journal", "channel"]).expect(0);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/demo.md")).unwrap();
    let part = page.split_once("<!-- query -->").unwrap().1.split_once("<!-- /query -->").unwrap().0;
    let block = |language: &str| {
        let start = part.split_once(&format!("```{language}\n")).unwrap().1;
        start.split_once("```").unwrap().0.to_owned()
    };

    // WHEN its query is run
    let found = query(&block("sql").replace("read_parquet('", &format!("read_parquet('{}/", lake.path().display())));

    // THEN it gives these rows, and orders and journals agree
    let stated = block("text");
    let cells =
        |line: &str| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("|");
    let stated: Vec<String> = stated.lines().skip(1).map(cells).collect();
    assert_eq!(found, stated);
    assert!(stated.len() > 4, "{stated:?}");
    for row in &stated {
        let cells: Vec<&str> = row.split('|').collect();
        assert_eq!(cells[2], cells[3], "{row}");
    }
}
