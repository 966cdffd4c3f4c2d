//! Every path that we ever write, relative to the destination.
//!
//! ```text
//! order/created_month=2026-03-01/order-<run>-<n>.parquet    data files
//! order/_delta_log/00000000000000000003.json                 an entry of a table's Delta log, in the layout `delta`
//! _pearlift/destination.json                                 the account, the format, the layout
//! _pearlift/manifests/order/00000000000000000042.json        version 42 of a resource
//! _pearlift/staging/<run>/<name>.part                        complete files not yet published
//! _pearlift/scans/order/<scan>.json                          an unfinished scan's plan
//! _pearlift/deleted/order/order-<run>-<n>.parquet            rows of deleted records
//! _pearlift/misfits/order/<run>-<n>.jsonl                    rejected records
//! _pearlift/forgotten/<hash>.json                            a person whose values are kept out
//! _pearlift/locks/<resource>  _pearlift/runs/<time>-<run>.json
//! _pearlift/history/run/<time>-<run>.parquet                 a row about a run
//! ```
//!
//! Names of resources, tables and partitions are checked words (`schema`), run ids are hexadecimal: no path can leave
//! the destination. The functions that read a path back (`of_…`, `is_…`) accept only paths made here.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// The folder of everything that is not a table.
pub const OURS: &str = "_pearlift";
/// Below it: complete files not yet published.
pub const STAGING: &str = "_pearlift/staging";
/// Below it: a folder of versions for each resource.
pub const MANIFESTS: &str = "_pearlift/manifests";
/// Below it: a folder of plans of unfinished scans for each resource.
pub const SCANS: &str = "_pearlift/scans";
/// Below it: one file per run.
pub const RUNS: &str = "_pearlift/runs";
/// Below it: a folder for each table about runs.
pub const HISTORY: &str = "_pearlift/history";
/// Below it: one file for each forgotten person.
pub const FORGOTTEN: &str = "_pearlift/forgotten";

/// In a table's folder: its Delta log, in the layout `delta`.
const LOG: &str = "_delta_log";

/// The most bytes of a commit or checkpoint of a Delta log. A file has about 3 KiB with its statistics.
pub const LOG_BYTES: u64 = 128 << 20;
/// The most bytes of a manifest. One of ten thousand data files has about 8 MiB.
pub const MANIFEST_BYTES: u64 = 128 << 20;
/// The most bytes of a plan. One of ten million ids that are not adjacent has about 200 MiB.
pub const PLAN_BYTES: u64 = 256 << 20;
/// The most bytes of a report; one that is larger is nobody's.
const REPORT_BYTES: u64 = 64 << 20;
/// The most bytes of a file of the history; one that is larger is nobody's.
const HISTORY_BYTES: u64 = 16 << 20;
/// The most bytes of a lock object, a probe, a forgotten person's file and the destination's marker, which hold a few words.
const SMALL_BYTES: u64 = 64 << 10;
/// The most bytes of anything else that is read whole.
const OTHER_BYTES: u64 = 1 << 30;

/// The most bytes of an object that is read whole: refused by the size that the store states, before it is read.
pub fn most_bytes(path: &str) -> u64 {
    if of_log(path).is_some() {
        return LOG_BYTES;
    }
    let below = path.strip_prefix(OURS).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    match below.split('/').next() {
        Some("manifests") => MANIFEST_BYTES,
        Some("scans") => PLAN_BYTES,
        Some("runs") => REPORT_BYTES,
        Some("history") => HISTORY_BYTES,
        Some("locks" | "forgotten" | "destination.json") => SMALL_BYTES,
        Some(_) | None => OTHER_BYTES,
    }
}

/// The account and format of the destination.
pub fn destination() -> String {
    format!("{OURS}/destination.json")
}

/// The folder of a resource's versions.
pub fn manifests(resource: &str) -> String {
    format!("{OURS}/manifests/{resource}")
}

/// A version of a resource. Numbers are padded so that listing them is sorting them.
pub fn manifest(resource: &str, version: u64) -> String {
    format!("{OURS}/manifests/{resource}/{version:020}.json")
}

/// The version number in a manifest's file name.
pub fn version_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

/// A data file of a table: `segment` is the partition (`created_month=2026-03-01`), if any.
pub fn data(table: &str, segment: Option<&str>, run: &str, number: u64) -> String {
    match segment {
        Some(segment) => format!("{table}/{segment}/{table}-{run}-{number}.parquet"),
        None => format!("{table}/{table}-{run}-{number}.parquet"),
    }
}

/// The table and the run in the path of a data file, when its name is one of ours and it is in its table's folder.
pub fn of_data(path: &str) -> Option<(&str, &str)> {
    let (table, rest) = path.split_once('/')?;
    let (segment, name) = rest.split_once('/').map_or((None, rest), |(segment, name)| (Some(segment), name));
    let run = of_name(name, table)?;
    (is_word(table) && segment.is_none_or(is_segment)).then_some((table, run))
}

/// The table and the name of the partition in the path of a partition's folder, `order/created_month=2026-03-01`.
pub fn of_partition(path: &str) -> Option<(&str, &str)> {
    let (table, segment) = path.split_once('/')?;
    let (name, _) = segment.split_once('=')?;
    (is_word(table) && is_segment(segment)).then_some((table, name))
}

/// The table and the run in the path of a file of deleted rows, when it is one of ours.
pub fn of_deleted(path: &str) -> Option<(&str, &str)> {
    let (table, name) = path.strip_prefix(OURS)?.strip_prefix("/deleted/")?.split_once('/')?;
    let run = of_name(name, table)?;
    is_word(table).then_some((table, run))
}

/// The folder of a table's Delta log.
pub fn log(table: &str) -> String {
    format!("{table}/{LOG}")
}

/// The commit of this number in a table's Delta log.
pub fn log_commit(table: &str, number: u64) -> String {
    format!("{table}/{LOG}/{number:020}.json")
}

/// The checkpoint of a table's Delta log after this commit.
pub fn log_checkpoint(table: &str, number: u64) -> String {
    format!("{table}/{LOG}/{number:020}.checkpoint.parquet")
}

/// The pointer to the newest checkpoint of a table's Delta log.
pub fn log_pointer(table: &str) -> String {
    format!("{table}/{LOG}/_last_checkpoint")
}

/// An object of a table's Delta log by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogPath {
    Commit(u64),
    Checkpoint(u64),
    Pointer,
}

/// The table and the kind of an object of a Delta log, when its name is one that we give.
pub fn of_log(path: &str) -> Option<(&str, LogPath)> {
    let (table, rest) = path.split_once('/')?;
    let name = rest.strip_prefix(LOG)?.strip_prefix('/')?;
    let number = |digits: &str| (digits.len() == 20 && is_number(digits)).then(|| digits.parse().ok()).flatten();
    let kind = match name.strip_suffix(".checkpoint.parquet") {
        Some(digits) => LogPath::Checkpoint(number(digits)?),
        None if name == "_last_checkpoint" => LogPath::Pointer,
        None => LogPath::Commit(number(name.strip_suffix(".json")?)?),
    };
    is_word(table).then_some((table, kind))
}

/// The run in `order-<run>-<n>.parquet`.
fn of_name<'a>(name: &'a str, table: &str) -> Option<&'a str> {
    let rest = name.strip_prefix(table)?.strip_prefix('-')?;
    let (run, number) = rest.strip_suffix(".parquet")?.split_once('-')?;
    (is_run(run) && is_number(number)).then_some(run)
}

/// The number at the end of a data file's name.
pub fn number_of(path: &str) -> Option<u64> {
    path.rsplit('-').next()?.split('.').next()?.parse().ok()
}

/// Whether a text is a name as schema files may give it to a resource, a table or a column.
pub fn is_word(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether a text is a partition's folder, `created_month=2026-03-01`.
fn is_segment(text: &str) -> bool {
    let is_name =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let is_value = |value: &str| value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let both = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    both.is_some_and(|(name, value)| is_name(name) && is_value(value))
}

/// Whether a text has the form of a run's or a scan's name: 128 bits, hexadecimal.
pub fn is_run(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Where a data file waits until it is published.
pub fn staged(table: &str, run: &str, number: u64) -> String {
    format!("{STAGING}/{run}/{table}-{run}-{number}.part")
}

/// The table and the run in a staged path, when it is one of ours.
pub fn of_staged(path: &str) -> Option<(&str, &str)> {
    let (run, name) = path.strip_prefix(STAGING)?.strip_prefix('/')?.split_once('/')?;
    let (table, rest) = name.strip_suffix(".part")?.split_once('-')?;
    let number = rest.strip_prefix(run)?.strip_prefix('-')?;
    (is_word(table) && is_run(run) && is_number(number)).then_some((table, run))
}

/// The folder of a resource's plans.
pub fn scans(resource: &str) -> String {
    format!("{OURS}/scans/{resource}")
}

/// Whether a path is that of a resource's plan.
pub fn is_scan(path: &str, resource: &str) -> bool {
    let name = path.strip_prefix(&scans(resource)).and_then(|rest| rest.strip_prefix('/'));
    name.and_then(|name| name.strip_suffix(".json")).is_some_and(is_run)
}

/// The plan of an unfinished scan.
pub fn scan(resource: &str, scan: &str) -> String {
    format!("{OURS}/scans/{resource}/{scan}.json")
}

/// Records that did not fit, one JSON object a line.
pub fn rejected(resource: &str, run: &str, number: u64) -> String {
    format!("{OURS}/misfits/{resource}/{run}-{number}.jsonl")
}

/// The folder of a resource's rejected records.
pub fn rejected_of(resource: &str) -> String {
    format!("{OURS}/misfits/{resource}")
}

/// Whether a path is that of a resource's file of rejected records.
pub fn is_rejected(path: &str, resource: &str) -> bool {
    let name = path.strip_prefix(&rejected_of(resource)).and_then(|rest| rest.strip_prefix('/'));
    let parts = name.and_then(|name| name.strip_suffix(".jsonl")).and_then(|name| name.split_once('-'));
    parts.is_some_and(|(run, number)| is_run(run) && is_number(number))
}

/// Rows of deleted records of a table.
pub fn deleted(table: &str, run: &str, number: u64) -> String {
    format!("{OURS}/deleted/{table}/{table}-{run}-{number}.parquet")
}

/// The lock of a resource, or of the start.
pub fn lock(name: &str) -> String {
    format!("{OURS}/locks/{name}")
}

/// An object that proves conditional puts.
pub fn probe(run: &str) -> String {
    format!("{OURS}/locks/probe-{run}")
}

/// The name of a lock that proves locks.
pub fn probe_lock(run: &str) -> String {
    format!("probe-{run}")
}

/// An instant in names, to the second, so that sorting names sorts times.
const INSTANT: &str = "%Y%m%dT%H%M%SZ";

/// The report of a run.
pub fn run(started_at: Timestamp, run: &str) -> String {
    format!("{RUNS}/{}-{run}.json", started_at.strftime(INSTANT))
}

/// Whether a path is that of a run's report. Earlier versions named reports by the run alone.
pub fn is_report(path: &str) -> bool {
    let name = path.strip_prefix(RUNS).and_then(|rest| rest.strip_prefix('/'));
    let name = name.and_then(|name| name.strip_suffix(".json"));
    name.is_some_and(|name| is_run(name) || is_timed(name))
}

/// The start of the run whose report a path is, where its name states it.
pub fn report_started(path: &str) -> Option<Timestamp> {
    let (at, run) = path.strip_prefix(RUNS)?.strip_prefix('/')?.strip_suffix(".json")?.split_once('-')?;
    instant(at).filter(|_| is_run(run))
}

/// Whether a name is an instant and a run.
fn is_timed(name: &str) -> bool {
    name.split_once('-').is_some_and(|(at, run)| instant(at).is_some() && is_run(run))
}

/// The instant of a name.
fn instant(text: &str) -> Option<Timestamp> {
    let read = DateTime::strptime(INSTANT, text).ok().filter(|_| text.len() == 16)?;
    Offset::UTC.to_timestamp(read).ok()
}

/// The rows of a table about runs that one run appended.
pub fn history(table: &str, started_at: Timestamp, run: &str) -> String {
    format!("{HISTORY}/{table}/{}-{run}.parquet", started_at.strftime(INSTANT))
}

/// Joined rows of a table about runs that started between these instants.
pub fn joined_history(table: &str, first: Timestamp, last: Timestamp, run: &str) -> String {
    format!("{HISTORY}/{table}/{}-{}-{run}.parquet", first.strftime(INSTANT), last.strftime(INSTANT))
}

/// The note about a join of rows that is being made.
pub fn history_join(run: &str) -> String {
    format!("{HISTORY}/join-{run}.json")
}

/// Whether a path is that of a note about a join.
pub fn is_history_join(path: &str) -> bool {
    let name = path.strip_prefix(HISTORY).and_then(|rest| rest.strip_prefix("/join-"));
    name.and_then(|name| name.strip_suffix(".json")).is_some_and(is_run)
}

/// The first and the last start of the runs of a file of a table about runs, and whether the file is a joined one.
pub fn of_history(path: &str, table: &str) -> Option<(Timestamp, Timestamp, bool)> {
    let name = path.strip_prefix(HISTORY)?.strip_prefix('/')?.strip_prefix(table)?.strip_prefix('/')?;
    let parts: Vec<&str> = name.strip_suffix(".parquet")?.split('-').collect();
    match parts[..] {
        [at, run] if is_run(run) => instant(at).map(|at| (at, at, false)),
        [first, last, run] if is_run(run) => Some((instant(first)?, instant(last)?, true)),
        _ => None,
    }
}

/// The file of a forgotten person, by the keyed hash of the id.
pub fn forgotten(hash: &str) -> String {
    format!("{FORGOTTEN}/{hash}.json")
}

/// The keyed hash in the path of a forgotten person's file.
pub fn of_forgotten(path: &str) -> Option<&str> {
    let hash = path.strip_prefix(FORGOTTEN)?.strip_prefix('/')?.strip_suffix(".json")?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (hash.len() == 64 && hash.bytes().all(is_digit)).then_some(hash)
}
