//! What the tests share: the program, readers of Parquet, an S3 server, places to write.

mod echo;
mod harm;
mod leaks;
mod program;
mod python;
mod weed;

pub use echo::Echo;
pub use harm::{cut, findings, flip, head, largest, rewrite};
pub use leaks::{Leaks, refuse_in_bucket};
pub use program::{Done, Program, Running};
pub use python::{check_truth, python, query};
pub use weed::Weed;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::Offset;
use pearlift::sandbox::{Sandbox, Settings, Size};

/// A simulated account without a quota.
pub async fn account(orders: u64) -> Sandbox {
    start(Settings { limit: 0, now: Some(this_morning()), ..Settings::default() }, Size { orders, ..Size::default() })
        .await
}

/// Six o'clock UTC of today: the account's clock can go on by hours and the day stays.
pub fn this_morning() -> Timestamp {
    let today = Timestamp::now().as_second() / 86_400 * 86_400;
    Timestamp::from_second(today + 6 * 3600).expect("today is in range")
}

/// The day of the snapshots that a test takes.
pub fn today() -> String {
    Offset::UTC.to_datetime(this_morning()).date().to_string()
}

/// A simulated account.
pub async fn start(settings: Settings, size: Size) -> Sandbox {
    Sandbox::start(settings, &size, 0).await.expect("the sandbox starts")
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
