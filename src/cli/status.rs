//! `pearlift status`: what lies at the destination, from the heads.

use serde_json::{Value, json};

use crate::cli::arguments::Status;
use crate::cli::start::Start;
use crate::cli::terminal::print;
use crate::failure::Result;
use crate::manifest::Version;
use crate::report::status_table;
use crate::run::{choose, read_heads, unpublished};

/// Shows the state of every selected resource.
pub async fn status(start: Start, status: Status) -> Result<u8> {
    let catalog = start.catalog()?;
    let settings = start.settings(&catalog)?;
    let chosen = choose(&catalog, &settings, &[])?;
    let mut heads = read_heads(&settings, &chosen).await?;
    let waiting = unpublished(&settings, &heads).await?;
    let rows: Vec<(String, Option<Version>, u64)> = chosen
        .iter()
        .map(|resource| {
            let name = resource.name.clone();
            (name.clone(), heads.remove(&name), waiting.get(&name).copied().unwrap_or(0))
        })
        .collect();
    if status.json {
        let resources: Vec<Value> =
            rows.iter().map(|(name, head, waiting)| object(name, head.as_ref(), *waiting)).collect();
        let text = serde_json::to_string_pretty(&json!({"format": 1, "now": start.now, "resources": resources}));
        print(&text.expect("values are plain JSON"))?;
    } else {
        print(&status_table(&rows, start.now))?;
    }
    Ok(0)
}

fn object(name: &str, head: Option<&Version>, unpublished: u64) -> Value {
    let Some(head) = head else { return json!({"resource": name, "state": "not-loaded"}) };
    let state = &head.state;
    let tables: serde_json::Map<String, Value> = head
        .tables
        .iter()
        .map(|(name, table)| {
            let rows: u64 = table.files.iter().map(|file| file.rows).sum();
            let bytes: u64 = table.files.iter().map(|file| file.bytes).sum();
            (name.clone(), json!({"rows": rows, "files": table.files.len(), "bytes": bytes}))
        })
        .collect();
    json!({
        "resource": name,
        "state": if state.completed_at.is_some() { "complete" } else { "loading" },
        "version": head.version,
        "written_at": head.written_at,
        "watermark": state.watermark,
        "completed_at": state.completed_at,
        "reloaded_at": state.reloaded_at,
        "unfinished_scan": state.scan.as_ref().map(|scan| json!({"kind": scan.kind.name(), "started_at": scan.started_at})),
        "rows": head.rows(),
        "files": head.files().count(),
        "bytes": head.files().map(|file| file.bytes).sum::<u64>(),
        "tables": tables,
        "owed": state.owed.iter().map(|owed| json!({"id": owed.id, "reason": owed.reason, "since": owed.since})).collect::<Vec<_>>(),
        "left_out": state.left_out.len(),
        "misfit_files": head.misfits.iter().map(|file| &file.path).collect::<Vec<_>>(),
        "unpublished_files": unpublished,
    })
}
