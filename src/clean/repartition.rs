//! Files divided by another period of their date: one commit a resource, under its lock, published as any other.

use std::collections::BTreeSet;

use tokio::runtime::Handle;

use crate::clean::cleaning::{Cleaning, Repartition, Repartitioned};
use crate::delta::publish;
use crate::failure::{Failure, Kind, Result};
use crate::manifest::{State, Version, decide, nonce};
use crate::plan::Fit;
use crate::schema::{Granularity, Resource};
use crate::write::{Repartitioning, WriteContext, Written, granularity, repartition_tables};

/// A repartition that has been decided on: the resource as its files are now, and the granularities.
struct Division {
    resource: Resource,
    from: Granularity,
    to: Granularity,
}

/// The change that a repartition would make; none where the files are as the settings want them.
pub async fn would_repartition(
    work: Cleaning<'_>,
    how: Repartition<'_>,
    head: &Version,
    run: &str,
) -> Result<Option<Repartitioned>> {
    let Some(division) = choose(work, how, head, run).await? else { return Ok(None) };
    let files = u64::try_from(head.files().count()).expect("a count fits");
    Ok(Some(Repartitioned { resource: head.resource.clone(), from: division.from, to: division.to, files, into: None }))
}

/// Divides the files of a resource under its lock as the settings want it; none where they are. `number` numbers the run's
/// files.
pub async fn repartition(
    work: Cleaning<'_>,
    how: Repartition<'_>,
    head: &Version,
    run: &str,
    number: &mut u64,
) -> Result<Option<Repartitioned>> {
    let Some(Division { resource, from, to }) = choose(work, how, head, run).await? else { return Ok(None) };
    let mut next = *number;
    let (written, next) = blocking(work, how, (resource, head.clone()), run, move |division| {
        let written = repartition_tables(division, to, &mut next)?;
        Ok((written, next))
    })
    .await?;
    *number = next;
    let Written { tables, removes, .. } = written;
    let state = State { partition_open: false, ..head.state.clone() };
    let version = Version { tables, removes, state, ..head.next(run, nonce(), work.now) }.settled();
    let staged: BTreeSet<String> = version.files().map(|file| file.staged.clone()).collect();
    if let Err(failure) = decide(work.store, &version).await {
        if failure.kind() == Kind::Lost {
            work.store.delete(&staged.into_iter().collect::<Vec<_>>()).await?;
        }
        return Err(failure);
    }
    publish(work.store, &version, &staged, work.now).await?;
    let count = |version: &Version| u64::try_from(version.files().count()).expect("a count fits");
    let (files, into) = (count(head), Some(count(&version)));
    Ok(Some(Repartitioned { resource: version.resource, from, to, files, into }))
}

/// The granularity to take; none where the files have it, no date divides them, or a first load is still to divide them.
/// Refuses (`Schema`) files of another schema.
async fn choose(work: Cleaning<'_>, how: Repartition<'_>, head: &Version, run: &str) -> Result<Option<Division>> {
    if !how.names.is_empty() && !how.names.contains(&head.resource) {
        return Ok(None);
    }
    let Some(resource) = work.catalog.find(&head.resource).map(|resource| head.dividing(resource)) else {
        return Ok(None);
    };
    let Some((from, _)) = resource.partition().date().filter(|_| head.state.completed_at.is_some()) else {
        return Ok(None);
    };
    if Fit::of(head, &resource) != Fit::Same {
        return Err(Failure::new(Kind::Schema, format!("divide the files of {} anew", head.resource))
            .because("they were written by another schema")
            .advise(format!("`pearlift run {}` comes first", head.resource)));
    }
    let most = how.partition_rows;
    let to = blocking(work, how, (resource.clone(), head.clone()), run, move |division| granularity(division, most));
    let to = to.await?;
    Ok((to != from).then_some(Division { resource, from, to }))
}

/// Runs a part of a repartition on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: Cleaning<'_>,
    how: Repartition<'_>,
    (resource, head): (Resource, Version),
    run: &str,
    part: impl FnOnce(&Repartitioning<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (store, spool, run) = (work.store.clone(), how.spool.to_owned(), run.to_owned());
    let (sizes, memory, runtime) = (how.sizes, how.memory, Handle::current());
    let done = tokio::task::spawn_blocking(move || {
        let context = WriteContext { store: &store, spool: &spool, run: &run, sizes, runtime: &runtime };
        part(&Repartitioning { resource: &resource, head: &head, context, memory })
    });
    done.await.expect("writing files does not panic")
}
