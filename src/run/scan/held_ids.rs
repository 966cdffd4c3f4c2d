//! Reading by ids that a table of another resource holds: `owners = { held = "…" }`.
//!
//! A whole read takes the ids from the files of that table, as its newest version lists them, and those of our own records: a row that
//! left that table is no proof that a record left the source. A night takes the pending
//! references: ids that new, changed and removed rows name ([`crate::run::references`]); a night without any reads no file.
//! Such resources have their turn when all others have ended, so that they follow the records that this run has read.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::failure::{Failure, Kind, Result};
use crate::fetch::{IdRanges, collapse};
use crate::manifest::newest_outline;
use crate::run::context::RunContext;
use crate::run::held_records::held_record_ids;
use crate::run::holder::{All, Holder};
use crate::run::reference_marks::{mark, unread};
use crate::run::scan::documents::Documents;
use crate::run::scan::id_scan::{IdScan, Known, sets_with_pending};
use crate::run::scan::purpose::Purpose;
use crate::run::session::ResourceSession;
use crate::schema::{ReadStyle, Resource};

/// Why a resource that is read by held ids cannot be read yet, if it cannot.
pub async fn unready(context: &RunContext, resource: &Resource) -> Result<Option<String>> {
    let Some(held) = resource.held_ids() else { return Ok(None) };
    let holder = Holder::new(&context.store, &context.catalog, resource, held)?;
    let is_read = holder.version().await?.is_some();
    Ok((!is_read).then(|| format!("its ids come from `{}`, which is not loaded yet", holder.source)))
}

/// The sets of a whole read by held ids, and its start by the source's clock.
pub async fn all(session: &mut ResourceSession<'_>, max_ids: usize) -> Result<(Timestamp, Vec<IdRanges>)> {
    let holder = holder(session)?;
    let All { values, mark } = holder.all().await?.ok_or_else(|| unloaded(session, &holder))?;
    let own = own_ids(session).await?;
    let ids = collapse(values.into_keys().chain(own));
    hear(session, &ids).await?;
    let now = session.source_now();
    let sets = holder.regrouped(sets_with_pending(session, now, &ids, max_ids), max_ids).await?;
    session.state.references_read.insert(holder.source, mark);
    Ok((now, sets))
}

/// The ids that rows changed since then reference.
pub async fn changed(session: &mut ResourceSession<'_>, max_ids: usize) -> Result<IdScan> {
    let holder = holder(session)?;
    let theirs = newest_outline(&session.context.store, &holder.source).await?;
    let theirs = theirs.ok_or_else(|| unloaded(session, &holder))?;
    let source = (holder.source.as_str(), &theirs.state, theirs.nonce.as_str());
    let ids = unread(source, &session.name, Some(&session.state)).map(|ids| collapse(ids.iter().copied()));
    let ids = ids.unwrap_or_default();
    hear(session, &ids).await?;
    let now = session.source_now();
    let sets = holder.regrouped(sets_with_pending(session, now, &ids, max_ids), max_ids).await?;
    let mark = mark(&theirs.state, &theirs.nonce);
    session.state.references_read.insert(holder.source, mark);
    Ok(IdScan::new(session, Purpose::ChangedOwners, now, sets, Known::default()))
}

/// Asks for a record where the run has not heard the source's clock: no search was asked that would tell when the scan
/// begins.
async fn hear(session: &ResourceSession<'_>, ids: &IdRanges) -> Result<()> {
    let ReadStyle::PerOwner { get, .. } = &session.resource.read.style else { return Ok(()) };
    let (Some((id, _)), None) = (ids.first(), session.context.client.clocks().theirs()) else { return Ok(()) };
    let documents = Documents::new(session, format!("{}/{get}", session.resource.read.service), 1);
    let stop = session.context.stop.clone();
    stop.or(documents.fetch(&vec![(*id, *id)])).await.map(|_| ())
}

/// The ids of our own records, where they are read record by record: files of another shape are built anew from what is held now.
async fn own_ids(session: &ResourceSession<'_>) -> Result<BTreeSet<i64>> {
    let head = session.head.as_ref().filter(|_| session.resource.follows_held_ids() && !session.commit_context.rebuild);
    match head {
        Some(head) => held_record_ids(&session.context.store, &session.resource, head).await,
        None => Ok(BTreeSet::new()),
    }
}

/// All ids that the tables of another resource hold for this one, as ranges.
pub async fn ids(session: &ResourceSession<'_>) -> Result<IdRanges> {
    let holder = holder(session)?;
    let all = holder.all().await?.ok_or_else(|| unloaded(session, &holder))?;
    Ok(collapse(all.values.into_keys()))
}

fn holder(session: &ResourceSession<'_>) -> Result<Holder> {
    session.stored.holder.clone().ok_or_else(|| Failure::new(Kind::Bug, format!("find the ids of {}", session.name)))
}

fn unloaded(session: &ResourceSession<'_>, holder: &Holder) -> Failure {
    Failure::new(Kind::Usage, format!("read {}", session.name))
        .because(format!("its ids come from `{}`, which is not loaded yet", holder.source))
        .advise(format!("`pearlift run {} {}`", holder.source, session.name))
}
