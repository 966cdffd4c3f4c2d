//! The list of forgotten people: one object for each below `_pearlift/forgotten/`, named by the keyed hash of the id.
//!
//! Takes a store and the key of hashes, gives the test whether an id is of a forgotten person. Refuses (`Settings`) a list
//! without its key, or with another one: a run that cannot recognise the people would store their values again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind, Result};
use crate::manifest::FORMAT;
use crate::secret::HashKey;
use crate::store::{Put, Store, paths};

/// Ids of which it is known whether they are of a forgotten person: some ten bytes each.
const KNOWN: usize = 100_000;

/// The content of a forgotten person's file.
#[derive(Debug, Deserialize, Serialize)]
struct ForgottenRecord {
    format: u32,
    /// The name of the key, as column types have it.
    key: String,
    forgotten_at: Timestamp,
    run: String,
}

/// Forgotten people.
#[derive(Debug)]
pub struct ForgottenList {
    /// None where the list is empty.
    key: Option<HashKey>,
    hashes: BTreeSet<String>,
    known: Mutex<HashMap<i64, bool>>,
}

impl ForgottenList {
    /// The list of one person.
    pub fn only(key: &HashKey, id: i64) -> Self {
        Self::new(Some(key.clone()), BTreeSet::from([key.hash(&id.to_string())]))
    }

    fn new(key: Option<HashKey>, hashes: BTreeSet<String>) -> Self {
        Self { key, hashes, known: Mutex::default() }
    }

    /// The list of a destination.
    pub async fn load(store: &Store, key: Option<HashKey>) -> Result<Self> {
        let listed = store.list(paths::FORGOTTEN).await?;
        let hashes: BTreeSet<String> =
            listed.iter().filter_map(|(path, _)| paths::of_forgotten(path)).map(str::to_owned).collect();
        let Some(any) = hashes.first() else { return Ok(Self::new(None, hashes)) };
        let key = key.ok_or_else(|| no_key("keep forgotten people out of the tables"))?;
        refuse_other_key(store, any, &key).await?;
        Ok(Self::new(Some(key), hashes))
    }

    /// Whether nobody is forgotten.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether an id is of a forgotten person.
    pub fn includes(&self, id: i64) -> bool {
        let Some(key) = self.key.as_ref().filter(|_| id > 0) else { return false };
        let mut known = self.known.lock().expect("no holder panics");
        if let Some(known) = known.get(&id) {
            return *known;
        }
        if known.len() >= KNOWN {
            known.clear();
        }
        let included = self.hashes.contains(&key.hash(&id.to_string()));
        known.insert(id, included);
        included
    }

    /// Whether a text is the id of a forgotten person, or its hash.
    pub fn includes_text(&self, text: &str) -> bool {
        text.parse().map_or_else(|_| self.hashes.contains(text), |id| self.includes(id))
    }
}

/// Refuses a key other than that by which a forgotten person is named.
async fn refuse_other_key(store: &Store, hash: &str, key: &HashKey) -> Result<()> {
    let path = paths::forgotten(hash);
    let Some(bytes) = store.get(&path).await? else { return Ok(()) };
    let record: ForgottenRecord = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(Kind::Damage, "read the file of a forgotten person").at(&path).caused(error))?;
    if record.format > FORMAT {
        return Err(Failure::new(Kind::Settings, "read the file of a forgotten person")
            .at(&path)
            .because(format!("it is of format {}, and this program knows up to {FORMAT}", record.format))
            .advise("use the newer pearlift that wrote it"));
    }
    if record.key == name(key) {
        return Ok(());
    }
    Err(Failure::new(Kind::Settings, "recognise forgotten people")
        .at(path)
        .because(format!("they are named by key {}, and BRIGHTPEARL_HASH_KEY is key {}", record.key, name(key)))
        .advise("set BRIGHTPEARL_HASH_KEY to the key with which they were forgotten"))
}

/// Puts a person on the list; one who is there stays.
pub async fn put(store: &Store, key: &HashKey, id: i64, run: &str, at: Timestamp) -> Result<()> {
    let record = ForgottenRecord { format: FORMAT, key: name(key), forgotten_at: at, run: run.to_owned() };
    let bytes = serde_json::to_vec(&record)
        .map_err(|error| Failure::new(Kind::Bug, "write the file of a forgotten person").caused(error))?;
    let hash = key.hash(&id.to_string());
    match store.put_new(&paths::forgotten(&hash), bytes.clone()).await? {
        Put::Created(_) => Ok(()),
        // Another put may be answered with a conflict though nothing is there.
        Put::Exists => store.put_own(&paths::forgotten(&hash), bytes).await,
    }
}

/// Takes a person off the list; whether the person was on it.
pub async fn take_off(store: &Store, key: &HashKey, id: i64) -> Result<bool> {
    let path = paths::forgotten(&key.hash(&id.to_string()));
    let was_there = store.size(&path).await?.is_some();
    if was_there {
        store.delete(&[path]).await?;
    }
    Ok(was_there)
}

/// The refusal to do something without a key.
pub fn no_key(action: &str) -> Failure {
    Failure::new(Kind::Settings, action)
        .because("people are named by keyed hashes of their ids, and there is no key")
        .advise("export BRIGHTPEARL_HASH_KEY, or name a file that holds it in BRIGHTPEARL_HASH_KEY_FILE")
}

/// The name of a key, as column types have it.
fn name(key: &HashKey) -> String {
    format!("{:08x}", key.name())
}
