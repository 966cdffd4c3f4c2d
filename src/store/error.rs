//! From a storage error to a failure, by meaning, at one place.

use std::error::Error;
use std::io::ErrorKind;

use crate::disk::is_unfit;
use crate::failure::{Failure, Kind};
use crate::quantity::plural;
use crate::store::network::Untaken;
use crate::store::refusal::refusal;

/// The remedy for a link or another odd object in the destination.
const NO_LINKS: &str = "below the destination's folder only regular folders and files are used: put the real folder or file in its place; the folder that `destination.url` names may itself be a link";

/// A failure of a verb on a path.
pub fn failure(verb: &str, path: &str, error: object_store::Error) -> Failure {
    if let Some(untaken) = Untaken::among(&error) {
        let (kind, advice) = match untaken {
            Untaken::Copying(_) => (Kind::StoreUnreachable, "run again: the next run makes the copy again"),
            Untaken::Redirect(_)
            | Untaken::TooLong(_)
            | Untaken::TooMany(_)
            | Untaken::InTheClear(_)
            | Untaken::NoProgress
            | Untaken::Endless(_)
            | Untaken::NoBulkDelete(_) => (
                Kind::StoreRefused,
                "check destination.s3.endpoint and destination.s3.region, or destination.azure.endpoint: this is not how a bucket answers",
            ),
        };
        return Failure::new(kind, format!("{verb} in the destination"))
            .at(path)
            .because(untaken.to_string())
            .advise(advice);
    }
    let refusal = refusal(&error.to_string());
    let kind = match &error {
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. }
        | object_store::Error::NotFound { .. }
        | object_store::Error::InvalidPath { .. }
        | object_store::Error::NotSupported { .. }
        | object_store::Error::NotImplemented { .. } => Kind::StoreRefused,
        _ if refusal.is_some() => Kind::StoreRefused,
        _ => io_kind(&error),
    };
    let unfit = unfit_in(&error);
    let failure = Failure::new(kind, format!("{verb} in the destination")).at(path).caused(error);
    if let Some(refusal) = refusal {
        return failure.because(refusal.why).advise(refusal.advice);
    }
    match kind {
        _ if unfit => failure.advise(NO_LINKS),
        Kind::StoreRefused => failure.advise(
            "check that the destination is a writable folder, or a bucket and AWS_* or AZURE_* credentials that allow get, put, list and delete",
        ),
        _ => failure.advise("check that the destination is reachable and not full; commits are intact, run again"),
    }
}

/// Local errors are distinguished by the operating system's code.
fn io_kind(error: &object_store::Error) -> Kind {
    io_error(error).map_or(Kind::StoreUnreachable, kind_of)
}

/// Whether the destination contains an object that is not used.
fn unfit_in(error: &object_store::Error) -> bool {
    io_error(error).is_some_and(is_unfit)
}

fn io_error(error: &object_store::Error) -> Option<&std::io::Error> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref() {
            return Some(io);
        }
        next = cause.source();
    }
    None
}

/// The kind of a local error.
fn kind_of(error: &std::io::Error) -> Kind {
    match error.kind() {
        _ if is_unfit(error) => Kind::StoreRefused,
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::NotFound
        | ErrorKind::AlreadyExists => Kind::StoreRefused,
        _ => Kind::StoreUnreachable,
    }
}

/// A failure of a verb on a local file.
pub fn local(verb: &str, path: &std::path::Path, error: std::io::Error) -> Failure {
    let advice = match is_unfit(&error) {
        true => NO_LINKS,
        false => "check the folder's permissions and free space; commits are intact, run again",
    };
    Failure::new(kind_of(&error), format!("{verb} a file")).at(path.display().to_string()).caused(error).advise(advice)
}

/// Something at a path is larger than anything that a run writes there.
pub fn too_large(path: &str, bytes: u64, most: u64) -> Failure {
    Failure::new(Kind::Damage, "read in the destination")
        .at(path)
        .because(format!("it has {bytes} bytes, and at most {most} are read"))
        .advise("restore it from a backup, or move it away; no run has written it")
}

/// More of an object came than the store stated.
pub fn overlong(path: &str, stated: u64) -> Failure {
    Failure::new(Kind::StoreUnreachable, "read in the destination")
        .at(path)
        .because(format!("its size was stated as {stated} bytes, but more arrived"))
        .advise("run again; if it persists, the store or a cache in front of it is faulty")
}

/// The upload of a staged file is gone: only the recovery of another run ends it, and that run has fenced us.
pub fn given_up(path: &str) -> Failure {
    Failure::new(Kind::Lost, "write in the destination")
        .at(path)
        .because("its upload was aborted: this run was suspended while another took over")
        .advise("nothing is lost: the other run continues from the last commit; run again")
}

/// Whether an upload of parts no longer exists.
pub fn is_given_up(error: &object_store::Error) -> bool {
    error.to_string().contains("NoSuchUpload")
}

/// Unfinished uploads cannot be listed. Nothing that a run needs.
pub fn unlisted(path: &str, why: &str, cause: Option<Box<dyn Error + Send + Sync>>) -> Failure {
    let failure = Failure::new(Kind::StoreRefused, "list unfinished uploads in the destination").at(path).because(why);
    let failure = match cause {
        Some(cause) => failure.caused(cause),
        None => failure,
    };
    failure.advise("s3:ListBucketMultipartUploads allows it; a lifecycle rule of the bucket removes them too")
}

/// The store states that something exists and does not show it.
pub fn unclear(path: &str) -> Failure {
    Failure::new(Kind::StoreUnreachable, "write in the destination")
        .at(path)
        .because("it states that an object exists but does not show it")
        .advise("run again")
}

/// The store lets a second writer overwrite the first: commits could be lost.
pub fn no_conditional_put(place: &str) -> Failure {
    Failure::new(Kind::StoreRefused, "use the destination")
        .at(place)
        .because("it does not refuse a put-if-absent for an existing object, so two runs could overwrite each other")
        .advise("use storage that honours If-None-Match: AWS S3, SeaweedFS 4.48, MinIO, Ceph and Azure Blob Storage do; or a local folder")
}

/// The tables of this destination are below other keys: an earlier version escaped letters of the prefix.
pub fn moved(place: &str, former: &str) -> Failure {
    Failure::new(Kind::Settings, "use the destination")
        .at(place)
        .because(format!(
            "its tables are at {former}, where an earlier version kept them: keys are now the prefix as written"
        ))
        .advise(format!("set `url = \"{former}\"` under [destination] to continue with them, or move the objects"))
}

/// Whether a failure means that something does not exist.
pub fn is_missing(failure: &Failure) -> bool {
    let mut next = failure.source();
    while let Some(cause) = next {
        if let Some(object_store::Error::NotFound { .. }) = cause.downcast_ref() {
            return true;
        }
        next = cause.source();
    }
    false
}

/// Two runs could hold the same lock, or none.
pub fn no_locks(place: &str, why: &str) -> Failure {
    Failure::new(Kind::StoreRefused, "use locks at the destination")
        .at(place)
        .because(why)
        .advise("use a folder on a file system with file locks, or a bucket that shows written objects at once, without a cache in front of it")
}

/// The lock under which all others are taken is held for longer than that takes.
pub fn busy_start(path: &str, waited: std::time::Duration) -> Failure {
    Failure::new(Kind::Held, "take the locks of the destination")
        .at(path)
        .because(format!("another process has held it for {}", plural(waited.as_secs(), "second")))
        .advise("a run holds it only for a moment: end the process that holds it (of a local file `lsof` names it) and run again")
}
