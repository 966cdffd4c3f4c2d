//! `pearlift sql` for Spark and ClickHouse: their scripts are executed, from a folder and from a bucket (`make readers`).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use object_store::ObjectStoreExt;
use object_store::path::Path as Key;
use serde_json::Value;

use crate::examples::done;
use crate::support::{Program, S3_KEY, S3_SECRET, Weed, account, root};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Executes a script, and compares all tables with the files in a folder.
#[track_caller]
fn execute(engine: &str, sql: &str, folder: &Path) -> Value {
    let script = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(script.path(), sql).unwrap();
    let python = root().join(".venv-readers/bin/python");
    assert!(python.exists(), "{} is missing: `make readers` installs it", python.display());
    let mut command = Command::new(python);
    command.arg(root().join("tests/sql/engines.py")).arg(engine).arg(script.path()).arg(folder);
    let done = done(command.env("AWS_ACCESS_KEY_ID", S3_KEY).env("AWS_SECRET_ACCESS_KEY", S3_SECRET)).expect(0);
    serde_json::from_str(done.stdout.lines().next_back().unwrap()).unwrap()
}

/// Copies the tables of a bucket to a folder.
async fn download(weed: &Weed, folder: &Path) {
    for key in weed.keys().await {
        let Some(below) = key.strip_prefix("shop/").filter(|below| below.ends_with(".parquet")) else { continue };
        let path = folder.join(below);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes = weed.bucket().get(&Key::parse(&key).unwrap()).await.unwrap().bytes().await.unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs Java and some 1.6 GB from PyPI: `make readers`"]
async fn spark_and_clickhouse_execute_their_scripts() {
    // GIVEN a folder and a bucket with the same tables, of two days
    let sandbox = account(60).await;
    let (weed, folder) = (Weed::start(), tempfile::tempdir().unwrap());
    let programs = [Program::new(&sandbox, folder.path()), weed.reach(Program::new(&sandbox, "s3://lake/shop"))];
    let programs = programs.map(|program| {
        program
            .with("PEARLIFT_RESOURCES_INCLUDE", "order,brand,contact,product_availability,exchange_rate")
            .with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms")
    });
    for _ in 0..2 {
        programs.iter().for_each(|program| drop(program.run(&["run"]).expect(0)));
        sandbox.age(DAY);
    }
    let copy = tempfile::tempdir().unwrap();
    download(&weed, copy.path()).await;
    let named = ["--schema", "shop", "--prefix", "bp_"];
    let sql = |program: &Program, dialect: &str, more: &[&str]| {
        program.run(&[&["sql", "--dialect", dialect], &named[..], more].concat()).expect(0).stdout
    };
    // WHEN their views are made, by folder and by file, THEN they have the rows, types and comments of every table
    for more in [&[][..], &["--files"]] {
        for engine in ["spark", "clickhouse"] {
            let rows = execute(engine, &sql(&programs[0], engine, more), folder.path());
            assert_eq!((rows["order"].as_u64(), rows["brand"].as_u64()), (Some(60), Some(40)), "{engine}");
            let latest = rows["product_availability_latest"].as_u64().unwrap();
            assert_eq!(rows["product_availability"].as_u64(), Some(2 * latest), "{engine}");
        }
        // AND ClickHouse reads a bucket
        let rows = execute("clickhouse", &sql(&programs[1], "clickhouse", more), copy.path());
        assert_eq!(rows["order"], 60);
    }
}
