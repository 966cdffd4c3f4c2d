//! The granularity of the files that a date divides: the one to take, and advice where another one is better. Pure.

use std::collections::BTreeMap;
use std::fmt;

use crate::manifest::{TableFiles, Version};
use crate::schema::{Granularity, PartitionChoice, Resource};

/// A partition may grow to so many times the rows at which a finer one is taken before that is advised: a granularity that
/// was just taken stays for a while.
const GROWTH: u64 = 2;

/// Why the files of a resource would better be divided anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionAdvice {
    /// A partition has this many rows of its largest table; none is the only one.
    Outgrown { partition: Option<String>, table: String, rows: u64 },
    /// The settings ask for another granularity than the files have.
    Changed { present: Granularity, wanted: Granularity },
}

/// The granularity of a resource's files beside the one that the settings ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// As the manifest states it; none before the first commit.
    pub present: Option<Granularity>,
    pub wanted: PartitionChoice,
    /// The end of the first load is to divide the files; with `auto` the number of rows decides then.
    pub open: bool,
}

impl PartitionState {
    /// Of a resource whose files a date divides.
    pub fn of(resource: &Resource, head: Option<&Version>) -> Option<Self> {
        let (_, wanted) = resource.partition().date()?;
        let stored = head.filter(|head| !head.tables.is_empty());
        let present = stored.and_then(|head| head.dividing(resource).partition().date());
        let open = stored.is_none_or(|head| head.state.completed_at.is_none() || head.state.partition_open);
        Some(Self { present: present.map(|(granularity, _)| granularity), wanted, open })
    }
}

/// `month`; `month, then auto` until the first load has ended.
impl fmt::Display for PartitionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.present, self.open) {
            (Some(present), false) => f.write_str(present.word()),
            (Some(present), true) => write!(f, "{}, then {}", present.word(), self.wanted.word()),
            (None, _) => f.write_str(self.wanted.word()),
        }
    }
}

/// The coarsest granularity in which no partition has more rows than this; by month where even a month has more.
pub fn coarsest(rows_by_month: &BTreeMap<i32, u64>, most: u64) -> Granularity {
    let fits = |granularity: &Granularity| {
        let mut periods: BTreeMap<i32, u64> = BTreeMap::new();
        for (month, rows) in rows_by_month {
            *periods.entry(granularity.period(*month).unwrap_or(0)).or_default() += rows;
        }
        periods.values().all(|rows| *rows <= most)
    };
    Granularity::COARSEST_FIRST.into_iter().find(fits).unwrap_or(Granularity::Month)
}

/// Advice about the files of a head; none while its first load is to divide them.
pub fn advice(resource: &Resource, head: &Version, most: u64) -> Option<PartitionAdvice> {
    let (present, wanted) = head.dividing(resource).partition().date()?;
    if head.state.completed_at.is_none() || head.state.partition_open {
        return None;
    }
    match wanted {
        PartitionChoice::Fixed(wanted) => (wanted != present).then_some(PartitionAdvice::Changed { present, wanted }),
        PartitionChoice::Auto if present == Granularity::Month => None,
        PartitionChoice::Auto => {
            let (table, files) = head.tables.iter().max_by_key(|(_, files)| files.rows())?;
            let (partition, rows) = largest(files)?;
            (rows > most.saturating_mul(GROWTH)).then(|| PartitionAdvice::Outgrown {
                partition: partition.map(str::to_owned),
                table: table.clone(),
                rows,
            })
        }
    }
}

/// The partition with the most rows.
fn largest(files: &TableFiles) -> Option<(Option<&str>, u64)> {
    let mut partitions: BTreeMap<Option<&str>, u64> = BTreeMap::new();
    for file in &files.files {
        *partitions.entry(file.partition.as_deref()).or_default() += file.rows;
    }
    partitions.into_iter().max_by_key(|(_, rows)| *rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coarsest_granularity_that_fits_is_taken() {
        // 24 months of 100 rows, from January 1970 on.
        let months: BTreeMap<i32, u64> =
            (0..24).filter_map(|month| Some((Granularity::Month.period(month * 30 + 15)?, 100))).collect();
        for (most, granularity) in [
            (u64::MAX, Granularity::Undivided),
            (2_400, Granularity::Undivided),
            (2_399, Granularity::Year),
            (1_200, Granularity::Year),
            (1_199, Granularity::Quarter),
            (300, Granularity::Quarter),
            (299, Granularity::Month),
            (1, Granularity::Month),
        ] {
            assert_eq!(coarsest(&months, most), granularity, "{most}");
        }
        assert_eq!(coarsest(&BTreeMap::new(), 1), Granularity::Undivided);
    }
}
