//! The unneeded and the unknown objects of a resource.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt};

use crate::clean::cleaning::{Cleaning, Repartitioned, Waste, WasteKind};
use crate::clean::retention::{NEWEST_VERSIONS, Retention, version_of};
use crate::config::DestinationLayout;
use crate::delta::superseded;
use crate::failure::{Failure, Kind, Result};
use crate::manifest::{Holding, Outline, Version, head, outline, resources};
use crate::schema::Catalog;
use crate::store::{Store, Upload, paths};
use crate::write::Joint;

/// Versions read at once.
const AT_ONCE: usize = 16;

/// The objects found of a resource.
#[derive(Debug, Default)]
pub struct Survey {
    pub waste: Vec<Waste>,
    /// Small files that became fewer.
    pub joints: Vec<Joint>,
    /// The change of the files that were divided anew.
    pub repartitioned: Option<Repartitioned>,
    pub unknown: Vec<String>,
    /// Empty folders of partitions.
    pub folders: Vec<String>,
    /// Why unfinished uploads are still there.
    pub uploads_left: Option<Failure>,
}

impl Survey {
    fn take(&mut self, path: String, bytes: u64, why: WasteKind) {
        self.waste.push(Waste { path, bytes, why });
    }
}

/// A resource by the catalogue, and by its head.
pub fn holding_of(catalog: &Catalog, name: &str, head: Option<&Version>) -> Holding {
    let known = catalog.find(name).map(Holding::new);
    let mut holding = known.unwrap_or_else(|| Holding {
        resource: name.to_owned(),
        tables: BTreeSet::new(),
        schema_hash: String::new(),
    });
    holding.tables.extend(head.iter().flat_map(|head| head.tables.keys().cloned()));
    holding
}

/// Looks at everything of a resource. Tables that only old versions name are added to the holding. `live` are the live
/// files of all resources, where they could be read beforehand.
pub async fn survey(
    work: Cleaning<'_>,
    holding: &mut Holding,
    head: Option<&Version>,
    uploads: &[Upload],
    live: Option<&BTreeSet<String>>,
) -> Result<Survey> {
    let mut survey = Survey::default();
    let removed = old_versions(work, &holding.resource, head, &mut survey).await?;
    let of_ours = removed.iter().filter_map(|path| paths::of_data(path));
    holding.tables.extend(of_ours.map(|(table, _)| table.to_owned()));
    tables(work, holding, &removed, live, &mut survey).await?;
    staging(work.store, holding, head, &mut survey).await?;
    let begun = uploads.iter().filter(|upload| is_staged_by(holding, &upload.path));
    begun.for_each(|upload| survey.take(upload.path.clone(), 0, WasteKind::Upload));
    beside(work.store, &holding.resource, head, &mut survey).await?;
    Ok(survey)
}

/// Empty folders that are named as partitions of the resource's tables.
pub async fn empty_folders(work: Cleaning<'_>, holding: &Holding, head: Option<&Version>) -> Result<Vec<String>> {
    let known = work.catalog.find(&holding.resource).map(|resource| resource.partition().segments());
    let stated = head.iter().flat_map(|head| head.tables.values()).filter_map(|table| table.partition.clone());
    let names: BTreeSet<String> = known.into_iter().flatten().chain(stated).collect();
    let mut folders = Vec::new();
    for table in &holding.tables {
        folders.extend(work.store.empty_partitions(table, &names).await?);
    }
    Ok(folders)
}

/// Versions to prune; returns the files that all versions removed.
pub async fn old_versions(
    work: Cleaning<'_>,
    resource: &str,
    head: Option<&Version>,
    survey: &mut Survey,
) -> Result<BTreeSet<String>> {
    let listed = work.store.list(&paths::manifests(resource)).await?;
    let listed = listed.iter().filter_map(|(path, bytes)| Some((version_of(path)?.1, *bytes)));
    let listed: Vec<(u64, u64)> = listed.collect();
    let read_each: Vec<Option<Outline>> = futures_util::stream::iter(&listed)
        .map(|(number, _)| readable(work.store, resource, *number))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let bytes = listed.iter().map(|(_, bytes)| bytes).sum();
    let mut retention = Retention::of_versions(head, listed.len(), bytes, work.now);
    let older = listed.len().saturating_sub(NEWEST_VERSIONS);
    let of_head = head.and_then(|head| Some(head.checkpoint.as_ref()?.version));
    let (mut removed, mut going, mut checkpoints) = (BTreeSet::new(), Vec::new(), BTreeSet::new());
    let mut aging = true;
    for (place, (outline, (_, bytes))) in read_each.into_iter().zip(&listed).enumerate() {
        let Some(outline) = outline else { continue };
        // From the oldest on, as long as they go.
        let needed = of_head == Some(outline.version);
        aging = aging && place < older && (needed || retention.goes(outline.written_at, *bytes));
        if aging && !needed {
            going.push((outline.version, *bytes));
        } else {
            checkpoints.insert(outline.checkpoint);
        }
        removed.extend(outline.removes);
    }
    // A version that stays needs the one that it refers to for its files.
    for (number, bytes) in going.into_iter().filter(|(number, _)| !checkpoints.contains(number)) {
        survey.take(paths::manifest(resource, number), bytes, WasteKind::Version);
    }
    Ok(removed)
}

/// A version, unless it is damaged: then it is nobody's to judge by.
async fn readable(store: &Store, resource: &str, number: u64) -> Result<Option<Outline>> {
    match outline(store, resource, number).await {
        Err(failure) if failure.kind() == Kind::Damage => Ok(None),
        outcome => outcome,
    }
}

/// The paths of the live files of all resources: another one may have taken a table over.
pub async fn live_files(store: &Store) -> Result<BTreeSet<String>> {
    let mut live = BTreeSet::new();
    for resource in resources(store).await? {
        live.extend(head(store, &resource).await?.iter().flat_map(|head| head.paths()).map(str::to_owned));
    }
    Ok(live)
}

/// Data files that no head names.
async fn tables(
    work: Cleaning<'_>,
    holding: &Holding,
    removed: &BTreeSet<String>,
    live: Option<&BTreeSet<String>>,
    survey: &mut Survey,
) -> Result<()> {
    let store = work.store;
    let (mut listed, mut kept) = (Vec::new(), BTreeMap::new());
    for table in &holding.tables {
        let files = store.list(table).await?;
        if files.iter().any(|(path, _)| paths::of_log(path).is_some()) {
            kept.extend(superseded(store, table, work.now).await?);
        }
        listed.extend(files);
    }
    if store.layout() == DestinationLayout::Delta {
        listed.retain(|(path, _)| paths::of_log(path).is_none());
    }
    if listed.is_empty() {
        return Ok(());
    }
    let named;
    let live = match live {
        Some(live) => live,
        None => {
            named = live_files(store).await?;
            &named
        }
    };
    for (path, bytes) in listed.into_iter().filter(|(path, _)| !live.contains(path)) {
        let ours = paths::of_data(&path).is_some_and(|(table, _)| holding.tables.contains(table));
        match kept.get(&path) {
            // Readers of earlier versions may need it.
            Some(false) => {}
            Some(true) => survey.take(path, bytes, WasteKind::Superseded),
            None if ours && removed.contains(&path) => survey.take(path, bytes, WasteKind::Superseded),
            None => survey.unknown.push(path),
        }
    }
    Ok(())
}

/// Staged files of the resource's tables that the head does not name.
async fn staging(store: &Store, holding: &Holding, head: Option<&Version>, survey: &mut Survey) -> Result<()> {
    let live: BTreeSet<&str> =
        head.iter().flat_map(|head| head.files().chain(&head.deleted)).map(|file| file.staged.as_str()).collect();
    for (path, bytes) in store.list(paths::STAGING).await? {
        if is_staged_by(holding, &path) && !live.contains(path.as_str()) {
            survey.take(path, bytes, WasteKind::Staging);
        }
    }
    Ok(())
}

/// Whether a path is that of a staged file of the resource.
fn is_staged_by(holding: &Holding, path: &str) -> bool {
    paths::of_staged(path).is_some_and(|(table, _)| holding.tables.contains(table))
}

/// Plans and files of rejected records that the head does not name.
async fn beside(store: &Store, resource: &str, head: Option<&Version>, survey: &mut Survey) -> Result<()> {
    let plans: BTreeSet<&str> = head.iter().copied().flat_map(Version::plans).collect();
    for (path, bytes) in store.list(&paths::scans(resource)).await? {
        if plans.contains(path.as_str()) {
            continue;
        }
        if paths::is_scan(&path, resource) {
            survey.take(path, bytes, WasteKind::Plan)
        } else {
            survey.unknown.push(path)
        }
    }
    let named: BTreeSet<&str> = head.iter().flat_map(|head| &head.rejected).map(|file| file.path.as_str()).collect();
    for (path, bytes) in store.list(&paths::rejected_of(resource)).await? {
        if named.contains(path.as_str()) {
            continue;
        }
        if paths::is_rejected(&path, resource) {
            survey.take(path, bytes, WasteKind::Rejected);
        } else {
            survey.unknown.push(path);
        }
    }
    Ok(())
}

/// Staged files and unfinished uploads of no table that anybody knows.
pub async fn unknown_staging(work: Cleaning<'_>, names: &BTreeSet<String>, uploads: &[Upload]) -> Result<Vec<String>> {
    let mut known: BTreeSet<String> =
        work.catalog.resources().iter().flat_map(|resource| &resource.tables).map(|table| table.name.clone()).collect();
    for name in names {
        match head(work.store, name).await {
            Ok(head) => known.extend(head.into_iter().flat_map(|head| head.tables.into_keys())),
            // Reported with the resource itself.
            Err(failure) if failure.kind() == Kind::Damage => {}
            Err(failure) => return Err(Failure::new(failure.kind(), "look at staging").caused(failure)),
        }
    }
    let staged = work.store.list(paths::STAGING).await?.into_iter().map(|(path, _)| path);
    let staged = staged.chain(uploads.iter().map(|upload| upload.path.clone()));
    Ok(staged.filter(|path| !paths::of_staged(path).is_some_and(|(table, _)| known.contains(table))).collect())
}
