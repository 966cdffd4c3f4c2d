//! Files in the folders of tables that no head names.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::config::DestinationLayout;
use crate::delta::superseded;
use crate::failure::{Failure, Kind, Result};
use crate::manifest::{head, outline, versions};
use crate::store::{Store, paths};
use crate::verify::finding::{VerifyFinding, What, finding};

/// Files in the folders of these tables (each with its resource) that are live in no resource.
///
/// In the layout `delta` the objects of a log and the superseded files that it names are no strays.
///
/// The folders are listed before the heads are read: a file that a run publishes is named by a head first, so whatever
/// was listed and is of a run going on is in the head, or among the files that a newer version removed.
pub async fn find(store: &Store, resources: &[String], tables: &[(String, String)]) -> Result<Vec<VerifyFinding>> {
    let mut listed = Vec::new();
    for (resource, table) in tables {
        listed.extend(store.list(table).await?.into_iter().map(|(path, _)| (resource, path)));
    }
    let mut live = BTreeSet::new();
    for resource in resources {
        match head(store, resource).await {
            Ok(head) => live.extend(head.iter().flat_map(|head| head.paths().into_iter().map(str::to_owned))),
            // Reported already; the files that it lists cannot be distinguished from strays.
            Err(failure) if failure.kind() == Kind::Damage => return Ok(Vec::new()),
            Err(failure) => return Err(failure),
        }
    }
    listed.retain(|(_, path)| !live.contains(path));
    if store.layout() == DestinationLayout::Delta {
        let mut kept = BTreeSet::new();
        for (_, table) in tables {
            match superseded(store, table, Timestamp::MIN).await {
                Ok(files) => kept.extend(files.into_keys()),
                // Reported with the log itself.
                Err(failure) if failure.kind() == Kind::Damage => {}
                Err(failure) => return Err(failure),
            }
        }
        listed.retain(|(_, path)| paths::of_log(path).is_none() && !kept.contains(path));
    }
    let of_ours: BTreeSet<&String> =
        listed.iter().filter(|(_, path)| paths::of_data(path).is_some()).map(|(resource, _)| *resource).collect();
    let mut removed = BTreeSet::new();
    for resource in of_ours {
        removed.extend(removed_by(store, resource).await?);
    }
    let judged = listed.iter().map(|(resource, path)| {
        let what = if removed.contains(path) && paths::of_data(path).is_some() {
            What::Superseded
        } else if path.ends_with(".parquet") {
            What::Foreign
        } else {
            What::Stray
        };
        finding(resource, Some(path), what)
    });
    Ok(judged.collect())
}

/// The files that the kept versions of a resource removed.
async fn removed_by(store: &Store, resource: &str) -> Result<BTreeSet<String>> {
    let mut removed = BTreeSet::new();
    for number in versions(store, resource).await? {
        // One that is missing was pruned; one that is no manifest proves nothing.
        match outline(store, resource, number).await {
            Ok(version) => removed.extend(version.into_iter().flat_map(|version| version.removes)),
            Err(failure) if failure.kind() == Kind::Damage => {}
            Err(failure) => return Err(Failure::new(failure.kind(), "look for strays").caused(failure)),
        }
    }
    Ok(removed)
}
