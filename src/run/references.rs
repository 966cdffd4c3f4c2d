//! Pending references: ids of another resource that changed rows name, until that resource has read them.
//!
//! A resource collects them in its state under a mark. The other resource notes the mark in the commit of the records
//! read, so that no further commit is needed: the references are cleared with the next commit of the resource that has
//! them.

use jiff::Timestamp;

use crate::failure::Result;
use crate::manifest::{Version, head, newest_outline};
use crate::run::reference_marks::mark;
use crate::run::session::ResourceSession;

impl ResourceSession<'_> {
    /// Clears references that the resources which they are of have read.
    pub async fn clear_read_references(&mut self) -> Result<()> {
        let Some(head) = self.head.as_ref().filter(|head| !head.state.pending_references.is_empty()) else {
            return Ok(());
        };
        let mark = mark(&head.state, &head.nonce);
        let followers: Vec<String> = head.state.pending_references.keys().cloned().collect();
        for follower in followers {
            let theirs = newest_outline(&self.context.store, &follower).await?;
            if theirs.is_some_and(|theirs| theirs.state.references_read.get(&*self.name) == Some(&mark)) {
                self.state.pending_references.remove(&follower);
            }
        }
        if self.state.pending_references.is_empty() {
            self.state.references_mark = None;
        }
        Ok(())
    }

    /// The month from which on rows report their references. A first load references everything: of interest are the
    /// newest rows, to resources that have been read, or are being read, before these rows came.
    pub async fn met_from(&mut self) -> Result<i32> {
        if let Some(known) = self.commit_context.met_from {
            return Ok(known);
        }
        let mut met_from = i32::MIN;
        if self.head.as_ref().is_none_or(|head| head.state.completed_at.is_none()) {
            let clocks = self.context.client.clocks();
            let mut from = clocks.earliest(clocks.ours());
            for (follower, naming) in std::mem::take(&mut self.commit_context.followers) {
                let theirs = head(&self.context.store, &follower).await?;
                if let Some(read) = self.read_since(&follower, theirs.as_ref()) {
                    from = from.min(read);
                    self.commit_context.followers.push((follower, naming));
                }
            }
            // A day for clocks that differ.
            let day = from.saturating_sub(jiff::SignedDuration::from_hours(24)).unwrap_or(from);
            let month = jiff::tz::Offset::UTC.to_datetime(day).date().first_of_month();
            met_from = crate::write::day_number(month).unwrap_or(i32::MIN);
        }
        self.commit_context.met_from = Some(met_from);
        Ok(met_from)
    }

    /// Since when a follower may hold records as they were before rows of ours came: the start of its first load or
    /// whole read, unfinished or not; this run's start where it is this run's to read. `None` where it holds nothing.
    fn read_since(&self, follower: &str, theirs: Option<&Version>) -> Option<Timestamp> {
        let this_run = self
            .context
            .claims
            .locks
            .holds(follower)
            .then(|| self.context.client.clocks().earliest(self.context.clock.start()));
        // A scan of an earlier run that this run resumes may have committed, or ended, before this check.
        let before = theirs.and_then(|theirs| {
            let (state, clocks) = (&theirs.state, theirs.state.clocks);
            let under_way = state.scan.as_ref().map(|scan| scan.started_at);
            let by_ours = clocks.scan.map(|scan| scan.earliest).into_iter().chain(clocks.reloaded_at);
            under_way.into_iter().chain(state.reloaded_at).chain(by_ours).min()
        });
        this_run.into_iter().chain(before).min()
    }
}
