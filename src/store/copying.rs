//! Copies that the service makes after it has answered: Azure Blob Storage may take its time, and the source of the copy
//! must stay until then.
//!
//! Takes the outcome of a copy, gives it once the copy is there. Refuses (as an error of the store) a copy that is not
//! finished within [`WAIT`], or that the service gave up.

use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, Result};
use tokio::time::Instant;

use crate::store::network::Untaken;

/// The longest time that a copy of at most some hundred megabytes within one account is waited for.
const WAIT: Duration = Duration::from_secs(120);
/// The time between two looks at an unfinished copy.
const PAUSE: Duration = Duration::from_millis(250);
/// The state of a copy that is not finished.
const PENDING: &str = "pending";
/// The code of a refusal of a copy to a place to which another copy is being made.
const AT_WORK: &str = "PendingCopyOperation";

/// Waits until a copy to a place is there, where the service answered before it was.
pub(super) async fn finished(store: &dyn ObjectStore, to: &Path, copied: Result<()>) -> Result<()> {
    let Err(mut error) = copied else { return Ok(()) };
    let begun = Instant::now();
    while continues(&error) && begun.elapsed() < WAIT {
        tokio::time::sleep(PAUSE).await;
        match store.head(to).await {
            Ok(_) => return Ok(()),
            Err(next) => error = next,
        }
    }
    Err(error)
}

fn continues(error: &object_store::Error) -> bool {
    match Untaken::among(error) {
        Some(Untaken::Copying(state)) => state == PENDING,
        Some(_) => false,
        None => error.to_string().contains(AT_WORK),
    }
}
