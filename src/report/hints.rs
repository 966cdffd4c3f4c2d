//! Advice after a run, from what it counted.

use crate::report::text::{length, number};
use crate::run::{End, Outcome};

/// Misfit paths named in a hint; the report has them all.
const NAMED: usize = 5;

/// What to do about what happened, a line each.
pub fn hints(outcome: &Outcome) -> Vec<String> {
    let mut hints = Vec::new();
    for resource in &outcome.resources {
        let name = &resource.resource;
        hints.extend(resource.found.iter().map(|found| format!("{name}: {found}")));
        if let Some(failure) = resource.failure() {
            hints.push(format!("{name}: {failure}"));
            hints.extend(failure.advice().map(|advice| format!("  help: {advice}")));
        }
        let misfits: Vec<String> = resource
            .tally
            .misfits
            .iter()
            .take(NAMED)
            .map(|(path, count, sample)| format!("{path} ({}×, such as {sample})", number(count)))
            .collect();
        if !misfits.is_empty() {
            hints.push(format!(
                "{name}: values that do not fit are null here and whole in `_extra`: {}",
                misfits.join(", ")
            ));
        }
        let rejected: Vec<String> = resource
            .tally
            .rejected
            .iter()
            .take(NAMED)
            .map(|(reason, count, sample)| format!("{reason} ({}×, such as {sample})", number(count)))
            .collect();
        if !rejected.is_empty() {
            hints.push(format!("{name}: rejected, and kept in _pearlift/misfits/{name}: {}", rejected.join(", ")));
        }
        if resource.owed > 0 {
            let text = "could not be brought home; every run asks for them again (`pearlift status --json` names them)";
            hints.push(format!("{name}: {} records {text}", number(resource.owed)));
        }
        if !resource.tally.missed.is_empty() {
            let text = "had changed though no date told of it; `reload_every` and `reread_requests`";
            hints.push(format!(
                "{name}: {} records {text} under [resource.{name}] say how often that is looked for",
                length(resource.tally.missed.len())
            ));
        }
        if let End::Held(by) = &resource.end {
            hints.push(format!("{name}: left alone, for {by} works on it; `--wait` waits for it"));
        }
    }
    if outcome.resources.iter().any(|resource| matches!(resource.end, End::Stopped)) {
        hints.push("what was whole is committed; the same command goes on from there".to_owned());
    }
    hints
}
