//! The way back from damage: what damaged files held is read again, and they leave the tables in the commit that brings it.
//!
//! Looks at every file of a resource as `verify --deep` does. Commits partition by partition, so that an interrupted one
//! goes on by looking again: what is mended is mended. What the source cannot give again is left as it is, with a failure
//! that says so, until a person gives it up; what pearlift did not write is never touched.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::config::Deletes;
use crate::failure::{Failure, Kind, Result};
use crate::fetch::count as ids_in;
use crate::manifest::{DataFile, ScanKind};
use crate::plan::{Step, StepKind, day};
use crate::quantity::plural;
use crate::run::affected::{AffectedIds, month_of};
use crate::run::apart::Apart;
use crate::run::gone;
use crate::run::resource::make;
use crate::run::rows;
use crate::run::session::{ResourceSession, count};
use crate::run::slices::SliceScan;
use crate::schema::{ReadStyle, Resource, RowSearch};
use crate::verify::{Inquiry, What, look_at, strays_of};
use crate::write::{Flaw, Replace, day_number, number};

/// What is told only once something else is mended (children of an owner whose file was missing) is mended in another
/// round; more rounds than this are no progress.
const ROUNDS: u32 = 4;
/// Paths named in a failure.
const NAMED: usize = 5;

/// What was mended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mended {
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

impl fmt::Display for Mended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("nothing to mend");
        }
        let Self { files, rows, asked, gone, came } = self;
        write!(f, "{} with {} replaced", plural(*files, "damaged file"), plural(*rows, "row"))?;
        write!(f, ": {} requested, {} returned", plural(*asked, "id"), plural(*came, "row"))?;
        if *gone > 0 {
            write!(f, ", {} gone at the source and removed from the tables", plural(*gone, "record"))?;
        }
        Ok(())
    }
}

/// A damaged file, and what is wrong with it.
#[derive(Debug)]
pub struct Bad {
    pub table: String,
    pub file: DataFile,
    pub flaws: Vec<Flaw>,
}

impl Bad {
    /// Whether its bytes are those that were written, so that its own rows tell whose they are.
    pub fn is_readable(&self) -> bool {
        self.flaws.iter().all(|flaw| match flaw {
            Flaw::Range { .. } | Flaw::Unsorted(_) | Flaw::Repeated { .. } => true,
            Flaw::Orphan(_) | Flaw::Partition { .. } => true,
            Flaw::Missing | Flaw::Size(..) | Flaw::Checksum => false,
            Flaw::Unreadable(_) | Flaw::Rows(..) | Flaw::Columns(_) => false,
        })
    }

    /// Whether rows that the manifest says it has may be missing in it.
    pub fn is_short(&self) -> bool {
        !self.is_readable() || self.flaws.iter().any(|flaw| matches!(flaw, Flaw::Range { .. }))
    }
}

/// What a look found.
#[derive(Debug, Default)]
struct Found {
    bad: Vec<Bad>,
    /// Damaged files of deleted rows.
    deleted: Vec<DataFile>,
}

/// Mends the resource; `force` gives up what the source cannot give again. `mended` says what was done, whatever comes.
pub async fn mend(session: &mut ResourceSession<'_>, force: bool, mended: &mut Mended) -> Result<()> {
    session.forced = force;
    for _ in 0..ROUNDS {
        let found = look(session).await?;
        if found.bad.is_empty() && found.deleted.is_empty() {
            return refuse_strays(session).await;
        }
        session.set_apart(found.bad.iter().map(apart).collect());
        let before = (session.tally.changes.added, mended.clone());
        if !found.bad.is_empty() {
            replace(session, &found.bad, mended).await?;
        }
        mended.came += session.tally.changes.added - before.0;
        if session.apart.is_empty() && found.deleted.is_empty() {
            continue;
        }
        if !force {
            return Err(cannot(session, &found.deleted));
        }
        give_up(session, &found.deleted, mended).await?;
    }
    Err(Failure::new(Kind::Damage, format!("mend {}", session.name))
        .because("it is damaged still, however often it is read again")
        .advise("`pearlift verify --deep` tells what is found: restore that from a backup, and report a bug"))
}

/// Takes damaged files out of what a rewrite for another schema reads; they are mended after it.
pub async fn set_damaged_apart(session: &mut ResourceSession<'_>) -> Result<()> {
    let found = look(session).await?;
    session.set_apart(found.bad.iter().map(apart).collect());
    Ok(())
}

fn apart(bad: &Bad) -> Apart {
    Apart { table: Some(bad.table.clone()), file: bad.file.clone() }
}

/// Looks at every file by the newest head, which is ours.
async fn look(session: &ResourceSession<'_>) -> Result<Found> {
    let inquiry = Inquiry {
        store: &session.context.store,
        catalog: &session.context.catalog,
        names: &[],
        deep: true,
        spool: &session.context.spool,
    };
    let mut found = Found::default();
    let Some((head, findings)) = look_at(inquiry, &session.name).await? else { return Ok(found) };
    if session.head.as_ref().is_none_or(|ours| ours.nonce != head.nonce) {
        return Err(Failure::new(Kind::Lost, format!("mend {}", session.name)).because("another run committed it"));
    }
    let mut bad: BTreeMap<String, Bad> = BTreeMap::new();
    for finding in findings {
        let flaw = match finding.what {
            What::Flawed(flaw) => flaw,
            What::Manifest(why) => {
                return Err(Failure::new(Kind::Damage, format!("mend {}", session.name)).because(why));
            }
            What::Foreign | What::Unpublished | What::Superseded | What::Stray | What::Skipped(_) => continue,
        };
        let Some(path) = finding.path else { continue };
        session.context.events.warn(&session.name, format!("{path}: {flaw}"));
        let is_it = |file: &&DataFile| file.path == path || file.staged == path;
        let of_table = head.tables.iter().find_map(|(name, table)| Some((name, table.files.iter().find(is_it)?)));
        match (of_table, head.deleted.iter().find(is_it)) {
            (Some((table, file)), _) => {
                let fresh = || Bad { table: table.clone(), file: file.clone(), flaws: Vec::new() };
                bad.entry(path).or_insert_with(fresh).flaws.push(flaw);
            }
            (None, Some(file)) => found.deleted.push(file.clone()),
            (None, None) => {}
        }
    }
    found.bad = bad.into_values().collect();
    Ok(found)
}

/// Reads again what the files may hold, each style in its way.
async fn replace(session: &mut ResourceSession<'_>, bad: &[Bad], mended: &mut Mended) -> Result<()> {
    let resource = Arc::clone(&session.resource);
    match &resource.read.style {
        ReadStyle::List { .. } => whole(session, mended).await,
        ReadStyle::Search(search) => by_month(session, &resource, search, bad, mended).await,
        ReadStyle::PerOwner { .. } if resource.is_snapshot() => snapshot(session, &resource, bad, mended).await,
        ReadStyle::IdSets { get, max_ids, .. } => by_owners(session, get, *max_ids, bad, mended).await,
        ReadStyle::PerOwner { get, max_ids, .. } => by_owners(session, get, *max_ids, bad, mended).await,
    }
}

/// Reads the resource whole, as `run --full` would were its damaged files not there.
async fn whole(session: &mut ResourceSession<'_>, mended: &mut Mended) -> Result<()> {
    session.give_up(|_| true);
    note(session, mended);
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

/// Counts what the next commit takes out.
fn note(session: &ResourceSession<'_>, mended: &mut Mended) {
    mended.files += count(session.dropped.len());
    mended.rows += session.dropped_rows();
}

/// A search is read again month by month, where the month of a file tells the date of its rows; else whole.
async fn by_month(
    session: &mut ResourceSession<'_>,
    resource: &Resource,
    search: &RowSearch,
    bad: &[Bad],
    mended: &mut Mended,
) -> Result<()> {
    let astray = |bad: &Bad| bad.flaws.iter().any(|flaw| matches!(flaw, Flaw::Partition { .. }));
    let partitions: BTreeSet<&Option<String>> = bad.iter().map(|bad| &bad.file.partition).collect();
    let months: Option<Vec<_>> =
        partitions.into_iter().map(|partition| month_of(resource, &search.since, partition.as_deref())).collect();
    let Some(months) = months.filter(|_| !bad.iter().any(astray)) else { return whole(session, mended).await };
    for month in months {
        session.give_up(|apart| apart.file.partition.as_deref() == Some(month.partition.as_str()));
        note(session, mended);
        rows::read_window(session, search, &month.by, month.window, None).await?;
        session.commit(Replace::Records, false).await?;
    }
    Ok(())
}

/// The snapshot of today is taken again; those of earlier days stay set apart.
async fn snapshot(
    session: &mut ResourceSession<'_>,
    resource: &Resource,
    bad: &[Bad],
    mended: &mut Mended,
) -> Result<()> {
    let today = day_number(day(session.source_now())).unwrap_or(i32::MAX);
    let days = bad.iter().map(|bad| number(resource.partition(), bad.file.partition.as_deref()));
    // The source's clock is what tells the day of a snapshot.
    if days.collect::<Result<Vec<i32>>>()?.into_iter().any(|day| day >= today) {
        let before = session.apart.len();
        let rows = session.apart.iter().map(|apart| apart.file.rows).sum::<u64>();
        make(session, &full(), ScanKind::Full).await?;
        mended.files += count(before - session.apart.len());
        mended.rows += rows - session.apart.iter().map(|apart| apart.file.rows).sum::<u64>();
    }
    Ok(())
}

/// Reads the owners that the files may hold, a partition after the other.
async fn by_owners(
    session: &mut ResourceSession<'_>,
    get: &str,
    max_ids: usize,
    bad: &[Bad],
    mended: &mut Mended,
) -> Result<()> {
    let mut partitions: BTreeMap<&Option<String>, Vec<&Bad>> = BTreeMap::new();
    for bad in bad {
        partitions.entry(&bad.file.partition).or_default().push(bad);
    }
    let per_owner = matches!(session.resource.read.style, ReadStyle::PerOwner { .. });
    let mut affected = AffectedIds::default();
    let path = format!("{}/{get}", session.resource.read.service);
    for (partition, bad) in partitions {
        let ids = affected.of(session, partition.as_deref(), &bad).await?;
        let mut scan =
            SliceScan::new(session, ScanKind::Changes, session.context.clock.now(), &ids.wanted, true, max_ids);
        (scan.gradual, scan.confirms, scan.absent_is_empty) = (false, true, per_owner);
        scan.absent.doubts_all = true;
        scan.candidates.clone_from(&ids.held);
        scan.run(session, &path).await?;
        if !per_owner {
            let gone = gone::prove(session, scan.gone.intersection(&ids.held).copied().collect()).await?;
            mended.gone += count(gone.len());
            session.bury(gone.into_iter().collect(), scan.started_at, session.deletes == Deletes::Move);
        }
        session.give_up(|apart| apart.file.partition == *partition);
        mended.asked += ids_in(&ids.wanted);
        note(session, mended);
        session.commit(Replace::Records, false).await?;
    }
    Ok(())
}

/// Gives up what cannot be read again: whole days of snapshots, for their tables belong together, and rows of deleted
/// records.
async fn give_up(session: &mut ResourceSession<'_>, deleted: &[DataFile], mended: &mut Mended) -> Result<()> {
    let partitions: BTreeSet<Option<String>> = session.apart.iter().map(|apart| apart.file.partition.clone()).collect();
    for partition in partitions.into_iter().flatten() {
        session.give_up_partition(&partition);
    }
    session.dropped.extend(deleted.iter().map(|file| Apart { table: None, file: file.clone() }));
    note(session, mended);
    session.commit(Replace::Records, false).await
}

/// What stays damaged, for the source cannot give it again.
fn cannot(session: &ResourceSession<'_>, deleted: &[DataFile]) -> Failure {
    let days = session.apart.iter().map(|apart| apart.file.path.as_str());
    let paths: Vec<&str> = days.chain(deleted.iter().map(|file| file.path.as_str())).collect();
    let why = "with content that the source cannot give again: snapshots of earlier days, or rows of deleted records";
    Failure::new(Kind::Damage, format!("mend all of {}", session.name))
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
    Err(Failure::new(Kind::Damage, format!("mend all of {}", session.name))
        .because(format!("its folders hold {} that no version lists ({})", plural(paths.len(), "file"), shown(&paths)))
        .advise("a glob reads their rows, and pearlift deletes only what it knows as its own: move them away"))
}

fn shown(paths: &[&str]) -> String {
    let more = if paths.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", paths.iter().take(NAMED).copied().collect::<Vec<_>>().join(", "))
}
