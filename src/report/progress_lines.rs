//! The lines of the progress display: a line for each active resource, one for all, and the quota as a sentence.
//!
//! Takes counts and the width of the terminal, gives lines that are never wider. What has no room is left out whole, the least
//! important first, so that no number is cut.

use std::time::Duration;

use crate::event::RowCounts;
use crate::quantity::{number, plural};
use crate::report::text::duration;

/// Columns of the widest and of the narrowest bar.
const BAR: (usize, usize) = (8, 40);

/// A request count, and how many are known to be made in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestProgress {
    pub made: u64,
    /// Those of the whole, as far as known; none where nothing is known.
    pub of: Option<u64>,
}

impl RequestProgress {
    fn text(self) -> String {
        match self.of {
            Some(of) if of > self.made => format!("{} of {}", number(self.made), plural(of, "request")),
            _ => plural(self.made, "request"),
        }
    }

    /// The filled part of a bar; none where more requests are to come than are known.
    fn filled(self, width: usize) -> Option<usize> {
        let of = self.of.filter(|of| *of > self.made)?;
        let width_wide = u128::try_from(width).ok()?;
        usize::try_from(u128::from(self.made) * width_wide / u128::from(of)).ok()
    }
}

/// A resource at work.
#[derive(Clone, Debug)]
pub struct ResourceLine<'a> {
    pub name: &'a str,
    pub scan: &'a str,
    pub requests: RequestProgress,
    /// Records that have been read.
    pub records: u64,
    pub elapsed: Duration,
    /// Columns of the names of all lines.
    pub names: usize,
}

impl ResourceLine<'_> {
    /// Columns that the name takes where there is room.
    pub fn name_columns(name: &str, scan: &str) -> usize {
        name.chars().count() + scan.chars().count() + ", ".len()
    }

    /// The line.
    pub fn text(&self, width: usize) -> String {
        let names = self.names.min(width / 2);
        let name = cut(&format!("{}, {}", self.name, self.scan), names);
        let requests = self.requests.text();
        let rows = plural(self.records, "record");
        let elapsed = duration(self.elapsed);
        let parts = [requests.as_str(), rows.as_str(), elapsed.as_str()];
        let kept = fitting(&parts, width.saturating_sub(names + 2));
        let right = kept.join("  ");
        let room = width.saturating_sub(names + 2 + right.chars().count() + 2).min(BAR.1);
        let middle = match self.requests.filled(room) {
            _ if room < BAR.0 => String::new(),
            Some(filled) => format!("{}{}  ", "━".repeat(filled), "─".repeat(room - filled)),
            None => " ".repeat(room + 2),
        };
        cut(&format!("{name:names$}  {middle}{right}"), width)
    }
}

/// All resources of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct TotalLine {
    pub ended: usize,
    pub resources: usize,
    pub requests: RequestProgress,
    /// At the pace so far, for the requests that are known.
    pub left: Option<Duration>,
    pub records: u64,
    pub rows: u64,
}

impl TotalLine {
    /// The line.
    pub fn text(&self, width: usize) -> String {
        let resources = format!("{} of {}", self.ended, plural(self.resources, "resource"));
        let requests = self.requests.text();
        let left = self.left.map(|left| format!("at least {} left", duration(left))).unwrap_or_default();
        let records = plural(self.records, "record");
        let rows = plural(self.rows, "row");
        let parts: Vec<&str> = [resources.as_str(), &requests, &left, &records, &rows]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        cut(&fitting(&parts, width).join(", "), width)
    }
}

/// The quota of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaLine {
    /// Requests left in this minute, those of them that other apps keep, and the time until the next minute.
    Left { remaining: u32, reserve: u32, wait: Duration },
    /// No request is let go until then.
    Spent { wait: Duration },
}

impl QuotaLine {
    /// The sentence.
    pub fn text(self, width: usize) -> String {
        let (first, more, wait) = match self {
            Self::Left { remaining, reserve, wait } => {
                let kept =
                    if reserve > 0 { format!("{} kept for other apps", number(reserve.into())) } else { String::new() };
                (format!("quota: {} left this minute", plural(remaining, "request")), kept, wait)
            }
            Self::Spent { wait } => ("quota: used up".to_owned(), String::new(), wait),
        };
        let next = format!("next in {} s", wait.as_secs());
        let parts: Vec<&str> =
            [first.as_str(), next.as_str(), more.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
        let kept = fitting(&parts, width);
        // The time comes last, however early it is chosen.
        let ordered: Vec<&str> =
            [first.as_str(), more.as_str(), next.as_str()].into_iter().filter(|part| kept.contains(part)).collect();
        cut(&ordered.join(", "), width)
    }
}

/// Rows for people: those of the main table, and those of all tables where they are more.
pub fn rows_text(rows: RowCounts) -> String {
    if rows.all > rows.main {
        format!("{} ({} in all tables)", plural(rows.main, "row"), number(rows.all))
    } else {
        plural(rows.main, "row")
    }
}

/// The first parts that fit beside each other, two columns apart.
fn fitting<'a>(parts: &[&'a str], width: usize) -> Vec<&'a str> {
    let mut used = 0;
    parts
        .iter()
        .take_while(|part| {
            used += part.chars().count() + if used > 0 { 2 } else { 0 };
            used <= width
        })
        .copied()
        .collect()
}

/// A text that fits, with `…` in the place of the rest.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).take(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(requests: RequestProgress) -> ResourceLine<'static> {
        ResourceLine {
            name: "some_resources",
            scan: "changes",
            requests,
            records: 1_234_567,
            elapsed: Duration::from_secs(3725),
            names: 24,
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let some = RequestProgress { made: 1_234, of: Some(10_579) };
        let total = TotalLine {
            ended: 12,
            resources: 61,
            requests: some,
            left: Some(Duration::from_secs(2_000)),
            records: 1_234_567,
            rows: 9_876_543,
        };
        let quota = QuotaLine::Left { remaining: 91, reserve: 40, wait: Duration::from_secs(12) };
        for width in 0..250 {
            for text in [line(some).text(width), total.text(width), quota.text(width)] {
                assert!(text.chars().count() <= width, "{width}: {text}");
            }
        }
    }

    #[test]
    fn at_usual_widths_the_important_numbers_are_there() {
        let some = RequestProgress { made: 1_234, of: Some(10_579) };
        assert_eq!(line(some).text(60), "some_resources, changes   ────────  1,234 of 10,579 requests");
        let at_80 = "some_resources, changes   1,234 of 10,579 requests  1,234,567 records  1h 2m";
        assert_eq!(line(some).text(80), at_80);
        let at_120 = line(some).text(120);
        assert!(at_120.contains("━━━──") && at_120.ends_with("1,234,567 records  1h 2m"), "{at_120}");
        let quota = QuotaLine::Left { remaining: 91, reserve: 40, wait: Duration::from_secs(12) };
        assert_eq!(quota.text(80), "quota: 91 requests left this minute, 40 kept for other apps, next in 12 s");
        assert_eq!(quota.text(60), "quota: 91 requests left this minute, next in 12 s");
    }

    #[test]
    fn a_bar_is_full_only_where_all_requests_are_known_and_made() {
        for requests in [
            RequestProgress { made: 0, of: None },
            RequestProgress { made: 7, of: None },
            RequestProgress { made: 7, of: Some(7) },
        ] {
            assert!(!line(requests).text(120).contains(['━', '─']), "{requests:?}");
        }
        let nearly = line(RequestProgress { made: 99, of: Some(100) }).text(120);
        assert!(nearly.contains("━─"), "{nearly}");
    }

    #[test]
    fn rows_are_those_of_the_main_table_with_all_beside_them() {
        assert_eq!(rows_text(RowCounts { main: 1_234, all: 5_678 }), "1,234 rows (5,678 in all tables)");
        assert_eq!(rows_text(RowCounts { main: 1, all: 1 }), "1 row");
    }
}
