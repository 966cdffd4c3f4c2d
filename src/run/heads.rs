//! Which resources are chosen, what their heads say, and what a run would do with them: nothing is asked of the source.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::config::{Destination, Settings};
use crate::failure::{Failure, Kind, Result};
use crate::manifest::{Version, claim_destination, head, staged};
use crate::plan::{Job, Wish, plan};
use crate::run::Errand;
use crate::schema::{Catalog, Resource};
use crate::store::Store;

/// What a run would do, from the heads alone: nothing is asked of the source and nothing is written.
pub async fn jobs(errand: &Errand) -> Result<Vec<Job>> {
    let chosen = choose(&errand.catalog, &errand.settings, &errand.names)?;
    let heads = read_heads(&errand.settings, &chosen).await?;
    chosen
        .iter()
        .map(|resource| {
            let wish =
                Wish { full: errand.task.is_full(), every: errand.settings.every(&resource.name)?, now: errand.now };
            Ok(plan(resource, heads.get(&resource.name), wish))
        })
        .collect()
}

/// The heads of these resources; none where the destination does not exist yet.
pub async fn read_heads(settings: &Settings, chosen: &[&Resource]) -> Result<BTreeMap<String, Version>> {
    let destination = settings.destination()?;
    if let Destination::Local(folder) = &destination
        && !folder.exists()
    {
        return Ok(BTreeMap::new());
    }
    let store = Store::open(&destination, false)?;
    if let Ok(account) = settings.account() {
        claim_destination(&store, &account.code, Timestamp::UNIX_EPOCH, false).await?;
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
        .filter(
            |resource| if names.is_empty() { settings.selects(&resource.name) } else { names.contains(&resource.name) },
        )
        .collect();
    if chosen.is_empty() {
        return Err(Failure::new(Kind::Settings, "find anything to do")
            .because("`resources.include` and `resources.exclude` leave no resource")
            .advise("`pearlift resources` lists them all"));
    }
    Ok(chosen)
}

/// How many files of these heads still wait in staging, by resource.
pub async fn unpublished(settings: &Settings, heads: &BTreeMap<String, Version>) -> Result<BTreeMap<String, u64>> {
    if heads.is_empty() {
        return Ok(BTreeMap::new());
    }
    let store = Store::open(&settings.destination()?, false)?;
    let waiting = staged(&store).await?;
    let of = |head: &Version| head.files().filter(|file| waiting.contains(&file.staged)).count();
    Ok(heads.iter().map(|(name, head)| (name.clone(), u64::try_from(of(head)).expect("a count fits"))).collect())
}
