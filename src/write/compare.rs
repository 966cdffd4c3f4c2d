//! Reads all keys of a resource's tables side by side: the keys of each table are unique and sorted, and each child row
//! has its record, in the same partition.

use std::path::Path;

use tokio::runtime::Handle;

use crate::failure::Result;
use crate::store::Store;
use crate::write::cursor::{Access, KeyCursor};
use crate::write::inspect::{FileFault, Flaw};
use crate::write::table_group::Group;

/// Compares the files of a group with their manifest and with each other; reads every byte of them. Blocks: call it
/// from a blocking thread. Memory is bounded by the files with overlapping key ranges; `spool` holds copies of files of
/// a bucket.
pub fn compare(group: &Group, store: &Store, spool: &Path, runtime: &Handle) -> Result<Vec<FileFault>> {
    let reading = Access { store, spool, runtime };
    let cursors = group.parts.iter().enumerate().map(|(place, part)| (place, KeyCursor::new(reading, part)));
    let (mut records, mut children): (Vec<_>, Vec<_>) =
        cursors.partition(|(place, _)| Some(*place) == group.record_table);
    if let Some((_, records)) = records.first_mut() {
        side_by_side(records, children.iter_mut().map(|(_, child)| child).collect())?;
    }
    let mut faults = Vec::new();
    for (_, cursor) in records.into_iter().chain(children) {
        faults.extend(cursor.drain()?);
    }
    Ok(faults)
}

/// Advances the child tables record by record, and looks for each record in the main table.
fn side_by_side(records: &mut KeyCursor<'_>, mut children: Vec<&mut KeyCursor<'_>>) -> Result<()> {
    loop {
        let mut least = None;
        for child in &mut children {
            if let Some((record, _)) = child.head()?
                && least.as_ref().is_none_or(|least| record < *least)
            {
                least = Some(record);
            }
        }
        let Some(least) = least else { return Ok(()) };
        while let Some((record, place)) = records.head()?
            && record < least
        {
            records.step(place)?;
        }
        let found = records.head()?.filter(|(record, _)| *record == least);
        let partition = found.map(|(_, place)| records.file(place).file.partition.clone());
        for child in &mut children {
            while let Some((record, place)) = child.head()?
                && record == least
            {
                match &partition {
                    None if records.whole => child.fault(place, Flaw::Orphan(child.shown(place))),
                    Some(partition) if *partition != child.file(place).file.partition => {
                        let belongs = partition.clone().unwrap_or_default();
                        child.fault(place, Flaw::Partition { key: child.shown(place), belongs });
                    }
                    None | Some(_) => {}
                }
                child.step(place)?;
            }
        }
    }
}
