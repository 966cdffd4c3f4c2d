//! One budget of bytes for all answers in memory: bodies being read, their text, and pages that wait for decoding.
//!
//! A unit of work (a page of a search, an id set) has a [`MemoryReservation`], which grows before memory is used and is released as
//! a whole when its rows are elsewhere. A room that cannot grow waits; nothing is sent or read for it meanwhile. So
//! that no two rooms wait for each other, one room at a time may exceed the budget until it ends, and then the next one
//! may. Pages requested ahead never do, since they end only after the page before them. The bound is therefore the
//! budget and one unit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Permits are of this many bytes: their number is 32 bits wide.
const UNIT: u64 = 1 << 10;
/// The least budget, for any memory setting.
const LEAST: u64 = 16 << 20;
/// An answer of a resource that has not answered yet is taken for so large.
const UNKNOWN: u64 = 1 << 20;

/// The budget. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    units: Arc<Semaphore>,
    total: u32,
    /// Its holder may exceed the budget.
    exception: Arc<Semaphore>,
    /// The room that answers of a resource took lately.
    sizes: Mutex<HashMap<Arc<str>, u64>>,
}

/// The bytes of one unit of work. Clones share them; the last one gives them back.
#[derive(Clone, Debug)]
pub struct MemoryReservation {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    budget: Arc<Shared>,
    taken: Mutex<Taken>,
    /// Somebody waits for this unit: it may exceed the budget.
    wanted: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Taken {
    bytes: u64,
    units: Option<OwnedSemaphorePermit>,
    exception: Option<OwnedSemaphorePermit>,
}

impl MemoryBudget {
    /// Half of the memory setting; spools and a commit take the rest.
    pub fn new(memory: u64) -> Self {
        let total = u32::try_from((memory / 2).max(LEAST) / UNIT).unwrap_or(u32::MAX);
        let permits = usize::try_from(total).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let shared = Shared {
            units: Arc::new(Semaphore::new(permits)),
            total,
            exception: Arc::new(Semaphore::new(1)),
            sizes: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// An empty room of a unit that somebody waits for.
    pub fn room(&self) -> MemoryReservation {
        self.new_room(true)
    }

    /// An empty room of a unit that nobody waits for yet.
    pub fn room_ahead(&self) -> MemoryReservation {
        self.new_room(false)
    }

    fn new_room(&self, wanted: bool) -> MemoryReservation {
        let (budget, wanted) = (Arc::clone(&self.shared), watch::Sender::new(wanted));
        MemoryReservation { inner: Arc::new(Inner { budget, taken: Mutex::default(), wanted }) }
    }

    /// The room that the next answer of a resource is likely to take.
    pub fn expected(&self, resource: &str) -> u64 {
        self.sizes().get(resource).copied().unwrap_or(UNKNOWN)
    }

    /// Notes the room that an answer took: the greatest of late counts, and is forgotten slowly.
    pub fn learn(&self, resource: &Arc<str>, bytes: u64) {
        let mut sizes = self.sizes();
        let known = sizes.entry(Arc::clone(resource)).or_insert(bytes);
        *known = bytes.max(*known - *known / 8);
    }

    fn sizes(&self) -> MutexGuard<'_, HashMap<Arc<str>, u64>> {
        self.shared.sizes.lock().expect("no holder panics")
    }
}

impl MemoryReservation {
    /// The bytes taken.
    pub fn bytes(&self) -> u64 {
        self.taken().bytes
    }

    /// From now on somebody waits for this unit.
    pub fn hurry(&self) {
        self.inner.wanted.send_replace(true);
    }

    /// Grows to this many bytes at once, or not at all.
    pub fn try_grow(&self, bytes: u64) -> bool {
        let mut taken = self.taken();
        let missing = missing(&taken, bytes);
        if missing > 0 && taken.exception.is_none() {
            let Ok(more) = Arc::clone(&self.inner.budget.units).try_acquire_many_owned(missing) else { return false };
            taken.add(more);
        }
        taken.bytes = taken.bytes.max(bytes);
        true
    }

    /// Grows to this many bytes, as soon as they are free or the budget may be exceeded. One that wants more than there
    /// is has to exceed it.
    pub async fn grow(&self, bytes: u64) {
        if self.try_grow(bytes) {
            return;
        }
        if units(bytes) > self.inner.budget.total {
            self.exceed().await;
        } else {
            let missing = missing(&self.taken(), bytes);
            let units = Arc::clone(&self.inner.budget.units);
            tokio::select! {
                biased;
                more = units.acquire_many_owned(missing) => self.taken().add(more.expect("the budget is never closed")),
                exception = self.exception() => self.taken().exception = Some(exception),
            }
        }
        let mut taken = self.taken();
        taken.bytes = taken.bytes.max(bytes);
    }

    /// Waits until this room may exceed the budget.
    pub async fn exceed(&self) {
        if self.taken().exception.is_none() {
            let exception = self.exception().await;
            self.taken().exception = Some(exception);
        }
    }

    /// Shrinks to this many bytes.
    pub fn shrink(&self, bytes: u64) {
        let mut taken = self.taken();
        taken.bytes = taken.bytes.min(bytes);
        let wanted = usize::try_from(units(taken.bytes)).unwrap_or(usize::MAX);
        if let Some(units) = &mut taken.units {
            let free = units.num_permits().saturating_sub(wanted);
            drop(units.split(free));
        }
        if taken.exception.is_some() {
            // Where the rest has a place in the budget, another may exceed it.
            let missing = missing(&taken, taken.bytes);
            if let Ok(more) = Arc::clone(&self.inner.budget.units).try_acquire_many_owned(missing) {
                taken.add(more);
                taken.exception = None;
            }
        }
    }

    async fn exception(&self) -> OwnedSemaphorePermit {
        let mut wanted = self.inner.wanted.subscribe();
        wanted.wait_for(|wanted| *wanted).await.expect("the sender lives in the room");
        let exception = Arc::clone(&self.inner.budget.exception).acquire_owned().await;
        exception.expect("the budget is never closed")
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.inner.taken.lock().expect("no holder panics")
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// Units to be acquired for this many bytes.
fn missing(taken: &Taken, bytes: u64) -> u32 {
    let held = taken.units.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    units(bytes).saturating_sub(u32::try_from(held).unwrap_or(u32::MAX))
}

impl Taken {
    fn add(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.units {
            Some(units) => units.merge(more),
            None => self.units = Some(more),
        }
    }
}

/// The bytes that an answer takes until it is read; then its room shrinks to those of its rows.
#[derive(Debug)]
pub struct Unread {
    room: MemoryReservation,
    left: u64,
}

impl Unread {
    pub fn new(room: MemoryReservation, left: u64) -> Self {
        Self { room, left }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.room.shrink(self.left);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{LEAST, MemoryBudget, MemoryReservation, UNIT};

    const MIB: u64 = 1 << 20;

    /// Whether a room grows without anybody giving way.
    async fn grows(room: &MemoryReservation, bytes: u64) -> bool {
        tokio::time::timeout(Duration::from_secs(1), room.grow(bytes)).await.is_ok()
    }

    fn free(budget: &MemoryBudget) -> u64 {
        u64::try_from(budget.shared.units.available_permits()).unwrap() * UNIT
    }

    #[tokio::test(start_paused = true)]
    async fn rooms_share_a_budget_and_give_back_what_they_took() {
        let budget = MemoryBudget::new(0);
        let (first, second) = (budget.room(), budget.room_ahead());
        assert!(grows(&first, 10 * MIB).await && grows(&second, 6 * MIB).await);
        assert_eq!((free(&budget), first.bytes()), (0, 10 * MIB));
        first.shrink(MIB);
        assert_eq!(free(&budget), 9 * MIB);
        assert!(second.try_grow(15 * MIB) && !second.try_grow(16 * MIB));
        let clone = second.clone();
        drop(second);
        assert_eq!(free(&budget), 0);
        drop((clone, first));
        assert_eq!(free(&budget), LEAST);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_larger_than_the_budget_passes_alone() {
        let budget = MemoryBudget::new(0);
        let (usual, huge, other) = (budget.room(), budget.room(), budget.room());
        assert!(grows(&usual, LEAST).await);
        assert!(grows(&huge, 1 << 40).await);
        // A second one waits for it, and others share the rest.
        assert!(!grows(&other, 1 << 40).await && !grows(&other, MIB).await);
        drop(usual);
        assert!(grows(&other, MIB).await && !grows(&other, 1 << 40).await);
        huge.shrink(16 * MIB);
        assert!(!grows(&other, 1 << 40).await, "what is left of it has no place in the budget");
        huge.shrink(2 * MIB);
        assert!(grows(&other, 1 << 40).await);
        assert_eq!(free(&budget), 13 * MIB);
    }

    #[tokio::test(start_paused = true)]
    async fn one_room_at_a_time_exceeds_the_budget_and_no_two_wait_for_each_other() {
        // GIVEN sixteen rooms that hold all of the budget
        let budget = MemoryBudget::new(0);
        let rooms: Vec<MemoryReservation> = (0..16).map(|_| budget.room()).collect();
        for room in &rooms {
            assert!(grows(room, MIB).await);
        }
        assert_eq!(free(&budget), 0);
        // WHEN each wants more THEN all come to their end, and never do two exceed the budget
        let over = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let mut units = tokio::task::JoinSet::new();
        for room in rooms {
            let over = Arc::clone(&over);
            units.spawn(async move {
                room.grow(9 * MIB).await;
                if room.taken().exception.is_some() {
                    assert_eq!(over.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    tokio::time::sleep(Duration::from_secs(5)).await;
                    over.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                }
            });
        }
        let all = tokio::time::timeout(Duration::from_secs(600), units.join_all()).await;
        assert!(all.is_ok());
        assert_eq!(free(&budget), LEAST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_asked_ahead_exceeds_the_budget_only_when_it_is_its_turn() {
        let budget = MemoryBudget::new(0);
        let (full, ahead) = (budget.room(), budget.room_ahead());
        assert!(grows(&full, LEAST).await);
        assert!(!grows(&ahead, MIB).await);
        ahead.hurry();
        assert!(grows(&ahead, MIB).await);
        // Within the budget again, it lets another exceed it.
        ahead.shrink(0);
        assert!(grows(&budget.room(), MIB).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_resource_takes_is_expected_again_and_forgotten_slowly() {
        let budget = MemoryBudget::new(0);
        let name = Arc::from("thing");
        assert_eq!(budget.expected("thing"), MIB);
        budget.learn(&name, 80 * MIB);
        budget.learn(&name, MIB);
        assert_eq!(budget.expected("thing"), 70 * MIB);
        (0..100).for_each(|_| budget.learn(&name, MIB));
        assert_eq!(budget.expected("thing"), MIB);
        assert_eq!(budget.expected("other"), MIB);
    }
}
