//! Reading a few columns of live files costs a few ranges of them.

use pearlift::manifest::head;
use pearlift::sandbox::{SandboxSettings, Size};
use pearlift::write::{held, held_ids};

use crate::support::{Faults, Program, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lookup_reads_the_footer_and_the_columns_that_it_needs_once() {
    // GIVEN a table in one file of many pages
    let size = Size { orders: 10, ..Size::default() }.with("contact", 12_000);
    let sandbox = start(SandboxSettings { limit: 0, ..SandboxSettings::default() }, size).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "contact"]).expect(0);
    let faults = Faults::default();
    let store = faults.before(&program.store());
    let head = head(&store, "contact").await.unwrap().unwrap();
    let files = &head.tables["contact"].files;
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    assert!(bytes > 256 << 10, "the file is larger than what is read of its end: {bytes}");
    let before = faults.read().len();

    // WHEN its keys, and a few columns of some records, are looked up
    let ids = held_ids(&store, files, "id").await.unwrap();
    let after_ids = faults.read().len();
    let columns = ["updated_on".to_owned()];
    let some: Vec<i64> = ids.iter().copied().step_by(50).collect();
    let found = held(&store, files, "id", &columns, &some).await.unwrap();

    // THEN each costs a few requests a file, and not much more than the file holds: ranges near each other are read as one
    assert_eq!((ids.len(), found.len()), (12_000, some.len()));
    let read = faults.read();
    for part in [&read[before..after_ids], &read[after_ids..]] {
        assert!(part.len() <= 3 * files.len(), "{part:?}");
        let fetched: u64 = part.iter().map(|(_, bytes)| bytes).sum();
        assert!(fetched < bytes + bytes / 2, "{fetched} of {bytes} bytes: {part:?}");
    }
}
