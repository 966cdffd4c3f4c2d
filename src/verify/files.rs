//! The places of the live files, and their sizes and footers.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt};

use crate::failure::{Failure, Result};
use crate::manifest::{DataFile, TableFiles, Version};
use crate::schema::{DELETED_AT, EXTRA, EXTRACTED_AT, RUN_ID};
use crate::store::Store;
use crate::verify::finding::{VerifyFinding, What, finding};
use crate::write::{Columns, Flaw, LocatedFile, footer};

/// Files looked at at once: a bucket answers in tens of milliseconds.
const AT_ONCE: usize = 16;
/// Footers read at once: each holds a thread for blocking work while the store may need another for it, and the program
/// has eight.
const FOOTERS: usize = 4;

/// The live files that were found: by table, and those of deleted rows.
#[derive(Debug, Default)]
pub struct Files {
    pub tables: BTreeMap<String, Vec<LocatedFile>>,
    pub deleted: Vec<LocatedFile>,
}

/// Finds every file that a head names, at its final path or where it was staged; a missing or unpublished one becomes a
/// finding.
pub async fn locate(store: &Store, head: &Version, findings: &mut Vec<VerifyFinding>) -> Result<Files> {
    let of_tables = head.tables.iter().flat_map(|(name, table)| table.files.iter().map(move |file| (Some(name), file)));
    let named = of_tables.chain(head.deleted.iter().map(|file| (None, file)));
    let places: Vec<_> = futures_util::stream::iter(named)
        .map(|(table, file)| async move { place(store, file).await.map(|at| (table, file, at)) })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mut files = Files::default();
    for (table, file, at) in places {
        let Some(at) = at else {
            findings.push(finding(&head.resource, Some(&file.path), What::Flawed(Flaw::Missing)));
            continue;
        };
        if at == file.staged {
            findings.push(finding(&head.resource, Some(&file.path), What::Unpublished));
        }
        let located = LocatedFile { file: file.clone(), at };
        match table {
            Some(table) => files.tables.entry(table.clone()).or_default().push(located),
            None => files.deleted.push(located),
        }
    }
    Ok(files)
}

/// The present path of a file. A file that is published between our two look-ups is looked up once more.
async fn place(store: &Store, file: &DataFile) -> Result<Option<String>> {
    for path in [&file.path, &file.staged, &file.path] {
        if store.size(path).await?.is_some() {
            return Ok(Some(path.clone()));
        }
    }
    Ok(None)
}

/// Compares size and footer of every file with the manifest.
pub async fn look(store: &Store, head: &Version, files: Files) -> Result<Vec<VerifyFinding>> {
    let mut all: Vec<(LocatedFile, Columns)> = Vec::new();
    for (name, located) in files.tables {
        let columns = columns(&head.tables[&name])?;
        all.extend(located.into_iter().map(|located| (located, columns.clone())));
    }
    for located in files.deleted {
        let columns = deleted_columns(head, &located);
        all.extend(columns.map(|columns| (located, columns)));
    }
    let flaws: Vec<_> = futures_util::stream::iter(all)
        .map(|(located, columns)| async move {
            let flaw = look_at(store, &located, columns).await?;
            Ok::<_, Failure>(flaw.map(|flaw| finding(&head.resource, Some(&located.at), What::Flawed(flaw))))
        })
        .buffered(FOOTERS)
        .try_collect()
        .await?;
    Ok(flaws.into_iter().flatten().collect())
}

async fn look_at(store: &Store, located: &LocatedFile, columns: Columns) -> Result<Option<Flaw>> {
    let Some(remote) = store.remote_file(&located.at).await? else { return Ok(Some(Flaw::Missing)) };
    let file = &located.file;
    if remote.size() != file.bytes {
        return Ok(Some(Flaw::Size(remote.size(), file.bytes)));
    }
    // A reader may panic on bytes that no writer made: that is a flaw of the file too.
    let read = tokio::task::spawn_blocking(move || footer(remote)).await;
    let read = read.unwrap_or_else(|_| Ok(Err(Flaw::Unreadable("its footer is invalid".to_owned()))))?;
    Ok(match read {
        Err(_) if store.size(&located.at).await?.is_none() => Some(Flaw::Missing),
        Err(flaw) => Some(flaw),
        Ok(footer) if footer.rows != file.rows => Some(Flaw::Rows(footer.rows, file.rows)),
        Ok(footer) => footer.differs(&columns),
    })
}

/// The columns of a table's files, by its manifest.
pub fn columns(table: &TableFiles) -> Result<Columns> {
    let schema = table.arrow()?;
    let fields = schema.fields().iter();
    Ok(Columns::Just(fields.map(|field| (field.name().clone(), field.data_type().clone())).collect()))
}

/// The columns that a file of deleted rows must have, which is as its table was then: the key and ours. None where
/// there is no such table any more.
pub fn deleted_columns(head: &Version, located: &LocatedFile) -> Option<Columns> {
    let table = located.file.path.rsplit('/').nth(1).and_then(|name| head.tables.get(name))?;
    let ours = [EXTRA, EXTRACTED_AT, RUN_ID, DELETED_AT].map(str::to_owned);
    Some(Columns::Among(table.key.iter().cloned().chain(ours).collect()))
}
