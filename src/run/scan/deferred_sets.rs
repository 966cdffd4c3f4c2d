//! Sets that failed in a scan by ids: pending at once, so that no commit on the way forgets them, and halved at the end
//! of the scan, once others have come.

use std::collections::BTreeSet;

use crate::failure::{Kind, Result};
use crate::fetch::expand;
use crate::manifest::{Key, PendingId};
use crate::run::scan::absent_ids::first_of;
use crate::run::scan::deletion_proof::stored_witness;
use crate::run::scan::documents::{Deferred, Documents, PROBES};
use crate::run::scan::id_scan::IdScan;
use crate::run::session::ResourceSession;
use crate::run::stop::stopped;

impl IdScan {
    /// Notes sets that failed: their ids are pending until the sets are halved.
    pub fn put_off(&mut self, session: &mut ResourceSession<'_>, deferred: Vec<Deferred>) {
        for set in deferred {
            let known: BTreeSet<&Key> = session.state.pending.iter().map(|pending| &pending.id).collect();
            let new: Vec<Key> = expand(&set.ids).map(Key::Int).filter(|id| !known.contains(id)).collect();
            let reason = format!("the set in which it was requested failed: {}", set.failure.reason());
            session.state.pending.extend(new.iter().cloned().map(|id| PendingId {
                id,
                reason: reason.clone(),
                since: self.started_at,
            }));
            self.deferred.push((set, new));
        }
    }

    /// Halves the sets that were put off; gives how many ids are newly pending.
    pub async fn fetch_deferred(&mut self, session: &mut ResourceSession<'_>, documents: &Documents) -> Result<u64> {
        let stop = session.context.stop.clone();
        let mut newly = 0;
        while let Some((set, provisional)) = self.deferred.pop() {
            let text = format!("a set failed ({}): it is requested in halves", set.failure.reason());
            session.context.events.note(&session.name, text);
            self.show_that_others_come(session, documents, &set).await?;
            let fetched = tokio::select! {
                biased;
                () = stop.wait() => return Err(stopped()),
                fetched = documents.in_pieces(set, PROBES) => fetched?,
            };
            session.state.pending.retain(|pending| !provisional.contains(&pending.id));
            newly += self.take_in(session, fetched).await?;
        }
        Ok(newly)
    }
}

impl IdScan {
    /// Asks for a held record where nothing has come in this scan: where it comes, the records of the failed set are
    /// the reason, and not the source.
    async fn show_that_others_come(
        &mut self,
        session: &mut ResourceSession<'_>,
        documents: &Documents,
        set: &Deferred,
    ) -> Result<()> {
        if documents.sets.count() > 0 {
            return Ok(());
        }
        let place = match &documents.holder {
            Some(holder) => holder.places(&set.ids).await?.groups.into_keys().next(),
            None => None,
        };
        let but = expand(&set.ids).collect();
        let Some(witness) = stored_witness(session, &place.unwrap_or_default(), &but).await? else { return Ok(()) };
        let stop = session.context.stop.clone();
        let fetched = stop.or(documents.fetch(&vec![(witness, witness)])).await;
        match fetched {
            Ok(fetched) if first_of(&fetched).is_some() => self.take_in(session, fetched).await.map(|_| ()),
            Err(failure) if failure.kind() == Kind::Interrupted => Err(failure),
            // It does not come either: the set is judged as it is.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
