//! Small files that the user named: settings, schema files, files of secrets. Links on the way are the user's own.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::disk::unfit::{odd_type, unfit};

/// Opens a regular file to be read, behind links too. Waits for nobody: refuses pipes, sockets, devices and folders.
pub fn open(path: &Path) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = openat(CWD, path, flags, Mode::empty()).map_err(|error| match error {
        // A socket.
        Errno::NXIO | Errno::OPNOTSUPP => unfit(path, "is no file"),
        _ => error.into(),
    })?;
    regular(File::from(opened), path)
}

/// The bytes of a regular file of at most this many bytes.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    bytes(open(path)?, path, most)
}

/// The text of a regular file of at most this many bytes.
pub fn read_text(path: &Path, most: u64) -> Result<String> {
    String::from_utf8(read(path, most)?).map_err(|_| Error::new(ErrorKind::InvalidData, "it is not text in UTF-8"))
}

/// Puts a file in the place of another, whole: written beside it under another name, synced, and renamed. Its mode is the
/// one that the umask permits.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().ok_or_else(|| Error::new(ErrorKind::InvalidInput, "it names no file"))?;
    let mut draft = name.to_owned();
    // Two processes do not write the same draft, and a process that crashed left at most one.
    draft.push(format!(".{}.tmp", std::process::id()));
    let draft = path.with_file_name(draft);
    let _ = std::fs::remove_file(&draft);
    let written = File::create_new(&draft).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    let placed = written.and_then(|()| std::fs::rename(&draft, path));
    if placed.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    placed
}

/// An opened file, if it is a regular one.
pub(super) fn regular(file: File, path: &Path) -> Result<File> {
    let found = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
    match odd_type(found) {
        Some(why) => Err(unfit(path, why)),
        None if found == FileType::Directory => Err(Error::new(ErrorKind::IsADirectory, "it is a folder")),
        None => Ok(file),
    }
}

/// The content of an open file, at most this many bytes: refused by its size before anything is read, and while it is
/// read if it grows meanwhile.
pub(super) fn bytes(mut file: File, path: &Path, most: u64) -> Result<Vec<u8>> {
    let size = file.metadata()?.len();
    let mut bytes = Vec::new();
    if size <= most {
        Read::by_ref(&mut file).take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    }
    let read = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size > most || read > most {
        return Err(unfit(path, format!("has {} bytes, and at most {most} are read", size.max(read))));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::is_unfit;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_refused_above() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "1234").unwrap();
        assert_eq!(read_text(&path, 4).unwrap(), "1234");
        let refused = read(&path, 3).unwrap_err();
        assert!(is_unfit(&refused) && refused.to_string().contains("has 4 bytes"), "{refused}");
        // GIVEN a file that says to hold nothing
        let refused = bytes(open(&path).unwrap(), &path, 0).unwrap_err();
        assert!(is_unfit(&refused), "{refused}");
    }

    #[test]
    fn what_has_no_end_is_not_read_and_nobody_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for path in [&pipe, &socket, &link] {
            let refused = read(path, 10).unwrap_err();
            assert!(is_unfit(&refused) && refused.to_string().contains(path.to_str().unwrap()), "{refused}");
        }
        assert_eq!(read(folder.path(), 10).unwrap_err().kind(), ErrorKind::IsADirectory);
        assert_eq!(read(&folder.path().join("none"), 10).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
