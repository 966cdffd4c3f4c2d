//! Proofs that a destination has the properties that a run relies on; `check` asks for them, and they leave nothing
//! behind.

use crate::failure::Result;
use crate::store::lock::{Locks, Observed, renew};
use crate::store::{Store, StoreKind, error, paths};

impl Store {
    /// Proves that a lock can be taken, is seen as held by another run, is renewed, and is free once it was given back.
    pub async fn prove_lock(&self, run: &str) -> Result<()> {
        let name = paths::probe_lock(run);
        let proof = match &self.place {
            StoreKind::Folder(_) => self.prove_lock_file(&name, run),
            StoreKind::Bucket(_) => self.prove_lock_object(&name, run).await,
        };
        let clean = self.delete(&[paths::lock(&name)]).await;
        match proof? {
            Some(why) => Err(error::no_locks(&self.describe(), why)),
            None => clean,
        }
    }

    /// Why locks cannot be relied on, if so.
    fn prove_lock_file(&self, name: &str, run: &str) -> Result<Option<&'static str>> {
        let locks = Locks::none(self, run);
        let Some(held) = locks.try_file(name)? else { return Ok(Some("a free lock cannot be taken")) };
        // Another opening of the file, as another process would have it.
        if locks.try_file(name)?.is_some() {
            return Ok(Some("a lock that is held can be taken by another run"));
        }
        drop(held);
        let again = locks.try_file(name)?;
        Ok(again.is_none().then_some("a released lock cannot be taken"))
    }

    async fn prove_lock_object(&self, name: &str, run: &str) -> Result<Option<&'static str>> {
        let (holder, other) = (Locks::none(self, run), Locks::none(self, &format!("{run}-other")));
        let (mut own, mut observed) = (Observed::default(), Observed::default());
        let Some(held) = holder.try_object(name, &mut own).await? else {
            return Ok(Some("a free lock cannot be taken"));
        };
        if other.try_object(name, &mut observed).await?.is_some() {
            return Ok(Some("a lock that is held can be taken by another run"));
        }
        let renewed = renew(self, run, name, &held).await?;
        if renewed.lost {
            return Ok(Some("a lock cannot be renewed"));
        }
        let ripe = other.look(&[name.to_owned()], &mut observed).await?;
        if !ripe.is_empty() || !observed.is_alive(name) {
            return Ok(Some("another run does not see that a lock was renewed and would take it over"));
        }
        holder.let_go(name, renewed).await?;
        if other.try_object(name, &mut observed).await?.is_none() {
            return Ok(Some("a released lock cannot be taken"));
        }
        let late = renew(self, run, name, &held).await?;
        Ok((!late.lost).then_some("a lock that another run has taken can still be renewed"))
    }
}
