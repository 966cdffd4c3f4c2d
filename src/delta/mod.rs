//! The Delta logs of tables, in the layout `delta`: each table's folder is also a Delta table, whose newest entry lists
//! the files of the head.
//!
//! Takes a store and a version whose files are published, gives a log that lists them (docs/delta.md). The manifest
//! still decides a commit: a log follows the head, and following it again changes nothing. Superseded files stay for the
//! retention. Refuses (`Damage`) a log with holes, or of a protocol that other writers have raised. In the layout
//! `parquet` there is no log, and nothing here does anything.

mod action;
mod table_schema;
mod wanted;
mod rows;
mod checkpoint;
mod log;
mod commit;
mod shorten;
mod follow;
mod inspect;
mod purge;

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::failure::Result;
use crate::manifest::{Claimant, Holding, Recovered, Version, publish_files, recover_files};
use crate::schema::Resource;
use crate::store::{Store, Upload};

pub use action::parse_entry;
pub use checkpoint::parse_checkpoint;
pub use follow::follow;
pub use inspect::{LogState, compare_log, superseded};
pub use purge::{discard_log, purge_log};

/// Publishes the files of a decided version, and then writes the logs that follow it. `now` is our clock, from which
/// superseded files stay for the retention.
pub async fn publish(store: &Store, version: &Version, staged: &BTreeSet<String>, now: Timestamp) -> Result<()> {
    publish_files(store, version, staged).await?;
    follow(store, version, now).await
}

/// [`recover_holding`] for a resource of the catalogue.
pub async fn recover(
    store: &Store,
    resource: &Resource,
    uploads: &[Upload],
    claimant: Claimant<'_>,
) -> Result<Recovered> {
    recover_holding(store, &Holding::new(resource), uploads, claimant).await
}

/// Completes a resource under its lock: the commits of crashed runs are published, and the logs follow the head.
pub async fn recover_holding(
    store: &Store,
    holding: &Holding,
    uploads: &[Upload],
    claimant: Claimant<'_>,
) -> Result<Recovered> {
    let recovered = recover_files(store, holding, uploads, claimant).await?;
    if let Some(head) = &recovered.head {
        follow(store, head, claimant.now).await?;
    }
    Ok(recovered)
}
