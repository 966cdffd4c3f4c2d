//! The cost of a scan in requests, records, rows and bytes.

use crate::forecast::amount::Amount;
use crate::forecast::request_counter::ScanEstimate;
use crate::manifest::{ScanKind, Version};
use crate::plan::StepKind;
use crate::schema::{ReadStyle, Resource, Rows};

/// A scan and its cost.
#[derive(Clone, Debug)]
pub struct ScanForecast {
    pub kind: StepKind,
    pub reason: String,
    pub cost: Cost,
}

/// The cost of a scan, and the records and rows that it reads.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub requests: Amount,
    pub records: Option<Amount>,
    /// Rows of all tables, as many a record as the head has; none without a head.
    pub rows: Option<u64>,
    /// The size of the live files that the scan may rewrite: about all for a full scan, at most all for changes; none
    /// without a head.
    pub bytes: Option<u64>,
}

impl Cost {
    /// The sum; a number that only one of the two has stands for both.
    pub fn plus(self, other: Self) -> Self {
        let sum = |one: Option<u64>, two: Option<u64>| match (one, two) {
            (Some(one), Some(two)) => Some(one.saturating_add(two)),
            (known, None) | (None, known) => known,
        };
        let records = match (self.records, other.records) {
            (Some(one), Some(two)) => Some(one.plus(two)),
            (known, None) | (None, known) => known.map(|known| Amount::about(known.value)),
        };
        Self {
            requests: self.requests.plus(other.requests),
            records,
            rows: sum(self.rows, other.rows),
            bytes: sum(self.bytes, other.bytes),
        }
    }

    /// Nothing at all.
    pub const NOTHING: Self = Self {
        requests: Amount { value: 0, exact: true },
        records: Some(Amount { value: 0, exact: true }),
        rows: Some(0),
        bytes: Some(0),
    };
}

/// The rows and bytes of an estimate, in proportion to the head.
pub fn cost(resource: &Resource, head: Option<&Version>, kind: StepKind, estimate: ScanEstimate) -> Cost {
    let ScanEstimate { requests, records, .. } = estimate;
    let Some(head) = head else { return Cost { requests, records, rows: None, bytes: None } };
    if records == Some(Amount::exact(0)) {
        return Cost { requests, records, rows: Some(0), bytes: Some(0) };
    }
    let held = held_records(resource, head);
    let rows = match (records, held) {
        (Some(records), Some(held)) if held > 0 => {
            let rows = u128::from(records.value) * u128::from(head.rows()) / u128::from(held);
            Some(u64::try_from(rows).unwrap_or(u64::MAX))
        }
        // Read whole, and not counted by the source: as many as last time.
        (_, _) if kind == StepKind::Scan(ScanKind::Full) && !resource.is_snapshot() => Some(head.rows()),
        (_, _) => None,
    };
    let records = records.or_else(|| held.filter(|_| is_list(resource)).map(Amount::about));
    Cost { requests, records, rows, bytes: Some(live_bytes(resource, head)) }
}

fn is_list(resource: &Resource) -> bool {
    matches!(resource.read.style, ReadStyle::List { .. })
}

/// The rows of the table that has one for each record.
pub fn held_records(resource: &Resource, head: &Version) -> Option<u64> {
    let table = resource.tables.iter().find(|table| table.rows == Rows::Record)?;
    Some(head.tables.get(&table.name)?.files.iter().map(|file| file.rows).sum())
}

/// The size of the live files; of a snapshot, of its newest.
fn live_bytes(resource: &Resource, head: &Version) -> u64 {
    let newest = head.files().filter_map(|file| file.partition.as_ref()).max();
    let counts = |partition: &Option<String>| !resource.is_snapshot() || partition.as_ref() == newest;
    head.files().filter(|file| counts(&file.partition)).map(|file| file.bytes).sum()
}
