//! The end of a command over several accounts: a table for people, an object for programs, one exit code for both.

use std::time::Duration;

use serde_json::{Value, json};

use crate::quantity::{number, plural};
use crate::report::reasons::{CHANGES, reasons, sum};
use crate::report::table::{TableForm, hanging};
use crate::report::text::duration;

/// Exit codes, the worst first: an interruption leaves accounts undone; a bug, damage and wrong settings need a person; a
/// destination serves every account, a source one; the rest is settled by the next run.
const WORST_FIRST: [u8; 8] = [130, 1, 7, 2, 5, 4, 3, 6];

/// One account of several, at its end.
#[derive(Debug)]
pub struct AccountEnd {
    /// The account, or the settings file where it is unknown.
    pub account: String,
    pub settings: String,
    pub exit_code: u8,
    /// None where it was not started.
    pub took: Option<Duration>,
    /// The JSON that its command printed.
    pub output: Option<Value>,
}

impl AccountEnd {
    /// The meaning of its exit code in a word.
    fn state(&self) -> &'static str {
        match (self.exit_code, self.took) {
            (_, None) => "not started",
            (0, _) => "complete",
            (2, _) => "settings",
            (3, _) => "incomplete",
            (4, _) => "source",
            (5, _) => "destination",
            (6, _) => "held",
            (7, _) => "damage",
            (130, _) => "interrupted",
            _ => "bug",
        }
    }
}

/// The exit code of the whole command: the worst one.
pub fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
    let place = |code: u8| WORST_FIRST.iter().position(|known| *known == code);
    let rank = |code: u8| match code {
        0 => WORST_FIRST.len(),
        // A code that no command has is as bad as a bug.
        _ => place(code).or(place(1)).unwrap_or(0),
    };
    codes.into_iter().min_by_key(|code| rank(*code)).unwrap_or(0)
}

/// The table of accounts.
const ACCOUNTS: TableForm<'_> = TableForm {
    heads: &["account", "exit", "rows", "changed", "files", "requests", "took", "state", "settings"],
    right: &[1, 2, 3, 4, 5, 6],
    text: None,
    spare: &[8, 4, 5, 6, 3],
};

/// A line for each account with the sums of its report, below it the first reason for its exit code, and a line for all, as wide
/// as a terminal.
pub fn accounts_table(ends: &[AccountEnd], width: Option<usize>) -> Vec<String> {
    let most = width.unwrap_or(usize::MAX);
    let rows: Vec<Vec<String>> = ends.iter().map(cells).collect();
    let mut lines = Vec::new();
    let mut table = ACCOUNTS.lines(&rows, width);
    // Below the rows, a line names the columns that had no room.
    let rest = table.split_off(ends.len() + 1);
    let mut table = table.into_iter();
    lines.extend(table.next());
    for (line, end) in table.zip(ends) {
        lines.push(line);
        let reasons = end.output.as_ref().map(reasons).unwrap_or_default();
        if let Some(reason) = reasons.first().filter(|_| end.exit_code != 0) {
            let more = match reasons.len() {
                1 => String::new(),
                all => format!("; and {}", plural(all - 1, "other reason")),
            };
            lines.extend(hanging(&format!("  {reason}{more}"), most));
        }
    }
    lines.extend(rest);
    lines.push(String::new());
    lines.push(total(ends));
    lines
}

/// `3 accounts: 2 complete, 1 not; exit code 4`.
pub fn total(ends: &[AccountEnd]) -> String {
    let complete = ends.iter().filter(|end| end.exit_code == 0).count();
    let all = plural(ends.len(), "account");
    match worst(ends.iter().map(|end| end.exit_code)) {
        0 => format!("{all}: all complete"),
        code => {
            let others = ends.iter().filter(|end| end.exit_code != 0);
            let names: Vec<String> = others.map(|end| format!("{} ({})", end.account, end.exit_code)).collect();
            format!("{all}: {complete} complete; exit code {code}: {}", names.join(", "))
        }
    }
}

fn cells(end: &AccountEnd) -> Vec<String> {
    let report = end.output.as_ref();
    let count = |names: &[&str]| report.map(|report| number(sum(report, names))).unwrap_or_default();
    vec![
        end.account.clone(),
        end.exit_code.to_string(),
        count(&["rows"]),
        count(&CHANGES),
        count(&["files_written"]),
        report.map(|report| number(report["requests"].as_u64().unwrap_or(0))).unwrap_or_default(),
        end.took.map(duration).unwrap_or_default(),
        end.state().to_owned(),
        end.settings.clone(),
    ]
}

/// The object of all accounts. With `outputs`, each has the JSON that its command printed.
pub fn accounts_object(ends: &[AccountEnd], outputs: bool) -> Value {
    let account = |end: &AccountEnd| {
        let mut object = json!({
            "account": end.account,
            "settings": end.settings,
            "exit_code": end.exit_code,
            "state": end.state(),
            "took_seconds": end.took.map(|took| took.as_secs_f64()),
        });
        if outputs {
            object["output"] = end.output.clone().unwrap_or_default();
        }
        object
    };
    json!({
        "format": 1,
        "exit_code": worst(ends.iter().map(|end| end.exit_code)),
        "accounts": ends.iter().map(account).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(account: &str, exit_code: u8, took: Option<u64>, output: Option<Value>) -> AccountEnd {
        let settings = format!("accounts/{account}.toml");
        AccountEnd { account: account.to_owned(), settings, exit_code, took: took.map(Duration::from_secs), output }
    }

    #[test]
    fn the_worst_exit_code_is_that_of_all() {
        for (codes, all) in [
            (&[][..], 0),
            (&[0, 0], 0),
            (&[0, 6, 0], 6),
            (&[6, 3], 3),
            (&[3, 4], 4),
            (&[4, 5], 5),
            (&[5, 2], 2),
            (&[2, 7], 7),
            (&[7, 1], 1),
            (&[1, 130, 7], 130),
            (&[0, 99, 7], 99),
        ] {
            assert_eq!(worst(codes.iter().copied()), all, "{codes:?}");
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_account_and_the_reason_of_one_that_failed() {
        let good =
            json!({"requests": 1234, "resources": [{"resource": "a", "end": "complete", "rows": 7, "rows_added": 5}]});
        let bad = json!({"requests": 1, "resources": [
            {"resource": "a", "end": "failed", "reason": "could not log in"},
            {"resource": "b", "end": "failed", "reason": "could not log in"},
        ]});
        let ends = [
            end("acme", 0, Some(2), Some(good)),
            end("bolt", 4, Some(3), Some(bad)),
            end("crux", 2, Some(0), None),
            end("dune", 130, None, None),
        ];
        let lines = accounts_table(&ends, None);
        assert_eq!(
            lines,
            [
                "account  exit  rows  changed  files  requests  took  state        settings",
                "acme        0     7        5      0     1,234  2.0s  complete     accounts/acme.toml",
                "bolt        4     0        0      0         1  3.0s  source       accounts/bolt.toml",
                "  a: could not log in; and 1 other reason",
                "crux        2                                  0.0s  settings     accounts/crux.toml",
                "dune      130                                        not started  accounts/dune.toml",
                "",
                "4 accounts: 1 complete; exit code 130: bolt (4), crux (2), dune (130)",
            ]
        );
        let object = accounts_object(&ends, true);
        assert_eq!((&object["exit_code"], &object["accounts"][3]["state"]), (&json!(130), &json!("not started")));
        assert_eq!(
            (&object["accounts"][0]["output"]["requests"], &object["accounts"][2]["output"]),
            (&json!(1234), &Value::Null)
        );
        assert!(accounts_object(&ends, false)["accounts"][0].get("output").is_none());
    }
}
