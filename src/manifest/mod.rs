//! The manifest: per resource a chain of immutable versions; the newest, the head, lists the live files together with
//! the state of the scans.
//!
//! Takes a store, gives versions and decides commits: files and state move in one conditional put. A format that is
//! newer than ours is refused, and so is a version that lists files of others.

mod key;
mod evidence;
mod clocks;
mod lookup_results;
mod pieces;
mod absence;
mod count;
mod format;
mod share;
mod integrity;
mod load;
mod commit;
mod publish;
mod recover;
mod destination_marker;
mod overtaken;

pub use absence::{Absence, Gap, Shrunk, Suspect, Tries, Withheld};
pub use clocks::{ClockStamps, ScanStart};
pub use commit::{decide, nonce};
pub use count::{Locating, SourceCount};
pub use destination_marker::{check_destination, claim_destination, mark_layout, marked_layout};
pub use evidence::{Evidence, FieldDrift, KindChange, OlderCopy};
pub use format::{
    Backfill, Checkpoint, Cursor, DataFile, Erasure, FORMAT, OpenRecords, PendingId, RejectedFile, Scan, ScanKind,
    ScanPlan, Selected, SkippedId, SpecColumn, State, TableFiles, Version,
};
pub use key::Key;
pub use load::{
    head, newest_outline, outline, parse, parse_changes, read_plan, resources, version, versions, write_plan,
};
pub use lookup_results::Looked;
pub use overtaken::ResourceHolder;
pub use pieces::{Pieces, SetSize};
pub use publish::{publish_files, staged};
pub use recover::{Claimant, Holding, Recovered, recover_files};
pub use share::Outline;
