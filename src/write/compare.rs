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
    let (mut owners, mut children): (Vec<_>, Vec<_>) = cursors.partition(|(place, _)| Some(*place) == group.owner);
    if let Some((_, owners)) = owners.first_mut() {
        side_by_side(owners, children.iter_mut().map(|(_, child)| child).collect())?;
    }
    let mut faults = Vec::new();
    for (_, cursor) in owners.into_iter().chain(children) {
        faults.extend(cursor.drain()?);
    }
    Ok(faults)
}

/// Advances the child tables record by record, and looks for each record in the main table.
fn side_by_side(owners: &mut KeyCursor<'_>, mut children: Vec<&mut KeyCursor<'_>>) -> Result<()> {
    loop {
        let mut least = None;
        for child in &mut children {
            if let Some((owner, _)) = child.head()?
                && least.as_ref().is_none_or(|least| owner < *least)
            {
                least = Some(owner);
            }
        }
        let Some(least) = least else { return Ok(()) };
        while let Some((owner, place)) = owners.head()?
            && owner < least
        {
            owners.step(place)?;
        }
        let found = owners.head()?.filter(|(owner, _)| *owner == least);
        let partition = found.map(|(_, place)| owners.file(place).file.partition.clone());
        for child in &mut children {
            while let Some((owner, place)) = child.head()?
                && owner == least
            {
                match &partition {
                    None if owners.whole => child.fault(place, Flaw::Orphan(child.shown(place))),
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
