//! A list: one GET, all of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::failure::{Failure, Kind, Result};
use crate::manifest::{Key, Owed, ScanKind};
use crate::run::documents::Documents;
use crate::run::work::Work;
use crate::write::Replace;

/// Reads a list and replaces what is there.
pub async fn read_list(work: &mut Work<'_>, get: &str) -> Result<()> {
    let documents = Documents {
        client: work.site.client.clone(),
        resource: Arc::clone(&work.resource),
        name: Arc::clone(&work.name),
        shape: Arc::clone(&work.shape),
        path: format!("{}/{get}", work.resource.read.service),
        extra: Documents::budget(0),
    };
    let stop = work.site.stop.clone();
    let list = stop.or(documents.list()).await?;
    let misfits = list.page.as_ref().map(|(page, _)| page.records.clone()).unwrap_or_default();
    work.state.owed = misfits
        .into_iter()
        .map(|record| Owed {
            id: record.id.unwrap_or_else(|| Key::Text("?".to_owned())),
            reason: record.reason,
            since: list.date,
        })
        .collect();
    work.state.owed.dedup_by(|a, b| a.id == b.id);
    let kept: BTreeSet<&Key> = work.state.owed.iter().map(|owed| &owed.id).collect();
    if !kept.is_empty() {
        // A list replaces all of its table: what cannot be mapped would lose its former row.
        return Err(Failure::new(Kind::Answer, format!("accept the new {}", work.name))
            .because(format!("{} of its entries cannot be mapped", kept.len()))
            .advise("the former table stays as it is; look at the misfits with -v"));
    }
    work.absorb(list.page.into_iter().collect(), None).await?;
    refuse_empty(work)?;
    work.complete(ScanKind::Full, list.date, false);
    work.commit(Replace::Everything, true).await
}

/// An empty answer for something that has rows is more likely a fault of the source than the truth.
pub fn refuse_empty(work: &Work<'_>) -> Result<()> {
    let had = work.head.as_ref().map_or(0, crate::manifest::Version::rows);
    if work.has_spooled() || had == 0 || work.resource.read.empty_ok {
        return Ok(());
    }
    Err(Failure::new(Kind::Answer, format!("accept the new {}", work.name))
        .because(format!("the source gives nothing, and the tables hold {had} rows"))
        .advise("the tables stay as they are; look into the account, and run again"))
}
