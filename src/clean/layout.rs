//! The change of a destination from one layout to the other, from its own files: nothing is asked of the source.
//!
//! Works under the locks of all resources, and refuses (`Held`) where another run has one. Repeating the command completes a
//! change that was interrupted. To `delta`: the marker changes first, for logs are written by every later command. To
//! `parquet`: it changes last, for a glob must not meet superseded files and logs.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::clean::survey::holding_of;
use crate::config::DestinationLayout;
use crate::delta::{discard_log, follow, recover_holding};
use crate::failure::{Failure, Kind, Result};
use crate::manifest::{Claimant, Version, head, mark_layout, marked_layout, nonce, resources};
use crate::schema::Catalog;
use crate::store::{Store, paths};

/// A change of the layout.
#[derive(Clone, Copy, Debug)]
pub struct LayoutChange<'a> {
    /// In the new layout.
    pub store: &'a Store,
    pub catalog: &'a Catalog,
    pub account: &'a str,
    /// By our clock.
    pub now: Timestamp,
    /// State the change only.
    pub dry_run: bool,
}

/// The result of a change of the layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutChanged {
    pub from: DestinationLayout,
    pub to: DestinationLayout,
    /// The number of tables.
    pub tables: usize,
    /// Objects of logs that other writers left, which stay.
    pub unknown: Vec<String>,
}

/// Changes the layout of a destination to that of the store.
pub async fn change_layout(work: LayoutChange<'_>) -> Result<LayoutChanged> {
    let from = current(work).await?;
    let mut names: BTreeSet<String> = resources(work.store).await?.into_iter().collect();
    let changed = |tables, unknown| LayoutChanged { from, to: work.store.layout(), tables, unknown };
    // A change to `delta` that was interrupted is completed; one to `parquet` ends with the marker.
    let is_done = from == work.store.layout() && from == DestinationLayout::Parquet;
    if work.dry_run || is_done {
        let mut tables = 0;
        for name in &names {
            tables += head(work.store, name).await?.map_or(0, |head| head.tables.len());
        }
        return Ok(changed(tables, Vec::new()));
    }
    // Those that were never read too: a run that loads one must not begin in the old layout.
    names.extend(work.catalog.resources().iter().map(|resource| resource.name.clone()));
    let run = nonce();
    work.store.prove_conditional_put(&run).await?;
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    let locks = work.store.lock(&wanted, &run, false, std::future::pending()).await?;
    let done = match locks.held_by_others.first() {
        Some(held) => Err(Failure::new(Kind::Held, "change the layout")
            .at(held.name.clone())
            .because(format!("it is held by {}", held.by))
            .advise("run the same command when the other run has ended")),
        None => under_locks(work, &names, &run).await,
    };
    let released = locks.release().await;
    let (tables, unknown) = done?;
    released.map(|()| changed(tables, unknown))
}

async fn current(work: LayoutChange<'_>) -> Result<DestinationLayout> {
    marked_layout(work.store, work.account).await?.ok_or_else(|| {
        Failure::new(Kind::Settings, "change the layout")
            .at(work.store.describe())
            .because("no run has written there")
            .advise("check `destination.url`; the first run writes in the layout of the settings")
    })
}

async fn under_locks(work: LayoutChange<'_>, names: &BTreeSet<String>, run: &str) -> Result<(usize, Vec<String>)> {
    let from = current(work).await?;
    let before = work.store.in_layout(from);
    let mut heads = Vec::new();
    let uploads = before.uploads(paths::STAGING).await.unwrap_or_default();
    for name in names {
        let holding = holding_of(work.catalog, name, head(&before, name).await?.as_ref());
        let claimant = Claimant { account: work.account, run, now: work.now, nonce };
        heads.extend(recover_holding(&before, &holding, &uploads, claimant).await?.head);
    }
    let tables = heads.iter().map(|head: &Version| head.tables.len()).sum();
    let mut unknown = Vec::new();
    match work.store.layout() {
        DestinationLayout::Delta => {
            mark_layout(work.store, work.account).await?;
            for head in &heads {
                follow(work.store, head, work.now).await?;
            }
        }
        DestinationLayout::Parquet => {
            for head in &heads {
                unknown.extend(discard_log(&before, head).await?);
            }
            mark_layout(work.store, work.account).await?;
        }
    }
    Ok((tables, unknown))
}
