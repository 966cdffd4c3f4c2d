//! The dbt project of `examples/dbt`: its sources are those of the catalogue, and its models answer as the account does.
//! dbt itself runs in `make models`; here the models are rendered and executed by `tests/examples/models.py`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pearlift::report::{MADE_YAML, dbt_sources};
use pearlift::sandbox::Sandbox;
use pearlift::schema::{Catalog, Confidence, Resource};

use crate::examples::done;
use crate::support::{Done, Program, account, copy_folder, files, root, tool};

fn project(path: &str) -> PathBuf {
    root().join("examples/dbt").join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(project(path)).unwrap()
}

/// The names of the tables of resources.
fn tables<'a>(resources: impl Iterator<Item = &'a Resource>) -> BTreeSet<&'a str> {
    resources.flat_map(|resource| &resource.tables).map(|table| table.name.as_str()).collect()
}

#[test]
fn the_sources_of_the_project_are_those_that_the_catalogue_makes() {
    let made = dbt_sources(&Catalog::load(None).unwrap());
    assert!(
        text("models/sources.yml") == made,
        "they are not current: cargo run -- resources --dbt examples/dbt/models/sources.yml"
    );
}

#[test]
fn sources_name_the_tables_that_are_read_by_default_with_their_columns_keys_and_references() {
    let catalog = Catalog::load(None).unwrap();
    let made = dbt_sources(&catalog);
    let is_read = tables(catalog.resources().iter().filter(|resource| resource.is_default));
    let named = made.lines().filter_map(|line| line.strip_prefix("      - name: "));
    assert_eq!(named.collect::<BTreeSet<_>>(), is_read);
    assert!(tables(catalog.resources().iter()).len() > is_read.len());
    let mut leading = 0;
    for table in catalog.resources().iter().flat_map(|resource| &resource.tables) {
        if !is_read.contains(table.name.as_str()) {
            continue;
        }
        let (_, section) = made.split_once(&format!("      - name: {}\n", table.name)).unwrap();
        let section = section.split("      - name: ").next().unwrap();
        assert!(section.contains(&format!("/{}/**/*.parquet", table.name)), "{section}");
        let lines: Vec<&str> = section.lines().filter(|line| line.starts_with("          - {name: ")).collect();
        assert_eq!(lines.len(), table.columns.len(), "{}", table.name);
        for (place, (column, line)) in table.columns.iter().zip(lines).enumerate() {
            assert!(line.starts_with(&format!("          - {{name: {}, data_type: ", column.name)), "{line}");
            assert_eq!(line.contains("not_null"), table.key.contains(&place), "{line}");
            let targets = column.meaning.references.targets();
            let is_tested = line.contains("severity: ");
            leading += usize::from(is_tested);
            assert!(!is_tested || !targets.is_empty(), "{line}");
            for target in targets {
                let source = line.contains(&format!("source('brightpearl', '{}')", target.table));
                assert_eq!(source, is_tested, "{line}");
                assert!(!is_tested || is_read.contains(target.table.as_str()), "{line}");
            }
            let is_certain = matches!(column.meaning.confidence, Confidence::Documented | Confidence::Recorded);
            let is_held = targets.iter().all(|target| is_read.contains(target.table.as_str()));
            assert!(is_tested || targets.is_empty() || !is_certain || !is_held, "{line}");
        }
    }
    assert!(leading > 150, "{leading}");
}

#[test]
fn a_row_without_its_record_is_an_error_and_without_another_record_a_warning() {
    let made = text("models/sources.yml");
    let line = |table: &str, column: &str| {
        let (_, section) = made.split_once(&format!("      - name: {table}\n")).unwrap();
        section.lines().find(|line| line.contains(&format!("{{name: {column},"))).unwrap().to_owned()
    };
    assert!(line("order_row", "order_id").contains("severity: error"));
    assert!(line("order_row", "product_id").contains("severity: warn, where: \"product_id <> 0\""));
    assert!(line("order_row", "tax_code").contains("where: \"tax_code not in ('', '0')\""));
    // Its id is that of a product, which is another record.
    assert!(line("product_price", "product_id").contains("severity: warn"));
    // Concluded from other statements.
    assert!(!line("order", "team_id").contains("data_tests"));
    assert!(line("customer_payment", "id").contains("[unique, not_null]"));
    assert!(line("order_row", "order_id").contains("[not_null, "));
    assert!(made.contains("columns: [product_id, warehouse_id, snapshot_date]"));
    assert!(line("goods_movement", "goods_note_id").contains("refers_to_one_of"));
}

#[test]
fn the_command_writes_the_sources_of_a_catalogue_and_over_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sources.yml");
    let schemas = root().join("examples/custom-schema/schemas");
    let program = Program::bare(folder.path().join("lake"));
    let write = |arguments: &[&str], code: i32| -> Done {
        program.run(&[arguments, &["resources", "--dbt", file.to_str().unwrap()]].concat()).expect(code)
    };
    for _ in 0..2 {
        assert_eq!(write(&[], 0).stdout.trim(), file.to_str().unwrap());
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text("models/sources.yml"));
    write(&["--schemas", schemas.to_str().unwrap()], 0);
    let own = std::fs::read_to_string(&file).unwrap();
    assert_eq!(own, dbt_sources(&Catalog::load(Some(&schemas)).unwrap()));
    assert!(own.starts_with(MADE_YAML) && own != text("models/sources.yml"));

    std::fs::write(&file, "sources of somebody").unwrap();
    let refused = write(&[], 2);
    assert!(refused.stderr.contains("sources.yml") && refused.stderr.contains("--dbt"), "{}", refused.stderr);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "sources of somebody");
}

#[test]
fn models_name_no_folder_of_a_date() {
    let catalog = Catalog::load(None).unwrap();
    let dated = catalog.resources().iter().filter(|resource| resource.partition().date().is_some());
    let stems: BTreeSet<String> =
        dated.map(|resource| resource.partition().segment().unwrap().rsplit_once('_').unwrap().0.to_owned()).collect();
    assert!(stems.len() > 2, "{stems:?}");
    for path in files(&project("")) {
        if path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        let sql = std::fs::read_to_string(&path).unwrap();
        for (stem, period) in stems.iter().flat_map(|stem| ["month", "quarter", "year"].map(|period| (stem, period))) {
            assert!(!sql.contains(&format!("{stem}_{period}")), "{}", path.display());
        }
    }
}

/// Compares the models over a lake with the account.
fn compare(sandbox: &Sandbox, lake: &Path) {
    let mut command = Command::new(tool("python"));
    command.arg(root().join("tests/examples/models.py"));
    done(command.args(["--truth", &sandbox.control(), "--lake", lake.to_str().unwrap()])).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_models_answer_as_the_account_does_whatever_divides_its_files() {
    // GIVEN an account, exported with a folder for each month
    let sandbox = account(900).await;
    let lakes = tempfile::tempdir().unwrap();
    let at = |name: &str| lakes.path().join(name);
    let program = |name: &str, partition: &str| {
        Program::new(&sandbox, at(name))
            .with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms")
            .with("PEARLIFT_RESOURCES_PARTITION", partition)
    };
    program("months", "month").run(&["run"]).expect(0);
    let divided = |name: &str| {
        let all = files(&at(name).join("order"));
        let in_folders = all.iter().filter(|file| file.to_str().unwrap().contains("created_month="));
        (in_folders.count(), all.len())
    };
    let (in_folders, all) = divided("months");
    assert!(all > 3 && in_folders == all, "{in_folders} of {all}");

    // WHEN the models are executed THEN each row follows from the account's records
    compare(&sandbox, &at("months"));

    // AND so they do where one file has all, after a night of payments, goods and edits
    copy_folder(&at("months"), &at("whole"));
    sandbox.age(Duration::from_secs(5 * 3600));
    for (kind, count) in [("customer_payment", 40), ("goods_in_note", 5), ("order", 9), ("journal", 9)] {
        sandbox.insert(kind, count);
    }
    sandbox.edit("order", &sandbox.ids("order").into_iter().rev().take(60).collect::<Vec<_>>());
    sandbox.age(Duration::from_secs(600));
    program("whole", "none").run(&["run"]).expect(0);
    program("whole", "none").run(&["clean", "--repartition"]).expect(0);
    assert_eq!(divided("whole"), (0, 1));
    compare(&sandbox, &at("whole"));
}
