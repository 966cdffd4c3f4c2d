//! The fields that records of the destination define: read from the tables that an earlier run exported.

use std::collections::BTreeMap;

use crate::config::Settings;
use crate::failure::{Failure, Kind, Result};
use crate::manifest::Version;
use crate::run::selection::read_heads;
use crate::schema::{DefinedField, Definer, NamedEntries, Resource};
use crate::store::Store;
use crate::write::{StoredRecord, StoredValue, held, held_ids};

/// The fields that a resource's entries may have, in the order of their definers and ids. Refuses (`Settings`) where a
/// table of definitions is not at the destination.
pub async fn defined_fields(settings: &Settings, entries: &NamedEntries<'_>) -> Result<Vec<DefinedField>> {
    let resources: Vec<&Resource> = entries.definers.iter().map(|definer| definer.resource).collect();
    let heads = read_heads(settings, &resources).await?;
    let mut fields = Vec::new();
    for definer in &entries.definers {
        let name = &definer.resource.name;
        let head = heads.get(name).ok_or_else(|| {
            Failure::new(Kind::Settings, "read the definitions of custom fields")
                .at(name.clone())
                .because("the destination has no table of them")
                .advise(format!("`pearlift run {name}` exports them"))
        })?;
        let store = Store::of(settings, false)?;
        fields.extend(of_table(&store, head, definer).await?);
    }
    Ok(fields)
}

/// The fields of one table.
async fn of_table(store: &Store, head: &Version, definer: &Definer<'_>) -> Result<Vec<DefinedField>> {
    let table = definer.table;
    let files = head.tables.get(&table.name).map(|table| table.files.as_slice()).unwrap_or_default();
    let key = &table.columns[table.key[0]].name;
    let columns = [definer.code.to_owned(), definer.fields.name.clone(), definer.fields.kind.clone()];
    let ids = held_ids(store, files, key).await?;
    let records: BTreeMap<i64, StoredRecord> = held(store, files, key, &columns, &ids).await?.into_iter().collect();
    let text = |record: &StoredRecord, place: usize| match record.cells.get(place) {
        Some(StoredValue::Text(text)) => text.clone(),
        Some(StoredValue::Null | StoredValue::Bool(_) | StoredValue::Number(_)) | None => String::new(),
    };
    let field = |record: &StoredRecord| {
        let kind = definer.fields.types.get(&text(record, 2)).cloned();
        DefinedField { code: text(record, 0), name: text(record, 1), kind }
    };
    Ok(records.values().map(field).collect())
}
