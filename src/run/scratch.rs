//! The folder of a command's scratch files: the system's or the user's, removed at the command's end.
//!
//! A killed process leaves its folder. Each folder holds a lock that ends with its process, so that the next command
//! with a folder at the same place finds the lock free, and removes the old folder.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::TempDir;

use crate::failure::{Failure, Kind, Result};

/// How the names of such folders begin.
const PREFIX: &str = "pearlift-";
/// The mode of a folder, regardless of the umask: no other user of the machine may read the rows in it.
const PRIVATE: u32 = 0o700;
/// Held locked by the process that the folder is of.
const LOCK: &str = "pearlift.lock";

/// A folder for scratch files.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    _lock: File,
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A folder for scratch files below this one, or below the system's for temporary files; folders of ended processes
/// there are removed.
pub fn spool_folder(below: Option<&Path>) -> Result<Scratch> {
    let below = below.map_or_else(std::env::temp_dir, Path::to_owned);
    let make = || {
        std::fs::create_dir_all(&below)?;
        let folder =
            tempfile::Builder::new().prefix(PREFIX).permissions(Permissions::from_mode(PRIVATE)).tempdir_in(&below)?;
        // The lock gets its name only once it is held: until then no other process takes the folder for a left one.
        let draft = folder.path().join("draft");
        let lock = File::create_new(&draft)?;
        lock.lock()?;
        std::fs::rename(draft, folder.path().join(LOCK))?;
        sweep(&below, std::fs::metadata(folder.path())?.uid());
        Ok(Scratch { folder, _lock: lock })
    };
    make().map_err(|error: std::io::Error| {
        Failure::new(Kind::Settings, "make a folder for the spool")
            .at(below.display().to_string())
            .caused(error)
            .advise("set `limits.spool` to a folder that we may write")
    })
}

/// Removes the folders of this user's ended processes. A folder that cannot be read or removed is left to the next
/// sweep.
fn sweep(below: &Path, user: u32) {
    for entry in std::fs::read_dir(below).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // A folder of another user, or behind a link, may hold anything.
        let is_ours = entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == user);
        let lock = entry.path().join(LOCK);
        if is_ours && File::open(lock).is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_other_user_may_look_into_a_scratch_folder() {
        let below = tempfile::tempdir().unwrap();
        let scratch = spool_folder(Some(below.path())).unwrap();
        let mode = std::fs::metadata(scratch.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{mode:o}");
    }
}
