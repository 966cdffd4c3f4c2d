//! The purpose of an id scan: it decides which rows are replaced, the meaning of an absent id, and whether commits on
//! the way are of use.

use crate::manifest::{ScanKind, Selected};
use crate::schema::{Inventory, ReadStyle, Resource};
use crate::write::Replace;

/// The purpose of a scan by ids.
#[derive(Clone, Debug, PartialEq)]
pub enum Purpose {
    /// Reads every record, by listed ids or by a span of numbers.
    Full,
    /// Reads changed records; `reads_open` states that open records are read too, though nothing shows a change.
    Changes { reads_open: bool },
    /// Reads all records of the owners of another resource.
    Owners,
    /// Reads the records of owners that changed.
    ChangedOwners,
    /// Takes the snapshot of a day, in days since 1970.
    Snapshot(i32),
    /// Reads the records that the snapshot of a day lacks.
    SnapshotHoles(i32),
    /// Reads given records again: those least recently read, those referenced or found missing by a count.
    Reread,
    /// Reads records that the source lists and the tables lack.
    Reconcile,
    /// Reads a part again, in a backfill of this selection.
    Backfill(Selected),
    /// Reads the content of damaged files again.
    Repair,
}

impl Purpose {
    /// The purpose of an unfinished scan of a run.
    pub fn of_unfinished(resource: &Resource, kind: ScanKind) -> Self {
        match (&resource.read.style, kind) {
            (ReadStyle::PerOwner { .. }, ScanKind::Changes) => Self::ChangedOwners,
            (ReadStyle::PerOwner { .. }, ScanKind::Full) if resource.follows_held_ids() => Self::Full,
            (ReadStyle::PerOwner { .. }, ScanKind::Full) => Self::Owners,
            (_, ScanKind::Full) => Self::Full,
            (_, ScanKind::Changes) => Self::Changes { reads_open: false },
        }
    }

    /// The kind that the state and the events have of it.
    pub fn kind(&self) -> ScanKind {
        match self {
            Self::Full | Self::Owners | Self::Snapshot(_) => ScanKind::Full,
            Self::Changes { .. } | Self::ChangedOwners | Self::SnapshotHoles(_) => ScanKind::Changes,
            Self::Reread | Self::Reconcile | Self::Backfill(_) | Self::Repair => ScanKind::Changes,
        }
    }

    /// Whether the scan is one of the nightly run, which asks for withheld ids and suspects too.
    pub fn is_nightly(&self) -> bool {
        match self {
            Self::Full | Self::Changes { .. } | Self::Owners | Self::ChangedOwners | Self::Snapshot(_) => true,
            Self::SnapshotHoles(_) | Self::Reread | Self::Reconcile | Self::Backfill(_) | Self::Repair => false,
        }
    }

    /// Whether commits before its end are of use: the scan replaces record by record, and is resumed.
    pub fn is_resumable(&self) -> bool {
        match self {
            Self::Full | Self::Changes { .. } | Self::ChangedOwners | Self::Backfill(_) => true,
            Self::Owners | Self::Snapshot(_) | Self::SnapshotHoles(_) => false,
            Self::Reread | Self::Reconcile | Self::Repair => false,
        }
    }

    /// The rows that the last commit replaces; `rebuild` states that files are built anew.
    pub fn replace(&self, rebuild: bool) -> Replace {
        match self {
            Self::Full if rebuild => Replace::Everything,
            Self::Owners => Replace::Everything,
            Self::Snapshot(day) => Replace::Partition(*day),
            Self::SnapshotHoles(day) => Replace::Within(*day),
            Self::Full | Self::Changes { .. } | Self::ChangedOwners => Replace::Records,
            Self::Reread | Self::Reconcile | Self::Backfill(_) | Self::Repair => Replace::Records,
        }
    }

    /// The partition of all rows, independently of the values of their record.
    pub fn partition(&self) -> Option<i32> {
        match self {
            Self::Snapshot(day) | Self::SnapshotHoles(day) => Some(*day),
            Self::Full | Self::Changes { .. } | Self::Owners | Self::ChangedOwners => None,
            Self::Reread | Self::Reconcile | Self::Backfill(_) | Self::Repair => None,
        }
    }

    /// Whether the scan confirms which ids are gone, beside those that are candidates of it.
    pub fn confirms(&self) -> bool {
        match self {
            Self::Reconcile | Self::Backfill(_) | Self::Repair => true,
            Self::Full | Self::Changes { .. } | Self::Owners | Self::ChangedOwners => false,
            Self::Snapshot(_) | Self::SnapshotHoles(_) | Self::Reread => false,
        }
    }

    /// Whether an absent owner of a resource has no rows.
    pub fn empties_absent(&self, resource: &Resource) -> bool {
        matches!(resource.read.style, ReadStyle::PerOwner { .. })
            && !self.keeps_absent(resource)
            && matches!(self, Self::ChangedOwners | Self::Backfill(_) | Self::Repair)
    }

    /// Whether the rows of an absent record of held ids stay until its deletion is decided, within the safety limits. Ids that a
    /// person names, and those of damaged files, are decided at once.
    pub fn keeps_absent(&self, resource: &Resource) -> bool {
        resource.follows_held_ids() && !matches!(self, Self::Backfill(_) | Self::Repair)
    }

    /// Whether the ids are the numbers of a span, so that a set with gaps is normal.
    pub fn is_span(&self, resource: &Resource) -> bool {
        let windows = matches!(&resource.read.style, ReadStyle::IdSets { inventory: Inventory::Windows(_), .. });
        windows && *self == Self::Full
    }
}
