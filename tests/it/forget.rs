//! Erasing a person: nothing of the person is left in any file, later reads keep it out, and amounts stay.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use pearlift::config::Limits;
use pearlift::forget::{ForgetOutcome, Forgetting, forget};
use pearlift::sandbox::{AnswerRule, Replacement, Sandbox, Wrong};
use pearlift::secret::{HashKey, Secret};
use pearlift::store::Store;
use pearlift::write::Sizes;
use serde_json::Value;

use crate::examples::done;
use crate::support::{Faults, Program, account, client, copy_folder, fast_folder, files, head, pour, query, tool};

const KEY: &str = "a key of hashes that nobody can guess";
/// Every resource by default, and those that show people once more.
const INCLUDE: &str = "*,contact_search,contact_group_member,sales_order,sales_credit,journal_row";
/// Texts of the person alone: a name, a field that no column names, a value that does not fit, and a row that does not.
const PLANTED: [&str; 5] = ["Xaverine-76", "Quillfeather", "quillgreen-77", "quillsample-78", "Quillnook 79"];

fn program(sandbox: &Sandbox, lake: &Path) -> Program {
    Program::new(sandbox, lake)
        .with("BRIGHTPEARL_HASH_KEY", KEY)
        .with("PEARLIFT_RESOURCES_INCLUDE", INCLUDE)
        .with("PEARLIFT_LIMITS_RETRY_TRIES", "2")
}

fn glob(lake: &Path, table: &str) -> String {
    format!("read_parquet('{}/{table}/**/*.parquet', union_by_name = true)", lake.display())
}

/// The customer with the most orders, and these orders.
fn customer(lake: &Path) -> (i64, Vec<i64>) {
    let found = query(&format!(
        "SELECT contact_id, string_agg(DISTINCT order_id, ',') FROM {} WHERE contact_id >= 10 GROUP BY ALL \
         ORDER BY count(DISTINCT order_id) DESC, contact_id LIMIT 1",
        glob(lake, "order_party")
    ));
    let (person, orders) = found[0].split_once('|').unwrap();
    (person.parse().unwrap(), orders.split(',').map(|order| order.parse().unwrap()).collect())
}

/// The script that lists a person's values and looks for them.
fn script(mode: &str, lake: &Path, which: &str) -> String {
    let mut command = Command::new(tool("python"));
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/forget.py")).arg(mode).arg(lake).arg(which);
    done(&mut command).expect(0).stdout
}

/// The texts that only this person's rows have.
fn values(lake: &Path, person: i64) -> Vec<String> {
    serde_json::from_str(&script("values", lake, &person.to_string())).unwrap()
}

/// Where these values are below a folder, in any form.
fn search(lake: &Path, values: &[String]) -> Vec<String> {
    let wanted = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(wanted.path(), serde_json::to_string(values).unwrap()).unwrap();
    script("search", lake, wanted.path().to_str().unwrap()).lines().map(str::to_owned).collect()
}

/// Sums of money and counts of rows of the tables that have the person's orders.
fn sums(lake: &Path) -> Vec<String> {
    query(&format!(
        "SELECT 'orders', count(*), sum(total), sum(net), sum(base_total) FROM {} \
         UNION ALL SELECT 'rows', count(*), sum(row_net), sum(row_tax), NULL FROM {} \
         UNION ALL SELECT 'lines', count(*), sum(change), NULL, NULL FROM {} \
         UNION ALL SELECT 'credits', count(*), sum(credit_limit), NULL, NULL FROM {} ORDER BY ALL",
        glob(lake, "order"),
        glob(lake, "order_row"),
        glob(lake, "journal_line"),
        glob(lake, "contact")
    ))
}

/// How many of a contact's e-mail addresses, first names and `_extra` are stored.
fn held(lake: &Path, person: i64) -> String {
    let contact = glob(lake, "contact");
    query(&format!(
        "SELECT count(*), count(email), count(first_name), count(_extra) FROM {contact} WHERE id = {person}"
    ))
    .concat()
}

/// Answers about this contact have the planted texts from now on.
async fn plant(sandbox: &Sandbox, person: i64) {
    let path =
        format!("{}/contact-service/contact/{person}?includeOptional=customFields,postalAddresses", sandbox.url());
    let asked = client().get(path).header("brightpearl-staff-token", "sandbox-staff-token");
    let asked = asked.header("brightpearl-app-ref", "acme_export").send().await.unwrap();
    let text = asked.text().await.unwrap();
    let begin = text.find(&format!("{{\"contactId\":{person},")).unwrap();
    let end = begin + text[begin..].find(",\"postAddressIds\"").unwrap();
    let name = format!(
        "{{\"contactId\":{person},\"isPrimaryContact\":\"quillsample-78\",\"firstName\":\"Xaverine-76\",\
         \"lastName\":\"Quillfeather\",\"colour\":\"quillgreen-77\""
    );
    let address = text[text.find("{\"addressId\":").unwrap()..].split_once(',').unwrap().0.to_owned();
    let row = format!("{address},\"contactId\":{person},");
    assert!(text.contains(&row), "{text}");
    let bad_row = format!("{{\"addressId\":\"Quillnook 79\",\"contactId\":{person},");
    let replace = |from: &str, to: String| AnswerRule {
        method: "GET".to_owned(),
        path: "contact-service/contact/".to_owned(),
        at: Vec::new(),
        then: Wrong::Replace(Replacement { from: from.to_owned(), to }),
    };
    let rules = vec![replace(&text[begin..end], name), replace(&row, bad_row)];
    sandbox.change(|settings| settings.answers = rules);
}

/// Panics unless each of these values is in some file, and each kind of file has one.
fn are_everywhere(lake: &Path, wanted: &[String]) {
    let found = search(lake, wanted);
    let parts = [
        "/contact/",
        "/order_party/",
        "/deleted/order_party/",
        "/_pearlift/misfits/contact/",
        "/runs/",
        "/contact_search/",
    ];
    for part in parts.into_iter().chain(wanted.iter().map(String::as_str)) {
        assert!(found.iter().any(|line| line.contains(part)), "{part}: {found:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_of_a_forgotten_person_is_left_in_any_file_nor_comes_back_with_later_reads() {
    // GIVEN an account with a person of whom a value, a field and a row do not fit, and who has a deleted order
    let sandbox = account(60).await;
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path();
    let program = program(&sandbox, lake);
    program.run(&["run", "order"]).expect(0);
    let (person, orders) = customer(lake);
    plant(&sandbox, person).await;
    program.run(&["run"]).expect(0);
    let mut wanted = values(lake, person);
    assert!(wanted.len() > 20, "{wanted:?}");
    wanted.extend(PLANTED.map(str::to_owned));
    sandbox.delete("order", &orders[..1]);
    program.run(&["reconcile", "order"]).expect(0);
    // AND an erasure that lacks its key, or its destination, or is only counted changes nothing
    let before = files(lake);
    let id = person.to_string();
    let forget = ["forget", "--contact", id.as_str()];
    let refused = program.clone().without("BRIGHTPEARL_HASH_KEY").run(&forget).expect(2);
    assert!(refused.said().contains("help: export BRIGHTPEARL_HASH_KEY"), "{}", refused.said());
    let counted = program.run(&["forget", "--contact", &id, "--dry-run"]).expect(0);
    assert!(counted.stdout.contains("contact: 1 row would be emptied"), "{}", counted.stdout);
    assert_eq!(files(lake), before);
    are_everywhere(lake, &wanted);
    let sums_before = sums(lake);

    // WHEN the person is forgotten THEN no file has a value of the person, and amounts are as before
    let said = program.run(&forget).expect(0);
    assert!(
        said.stdout.contains("contact: 1 row emptied") && said.stdout.contains("rejected record"),
        "{}",
        said.stdout
    );
    assert_eq!(search(lake, &wanted), Vec::<String>::new());
    assert_eq!(sums(lake), sums_before);
    assert_eq!(held(lake, person), "1|0|0|0");
    let versions = files(&lake.join("_pearlift/manifests/contact"));
    assert_eq!(versions.len(), 1, "{versions:?}");
    let erasure = head(lake, "contact")["state"]["erasures"][0].clone();
    let hash = HashKey::new(&Secret::new(KEY)).hash(&id);
    assert_eq!((&erasure["person"], &erasure["rows"]["contact"]), (&Value::from(hash), &Value::from(1)), "{erasure}");
    program.run(&["verify", "--deep"]).expect(0);

    // AND neither does it after everything is read again, and after a night with changes of the person
    program.run(&["run", "--full"]).expect(0);
    assert_eq!(search(lake, &wanted), Vec::<String>::new());
    assert_eq!(sums(lake), sums_before);
    sandbox.age(Duration::from_secs(3 * 3600));
    sandbox.touch("contact", &[person]);
    sandbox.touch("order", &orders[1..]);
    program.run(&["run"]).expect(0);
    program.run(&["backfill", "contact", "--ids", &id]).expect(0);
    assert_eq!(search(lake, &wanted), Vec::<String>::new());
    assert_eq!(held(lake, person), "1|0|0|0");
    // AND a run without the key, or with another one, is refused
    program.clone().without("BRIGHTPEARL_HASH_KEY").run(&["run"]).expect(2);
    let other = program.clone().with("BRIGHTPEARL_HASH_KEY", "another key of hashes, as long as the first");
    assert!(other.run(&["run"]).expect(2).said().contains("the key with which they were forgotten"));
    other.run(&forget).expect(2);
    assert_eq!(search(lake, &wanted), Vec::<String>::new());
    program.run(&["verify", "--deep"]).expect(0);

    // WHEN it is lifted THEN the next full read stores the values again
    program.run(&["forget", "--contact", &id, "--lift"]).expect(0);
    program.run(&["run", "--full"]).expect(0);
    assert!(held(lake, person).ends_with("|1|1"), "{}", held(lake, person));
    let found = search(lake, &wanted);
    assert!(found.iter().any(|line| line.contains("Quillfeather")), "{found:?}");
    let again = program.run(&["forget", "--contact", &id, "--lift"]).expect(0);
    assert!(again.stdout.contains("was not on the list"), "{}", again.stdout);
}

/// Erases a person at a store.
async fn erase(
    program: &Program,
    store: &Store,
    person: i64,
    spool: &Path,
) -> pearlift::failure::Result<ForgetOutcome> {
    let request = program.request(&[]);
    let limits: Limits = request.settings.limits().unwrap();
    forget(Forgetting {
        store,
        catalog: &request.catalog,
        account: "acme",
        key: &HashKey::new(&Secret::new(KEY)),
        person,
        spool,
        sizes: Sizes::of(&limits),
        now: Timestamp::now(),
        dry_run: false,
        wait: false,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_erasure_that_crashes_before_a_change_is_completed_by_the_same_command() {
    an_erasure_is_completed_after_a_crash(4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "some minutes, with `make soak`: every change, of which the suite takes one in four"]
async fn an_erasure_that_crashes_before_any_change_is_completed_by_the_same_command() {
    an_erasure_is_completed_after_a_crash(1).await;
}

/// Crashes before one of so many changes of an erasure, each time of a new copy of the lake.
async fn an_erasure_is_completed_after_a_crash(one_in: usize) {
    // GIVEN a lake with rejected and deleted rows of a person
    let sandbox = account(30).await;
    let folder = fast_folder();
    let lake = folder.path().join("lake");
    let lake = lake.as_path();
    let names = ["contact", "order", "order_note"];
    let first = program(&sandbox, lake);
    first.run(&["run", "order"]).expect(0);
    let (person, orders) = customer(lake);
    plant(&sandbox, person).await;
    first.run(&[&["run"], &names[..]].concat()).expect(0);
    let mut wanted = values(lake, person);
    wanted.extend(PLANTED.map(str::to_owned));
    sandbox.delete("order", &orders[..1]);
    first.run(&["reconcile", "order"]).expect(0);
    let amounts = |lake: &Path| query(&format!("SELECT count(*), sum(total), sum(net) FROM {}", glob(lake, "order")));
    let before = amounts(lake);

    // WHEN an erasure crashes before its changes, at the next night or at once
    let (mut crashes, mut ended) = (0, false);
    while !ended {
        let copy = folder.path().join(format!("crashed-{crashes}"));
        copy_folder(lake, &copy);
        let program = program(&sandbox, &copy);
        let faults = Faults::default();
        faults.die_at_change(crashes * one_in);
        let spool = tempfile::tempdir().unwrap();
        let outcome = erase(&program, &faults.before(&program.store()), person, spool.path()).await;
        ended = !faults.is_dead();
        assert_eq!(outcome.is_ok_and(|outcome| outcome.failures.is_empty()), ended, "{crashes}");
        if crashes % 3 == 0 {
            program.run(&[&["run"], &names[..]].concat()).expect(0);
        }
        // THEN the same command completes it
        program.run(&["forget", "--contact", &person.to_string()]).expect(0);
        program.run(&["verify", "--deep"]).expect(0);
        if crashes % 10 == 0 {
            assert_eq!(amounts(&copy), before, "{crashes}");
        }
        crashes += 1;
    }
    assert!(crashes * one_in > 30, "{crashes}");
    std::fs::remove_dir_all(lake).unwrap();
    assert_eq!(search(folder.path(), &wanted), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_person_is_erased_in_a_bucket_too() {
    // GIVEN a bucket with a person's contact and orders
    let sandbox = account(30).await;
    let scratch = tempfile::tempdir().unwrap();
    let program = program(&sandbox, scratch.path());
    let store = Store::memory();
    pearlift::run::run_in(program.request(&["contact", "order"]), store.clone()).await.unwrap();
    let poured = pour(&store).await;
    let (person, _) = customer(poured.path());
    let wanted = values(poured.path(), person);
    assert!(!search(poured.path(), &wanted).is_empty());
    // WHEN the person is forgotten, and everything read again
    let outcome = erase(&program, &store, person, scratch.path()).await.unwrap();
    assert!(outcome.failures.is_empty() && outcome.resources.len() == 2, "{outcome:?}");
    assert_eq!(search(pour(&store).await.path(), &wanted), Vec::<String>::new());
    let mut full = program.request(&["contact", "order"]);
    full.mode = pearlift::run::RunMode::Update { full: true };
    pearlift::run::run_in(full, store.clone()).await.unwrap();
    // THEN no object has a value of the person
    let poured = pour(&store).await;
    assert_eq!(search(poured.path(), &wanted), Vec::<String>::new());
    assert_eq!(held(poured.path(), person), "1|0|0|0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_erasure_gives_up_whole_where_another_run_holds_a_resource() {
    let sandbox = account(20).await;
    let folder = tempfile::tempdir().unwrap();
    let program = program(&sandbox, folder.path());
    program.run(&["run", "contact", "order"]).expect(0);
    let version = head(folder.path(), "contact")["version"].clone();
    // GIVEN a run that holds orders
    let store = program.store();
    let run = "0123456789abcdef0123456789abcdef";
    let locks = store.lock(&["order"], run, false, std::future::pending()).await.unwrap();
    // WHEN a person is to be forgotten THEN nothing is done, and the code is that of a held resource
    let said = program.run(&["forget", "--contact", "12"]).expect(6);
    assert!(said.stderr.contains("order") && said.stderr.contains("--wait"), "{}", said.stderr);
    assert_eq!(head(folder.path(), "contact")["version"], version);
    assert!(files(&folder.path().join("_pearlift/forgotten")).is_empty());
    // WHEN the run has ended THEN it is done
    locks.release().await.unwrap();
    program.run(&["forget", "--contact", "12"]).expect(0);
    assert_eq!(held(folder.path(), 12), "1|0|0|0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn forgetting_a_member_of_staff_leaves_the_customers_of_records_that_they_entered() {
    let sandbox = account(40).await;
    let folder = tempfile::tempdir().unwrap();
    let program = program(&sandbox, folder.path());
    program.run(&["run", "contact", "order"]).expect(0);
    // GIVEN a member of staff who entered orders of others
    let (orders, parties) = (glob(folder.path(), "order"), glob(folder.path(), "order_party"));
    let staff = query(&format!(
        "SELECT created_by_id, count(*) FROM {orders} WHERE created_by_id > 0 GROUP BY ALL ORDER BY 2 DESC LIMIT 1"
    ));
    let staff: i64 = staff[0].split_once('|').unwrap().0.parse().unwrap();
    let own = format!("SELECT order_id FROM {parties} WHERE contact_id = {staff}");
    let of_others =
        format!("SELECT count(*), count(email), count(address_full_name) FROM {parties} WHERE order_id NOT IN ({own})");
    let of_theirs = format!("SELECT count(email) FROM {parties} WHERE order_id IN ({own})");
    let before = query(&of_others);
    // WHEN they are forgotten THEN only the records about them are emptied
    program.run(&["forget", "--contact", &staff.to_string()]).expect(0);
    assert_eq!(held(folder.path(), staff), "1|0|0|0");
    assert_eq!(query(&of_others), before);
    assert_eq!(query(&of_theirs), ["0"]);
    program.run(&["run", "--full", "contact", "order"]).expect(0);
    assert_eq!(query(&of_others), before);
    assert_eq!(held(folder.path(), staff), "1|0|0|0");
}
