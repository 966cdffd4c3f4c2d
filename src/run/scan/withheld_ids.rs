//! Ids that stay pending: withheld after three runs over three days, and requested once a run from then on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::failure::{Kind, Result};
use crate::fetch::collapse;
use crate::manifest::{Key, Tries, Withheld};
use crate::quantity::plural;
use crate::run::scan::deletion_proof::max_ids;
use crate::run::scan::documents::Documents;
use crate::run::scan::id_scan::IdScan;
use crate::run::session::ResourceSession;

/// A pending id is withheld after this many runs over this many days.
const WITHHELD_AFTER: (u32, i32) = (3, 3);

impl IdScan {
    /// Requests withheld ids in one set a run. The scan continues, regardless of the result.
    pub(super) async fn ask_withheld(
        &mut self,
        session: &mut ResourceSession<'_>,
        documents: &Documents,
    ) -> Result<()> {
        let withheld: Vec<i64> = session.state.absence.withheld.keys().copied().collect();
        if withheld.is_empty() {
            return Ok(());
        }
        // Another set each day, where one does not hold them all.
        let most = max_ids(session);
        let day = usize::try_from(self.started_at.as_second() / 86_400).unwrap_or_default();
        let from = if withheld.len() > most { day.wrapping_mul(most) % withheld.len() } else { 0 };
        let set = collapse(withheld.iter().cycle().skip(from).take(most.min(withheld.len())).copied());
        let stop = session.context.stop.clone();
        match stop.or(documents.fetch(&set)).await {
            Ok(mut fetched) => {
                (fetched.gone, fetched.unclear, fetched.refused, fetched.deferred) = Default::default();
                fetched.pages.iter_mut().for_each(|(page, _)| page.rejected_records.clear());
                self.take_in(session, fetched).await.map(|_| ())
            }
            Err(failure) if matches!(failure.kind(), Kind::Answer | Kind::Refused) => {
                session.context.events.note(&session.name, format!("withheld ids could not be asked for: {failure}"));
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }
}

/// Counts the run for every pending id; those that stayed pending in three runs over three days are withheld.
pub fn age_pending(session: &mut ResourceSession<'_>, now: Timestamp) {
    let day = |at: Timestamp| Offset::UTC.to_datetime(at).date();
    let mut withheld = BTreeMap::new();
    for pending in &session.state.pending {
        let Key::Int(id) = pending.id else { continue };
        let blank = || Tries { runs: 0, run: String::new(), first: pending.since };
        let tries = session.state.absence.tries.entry(id).or_insert_with(blank);
        if tries.run != session.context.run {
            (tries.runs, tries.run) = (tries.runs.saturating_add(1), session.context.run.clone());
        }
        let days = day(now).since(day(tries.first)).map_or(0, |span| span.get_days()).saturating_add(1);
        if tries.runs >= WITHHELD_AFTER.0 && days >= WITHHELD_AFTER.1 {
            withheld.insert(id, Withheld { reason: pending.reason.clone(), since: tries.first });
        }
    }
    if withheld.is_empty() {
        return;
    }
    let text = format!("{} pending in three runs over three days: withheld from now on", plural(withheld.len(), "id"));
    session.context.events.warn(&session.name, text);
    session.state.pending.retain(|pending| !matches!(pending.id, Key::Int(id) if withheld.contains_key(&id)));
    session.state.absence.tries.retain(|id, _| !withheld.contains_key(id));
    session.state.absence.withheld.extend(withheld);
}
