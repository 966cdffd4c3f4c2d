//! The named steps between which a process may crash: a test stops at each of them and checks the result.
//!
//! The stages call [`Store::reach`] when a step is done; a watcher of the store may end the process there.

use std::fmt;
use std::sync::Arc;

use crate::failure::Result;
use crate::store::Store;

/// Something that is just done, in the order of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreStep {
    /// The locks are taken; nothing is asked or written yet.
    Locked,
    /// A draft of new tokens is there, empty: the source has given them, and perhaps ended the former ones.
    TokensOpened,
    /// The draft is whole; it is not synced yet.
    TokensWritten,
    /// The draft is durable; the token file is still the former one.
    TokensSynced,
    /// The draft has become the token file.
    TokensPlaced,
    /// A version of our own is stored, so that a crashed run can no longer commit.
    Claimed,
    /// The commits of a crashed run are published.
    Recovered,
    /// Files that a crashed run staged and did not commit are deleted.
    Swept,
    /// The last versions' removes are deleted once more.
    RemovedAgain,
    /// A segment of the spool is begun on the local disk; nothing is in it.
    SegmentOpened,
    /// The segment is whole; the spool does not know of it yet.
    SegmentWritten,
    /// A page is in the spool.
    Spooled,
    /// A file is written; it is not synced or uploaded yet.
    Written,
    /// The file is durable at its staged path.
    Staged,
    /// All files of a table are staged, perhaps not those of the next.
    TableStaged,
    /// The plan of an unfinished scan is stored.
    PlanKept,
    /// The rejected records are stored.
    RejectedKept,
    /// Everything that a version names is durable; the version is not put.
    Ready,
    /// The version is stored; nothing of it is published.
    Decided,
    /// One file of a partition is at its final path.
    Copied,
    /// All files of a partition are copied; those that they replace still exist.
    CopiedAll,
    /// The files that the partition's new files replace are deleted.
    Replaced,
    /// Every partition is published; staging is not cleared.
    Published,
    /// Staging is cleared.
    Cleared,
    /// The Delta log of a table has the commit that follows a version.
    Logged,
    /// A checkpoint of a Delta log is put; the pointer still names the one before.
    LogCheckpointed,
    /// The pointer names the new checkpoint; older commits still exist.
    LogPointed,
    /// Commits and checkpoints of a Delta log that nobody needs are deleted.
    LogShortened,
    /// Superseded files are deleted after the retention; the log still names them as removed lately.
    Expired,
    /// Everything is done; the locks are still held.
    Done,
}

impl StoreStep {
    /// Every step.
    pub const ALL: [Self; 30] = [
        Self::Locked,
        Self::TokensOpened,
        Self::TokensWritten,
        Self::TokensSynced,
        Self::TokensPlaced,
        Self::Claimed,
        Self::Recovered,
        Self::Swept,
        Self::RemovedAgain,
        Self::SegmentOpened,
        Self::SegmentWritten,
        Self::Spooled,
        Self::Written,
        Self::Staged,
        Self::TableStaged,
        Self::PlanKept,
        Self::RejectedKept,
        Self::Ready,
        Self::Decided,
        Self::Copied,
        Self::CopiedAll,
        Self::Replaced,
        Self::Published,
        Self::Cleared,
        Self::Logged,
        Self::LogCheckpointed,
        Self::LogPointed,
        Self::LogShortened,
        Self::Expired,
        Self::Done,
    ];
}

type Watch = dyn Fn(StoreStep, &str) -> Result<()> + Send + Sync;

/// The receiver of steps; none by default.
#[derive(Clone, Default)]
pub struct Watcher(Option<Arc<Watch>>);

impl Watcher {
    /// A step is done, for this path or resource.
    pub fn reach(&self, step: StoreStep, of: &str) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |watch| watch(step, of))
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Watcher" } else { "nobody" })
    }
}

impl Store {
    /// The same store with a watcher: `watch` is called at each step with the path or resource concerned. A failure
    /// that it returns is that of the step.
    pub fn watched(mut self, watch: impl Fn(StoreStep, &str) -> Result<()> + Send + Sync + 'static) -> Self {
        self.watcher = Watcher(Some(Arc::new(watch)));
        self
    }

    /// A step is done, for this path or resource.
    pub fn reach(&self, step: StoreStep, of: &str) -> Result<()> {
        self.watcher.reach(step, of)
    }

    /// The receiver of steps, for files that are written beside the store: the spool and the token file.
    pub fn watcher(&self) -> Watcher {
        self.watcher.clone()
    }
}
