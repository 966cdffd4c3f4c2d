//! The table of `status --history`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::quantity::number;
use crate::report::table::{TableForm, wrapped};
use crate::report::text::{bytes, duration, visible};

/// A line for each run, and below it the reason for an exit code other than 0, as wide as a terminal.
pub fn history_table(runs: &[Value], width: Option<usize>) -> Vec<String> {
    if runs.is_empty() {
        return vec!["no run has left a row in the history yet".to_owned()];
    }
    let heads = ["started", "command", "took", "exit", "changed", "requests", "written"];
    let form = TableForm { right: &[2, 3, 4, 5, 6], spare: &[6, 5], ..TableForm::new(&heads) };
    let mut lines = form.lines(&runs.iter().map(cells).collect::<Vec<_>>(), width);
    let mut shown = Vec::with_capacity(lines.len());
    // Below the rows, a line names the columns that had no room.
    let rest = lines.split_off(runs.len() + 1);
    let mut lines = lines.into_iter();
    shown.extend(lines.next());
    for (line, run) in lines.zip(runs) {
        shown.push(line);
        let reason = run["reason"].as_str().map(visible);
        shown.extend(reason.iter().flat_map(|reason| indented(reason, width)));
    }
    shown.extend(rest);
    shown
}

fn cells(run: &Value) -> Vec<String> {
    let count = |name: &str| run[name].as_u64().unwrap_or(0);
    let changed = count("rows_added").saturating_add(count("rows_changed")).saturating_add(count("rows_removed"));
    let started = instant(&run["started_at"]);
    vec![
        started.map(|at| at.strftime("%Y-%m-%d %H:%M").to_string()).unwrap_or_default(),
        run["command"].as_str().unwrap_or_default().to_owned(),
        duration(took(started, instant(&run["finished_at"]))),
        count("exit_code").to_string(),
        number(changed),
        number(count("requests")),
        bytes(count("bytes_written")),
    ]
}

/// A text below the line that it belongs to.
fn indented(text: &str, width: Option<usize>) -> Vec<String> {
    let most = width.map_or(usize::MAX, |width| width.saturating_sub(2));
    wrapped(text, most).into_iter().map(|line| format!("  {line}")).collect()
}

fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn took(started: Option<Timestamp>, finished: Option<Timestamp>) -> Duration {
    let took = finished.zip(started).map_or(SignedDuration::ZERO, |(end, start)| end.duration_since(start));
    Duration::try_from(took).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn large_numbers_and_long_reasons_fit_into_80_columns() {
        let run = json!({
            "started_at": "2026-11-28T23:59:59Z", "finished_at": "2026-11-29T09:59:59Z", "command": "reconcile",
            "exit_code": 130, "rows": 1_234_567_890_u64, "rows_added": 999_999_999, "rows_changed": 0, "rows_removed": 0,
            "requests": 1_000_000, "bytes_written": 1_u64 << 40, "reason": "could not ".repeat(20),
        });
        let lines = history_table(std::slice::from_ref(&run), Some(80));
        assert_eq!(lines.len(), 5, "{lines:#?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        assert!(lines[1].starts_with("2026-11-28 23:59  reconcile  10h 0m   130"), "{lines:#?}");
        assert_eq!(lines[2..].concat().matches("could").count(), 20, "{lines:#?}");
        assert_eq!(history_table(&[run], None).len(), 3);
    }
}
