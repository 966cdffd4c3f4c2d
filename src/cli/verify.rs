//! `pearlift verify`: compares the files at the destination with the manifests.

use serde_json::{Value, json};

use crate::cli::arguments::Verify;
use crate::cli::start::Start;
use crate::failure::{Kind, Result};
use crate::manifest::check_destination;
use crate::quantity::{agree, plural};
use crate::report::bytes;
use crate::run::spool_folder;
use crate::store::Store;
use crate::verify::{Inquiry, Report, VerifyFinding, verify as look};

/// Checks every live file and prints the findings; exit code 7 if anything is damaged.
pub async fn verify(start: Start, verify: Verify) -> Result<u8> {
    let catalog = start.catalog()?;
    let settings = start.settings(&catalog)?;
    let store = Store::of(&settings, false)?;
    if let Ok(account) = settings.account() {
        check_destination(&store, &account.code).await?;
    }
    let spool = spool_folder(settings.limits()?.spool.as_deref())?;
    let inquiry =
        Inquiry { store: &store, catalog: &catalog, names: &verify.resources, deep: verify.deep, spool: spool.path() };
    let report = look(inquiry).await?;
    if verify.json {
        start.terminal().print_json(object(&report, verify.deep))?;
    } else {
        start.terminal().print(&lines(&report, verify.deep))?;
    }
    Ok(if report.damaged() > 0 { Kind::Damage.exit_code() } else { 0 })
}

fn lines(report: &Report, deep: bool) -> Vec<String> {
    let mut lines: Vec<String> = report.findings.iter().map(line).collect();
    let files: u64 = report.resources.iter().map(|looked| looked.files).sum();
    let rows: u64 = report.resources.iter().map(|looked| looked.rows).sum();
    let size: u64 = report.resources.iter().map(|looked| looked.bytes).sum();
    let how = if deep { "read whole" } else { "sizes and footers" };
    let verdict = match report.damaged() {
        0 => "nothing is damaged".to_owned(),
        damaged => format!("{} {} damage", plural(damaged, "finding"), agree(damaged, "is", "are")),
    };
    lines.push(format!(
        "{}, {}, {}, {} ({how}): {verdict}",
        plural(report.resources.len(), "resource"),
        plural(files, "file"),
        plural(rows, "row"),
        bytes(size),
    ));
    lines
}

fn line(finding: &VerifyFinding) -> String {
    let word = if finding.what.is_damage() { "DAMAGE" } else { "note  " };
    let path = finding.path.as_ref().map_or_else(String::new, |path| format!(" {path}"));
    let times = if finding.count > 1 { format!(" ({})", plural(finding.count, "time")) } else { String::new() };
    let remedy = finding.remedy().map_or_else(String::new, |remedy| format!("; {remedy}"));
    format!("{word} {}:{path}: {}{times}{remedy}", finding.resource, finding.what)
}

fn object(report: &Report, deep: bool) -> Value {
    let resources: Vec<Value> = report
        .resources
        .iter()
        .map(|looked| {
            json!({
                "resource": looked.resource,
                "version": looked.version,
                "files": looked.files,
                "rows": looked.rows,
                "bytes": looked.bytes,
            })
        })
        .collect();
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "resource": finding.resource,
                "finding": finding.what.name(),
                "damage": finding.what.is_damage(),
                "path": finding.path,
                "text": finding.what.to_string(),
                "count": finding.count,
                "remedy": finding.remedy(),
            })
        })
        .collect();
    json!({
        "format": 1,
        "deep": deep,
        "damaged": report.damaged(),
        "resources": resources,
        "findings": findings,
    })
}
