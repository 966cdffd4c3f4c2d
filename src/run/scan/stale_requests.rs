//! The second request for stale documents, at the end of a scan by ids.
//!
//! A document that stays older than its search row is pending. Where the source's clock was set back, no other will
//! ever come: one that is pending for a while is looked for in a search by the date that the document has, and where
//! that shows it, its row and the document agree. Where many stay stale, the search is more likely wrong than the
//! documents: the rule is suspended.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::decode::{IdRow, timestamp_micros};
use crate::failure::Result;
use crate::fetch::{Filter, chunks, collapse};
use crate::manifest::{Key, PendingId};
use crate::quantity::{count, number, plural};
use crate::run::safety_limit::SafetyLimit;
use crate::run::scan::documents::Documents;
use crate::run::scan::id_scan::IdScan;
use crate::run::scan::id_source::IdSource;
use crate::run::scan::stale_documents::{Dates, REASON, ROUNDING};
use crate::run::session::ResourceSession;
use crate::schema::ReadStyle;
use crate::window::Window;

/// The rule is suspended this long, then tried again.
const SUSPENDED_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A document that is pending so long is looked for in a search: a replica that lags has caught up by then.
const PENDING_FOR: SignedDuration = SignedDuration::from_mins(50);

impl IdScan {
    /// Asks for stale documents once more, at the end of a self.
    pub async fn ask_stale_again(&mut self, session: &mut ResourceSession<'_>, documents: &Documents) -> Result<()> {
        let ReadStyle::IdSets { max_ids, .. } = &session.resource.read.style else { return Ok(()) };
        let found: Vec<i64> = self.stale.found.keys().copied().collect();
        for set in chunks(&collapse(found.iter().copied()), *max_ids) {
            let stop = session.context.stop.clone();
            let fetched = stop.or(documents.fetch(&set)).await?;
            for id in fetched.gone.iter().chain(fetched.refused.iter().map(|(id, _)| id)) {
                self.stale.found.remove(id);
            }
            self.take_in(session, fetched).await?;
        }
        if !found.is_empty() {
            self.release_stale(session).await?;
            self.settle_stale(session);
        }
        Ok(())
    }

    /// Accepts documents that are pending for a while where the search shows them by the date that they have: the later
    /// date was set before the source's clock went back.
    async fn release_stale(&mut self, session: &mut ResourceSession<'_>) -> Result<()> {
        let resource = Arc::clone(&session.resource);
        let ReadStyle::IdSets { changes: Some(changes), .. } = &resource.read.style else { return Ok(()) };
        let is_old = |pending: &PendingId| self.started_at.duration_since(pending.since) >= PENDING_FOR;
        let long: BTreeSet<i64> = session
            .state
            .pending
            .iter()
            .filter(|pending| pending.reason == REASON && is_old(pending))
            .filter_map(|pending| if let Key::Int(id) = pending.id { Some(id) } else { None })
            .collect();
        let id_source = IdSource::of(session);
        let most = usize::try_from(SafetyLimit::STALE.of(0)).expect("it is small");
        let found: Vec<(i64, Dates)> = self.stale.found.iter().map(|(id, dates)| (*id, dates.clone())).collect();
        for (id, dates) in found.into_iter().filter(|(id, _)| long.contains(id)).take(most) {
            let Some((place, micros)) = self.stale.latest(&dates) else { continue };
            let Ok(at) = Timestamp::from_microsecond(micros) else { continue };
            let column = changes.since[place].clone();
            let filter = Filter::Period { column: column.clone(), window: Window::between(at, at) };
            let (_, rows) = id_source.search(&resource.read.service, &changes.search, &[column], Some(filter)).await?;
            let agrees = |row: &IdRow| {
                let shown = row.stamps.first().and_then(|text| timestamp_micros(text.as_deref()?));
                row.id == id && shown.is_some_and(|shown| shown.abs_diff(micros) < ROUNDING.unsigned_abs())
            };
            if rows.iter().any(agrees) {
                self.stale.found.remove(&id);
                self.stale.awaited.remove(&id);
                session.state.evidence.awaited.remove(&id);
                session.state.pending.retain(|pending| pending.id != Key::Int(id));
            }
        }
        Ok(())
    }

    /// Suspends the rule where many documents are stale still, and reports.
    fn settle_stale(&mut self, session: &mut ResourceSession<'_>) {
        let found = &self.stale.found;
        let (stale, read) = (count(found.len()), self.stale.read.max(count(found.len())));
        if stale == 0 {
            return;
        }
        if stale <= SafetyLimit::STALE.of(read) {
            let text = format!("{} older than the rows in the search: pending", plural(stale, "document"));
            session.context.events.warn(&session.name, text);
            session.tally.noticed.stale += stale;
            return;
        }
        let until = self.started_at.saturating_add(SUSPENDED_FOR).unwrap_or(self.started_at);
        session.state.pending.retain(|pending| pending.reason != REASON);
        session.state.evidence.awaited.clear();
        session.state.evidence.stale_suspended_until = Some(until);
        session.tally.noticed.suspended = Some(until);
        let text = format!(
            "{} of {} older than the rows in the search in two answers: accepted as they are, and documents are not compared \
             with the search until {until:.0}",
            number(stale),
            plural(read, "document")
        );
        session.context.events.warn(&session.name, text);
    }
}
