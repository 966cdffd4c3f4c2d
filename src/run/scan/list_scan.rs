//! A list: one GET, or one per page, and all of it.

use crate::failure::{Failure, Kind, Result};
use crate::fetch::count as ids_in;
use crate::manifest::{Key, PendingId, ScanKind};
use crate::quantity::count;
use crate::quantity::{number, plural};
use crate::run::scan::documents::Documents;
use crate::run::scan::id_scan::IdScan;
use crate::run::scan::shrinkage::confirmed;
use crate::run::session::{ResourceSession, UNIDENTIFIED};
use crate::write::Replace;

/// One of this many records may lack in a snapshot.
const MAY_LACK: u64 = 10;

/// Reads a list and replaces the rows of the tables.
pub async fn read_list(session: &mut ResourceSession<'_>) -> Result<()> {
    let documents = Documents::new(session, session.resource.read.service.clone(), 0);
    let stop = session.context.stop.clone();
    let list = stop.or(documents.list()).await?;
    session.state.pending.clear();
    let list = confirmed(session, &documents, list).await?;
    let unidentified = || Key::Text(UNIDENTIFIED.to_owned());
    let unfit = list.pages.iter().flat_map(|(page, _)| &page.rejected_records);
    let unfit = unfit.map(|record| (record.id.clone().unwrap_or_else(unidentified), record.reason.clone()));
    let lacks = list.partial.iter().map(|why| (unidentified(), format!("the list may lack records: {why}")));
    for (id, reason) in unfit.chain(lacks) {
        if !session.state.pending.iter().any(|pending| pending.id == id) {
            session.state.pending.push(PendingId { id, reason, since: list.date });
        }
    }
    session.absorb(list.pages, None).await?;
    refuse_empty(session)?;
    let unfit = !session.state.pending.is_empty();
    session.complete(ScanKind::Full, list.date, unfit);
    // Which records a partial list lacks is not known: none of those that we hold goes.
    session.commit(if list.partial.is_some() { Replace::Records } else { Replace::Everything }, true).await
}

/// An empty answer for something that has rows is more likely a fault of the source than the truth.
pub fn refuse_empty(session: &ResourceSession<'_>) -> Result<()> {
    let had = session.had_rows();
    if session.buffer.has_rows() || had == 0 || session.resource.read.empty_ok {
        return Ok(());
    }
    Err(Failure::new(Kind::Doubtful, format!("accept the new {}", session.name))
        .because(format!("the source returns nothing, but the tables have {}", plural(had, "row")))
        .advise("the tables stay as they are; check the account, and run again"))
}

/// A snapshot without a tenth of the records that were requested is more likely a fault of the source than the truth.
/// Fewer holes are pending: they are requested again while the day lasts.
pub fn refuse_holes(session: &ResourceSession<'_>, scan: &IdScan) -> Result<()> {
    let asked: u64 = scan.slices.iter().map(|slice| ids_in(slice)).sum();
    let holes = count(session.state.pending.len());
    if holes <= asked / MAY_LACK || session.options.forced {
        return Ok(());
    }
    Err(Failure::new(Kind::Doubtful, format!("accept the new {}", session.name))
        .because(format!(
            "{} of {} could not be read, and at most a tenth may be missing",
            number(holes),
            plural(asked, "record")
        ))
        .advise(format!("the tables stay as they are; `pearlift run --full {}` accepts it", session.name)))
}
