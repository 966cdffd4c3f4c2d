//! Reads the keys of a resource's tables through, side by side: each table's keys are unique and sorted, and children
//! have their owner, in the same partition.

use std::path::Path;

use tokio::runtime::Handle;

use crate::failure::Result;
use crate::store::Store;
use crate::write::cursor::{Cursor, Reading};
use crate::write::inspect::{Fault, Flaw};
use crate::write::table_group::Group;

/// Compares the files of a group with their manifest and with each other; every byte of them is read. Blocks: call it from
/// a blocking thread. Memory is bounded by the files whose key ranges overlap; `spool` holds copies of them from a bucket.
pub fn compare(group: &Group, store: &Store, spool: &Path, runtime: &Handle) -> Result<Vec<Fault>> {
    let reading = Reading { store, spool, runtime };
    let cursors = group.parts.iter().enumerate().map(|(place, part)| (place, Cursor::new(reading, part)));
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

/// Brings the children forward owner by owner, and looks for each in the owner's table.
fn side_by_side(owners: &mut Cursor<'_>, mut children: Vec<&mut Cursor<'_>>) -> Result<()> {
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
