//! The OAuth token set on disk: written before it is used, readable by its owner only.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::failure::{Failure, Kind, Result};
use crate::secret::Secret;
use crate::store::{Step, Watcher};

/// A token set in use.
#[derive(Clone, Debug)]
pub struct TokenSet {
    pub access: Secret,
    pub refresh: Option<Secret>,
    pub token_type: String,
    pub expires_at: Option<Timestamp>,
    /// How long the access token was granted for, when that is known.
    pub life: Option<SignedDuration>,
    /// Where the account lives, when the token answer said so: it may move (API notes §1).
    pub api_domain: Option<String>,
}

/// The file's JSON.
#[derive(Deserialize, Serialize)]
struct Written {
    access_token: String,
    refresh_token: Option<String>,
    token_type: String,
    expires_at: Option<Timestamp>,
    /// Seconds for which the access token was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    life: Option<i64>,
    api_domain: Option<String>,
    /// Fingerprint of the refresh token that was configured when this line of tokens began: another one configured
    /// since means that the account was authorised anew.
    began_with: String,
}

/// The file of one account's tokens.
#[derive(Clone, Debug)]
pub struct TokenFile {
    path: PathBuf,
    began_with: String,
    watcher: Watcher,
}

impl TokenFile {
    /// The file at a path; `configured` is the refresh token (or access token) that settings give.
    pub fn new(path: PathBuf, configured: Option<&Secret>) -> Self {
        let digest = Sha256::digest(configured.map_or("", Secret::reveal).as_bytes());
        let began_with = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { path, began_with, watcher: Watcher::default() }
    }

    /// Who is told of the steps of a write.
    pub fn watch(&mut self, watcher: Watcher) {
        self.watcher = watcher;
    }

    /// Held while a token is refreshed, so that two processes do not both spend the refresh token. What a process wrote that
    /// died before it was in its place is put there first: the source may know no other tokens any more.
    pub fn lock(&self) -> Result<File> {
        self.make_folder()?;
        let path = self.path.with_extension("lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|error| self.failed("lock", error))?;
        file.lock().map_err(|error| self.failed("lock", error))?;
        self.adopt_drafts()?;
        Ok(file)
    }

    /// Drafts of processes that are dead, for the lock is ours: one that is whole is newer than the file, for whoever writes
    /// the file adopts drafts first; half of one is nothing.
    fn adopt_drafts(&self) -> Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let is_draft = |name: &str| {
            let number = name.strip_prefix(&stem).and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".new"));
            number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let failed = |error| self.failed("look for drafts of", error);
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !entry.file_name().to_str().is_some_and(is_draft) {
                continue;
            }
            let text = std::fs::read(entry.path()).map_err(failed)?;
            let ours = serde_json::from_slice::<Written>(&text).is_ok_and(|draft| draft.began_with == self.began_with);
            if ours {
                std::fs::rename(entry.path(), &self.path).map_err(failed)?;
            } else {
                std::fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// The set in the file; `None` where there is none, or when settings began anew since. Refuses a file that others may
    /// read.
    pub fn read(&self) -> Result<Option<TokenSet>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("read", error)),
        };
        // Of the file that was opened: the name may be another's by now.
        let metadata = file.metadata().map_err(|error| self.failed("read", error))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(Failure::new(Kind::Settings, "trust the token file")
                .at(self.path.display().to_string())
                .because("others may read it")
                .advise("`chmod 600` it, or delete it and authorise again"));
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|error| self.failed("read", error))?;
        // A file that is no token set was not written by us whole; the configured tokens still stand.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        let Ok(written) = serde_json::from_slice::<Written>(text) else { return Ok(None) };
        if written.began_with != self.began_with {
            return Ok(None);
        }
        Ok(Some(TokenSet {
            access: Secret::new(&written.access_token),
            refresh: written.refresh_token.as_deref().map(Secret::new),
            token_type: written.token_type,
            expires_at: written.expires_at,
            life: written.life.map(SignedDuration::from_secs),
            api_domain: written.api_domain,
        }))
    }

    /// Writes a set, whole or not at all, for its owner only.
    pub fn write(&self, set: &TokenSet) -> Result<()> {
        self.make_folder()?;
        let written = Written {
            access_token: set.access.reveal().to_owned(),
            refresh_token: set.refresh.as_ref().map(|token| token.reveal().to_owned()),
            token_type: set.token_type.clone(),
            expires_at: set.expires_at,
            life: set.life.map(|life| life.as_secs()),
            api_domain: set.api_domain.clone(),
            began_with: self.began_with.clone(),
        };
        let bytes =
            serde_json::to_vec(&written).map_err(|error| Failure::new(Kind::Bug, "write tokens").caused(error))?;
        let draft = self.path.with_extension(format!("{}.new", std::process::id()));
        // What a dead process left there, or somebody laid there, is not written into: its mode would stay.
        match std::fs::remove_file(&draft) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(self.failed("write", error)),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .map_err(|error| self.failed("write", error))?;
        let name = draft.to_string_lossy();
        self.watcher.reach(Step::TokensOpened, &name)?;
        file.write_all(&bytes).map_err(|error| self.failed("write", error))?;
        self.watcher.reach(Step::TokensWritten, &name)?;
        file.sync_all().map_err(|error| self.failed("write", error))?;
        self.watcher.reach(Step::TokensSynced, &name)?;
        std::fs::rename(&draft, &self.path).map_err(|error| self.failed("write", error))?;
        self.watcher.reach(Step::TokensPlaced, &name)?;
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| self.failed("write", error))?;
        }
        Ok(())
    }

    fn make_folder(&self) -> Result<()> {
        match self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => std::fs::create_dir_all(folder).map_err(|error| self.failed("make the folder of", error)),
            None => Ok(()),
        }
    }

    fn failed(&self, verb: &str, error: std::io::Error) -> Failure {
        Failure::new(Kind::Settings, format!("{verb} the token file"))
            .at(self.path.display().to_string())
            .caused(error)
            .advise("set `token_file` under [auth] to a path that we may write; refreshed tokens are kept there")
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
