//! The knowledge of a resource's head that its commits need: files that are built anew or named and not read, the
//! references that they report, the plans that they outlive.

use tokio::time::Instant;

use crate::manifest::{Cursor, Version};
use crate::plan::Fit;
use crate::run::context::RunContext;
use crate::run::quarantine::Quarantine;
use crate::schema::{Naming, Resource};

/// The context of the commits of one resource in this run.
#[derive(Debug)]
pub struct CommitContext {
    /// The files of the head are of another shape: a full read builds all files anew and swaps them in one commit.
    pub rebuild: bool,
    /// Snapshots of days before this one go with the next commit, in days since 1970.
    pub keep_from: Option<i32>,
    /// Resources that read again the records that changed rows of ours reference.
    pub followers: Vec<(String, Naming)>,
    /// The month from which on references of rows are reported, once it is known.
    pub met_from: Option<i32>,
    /// Damaged files of the head.
    pub quarantine: Quarantine,
    /// The plan of an unfinished scan of an earlier run.
    pub old_plan: Option<String>,
    /// The plan of an unfinished backfill of an earlier run, which a new one takes the place of.
    pub old_backfill: Option<String>,
    pub committed_at: Instant,
}

impl CommitContext {
    /// The context of the commits that follow a head, which fits the schema so well.
    pub fn new(context: &RunContext, resource: &Resource, head: Option<&Version>, fit: &Fit) -> Self {
        let plan = |cursor: &Cursor| match cursor {
            Cursor::Slices { plan, .. } => Some(plan.clone()),
            Cursor::Rows { .. } => None,
        };
        let unfinished = head.map(|head| &head.state);
        let followers = context.catalog.followers(resource).into_iter();
        let followers = followers.filter(|(follower, ..)| context.selected.contains(&follower.name));
        Self {
            rebuild: matches!(fit, Fit::Anew { .. }),
            keep_from: None,
            followers: followers.map(|(follower, naming)| (follower.name.clone(), naming)).collect(),
            met_from: None,
            quarantine: Quarantine::default(),
            old_plan: unfinished.and_then(|state| plan(&state.scan.as_ref()?.cursor)),
            old_backfill: unfinished.and_then(|state| plan(&state.backfill.as_ref()?.cursor)),
            committed_at: Instant::now(),
        }
    }
}
