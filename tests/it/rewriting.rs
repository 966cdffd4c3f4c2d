//! The cost of a commit follows the changes: the files that are read, written, and left as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parquet::basic::Encoding;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use pearlift::manifest::{DataFile, OpenRecords};
use pearlift::run::{Outcome, run_in};
use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use pearlift::store::Store;
use pearlift::write::held_open;

use crate::support::{
    Faults, Program, account, check_truth, files, findings, head, is_history, query, start, this_morning,
};

const DAY: Duration = Duration::from_secs(86_400);

fn tables(lake: &Path, table: &str) -> Vec<PathBuf> {
    let mut found = files(&lake.join(table));
    found.retain(|path| path.extension().is_some_and(|end| end == "parquet") && !is_history(path));
    found
}

/// How many files each folder of tables has.
fn by_folder(lake: &Path) -> BTreeMap<PathBuf, usize> {
    let mut counts = BTreeMap::new();
    for file in tables(lake, "") {
        *counts.entry(file.parent().unwrap().strip_prefix(lake).unwrap().to_owned()).or_default() += 1;
    }
    counts
}

fn footer(bytes: &[u8]) -> ParquetMetaData {
    let bytes = bytes::Bytes::copy_from_slice(bytes);
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
    reader.parse_and_finish(&bytes).unwrap()
}

/// The bytes of each row group, and whether its columns have encodings that not every engine reads.
fn groups(bytes: &[u8]) -> Vec<(Vec<u8>, bool)> {
    let groups = footer(bytes);
    let group = |group: &parquet::file::metadata::RowGroupMetaData| {
        let ranges = group.columns().iter().map(parquet::file::metadata::ColumnChunkMetaData::byte_range);
        let own = ranges.flat_map(|(start, length)| {
            bytes[usize::try_from(start).unwrap()..usize::try_from(start + length).unwrap()].to_vec()
        });
        let mut encodings = group.columns().iter().flat_map(|column| column.encodings());
        (own.collect(), encodings.any(|encoding| encoding == Encoding::DELTA_BINARY_PACKED))
    };
    groups.row_groups().iter().map(group).collect()
}

/// 6,000 contacts in one file a table, of row groups of at most 1,024 rows.
async fn contacts(encodings: &str) -> (Sandbox, tempfile::TempDir, Program) {
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 10, ..Size::default() }.with("contact", 6_000)).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).by_month().with("PEARLIFT_LIMITS_ROW_GROUP_ROWS", "1024");
    program.clone().with("PEARLIFT_LIMITS_ENCODINGS", encodings).run(&["run", "contact"]).expect(0);
    (sandbox, lake, program)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn row_groups_without_a_change_go_over_as_bytes() {
    // GIVEN a file of several row groups
    let (sandbox, lake, program) = contacts("common").await;
    let old = groups(&std::fs::read(&tables(lake.path(), "contact")[0]).unwrap());
    assert!(old.len() > 4 && old.iter().all(|(_, delta)| !delta), "{}", old.len());

    // WHEN one record in its middle is changed, and rows are encoded otherwise from now on
    let id = sandbox.ids("contact")[3_000];
    sandbox.edit("contact", &[id]);
    program.clone().with("PEARLIFT_LIMITS_ENCODINGS", "compact").run(&["run", "contact"]).expect(0);

    // THEN one row group was encoded, and the others are byte by byte as they were
    let new = groups(&std::fs::read(&tables(lake.path(), "contact")[0]).unwrap());
    assert_eq!(new.len(), old.len());
    assert_eq!(new.iter().filter(|(_, delta)| *delta).count(), 1);
    let other = old.iter().zip(&new).filter(|(old, new)| old != new).count();
    assert_eq!(other, 1);
    // AND the file is whole: rows, statistics, and the index of pages
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "contact"]);
    assert!(findings(&program, &["--deep"], 0).is_empty());
    let glob = format!("{}/contact/*.parquet", lake.path().display());
    for id in sandbox.ids("contact").into_iter().step_by(700) {
        assert_eq!(query(&format!("SELECT count(*) FROM read_parquet('{glob}') WHERE id = {id}")), ["1"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn row_groups_in_encodings_that_are_no_longer_allowed_are_written_anew_with_their_file() {
    // GIVEN a file of compact encodings
    let (sandbox, lake, program) = contacts("compact").await;
    assert!(groups(&std::fs::read(&tables(lake.path(), "contact")[0]).unwrap()).iter().all(|(_, delta)| *delta));

    // WHEN a record of it is changed after the setting was
    sandbox.edit("contact", &sandbox.ids("contact")[..1]);
    program.run(&["run", "contact"]).expect(0);

    // THEN none of it is left in the file
    assert!(groups(&std::fs::read(&tables(lake.path(), "contact")[0]).unwrap()).iter().all(|(_, delta)| !delta));
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "contact"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_added_and_gone_at_the_ends_of_row_groups_are_in_their_place() {
    // GIVEN row groups, and the records at their ends
    let (sandbox, lake, program) = contacts("common").await;
    let bytes = std::fs::read(&tables(lake.path(), "contact")[0]).unwrap();
    let ids = sandbox.ids("contact");
    let mut ends = Vec::new();
    for group in footer(&bytes).row_groups() {
        ends.push(ends.last().copied().unwrap_or(0) + usize::try_from(group.num_rows()).unwrap());
    }
    // WHEN records at one end are gone, at another changed, and at a third one added that was deleted before
    let restored = [ids[ends[2]], ids[ends[3] - 1]];
    sandbox.delete("contact", &[&restored[..], &[ids[ends[0]], ids[ends[1] - 1]]].concat());
    program.run(&["reconcile", "contact"]).expect(0);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "contact"]);
    sandbox.restore("contact", &restored);
    sandbox.edit("contact", &[ids[ends[0] - 1], ids[ends[1]], ids[0], ids[ids.len() - 1], restored[0], restored[1]]);
    program.run(&["run", "contact"]).expect(0);
    // THEN the tables are true and sorted
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "contact"]);
    assert!(findings(&program, &["--deep"], 0).is_empty());
}

/// The cost of a night to a bucket: the bytes of data files that were read.
async fn night(program: &Program, store: &Store, names: &[&str]) -> (Outcome, Vec<(String, u64)>) {
    let faults = Faults::default();
    let outcome = run_in(program.request(names), faults.before(store)).await.unwrap();
    assert_eq!(outcome.exit_code(false), 0);
    let read = faults.read().into_iter().filter(|(path, _)| path.ends_with(".parquet")).collect();
    (outcome, read)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn open_orders_read_again_without_a_change_read_each_file_once_and_write_nothing() {
    // GIVEN orders in a bucket, some of them open
    let sandbox = account(2_000).await;
    let store = Store::memory();
    let program = Program::new(&sandbox, Path::new("unused")).by_month();
    night(&program, &store, &["order"]).await;
    let live = store.list("order").await.unwrap();
    let mut bytes: u64 = live.iter().map(|(_, bytes)| bytes).sum();
    for table in ["order_row", "order_party", "order_invoice", "order_custom_field"] {
        bytes += store.list(table).await.unwrap().iter().map(|(_, bytes)| bytes).sum::<u64>();
    }

    // WHEN they are read again a day later
    sandbox.age(DAY);
    sandbox.take_log();
    let (outcome, read) = night(&program, &store, &["order"]).await;

    // THEN rows arrived, nothing was written, and the bytes read are less than one and a half times the existing ones
    let tally = &outcome.resources[0].tally;
    assert!(tally.records > 20, "{tally:?}");
    assert_eq!((tally.files, tally.changes.total()), (0, 0));
    assert_eq!(store.list("order").await.unwrap(), live);
    let fetched: u64 = read.iter().map(|(_, bytes)| bytes).sum();
    assert!(fetched < bytes + bytes / 2, "{fetched} of {bytes} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn payments_and_products_that_come_every_night_do_not_add_a_file_each_night() {
    // GIVEN payments by month, and products
    let sandbox = account(400).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).by_month();
    let names = ["run", "customer_payment", "supplier_payment", "product", "goods_movement"];
    program.run(&names).expect(0);
    let before = by_folder(lake.path());

    // WHEN a few of each come every night, and the last ones are read again
    for _ in 0..6 {
        sandbox.age(DAY);
        for kind in ["customer_payment", "supplier_payment", "product", "goods_movement"] {
            sandbox.insert(kind, 3);
        }
        program.run(&names).expect(0);
    }

    // THEN each folder has the files that it had, and a new month has one
    for (folder, count) in by_folder(lake.path()) {
        assert_eq!(count, before.get(&folder).copied().unwrap_or(1), "{}", folder.display());
    }
    check_truth(
        &sandbox,
        lake.path().to_str().unwrap(),
        &["--only", "customer_payment,supplier_payment,product,goods_movement"],
    );
    assert!(findings(&program, &["--deep"], 0).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_of_deleted_records_gather_in_one_file_a_table() {
    // GIVEN orders of which some are deleted every week
    let sandbox = account(400).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).by_month();
    program.run(&["run", "order"]).expect(0);
    let ids = sandbox.ids("order");
    let weeks: Vec<Vec<i64>> = (0..4).map(|week| ids.iter().skip(week * 7).step_by(60).copied().collect()).collect();

    // WHEN the ids are compared each time
    for gone in &weeks {
        sandbox.delete("order", gone);
        program.run(&["reconcile", "order"]).expect(0);
        sandbox.age(Duration::from_secs(7 * 24 * 3600));
    }

    // THEN each table has one file of deleted rows, sorted and whole
    let deleted = lake.path().join("_pearlift/deleted");
    let all: usize = weeks.iter().map(Vec::len).sum();
    for (folder, count) in by_folder(&deleted) {
        assert_eq!(count, 1, "{}", folder.display());
    }
    let glob = format!("{}/order/*.parquet", deleted.display());
    assert_eq!(
        query(&format!("SELECT count(*), count(DISTINCT id), count(DISTINCT _deleted_at) FROM read_parquet('{glob}')")),
        [format!("{all}|{all}|4")]
    );
    assert!(findings(&program, &["--deep"], 0).is_empty());
    assert_eq!(head(lake.path(), "order")["deleted"].as_array().unwrap().len(), by_folder(&deleted).len());

    // AND a record that appears again leaves it, while another one comes
    sandbox.restore("order", &weeks[0][..1]);
    sandbox.edit("order", &weeks[0][..1]);
    sandbox.delete("order", &ids[3..4]);
    program.run(&["reconcile", "order"]).expect(0);
    program.run(&["run", "order"]).expect(0);
    assert_eq!(
        query(&format!("SELECT count(*), count(DISTINCT id) FROM read_parquet('{glob}')")),
        [format!("{all}|{all}")]
    );
    assert!(findings(&program, &["--deep"], 0).is_empty());
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn open_records_are_known_without_reading_every_month() {
    // GIVEN notes of three years in a bucket, some of them open, and a night in which one was edited
    let sandbox = account(600).await;
    let store = Store::memory();
    let program = Program::new(&sandbox, Path::new("unused")).by_month().with("PEARLIFT_LIMITS_ROW_GROUP_ROWS", "1024");
    night(&program, &store, &["goods_out_note"]).await;
    let head = || async { pearlift::manifest::head(&store, "goods_out_note").await.unwrap().unwrap() };
    let listed = |head: &pearlift::manifest::Version| -> Vec<i64> {
        let files = head.tables["goods_out_note"].files.iter();
        files.flat_map(|file| file.open.clone().expect("they are few").ids).collect()
    };
    let open = listed(&head().await);
    assert!(open.len() > 20, "{open:?}");

    // WHEN they are looked up THEN no file is read
    let resource = program.request(&[]).catalog.get("goods_out_note").unwrap().clone();
    let faults = Faults::default();
    let files = head().await.tables["goods_out_note"].files.clone();
    let found = held_open(&faults.before(&store), &files, "id", resource.open().unwrap()).await.unwrap();
    assert_eq!((&found, faults.read().len()), (&open, 0));
    // AND where the manifest does not list them for this condition, the files have the same
    let other = |file: DataFile| DataFile {
        open: file.open.map(|open| OpenRecords { condition: String::new(), ..open }),
        ..file
    };
    let files: Vec<DataFile> = files.into_iter().map(other).collect();
    assert_eq!(held_open(&faults.before(&store), &files, "id", resource.open().unwrap()).await.unwrap(), open);
    assert!(faults.read().len() >= files.len());

    // AND one that is deleted is found missing all the same
    sandbox.delete("goods_out_note", &open[..1]);
    night(&program, &store, &["goods_out_note"]).await;
    assert_eq!(listed(&head().await), open[1..]);
    let folder = crate::support::pour(&store).await;
    check_truth(&sandbox, folder.path().to_str().unwrap(), &["--only", "goods_out_note"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_first_load_in_many_commits_writes_each_row_once() {
    // GIVEN contacts in a table without partitions, read by many requests at once
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 10, ..Size::default() }.with("contact", 8_000)).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path())
        .by_month()
        .with("PEARLIFT_LIMITS_COMMIT_EVERY", "1ms")
        // Nothing is small beside this: no file is joined with a following one.
        .with("PEARLIFT_LIMITS_FILE_BYTES", "16KiB");

    // WHEN they are loaded, and committed on the way
    let done = program.run(&["run", "--log-format", "json", "contact"]).expect(0);

    // THEN no file was written that is not there
    let report: serde_json::Value = serde_json::from_str(done.stderr.lines().last().unwrap()).unwrap();
    let of = |name: &str| report["resources"][0][name].as_u64().unwrap();
    let live: u64 = tables(lake.path(), "").iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(of("commits") > 2, "{report}");
    assert_eq!(of("bytes_written"), live);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "contact"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_seven_nights_add_at_most_forty_data_files() {
    // GIVEN an account, all but its snapshots
    let sandbox = account(150).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).by_month();
    let catalog = program.request(&[]).catalog;
    let names: Vec<&str> = catalog
        .resources()
        .iter()
        .filter(|resource| !resource.is_snapshot())
        .map(|resource| resource.name.as_str())
        .collect();
    let run = || program.run(&[&["run"], names.as_slice()].concat()).expect(0);
    run();
    let before = tables(lake.path(), "").len();

    // WHEN 27 nights go by, in each of which some records come, some change, and once a week some are gone
    let coming = [
        "order",
        "goods_out_note",
        "journal",
        "product",
        "contact",
        "customer_payment",
        "supplier_payment",
        "goods_movement",
    ];
    for night in 0..27 {
        sandbox.age(DAY);
        for kind in coming {
            sandbox.insert(kind, 2);
        }
        // The others have no date of a change.
        for kind in ["order", "product", "contact", "goods_movement"] {
            let known = sandbox.ids(kind);
            sandbox.edit(kind, &known[known.len() - 4..known.len() - 2]);
        }
        run();
        if night % 7 == 6 {
            sandbox.delete("order", &sandbox.ids("order")[night..night + 2]);
            program.run(&["reconcile", "order"]).expect(0);
        }
    }

    // THEN a new month has a file of each table, deleted rows one of each, and that is all
    let after = tables(lake.path(), "").len();
    assert!(after <= before + 40, "{before} files became {after}");
    assert!(findings(&program, &["--deep"], 0).is_empty());
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order,journal,customer_payment,product,contact"]);
}
