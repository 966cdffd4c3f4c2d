//! `pearlift sql`: the script by which an engine reads the tables.

use std::collections::BTreeMap;

use crate::cli::arguments::{DialectChoice, Sql};
use crate::cli::start::Start;
use crate::config::DestinationLayout;
use crate::failure::{Failure, Kind, Result};
use crate::manifest::{Version, marked_layout};
use crate::run::{choose, read_heads};
use crate::schema::Resource;
use crate::sql::{LoadedVersions, SqlDialect, SqlNames, SqlRequest, SqlSource, address, read_plans, state_text};
use crate::store::Store;

impl From<DialectChoice> for SqlDialect {
    fn from(choice: DialectChoice) -> Self {
        match choice {
            DialectChoice::Duckdb => Self::DuckDb,
            DialectChoice::Spark => Self::Spark,
            DialectChoice::Snowflake => Self::Snowflake,
            DialectChoice::Bigquery => Self::BigQuery,
            DialectChoice::Redshift => Self::Redshift,
            DialectChoice::Athena => Self::Athena,
            DialectChoice::Trino => Self::Trino,
            DialectChoice::Clickhouse => Self::ClickHouse,
            DialectChoice::Databricks => Self::Databricks,
            DialectChoice::Fabric => Self::Fabric,
        }
    }
}

/// Prints the script, and writes the versions to which it brings the tables.
pub async fn sql(start: Start, sql: Sql) -> Result<u8> {
    let catalog = start.catalog()?;
    let settings = start.settings(&catalog)?;
    let names = SqlNames::new(sql.schema.as_deref(), sql.prefix.as_deref())?;
    let loaded = sql.since.as_deref().map(LoadedVersions::parse).transpose()?;
    let chosen = choose(&catalog, &settings, &resources(&sql, loaded.as_ref())?)?;
    let heads = read_heads(&settings, &chosen).await?;
    if heads.is_empty() {
        return Err(nothing_loaded());
    }
    let destination = settings.destination()?;
    let store = Store::open(&destination, false)?;
    let dialect = SqlDialect::from(sql.dialect);
    let address = address(dialect, &destination, &store.describe(), sql.location.as_deref())?;
    let with_head: Vec<(&Resource, &Version)> =
        chosen.iter().filter_map(|resource| Some((*resource, heads.get(&resource.name)?))).collect();
    let is_listed = sql.files || loaded.is_some();
    let layout = marked_layout(&store, &settings.account()?.code).await?;
    if layout == Some(DestinationLayout::Delta) && !is_listed {
        return Err(superseded_too());
    }
    let source = SqlSource { store: &store, dialect, is_listed, loaded: loaded.as_ref() };
    let without_head = chosen.iter().filter(|resource| !heads.contains_key(&resource.name));
    let request = SqlRequest {
        dialect,
        names,
        address,
        plans: read_plans(source, &with_head).await?,
        not_loaded: without_head.map(|resource| resource.name.clone()).collect(),
        is_listed,
        is_load: loaded.is_some(),
    };
    start.terminal().print(&request.lines()?)?;
    if let Some(path) = &sql.state {
        let mut versions: BTreeMap<String, u64> = BTreeMap::new();
        // Resources that this script leaves alone keep their versions.
        if let Some(LoadedVersions::Each(before)) = loaded {
            versions = before;
        }
        versions.extend(request.versions());
        std::fs::write(path, state_text(&versions)).map_err(|error| {
            Failure::new(Kind::Usage, "write the file of versions").at(path.display().to_string()).caused(error)
        })?;
    }
    Ok(0)
}

/// The names of the resources that the script has. Refuses (`Usage`) one version for several resources.
fn resources(sql: &Sql, loaded: Option<&LoadedVersions>) -> Result<Vec<String>> {
    match loaded {
        Some(LoadedVersions::Same(version)) if *version > 0 && sql.resources.len() != 1 => {
            Err(Failure::new(Kind::Usage, "read --since")
                .because("each resource has versions of its own, and this is one number")
                .advise("name one resource, or write `--since order=12,product=4`, or the file that `--state` wrote"))
        }
        Some(loaded) if sql.resources.is_empty() && sql.since.as_deref().is_some_and(|text| text.contains('=')) => {
            Ok(loaded.names())
        }
        _ => Ok(sql.resources.clone()),
    }
}

/// A glob would read superseded files as well.
fn superseded_too() -> Failure {
    Failure::new(Kind::Usage, "write the SQL")
        .because("the destination has the layout `delta`, in whose folders superseded files stay, and an engine would read them too")
        .advise("`--files` names the live files; or read the tables through their logs, as docs/delta.md states")
}

fn nothing_loaded() -> Failure {
    Failure::new(Kind::Settings, "write the SQL")
        .because("the destination has no tables of these resources")
        .advise("`pearlift run` loads them; check `destination.url` if it did")
}
