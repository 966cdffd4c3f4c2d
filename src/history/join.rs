//! Small files of the history joined into larger ones, so that their number does not grow with the runs.
//!
//! Takes a store, gives the number of joined files. The joined file is put before the small ones are deleted: rows are
//! never missing, and for this moment they are there twice. A note names the files beforehand, so that the next join
//! completes one that crashed. One process joins at a time, under a lock of its own.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind, Result};
use crate::history::columns::HistoryTable;
use crate::history::files::{HistoryFile, history_files, read, write};
use crate::history::rows::{HistoryRow, key, started_at};
use crate::store::{Locks, Store, paths};

/// Small files of a table that are joined as soon as there are this many: a month of nights.
const MANY: usize = 32;
/// Small files that are read for one join: each is a request.
const AT_ONCE: usize = 64;
/// A joined file of this many bytes takes no more rows.
const FULL: u64 = 1 << 20;
/// Rows are kept this long: the same night of the last year can be compared.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(400 * 24);
/// The lock under which files are joined. No resource has a name that begins so.
const LOCK: &str = "_history";
/// Requests of a join beside those for its files: two lists, lock and start lock, notes, puts and deletes.
const BESIDE: usize = 16;

/// The scope of a join.
#[derive(Clone, Copy, Debug)]
pub struct HistoryJoins<'a> {
    pub store: &'a Store,
    pub run: &'a str,
    /// By our clock, for the age of rows.
    pub now: Timestamp,
}

/// A join that is being made.
#[derive(Debug, Deserialize, Serialize)]
struct JoinNote {
    format: u32,
    into: String,
    from: Vec<String>,
}

/// The requests that a join takes at most; none if nothing is to be joined.
pub fn is_due(listed: &[(String, u64)]) -> Option<usize> {
    let unfinished = listed.iter().any(|(path, _)| paths::is_history_join(path));
    let files = HistoryTable::ALL.map(|table| sources(&history_files(table, listed)).len());
    let files: usize = files.into_iter().sum();
    (unfinished || files > 0).then_some(BESIDE + files)
}

/// The files to be joined: the oldest small ones, and joined ones that are not full.
fn sources(files: &[HistoryFile]) -> Vec<HistoryFile> {
    let small = files.iter().filter(|file| !file.joined);
    if small.clone().count() < MANY {
        return Vec::new();
    }
    let open = files.iter().filter(|file| file.joined && file.bytes < FULL);
    small.take(AT_ONCE).chain(open).cloned().collect()
}

/// Completes joins that crashed, then joins the small files of each table; gives how many became fewer. Does nothing
/// while another process joins.
pub async fn join_history(work: HistoryJoins<'_>) -> Result<usize> {
    let locks = work.store.lock(&[LOCK], work.run, false, std::future::pending()).await?;
    let done = if locks.holds(LOCK) { work.all(&locks).await } else { Ok(0) };
    let released = locks.release().await;
    done.and_then(|joined| released.map(|()| joined))
}

/// Holds the lock of joins while files are rewritten; waits for it.
pub async fn hold_joins(store: &Store, run: &str) -> Result<Locks> {
    store.lock(&[LOCK], run, true, std::future::pending()).await
}

impl HistoryJoins<'_> {
    async fn all(self, locks: &Locks) -> Result<usize> {
        let mut listed = self.store.list(paths::HISTORY).await?;
        let gone = self.complete(&listed).await?;
        listed.retain(|(path, _)| !gone.contains(path));
        let mut joined = 0;
        for table in HistoryTable::ALL {
            joined += self.join(table, &history_files(table, &listed), locks).await?;
        }
        Ok(joined)
    }

    /// Deletes the small files of joins whose result is there; gives the deleted paths.
    async fn complete(self, listed: &[(String, u64)]) -> Result<BTreeSet<String>> {
        let there: BTreeSet<&str> = listed.iter().map(|(path, _)| path.as_str()).collect();
        let mut gone = BTreeSet::new();
        for note in there.iter().filter(|path| paths::is_history_join(path)) {
            let text = match self.store.get(note).await {
                Err(failure) if failure.kind() == Kind::Damage => None,
                found => found?,
            };
            let read: Option<JoinNote> = text.and_then(|text| serde_json::from_slice(&text).ok());
            let mut going = vec![(*note).to_owned()];
            if let Some(read) = read.filter(|read| there.contains(read.into.as_str())) {
                going.extend(read.from.into_iter().filter(|path| *path != read.into && is_ours(path)));
            }
            // The note goes last: what is left of the others is found again by it.
            going.rotate_left(1);
            self.store.delete(&going).await?;
            gone.extend(going);
        }
        Ok(gone)
    }

    async fn join(self, table: HistoryTable, files: &[HistoryFile], locks: &Locks) -> Result<usize> {
        let oldest = self.now.checked_sub(KEPT_FOR).unwrap_or(Timestamp::MIN);
        let (mut rows, mut used) = (BTreeMap::<(Timestamp, Vec<String>), HistoryRow>::new(), Vec::new());
        for file in sources(files) {
            // A file that cannot be read stays as it is.
            let Some(found) = read(self.store, table, &file.path).await? else { continue };
            let dated = found.into_iter().filter_map(|row| Some(((started_at(&row)?, key(table, &row)), row)));
            rows.extend(dated.filter(|((at, _), _)| *at >= oldest));
            used.push(file.path);
        }
        let outdated = files.iter().filter(|file| file.joined && file.last < oldest && !used.contains(&file.path));
        let outdated: Vec<String> = outdated.map(|file| file.path.clone()).collect();
        self.store.delete(&outdated).await?;
        let ends = rows.keys().next().zip(rows.keys().next_back()).map(|(first, last)| (first.0, last.0));
        let Some((first, last)) = ends.filter(|_| used.len() > 1) else { return Ok(0) };
        let into = paths::joined_history(table.name(), first, last, self.run);
        let note = JoinNote { format: 1, into: into.clone(), from: used.clone() };
        let text = serde_json::to_vec(&note).map_err(|error| Failure::new(Kind::Bug, "write a note").caused(error))?;
        let note = paths::history_join(self.run);
        self.store.put_own(&note, text).await?;
        // A process that slept here finds that another joined the same files.
        if locks.still_holds(LOCK).await? {
            let rows: Vec<HistoryRow> = rows.into_values().collect();
            write(self.store, table, &into, &rows).await?;
            self.store.delete(&used).await?;
        } else {
            used.clear();
        }
        self.store.delete(&[note]).await?;
        Ok(used.len())
    }
}

/// Whether a path is that of a file of the history.
fn is_ours(path: &str) -> bool {
    HistoryTable::ALL.iter().any(|table| paths::of_history(path, table.name()).is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::append;

    fn at(run: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 20_000 + run)
    }

    async fn runs(store: &Store, numbers: std::ops::Range<i64>) {
        for run in numbers {
            let report = json!({
                "run": format!("{run:032x}"), "started_at": at(run), "finished_at": at(run), "exit_code": run % 5,
                "resources": [{"resource": "a", "end": "complete"}, {"resource": "b", "end": "complete"}],
            });
            append(store, &report).await.expect("it is appended");
        }
    }

    async fn all(store: &Store, table: HistoryTable) -> (usize, Vec<Vec<String>>) {
        let files = history_files(table, &store.list(paths::HISTORY).await.expect("it lists"));
        let mut keys = Vec::new();
        for file in &files {
            let rows = read(store, table, &file.path).await.expect("it reads").expect("it is ours");
            keys.extend(rows.iter().map(|row| key(table, row)));
        }
        keys.sort();
        (files.len(), keys)
    }

    async fn join_at(store: &Store, run: &str, now: Timestamp) -> usize {
        join_history(HistoryJoins { store, run, now }).await.expect("it joins")
    }

    #[tokio::test]
    async fn many_small_files_become_one_with_the_same_rows_and_later_ones_join_it() {
        let store = Store::memory();
        runs(&store, 0..31).await;
        assert_eq!(is_due(&store.list(paths::HISTORY).await.expect("it lists")), None);
        runs(&store, 31..40).await;
        let before = all(&store, HistoryTable::RunResource).await.1;
        assert!(is_due(&store.list(paths::HISTORY).await.expect("it lists")).is_some());
        assert_eq!(join_at(&store, &"a".repeat(32), at(41)).await, 80);
        assert_eq!(all(&store, HistoryTable::Run).await.0, 1);
        assert_eq!(all(&store, HistoryTable::RunResource).await, (1, before));
        runs(&store, 40..75).await;
        join_at(&store, &"b".repeat(32), at(76)).await;
        let (files, keys) = all(&store, HistoryTable::RunResource).await;
        assert_eq!((files, keys.len()), (1, 150));
        assert!(!store.list(paths::HISTORY).await.expect("it lists").iter().any(|(path, _)| path.contains("join-")));
    }

    #[tokio::test]
    async fn a_join_that_crashed_is_completed_and_rows_that_are_old_are_left_out() {
        let store = Store::memory();
        runs(&store, 0..33).await;
        let listed = store.list(paths::HISTORY).await.expect("it lists");
        let small: Vec<String> = history_files(HistoryTable::Run, &listed).into_iter().map(|file| file.path).collect();
        // The result is there, the small files too, for the process ended between the put and the deletes.
        let other = Store::memory();
        runs(&other, 0..33).await;
        join_at(&other, &"c".repeat(32), at(34)).await;
        let listed = other.list(paths::HISTORY).await.expect("it lists");
        let into = history_files(HistoryTable::Run, &listed).remove(0).path;
        let bytes = other.get(&into).await.expect("it reads").expect("it is there");
        store.put_new(&into, bytes).await.expect("it is put");
        let from = [&small[..], &["order/data.parquet".to_owned()]].concat();
        let note = json!({"format": 1, "into": into, "from": from});
        store.put_new(&paths::history_join(&"c".repeat(32)), note.to_string()).await.expect("it is put");
        store.put_new("order/data.parquet", "not of the history").await.expect("it is put");
        assert_eq!(all(&store, HistoryTable::Run).await.1.len(), 66);
        join_at(&store, &"d".repeat(32), at(34)).await;
        assert_eq!(all(&store, HistoryTable::Run).await.1.len(), 33);
        assert!(store.get("order/data.parquet").await.expect("it reads").is_some(), "only files of the history go");
        // WHEN more than a year goes by THEN the next join leaves the old rows out
        runs(&store, 9_700..9_740).await;
        join_at(&store, &"e".repeat(32), at(9_740)).await;
        assert_eq!(all(&store, HistoryTable::Run).await.1.len(), 40);
    }

    #[tokio::test]
    async fn files_that_are_not_ours_or_damaged_are_left_as_they_are() {
        let store = Store::memory();
        runs(&store, 0..40).await;
        let (damaged, foreign) = (paths::history("run", at(3), &"f".repeat(32)), "_pearlift/history/run/mine.parquet");
        store.put_new(&damaged, "PAR1 no Parquet PAR1").await.expect("it is put");
        store.put_new(foreign, "mine").await.expect("it is put");
        assert_eq!(join_at(&store, &"a".repeat(32), at(41)).await, 80);
        for path in [damaged.as_str(), foreign] {
            assert!(store.get(path).await.expect("it reads").is_some(), "{path}");
        }
    }
}
