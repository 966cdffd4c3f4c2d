//! Data files as engines meet them: encodings, statistics, and the name of the writer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use parquet::basic::{Encoding, Type};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use crate::support::{Program, account, check_truth, files, is_history, look, query};

/// Encodings that every engine has read from the first.
const COMMON: [Encoding; 5] = [
    Encoding::PLAIN,
    Encoding::RLE,
    Encoding::PLAIN_DICTIONARY,
    Encoding::RLE_DICTIONARY,
    #[expect(deprecated, reason = "older writers name it for levels")]
    Encoding::BIT_PACKED,
];

fn tables(lake: &Path) -> Vec<PathBuf> {
    let mut found = files(lake);
    found.retain(|path| !is_history(path) && path.extension().is_some_and(|end| end == "parquet"));
    assert!(!found.is_empty());
    found
}

fn footer(path: &Path) -> ParquetMetaData {
    let file = std::fs::File::open(path).unwrap();
    ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required).parse_and_finish(&file).unwrap()
}

/// Every encoding in the files of a folder.
fn encodings(lake: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in tables(lake) {
        for group in footer(&path).row_groups() {
            found.extend(
                group.columns().iter().flat_map(|chunk| chunk.encodings()).map(|encoding| encoding.to_string()),
            );
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_has_no_encoding_but_those_that_every_engine_reads() {
    // GIVEN an account
    let sandbox = account(300).await;
    let lake = tempfile::tempdir().unwrap();

    // WHEN all of it is read
    Program::new(&sandbox, lake.path()).run(&["run"]).expect(0);

    // THEN no column chunk has another encoding, and values that repeat are in dictionaries
    let common: BTreeSet<String> = COMMON.iter().map(Encoding::to_string).collect();
    let found = encodings(lake.path());
    assert!(found.is_subset(&common), "{found:?}");
    assert!(found.contains("RLE_DICTIONARY") && found.contains("PLAIN"), "{found:?}");
    // AND a unique key is plain in every file
    for path in tables(&lake.path().join("order")) {
        for group in footer(&path).row_groups() {
            assert!(!group.column(0).encodings().any(|encoding| encoding == Encoding::RLE_DICTIONARY), "{path:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_footer_bears_the_writer_as_readers_know_it_and_statistics_of_texts() {
    // GIVEN a lake
    let sandbox = account(300).await;
    let lake = tempfile::tempdir().unwrap();
    Program::new(&sandbox, lake.path()).run(&["run", "order", "product", "contact"]).expect(0);

    let mut texts = 0;
    for path in tables(lake.path()) {
        let metadata = footer(&path);
        // THEN the writer is `name version X (build Y)`
        let created_by = metadata.file_metadata().created_by().unwrap();
        let version = created_by.strip_prefix("pearlift version ").and_then(|rest| rest.split_once(" (build "));
        let (version, build) = version.unwrap_or_else(|| panic!("{created_by}"));
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
        let build = build.strip_suffix(')').unwrap_or_default();
        assert!(!build.is_empty() && !build.contains([')', '(', ' ']), "{created_by}");
        // AND each column of values has its least and greatest, of a chunk and of its pages, texts cut to 64 bytes
        for (group, columns) in metadata.row_groups().iter().enumerate() {
            for (place, column) in columns.columns().iter().enumerate() {
                let statistics = column.statistics().unwrap_or_else(|| panic!("{path:?} {place}"));
                let nulls = statistics.null_count_opt().unwrap();
                if nulls < u64::try_from(columns.num_rows()).unwrap() {
                    let (least, greatest) = (statistics.min_bytes_opt().unwrap(), statistics.max_bytes_opt().unwrap());
                    assert!(least.len() <= 64 && greatest.len() <= 64, "{path:?} {place}");
                    texts += usize::from(column.column_type() == Type::BYTE_ARRAY);
                }
                let index = metadata.page_index().unwrap();
                assert!(index.column_index(group, place).is_some() && index.offset_index(group, place).is_some());
            }
        }
    }
    assert!(texts > 20, "{texts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_compact_encodings_are_a_setting_and_hold_the_same() {
    // GIVEN an account, read with either
    let sandbox = account(300).await;
    let (common, compact) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    Program::new(&sandbox, common.path()).run(&["run", "order"]).expect(0);
    let program = Program::new(&sandbox, compact.path()).with("PEARLIFT_LIMITS_ENCODINGS", "compact");

    // WHEN it is read with the compact ones
    program.run(&["run", "order"]).expect(0);

    // THEN they are there, and the tables are the same to every reader
    assert!(encodings(compact.path()).contains("DELTA_BINARY_PACKED"));
    assert!(!encodings(common.path()).contains("DELTA_BINARY_PACKED"));
    let seen = look("order", &[common.path(), compact.path()]);
    assert_eq!(seen[0], seen[1]);
    // AND another word is refused by name
    let refused = program.with("PEARLIFT_LIMITS_ENCODINGS", "tiny").run(&["run", "order"]).expect(2);
    assert!(refused.said().contains("PEARLIFT_LIMITS_ENCODINGS"), "{}", refused.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_of_other_encodings_stay_until_a_row_changes_and_are_merged_then() {
    // GIVEN files with the compact encodings
    let sandbox = account(400).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).by_month();
    program.clone().with("PEARLIFT_LIMITS_ENCODINGS", "compact").run(&["run", "order"]).expect(0);
    let before = tables(lake.path());

    // WHEN everything is read again with the default ones THEN no file is written
    program.run(&["run", "--full", "order"]).expect(0);
    assert_eq!(tables(lake.path()), before);

    // WHEN some orders change THEN their files hold old and new rows in the default encodings, the others stay
    sandbox.age(std::time::Duration::from_secs(3600));
    sandbox.edit("order", &sandbox.ids("order")[..3]);
    program.run(&["run", "order"]).expect(0);
    let after: BTreeSet<PathBuf> = tables(lake.path()).into_iter().collect();
    let before: BTreeSet<PathBuf> = before.into_iter().collect();
    let (fresh, stayed): (Vec<_>, Vec<_>) = after.iter().partition(|path| !before.contains(*path));
    assert!(!fresh.is_empty() && stayed.len() > fresh.len(), "{fresh:?}");
    for path in fresh {
        let metadata = footer(path);
        let mut all =
            metadata.row_groups().iter().flat_map(|group| group.columns()).flat_map(|chunk| chunk.encodings());
        assert!(all.all(|encoding| COMMON.contains(&encoding)), "{path:?}");
    }
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order,order_row,order_invoice"]);
    let count = query(&format!("SELECT count(*) FROM read_parquet('{}/order/**/*.parquet')", lake.path().display()));
    assert_eq!(count, ["400"]);
}
