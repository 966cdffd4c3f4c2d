//! Files of a lake spoiled on purpose, and the findings of `verify` about them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Program, files, python};

/// The words of the findings of `verify`, damage marked with `!`, each with its resource.
#[track_caller]
pub fn findings(program: &Program, arguments: &[&str], code: i32) -> Vec<String> {
    let done = program.run(&[&["verify", "--json"], arguments].concat()).expect(code);
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let word = |finding: &serde_json::Value| {
        let mark = if finding["damage"] == true { "!" } else { "" };
        format!("{}: {mark}{}", finding["resource"].as_str().unwrap(), finding["finding"].as_str().unwrap())
    };
    report["findings"].as_array().unwrap().iter().map(word).collect()
}

/// Rewrites a Parquet file with pyarrow: `change` makes `table` from `table`. The newest manifest of the resource then
/// describes its bytes correctly, as if we had written it so ourselves.
#[track_caller]
pub fn rewrite(lake: &Path, resource: &str, file: &Path, change: &str) {
    let script = format!(
        r#"
import hashlib, json, pathlib, sys
import pyarrow as pa, pyarrow.parquet as pq, pyarrow.compute as pc
lake, resource, path = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
table = pq.read_table(path, partitioning=None)
{change}
pq.write_table(table, path, compression="zstd")
content = path.read_bytes()
head = max((lake / "_pearlift/manifests" / resource).glob("*.json"))
version = json.loads(head.read_text())
since = version.pop("changed_since", None)
if since:
    before = json.loads(head.with_name("%020d.json" % since["version"]).read_text())
    apply = lambda old, change: [f for f in old if f["path"] not in change.get("dropped", [])] + change.get("added", [])
    for name, change in since.get("tables", dict()).items():
        before["tables"][name]["files"] = apply(before["tables"][name]["files"], change)
    version["tables"] = before["tables"]
    for name in ["deleted", "rejected"]:
        version[name] = apply(before[name], since.get(name, dict()))
named = [f for t in version["tables"].values() for f in t["files"] if (lake / f["path"]) == path]
assert len(named) == 1
named[0].update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), rows=table.num_rows)
head.write_text(json.dumps(version))
"#
    );
    python(&script, &[lake.to_str().unwrap(), resource, file.to_str().unwrap()]);
}

/// Flips a byte in a file's data.
pub fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[10] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

/// Cuts a file short.
pub fn cut(file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
}

/// The newest version of a resource, with all its files.
pub fn head(lake: &Path, resource: &str) -> serde_json::Value {
    // A process that was killed may leave the beginning of a put beside them.
    let mut versions = files(&lake.join("_pearlift/manifests").join(resource)).into_iter();
    version(&versions.rfind(|path| path.extension().is_some_and(|ending| ending == "json")).unwrap())
}

/// The version in this file, with all its files: as if it referred to no other version.
pub fn version(path: &Path) -> Value {
    let read = |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let mut version = read(path);
    let Some(since) = version.as_object_mut().unwrap().remove("changed_since") else { return version };
    let before = read(&path.with_file_name(format!("{:020}.json", since["version"].as_u64().unwrap())));
    assert_eq!(before["nonce"], since["nonce"], "{}", path.display());
    let apply = |old: &Value, changes: &Value| -> Value {
        let dropped: Vec<&Value> = changes["dropped"].as_array().into_iter().flatten().collect();
        let kept = old.as_array().unwrap().iter().filter(|file| !dropped.contains(&&file["path"]));
        kept.chain(changes["added"].as_array().into_iter().flatten()).cloned().collect()
    };
    version["tables"] = before["tables"].clone();
    for (name, changes) in since["tables"].as_object().into_iter().flatten() {
        version["tables"][name]["files"] = apply(&before["tables"][name]["files"], changes);
    }
    for list in ["deleted", "rejected"] {
        version[list] = apply(&before[list], &since[list]);
    }
    version
}

/// The largest live file of a table, and its rows by the head.
pub fn largest(lake: &Path, resource: &str, table: &str) -> (PathBuf, u64) {
    let head = head(lake, resource);
    let files = head["tables"][table]["files"].as_array().unwrap();
    let file = files.iter().max_by_key(|file| file["rows"].as_u64()).unwrap();
    (lake.join(file["path"].as_str().unwrap()), file["rows"].as_u64().unwrap())
}
