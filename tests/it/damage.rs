//! The repair of damage: `backfill --damaged` reads the content of damaged files again, and no more.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pearlift::sandbox::{Sandbox, SandboxSettings, Size};

use crate::support::{
    Done, Program, Weed, account, check_truth, cut, files, findings, flip, head, largest, python, query, rewrite,
    start, this_morning, version as version_of,
};

const ORDERS: &str = "order,order_row,order_party,order_invoice,order_custom_field";

async fn loaded(orders: u64, names: &[&str]) -> (Sandbox, tempfile::TempDir, Program) {
    let sandbox = account(orders).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).by_month();
    program.run(&[&["run"], names].concat()).expect(0);
    sandbox.take_log();
    (sandbox, lake, program)
}

fn text(lake: &tempfile::TempDir) -> &str {
    lake.path().to_str().unwrap()
}

/// Repairs, and checks that nothing is damaged any more and that a second time asks and changes nothing.
#[track_caller]
fn repaired(program: &Program, lake: &Path, names: &[&str]) -> Done {
    let done = program.run(&[&["backfill", "--damaged"], names].concat()).expect(0);
    assert_eq!(findings(program, &["--deep"], 0), Vec::<String>::new());
    let before = files(&lake.join("_pearlift/manifests"));
    let again = program.run(&[&["backfill", "--damaged"], names].concat()).expect(0);
    assert!(again.stderr.contains("nothing to repair"), "{}", again.stderr);
    assert!(again.stderr.contains(" 0 requests"), "{}", again.stderr);
    assert_eq!(files(&lake.join("_pearlift/manifests")), before, "no version without a change");
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flipped_byte_costs_the_records_of_its_file_and_the_list_of_ids() {
    // GIVEN a byte flipped in one month of orders
    let (sandbox, lake, program) = loaded(1_500, &["order"]).await;
    let (file, rows) = largest(lake.path(), "order", "order");
    let before = files(lake.path());
    // Rows that are written again reference their drop-ship notes again: those are read in the next run.
    let state = || {
        let mut state = head(lake.path(), "order")["state"].clone();
        let references = state["pending_references"].as_object().unwrap();
        assert!(references.keys().all(|resource| resource == "drop_ship_note"), "{references:?}");
        state.as_object_mut().unwrap().retain(|key, _| key != "pending_references" && key != "references_mark");
        state
    };
    let stated = state();
    flip(&file);
    assert_eq!(findings(&program, &["--deep"], 7), ["order: !checksum"]);

    // WHEN the damaged part is read again
    repaired(&program, lake.path(), &["order"]);

    // THEN that took the records of the file and one list of ids
    let log = sandbox.take_log();
    assert_eq!(log.ids["order-service/order"], rows);
    assert_eq!(log.total(), 1 + rows.div_ceil(200), "{log:?}");
    // AND the tables equal the truth; of the files only that one was replaced; the state stays
    check_truth(&sandbox, text(&lake), &["--only", ORDERS]);
    let after = files(lake.path());
    let gone: Vec<&PathBuf> = before.iter().filter(|path| !after.contains(path)).collect();
    assert_eq!(gone, [&file]);
    assert_eq!(after.iter().filter(|path| path.ends_with(".parquet") && !before.contains(path)).count(), 0);
    assert_eq!(state(), stated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_truncated_file_of_lines_costs_the_orders_of_its_month_and_no_list() {
    // GIVEN a file of order lines cut short
    let (sandbox, lake, program) = loaded(1_500, &["order"]).await;
    let (file, _) = largest(lake.path(), "order", "order_row");
    let month = file.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let of_month = format!("{}/order/{month}/*.parquet", lake.path().display());
    let orders: u64 = query(&format!("SELECT count(*) FROM read_parquet('{of_month}')"))[0].parse().unwrap();
    cut(&file);
    assert_eq!(findings(&program, &[], 7), ["order: !size"]);

    // WHEN it is read again THEN only orders of that month are asked for
    repaired(&program, lake.path(), &["order"]);
    let log = sandbox.take_log();
    assert!(log.ids["order-service/order"] <= orders, "{log:?}, {orders} in {month}");
    assert_eq!(log.total(), log.of("GET order-service/order"), "{log:?}");
    check_truth(&sandbox, text(&lake), &["--only", ORDERS]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_missing_file_of_every_table_comes_back() {
    // GIVEN a whole account
    let (sandbox, lake, program) = loaded(160, &[]).await;
    let resources: Vec<String> = std::fs::read_dir(lake.path().join("_pearlift/manifests"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let names: Vec<&str> = resources.iter().map(String::as_str).collect();
    assert!(names.len() > 15, "{names:?}");
    let full = sandbox.take_log();
    assert_eq!(full.total(), 0);

    // WHEN of the first, then of the second table of each, and so on, a file is deleted
    for place in 0..5 {
        let mut lost = 0;
        for name in &names {
            let head = head(lake.path(), name);
            let Some(table) = head["tables"].as_object().unwrap().keys().nth(place).cloned() else { continue };
            let (file, rows) = largest(lake.path(), name, &table);
            std::fs::remove_file(&file).unwrap();
            lost += u64::from(rows > 0);
        }
        assert!(lost > 0);
        // THEN all comes back
        repaired(&program, lake.path(), &names);
        check_truth(&sandbox, text(&lake), &[]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_of_a_resource_lost_comes_back() {
    // GIVEN tables of which no file is left
    let names = ["order", "product", "product_price", "customer_payment", "journal", "warehouse"];
    let (sandbox, lake, program) = loaded(300, &names).await;
    for name in names {
        for table in head(lake.path(), name)["tables"].as_object().unwrap().keys() {
            std::fs::remove_dir_all(lake.path().join(table)).unwrap();
        }
    }
    // WHEN it is repaired THEN all is there
    repaired(&program, lake.path(), &names);
    let tables = "product,product_custom_field,product_price,product_price_list,customer_payment,journal,journal_line";
    check_truth(&sandbox, text(&lake), &["--only", &format!("{ORDERS},warehouse,{tables}")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_that_stand_twice_rows_out_of_order_orphans_and_lies_are_mended() {
    let (sandbox, lake, program) = loaded(300, &["order", "product"]).await;
    let products = "product,product_sales_channel,product_variation,product_custom_field";
    let spoil = |table: &str, change: &str| {
        let resource = if table.starts_with("order") { "order" } else { "product" };
        rewrite(lake.path(), resource, &largest(lake.path(), resource, table).0, change);
    };
    for (table, change, finding) in [
        ("product", "table = pa.concat_tables([table.slice(0, 1), table])", "product: !repeated-key"),
        ("product", "table = pa.concat_tables([table.slice(9), table.slice(0, 9)])", "product: !unsorted"),
        ("product", "table = table.slice(1)", "product: !orphan"),
        ("product_variation", "table = table.slice(3)", "product: !range"),
        (
            "product_custom_field",
            "table = pa.concat_tables([table, table.slice(0, 1).set_column(0, table.schema.field(0), pa.array([99999999]))])",
            "product: !orphan",
        ),
        ("product", "table = table.drop_columns(['sku'])", "product: !columns"),
        ("order_row", "table = pa.concat_tables([table, table])", "order: !unsorted"),
    ] {
        // GIVEN a file that we might have written wrongly ourselves
        spoil(table, change);
        let found = findings(&program, &["--deep"], 7);
        assert!(found.contains(&finding.to_owned()), "{table}: {found:?}");
        // WHEN it is repaired THEN the tables equal the truth
        repaired(&program, lake.path(), &["order", "product"]);
        check_truth(&sandbox, text(&lake), &["--only", &format!("{ORDERS},{products}")]);
    }

    // GIVEN orders of one month in the file of another too
    let months = files(&lake.path().join("order"));
    let both = format!(
        "table = pa.concat_tables([table, pq.read_table('{}', partitioning=None).slice(0, 3)]).sort_by('id')",
        months[1].display()
    );
    rewrite(lake.path(), "order", &months[0], &both);
    let found = findings(&program, &["--deep"], 7);
    assert!(found.contains(&"order: !partition".to_owned()), "{found:?}");
    repaired(&program, lake.path(), &["order"]);
    check_truth(&sandbox, text(&lake), &["--only", ORDERS]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_gone_at_the_source_leaves_with_the_damaged_file_and_is_told() {
    // GIVEN a damaged file of orders, of which the source has deleted three meanwhile
    let (sandbox, lake, program) = loaded(600, &["order"]).await;
    let (file, _) = largest(lake.path(), "order", "order");
    let ids = query(&format!("SELECT id FROM read_parquet('{}') ORDER BY id", file.display()));
    let gone: Vec<i64> = ids[2..5].iter().map(|id| id.parse().unwrap()).collect();
    sandbox.delete("order", &gone);
    flip(&file);

    // WHEN it is repaired
    let done = repaired(&program, lake.path(), &["order"]);

    // THEN their lines are removed too, kept as deleted rows, and it is reported
    assert!(done.stderr.contains("3 records deleted at the source"), "{}", done.stderr);
    check_truth(&sandbox, text(&lake), &["--only", ORDERS]);
    let kept = format!("{}/_pearlift/deleted/order_row/*.parquet", lake.path().display());
    assert_eq!(query(&format!("SELECT count(DISTINCT order_id) FROM read_parquet('{kept}')")), ["3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_source_that_gives_little_of_what_was_held_is_not_believed_until_a_person_insists() {
    // GIVEN a damaged file of products, of which the source gives hardly any now
    let (sandbox, lake, program) = loaded(2_000, &["product"]).await;
    let (file, rows) = largest(lake.path(), "product", "product");
    assert!(rows > 200, "{rows}");
    let all = sandbox.ids("product");
    sandbox.delete("product", &all[20..]);
    flip(&file);
    let before = files(lake.path());

    // WHEN it is repaired THEN it is refused, with the flag that forces it, and nothing changed
    let done = program.run(&["backfill", "--damaged", "product"]).expect(3);
    assert!(done.stderr.contains("`pearlift backfill --damaged --force product`"), "{}", done.stderr);
    assert_eq!(files(lake.path()).len(), before.len() + 3, "a report, two files of the history and nothing else");
    assert!(file.exists());

    // WHEN a person insists THEN they are gone
    program.run(&["backfill", "--damaged", "--force", "product"]).expect(0);
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
    let left = format!("SELECT count(*) FROM read_parquet('{}/product/*.parquet')", lake.path().display());
    assert_eq!(query(&left), ["20"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_snapshot_of_today_is_taken_again_and_an_earlier_day_is_given_up_only_on_demand() {
    // GIVEN the snapshots of two days, each with a damaged file
    let (sandbox, lake, program) = loaded(200, &["product_availability"]).await;
    let name = "product_availability";
    let taker = program.clone().with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms");
    sandbox.age(Duration::from_secs(24 * 3600));
    taker.run(&["run", name]).expect(0);
    let days = std::fs::read_dir(lake.path().join(name)).unwrap().map(|day| day.unwrap().path());
    let mut days: Vec<PathBuf> = days.collect();
    days.sort();
    assert_eq!(days.len(), 2);
    // Our own clock shows the first day still: by it, both could be of today.
    let first_day = days[0].file_name().unwrap().to_str().unwrap().to_owned();
    let of_day = |table: &str, day: &Path| files(&lake.path().join(table).join(day.file_name().unwrap())).remove(0);
    let early = of_day("product_availability_warehouse", &days[0]);
    cut(&early);
    std::fs::remove_file(of_day(name, &days[1])).unwrap();

    // WHEN it is repaired THEN the newer day is whole again, and the earlier is reported, with the way to give it up
    let done = program.run(&["backfill", "--damaged", name]).expect(7);
    assert!(done.stderr.contains(&first_day), "{}", done.stderr);
    assert!(done.stderr.contains("--damaged --force"), "{}", done.stderr);
    assert_eq!(findings(&program, &["--deep"], 7), ["product_availability: !size"]);
    assert!(early.exists());

    // WHEN it is given up THEN that day leaves all tables, and nothing is damaged
    program.run(&["backfill", "--damaged", "--force", name]).expect(0);
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
    for table in [name, "product_availability_warehouse", "product_availability_location"] {
        assert_eq!(files(&lake.path().join(table).join(&first_day)), Vec::<PathBuf>::new());
        assert!(!files(&lake.path().join(table).join(days[1].file_name().unwrap())).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_foreign_file_is_told_and_never_touched() {
    // GIVEN Parquet of somebody else in a table's folder, and one under a name of ours that no version names
    let (_sandbox, lake, program) = loaded(50, &["brand"]).await;
    let ours = largest(lake.path(), "brand", "brand").0;
    let foreign = [
        lake.path().join("brand/old.parquet"),
        lake.path().join("brand/brand-0123456789abcdef0123456789abcdef-1.parquet"),
    ];
    for path in &foreign {
        std::fs::copy(&ours, path).unwrap();
    }
    // WHEN it is repaired THEN they are named, and left
    let done = program.run(&["backfill", "--damaged", "brand"]).expect(7);
    assert!(done.stderr.contains("brand/old.parquet") && done.stderr.contains("move them away"), "{}", done.stderr);
    program.run(&["clean"]).expect(0);
    assert!(foreign.iter().all(|path| path.exists()));
    // WHEN they are moved away THEN all is well
    foreign.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    repaired(&program, lake.path(), &["brand"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lost_file_of_deleted_rows_is_given_up_only_on_demand() {
    let (sandbox, lake, program) = loaded(200, &["order"]).await;
    sandbox.delete("order", &sandbox.ids("order")[5..9]);
    program.run(&["reconcile", "order"]).expect(0);
    std::fs::remove_file(files(&lake.path().join("_pearlift/deleted/order")).remove(0)).unwrap();
    let done = program.run(&["backfill", "--damaged", "order"]).expect(7);
    assert!(done.stderr.contains("rows of deleted records"), "{}", done.stderr);
    program.run(&["backfill", "--damaged", "--force", "order"]).expect(0);
    assert_eq!(findings(&program, &["--deep"], 0), Vec::<String>::new());
    check_truth(&sandbox, text(&lake), &["--only", ORDERS]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_committed_file_that_is_neither_staged_nor_published_does_not_stand_in_the_way() {
    // GIVEN a run that crashed before it published, and has lost a staged file since
    let (sandbox, lake, program) = loaded(300, &["order"]).await;
    let staging = lake.path().join("_pearlift/staging");
    let live: Vec<PathBuf> = files(&lake.path().join("order"));
    for (place, file) in live.iter().enumerate() {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let folder = staging.join(name.split('-').nth(1).unwrap());
        std::fs::create_dir_all(&folder).unwrap();
        if place == 0 {
            std::fs::remove_file(file).unwrap();
        } else {
            std::fs::rename(file, folder.join(format!("{name}.part"))).unwrap();
        }
    }
    // WHEN it is repaired THEN the staged files are published, and the lost one is read again
    repaired(&program, lake.path(), &["order"]);
    check_truth(&sandbox, text(&lake), &["--only", ORDERS]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn mending_that_is_killed_goes_on_by_looking_again() {
    // GIVEN a slow source, and every file of orders damaged
    let settings = SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 1_200, ..Size::default() }).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).by_month().with("PEARLIFT_LIMITS_CONCURRENCY", "1");
    program.run(&["run", "order"]).expect(0);
    files(&lake.path().join("order")).iter().for_each(|file| flip(file));
    let versions = || files(&lake.path().join("_pearlift/manifests/order")).len();
    let before = versions();
    sandbox.change(|settings| settings.latency = 100);
    sandbox.take_log();

    // WHEN it is killed after some months
    let mut child = program.start(&["backfill", "--damaged", "order"]);
    let begun = Instant::now();
    while versions() < before + 3 {
        assert!(begun.elapsed() < Duration::from_secs(240), "no commit was made");
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    sandbox.change(|settings| settings.latency = 0);
    let first = sandbox.take_log().ids["order-service/order"];

    // THEN the next resumes with the rest
    repaired(&program, lake.path(), &["order"]);
    let second = sandbox.take_log().ids["order-service/order"];
    assert!(second < 1_200 && first + second < 1_500, "{first} and {second}");
    check_truth(&sandbox, text(&lake), &["--only", ORDERS]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_bucket_too_what_is_damaged_comes_back() {
    // GIVEN a bucket in which an object was overwritten and another deleted
    let sandbox = account(300).await;
    let weed = Weed::start();
    let program = weed.reach(Program::new(&sandbox, "s3://lake/shop").by_month());
    program.run(&["run", "order", "customer_payment"]).expect(0);
    let script = r#"
import sys
from pyarrow import fs
bucket = fs.S3FileSystem(endpoint_override=sys.argv[1], scheme="http", access_key="lake-key", secret_key="lake-secret")
def of(table):
    found = bucket.get_file_info(fs.FileSelector("lake/shop/" + table, recursive=True))
    return max((file for file in found if file.is_file), key=lambda file: file.size).path
with bucket.open_input_stream(of("order")) as stream:
    content = bytearray(stream.read())
content[len(content) // 2] ^= 1
with bucket.open_output_stream(of("order")) as stream:
    stream.write(bytes(content))
bucket.delete_file(of("customer_payment"))
"#;
    python(script, &[weed.endpoint().trim_start_matches("http://")]);
    // The client leaves a marker of a folder behind.
    let damage = |code: i32| {
        let found = findings(&program, &["--deep"], code).into_iter();
        found.filter(|finding| finding.contains('!')).collect::<Vec<_>>()
    };
    assert_eq!(damage(7), ["customer_payment: !missing", "order: !checksum"]);

    // WHEN it is repaired THEN the tables equal the truth
    program.run(&["backfill", "--damaged", "order", "customer_payment"]).expect(0);
    assert_eq!(damage(0), Vec::<String>::new());
    let only = format!("{ORDERS},customer_payment");
    check_truth(&sandbox, "s3://lake/shop", &["--s3-endpoint", &weed.endpoint(), "--only", &only]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flipped_byte_is_not_carried_on_by_a_run_that_merges_the_file() {
    // GIVEN a byte flipped in the file of products
    let (sandbox, lake, program) = loaded(200, &["product"]).await;
    let (file, _) = largest(lake.path(), "product", "product");
    flip(&file);
    // WHEN some of them change THEN the run stops at it and names the remedy
    sandbox.edit("product", &sandbox.ids("product")[..3]);
    sandbox.age(Duration::from_secs(600));
    let done = program.run(&["run", "product"]).expect(7);
    // It is found by the checksum of the file, or sooner by the bytes that are read of it.
    assert!(done.stderr.contains("could not read a data file") && done.stderr.contains("--damaged"), "{}", done.stderr);
    // WHEN it is repaired THEN the night run ends well
    repaired(&program, lake.path(), &["product"]);
    program.run(&["run", "product"]).expect(0);
    check_truth(&sandbox, text(&lake), &["--only", "product,product_custom_field"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_newest_version_the_one_before_is_mended() {
    // GIVEN a day after the first load, with a damaged version
    let (sandbox, lake, program) = loaded(200, &["order"]).await;
    sandbox.edit("order", &sandbox.ids("order")[..50]);
    sandbox.age(Duration::from_secs(600));
    program.run(&["run", "order"]).expect(0);
    let newest = files(&lake.path().join("_pearlift/manifests/order")).pop().unwrap();
    let version = version_of(&newest);
    std::fs::write(&newest, "{").unwrap();
    let done = program.run(&["backfill", "--damaged", "order"]).expect(7);
    assert!(done.stderr.contains("move it away"), "{}", done.stderr);

    // WHEN it is moved away and the version before repaired THEN the files that it named are foreign now
    std::fs::remove_file(&newest).unwrap();
    let done = program.run(&["backfill", "--damaged", "order"]).expect(7);
    assert!(done.stderr.contains("move them away"), "{}", done.stderr);
    let named = version["tables"].as_object().unwrap().values().flat_map(|table| table["files"].as_array().unwrap());
    let named: Vec<PathBuf> = named.map(|file| lake.path().join(file["path"].as_str().unwrap())).collect();
    let live = head(lake.path(), "order").to_string();
    for path in named.iter().filter(|path| !live.contains(path.file_name().unwrap().to_str().unwrap())) {
        std::fs::remove_file(path).unwrap();
    }
    // AND with these gone the tables equal the truth
    repaired(&program, lake.path(), &["order"]);
    program.run(&["run", "order"]).expect(0);
    check_truth(&sandbox, text(&lake), &["--only", ORDERS]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_damaged_file_does_not_stand_in_the_way_of_a_new_column() {
    // GIVEN products without a column, a file of which is damaged
    let sandbox = account(300).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).by_month();
    let schemas = tempfile::tempdir().unwrap();
    let schema = include_str!("../../schemas/product.toml");
    let without: Vec<&str> = schema.lines().filter(|line| !line.contains("name = \"ean\"")).collect();
    assert_eq!(without.len() + 1, schema.lines().count());
    std::fs::write(schemas.path().join("product.toml"), without.join("\n")).unwrap();
    program.run(&["--schemas", schemas.path().to_str().unwrap(), "run", "product"]).expect(0);
    flip(&largest(lake.path(), "product", "product").0);
    cut(&largest(lake.path(), "product", "product_custom_field").0);

    // WHEN the column comes THEN a run stops at the damage, and a repair gives both
    let done = program.run(&["run", "product"]).expect(7);
    assert!(done.stderr.contains("--damaged"), "{}", done.stderr);
    repaired(&program, lake.path(), &["product"]);
    check_truth(&sandbox, text(&lake), &["--only", "product,product_custom_field,product_variation"]);
}
