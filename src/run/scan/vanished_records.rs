//! Stored records that a comparison with the source's count did not show.
//!
//! They become suspects: the next run asks for them beside a witness and lists them again, and only then are they
//! deleted. Rows of a search, which have no GET, are looked for in a narrow search of their days first. More than may
//! be removed at once are named, and nothing is done about them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::failure::Result;
use crate::fetch::{collapse, expand};
use crate::quantity::count;
use crate::quantity::plural;
use crate::run::held_records::held_record_count;
use crate::run::safety_limit::{described, may_go};
use crate::run::scan::missing_rows;
use crate::run::session::ResourceSession;
use crate::schema::ReadStyle;

/// Makes suspects of records that were not shown; gives those that are only named.
pub async fn suspect(session: &mut ResourceSession<'_>, vanished: BTreeSet<i64>) -> Result<BTreeSet<i64>> {
    if vanished.is_empty() {
        return Ok(vanished);
    }
    let held = held_record_count(session).await?;
    if count(vanished.len()) > may_go(held) {
        let text = format!(
            "{} no longer shown, and {}: `pearlift reconcile {}` checks each",
            plural(vanished.len(), "record"),
            described(held),
            session.name
        );
        session.context.events.warn(&session.name, text);
        return Ok(vanished);
    }
    let resource = Arc::clone(&session.resource);
    let (suspects, named) = match &resource.read.style {
        ReadStyle::Search(search) => {
            let absent = missing_rows::absent(session, search, vanished.clone()).await?;
            match absent {
                Some(absent) => (absent, BTreeSet::new()),
                None => (BTreeSet::new(), vanished),
            }
        }
        ReadStyle::IdSets { .. } | ReadStyle::List { .. } | ReadStyle::PerOwner { .. } => (vanished, BTreeSet::new()),
    };
    let at = session.state.count.counted_at.unwrap_or_else(|| session.context.clock.now());
    let run = session.context.run.clone();
    session.state.absence.suspect(suspects, at, &run);
    Ok(named)
}

/// Leaves out ids that a GET has returned although no listing shows them. A comparison of whole sets corrects which
/// these are.
pub fn without_hidden(session: &mut ResourceSession<'_>, vanished: BTreeSet<i64>, whole: bool) -> BTreeSet<i64> {
    let mut hidden: BTreeSet<i64> = expand(&session.state.absence.hidden).collect();
    if whole {
        hidden.retain(|id| vanished.contains(id));
        session.state.absence.hidden = collapse(hidden.iter().copied());
    }
    vanished.difference(&hidden).copied().collect()
}
