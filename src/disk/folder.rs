//! A folder held open, and the files and folders below it.
//!
//! Each name of a path is opened relative to the folder before it and without following a link, so that replacing a
//! folder by a link in the meantime has no effect. The folder itself may be behind links: it is as the user wrote it.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, fchmod, fsync, linkat, mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::disk::small::{bytes, regular};
use crate::disk::unfit::{odd_type, unfit};
use crate::disk::user;

/// Folders below folders that are listed: ours are four deep.
const DEEPEST: usize = 16;
/// Files and folders are made with these modes, minus the umask.
const FILE: Mode = Mode::from_raw_mode(0o666);
const FOLDER: Mode = Mode::from_raw_mode(0o777);
/// Files that nobody else may open: a process that can open a lock file can hold it.
const PRIVATE: Mode = Mode::from_raw_mode(0o600);

/// A folder held open. Paths are relative to it, with `/` between names, none of which is empty, `.` or `..`.
#[derive(Clone, Debug)]
pub struct Folder {
    handle: Arc<OwnedFd>,
    path: PathBuf,
}

/// A file below a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub path: String,
    pub bytes: u64,
    /// When it was written, in seconds since 1970, as the file system has it.
    pub modified: u64,
}

/// The treatment of a folder on the way that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Refuse,
    /// Makes it, durably.
    Make,
}

impl Folder {
    /// Opens a folder, behind links too.
    pub fn open(path: &Path) -> Result<Self> {
        let handle = openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { handle: Arc::new(handle), path: path.to_owned() })
    }

    /// Its path, as it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The user that it belongs to.
    pub fn owner(&self) -> Result<u32> {
        Ok(rustix::fs::fstat(&*self.handle)?.st_uid)
    }

    /// The whole path of something below, for messages.
    pub fn place(&self, below: &str) -> PathBuf {
        self.path.join(below)
    }

    /// Opens a regular file to be read.
    pub fn open_file(&self, below: &str) -> Result<File> {
        let (folder, name) = self.parent(below, Missing::Refuse)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = openat(&folder, name, flags, Mode::empty()).map_err(|error| self.odd(&folder, below, error))?;
        regular(File::from(opened), &self.place(below))
    }

    /// The bytes of a regular file of at most this many bytes.
    pub fn read(&self, below: &str, most: u64) -> Result<Vec<u8>> {
        bytes(self.open_file(below)?, &self.place(below), most)
    }

    /// Makes a file where nothing is, with the folders on the way.
    pub fn create(&self, below: &str) -> Result<File> {
        self.create_as(below, FILE)
    }

    /// Makes a file where nothing is that nobody else may open.
    pub fn create_private(&self, below: &str) -> Result<File> {
        self.create_as(below, PRIVATE)
    }

    fn create_as(&self, below: &str, mode: Mode) -> Result<File> {
        let (folder, name) = self.parent(below, Missing::Make)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(openat(&folder, name, flags, mode)?))
    }

    /// Opens a file to be locked, or makes it: private to its user, owned by one of these users. Refuses anything but a
    /// regular file, a file of another user, because that user could hold it, and one with a second name, because its
    /// mode would change too.
    pub fn lock_file(&self, below: &str, owners: &[u32]) -> Result<File> {
        let (folder, name) = self.parent(below, Missing::Make)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = openat(&folder, name, flags | OFlags::CLOEXEC, PRIVATE);
        let opened = opened.map_err(|error| self.odd(&folder, below, error))?;
        let file = regular(File::from(opened), &self.place(below))?;
        let found = file.metadata()?;
        if !owners.contains(&found.uid()) {
            return Err(unfit(&self.place(below), format!("belongs to another user ({})", found.uid())));
        }
        if found.nlink() > 1 {
            return Err(unfit(&self.place(below), "is a file that has another name too"));
        }
        // Of an earlier version, with lock files that any user could open. A process that opened one then still has it.
        if found.mode() & 0o777 != 0o600 && found.uid() == user() {
            fchmod(&file, PRIVATE)?;
        }
        Ok(file)
    }

    /// Makes a file known by another name, where nothing is, durably.
    pub fn link(&self, from: &str, to: &str) -> Result<()> {
        let (source, name) = self.parent(from, Missing::Refuse)?;
        if self.kind(&source, from)? != FileType::RegularFile {
            return Err(unfit(&self.place(from), "is no file"));
        }
        let (target, new) = self.parent(to, Missing::Make)?;
        linkat(&source, name, &target, new, AtFlags::empty())?;
        Ok(fsync(&target)?)
    }

    /// Puts a file in the place of another, durably.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (source, name) = self.parent(from, Missing::Refuse)?;
        let (target, new) = self.parent(to, Missing::Refuse)?;
        renameat(&source, name, &target, new)?;
        Ok(fsync(&target)?)
    }

    /// Removes a file.
    pub fn remove(&self, below: &str) -> Result<()> {
        let (folder, name) = self.parent(below, Missing::Refuse)?;
        self.kind(&folder, below)?;
        Ok(unlinkat(&folder, name, AtFlags::empty())?)
    }

    /// Removes a folder that is empty.
    pub fn remove_empty(&self, below: &str) -> Result<()> {
        let (folder, name) = self.parent(below, Missing::Refuse)?;
        Ok(unlinkat(&folder, name, AtFlags::REMOVEDIR)?)
    }

    /// Removes the entry of this name; of a link the link itself, and not its target.
    pub fn discard(&self, below: &str) -> Result<()> {
        let (folder, name) = self.parent(below, Missing::Refuse)?;
        Ok(unlinkat(&folder, name, AtFlags::empty())?)
    }

    /// Syncs a file and every folder between it and this one, this one too: a new folder must be durable as well.
    pub fn sync(&self, below: &str) -> Result<()> {
        self.open_file(below)?.sync_all()?;
        let mut above = below;
        while let Some((folder, _)) = above.rsplit_once('/') {
            fsync(&*self.walk(folder, Missing::Refuse)?)?;
            above = folder;
        }
        Ok(fsync(&*self.handle)?)
    }

    /// The regular files below, at any depth, in no order; none below a missing folder. Refuses anything but files and
    /// folders.
    pub fn list(&self, below: &str) -> Result<Vec<Listed>> {
        let mut found = Vec::new();
        let mut folders = vec![below.to_owned()];
        while let Some(next) = folders.pop() {
            if next.split('/').count() > DEEPEST {
                return Err(unfit(&self.place(&next), "is deeper than any file that pearlift writes"));
            }
            let folder = match self.walk(&next, Missing::Refuse) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                walked => walked?,
            };
            for name in self.names_in(&folder, &next)? {
                let path = join(&next, &name);
                let stat = match statat(&folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
                    // Removed meanwhile.
                    Err(Errno::NOENT) => continue,
                    stat => stat?,
                };
                match self.fit(FileType::from_raw_mode(stat.st_mode), &path)? {
                    FileType::Directory => folders.push(path),
                    _ => found.push(Listed {
                        path,
                        bytes: u64::try_from(stat.st_size).unwrap_or(0),
                        modified: u64::try_from(stat.st_mtime).unwrap_or(0),
                    }),
                }
            }
        }
        Ok(found)
    }

    /// The names of files and of folders directly below, in no order; none below a missing folder. Refuses anything
    /// else.
    pub fn list_names(&self, below: &str) -> Result<(Vec<String>, Vec<String>)> {
        let (mut files, mut folders) = (Vec::new(), Vec::new());
        let folder = match self.walk(below, Missing::Refuse) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((files, folders)),
            walked => walked?,
        };
        for name in self.names_in(&folder, below)? {
            match self.kind(&folder, &join(below, &name)) {
                Ok(FileType::Directory) => folders.push(name),
                Ok(_) => files.push(name),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok((files, folders))
    }

    /// The names directly in this folder, of objects of any kind.
    pub fn names(&self) -> Result<Vec<String>> {
        let entries = Dir::read_from(&*self.handle)?;
        let names = entries.map(|entry| Ok(entry?.file_name().to_str().ok().map(str::to_owned)));
        names.filter_map(Result::transpose).collect()
    }

    fn names_in(&self, folder: &OwnedFd, below: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy();
            if matches!(&*name, "." | "..") {
                continue;
            }
            match entry.file_name().to_str() {
                Ok(text) => names.push(text.to_owned()),
                Err(_) => return Err(unfit(&self.place(&join(below, &name)), "has a name that is not text")),
            }
        }
        Ok(names)
    }

    /// The type of an entry of a folder; refuses anything but a file or folder.
    fn kind(&self, folder: &OwnedFd, below: &str) -> Result<FileType> {
        let stat = statat(folder, last(below), AtFlags::SYMLINK_NOFOLLOW)?;
        self.fit(FileType::from_raw_mode(stat.st_mode), below)
    }

    fn fit(&self, found: FileType, below: &str) -> Result<FileType> {
        odd_type(found).map_or(Ok(found), |why| Err(unfit(&self.place(below), why)))
    }

    /// The folder of something below, and its name there.
    fn parent<'a>(&self, below: &'a str, missing: Missing) -> Result<(Arc<OwnedFd>, &'a str)> {
        check_names(below)?;
        let (folder, name) = below.rsplit_once('/').unwrap_or(("", below));
        Ok((self.walk(folder, missing)?, name))
    }

    /// Opens a folder below, name by name.
    fn walk(&self, below: &str, missing: Missing) -> Result<Arc<OwnedFd>> {
        let mut here = Arc::clone(&self.handle);
        if below.is_empty() {
            return Ok(here);
        }
        check_names(below)?;
        let mut end = 0;
        for name in below.split('/') {
            end += name.len();
            here = Arc::new(self.step(&here, &below[..end], missing)?);
            end += 1;
        }
        Ok(here)
    }

    fn step(&self, here: &OwnedFd, below: &str, missing: Missing) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || openat(here, last(below), flags, Mode::empty());
        let opened = match open() {
            Err(Errno::NOENT) if missing == Missing::Make => {
                match mkdirat(here, last(below), FOLDER) {
                    // Another was faster.
                    Ok(()) | Err(Errno::EXIST) => fsync(here)?,
                    Err(error) => return Err(error.into()),
                }
                open()
            }
            opened => opened,
        };
        opened.map_err(|error| self.odd(here, below, error))
    }

    /// The error of an opening, in terms of the entry if that is the reason.
    fn odd(&self, folder: &OwnedFd, below: &str, error: Errno) -> Error {
        match error {
            Errno::LOOP | Errno::MLINK | Errno::NOTDIR | Errno::NXIO | Errno::OPNOTSUPP => {
                self.kind(folder, below).err().unwrap_or_else(|| error.into())
            }
            _ => error.into(),
        }
    }
}

/// The last name of a path.
fn last(below: &str) -> &str {
    below.rsplit('/').next().unwrap_or(below)
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Refuses a path with names that lead elsewhere, before anything is made of it.
fn check_names(below: &str) -> Result<()> {
    match below.split('/').any(|name| matches!(name, "" | "." | "..")) {
        true => Err(Error::new(ErrorKind::InvalidInput, "a path of ours has no such part")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::disk::is_unfit;

    #[test]
    fn a_lock_file_is_of_one_of_the_users_that_are_expected() {
        let below = tempfile::tempdir().unwrap();
        let folder = Folder::open(below.path()).unwrap();
        let mode = folder.lock_file("locks/a", &[user()]).unwrap().metadata().unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        let refused = folder.lock_file("locks/a", &[user() + 1]).unwrap_err();
        assert!(is_unfit(&refused) && refused.to_string().contains("belongs to another user"), "{refused}");
    }

    #[test]
    fn a_folder_that_is_swapped_for_a_link_while_it_is_open_leads_nowhere() {
        let below = tempfile::tempdir().unwrap();
        let (inside, outside) = (below.path().join("lake"), below.path().join("outside"));
        std::fs::create_dir_all(inside.join("table")).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        let folder = Folder::open(&inside).unwrap();
        // GIVEN a folder below, opened
        let table = folder.walk("table", Missing::Refuse).unwrap();
        // WHEN it is swapped for a link
        std::fs::rename(inside.join("table"), inside.join("moved")).unwrap();
        symlink(&outside, inside.join("table")).unwrap();
        // THEN a file made in it is in the old place, and the link is refused
        let made = openat(&table, "file", OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY, FILE).unwrap();
        drop(made);
        assert!(inside.join("moved/file").exists());
        assert!(is_unfit(&folder.create("table/file").unwrap_err()));
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn names_that_lead_elsewhere_are_no_names() {
        let below = tempfile::tempdir().unwrap();
        let folder = Folder::open(below.path()).unwrap();
        for path in ["", "..", ".", "../a", "a/../b", "/a", "a//b", "a/"] {
            let refused = folder.create(path).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{path}: {refused}");
        }
        assert_eq!(std::fs::read_dir(below.path()).unwrap().count(), 0, "nothing was made");
    }
}
