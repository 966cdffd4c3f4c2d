//! Repair: records of damaged files are read again, and the commit of these records takes the files out of the tables.
//!
//! Looks at every file of a resource as `verify --deep` does. Commits partition by partition, so that a repair after an
//! interruption repeats no finished part. Files that the source cannot give again are left as they are, with a failure
//! that says so, until a person gives them up; files that pearlift did not write are never touched.

mod damage;
mod affected_ids;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::failure::{Failure, Kind, Result};
use crate::fetch::count as ids_in;
use crate::manifest::{DataFile, ScanKind};
use crate::plan::{Step, StepKind, day};
use crate::quantity::count;
use crate::quantity::plural;
use crate::run::quarantine::QuarantinedFile;
use crate::run::repair::affected_ids::{AffectedIds, period_of};
use crate::run::repair::damage::{DamagedFile, look};
use crate::run::scan::deletion_proof::prove_deletions;
use crate::run::scan::id_scan::{IdScan, Known, sets_with_pending};
use crate::run::scan::purpose::Purpose;
use crate::run::scan::search_scan;
use crate::run::scan::styles::make;
use crate::run::session::ResourceSession;
use crate::schema::{ReadStyle, Resource, RowSearch};
use crate::verify::{What, strays_of};
use crate::write::{Flaw, Replace, day_number, number};

/// Rounds of a repair. Damage that shows only after another repair (children of a record in a missing file) needs another
/// round; more rounds than this are no progress.
const ROUNDS: u32 = 4;
/// Paths named in a failure.
const NAMED: usize = 5;

/// The result of a repair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Damaged files that left the tables, and their rows by the manifest.
    pub files: u64,
    pub rows: u64,
    /// Ids asked for; 0 where a resource has none.
    pub asked: u64,
    /// Of these, held in other files and not returned by the source: taken out of the tables.
    pub gone: u64,
    /// Rows that came which were not in the files that are whole.
    pub came: u64,
}

impl fmt::Display for Repaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("nothing to repair");
        }
        let Self { files, rows, asked, gone, came } = self;
        write!(f, "{} with {} replaced", plural(*files, "damaged file"), plural(*rows, "row"))?;
        write!(f, ": {} requested, {} returned", plural(*asked, "id"), plural(*came, "row"))?;
        if *gone > 0 {
            write!(f, ", {} deleted at the source and removed from the tables", plural(*gone, "record"))?;
        }
        Ok(())
    }
}

/// Repairs the resource; `force` gives up files that the source cannot give again. `repaired` counts also before a
/// failure.
pub async fn repair(session: &mut ResourceSession<'_>, repaired: &mut Repaired) -> Result<()> {
    let force = session.options.forced;
    for _ in 0..ROUNDS {
        let found = look(session).await?;
        if found.bad.is_empty() && found.deleted.is_empty() {
            return refuse_strays(session).await;
        }
        session.quarantine_files(found.bad.iter().map(quarantine).collect());
        let before = (session.tally.changes.added, repaired.clone());
        if !found.bad.is_empty() {
            replace(session, &found.bad, repaired).await?;
        }
        repaired.came += session.tally.changes.added - before.0;
        if session.commit_context.quarantine.files().is_empty() && found.deleted.is_empty() {
            continue;
        }
        if !force {
            return Err(cannot(session, &found.deleted));
        }
        give_up(session, &found.deleted, repaired).await?;
    }
    Err(Failure::new(Kind::Damage, format!("repair {}", session.name))
        .because("it is still damaged after repeated reading")
        .advise("`pearlift verify --deep` lists the damage: restore the files from a backup, and report a bug"))
}

/// Puts damaged files into quarantine, so that a rewrite for another schema does not read them; they are repaired after
/// it.
pub async fn quarantine_damaged(session: &mut ResourceSession<'_>) -> Result<()> {
    let found = look(session).await?;
    session.quarantine_files(found.bad.iter().map(quarantine).collect());
    Ok(())
}

fn quarantine(bad: &DamagedFile) -> QuarantinedFile {
    QuarantinedFile { table: Some(bad.table.clone()), file: bad.file.clone() }
}

/// Reads the possible records of the files again, each style in its way.
async fn replace(session: &mut ResourceSession<'_>, bad: &[DamagedFile], repaired: &mut Repaired) -> Result<()> {
    let resource = Arc::clone(&session.resource);
    match &resource.read.style {
        ReadStyle::List { .. } => whole(session, repaired).await,
        ReadStyle::Search(search) => by_period(session, &resource, search, bad, repaired).await,
        ReadStyle::PerOwner { .. } if resource.is_snapshot() => snapshot(session, &resource, bad, repaired).await,
        ReadStyle::IdSets { get, max_ids, .. } => by_record_ids(session, get, *max_ids, bad, repaired).await,
        ReadStyle::PerOwner { get, max_ids, .. } => by_record_ids(session, get, *max_ids, bad, repaired).await,
    }
}

/// Reads the resource whole, as `run --full` would were its damaged files not there.
async fn whole(session: &mut ResourceSession<'_>, repaired: &mut Repaired) -> Result<()> {
    session.commit_context.quarantine.give_up(|_| true);
    note(session, repaired);
    make(session, &full(), ScanKind::Full).await
}

fn full() -> Step {
    Step {
        kind: StepKind::Scan(ScanKind::Full),
        reason: "damaged".to_owned(),
        since: None,
        resume: None,
        open_every: None,
    }
}

/// Counts the files and rows that the next commit takes out.
fn note(session: &ResourceSession<'_>, repaired: &mut Repaired) {
    repaired.files += count(session.commit_context.quarantine.dropped().len());
    repaired.rows += session.commit_context.quarantine.dropped_rows();
}

/// A search is read again partition by partition, where a partition is a period of its rows' date; else whole.
async fn by_period(
    session: &mut ResourceSession<'_>,
    resource: &Resource,
    search: &RowSearch,
    bad: &[DamagedFile],
    repaired: &mut Repaired,
) -> Result<()> {
    let in_wrong_partition = |bad: &DamagedFile| bad.flaws.iter().any(|flaw| matches!(flaw, Flaw::Partition { .. }));
    let partitions: BTreeSet<&Option<String>> = bad.iter().map(|bad| &bad.file.partition).collect();
    let periods: Option<Vec<_>> =
        partitions.into_iter().map(|partition| period_of(resource, &search.since, partition.as_deref())).collect();
    let Some(periods) = periods.filter(|_| !bad.iter().any(in_wrong_partition)) else {
        return whole(session, repaired).await;
    };
    for period in periods {
        session
            .commit_context
            .quarantine
            .give_up(|quarantine| quarantine.file.partition.as_deref() == Some(period.partition.as_str()));
        note(session, repaired);
        search_scan::read_window(session, search, &period.by, period.window, None).await?;
        session.commit(Replace::Records, false).await?;
    }
    Ok(())
}

/// The snapshot of today is taken again; those of earlier days stay in quarantine.
async fn snapshot(
    session: &mut ResourceSession<'_>,
    resource: &Resource,
    bad: &[DamagedFile],
    repaired: &mut Repaired,
) -> Result<()> {
    let today = day_number(day(session.source_now())).unwrap_or(i32::MAX);
    let days = bad.iter().map(|bad| number(resource.partition(), bad.file.partition.as_deref()));
    // The source's clock decides the day of a snapshot.
    if days.collect::<Result<Vec<i32>>>()?.into_iter().any(|day| day >= today) {
        let before = session.commit_context.quarantine.files().len();
        let rows = session.commit_context.quarantine.files().iter().map(|quarantine| quarantine.file.rows).sum::<u64>();
        make(session, &full(), ScanKind::Full).await?;
        repaired.files += count(before - session.commit_context.quarantine.files().len());
        repaired.rows +=
            rows - session.commit_context.quarantine.files().iter().map(|quarantine| quarantine.file.rows).sum::<u64>();
    }
    Ok(())
}

/// Reads the records that the files may hold, a partition after the other.
async fn by_record_ids(
    session: &mut ResourceSession<'_>,
    get: &str,
    max_ids: usize,
    bad: &[DamagedFile],
    repaired: &mut Repaired,
) -> Result<()> {
    let mut partitions: BTreeMap<&Option<String>, Vec<&DamagedFile>> = BTreeMap::new();
    for bad in bad {
        partitions.entry(&bad.file.partition).or_default().push(bad);
    }
    let per_owner = matches!(session.resource.read.style, ReadStyle::PerOwner { .. });
    let mut affected = AffectedIds::default();
    let path = format!("{}/{get}", session.resource.read.service);
    for (partition, bad) in partitions {
        let ids = affected.of(session, partition.as_deref(), &bad).await?;
        let now = session.context.clock.now();
        let sets = sets_with_pending(session, now, &ids.wanted, max_ids);
        let known = Known { candidates: ids.held.clone(), ..Known::default() };
        let mut scan = IdScan::new(session, Purpose::Repair, now, sets, known);
        scan.run(session, &path).await?;
        if !per_owner {
            let gone = prove_deletions(session, scan.gone.intersection(&ids.held).copied().collect()).await?;
            repaired.gone += count(gone.len());
            session.delete_records(gone.into_iter().collect(), scan.started_at);
        }
        session.commit_context.quarantine.give_up(|quarantine| quarantine.file.partition == *partition);
        repaired.asked += ids_in(&ids.wanted);
        note(session, repaired);
        session.commit(Replace::Records, false).await?;
    }
    Ok(())
}

/// Gives up files that cannot be read again: whole days of snapshots, for their tables belong together, and rows of
/// deleted records.
async fn give_up(session: &mut ResourceSession<'_>, deleted: &[DataFile], repaired: &mut Repaired) -> Result<()> {
    let partitions: BTreeSet<Option<String>> =
        session.commit_context.quarantine.files().iter().map(|quarantine| quarantine.file.partition.clone()).collect();
    let quarantine = &mut session.commit_context.quarantine;
    for partition in partitions.into_iter().flatten() {
        quarantine.give_up_partition(session.head.as_mut(), &partition);
    }
    quarantine.drop_files(deleted.iter().map(|file| QuarantinedFile { table: None, file: file.clone() }));
    note(session, repaired);
    session.commit(Replace::Records, false).await
}

/// The failure for files that stay damaged, because the source cannot give their content again.
fn cannot(session: &ResourceSession<'_>, deleted: &[DataFile]) -> Failure {
    let days = session.commit_context.quarantine.files().iter().map(|quarantine| quarantine.file.path.as_str());
    let paths: Vec<&str> = days.chain(deleted.iter().map(|file| file.path.as_str())).collect();
    let why = "with content that the source cannot return again: snapshots of earlier days, or rows of deleted records";
    Failure::new(Kind::Damage, format!("repair all of {}", session.name))
        .because(format!("{} {why} ({})", plural(paths.len(), "file"), shown(&paths)))
        .advise(format!(
            "restore them from a backup, or give them up with `pearlift backfill {} --damaged --force`: a day of \
             snapshots then leaves all tables of the resource",
            session.name
        ))
}

/// Files of others in the folders of our tables are theirs to move.
async fn refuse_strays(session: &ResourceSession<'_>) -> Result<()> {
    let Some(head) = &session.head else { return Ok(()) };
    let strays = strays_of(&session.context.store, head).await?;
    let foreign = strays.iter().filter(|stray| stray.what == What::Foreign).filter_map(|stray| stray.path.as_deref());
    let paths: Vec<&str> = foreign.collect();
    if paths.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Kind::Damage, format!("repair all of {}", session.name))
        .because(format!("its folders hold {} that no version lists ({})", plural(paths.len(), "file"), shown(&paths)))
        .advise("a glob reads their rows, and pearlift deletes only files that it knows to be its own: move them away"))
}

fn shown(paths: &[&str]) -> String {
    let more = if paths.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", paths.iter().take(NAMED).copied().collect::<Vec<_>>().join(", "))
}
