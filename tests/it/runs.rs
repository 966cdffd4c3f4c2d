//! The spool between pages and files: rows beyond its memory are in sorted runs on disk.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use jiff::Timestamp;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pearlift::config::{Destination, Encodings};
use pearlift::decode::{Shape, documents};
use pearlift::fetch::Body;
use pearlift::schema::Catalog;
use pearlift::store::Store;
use pearlift::write::{RecordSet, Replace, Sizes, Spool, WriteRequest, write_tables};
use serde_json::json;

const THINGS: &str = r#"
about = "things with parts"
[read]
style = "list"
service = "test-service"
get = "thing"
key = "id"
newer = ["version"]

[tables.thing]
key = ["id"]
columns = [
  { name = "id",      from = "id",      type = "int64", required = true },
  { name = "version", from = "version", type = "int64" },
]

[tables.part]
rows = "parts.*"
key = ["thing_id", "id"]
columns = [
  { name = "thing_id", from = "$.id", type = "int64", required = true },
  { name = "id",       from = "id",   type = "int64", required = true },
]
"#;

#[test]
fn runs_of_a_spool_are_merged_on_the_way_and_every_row_that_counts_stays() {
    // GIVEN a spool without memory, to which 150 pages come, in each a new record, a newer copy, and one that is older
    let folder = tempfile::tempdir().unwrap();
    let resource = Catalog::from_texts(&[("thing".to_owned(), THINGS.to_owned())]).unwrap().resources()[0].clone();
    let shape = Shape::compile(&resource).unwrap();
    let mut spool = Spool::new(&resource, &folder.path().join("spool"), 0).unwrap();
    let thing = |id: i64, version: i64| json!({"id": id, "version": version, "parts": [{"id": 1}, {"id": 2}]});
    for page in 0..150 {
        let things = [thing(1_000 - page, 1), thing(2_000, page), thing(3_000, 500 - page)];
        let body = Body { bytes: json!({"response": things}).to_string().into(), gzip: false };
        spool.add(&documents(&shape, &body).unwrap(), Timestamp::UNIX_EPOCH, None).unwrap();
        // THEN files on disk stay few
        let runs = std::fs::read_dir(folder.path().join("spool")).unwrap().count();
        assert!(runs <= 2 * (32 + 4), "{runs} after page {page}");
    }
    // WHEN they are written
    let store = Store::open(&Destination::Local(folder.path().join("lake")), true).unwrap();
    let write_request = WriteRequest {
        store: &store,
        resource: &resource,
        head: None,
        spool: folder.path(),
        run: &"ab".repeat(16),
        replace: Replace::Records,
        preserved: &RecordSet::default(),
        sizes: Sizes {
            file_bytes: 1 << 20,
            row_group_rows: 1024,
            row_group_bytes: 1 << 20,
            encodings: Encodings::Common,
        },
        keep_from: None,
        last: false,
        marks: None,
        watch: &[],
        met_from: i32::MIN,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let spooled = spool.take().unwrap();
    let written = write_tables(&write_request, &spooled, runtime.handle(), &mut 0).unwrap();
    // THEN each record is there once, in its newest copy, and the spool is empty
    assert_eq!(written.twice, 0);
    let staged = |table: &str| folder.path().join("lake").join(&written.tables[table].files[0].staged);
    let rows = |path: std::path::PathBuf| -> Vec<RecordBatch> {
        let file = std::fs::File::open(path).unwrap();
        ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect()
    };
    let mut found = BTreeMap::new();
    for batch in rows(staged("thing")) {
        let column = |place: usize| batch.column(place).as_primitive::<Int64Type>();
        found.extend(column(0).values().iter().copied().zip(column(1).values().iter().copied()));
    }
    let mut expected: BTreeMap<i64, i64> = (851..=1_000).map(|id| (id, 1)).collect();
    expected.extend([(2_000, 149), (3_000, 500)]);
    assert_eq!(found, expected);
    assert_eq!(rows(staged("part")).iter().map(RecordBatch::num_rows).sum::<usize>(), 2 * 152);
    drop(spooled);
    assert_eq!(std::fs::read_dir(folder.path().join("spool")).unwrap().count(), 0);
}
