//! The error of an object that is not used, of any origin.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

/// Something at a path that is not used: a link, a pipe, a file of somebody else, a file that is too large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    path: PathBuf,
    why: String,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path.display().to_string().escape_debug(), self.why)
    }
}

impl Error for Unfit {}

/// The error that something at a path is not used; `why` fits after its name.
pub fn unfit(path: &Path, why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, Unfit { path: path.to_owned(), why: why.into() })
}

/// Whether an error was made by [`unfit`].
pub fn is_unfit(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Unfit>())
}

/// The reason why something of this type is not used as a file or a folder, if it is neither.
pub(super) fn odd_type(found: FileType) -> Option<&'static str> {
    match found {
        FileType::RegularFile | FileType::Directory => None,
        FileType::Symlink => Some("is a symbolic link"),
        FileType::Fifo => Some("is a pipe, no file"),
        FileType::Socket => Some("is a socket, no file"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("is a device, no file"),
        _ => Some("is no file"),
    }
}
