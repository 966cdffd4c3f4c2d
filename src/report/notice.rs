//! The result of a run for a webhook: a sentence for people, and the numbers for programs.
//!
//! Takes the report of a run, gives a JSON object without samples of values. Receivers such as those of chats show `text`
//! alone; the characters that have a meaning there (`&`, `<`, `>`) are escaped in it.

use serde_json::{Value, json};

use crate::quantity::{number, plural};
use crate::report::reasons::{CHANGES, reasons, sum};

/// The most reasons of an object.
const REASONS: usize = 20;
/// The ends of resources.
const ENDS: [&str; 5] = ["complete", "idle", "stopped", "held", "failed"];

/// The object of a run's report.
pub fn notice(report: &Value) -> Value {
    let reasons = reasons(report);
    let mut object = json!({"text": escaped(&text(report, &reasons)), "format": 1});
    for name in [
        "pearlift",
        "run",
        "command",
        "account",
        "started_at",
        "finished_at",
        "interrupted",
        "exit_code",
        "requests",
        "retries",
    ] {
        object[name] = report[name].clone();
    }
    object["rows"] = json!(sum(report, &["rows"]));
    object["rows_changed"] = json!(sum(report, &CHANGES));
    object["files_written"] = json!(sum(report, &["files_written"]));
    object["bytes_written"] = json!(sum(report, &["bytes_written"]));
    let resources = report["resources"].as_array().map_or(&[][..], Vec::as_slice);
    let ended = |end: &str| resources.iter().filter(|resource| resource["end"] == end).count();
    object["resources"] = ENDS.iter().map(|end| ((*end).to_owned(), json!(ended(end)))).collect();
    object["reasons"] = json!(reasons.iter().take(REASONS).collect::<Vec<_>>());
    object["reasons_left_out"] = json!(reasons.len().saturating_sub(REASONS));
    object
}

/// One sentence: the account, the result, and the first reason.
fn text(report: &Value, reasons: &[String]) -> String {
    let command = report["command"].as_str().unwrap_or("run");
    let account = report["account"].as_str().filter(|account| !account.is_empty()).unwrap_or("an unknown account");
    let done = format!(
        "{} changed, {}",
        plural(sum(report, &CHANGES), "row"),
        plural(report["requests"].as_u64().unwrap_or(0), "request")
    );
    let head = match report["exit_code"].as_u64().unwrap_or(1) {
        0 => format!("pearlift {command} of {account}: complete"),
        130 => format!("pearlift {command} of {account}: interrupted"),
        code => format!("pearlift {command} of {account}: exit code {}", number(code)),
    };
    match reasons {
        [] => format!("{head}; {done}"),
        [reason] => format!("{head}; {done}; {reason}"),
        [reason, more @ ..] => format!("{head}; {done}; {reason}; and {}", plural(more.len(), "other reason")),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_has_a_sentence_and_sums_and_no_samples() {
        let report = json!({"account": "acme", "command": "run", "exit_code": 3, "requests": 9, "resources": [
            {"resource": "a", "end": "failed", "reason": "could not <!channel> & go", "rows": 5, "rows_added": 2},
            {"resource": "b", "end": "complete", "pending": 2, "rows": 7, "rows_changed": 1, "files_written": 3,
             "rejected_values": [{"path": "x", "count": 1, "sample": "personal"}]},
            {"resource": "c", "end": "idle", "pending": 0},
        ]});
        let notice = notice(&report);
        let text = "pearlift run of acme: exit code 3; 3 rows changed, 9 requests; a: could not &lt;!channel&gt; &amp; go; \
                    and 1 other reason";
        assert_eq!(notice["text"], text);
        assert_eq!(
            (&notice["rows"], &notice["rows_changed"], &notice["files_written"]),
            (&json!(12), &json!(3), &json!(3))
        );
        assert_eq!(notice["resources"], json!({"complete": 1, "idle": 1, "stopped": 0, "held": 0, "failed": 1}));
        assert_eq!(notice["reasons"], json!(["a: could not <!channel> & go", "b: 2 pending records"]));
        assert!(!notice.to_string().contains("personal"));
    }

    #[test]
    fn a_run_that_failed_as_a_whole_has_its_reason() {
        let report = json!({"account": "", "command": "run", "exit_code": 4, "reason": "could not reach the source", "resources": []});
        let text = notice(&report)["text"].as_str().map(str::to_owned);
        let sentence =
            "pearlift run of an unknown account: exit code 4; 0 rows changed, 0 requests; could not reach the source";
        assert_eq!(text.as_deref(), Some(sentence));
    }
}
