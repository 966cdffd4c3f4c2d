//! Owners of which the source returned nothing, at the end of a scan of the records that are read by them.
//!
//! An absent owner of a listing has an empty record, once a witness shows that the source works. A record of held ids has no
//! listing: its rows stay until two answers lack it, of which the second has a witness of the same path, and then the safety
//! limits decide how many of these records leave the tables (docs/reading.md §13). No table of ours is evidence of a deletion.

use std::collections::BTreeSet;

use crate::failure::Result;
use crate::run::held_records::held_record_count;
use crate::run::scan::deletion_decision::{AbsentRecords, UNPROVEN, delete_or_suspect};
use crate::run::scan::deletion_proof::SecondAnswer;
use crate::run::scan::id_scan::IdScan;
use crate::run::scan::purpose::Purpose;
use crate::run::session::ResourceSession;

const NO_WITNESS: &str =
    "the source does not return it, and returns no other record by which that answer could be judged";
const NO_PATH: &str = "the table with its id has no row of it any more, and its own row lacks a value of its path";

impl IdScan {
    /// Decides about absent owners that were requested again, or leaves it to the end of the scan.
    pub async fn settle_owners(
        &mut self,
        session: &mut ResourceSession<'_>,
        again: &SecondAnswer,
        known: &AbsentRecords,
    ) -> Result<()> {
        if self.purpose.keeps_absent(&session.resource) {
            self.settle_held(session, again, known);
            return Ok(());
        }
        // Nothing came and nothing is held: there is no witness, and nothing to lose.
        let nothing_at_all = self.absent.witnesses.is_empty() && known.held.is_empty();
        let is_pending = |id: &i64| {
            if again.lost.contains(id) {
                known.held.contains(id)
            } else {
                again.unproven.contains(id) && !nothing_at_all
            }
        };
        let (pending, empty): (Vec<i64>, Vec<i64>) = again.absent.iter().partition(|id| is_pending(id));
        for id in pending {
            self.pend(session, id, if again.lost.contains(&id) { NO_PATH } else { UNPROVEN });
        }
        self.not_there(session, empty.iter().copied());
        if self.purpose.empties_absent(&session.resource) {
            session.absorb_with_empty(Vec::new(), self.purpose.partition(), empty, self.started_at).await?;
        }
        Ok(())
    }

    /// Absent records of held ids: those without a witness are pending, those with one have vanished.
    fn settle_held(&mut self, session: &mut ResourceSession<'_>, again: &SecondAnswer, known: &AbsentRecords) {
        let nothing_at_all = self.absent.witnesses.is_empty() && known.held.is_empty();
        for id in &again.absent {
            let (is_held, is_lost) = (known.held.contains(id), again.lost.contains(id));
            let is_unproven = is_lost || again.unproven.contains(id);
            match (is_held, is_unproven) {
                (_, true) if self.purpose == Purpose::Reconcile && (is_held || !is_lost) => {
                    self.absent.unproven.insert(*id);
                }
                (true, true) => self.pend(session, *id, if is_lost { NO_PATH } else { NO_WITNESS }),
                // A pending deletion is none any more.
                (true, false) => {
                    self.not_there(session, [*id]);
                    self.absent.vanished.insert(*id);
                }
                // Without a path, or where nothing came and nothing is held, there is nothing to lose.
                (false, true) if !is_lost && !nothing_at_all => self.pend(session, *id, UNPROVEN),
                (false, _) => self.not_there(session, [*id]),
            }
        }
        session.state.absence.suspects.retain(|id, _| !known.due.contains(id) || known.held.contains(id));
    }
}

impl IdScan {
    /// Notes ids as pending, of whose absence there is no witness.
    pub fn pend_without_witness(&mut self, session: &mut ResourceSession<'_>, ids: &BTreeSet<i64>) {
        ids.iter().for_each(|id| self.pend(session, *id, NO_WITNESS));
    }

    /// Accepts that ids are absent of which there is no witness.
    /// Records of them that are held have vanished.
    pub fn accept_without_witness(
        &mut self,
        session: &mut ResourceSession<'_>,
        ids: &BTreeSet<i64>,
        held: &BTreeSet<i64>,
    ) {
        self.not_there(session, ids.iter().copied());
        self.absent.vanished.extend(ids.intersection(held));
    }
}

/// Takes vanished records of a scan by held ids out of the tables with the next commit: a few at once, and those that an
/// earlier run found. The rest are suspects.
pub async fn delete_vanished(session: &mut ResourceSession<'_>, scan: &IdScan) -> Result<()> {
    if scan.absent.vanished.is_empty() {
        return Ok(());
    }
    let held = held_record_count(session).await?;
    delete_or_suspect(session, scan.absent.vanished.clone(), held, scan.absent.now(scan.started_at));
    Ok(())
}
