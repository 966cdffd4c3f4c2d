//! Locks in a folder: file locks of the system, which end with their process.
//!
//! A lock file is one that nobody else may open, for a process that can open it can hold it (`flock` asks for no right
//! to write).

use std::collections::VecDeque;
use std::fs::{File, TryLockError};
use std::time::Duration;

use tokio::time::Instant;

use crate::disk::{Folder, user};
use crate::failure::{Failure, Kind, Result};
use crate::store::error::{busy_start, local};
use crate::store::lock::{HeldLock, LockWait, Locks, START, out_of_turn};
use crate::store::{StoreKind, paths};

/// How often a lock file that another process holds is tried again.
const POLL: Duration = Duration::from_millis(50);
/// The start lock is held for as long as some files are opened. A process that holds it for so long holds it for
/// another reason.
const START_FOR: Duration = Duration::from_secs(60);

impl Locks {
    /// Takes the lock files of these names. Refuses (`HeldLock`) where the start lock does not come free.
    pub(super) async fn take_files(
        &mut self,
        names: Vec<String>,
        wait: bool,
        budget: &mut LockWait<'_, impl Future<Output = ()>>,
    ) -> Result<()> {
        let begun = Instant::now();
        let start = loop {
            match self.try_file(START)? {
                Some(file) => break Some(file),
                None if begun.elapsed() >= START_FOR => return Err(busy_start(&paths::lock(START), START_FOR)),
                None if budget.lasts(POLL).await => {}
                None => break None,
            }
        };
        let mut busy = VecDeque::new();
        for name in names {
            let taken = if start.is_none() || out_of_turn(wait, busy.len()) { None } else { self.try_file(&name)? };
            match taken {
                Some(file) => {
                    self.files.insert(name, file);
                }
                None => busy.push_back(name),
            }
        }
        drop(start);
        while wait && !busy.is_empty() && budget.lasts(POLL).await {
            while let Some(name) = busy.pop_front() {
                match self.try_file(&name)? {
                    Some(file) => {
                        self.files.insert(name, file);
                    }
                    None => {
                        busy.push_front(name);
                        break;
                    }
                }
            }
        }
        let by = "another run on this folder";
        self.held_by_others.extend(busy.into_iter().map(|name| HeldLock { name, by: by.to_owned() }));
        Ok(())
    }

    /// Takes a lock file; `None` when another holds it. Refuses (`StoreRefused`) anything but a lock file of ours.
    pub(super) fn try_file(&self, name: &str) -> Result<Option<File>> {
        let StoreKind::Folder(folder) = &self.store.place else {
            return Err(Failure::new(Kind::Bug, "lock a file in a bucket"));
        };
        let path = paths::lock(name);
        let wrong = |verb, error| local(verb, &folder.place(&path), error);
        let file = open(folder, &path).map_err(|error| wrong("open", error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(wrong("lock", error)),
        }
    }
}

/// A lock file of this user, or of the one that the destination belongs to.
fn open(folder: &Folder, path: &str) -> std::io::Result<File> {
    folder.lock_file(path, &[user(), folder.owner()?])
}
