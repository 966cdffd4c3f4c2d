//! `pearlift reconcile`: finds records deleted at the source.

use crate::cli::arguments::Reconcile;
use crate::cli::start::{RunOptions, Start};
use crate::failure::Result;
use crate::run::RunMode;

/// Compares the ids of each resource with its tables.
pub async fn reconcile(start: Start, reconcile: Reconcile) -> Result<u8> {
    let catalog = start.catalog()?;
    let settings = start.settings(&catalog)?;
    let mode = RunMode::Reconcile { force: reconcile.force };
    start
        .run(
            catalog,
            settings,
            RunOptions {
                names: reconcile.resources,
                mode,
                wait: reconcile.wait,
                json: reconcile.json,
                ..RunOptions::default()
            },
        )
        .await
}
