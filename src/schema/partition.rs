//! How the files of a table are divided into folders.
//!
//! Takes the column that a schema file names and the granularity, gives the name of a folder's column and the period of a
//! day. Pure.

use std::fmt;

use jiff::ToSpan;
use jiff::civil::Date;

const EPOCH: Date = Date::constant(1970, 1, 1);

/// How the files of a table are divided; the same for all tables of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partition {
    None,
    /// By a column of the main table; `stem` begins the name in the path.
    By {
        stem: String,
        by: PartitionBy,
        table: usize,
        column: usize,
    },
    /// By the day of the scan.
    Snapshot {
        segment: String,
    },
}

/// The function of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionBy {
    /// The first day of the period of an instant, and the granularity that the settings ask for.
    Date { granularity: Granularity, wanted: PartitionChoice },
    /// The id modulo this number.
    Bucket(u32),
}

/// The period that has a folder, in a table divided by a date; a later one is coarser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Granularity {
    Month,
    Quarter,
    Year,
    /// All files are in the table's own folder.
    Undivided,
}

/// The granularity that the settings ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionChoice {
    /// The coarsest in which no partition has too many rows.
    Auto,
    Fixed(Granularity),
}

impl Granularity {
    /// All of them.
    pub const COARSEST_FIRST: [Self; 4] = [Self::Undivided, Self::Year, Self::Quarter, Self::Month];

    /// The word of the settings.
    pub fn word(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
            Self::Undivided => "none",
        }
    }

    /// The first day of the period of a day, both in days since 1970; 0 where there is one period. `None` for a day beyond
    /// the calendar.
    pub fn period(self, day: i32) -> Option<i32> {
        if self == Self::Undivided {
            return Some(0);
        }
        let date = EPOCH.checked_add(jiff::Span::new().try_days(day).ok()?).ok()?;
        let months = match self {
            Self::Month | Self::Undivided => 0,
            Self::Quarter => (date.month() - 1) % 3,
            Self::Year => date.month() - 1,
        };
        let first = date.first_of_month().checked_sub(i64::from(months).months()).ok()?;
        i32::try_from(first.duration_since(EPOCH).as_hours() / 24).ok()
    }

    /// The first day of the last month of a period, both in days since 1970.
    pub fn last_month(self, period: i32) -> i32 {
        let later = match self {
            Self::Month => 0,
            Self::Quarter => 2,
            Self::Year => 11,
            Self::Undivided => return i32::MAX,
        };
        let first = EPOCH.saturating_add(jiff::Span::new().days(period));
        let last = first.saturating_add(later.months());
        i32::try_from(last.duration_since(EPOCH).as_hours() / 24).unwrap_or(i32::MAX)
    }

    /// The period that begins on a day, as its first day and the first day after it; none where there is one period.
    pub fn span(self, first: Date) -> Option<(Date, Date)> {
        let months = match self {
            Self::Month => 1,
            Self::Quarter => 3,
            Self::Year => 12,
            Self::Undivided => return None,
        };
        Some((first, first.checked_add(months.months()).ok()?))
    }
}

impl PartitionChoice {
    /// The word of the settings.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Fixed(granularity) => granularity.word(),
        }
    }
}

impl Partition {
    /// The name in the path, `created_month` of `created_month=2026-03-01`.
    pub fn segment(&self) -> Option<String> {
        match self {
            Self::None | Self::By { by: PartitionBy::Date { granularity: Granularity::Undivided, .. }, .. } => None,
            Self::By { stem, by: PartitionBy::Date { granularity, .. }, .. } => {
                Some(format!("{stem}_{}", granularity.word()))
            }
            Self::By { stem, by: PartitionBy::Bucket(_), .. } => Some(format!("{stem}_bucket")),
            Self::Snapshot { segment } => Some(segment.clone()),
        }
    }

    /// The granularity of the files and the one that the settings ask for, of a partition by a date.
    pub fn date(&self) -> Option<(Granularity, PartitionChoice)> {
        match self {
            Self::By { by: PartitionBy::Date { granularity, wanted }, .. } => Some((*granularity, *wanted)),
            Self::By { by: PartitionBy::Bucket(_), .. } | Self::None | Self::Snapshot { .. } => None,
        }
    }

    /// The names in the path that files of any granularity have.
    pub fn segments(&self) -> Vec<String> {
        match self.date() {
            Some(_) => Granularity::COARSEST_FIRST.iter().filter_map(|one| self.divided(*one).segment()).collect(),
            None => self.segment().into_iter().collect(),
        }
    }

    /// The same with another granularity of the files; any other partition than one by a date stays.
    pub fn divided(&self, granularity: Granularity) -> Self {
        match self {
            Self::By { stem, by: PartitionBy::Date { wanted, .. }, table, column } => Self::By {
                stem: stem.clone(),
                by: PartitionBy::Date { granularity, wanted: *wanted },
                table: *table,
                column: *column,
            },
            other => other.clone(),
        }
    }

    /// The same with another wish of the settings.
    pub fn wished(&self, wanted: PartitionChoice) -> Self {
        match self {
            Self::By { stem, by: PartitionBy::Date { granularity, .. }, table, column } => Self::By {
                stem: stem.clone(),
                by: PartitionBy::Date { granularity: *granularity, wanted },
                table: *table,
                column: *column,
            },
            other => other.clone(),
        }
    }

    /// The same as a manifest names it in paths, if it is one of the granularities of this partition.
    pub fn named(&self, segment: Option<&str>) -> Option<Self> {
        if self.segment().as_deref() == segment {
            return Some(self.clone());
        }
        self.date()?;
        let all = Granularity::COARSEST_FIRST.iter().map(|granularity| self.divided(*granularity));
        all.into_iter().find(|partition| partition.segment().as_deref() == segment)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::By { stem, by: PartitionBy::Date { wanted: PartitionChoice::Auto, .. }, .. } => {
                write!(f, "auto: {stem}_month, {stem}_quarter, {stem}_year or none, by the number of rows")
            }
            Self::By { by: PartitionBy::Date { wanted: PartitionChoice::Fixed(granularity), .. }, .. } => {
                match self.divided(*granularity).segment() {
                    Some(segment) => write!(f, "{} as {segment}", granularity.word()),
                    None => f.write_str("none"),
                }
            }
            Self::By { stem, by: PartitionBy::Bucket(count), .. } => write!(f, "{count} buckets as {stem}_bucket"),
            Self::Snapshot { segment } => write!(f, "day of the scan as {segment}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> i32 {
        let date: Date = text.parse().unwrap();
        i32::try_from(date.duration_since(EPOCH).as_hours() / 24).unwrap()
    }

    #[test]
    fn a_period_begins_on_its_first_day() {
        for (date, month, quarter, year) in [
            ("2026-03-31", "2026-03-01", "2026-01-01", "2026-01-01"),
            ("2026-04-01", "2026-04-01", "2026-04-01", "2026-01-01"),
            ("2024-02-29", "2024-02-01", "2024-01-01", "2024-01-01"),
            ("1969-12-31", "1969-12-01", "1969-10-01", "1969-01-01"),
            ("0000-01-01", "0000-01-01", "0000-01-01", "0000-01-01"),
            ("9999-12-31", "9999-12-01", "9999-10-01", "9999-01-01"),
        ] {
            let of = |granularity: Granularity| granularity.period(day(date));
            assert_eq!(of(Granularity::Month), Some(day(month)), "{date}");
            assert_eq!(of(Granularity::Quarter), Some(day(quarter)), "{date}");
            assert_eq!(of(Granularity::Year), Some(day(year)), "{date}");
            assert_eq!(of(Granularity::Undivided), Some(0), "{date}");
        }
    }

    #[test]
    fn a_coarser_period_is_that_of_a_finer_one() {
        for date in (-4_000..30_000).step_by(17) {
            let month = Granularity::Month.period(date).unwrap();
            let quarter = Granularity::Quarter.period(date).unwrap();
            assert_eq!(Granularity::Quarter.period(month), Some(quarter));
            assert_eq!(Granularity::Year.period(quarter), Granularity::Year.period(date));
            for granularity in [Granularity::Month, Granularity::Quarter, Granularity::Year] {
                let period = granularity.period(date).unwrap();
                assert!((period..=granularity.last_month(period)).contains(&month), "{date} {granularity:?}");
            }
        }
    }

    #[test]
    fn a_manifest_names_a_granularity_of_the_date() {
        let by = PartitionBy::Date { granularity: Granularity::Month, wanted: PartitionChoice::Auto };
        let month = Partition::By { stem: "created".to_owned(), by, table: 0, column: 3 };
        for granularity in Granularity::COARSEST_FIRST {
            let segment = month.divided(granularity).segment();
            assert_eq!(month.named(segment.as_deref()), Some(month.divided(granularity)));
        }
        assert_eq!(month.named(Some("placed_month")), None);
        assert_eq!(Partition::None.named(Some("created_month")), None);
    }
}
