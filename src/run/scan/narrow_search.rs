//! A second listing that is narrow: of the days on which the ids in question were created.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::failure::Result;
use crate::fetch::{Filter, collapse, count as ids_in};
use crate::run::held_records::record_key_files;
use crate::run::scan::id_source::IdSource;
use crate::run::session::ResourceSession;
use crate::schema::IdSearch;
use crate::window::Window;
use crate::write::{StoredRecord, StoredValue, held};

/// More windows than this are no narrow search any more.
const WINDOWS: usize = 10;
/// A window is wider by this on either side: a source may read the bounds as local time.
const AROUND: SignedDuration = SignedDuration::from_hours(24);

/// The listing of some windows of time.
#[derive(Debug, Default)]
pub struct Listing {
    pub ids: BTreeSet<i64>,
    /// Every search agreed with the count that it stated.
    pub agrees: bool,
}

/// The windows around the creation of held records, by the search's date `by`; none where a date is not held, or the
/// windows are many.
pub async fn windows(session: &ResourceSession<'_>, by: &str, ids: &BTreeSet<i64>) -> Result<Option<Vec<Window>>> {
    let (Some(column), Some(head)) = (session.resource.date_column(by), &session.head) else { return Ok(None) };
    let columns = [column.name.clone()];
    let ids: Vec<i64> = ids.iter().copied().collect();
    let mut holdings: HashMap<i64, StoredRecord> = HashMap::new();
    for (key, files) in record_key_files(&session.resource, head) {
        holdings.extend(held(&session.context.store, &files, &key, &columns, &ids).await?);
    }
    let created = |id: &i64| match holdings.get(id)?.cells.first()? {
        StoredValue::Number(micros) => Timestamp::from_microsecond(i64::try_from(*micros).ok()?).ok(),
        StoredValue::Null | StoredValue::Bool(_) | StoredValue::Text(_) => None,
    };
    let Some(mut created) = ids.iter().map(created).collect::<Option<Vec<Timestamp>>>() else { return Ok(None) };
    created.sort_unstable();
    let mut windows: Vec<(Timestamp, Timestamp)> = Vec::new();
    for at in created {
        let (from, to) = (at.saturating_sub(AROUND).unwrap_or(at), at.saturating_add(AROUND).unwrap_or(at));
        match windows.last_mut() {
            Some((_, last)) if *last >= from => *last = to,
            Some(_) | None => windows.push((from, to)),
        }
    }
    let windows: Vec<Window> = windows.into_iter().map(|(from, to)| Window::between(from, to)).collect();
    Ok(Some(windows).filter(|windows| windows.len() <= WINDOWS))
}

/// Every id that a search shows in these windows.
pub async fn listing(
    id_source: &IdSource<'_>,
    service: &str,
    search: &IdSearch,
    by: &str,
    windows: &[Window],
) -> Result<Listing> {
    let mut found = Listing { ids: BTreeSet::new(), agrees: true };
    for window in windows {
        let filter = Filter::Period { column: by.to_owned(), window: *window };
        let mut walk = id_source.walk(service, search, &[], Some(filter));
        let mut ids = Vec::new();
        while let Some(page) = id_source.stop.or(walk.next()).await? {
            ids.extend(page.content.into_iter().map(|row| row.id));
        }
        // Pages overlap, and a search may have several rows a record.
        let records = ids_in(&collapse(ids.iter().copied()));
        found.agrees &= walk.available() == Some(records) || search.id != search.row || search.repeats;
        found.ids.extend(ids);
    }
    Ok(found)
}
