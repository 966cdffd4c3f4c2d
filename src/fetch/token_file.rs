//! The OAuth token set on disk: written before it is used, readable by its owner only.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::config::{NamedSecret, OAuth, capitalised};
use crate::disk::{self, Folder, unfit, user};
use crate::failure::{Failure, Kind, Result};
use crate::fetch::grant::Grant;
use crate::secret::Secret;
use crate::store::{StoreStep, Watcher};

/// The most bytes of a token file: a set has a few hundred.
const MOST_BYTES: u64 = 1 << 20;
/// How often the lock is tried again, and for how long: another process holds it while it asks for one token set.
const POLL: Duration = Duration::from_millis(50);
const LOCK_FOR: Duration = Duration::from_secs(300);
/// Names for a draft that are tried: in a shared folder somebody may have taken ours.
const DRAFTS: usize = 16;

/// A token set in use.
#[derive(Clone, Debug)]
pub struct TokenSet {
    pub access: Secret,
    pub refresh: Option<Secret>,
    pub token_type: String,
    pub expires_at: Option<Timestamp>,
    /// How long the access token was granted for, when that is known.
    pub life: Option<SignedDuration>,
    /// The address of the account, if the token answer states it: it may move (docs/brightpearl-api.md §1.3).
    pub api_domain: Option<String>,
}

impl TokenSet {
    /// The set that a grant gives; it keeps those values of the former set that the grant does not state.
    pub fn granted(grant: Grant, now: Timestamp, former: Option<&Self>) -> Self {
        let token_type = grant.token_type.map(|kind| capitalised(&kind));
        Self {
            access: grant.access,
            refresh: grant.refresh.or_else(|| former?.refresh.clone()),
            token_type: token_type
                .unwrap_or_else(|| former.map_or_else(|| "Bearer".to_owned(), |former| former.token_type.clone())),
            expires_at: grant.life.and_then(|life| now.checked_add(life).ok()),
            life: grant.life,
            api_domain: grant.api_domain.or_else(|| former?.api_domain.clone()),
        }
    }
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
    /// Fingerprint of the configured token; none where no token is configured, so that any file counts.
    configured: Option<String>,
    watcher: Watcher,
}

impl TokenFile {
    /// The file at a path; `configured` is the refresh token (or access token) that settings give.
    pub fn new(path: PathBuf, configured: Option<&Secret>) -> Self {
        let configured = configured.map(|token| fingerprint(token.reveal()));
        Self { path, configured, watcher: Watcher::default() }
    }

    /// The file of an account's tokens, as the settings have it.
    pub fn of(settings: &OAuth, account: &str) -> Self {
        let path = settings.token_file.clone().unwrap_or_else(|| default_path(account));
        let configured = settings.refresh_token.as_ref().or(settings.access_token.as_ref());
        Self::new(path, configured.map(|NamedSecret { secret, .. }| secret))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a line of tokens that began with this token is in use: another one configured since is a new authorisation.
    fn accepts(&self, began_with: &str) -> bool {
        self.configured.as_ref().is_none_or(|configured| configured == began_with)
    }

    /// The receiver of the steps of a write.
    pub fn watch(&mut self, watcher: Watcher) {
        self.watcher = watcher;
    }

    /// Held while a token is refreshed, so that two processes do not both spend the refresh token. A draft of a process
    /// that crashed before the rename is adopted first: the source may know no other tokens any more. Refuses
    /// (`Settings`) a lock file of another user, and one that is held for [`LOCK_FOR`].
    pub async fn lock(&self) -> Result<File> {
        let begun = Instant::now();
        let failed = |error| self.failed("lock", error);
        let folder = self.folder()?;
        let name = self.beside("lock");
        let file = folder.lock_file(&name, &[user()]).map_err(failed)?;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) if begun.elapsed() >= LOCK_FOR => {
                    let why = format!("has been held by another process for {} seconds", LOCK_FOR.as_secs());
                    return Err(failed(unfit(&folder.place(&name), why)));
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(POLL).await,
            }
        }
        self.adopt_drafts(&folder).map_err(|error| self.failed("look for drafts of", error))?;
        Ok(file)
    }

    /// Takes over drafts of crashed processes, for the lock is ours: a complete one is newer than the file, because
    /// each writer of the file adopts drafts first; an incomplete one is ignored. Files that no process of ours can
    /// have left stay.
    fn adopt_drafts(&self, folder: &Folder) -> std::io::Result<()> {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let is_draft = |name: &String| {
            let number = name.strip_prefix(&stem).and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".new"));
            number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        for name in folder.names()?.into_iter().filter(is_draft) {
            // A link, a pipe, a file that is gone.
            let Ok(file) = folder.open_file(&name) else { continue };
            let found = file.metadata()?;
            if found.uid() != user() || found.mode() & 0o077 != 0 || found.nlink() > 1 || found.len() > MOST_BYTES {
                continue;
            }
            let mut text = Vec::new();
            file.take(MOST_BYTES).read_to_end(&mut text)?;
            let ours = serde_json::from_slice::<Written>(&text).is_ok_and(|draft| self.accepts(&draft.began_with));
            if ours {
                folder.rename(&name, &self.name())?;
            } else {
                folder.remove(&name)?;
            }
        }
        Ok(())
    }

    /// The set in the file; `None` where there is none, or when settings began anew since. Refuses (`Settings`) a file
    /// that others may read, or that belongs to one of them, and anything but a regular file.
    pub fn read(&self) -> Result<Option<TokenSet>> {
        let Some(written) = self.written()?.filter(|written| self.accepts(&written.began_with)) else {
            return Ok(None);
        };
        Ok(Some(TokenSet {
            access: Secret::new(&written.access_token),
            refresh: written.refresh_token.as_deref().map(Secret::new),
            token_type: written.token_type,
            expires_at: written.expires_at,
            life: written.life.map(SignedDuration::from_secs),
            api_domain: written.api_domain,
        }))
    }

    /// The content of the file; `None` where there is none, or nothing that we wrote.
    fn written(&self) -> Result<Option<Written>> {
        let failed = |error| self.failed("read", error);
        let file = match disk::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        // Of the file that was opened: the name may be another's by now.
        let found = file.metadata().map_err(failed)?;
        let distrusted = |why: &str, advice: &str| {
            let failure = Failure::new(Kind::Settings, "trust the token file").at(self.path.display().to_string());
            Err(failure.because(why).advise(advice))
        };
        if found.mode() & 0o077 != 0 {
            return distrusted("others may read it", "`chmod 600` it, or delete it and authorise again");
        }
        if found.uid() != user() {
            return distrusted("it belongs to another user", "`chown` it, or delete it and authorise again");
        }
        if found.len() > MOST_BYTES {
            return distrusted("it is larger than any token file", "delete it and authorise again");
        }
        let mut text = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut text).map_err(failed)?;
        // A file that is no token set was not written by us as a whole; the configured tokens stay valid.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        Ok(serde_json::from_slice(text).ok())
    }

    /// Writes a set, whole or not at all, for its owner only.
    pub fn write(&self, set: &TokenSet) -> Result<()> {
        let failed = |error| self.failed("write", error);
        let folder = self.folder()?;
        let began_with = match &self.configured {
            Some(configured) => configured.clone(),
            // The token that was configured when this line began may be configured again.
            None => self.written()?.map_or_else(|| fingerprint(""), |former| former.began_with),
        };
        let written = Written {
            access_token: set.access.reveal().to_owned(),
            refresh_token: set.refresh.as_ref().map(|token| token.reveal().to_owned()),
            token_type: set.token_type.clone(),
            expires_at: set.expires_at,
            life: set.life.map(|life| life.as_secs()),
            api_domain: set.api_domain.clone(),
            began_with,
        };
        let bytes =
            serde_json::to_vec(&written).map_err(|error| Failure::new(Kind::Bug, "write tokens").caused(error))?;
        let (draft, mut file) = self.draft(&folder).map_err(failed)?;
        let name = folder.place(&draft).display().to_string();
        self.watcher.reach(StoreStep::TokensOpened, &name)?;
        file.write_all(&bytes).map_err(failed)?;
        self.watcher.reach(StoreStep::TokensWritten, &name)?;
        file.sync_all().map_err(failed)?;
        self.watcher.reach(StoreStep::TokensSynced, &name)?;
        folder.rename(&draft, &self.name()).map_err(failed)?;
        self.watcher.reach(StoreStep::TokensPlaced, &name)
    }

    /// A new private file beside the token file, by its name. An existing file of a crashed process or of another user
    /// is not written into: its mode would stay. A file that cannot be removed belongs to another user.
    fn draft(&self, folder: &Folder) -> std::io::Result<(String, File)> {
        let process = u64::from(std::process::id());
        let mut taken = None;
        for number in 0..DRAFTS {
            let name = self.beside(&format!("{process}{}.new", "0".repeat(number)));
            match folder.discard(&name) {
                Err(error) if error.kind() != ErrorKind::NotFound => taken = Some(error),
                Ok(()) | Err(_) => return Ok((name.clone(), folder.create_private(&name)?)),
            }
        }
        Err(taken.unwrap_or_else(|| ErrorKind::AlreadyExists.into()))
    }

    /// Its folder, made if it is missing.
    fn folder(&self) -> Result<Folder> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|error| self.failed("make the folder of", error))?;
        Folder::open(folder).map_err(|error| self.failed("open the folder of", error))
    }

    /// Its name in the folder.
    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The name of a file beside it.
    fn beside(&self, ending: &str) -> String {
        self.path.with_extension(ending).file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn failed(&self, verb: &str, error: std::io::Error) -> Failure {
        Failure::new(Kind::Settings, format!("{verb} the token file"))
            .at(self.path.display().to_string())
            .caused(error)
            .advise("set `token_file` under [auth] to a writable path; refreshed tokens are kept there")
    }
}

/// A token's fingerprint, from which it cannot be found.
fn fingerprint(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// `$XDG_STATE_HOME/pearlift/{account}-token.json`, or below `~/.local/state`.
fn default_path(account: &str) -> PathBuf {
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local").join("state")));
    state.unwrap_or_else(|| PathBuf::from(".")).join("pearlift").join(format!("{account}-token.json"))
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
