//! The tables of a deep verification: which belong together, and which column decides a row's partition.

use std::collections::BTreeSet;

use tokio::runtime::Handle;

use crate::failure::Result;
use crate::manifest::Version;
use crate::schema::{Partition, Resource};
use crate::verify::files::{Files, columns, deleted_columns};
use crate::verify::finding::{Inquiry, VerifyFinding, What, finding};
use crate::write::{Columns, ComparedTable, FileFault, Group, LocatedFile, compare};

/// Reads every file of a head.
pub async fn compare_all(inquiry: Inquiry<'_>, head: &Version, files: Files) -> Result<Vec<VerifyFinding>> {
    let mut findings = Vec::new();
    let stored = inquiry.catalog.find(&head.resource).map(|resource| head.dividing(resource));
    let resource = stored.as_ref();
    if resource.is_none() && head.tables.values().any(|table| table.partition.is_some()) {
        let why = "the catalogue does not know it: partitions are not compared with the rows, keys only within each";
        findings.push(finding(&head.resource, None, What::Skipped(why.to_owned())));
    }
    let missing = head.files().count() > files.tables.values().map(Vec::len).sum();
    for group in groups(head, resource, files, missing)? {
        let (store, spool, runtime) = (inquiry.store.clone(), inquiry.spool.to_owned(), Handle::current());
        let compared = tokio::task::spawn_blocking(move || compare(&group, &store, &spool, &runtime));
        let faults = compared.await.expect("comparing files does not panic")?;
        findings.extend(faults.into_iter().map(|fault| of_fault(&head.resource, fault)));
    }
    Ok(findings)
}

fn of_fault(resource: &str, fault: FileFault) -> VerifyFinding {
    let FileFault { path, flaw, count } = fault;
    VerifyFinding { resource: resource.to_owned(), path: Some(path), what: What::Flawed(flaw), count }
}

/// Tables that are read side by side: all of the resource, day by day if it is a snapshot. A file of deleted rows is a
/// group of its own: a record may be deleted twice.
fn groups(head: &Version, resource: Option<&Resource>, files: Files, missing: bool) -> Result<Vec<Group>> {
    let partitions: BTreeSet<Option<String>> =
        files.tables.values().flatten().map(|located| located.file.partition.clone()).collect();
    let apart = resource.is_none_or(Resource::is_snapshot);
    let wanted: Vec<Option<Option<String>>> =
        if apart { partitions.into_iter().map(Some).collect() } else { vec![None] };
    let mut groups = Vec::new();
    for partition in wanted {
        let mut group = Group { parts: Vec::new(), record_table: None };
        for (name, table) in &head.tables {
            // Missing files are reported already; the others are judged without their records.
            if table.key.len() == 1 && !missing {
                group.record_table = Some(group.parts.len());
            }
            let of_table = files.tables.get(name).into_iter().flatten();
            let wanted =
                of_table.filter(|located| partition.as_ref().is_none_or(|part| located.file.partition == *part));
            group.parts.push(part(&table.key, columns(table)?, wanted.cloned().collect(), dated(resource, name)));
        }
        groups.push(group);
    }
    for located in files.deleted {
        let table = located.file.path.rsplit('/').nth(1).and_then(|name| head.tables.get(name));
        let (Some(table), Some(columns)) = (table, deleted_columns(head, &located)) else { continue };
        groups.push(Group { parts: vec![part(&table.key, columns, vec![located], None)], record_table: None });
    }
    Ok(groups)
}

fn part(
    key: &[String],
    columns: Columns,
    files: Vec<LocatedFile>,
    dated: Option<(Partition, String)>,
) -> ComparedTable {
    ComparedTable { key: key.to_vec(), columns, files, dated }
}

/// The table's own column that decides the partition of a row.
fn dated(resource: Option<&Resource>, name: &str) -> Option<(Partition, String)> {
    let table = resource?.tables.iter().position(|table| table.name == name)?;
    match resource?.partition() {
        Partition::By { table: of, column, .. } if *of == table => {
            Some((resource?.partition().clone(), resource?.tables[table].columns[*column].name.clone()))
        }
        Partition::By { .. } | Partition::Snapshot { .. } | Partition::None => None,
    }
}
