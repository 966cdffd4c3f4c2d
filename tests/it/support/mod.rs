//! Parts that the tests share: the program, readers of Parquet, an S3 server, places to write.

mod answers;
mod azurite;
mod faulty;
mod echo;
mod harm;
mod leaks;
mod own_files;
mod program;
mod proxy;
mod python;
mod weed;

pub use answers::{answer, serve};
pub use azurite::Azurite;
pub use echo::Echo;
pub use faulty::{Fault, Faults, Gate, Sorry, Verb};
pub use harm::{cut, findings, flip, head, largest, rewrite, version};
pub use leaks::{Leaks, refuse_in_bucket};
pub use own_files::{own_files, root, rust_files};
pub use program::{Done, Program, Running};
pub use proxy::{Answer, Proxy};
pub use python::{
    S3_KEY, S3_SECRET, check_truth, compare_with_truth, look, peak_memory, python, python_file, query, tool,
};
pub use weed::Weed;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::Offset;
use pearlift::sandbox::{Sandbox, SandboxSettings, Size};
use pearlift::store::Store;

/// A simulated account without a quota.
pub async fn account(orders: u64) -> Sandbox {
    start(
        SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() },
        Size { orders, ..Size::default() },
    )
    .await
}

/// The day of the simulated accounts: long past, so that nothing depends on the machine's clock.
const DAY: &str = "2025-11-19";

/// Six o'clock UTC of the accounts' day: their clock can advance by hours and the day stays. `ACCOUNT_DAY` is another day
/// (`make clocks`).
pub fn this_morning() -> Timestamp {
    let day = std::env::var_os("ACCOUNT_DAY").map_or_else(|| DAY.to_owned(), |day| day.into_string().unwrap());
    format!("{day}T06:00:00Z").parse().expect("ACCOUNT_DAY is a day")
}

/// The day of the snapshots that a test takes.
pub fn today() -> String {
    Offset::UTC.to_datetime(this_morning()).date().to_string()
}

/// A simulated account.
pub async fn start(settings: SandboxSettings, size: Size) -> Sandbox {
    // A client of the tests may be the first of the process. One that is installed already stays.
    drop(rustls::crypto::ring::default_provider().install_default());
    Sandbox::start(settings, &size, 0).await.expect("the sandbox starts")
}

/// An HTTP client for requests to this machine.
pub fn client() -> reqwest::Client {
    pearlift::tls::install_provider();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Every record of a kind as the account has it, a JSON object a line.
pub async fn truth(sandbox: &Sandbox, kind: &str) -> String {
    let client = client();
    client.post(format!("{}/truth/{kind}", sandbox.control())).send().await.unwrap().text().await.unwrap()
}

/// Copies a folder with everything in it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A folder in memory where the system has one: thousands of files are synced here, and no power fails.
pub fn fast_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Writes a bucket to a folder, for readers.
pub async fn pour(store: &Store) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, _) in store.list("").await.unwrap() {
        let target = folder.path().join(&path);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::write(target, store.get(&path).await.unwrap().unwrap()).unwrap();
    }
    folder
}

/// Whether a path is that of a file of the history, to which each command appends.
pub fn is_history(path: &Path) -> bool {
    path.to_string_lossy().contains("/_pearlift/history/")
}

/// Every file below a folder, sorted; none where it does not exist.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// The built-in schemas, with id sets of at most `most` ids; of contacts more, for they page silently.
pub fn schemas_with_sets_of(most: usize, folder: &Path) {
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let most = if path.ends_with("contact.toml") { 3 * most + 1 } else { most };
            let lines = std::fs::read_to_string(&path).unwrap();
            let lines = lines.lines().map(|line| match line.strip_prefix("max_ids = ") {
                Some(_) => format!("max_ids = {most}\n"),
                None => format!("{line}\n"),
            });
            std::fs::write(folder.join(path.file_name().unwrap()), lines.collect::<String>()).unwrap();
        }
    }
}

/// A folder with a schema of orders that lacks columns, and digits of another.
pub fn lean_orders() -> tempfile::TempDir {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/order.toml")).unwrap();
    let lacks = ["\"placed_on\"", "\"lead_source_id\"", "\"base_total\"", "\"acknowledged\""];
    let lines = text.lines().filter(|line| !lacks.iter().any(|name| line.contains(&format!("name = {name}"))));
    let lean: String = lines.map(|line| format!("{line}\n")).collect();
    let lean = lean.replace("decimal(18,10)", "decimal(14,10)");
    assert!(
        lean.lines().count() + lacks.len() <= text.lines().count() && lean.contains("(14,10)"),
        "it lacks something"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("order.toml"), lean).unwrap();
    folder
}
