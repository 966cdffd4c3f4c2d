//! Locks, one per resource: advisory, so that two runs do not spend the shop's quota on the same work.
//!
//! The conditional put of a commit keeps tables safe; a lost lock costs work, never data. In a folder a lock is an OS
//! file lock that ends with its process. In a bucket it is an object renewed by its tag; one that stays unchanged for
//! [`LockTiming::expire`] on the observer's own clock has expired and may be taken over.

use std::collections::BTreeMap;
use std::fs::File;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::LockSettings;
use crate::failure::{Failure, Kind, Result};
use crate::store::error::busy_start;
use crate::store::{Put, Store, StoreKind, Tag, paths};

/// The name of the lock under which all others are taken, so that of two equal runs one gets all.
pub(super) const START: &str = "_start";

/// The start lock of a bucket is held while some locks are put. It is waited for this long: after a crash of its holder
/// it expires earlier.
const START_FOR: Duration = Duration::from_secs(600);

/// How locks in a bucket live.
#[derive(Clone, Copy, Debug)]
pub struct LockTiming {
    /// How often they are renewed.
    pub renew: Duration,
    /// The time after which unchanged locks have expired.
    pub expire: Duration,
}

impl LockTiming {
    /// That of the settings.
    pub(super) fn of(locks: LockSettings) -> Self {
        Self { renew: locks.renew, expire: locks.expire }
    }
}

impl Default for LockTiming {
    fn default() -> Self {
        Self { renew: Duration::from_secs(20), expire: Duration::from_secs(120) }
    }
}

/// The locks that a run holds, and the holders of the others. Released by [`Locks::release`], or by the process's end.
#[derive(Debug)]
pub struct Locks {
    pub(super) files: BTreeMap<String, File>,
    objects: Arc<Mutex<BTreeMap<String, Object>>>,
    /// Locks that others hold: the resource, and the description of the holder.
    pub held_by_others: Vec<HeldLock>,
    renewal: Option<JoinHandle<()>>,
    pub(super) store: Store,
    run: String,
}

/// A lock that another run holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLock {
    pub name: String,
    pub by: String,
}

/// A lock object of ours.
#[derive(Clone, Debug)]
pub(super) struct Object {
    tag: Tag,
    beat: u64,
    pub(super) lost: bool,
}

/// The content of a lock object.
#[derive(Debug, Deserialize, Serialize)]
struct LockRecord {
    run: String,
    /// Another number with each renewal, so that the object's tag is another; somebody may have written the last one
    /// there is.
    beat: u64,
    released: bool,
}

impl Store {
    /// Takes the locks of these names for a run, all that can be had. With `wait` it waits for those that others hold,
    /// and until `stop` is over at most.
    pub async fn lock(&self, names: &[&str], run: &str, wait: bool, stop: impl Future<Output = ()>) -> Result<Locks> {
        let mut locks = Locks::none(self, run);
        let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        names.sort_unstable();
        let mut lock_wait = LockWait { stop: std::pin::pin!(stop), over: false };
        match &self.place {
            StoreKind::Folder(_) => locks.take_files(names, wait, &mut lock_wait).await?,
            StoreKind::Bucket(_) => locks.take_objects(names, wait, &mut lock_wait).await?,
        }
        Ok(locks)
    }
}

impl Locks {
    /// No locks yet, for a run.
    pub(super) fn none(store: &Store, run: &str) -> Self {
        Self {
            files: BTreeMap::new(),
            objects: Arc::default(),
            held_by_others: Vec::new(),
            renewal: None,
            store: store.clone(),
            run: run.to_owned(),
        }
    }

    /// Whether a lock that was ours still is, as the store has it now: a run that slept learns it before the next
    /// renewal.
    pub async fn still_holds(&self, name: &str) -> Result<bool> {
        if self.files.contains_key(name) {
            return Ok(true);
        }
        if !self.holds(name) || self.lost().iter().any(|lost| lost == name) {
            return Ok(false);
        }
        // A lock that is not there nobody took: its bucket may be gone, or a person deleted it.
        let Some((bytes, _)) = self.store.get_tagged(&paths::lock(name)).await? else { return Ok(true) };
        let record: Option<LockRecord> = serde_json::from_slice(&bytes).ok();
        Ok(record.is_none_or(|record| record.run == self.run && !record.released))
    }

    /// Whether this lock is ours.
    pub fn holds(&self, name: &str) -> bool {
        self.files.contains_key(name) || self.objects.lock().expect("no holder panics").contains_key(name)
    }

    /// The locks that were ours and were taken over by another run since.
    pub fn lost(&self) -> Vec<String> {
        let objects = self.objects.lock().expect("no holder panics");
        objects.iter().filter(|(_, object)| object.lost).map(|(name, _)| name.clone()).collect()
    }

    /// Releases all locks; of several failures the first is returned.
    pub async fn release(mut self) -> Result<()> {
        if let Some(renewal) = self.renewal.take() {
            renewal.abort();
        }
        let objects = std::mem::take(&mut *self.objects.lock().expect("no holder panics"));
        let mut outcome = Ok(());
        for (name, object) in objects.into_iter().filter(|(_, object)| !object.lost) {
            let released = self
                .store
                .put_over(&paths::lock(&name), &object.tag, self.record(object.beat.wrapping_add(1), true))
                .await;
            outcome = outcome.and(released.map(|_| ()));
        }
        outcome
    }

    fn record(&self, beat: u64, released: bool) -> Vec<u8> {
        record(&self.run, beat, released)
    }

    async fn take_objects(
        &mut self,
        names: Vec<String>,
        wait: bool,
        lock_wait: &mut LockWait<'_, impl Future<Output = ()>>,
    ) -> Result<()> {
        let pause = self.store.lock_timing.renew / 4;
        let mut seen = Observed::default();
        let mut busy = names;
        if let Some(start) = self.take_start(&mut seen, pause, lock_wait).await? {
            busy = self.try_objects(busy, wait, &mut seen).await?;
            self.let_go(START, start).await?;
        }
        self.renewal = Some(self.renew_in_background());
        while !busy.is_empty() && lock_wait.lasts(pause).await {
            let mut ripe = self.look(&busy, &mut seen).await?;
            if wait {
                let in_turn = busy.iter().zip(&ripe).take_while(|(busy, ripe)| busy == ripe).count();
                ripe.truncate(in_turn);
            }
            if !ripe.is_empty()
                && let Some(start) = self.take_start(&mut seen, pause, lock_wait).await?
            {
                let still = self.try_objects(ripe.clone(), wait, &mut seen).await?;
                self.let_go(START, start).await?;
                busy.retain(|name| !ripe.contains(name) || still.contains(name));
            }
            if !wait {
                let (alive, unclear) = busy.into_iter().partition(|name| seen.is_alive(name));
                busy = unclear;
                self.leave(alive, &seen);
            }
        }
        self.leave(busy, &seen);
        Ok(())
    }

    /// Notes locks that others hold and are not waited for.
    fn leave(&mut self, names: Vec<String>, seen: &Observed) {
        self.held_by_others.extend(names.into_iter().map(|name| HeldLock { by: seen.holder(&name), name }));
    }

    /// Takes the start lock. It is held briefly, so it becomes free, by its holder or by expiry. `None` when the wait
    /// was ended. Refuses (`HeldLock`) if it is renewed by others for [`START_FOR`].
    async fn take_start(
        &self,
        seen: &mut Observed,
        pause: Duration,
        lock_wait: &mut LockWait<'_, impl Future<Output = ()>>,
    ) -> Result<Option<Object>> {
        let begun = Instant::now();
        loop {
            if let Some(object) = self.try_object(START, seen).await? {
                return Ok(Some(object));
            }
            if begun.elapsed() >= START_FOR {
                return Err(busy_start(&paths::lock(START), START_FOR));
            }
            if !lock_wait.lasts(pause).await {
                return Ok(None);
            }
        }
    }

    pub(super) async fn let_go(&self, name: &str, object: Object) -> Result<()> {
        self.store.put_over(&paths::lock(name), &object.tag, self.record(object.beat.wrapping_add(1), true)).await?;
        Ok(())
    }

    /// Tries these locks; gives back those that others hold.
    async fn try_objects(&self, names: Vec<String>, wait: bool, seen: &mut Observed) -> Result<Vec<String>> {
        let mut busy = Vec::new();
        for name in names {
            let taken = if out_of_turn(wait, busy.len()) { None } else { self.try_object(&name, seen).await? };
            match taken {
                Some(object) => {
                    self.objects.lock().expect("no holder panics").insert(name, object);
                }
                None => busy.push(name),
            }
        }
        Ok(busy)
    }

    /// Takes a lock that is free, released or expired; `None` when another holds it.
    pub(super) async fn try_object(&self, name: &str, seen: &mut Observed) -> Result<Option<Object>> {
        let path = paths::lock(name);
        let Some((bytes, tag)) = self.store.get_tagged(&path).await? else {
            return Ok(match self.store.put_new(&path, self.record(0, false)).await? {
                Put::Created(tag) => Some(Object { tag, beat: 0, lost: false }),
                // Perhaps our own put, retried: then the next read of the record shows it.
                Put::Exists => recognise(&self.store, &self.run, &path).await?,
            });
        };
        let held: LockRecord = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(Kind::StoreRefused, "read a lock")
                .at(&path)
                .caused(error)
                .advise("delete it if no run is active")
        })?;
        seen.note(name, &tag, &held.run, self.store.lock_timing.expire);
        if !held.released && !seen.is_dead(name) {
            return Ok(None);
        }
        let beat = held.beat.wrapping_add(1);
        Ok(match self.store.put_over(&path, &tag, self.record(beat, false)).await? {
            Some(tag) => Some(Object { tag, beat, lost: false }),
            None => recognise(&self.store, &self.run, &path).await?,
        })
    }

    /// Checks the locks of others again; returns those that were released or have expired.
    pub(super) async fn look(&self, busy: &[String], seen: &mut Observed) -> Result<Vec<String>> {
        let mut ripe = Vec::new();
        for name in busy {
            match self.store.get_tagged(&paths::lock(name)).await? {
                None => ripe.push(name.clone()),
                Some((bytes, tag)) => {
                    let record: Option<LockRecord> = serde_json::from_slice(&bytes).ok();
                    let holder = record.as_ref().map_or("", |record| record.run.as_str());
                    seen.note(name, &tag, holder, self.store.lock_timing.expire);
                    if record.is_some_and(|record| record.released) || seen.is_dead(name) {
                        ripe.push(name.clone());
                    }
                }
            }
        }
        Ok(ripe)
    }

    fn renew_in_background(&self) -> JoinHandle<()> {
        let (store, run, objects) = (self.store.clone(), self.run.clone(), Arc::clone(&self.objects));
        let every = store.lock_timing.renew;
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let held: Vec<(String, Object)> = {
                    let objects = objects.lock().expect("no holder panics");
                    objects.iter().map(|(name, object)| (name.clone(), object.clone())).collect()
                };
                for (name, object) in held.into_iter().filter(|(_, object)| !object.lost) {
                    // A store that does not answer now may answer next time; the commit decides anyway.
                    let Ok(next) = renew(&store, &run, &name, &object).await else { continue };
                    objects.lock().expect("no holder panics").insert(name, next);
                }
            }
        })
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        if let Some(renewal) = &self.renewal {
            renewal.abort();
        }
    }
}

/// How long somebody waits: until the end of a future.
pub(super) struct LockWait<'a, F> {
    stop: Pin<&'a mut F>,
    over: bool,
}

impl<F: Future<Output = ()>> LockWait<'_, F> {
    /// Pauses this long; `false` when the wait is to end.
    pub(super) async fn lasts(&mut self, pause: Duration) -> bool {
        if !self.over {
            tokio::select! {
                () = &mut self.stop => self.over = true,
                () = tokio::time::sleep(pause) => {}
            }
        }
        !self.over
    }
}

/// A waiting run takes locks in the order of their names and none after the one that it waits for: two runs that wait
/// for each other would wait for ever.
pub(super) fn out_of_turn(wait: bool, busy: usize) -> bool {
    wait && busy > 0
}

/// A lock object renewed; `lost` when another run has taken it over.
pub(super) async fn renew(store: &Store, run: &str, name: &str, object: &Object) -> Result<Object> {
    let (path, beat) = (paths::lock(name), object.beat.wrapping_add(1));
    Ok(match store.put_over(&path, &object.tag, record(run, beat, false)).await? {
        Some(tag) => Object { tag, beat, lost: false },
        None => {
            let ours = recognise(store, run, &path).await?;
            ours.unwrap_or_else(|| Object { lost: true, ..object.clone() })
        }
    })
}

/// The lock at a path if its record has our run: a put that was retried succeeded after all.
async fn recognise(store: &Store, run: &str, path: &str) -> Result<Option<Object>> {
    let Some((bytes, tag)) = store.get_tagged(path).await? else { return Ok(None) };
    let record: Option<LockRecord> = serde_json::from_slice(&bytes).ok();
    Ok(record.filter(|record| record.run == run && !record.released).map(|record| Object {
        tag,
        beat: record.beat,
        lost: false,
    }))
}

fn record(run: &str, beat: u64, released: bool) -> Vec<u8> {
    serde_json::to_vec(&LockRecord { run: run.to_owned(), beat, released }).expect("a lock's paper is plain JSON")
}

/// The locks of others as an observer has seen them, by its own clock.
#[derive(Default)]
pub(super) struct Observed(BTreeMap<String, Sight>);

struct Sight {
    tag: Tag,
    holder: String,
    since: Instant,
    expire: Duration,
    changed: bool,
}

impl Observed {
    fn note(&mut self, name: &str, tag: &Tag, holder: &str, expire: Duration) {
        match self.0.get_mut(name) {
            Some(sight) if sight.tag == *tag => {}
            Some(sight) => {
                *sight =
                    Sight { tag: tag.clone(), holder: holder.to_owned(), since: Instant::now(), expire, changed: true };
            }
            None => {
                let sight = Sight {
                    tag: tag.clone(),
                    holder: holder.to_owned(),
                    since: Instant::now(),
                    expire,
                    changed: false,
                };
                self.0.insert(name.to_owned(), sight);
            }
        }
    }

    /// Whether it was unchanged for the time of expiry.
    fn is_dead(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|sight| sight.since.elapsed() >= sight.expire)
    }

    /// Seen to change: its holder renews it.
    pub(super) fn is_alive(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|sight| sight.changed)
    }

    fn holder(&self, name: &str) -> String {
        self.0.get(name).map_or_else(String::new, |sight| format!("run {}", sight.holder))
    }
}
