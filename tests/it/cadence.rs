//! The steps that are due at a time: the edges of cadences, to the second.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pearlift::manifest::{Cursor, Scan, ScanKind, State, Version};
use pearlift::plan::{ResourceOptions, StepKind, plan};
use pearlift::schema::{Catalog, Resource};

use crate::commit::child;

const HOUR: Duration = Duration::from_secs(3600);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn options(now: &str) -> ResourceOptions {
    let now = at(now);
    ResourceOptions {
        full: false,
        start: None,
        every: None,
        reload_every: None,
        reconcile_every: None,
        open_every: None,
        reread_requests: 0,
        now,
        source_now: None,
        overlap: HOUR * 2,
    }
}

/// A head of which everything was read at this time.
fn read_at(resource: &Resource, read: Timestamp) -> Version {
    let state = State {
        watermark: resource.has_dates().then_some(read),
        completed_at: Some(read),
        reloaded_at: Some(read),
        reconciled_at: Some(read),
        ..State::default()
    };
    Version { resource: resource.name.clone(), schema_hash: resource.hash.clone(), state, ..child(None) }
}

/// The words of the steps, first those of the scans, then the later ones.
fn steps(resource: &Resource, head: Option<&Version>, options: ResourceOptions) -> Vec<&'static str> {
    let job = plan(resource, head, options);
    assert_eq!(job.idle.is_some(), job.steps.is_empty(), "{job:?}");
    job.steps.iter().chain(&job.later).map(|step| step.kind.name()).collect()
}

#[test]
fn a_cadence_has_passed_when_nine_tenths_of_it_have_and_when_the_last_time_is_ahead_by_more_than_the_overlap() {
    let catalog = Catalog::load(None).unwrap();
    let (brand, order) = (catalog.get("brand").unwrap(), catalog.get("order").unwrap());
    let now = "2026-06-03T04:00:00Z";
    for (age, due) in [
        (53 * 60 + 59, false),
        (54 * 60, true),
        (60 * 60, true),
        (0, false),
        (-1, false),
        (-7_200, false),
        (-7_201, true),
        (-86_400, true),
    ] {
        // GIVEN a scan or comparison so many seconds ago by the source's clock, due every hour
        let read = at(now) - SignedDuration::from_secs(age);
        let list = ResourceOptions { every: Some(HOUR), ..options(now) };
        let compared = ResourceOptions { every: Some(HOUR * 1_000_000), reconcile_every: Some(HOUR), ..options(now) };
        let whole = ResourceOptions { reload_every: Some(HOUR), ..options(now) };
        // WHEN it is planned THEN it is due from nine tenths on
        assert_eq!(steps(brand, Some(&read_at(brand, read)), list) == ["full"], due, "{age}");
        assert_eq!(steps(order, Some(&read_at(order, read)), compared).contains(&"reconcile"), due, "{age}");
        let wanted: &[&str] = if due { &["changes", "full"] } else { &["changes"] };
        assert_eq!(steps(order, Some(&read_at(order, read)), whole), wanted, "{age}");
    }
}

#[test]
fn a_snapshot_is_due_with_the_day_and_once_a_day() {
    let catalog = Catalog::load(None).unwrap();
    let stock = catalog.get("product_availability").unwrap();
    for (read, now, due) in [
        ("2026-06-02T23:59:59Z", "2026-06-03T00:00:00Z", true),
        ("2026-06-03T00:00:00Z", "2026-06-03T23:59:59Z", false),
        ("2026-06-03T00:00:00Z", "2026-06-04T00:00:00Z", true),
        // The source's clock is ahead of ours: it has that day.
        ("2026-06-04T00:10:00Z", "2026-06-03T23:50:00Z", false),
    ] {
        let wanted: &[&str] = if due { &["full"] } else { &[] };
        assert_eq!(steps(stock, Some(&read_at(stock, at(read))), options(now)), wanted, "{read} {now}");
    }
}

#[test]
fn a_scan_is_gone_on_with_under_its_schema_alone_and_a_snapshot_never() {
    let catalog = Catalog::load(None).unwrap();
    let now = "2026-06-03T04:00:00Z";
    let unfinished = |resource: &Resource, hash: &str| {
        let mut head = read_at(resource, at(now));
        let (id, cursor) = ("0".repeat(32), Cursor::Rows { last: 0, next: 1 });
        let (kind, started_at) = (ScanKind::Full, at(now));
        (head.state.completed_at, head.state.watermark) = (None, None);
        head.state.scan = Some(Scan { id, kind, started_at, schema_hash: hash.to_owned(), cursor });
        let job = plan(resource, Some(&head), options(now));
        let kinds: Vec<StepKind> = job.steps.iter().map(|step| step.kind).collect();
        (job.steps[0].resume.is_some(), kinds.len())
    };
    let (order, stock) = (catalog.get("order").unwrap(), catalog.get("product_availability").unwrap());
    // GIVEN an unfinished first load WHEN the next run is planned THEN it resumes, and asks for changes behind it
    assert_eq!(unfinished(order, &order.hash), (true, 2));
    // GIVEN one of another schema, or of another day's snapshot THEN it begins anew
    assert_eq!(unfinished(order, "another"), (false, 1));
    assert_eq!(unfinished(stock, &stock.hash), (false, 1));
    // GIVEN nothing, or a load that has no watermark THEN everything is read
    assert_eq!(steps(order, None, options(now)), ["full"]);
    let mut bare = read_at(order, at(now));
    bare.state.watermark = None;
    assert_eq!(steps(order, Some(&bare), ResourceOptions { every: Some(HOUR * 1_000), ..options(now) }), ["full"]);
}

#[test]
fn what_is_owed_is_read_though_its_list_is_not_due() {
    let catalog = Catalog::load(None).unwrap();
    let brand = catalog.get("brand").unwrap();
    let now = "2026-06-03T04:00:00Z";
    let mut head = read_at(brand, at(now));
    let calm = ResourceOptions { every: Some(HOUR), ..options(now) };
    assert_eq!(steps(brand, Some(&head), calm), Vec::<&str>::new());
    head.state.pending =
        serde_json::from_str(r#"[{"id": 7, "reason": "does not fit", "since": "2026-06-01T00:00:00Z"}]"#).unwrap();
    assert_eq!(steps(brand, Some(&head), calm), ["full"]);
}
