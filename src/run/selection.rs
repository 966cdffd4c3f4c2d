//! The resources of a run, their heads and their jobs: nothing is requested from the source.

use std::collections::BTreeMap;

use crate::config::{Destination, Settings};
use crate::failure::{Failure, Kind, Result};
use crate::manifest::{Cursor, Version, check_destination, head, read_plan, staged};
use crate::plan::{Job, ResourceOptions, can_reread, plan};
use crate::run::reconcile;
use crate::run::request::RunRequest;
use crate::schema::{Catalog, Open, Owners, ReadStyle, Resource};
use crate::store::Store;

/// The jobs of a run, from the heads alone: nothing is requested from the source and nothing is written.
pub async fn jobs(request: &RunRequest) -> Result<Vec<Job>> {
    let chosen = choose(&request.catalog, &request.settings, &request.names)?;
    let heads = read_heads(&request.settings, &chosen).await?;
    chosen.iter().map(|resource| Ok(plan(resource, heads.get(&resource.name), options(request, resource)?))).collect()
}

/// The options of a resource by settings and command line. Refuses (`Schema`: this resource stops) those it cannot
/// have.
pub fn options(request: &RunRequest, resource: &Resource) -> Result<ResourceOptions> {
    let (name, settings) = (resource.name.as_str(), &request.settings);
    let options = ResourceOptions {
        full: request.mode.is_full(),
        start: settings.start(name)?,
        every: settings.every(name)?,
        reload_every: settings.reload_every(name)?,
        reconcile_every: settings.reconcile_every(name)?,
        reread_requests: settings.reread_requests(name).unwrap_or(settings.limits()?.reread_requests),
        open_every: settings.open_every(name)?,
        now: request.now,
        source_now: None,
        overlap: settings.limits()?.overlap,
    };
    let whole = "it is read whole each time: `every` says how often";
    let dated = resource.has_dates();
    let refused = [
        ("start", options.start.and_then(|_| refuse_start(resource))),
        (
            "every",
            options
                .every
                .filter(|_| dated)
                .map(|_| "it has dates: `reload_every` says how often it is read whole".into()),
        ),
        ("reload_every", options.reload_every.filter(|_| !dated).map(|_| whole.into())),
        (
            "reread_requests",
            settings.reread_requests(name).filter(|_| !can_reread(resource)).map(|_| {
                if dated {
                    "rows of a search cannot be read one by one: set `reload_every`".into()
                } else {
                    whole.into()
                }
            }),
        ),
        (
            "open_every",
            options
                .open_every
                .filter(|_| !matches!(resource.open(), Some(Open::Until { .. })))
                .map(|_| "its schema names no column that is null while a record is open".into()),
        ),
        ("reconcile_every", options.reconcile_every.and_then(|_| reconcile::refuse(resource))),
    ];
    match refused.into_iter().find_map(|(key, why): (&str, Option<String>)| Some((key, why?))) {
        Some((key, why)) => Err(Failure::new(Kind::Schema, format!("keep `resource.{name}.{key}`")).because(why)),
        None => Ok(options),
    }
}

/// Why a resource cannot begin at a date, if it cannot.
fn refuse_start(resource: &Resource) -> Option<String> {
    match &resource.read.style {
        ReadStyle::IdSets { changes: Some(_), .. } => None,
        ReadStyle::Search(search) if !search.since.is_empty() => None,
        ReadStyle::IdSets { changes: None, .. } | ReadStyle::Search(_) => {
            Some("its search has no date of creation".into())
        }
        ReadStyle::List { .. } => Some("a list is read whole: its records have no date of creation".into()),
        ReadStyle::PerOwner { owners, .. } => {
            let owner = match owners {
                Owners::Listed { resource, .. } => resource,
                Owners::Held(held) => &held.table,
            };
            Some(format!("it is read by the ids of {owner}, regardless of their date"))
        }
    }
}

/// The heads of these resources; none where the destination does not exist yet.
pub async fn read_heads(settings: &Settings, chosen: &[&Resource]) -> Result<BTreeMap<String, Version>> {
    let destination = settings.destination()?;
    if let Destination::Local(folder) = &destination
        && !folder.exists()
    {
        return Ok(BTreeMap::new());
    }
    let store = Store::of(settings, false)?;
    if let Ok(account) = settings.account() {
        check_destination(&store, &account.code).await?;
    }
    let mut heads = BTreeMap::new();
    for resource in chosen {
        if let Some(version) = head(&store, &resource.name).await? {
            heads.insert(resource.name.clone(), version);
        }
    }
    Ok(heads)
}

/// The resources named, or all that the settings select, in the order in which they are read.
pub fn choose<'a>(catalog: &'a Catalog, settings: &Settings, names: &[String]) -> Result<Vec<&'a Resource>> {
    for name in names {
        catalog.get(name)?;
    }
    let chosen: Vec<&Resource> = catalog
        .resources()
        .iter()
        .filter(|resource| if names.is_empty() { settings.selects(resource) } else { names.contains(&resource.name) })
        .collect();
    if chosen.is_empty() {
        return Err(Failure::new(Kind::Settings, "find anything to do")
            .because("`resources.include` and `resources.exclude` leave no resource")
            .advise("`pearlift resources` lists them all"));
    }
    Ok(chosen)
}

/// How far an unfinished scan has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Requests for documents that are done, of this many.
    Sets { done: u64, of: u64 },
    /// Rows of a search that were read; their number in all is unknown.
    Rows { done: u64 },
}

/// The progress of the unfinished scans of these heads, by resource. A scan without its plan begins again.
pub async fn progress(settings: &Settings, heads: &BTreeMap<String, Version>) -> Result<BTreeMap<String, Progress>> {
    let mut found = BTreeMap::new();
    for (name, scan) in heads.iter().filter_map(|(name, head)| Some((name, head.state.scan.as_ref()?))) {
        let progress = match &scan.cursor {
            Cursor::Rows { next, .. } => Progress::Rows { done: next.saturating_sub(1) },
            Cursor::Slices { plan, done } => {
                let store = Store::of(settings, false)?;
                let Some(plan) = read_plan(&store, plan).await? else { continue };
                let of = u64::try_from(plan.slices.len()).expect("a length fits");
                let done = done.iter().map(|(first, last)| last.saturating_sub(*first).saturating_add(1));
                Progress::Sets { done: done.fold(0, u64::saturating_add).min(of), of }
            }
        };
        found.insert(name.clone(), progress);
    }
    Ok(found)
}

/// How many files of these heads still wait in staging, by resource.
pub async fn unpublished(settings: &Settings, heads: &BTreeMap<String, Version>) -> Result<BTreeMap<String, u64>> {
    if heads.is_empty() {
        return Ok(BTreeMap::new());
    }
    let store = Store::of(settings, false)?;
    let waiting = staged(&store).await?;
    let of = |head: &Version| head.files().filter(|file| waiting.contains(&file.staged)).count();
    Ok(heads.iter().map(|(name, head)| (name.clone(), u64::try_from(of(head)).expect("a count fits"))).collect())
}
