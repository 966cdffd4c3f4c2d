//! The evidence of a deletion: a GET in which a witness came and the id did not, and a second listing without it
//! (docs/reading.md §13).

use std::collections::{BTreeMap, BTreeSet};

use crate::failure::Result;
use crate::fetch::{chunks, collapse, expand};
use crate::manifest::Key;
use crate::run::held_records::record_key_files;
use crate::run::holder::Places;
use crate::run::scan::absent_ids::{came, first_of};
use crate::run::scan::documents::Documents;
use crate::run::scan::id_scan::IdScan;
use crate::run::scan::id_source::IdSource;
use crate::run::scan::narrow_search;
use crate::run::session::ResourceSession;
use crate::schema::{Inventory, ReadStyle};

/// At most this many ids are requested alone.
pub const ALONE: usize = 20;
/// Ids whose paths are looked for at once: most witnesses are among the newest.
const PLACED_AT_ONCE: usize = 200;
/// Witnesses that are tried at most, where none of them comes.
const WITNESSES: usize = 3;

/// Ids that did not come in a second answer.
#[derive(Debug, Default)]
pub struct SecondAnswer {
    pub absent: BTreeSet<i64>,
    /// Of these, the ones in an answer that lacked the witness too.
    pub unproven: BTreeSet<i64>,
    /// Ids that could not be requested: no row states their path.
    pub lost: BTreeSet<i64>,
}

impl IdScan {
    /// Asks for ids once more, in sets that each include an id which came: the witness.
    pub async fn ask_beside_witness(
        &mut self,
        session: &mut ResourceSession<'_>,
        documents: &Documents,
        ids: &BTreeSet<i64>,
    ) -> Result<SecondAnswer> {
        let mut again = SecondAnswer::default();
        let ids = collapse(ids.iter().copied());
        let places = match &documents.holder {
            Some(holder) => holder.places(&ids).await?,
            None => Places { groups: BTreeMap::from([(Vec::new(), ids)]), lost: Vec::new() },
        };
        for (place, ids) in places.groups {
            self.ask_beside_witness_at(session, documents, (&place, &expand(&ids).collect()), &mut again).await?;
        }
        again.absent.extend(&places.lost);
        again.lost.extend(places.lost);
        self.fetch_deferred(session, documents).await?;
        Ok(again)
    }

    /// The same for ids that have one path, with a witness that has it too: a request with another path proves nothing.
    async fn ask_beside_witness_at(
        &mut self,
        session: &mut ResourceSession<'_>,
        documents: &Documents,
        (place, ids): (&[i64], &BTreeSet<i64>),
        again: &mut SecondAnswer,
    ) -> Result<()> {
        let stop = session.context.stop.clone();
        if self.absent.witnesses.get(place).is_none_or(|witness| ids.contains(witness)) {
            let shown = session.observations.top_shown.filter(|id| !ids.contains(id));
            let other = if shown.is_some() { shown } else { stored_witness(session, place, ids).await? };
            self.absent.set_witness(place, other);
        }
        // With a witness in each set; where one id is requested at a time, with one for several.
        let most = match max_ids(session) {
            1 => ALONE,
            most => most - 1,
        };
        for set in chunks(&collapse(ids.iter().copied()), most) {
            let mut witness = self.absent.witnesses.get(place).copied().filter(|witness| !ids.contains(witness));
            let asked = collapse(expand(&set).chain(witness));
            let mut fetched = stop.or(documents.fetch(&asked)).await?;
            // A witness that we hold may be gone too: others are tried, the newest first.
            let mut tried: BTreeSet<i64> = ids.iter().copied().chain(witness).collect();
            for _ in 1..WITNESSES {
                if witness.is_none() || first_of(&fetched).is_some() {
                    break;
                }
                let Some(other) = stored_witness(session, place, &tried).await? else { break };
                tried.insert(other);
                witness = Some(other);
                self.absent.set_witness(place, witness);
                fetched = stop.or(documents.fetch(&collapse(expand(&set).chain(witness)))).await?;
            }
            let proven = match witness {
                Some(witness) => came(&fetched).any(|id| id == witness),
                None => first_of(&fetched).is_some(),
            };
            let decides = self.purpose.keeps_absent(&session.resource);
            let none = if decides { std::mem::take(&mut fetched.none) } else { Vec::new() };
            let gone = std::mem::take(&mut fetched.gone).into_iter().chain(none);
            let absent: Vec<i64> = gone.filter(|id| Some(*id) != witness).collect();
            again.unproven.extend(absent.iter().filter(|_| !proven));
            again.absent.extend(absent);
            self.take_in(session, fetched).await?;
        }
        Ok(())
    }
}

/// Of ids that a GET in the company of a witness did not return, those that a second listing does not show either.
/// Where OPTIONS takes ids, it was asked with them already.
pub async fn prove_deletions(session: &ResourceSession<'_>, ids: BTreeSet<i64>) -> Result<BTreeSet<i64>> {
    if ids.is_empty() || has_options(session) {
        return Ok(ids);
    }
    let listed = listed_again(session, &ids).await?;
    Ok(ids.difference(&listed).copied().collect())
}

/// Of these ids, those that the source lists now.
pub async fn listed_again(session: &ResourceSession<'_>, ids: &BTreeSet<i64>) -> Result<BTreeSet<i64>> {
    let ReadStyle::IdSets { inventory, max_ids, changes, .. } = &session.resource.read.style else {
        return Ok(BTreeSet::new());
    };
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let service = &session.resource.read.service;
    let id_source = IdSource::of(session);
    match inventory {
        Inventory::Options(path) => {
            let mut listed = BTreeSet::new();
            for set in chunks(&collapse(ids.iter().copied()), *max_ids) {
                let path = format!("{service}/{path}/{}", crate::fetch::render(&set));
                listed.extend(expand(&id_source.options(&path).await?.ids).filter(|id| ids.contains(id)));
            }
            Ok(listed)
        }
        Inventory::Search(search) | Inventory::Windows(search) => {
            // A narrow listing where the dates of creation are held, else the whole.
            if let Some(changes) = changes
                && let Some(windows) = narrow_search::windows(session, changes.created(), ids).await?
            {
                let listing =
                    narrow_search::listing(&id_source, service, &changes.search, changes.created(), &windows).await?;
                return Ok(listing.ids.intersection(ids).copied().collect());
            }
            let (_, rows) = id_source.search(service, search, &[], None).await?;
            Ok(rows.into_iter().map(|row| row.id).filter(|id| ids.contains(id)).collect())
        }
    }
}

/// Whether OPTIONS of the resource takes ids.
pub fn has_options(session: &ResourceSession<'_>) -> bool {
    matches!(&session.resource.read.style, ReadStyle::IdSets { inventory: Inventory::Options(_), .. })
}

/// Ids of a GET at most.
pub fn max_ids(session: &ResourceSession<'_>) -> usize {
    match &session.resource.read.style {
        ReadStyle::IdSets { max_ids, .. } | ReadStyle::PerOwner { max_ids, .. } => *max_ids,
        ReadStyle::Search(_) | ReadStyle::List { .. } => 1,
    }
}

/// An id that the tables hold and that has this path, for want of one that came.
pub async fn stored_witness(session: &ResourceSession<'_>, place: &[i64], but: &BTreeSet<i64>) -> Result<Option<i64>> {
    let Some(head) = session.head.as_ref().filter(|_| !session.commit_context.rebuild) else { return Ok(None) };
    let absence = &session.state.absence;
    let doubted = |id: &i64| {
        let pending = session.state.pending.iter().any(|pending| pending.id == Key::Int(*id));
        pending || absence.withheld.contains_key(id) || absence.suspects.contains_key(id)
    };
    for (key, files) in record_key_files(&session.resource, head) {
        // The newest file first: a record that changed lately most likely still exists.
        for file in files.iter().rev().filter(|file| file.rows > 0) {
            let ids = crate::write::held_ids(&session.context.store, std::slice::from_ref(file), &key).await?;
            let ids: Vec<i64> = ids.into_iter().filter(|id| !but.contains(id) && !doubted(id)).collect();
            for newest in ids.rchunks(PLACED_AT_ONCE) {
                let of_place = match &session.stored.holder {
                    Some(holder) => holder.places(&collapse(newest.iter().copied())).await?.groups.remove(place),
                    None => Some(collapse(newest.iter().copied())),
                };
                if let Some(id) = of_place.iter().flat_map(|ids| expand(ids)).last() {
                    return Ok(Some(id));
                }
            }
        }
    }
    Ok(None)
}
