//! Records that a reload does not bring: how many may leave the tables, and a list that shrank.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::Offset;
use sha2::{Digest, Sha256};

use crate::failure::{Failure, Kind, Result};
use crate::manifest::{Key, Shrunk};
use crate::quantity::count;
use crate::quantity::{number, plural};
use crate::run::held_records::held_record_ids;
use crate::run::safety_limit::{described, may_go};
use crate::run::scan::documents::Documents;
use crate::run::scan::list_pages::{self, List};
use crate::run::scan::row_groups::Groups;
use crate::run::session::ResourceSession;
use crate::schema::Type;
use crate::write::Replace;

/// Answers of a list that are compared at most before its first rows are written: a wrong one, and two that agree.
const ANSWERS: usize = 3;

impl ResourceSession<'_> {
    /// Refuses a reload in which more records are missing than may go: a fault of the source is more likely.
    pub async fn refuse_vanishing(&self, replace: Replace) -> Result<()> {
        let Some(head) = self.head.as_ref().filter(|_| replace == Replace::Everything && !self.options.forced) else {
            return Ok(());
        };
        let spool = self.buffer.spool();
        let (held, lost) = if self.resource.read.key_type == Type::Int64 {
            let held = held_record_ids(&self.context.store, &self.resource, head).await?;
            (count(held.len()), count(held.iter().filter(|id| !self.buffer.brings(**id)).count()))
        } else {
            let table = head.tables.get(&self.resource.main_table().name);
            let held = table.map_or(0, |table| table.files.iter().map(|file| file.rows).sum());
            // without a row per record its rows are compared, not its records.
            let fetched = self.resource.record_table().map_or_else(|| spool.rows(0), |_| count(spool.record_count()));
            (held, held.saturating_sub(fetched))
        };
        if lost <= may_go(held) {
            return Ok(());
        }
        Err(self.vanishing(lost, held))
    }

    fn vanishing(&self, lost: u64, held: u64) -> Failure {
        Failure::new(Kind::Doubtful, format!("accept the new {}", self.name))
            .because(format!("{} of {} would go, and {}", number(lost), plural(held, "record"), described(held)))
            .advise(format!(
                "if they were really deleted at the source, `pearlift run --full {}` accepts it",
                self.name
            ))
    }
}

/// A list without held records is complete when two of its answers have the same keys, and as many rows in all; at most
/// three are requested. Of one that comes in several pages by number the last page is requested once more, and the rest
/// only where it differs. Refuses (`Doubtful`) three answers of which no two agree.
async fn agreed(session: &ResourceSession<'_>, documents: &Documents, list: List) -> Result<List> {
    let stop = session.context.stop.clone();
    if stop.or(documents.ends_alike(&list)).await? {
        return Ok(list);
    }
    let mut known = vec![(keys(&list), groups(session, &list).total())];
    for _ in 1..ANSWERS {
        let again = stop.or(documents.list()).await?;
        let found = (keys(&again), groups(session, &again).total());
        if again.partial.is_none() && known.contains(&found) {
            return Ok(again);
        }
        known.push(found);
    }
    let sizes: Vec<String> = known.iter().map(|(keys, _)| keys.len().to_string()).collect();
    Err(Failure::new(Kind::Doubtful, format!("accept the new {}", session.name))
        .because(format!("no two of {ANSWERS} answers agree: their numbers of records are {}", sizes.join(", ")))
        .advise("nothing is loaded yet; run again"))
}

/// A list in which held records are missing is requested again, and one of which nothing is held yet. Beyond the limit
/// it is accepted with `--full`, or when it is the same on a second day.
pub async fn confirmed(session: &mut ResourceSession<'_>, documents: &Documents, list: List) -> Result<List> {
    let is_first = session.head.as_ref().is_none_or(|head| head.state.completed_at.is_none());
    if is_first && list.partial.is_none() {
        return agreed(session, documents, list).await;
    }
    let Some(head) = session.head.clone().filter(|_| {
        !session.commit_context.rebuild && list.partial.is_none() && session.resource.read.key_type == Type::Int64
    }) else {
        return Ok(list);
    };
    let held = held_record_ids(&session.context.store, &session.resource, &head).await?;
    let first = keys(&list);
    let rows = session.held_rows().await?;
    let shown = groups(session, &list);
    if held.iter().all(|id| first.contains(&Key::Int(*id))) && rows.is_none_or(|rows| shown.total() >= rows) {
        session.state.absence.shrunk = None;
        return Ok(list);
    }
    let stop = session.context.stop.clone();
    let again = stop.or(documents.list()).await?;
    let second = keys(&again);
    // A listing showed them: their rows stay.
    session.preserve(first.difference(&second).cloned());
    let lost = held.iter().map(|id| Key::Int(*id)).filter(|id| !first.contains(id) && !second.contains(id)).count();
    let shown_again = groups(session, &again);
    session.doubt_shrunk(shown.shrunk(&shown_again), again.date);
    let lost = (count(lost), count(held.len()));
    let (lost, held) = rows.map_or(lost, |rows| (rows.saturating_sub(shown_again.total()), rows));
    // An empty list is refused by its own rule, in every case.
    if second.is_empty() {
        session.state.absence.shrunk = None;
    } else {
        accept_shrunk(session, &second, (lost, held), again.date).await?;
    }
    Ok(again)
}

/// Accepts that of `held` records `lost` are gone: within the limit, where a person insists, or when the same ones are
/// left on a second day.
pub async fn accept_shrunk(
    session: &mut ResourceSession<'_>,
    left: &BTreeSet<Key>,
    (lost, held): (u64, u64),
    at: Timestamp,
) -> Result<()> {
    if lost <= may_go(held) || session.options.forced {
        session.state.absence.shrunk = None;
        return Ok(());
    }
    let keys = digest(left);
    let before = session.state.absence.shrunk.take().filter(|before| before.keys == keys);
    let day = |at: Timestamp| Offset::UTC.to_datetime(at).date();
    if before.as_ref().is_some_and(|before| day(before.at) < day(at)) {
        let text = format!("{} of {} missing on a second day: accepted", number(lost), plural(held, "record"));
        session.context.events.warn(&session.name, text);
        session.options.forced = true;
        return Ok(());
    }
    session.state.absence.shrunk = before.or(Some(Shrunk { at, keys }));
    session.commit(Replace::Records, false).await?;
    Err(session.vanishing(lost, held))
}

/// The keys of a list's records, of rejected ones too.
fn keys(list: &List) -> BTreeSet<Key> {
    list.pages.iter().flat_map(|(page, _)| list_pages::keys(page)).collect()
}

/// The rows of a list's records, where keys repeat.
fn groups(session: &ResourceSession<'_>, list: &List) -> Groups {
    let mut groups = Groups::of(&session.resource);
    list.pages.iter().for_each(|(page, _)| groups.note(page));
    groups
}

fn digest(keys: &BTreeSet<Key>) -> String {
    let mut digest = Sha256::new();
    for key in keys {
        digest.update(format!("{key:?}\n"));
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
