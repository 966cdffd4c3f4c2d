//! Columns that hold keyed hashes of their values: chosen by name or by the profile `gdpr`.

use std::path::Path;
use std::process::Command;

use pearlift::schema::Catalog;
use pearlift::secret::{HashKey, Secret};

use crate::examples::done;
use crate::support::{Done, Program, account, query, tool};

const KEY: &str = "a key of hashes that nobody can guess";

/// Compares a lake with hashes with a plain one.
fn compare(plain: &Path, hashed: &Path, columns: &[String]) -> Done {
    let mut command = Command::new(tool("python"));
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hashes.py")).args([plain, hashed]).arg(KEY).args(columns);
    done(&mut command)
}

/// All columns that the schema files mark as personal.
fn personal() -> Vec<String> {
    let catalog = Catalog::load(None).unwrap();
    let tables = catalog.resources().iter().flat_map(|resource| &resource.tables);
    let columns = tables.flat_map(|table| {
        let personal = table.columns.iter().filter(|column| column.meaning.personal && !column.tried);
        personal.map(|column| format!("{}.{}", table.name, column.name))
    });
    columns.collect()
}

#[test]
fn a_hash_is_hmac_sha_256_of_the_text() {
    // The first test case of RFC 4231 with a key of printable text, its second.
    let key = HashKey::new(&Secret::new("Jefe"));
    let hash = key.hash("what do ya want for nothing?");
    assert_eq!(hash, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_ne!(key.name(), HashKey::new(&Secret::new("Jeff")).name());
    assert!(!format!("{key:?}").contains("Jefe"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hashes_stand_for_the_values_of_named_columns_and_joins_still_work() {
    // GIVEN an account that is exported plainly, and once more with columns that hold hashes
    let sandbox = account(60).await;
    let folder = tempfile::tempdir().unwrap();
    let (plain, lake) = (folder.path().join("plain"), folder.path().join("hashed"));
    let names = ["order", "contact"];
    Program::new(&sandbox, &plain).run(&["run", names[0], names[1]]).expect(0);
    let program = Program::new(&sandbox, &lake)
        .with("BRIGHTPEARL_HASH_KEY", KEY)
        .with("PEARLIFT_RESOURCE_CONTACT_HASH_COLUMNS", "contact.email,contact.last_name")
        .with("PEARLIFT_RESOURCE_ORDER_HASH_COLUMNS", "order_party.email,order.net");
    let ended = program.run(&["run", names[0], names[1]]).expect(0);
    // THEN each value has the hash that another implementation gives, and all else is the same
    let columns = ["contact.email", "contact.last_name", "order_party.email", "order.net"];
    let compared = compare(&plain, &lake, &columns.map(str::to_owned)).expect(0);
    assert!(!compared.stdout.starts_with("0 "), "{}", compared.said());
    assert!(!ended.said().contains(KEY), "{}", ended.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_the_profile_gdpr_no_value_of_a_person_is_in_any_table() {
    // GIVEN an account that is exported plainly and with the profile
    let sandbox = account(60).await;
    let folder = tempfile::tempdir().unwrap();
    let (plain, lake) = (folder.path().join("plain"), folder.path().join("hashed"));
    Program::new(&sandbox, &plain).run(&["run"]).expect(0);
    let program =
        Program::new(&sandbox, &lake).with("BRIGHTPEARL_HASH_KEY", KEY).with("PEARLIFT_PRIVACY_PROFILE", "gdpr");
    program.run(&["run"]).expect(0);

    // THEN every personal column holds hashes, sums of money are the same, and no value is anywhere else
    let compared = compare(&plain, &lake, &personal()).expect(0);
    assert!(!compared.stdout.starts_with("0 "), "{}", compared.said());

    // WHEN nothing has changed THEN nothing is rewritten
    let again = program.run(&["run", "--log-format", "json"]).expect(0);
    assert!(again.said().contains(r#""bytes_written":0"#), "{}", again.said());
    program.run(&["verify", "--deep"]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tables_with_values_and_another_key_need_everything_read_again() {
    // GIVEN tables that hold values
    let sandbox = account(30).await;
    let lake = tempfile::tempdir().unwrap();
    let plain = Program::new(&sandbox, lake.path());
    plain.run(&["run", "contact"]).expect(0);
    let with = |key: &str| {
        Program::new(&sandbox, lake.path())
            .with("BRIGHTPEARL_HASH_KEY", key)
            .with("PEARLIFT_RESOURCE_CONTACT_HASH_COLUMNS", "contact.last_name")
    };
    let other = "another key of hashes, as long as the first";
    // WHEN hashes are wanted, or others, or values again
    for (program, wanted) in [(with(KEY), true), (with(other), true), (plain, false)] {
        // THEN a run is refused, and one that reads everything again makes them
        let refused = program.run(&["run", "contact"]).expect(2);
        assert!(refused.said().contains("--full"), "{}", refused.said());
        program.run(&["run", "--full", "contact"]).expect(0);
        let glob = format!("read_parquet('{}/contact/**/*.parquet')", lake.path().display());
        let hashed = query(&format!(
            "SELECT count(*) FILTER (length(last_name) = 64) * 100 // count(last_name) FROM {glob} WHERE last_name != ''"
        ));
        assert_eq!(hashed[0] == "100", wanted, "{hashed:?}");
        program.run(&["verify", "--deep"]).expect(0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hashes_need_a_key_that_cannot_be_guessed_and_columns_that_nothing_goes_by() {
    let sandbox = account(20).await;
    let lake = tempfile::tempdir().unwrap();
    let program = || Program::new(&sandbox, lake.path());
    let keyed = || program().with("BRIGHTPEARL_HASH_KEY", KEY);
    let columns = "PEARLIFT_RESOURCE_CONTACT_HASH_COLUMNS";
    for (program, because) in [
        (program().with(columns, "contact.last_name"), "BRIGHTPEARL_HASH_KEY"),
        (program().with("PEARLIFT_PRIVACY_PROFILE", "gdpr"), "BRIGHTPEARL_HASH_KEY"),
        (program().with(columns, "contact.last_name").with("BRIGHTPEARL_HASH_KEY", "short"), "at least 32 bytes"),
        (keyed().with(columns, "contact.id"), "part of the key"),
        (keyed().with(columns, "contact.updated_on"), "is needed"),
        (keyed().with(columns, "contact.nickname"), "no column `nickname`"),
        (keyed().with(columns, "last_name"), "`contact.last_name`"),
        (keyed().with(columns, "contact_custom_field.value_date"), "shows the text of another column"),
        (keyed().with("PEARLIFT_PRIVACY_PROFILE", "all"), "gdpr"),
    ] {
        let ended = program.run(&["run", "contact"]).expect(2);
        assert!(ended.said().contains(because), "{because}: {}", ended.said());
    }
}
