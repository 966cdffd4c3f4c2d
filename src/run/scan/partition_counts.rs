//! Counts of live rows by partition, kept with the state: files that rest are counted once.

use std::collections::BTreeMap;

use crate::failure::Result;
use crate::manifest::{DataFile, Key, Looked};
use crate::run::lookups::of_files;

/// The files of a partition.
#[derive(Debug, Default)]
pub struct PartitionFiles {
    /// Those of the records, where these decide which rows count.
    pub records: Vec<DataFile>,
    /// Those with the counted rows.
    pub counted: Vec<DataFile>,
}

/// The files by their partitions.
pub fn parts(records: &[DataFile], counted: &[DataFile]) -> Vec<PartitionFiles> {
    let mut parts: BTreeMap<Option<&str>, PartitionFiles> = BTreeMap::new();
    for file in records {
        parts.entry(file.partition.as_deref()).or_default().records.push(file.clone());
    }
    for file in counted {
        parts.entry(file.partition.as_deref()).or_default().counted.push(file.clone());
    }
    parts.into_values().collect()
}

/// The sum of the parts' rows up to an id. `about` states which rows count; only parts that are not known by it are
/// counted.
pub async fn kept(
    looked: &mut Looked,
    about: &str,
    parts: Vec<PartitionFiles>,
    top: Option<i64>,
    counted: impl AsyncFn(&PartitionFiles, Option<i64>) -> Result<u64>,
) -> Result<u64> {
    let mut counts = BTreeMap::new();
    let mut sum = 0_u64;
    for part in parts {
        // The id matters where files reach beyond it: the newest months.
        let reaches = |top: i64| {
            let last = part.counted.iter().filter_map(|file| file.last.as_ref()).max();
            !matches!(last, Some(Key::Int(last)) if *last <= top)
        };
        let top = top.filter(|top| reaches(*top));
        let hash = of_files(&format!("{about} up to {top:?}"), part.records.iter().chain(&part.counted));
        let rows = match looked.counts.get(&hash) {
            Some(rows) => *rows,
            None => counted(&part, top).await?,
        };
        counts.insert(hash, rows);
        sum += rows;
    }
    looked.counts = counts;
    Ok(sum)
}
