//! The resources of a script, read from the destination: their tables, the paths of their files, and the changes since the
//! loaded versions.
//!
//! Takes the store, the resources with their heads and the loaded versions. Refuses (`Usage`) a version that does not exist or is
//! not kept any more, and (`Held`) files that are not published yet where the engine cannot read them.

use std::collections::{BTreeMap, BTreeSet};

use crate::failure::{Failure, Kind, Result};
use crate::manifest::{Version, staged, version, versions};
use crate::schema::Resource;
use crate::sql::change::DividingDate;
use crate::sql::dialect::SqlDialect;
use crate::sql::difference::{TableChange, difference};
use crate::sql::model::{SqlResource, describe};
use crate::sql::since::LoadedVersions;
use crate::store::Store;

/// A resource of a script.
#[derive(Clone, Debug)]
pub struct SqlPlan {
    pub described: SqlResource,
    pub date: Option<DividingDate>,
    pub start: SqlStart,
}

/// The state from which a script brings a resource to the head.
#[derive(Clone, Debug)]
pub enum SqlStart {
    /// Nothing is loaded.
    Nothing,
    /// Tables of this version, with these changes since.
    Version(u64, BTreeMap<String, TableChange>),
}

/// The parts of the destination that a script needs.
#[derive(Clone, Copy, Debug)]
pub struct SqlSource<'a> {
    pub store: &'a Store,
    pub dialect: SqlDialect,
    /// Files are named one by one, so that staged ones have to be found.
    pub is_listed: bool,
    pub loaded: Option<&'a LoadedVersions>,
}

/// Reads the resources with a head, in this order.
pub async fn read_plans(source: SqlSource<'_>, heads: &[(&Resource, &Version)]) -> Result<Vec<SqlPlan>> {
    let waiting = if source.is_listed { staged(source.store).await? } else { BTreeSet::new() };
    let mut plans = Vec::new();
    for (resource, head) in heads {
        let unpublished = unpublished(source, head, &waiting).await?;
        let place =
            |path: &str, staged: &str| if unpublished.contains(path) { staged.to_owned() } else { path.to_owned() };
        let stored = head.dividing(resource);
        let described = describe(&stored, head, place)?;
        let date = stored.dividing_date().map(|(table, column)| DividingDate {
            table: table.name.clone(),
            record_key: table.columns[table.key[0]].name.clone(),
            column: column.to_owned(),
        });
        let start = start(source, &stored, head).await?;
        plans.push(SqlPlan { described, date, start });
    }
    Ok(plans)
}

/// The paths of files that are still in staging only.
async fn unpublished(source: SqlSource<'_>, head: &Version, waiting: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for file in head.files().filter(|file| waiting.contains(&file.staged)) {
        if source.store.size(&file.path).await?.is_none() {
            found.insert(file.path.clone());
        }
    }
    if !found.is_empty() && !matches!(source.dialect, SqlDialect::DuckDb | SqlDialect::ClickHouse) {
        return Err(Failure::new(Kind::Held, format!("list the files of `{}`", head.resource))
            .because(format!("a run is publishing them, and {} does not read staged files", source.dialect.title()))
            .advise("run the command again when the run has ended"));
    }
    Ok(found)
}

async fn start(source: SqlSource<'_>, resource: &Resource, head: &Version) -> Result<SqlStart> {
    let number = source.loaded.map_or(0, |loaded| loaded.of(&resource.name));
    if number == 0 {
        return Ok(SqlStart::Nothing);
    }
    let refused = |why: String| {
        Failure::new(Kind::Usage, format!("compare version {number} of `{}` with the newest", resource.name))
            .because(why)
            .advise(format!("load it anew: `pearlift sql --since 0 {} …`", resource.name))
    };
    if number > head.version {
        return Err(refused(format!("the newest is version {}", head.version)));
    }
    let Some(before) = version(source.store, &resource.name, number).await? else {
        let kept = versions(source.store, &resource.name).await?.first().copied().unwrap_or(head.version);
        return Err(refused(format!("it is not kept any more; the oldest that is kept is {kept}")));
    };
    let mut changes = BTreeMap::new();
    for table in &resource.tables {
        if head.tables.contains_key(&table.name) || before.tables.contains_key(&table.name) {
            changes.insert(table.name.clone(), difference(resource, &table.name, &before, head)?);
        }
    }
    Ok(SqlStart::Version(number, changes))
}
