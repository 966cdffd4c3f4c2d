//! Small files joined: one commit per resource, under its lock, published as any other.

use std::collections::BTreeSet;

use tokio::runtime::Handle;

use crate::clean::cleaning::{Cleaning, Compact};
use crate::delta::publish;
use crate::failure::{Kind, Result};
use crate::manifest::{Version, decide, nonce};
use crate::write::{Joining, Joint, WriteContext, join, joint, small_neighbours};

/// The files that would be joined.
pub fn would_join(compact: Compact<'_>, head: &Version) -> Vec<Joint> {
    let runs = head.tables.values().flat_map(|table| small_neighbours(table, compact.sizes));
    runs.map(|run| joint(&run)).collect()
}

/// Joins the small files of a resource under its lock; returns the joined files. `number` numbers the run's files.
pub async fn compact(
    work: Cleaning<'_>,
    compact: Compact<'_>,
    head: &Version,
    run: &str,
    number: &mut u64,
) -> Result<Vec<Joint>> {
    if would_join(compact, head).is_empty() {
        return Ok(Vec::new());
    }
    let (store, old, spool, name) = (work.store.clone(), head.clone(), compact.spool.to_owned(), run.to_owned());
    let (runtime, mut next) = (Handle::current(), *number);
    let joined = tokio::task::spawn_blocking(move || {
        let context =
            WriteContext { store: &store, spool: &spool, run: &name, sizes: compact.sizes, runtime: &runtime };
        let joining = Joining { head: &old, context };
        join(&joining, &mut next).map(|joined| (joined, next))
    });
    let (joined, next) = joined.await.expect("joining files does not panic")?;
    *number = next;
    if joined.joints.is_empty() {
        return Ok(Vec::new());
    }
    let version = Version { tables: joined.tables, removes: joined.removes, ..head.next(run, nonce(), work.now) };
    let version = version.settled();
    if let Err(failure) = decide(work.store, &version).await {
        if failure.kind() == Kind::Lost {
            work.store.delete(&joined.staged).await?;
        }
        return Err(failure);
    }
    publish(work.store, &version, &joined.staged.into_iter().collect::<BTreeSet<_>>(), work.now).await?;
    Ok(joined.joints)
}
