//! A store with a queue of faults, among them "it worked, but a failure was reported".

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use pearlift::store::Store;
use tokio::sync::Semaphore;

/// An operation on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Put,
    Get,
    List,
    Delete,
    Copy,
}

/// The store's error when it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sorry {
    /// A 5xx, or no answer.
    Unreachable,
    Full,
    Denied,
    ReadOnly,
}

/// A fault.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is not done, and that is reported.
    Before(Sorry),
    /// It is done, and a failure is reported.
    After(Sorry),
    /// It is not done, and an existing object is reported (409).
    Exists,
    /// It is done, tried again, and an existing object is reported (500, then 412).
    DoneThenExists,
    /// A list does not show the newest.
    Stale,
    /// Half of the bytes.
    Torn,
    /// It is done even over an existing object.
    Overwrites,
    /// It is done when the gate opens.
    Waits(Gate),
}

/// Holds up every caller until it is opened.
#[derive(Clone, Debug)]
pub struct Gate(Arc<[Semaphore; 2]>);

impl Gate {
    pub fn new() -> Self {
        Self(Arc::new([Semaphore::new(0), Semaphore::new(0)]))
    }

    /// Waits until a caller is held up by it.
    pub async fn somebody_waits(&self) {
        let budget = std::time::Duration::from_secs(60);
        let came = tokio::time::timeout(budget, self.0[0].acquire()).await;
        came.expect("somebody comes").expect("it is never closed").forget();
    }

    /// Opens it for good.
    pub fn open(&self) {
        self.0[1].add_permits(1_000);
    }

    pub async fn pass(&self) {
        self.0[0].add_permits(1);
        self.0[1].acquire().await.expect("it is never closed").forget();
    }
}

#[derive(Debug)]
struct Rule {
    verb: Verb,
    path: String,
    skip: usize,
    times: usize,
    fault: Fault,
}

/// The faults to come.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    rules: Arc<Mutex<Vec<Rule>>>,
    crashed: Arc<AtomicBool>,
    met: Arc<AtomicUsize>,
    changes: Arc<AtomicUsize>,
    at_change: Arc<Mutex<Option<(usize, Fault)>>>,
    last_change: Arc<Mutex<Option<usize>>>,
    slow: Arc<Mutex<Option<fastrand::Rng>>>,
    read: Arc<Mutex<Vec<(String, u64)>>>,
}

impl Faults {
    /// The next time that this is done with a path that holds this text.
    pub fn once(&self, verb: Verb, path: &str, fault: Fault) {
        self.times(verb, path, 0, 1, fault);
    }

    /// Each time.
    pub fn always(&self, verb: Verb, path: &str, fault: Fault) {
        self.times(verb, path, 0, usize::MAX, fault);
    }

    /// So many times, after so many that go well.
    pub fn times(&self, verb: Verb, path: &str, skip: usize, times: usize, fault: Fault) {
        self.rules.lock().unwrap().push(Rule { verb, path: path.to_owned(), skip, times, fault });
    }

    /// At the change of this number and of any kind: puts, copies and deletes count from 0.
    pub fn at_change(&self, number: usize, fault: Fault) {
        *self.at_change.lock().unwrap() = Some((number, fault));
    }

    /// Crashes before the change of this number.
    pub fn die_at_change(&self, number: usize) {
        *self.last_change.lock().unwrap() = Some(number);
    }

    /// How many changes were wanted so far.
    pub fn changes(&self) -> usize {
        self.changes.load(Ordering::SeqCst)
    }

    /// The reads so far: paths and bytes, in order.
    pub fn read(&self) -> Vec<(String, u64)> {
        self.read.lock().unwrap().clone()
    }

    /// From now on everything takes a while, another each time: up to 30 ms, and one time in forty 300.
    pub fn slow(&self, seed: u64) {
        *self.slow.lock().unwrap() = Some(fastrand::Rng::with_seed(seed));
    }

    async fn dawdle(&self) {
        let millis = match &mut *self.slow.lock().unwrap() {
            Some(random) => {
                let long = random.u8(..40) == 0;
                if long { 300 } else { random.u64(..30) }
            }
            None => return,
        };
        tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
    }

    /// No more faults.
    pub fn heal(&self) {
        self.rules.lock().unwrap().clear();
    }

    /// From now on nothing is done any more: the process has crashed.
    pub fn die(&self) {
        self.crashed.store(true, Ordering::SeqCst);
    }

    /// Whether it is.
    pub fn is_dead(&self) -> bool {
        self.crashed.load(Ordering::SeqCst)
    }

    /// How many faults were met.
    pub fn met(&self) -> usize {
        self.met.load(Ordering::SeqCst)
    }

    /// The store seen through these faults.
    pub fn before(&self, store: &Store) -> Store {
        store.seen_through(|inner| Arc::new(Faulty { inner, faults: self.clone() }))
    }

    fn next(&self, verb: Verb, path: &str) -> Result<Option<Fault>> {
        if self.crashed.load(Ordering::SeqCst) {
            return Err(sorry(Sorry::Unreachable, path));
        }
        if matches!(verb, Verb::Put | Verb::Copy | Verb::Delete) {
            let number = self.changes.fetch_add(1, Ordering::SeqCst);
            if *self.last_change.lock().unwrap() == Some(number) {
                self.die();
                return Err(sorry(Sorry::Unreachable, path));
            }
            if let Some((_, fault)) = self.at_change.lock().unwrap().take_if(|(at, _)| *at == number) {
                self.met.fetch_add(1, Ordering::SeqCst);
                return Ok(Some(fault));
            }
        }
        let mut rules = self.rules.lock().unwrap();
        for rule in rules.iter_mut().filter(|rule| rule.verb == verb && path.contains(&rule.path) && rule.times > 0) {
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.times -= 1;
            self.met.fetch_add(1, Ordering::SeqCst);
            return Ok(Some(rule.fault.clone()));
        }
        Ok(None)
    }

    /// Does it, or follows the faults. `exists` is the store's answer for an existing object.
    async fn apply<T>(&self, verb: Verb, path: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.dawdle().await;
        match self.next(verb, path)? {
            None | Some(Fault::Stale | Fault::Torn | Fault::Overwrites) => work.await,
            Some(Fault::Before(why)) => Err(sorry(why, path)),
            Some(Fault::After(why)) => {
                work.await?;
                Err(sorry(why, path))
            }
            Some(Fault::Exists) => Err(exists(path)),
            Some(Fault::DoneThenExists) => {
                work.await?;
                Err(exists(path))
            }
            Some(Fault::Waits(gate)) => {
                gate.pass().await;
                work.await
            }
        }
    }
}

fn exists(path: &str) -> Error {
    Error::AlreadyExists { path: path.to_owned(), source: "something is there".into() }
}

fn sorry(why: Sorry, path: &str) -> Error {
    let io = |kind: std::io::ErrorKind| Error::Generic { store: "faulty", source: std::io::Error::from(kind).into() };
    match why {
        Sorry::Unreachable => Error::Generic { store: "faulty", source: "500 Internal Server Error".into() },
        Sorry::Full => io(std::io::ErrorKind::StorageFull),
        Sorry::ReadOnly => io(std::io::ErrorKind::ReadOnlyFilesystem),
        Sorry::Denied => Error::PermissionDenied { path: path.to_owned(), source: "403 Forbidden".into() },
    }
}

#[derive(Clone, Debug)]
struct Faulty {
    inner: Arc<dyn ObjectStore>,
    faults: Faults,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let path = location.as_ref();
        let overwrites = {
            let mut rules = self.faults.rules.lock().unwrap();
            let found = rules
                .iter_mut()
                .find(|rule| matches!(rule.fault, Fault::Overwrites) && path.contains(&rule.path) && rule.times > 0);
            found.map(|rule| rule.times -= 1).is_some()
        };
        let options = if overwrites {
            self.faults.met.fetch_add(1, Ordering::SeqCst);
            PutOptions { mode: PutMode::Overwrite, ..options }
        } else {
            options
        };
        self.faults.apply(Verb::Put, path, self.inner.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.faults.apply(Verb::Put, location.as_ref(), self.inner.put_multipart_opts(location, options)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let path = location.as_ref();
        if !matches!(self.faults.rules.lock().unwrap().iter().find(|rule| rule.verb == Verb::Get && rule.times > 0 && path.contains(&rule.path)), Some(rule) if matches!(rule.fault, Fault::Torn))
        {
            let found = self.faults.apply(Verb::Get, path, self.inner.get_opts(location, options)).await?;
            let bytes = found.range.end - found.range.start;
            self.faults.read.lock().unwrap().push((path.to_owned(), bytes));
            return Ok(found);
        }
        let found = self.faults.apply(Verb::Get, path, self.inner.get_opts(location, options)).await?;
        let (meta, range, attributes, extensions) =
            (found.meta.clone(), found.range.clone(), found.attributes.clone(), found.extensions.clone());
        let whole: Bytes = found.bytes().await?;
        let half = whole.slice(..whole.len() / 2);
        let payload = GetResultPayload::Stream(futures_util::stream::iter([Ok(half)]).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        locations
            .and_then(move |location| {
                let this = this.clone();
                async move {
                    this.faults.apply(Verb::Delete, location.as_ref(), this.inner.delete(&location)).await?;
                    Ok(location)
                }
                .boxed()
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, prefix) = (self.clone(), prefix.cloned());
        let path = prefix.as_ref().map_or_else(String::new, ToString::to_string);
        async move {
            let listed = async { Ok(this.inner.list(prefix.as_ref())) };
            this.faults.apply(Verb::List, &path, listed).await
        }
        .try_flatten_stream()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let path = prefix.map_or_else(String::new, ToString::to_string);
        self.faults.dawdle().await;
        let mut listed = self.inner.list_with_delimiter(prefix).await?;
        match self.faults.next(Verb::List, &path)? {
            Some(Fault::Stale) => {
                listed.objects.sort_by(|a, b| a.location.cmp(&b.location));
                listed.objects.pop();
            }
            Some(Fault::Before(why)) => return Err(sorry(why, &path)),
            _ => {}
        }
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.faults.apply(Verb::Copy, to.as_ref(), self.inner.copy_opts(from, to, options)).await
    }
}
