//! Whether another run has taken over: then files that this one misses were replaced or published by it, and nothing is
//! damaged.

use crate::failure::{Failure, Kind, Result};
use crate::manifest::load::newest_outline;
use crate::store::{Locks, Store, is_missing};

/// A run that works on resources under locks, which it may have lost while it slept.
#[derive(Clone, Copy, Debug)]
pub struct ResourceHolder<'a> {
    pub store: &'a Store,
    pub locks: &'a Locks,
    pub run: &'a str,
}

impl ResourceHolder<'_> {
    /// The meaning of a failure that met damaged or missing files: `Lost` where the lock of one of these resources is
    /// another run's by now, or where the first of them has a newer version than `known` by another run. Where that
    /// cannot be found out, the failure as it is.
    pub async fn meaning(self, resources: &[&str], known: Option<u64>, failure: Failure) -> Failure {
        if failure.kind() != Kind::Damage && !is_missing(&failure) {
            return failure;
        }
        if !self.is_overtaken(resources, known).await.unwrap_or(false) {
            return failure;
        }
        Failure::new(Kind::Lost, format!("finish {}", resources.first().unwrap_or(&"")))
            .because("another run took over the lock while this one was suspended, and replaced files")
            .caused(failure)
            .advise("nothing is lost: the other run continues from the last commit; run again")
    }

    async fn is_overtaken(self, resources: &[&str], known: Option<u64>) -> Result<bool> {
        for resource in resources.iter().filter(|resource| self.locks.holds(resource)) {
            if !self.locks.still_holds(resource).await? {
                return Ok(true);
            }
        }
        let (Some(resource), Some(known)) = (resources.first(), known) else { return Ok(false) };
        let newest = newest_outline(self.store, resource).await?;
        Ok(newest.is_some_and(|newest| newest.version > known && newest.run != self.run))
    }
}
