//! The findings of `verify`, and the files that it ignores.

use std::path::{Path, PathBuf};

use crate::support::{Done, Program, Weed, account, files, findings, rewrite};

/// The only file of a table without partitions.
fn the_file(lake: &Path, table: &str) -> PathBuf {
    let found = files(&lake.join(table));
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

/// The view of a broken lake: a line that names the file and a remedy.
#[track_caller]
fn names_fault(done: &Done, file: &Path, lake: &Path, words: &str) {
    let path = file.strip_prefix(lake).unwrap().to_str().unwrap();
    let line = done.stdout.lines().find(|line| line.contains(path)).unwrap_or_else(|| panic!("{}", done.stdout));
    assert!(line.starts_with("DAMAGE ") && line.contains(words) && line.contains("; "), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_clean_lake_verifies_with_nothing_to_say() {
    // GIVEN a whole account
    let sandbox = account(400).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run"]).expect(0);

    // WHEN it is verified, by footers and whole
    for arguments in [&[][..], &["--deep"]] {
        // THEN nothing is found
        assert_eq!(findings(&program, arguments, 0), Vec::<String>::new());
    }
    // AND text sums up
    let done = program.run(&["verify", "--deep", "order", "product"]).expect(0);
    assert!(done.stdout.starts_with("2 resources, "), "{}", done.stdout);
    assert!(done.stdout.contains("nothing is damaged"), "{}", done.stdout);
    // AND a name that was never committed is refused
    program.run(&["verify", "orders"]).expect(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_clean_bucket_verifies_with_nothing_to_say_and_nothing_to_clean() {
    let sandbox = account(50).await;
    let weed = Weed::start();
    let program = weed.reach(Program::new(&sandbox, "s3://lake/verified"));
    program.run(&["run"]).expect(0);
    for arguments in [&[][..], &["--deep"]] {
        assert_eq!(findings(&program, arguments, 0), Vec::<String>::new());
    }
    let done = program.run(&["clean"]).expect(0);
    assert!(done.stdout.starts_with("0 files"), "{}", done.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flipped_byte_is_found_by_a_deep_look() {
    // GIVEN a byte flipped in the middle of a file
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "brand", "currency"]).expect(0);
    let file = the_file(lake.path(), "brand");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&file, bytes).unwrap();

    // WHEN only sizes and footers are read THEN it is not seen
    assert_eq!(findings(&program, &[], 0), Vec::<String>::new());
    // WHEN every byte is read THEN it is
    assert_eq!(findings(&program, &["--deep"], 7), ["brand: !checksum"]);
    names_fault(&program.run(&["verify", "--deep"]).expect(7), &file, lake.path(), "the checksum differs");
    // AND a check of another resource does not report it
    assert_eq!(findings(&program, &["--deep", "currency"], 0), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_footer_that_makes_no_sense_is_found_without_reading_the_file() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "brand"]).expect(0);
    let file = the_file(lake.path(), "brand");
    let mut bytes = std::fs::read(&file).unwrap();
    let footer = bytes.len() - 200;
    bytes[footer..].iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(findings(&program, &[], 7), ["brand: !unreadable"]);
    assert_eq!(findings(&program, &["--deep"], 7), ["brand: !checksum"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_truncated_and_a_missing_file_are_found_with_the_way_back() {
    // GIVEN a file cut short and one deleted
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "brand", "currency"]).expect(0);
    let (short, gone) = (the_file(lake.path(), "brand"), the_file(lake.path(), "currency"));
    let bytes = std::fs::read(&short).unwrap();
    std::fs::write(&short, &bytes[..bytes.len() - 7]).unwrap();
    std::fs::remove_file(&gone).unwrap();

    // WHEN it is verified THEN both are found, deep or not
    for arguments in [&[][..], &["--deep"]] {
        assert_eq!(findings(&program, arguments, 7), ["brand: !size", "currency: !missing"]);
    }
    let done = program.run(&["verify"]).expect(7);
    names_fault(&done, &short, lake.path(), "the manifest has");
    names_fault(&done, &gone, lake.path(), "it does not exist");

    // AND reading everything again is no repair: new rows are merged with existing ones
    for name in ["brand", "currency"] {
        let done = program.run(&["run", "--full", name]).expect(7);
        assert!(done.stderr.contains("backfill RESOURCE --damaged"), "{}", done.stderr);
    }

    // WHEN the remedy that it names is followed
    for name in ["brand", "currency"] {
        assert!(done.stdout.contains(&format!("`pearlift backfill {name} --damaged`")), "{}", done.stdout);
    }
    program.run(&["backfill", "brand", "currency", "--damaged"]).expect(0);
    // THEN all is well
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn foreign_parquet_is_damage_and_other_strays_are_not() {
    // GIVEN files of somebody else in a table's folder
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "brand"]).expect(0);
    let ours = the_file(lake.path(), "brand");
    std::fs::write(lake.path().join("brand/notes.txt"), "mine").unwrap();
    assert_eq!(findings(&program, &[], 0), ["brand: stray"]);

    // WHEN one of them would be read by a glob
    std::fs::copy(&ours, lake.path().join("copy")).unwrap();
    std::fs::rename(lake.path().join("copy"), lake.path().join("brand/old.parquet")).unwrap();
    // THEN it is damage
    assert_eq!(findings(&program, &[], 7), ["brand: stray", "brand: !foreign"]);
    let done = program.run(&["verify"]).expect(7);
    names_fault(&done, &lake.path().join("brand/old.parquet"), lake.path(), "move it out");
    // AND a file outside of tables is nobody's business
    std::fs::remove_file(lake.path().join("brand/old.parquet")).unwrap();
    std::fs::write(lake.path().join("other.parquet"), "mine").unwrap();
    assert_eq!(findings(&program, &[], 0), ["brand: stray"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_that_is_staged_is_unpublished_and_no_damage() {
    // GIVEN a run that crashed between its commit and publishing
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "brand"]).expect(0);
    let file = the_file(lake.path(), "brand");
    let name = file.file_stem().unwrap().to_str().unwrap();
    let run = name.split('-').nth(1).unwrap();
    let staging = lake.path().join("_pearlift/staging").join(run);
    std::fs::create_dir_all(&staging).unwrap();
    std::fs::rename(&file, staging.join(format!("{name}.part"))).unwrap();

    // WHEN it is verified THEN the file counts at its present path
    for arguments in [&[][..], &["--deep"]] {
        assert_eq!(findings(&program, arguments, 0), ["brand: unpublished"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_manifest_that_is_no_manifest_is_damage() {
    let sandbox = account(50).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "brand", "currency"]).expect(0);
    let head = files(&lake.path().join("_pearlift/manifests/brand")).pop().unwrap();
    std::fs::write(head, "{").unwrap();
    assert_eq!(findings(&program, &[], 7), ["brand: !manifest"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_records_and_partitions_are_compared_with_the_rows() {
    let sandbox = account(300).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).by_month();
    program.run(&["run", "order", "product"]).expect(0);
    let months = files(&lake.path().join("order"));
    assert!(months.len() > 2, "{months:?}");
    let product = the_file(lake.path(), "product");
    let kept: Vec<(&Path, Vec<u8>)> =
        [&product, &months[0], &months[1]].map(|path| (path.as_path(), std::fs::read(path).unwrap())).into();
    let heads: Vec<(PathBuf, Vec<u8>)> = ["order", "product"]
        .map(|name| files(&lake.path().join("_pearlift/manifests").join(name)).pop().unwrap())
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .into();
    let restore = || {
        kept.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
        heads.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
        assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
    };

    // GIVEN a file in which a key occurs twice WHEN it is read whole THEN it is found
    rewrite(lake.path(), "product", &product, "table = pa.concat_tables([table.slice(0, 1), table])");
    assert_eq!(findings(&program, &[], 0), Vec::<String>::new());
    assert_eq!(findings(&program, &["--deep"], 7), ["product: !repeated-key"]);
    restore();

    // GIVEN rows out of order
    let last_first = "table = pa.concat_tables([table.slice(0, 3), table.slice(4), table.slice(3, 1)])";
    rewrite(lake.path(), "product", &product, last_first);
    let found = findings(&program, &["--deep"], 7);
    assert!(found.contains(&"product: !unsorted".to_owned()), "{found:?}");
    restore();

    // GIVEN a record row that is gone, with its children left
    rewrite(lake.path(), "product", &product, "table = table.slice(1)");
    let found = findings(&program, &["--deep"], 7);
    assert!(found.contains(&"product: !orphan".to_owned()), "{found:?}");
    assert!(found.contains(&"product: !range".to_owned()), "{found:?}");
    restore();

    // GIVEN rows of one month in the file of another: here twice, there astray
    let other = months[1].to_str().unwrap();
    let both = format!(
        "table = pa.concat_tables([table, pq.read_table('{other}', partitioning=None).slice(0, 1)]).sort_by('id')"
    );
    rewrite(lake.path(), "order", &months[0], &both);
    let found = findings(&program, &["--deep"], 7);
    assert!(found.contains(&"order: !repeated-key".to_owned()), "{found:?}");
    assert!(found.contains(&"order: !partition".to_owned()), "{found:?}");
    restore();

    // GIVEN another column
    rewrite(lake.path(), "product", &product, "table = table.drop_columns(['sku'])");
    assert_eq!(findings(&program, &["product"], 7), ["product: !columns"]);
    restore();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_of_deleted_records_are_looked_at_too() {
    // GIVEN a lake of an account that has lost orders, and after days of changes
    let sandbox = account(300).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "order"]).expect(0);
    sandbox.delete("order", &sandbox.ids("order")[5..9]);
    sandbox.insert("order", 3);
    program.run(&["reconcile", "order"]).expect(0);
    program.run(&["run", "order"]).expect(0);
    // WHEN it is whole THEN nothing is found, and there is nothing to clean
    for arguments in [&[][..], &["--deep"]] {
        assert_eq!(findings(&program, arguments, 0), Vec::<String>::new());
    }
    let done = program.run(&["clean"]).expect(0);
    assert!(done.stdout.starts_with("0 files"), "{}", done.stdout);

    // WHEN one of the files of deleted rows is changed THEN it is found
    let kept = files(&lake.path().join("_pearlift/deleted/order")).pop().unwrap();
    let mut bytes = std::fs::read(&kept).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&kept, bytes).unwrap();
    assert_eq!(findings(&program, &["--deep"], 7), ["order: !checksum"]);
    std::fs::remove_file(&kept).unwrap();
    assert_eq!(findings(&program, &[], 7), ["order: !missing"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_that_goes_on_is_no_damage() {
    // GIVEN a run that commits and replaces files all the time
    let sandbox = account(3_000).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path());
    program.run(&["run", "order"]).expect(0);
    let busy = program.clone().with("PEARLIFT_LIMITS_COMMIT_EVERY", "1ms").with("PEARLIFT_LIMITS_CONCURRENCY", "1");
    for step in [2, 3, 5] {
        sandbox.edit("order", &sandbox.ids("order").into_iter().step_by(step).collect::<Vec<_>>());
        let mut child = busy.start(&["run", "--full", "order"]);
        // WHEN it is verified beside the run, again and again
        let mut looks = 0;
        while looks == 0 || child.try_wait().unwrap().is_none() {
            let arguments = [&["--deep"][..], &[]][looks % 2];
            // THEN nothing is damaged, ever
            let found = findings(&program, arguments, 0);
            assert!(found.iter().all(|finding| !finding.contains('!')), "{found:?}");
            looks += 1;
        }
    }
}
