//! Looking for undated changes, once every resource has had its nightly scans: a full scan where its cadence is over,
//! else the rolling re-read of the records least recently read, within a budget of requests (docs/reading.md §7).
//!
//! Nothing is kept of when a record that did not change was last read. The rolling re-read goes round the ids that the
//! tables hold instead, in their order, and the state keeps how far it has come: in the same commit as the records read.
//! An id that the source does not return stays until it is looked for among the deletions; one of held ids, of which there is
//! no listing, is decided here ([`crate::run::scan::absent_owners`]).

use crate::failure::{Failure, Kind, Result};
use crate::fetch::{chunks, collapse};
use crate::run::held_records::record_key_files;
use crate::run::scan::absent_owners::delete_vanished;
use crate::run::scan::id_scan::{IdScan, Known};
use crate::run::scan::purpose::Purpose;
use crate::run::session::ResourceSession;
use crate::schema::ReadStyle;
use crate::write::{Replace, held_after};

/// Requests between two commits: at most this many are lost when the run stops in between.
const GROUP: usize = 50;

/// Reads again the records least recently read, with at most this many requests except for halved sets.
pub async fn reread(session: &mut ResourceSession<'_>, requests: u64) -> Result<()> {
    let resource = std::sync::Arc::clone(&session.resource);
    let (ReadStyle::IdSets { get, max_ids, .. } | ReadStyle::PerOwner { get, max_ids, .. }) = &resource.read.style
    else {
        return Err(Failure::new(Kind::Bug, format!("read records of {} again", resource.name)));
    };
    let most = usize::try_from(requests).unwrap_or(usize::MAX).saturating_mul(*max_ids);
    let Some(head) = session.head.clone() else { return Ok(()) };
    let ids =
        held_after(&session.context.store, &record_key_files(&resource, &head), session.state.reread_to, most).await?;
    let path = format!("{}/{get}", resource.read.service);
    // Ids of several paths take more requests.
    let holder = session.stored.holder.clone();
    let ids = match &holder {
        Some(holder) => holder.within(&ids, *max_ids, requests).await?,
        None => &ids,
    };
    for group in ids.chunks(GROUP.saturating_mul(*max_ids)) {
        let mut sets = chunks(&collapse(group.iter().copied()), *max_ids);
        if let Some(holder) = &holder {
            sets = holder.regrouped(sets, *max_ids).await?;
        }
        let mut scan = IdScan::new(session, Purpose::Reread, session.context.clock.now(), sets, Known::default());
        scan.run(session, &path).await?;
        delete_vanished(session, &scan).await?;
        session.state.reread_to = group.last().copied();
        session.commit(Replace::Records, true).await?;
    }
    Ok(())
}
