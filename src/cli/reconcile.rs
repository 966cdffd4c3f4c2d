//! `pearlift reconcile`: finds records deleted at the source.

use crate::cli::arguments::Reconcile;
use crate::cli::start::{Start, Wish};
use crate::failure::Result;
use crate::run::Task;

/// Compares the ids of each resource with its tables.
pub async fn reconcile(start: Start, reconcile: Reconcile) -> Result<u8> {
    let catalog = start.catalog()?;
    let settings = start.settings(&catalog)?;
    let task = Task::Reconcile { force: reconcile.force };
    start
        .run(catalog, settings, Wish { names: reconcile.resources, task, wait: reconcile.wait, ..Wish::default() })
        .await
}
