//! The commit: one conditional put decides.
//!
//! After `AlreadyExists` or any unclear answer the slot is read back: our nonce is won, another is lost, nothing there
//! means put again. (A store client that repeats a put after a 5xx may get "exists" for its own write; a 409 may arrive
//! though nothing was written.) A slot that was free only because old versions had been pruned is not a commit: then a
//! version above it is not its child, and it counts as lost.

use crate::failure::{Failure, Kind, Result};
use crate::manifest::format::Version;
use crate::manifest::integrity::{MANIFEST_ELEMENTS, check_size};
use crate::manifest::load::{outline, versions};
use crate::manifest::share::Stored;
use crate::store::paths::MANIFEST_BYTES;
use crate::store::{Put, Store, paths};

/// An unclear slot is tried this often; the store's own client repeats each try.
const TRIES: u32 = 5;

/// 128 random bits, hexadecimal: the name of a run, a commit, a scan.
pub fn nonce() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Puts a version, numbered one above its parent. Refuses (`Lost`) when another run has won the slot.
pub async fn decide(store: &Store, next: &Version) -> Result<()> {
    let path = paths::manifest(&next.resource, next.version);
    let bytes = serde_json::to_vec(&Stored::new(next))
        .map_err(|error| Failure::new(Kind::Bug, "write a manifest").caused(error))?;
    check_size("commit", &path, &bytes, (MANIFEST_BYTES, MANIFEST_ELEMENTS))?;
    let mut last = None;
    for _ in 0..TRIES {
        match store.put_new(&path, bytes.clone()).await {
            Ok(Put::Created(_)) => return nothing_beyond(store, next).await,
            Ok(Put::Exists) => {}
            Err(unclear) => last = Some(unclear),
        }
        match outline(store, &next.resource, next.version).await {
            Ok(Some(there)) if there.nonce == next.nonce => return nothing_beyond(store, next).await,
            Ok(Some(there)) => return Err(lost(next, &format!("run {} committed it first", there.run))),
            Ok(None) => {}
            Err(unclear) => last = Some(unclear),
        }
    }
    Err(last.unwrap_or_else(|| {
        Failure::new(Kind::StoreUnreachable, "commit")
            .at(path)
            .because("the store states that a manifest exists but does not show it")
            .advise("run again")
    }))
}

/// A version above ours must be our child, else our slot was a pruned hole.
async fn nothing_beyond(store: &Store, next: &Version) -> Result<()> {
    let above = versions(store, &next.resource).await?.into_iter().find(|version| *version > next.version);
    let Some(above) = above else { return Ok(()) };
    match outline(store, &next.resource, above).await? {
        Some(child) if child.version == next.version + 1 && child.parent.as_ref() == Some(&next.nonce) => Ok(()),
        _ => Err(lost(next, "this run was suspended while others continued, and old versions were pruned")),
    }
}

fn lost(next: &Version, why: &str) -> Failure {
    Failure::new(Kind::Lost, format!("commit version {}", next.version))
        .at(next.resource.clone())
        .because(why.to_owned())
        .advise("this run published nothing of it; run again")
}
