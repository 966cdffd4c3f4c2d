//! Partitions: a number in the spool, a folder name in paths.

use jiff::civil::Date;

use crate::failure::{Failure, Kind, Result};
use crate::schema::{Partition, PartitionBy};

const EPOCH: Date = Date::constant(1970, 1, 1);

/// `created_month=2026-03-01` of a partition's number, or `None` for a table without partitions.
pub fn segment(partition: &Partition, number: i32) -> Option<String> {
    let name = partition.segment()?;
    Some(match partition {
        Partition::By { by: PartitionBy::Bucket(_), .. } => format!("{name}={number}"),
        _ => {
            let date = EPOCH.saturating_add(jiff::Span::new().days(number));
            format!("{name}={date}")
        }
    })
}

/// The number of a partition's folder name; 0 for a table without partitions.
pub fn number(partition: &Partition, segment: Option<&str>) -> Result<i32> {
    let Some(segment) = segment else { return Ok(0) };
    let wrong =
        || Failure::new(Kind::Damage, "read a manifest").because(format!("`{segment}` is no partition of the table"));
    let (_, value) = segment.split_once('=').ok_or_else(wrong)?;
    match partition {
        Partition::By { by: PartitionBy::Bucket(_), .. } => value.parse().map_err(|_| wrong()),
        _ => day_number(value.parse().map_err(|_| wrong())?).ok_or_else(wrong),
    }
}

/// Days since 1970 of a date.
pub fn day_number(date: Date) -> Option<i32> {
    i32::try_from(date.duration_since(EPOCH).as_hours() / 24).ok()
}
