//! The sets of ids that a scan requests: their largest size, the way they are cut, and their results so far.
//!
//! Shared by all requests of a scan. A smaller size that the source names is kept for seven days, in the state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};

use crate::fetch::{IdRanges, chunks, count, expand, render};
use crate::manifest::{Pieces, SetSize};

/// Halving may cost this many more requests, or a twentieth of all sets: one offender in a set of 200 costs sixteen,
/// and a small account has as many as a large one.
const EXTRA: u64 = 100;
/// The least size that a refusal lowers sets to: less would multiply the requests of a night.
const LEAST_IDS: u64 = 25;
/// Bytes of a set in a URL. Servers take lines of eight thousand bytes; two thousand are left to the rest.
const MOST_BYTES: u64 = 6_000;
/// MemoryReservation for a few ids of any length.
const LEAST_BYTES: u64 = 100;
/// So long a smaller size is kept.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Failing sets in a row that end the resource.
const MOST_FAILING: u32 = 3;
/// Sets of which both halves came after they were refused whole: this many show that the size was the reason.
const HALVED_IN_VAIN: u32 = 2;

/// The sets of a scan, as they came and failed so far. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct Sets(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ids: AtomicU64,
    bytes: AtomicU64,
    lowered: AtomicBool,
    /// Sets that came.
    came: AtomicU64,
    /// Sets that failed since one came.
    failing: AtomicU32,
    halved_in_vain: AtomicU32,
    /// Requests that halving may still cost.
    extra: AtomicU64,
}

impl Sets {
    /// The sets of a scan of this many, each as large as the source took them lately.
    pub fn new(planned: usize, known: &Pieces, now: Timestamp) -> Self {
        let size = known.sets.as_ref().filter(|size| size.until > now);
        let planned = u64::try_from(planned).unwrap_or(u64::MAX);
        Self(Arc::new(Shared {
            ids: AtomicU64::new(size.and_then(|size| size.ids).unwrap_or(u64::MAX)),
            bytes: AtomicU64::new(size.and_then(|size| size.bytes).unwrap_or(MOST_BYTES)),
            lowered: AtomicBool::new(false),
            came: AtomicU64::new(0),
            failing: AtomicU32::new(0),
            halved_in_vain: AtomicU32::new(0),
            extra: AtomicU64::new(EXTRA.max(planned / 20)),
        }))
    }

    /// The set in pieces that are no larger than may be, in order.
    pub fn cut(&self, set: &IdRanges) -> Vec<IdRanges> {
        let most = usize::try_from(self.0.ids.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let bytes = usize::try_from(self.0.bytes.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let by_count =
            if count(set) > u64::try_from(most).unwrap_or(u64::MAX) { chunks(set, most) } else { vec![set.clone()] };
        by_count.into_iter().flat_map(|set| shorter(set, bytes)).collect()
    }

    /// Lowers the number of ids of a set; whether a set of this many would become smaller.
    pub fn lower_ids(&self, to: u64, refused: u64) -> bool {
        let to = to.max(LEAST_IDS);
        if to >= refused {
            return false;
        }
        self.0.ids.fetch_min(to, Ordering::Relaxed);
        self.0.lowered.store(true, Ordering::Relaxed);
        true
    }

    /// Lowers the bytes of a set to half of the refused length; whether it would become shorter.
    pub fn lower_bytes(&self, refused: usize) -> bool {
        let refused = u64::try_from(refused).unwrap_or(u64::MAX);
        let to = (refused / 2).max(LEAST_BYTES);
        if to >= refused {
            return false;
        }
        self.0.bytes.fetch_min(to, Ordering::Relaxed);
        self.0.lowered.store(true, Ordering::Relaxed);
        true
    }

    /// Notes a smaller size in the state.
    pub fn remember(&self, pieces: &mut Pieces, now: Timestamp) {
        pieces.sets.take_if(|size| size.until <= now);
        if !self.0.lowered.swap(false, Ordering::Relaxed) {
            return;
        }
        let (ids, bytes) = (self.0.ids.load(Ordering::Relaxed), self.0.bytes.load(Ordering::Relaxed));
        let until = now.saturating_add(KEPT_FOR).unwrap_or(now);
        let (ids, bytes) = (Some(ids).filter(|ids| *ids < u64::MAX), Some(bytes).filter(|bytes| *bytes < MOST_BYTES));
        pieces.sets = Some(SetSize { ids, bytes, until });
    }

    /// A set came.
    pub fn came(&self) {
        self.0.came.fetch_add(1, Ordering::Relaxed);
        self.0.failing.store(0, Ordering::Relaxed);
    }

    /// Sets that came so far.
    pub fn count(&self) -> u64 {
        self.0.came.load(Ordering::Relaxed)
    }

    /// Whether the last set failed.
    pub fn is_failing(&self) -> bool {
        self.0.failing.load(Ordering::Relaxed) > 0
    }

    /// A set failed; whether this many failed in a row that no more are requested.
    pub fn failed(&self) -> bool {
        self.0.failing.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_FAILING
    }

    /// A set of this many ids was refused whole, and both its halves came; whether smaller sets follow.
    pub fn halved_in_vain(&self, ids: u64) -> bool {
        self.0.halved_in_vain.fetch_add(1, Ordering::Relaxed) + 1 >= HALVED_IN_VAIN && self.lower_ids(ids / 2, ids)
    }

    /// Takes this many requests from those that halving may cost; `false` when too few are left.
    pub fn spend(&self, requests: u64) -> bool {
        let spent = self.0.extra.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(requests));
        spent.is_ok()
    }
}

/// A set in pieces that take no more bytes than these, in order; one id is no longer cut.
fn shorter(set: IdRanges, bytes: usize) -> Vec<IdRanges> {
    if render(&set).len() <= bytes || count(&set) < 2 {
        return vec![set];
    }
    let half = usize::try_from(count(&set).div_ceil(2)).unwrap_or(usize::MAX);
    chunks(&set, half).into_iter().flat_map(|half| shorter(half, bytes)).collect()
}

/// The two halves of a set, or `None` when it holds one id.
pub fn halves(set: &IdRanges) -> Option<[IdRanges; 2]> {
    let ids = expand(set).count();
    <[IdRanges; 2]>::try_from(chunks(set, ids.div_ceil(2))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets() -> Sets {
        Sets::new(1, &Pieces::default(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_set_is_cut_by_the_bytes_that_its_ids_take_in_the_url() {
        let long: IdRanges =
            (0..200).map(|n| (9_000_000_000_000_000_000 + 2 * n, 9_000_000_000_000_000_000 + 2 * n)).collect();
        let (sets, none) = (sets(), sets().cut(&vec![(1, 200)]));
        assert_eq!(none, [vec![(1, 200)]]);
        assert_eq!(sets.cut(&long).iter().map(|set| render(set).len()).collect::<Vec<_>>(), [3999]);
        assert!(sets.lower_bytes(3999));
        let cut = sets.cut(&long);
        assert!(cut.iter().all(|set| render(set).len() <= 1999), "{cut:?}");
        assert_eq!(cut.concat(), long);
    }

    #[test]
    fn a_smaller_size_is_at_least_25_and_is_kept_for_seven_days() {
        let now = Timestamp::UNIX_EPOCH;
        let (sets, mut pieces) = (sets(), Pieces::default());
        sets.remember(&mut pieces, now);
        assert!(pieces.is_empty());
        assert!(!sets.lower_ids(10, 20), "a set of 20 gets no smaller");
        assert!(sets.lower_ids(10, 200));
        sets.remember(&mut pieces, now);
        let six = now + SignedDuration::from_hours(6 * 24);
        assert_eq!(Sets::new(1, &pieces, six).cut(&vec![(1, 60)]), [vec![(1, 25)], vec![(26, 50)], vec![(51, 60)]]);
        let seven = now + SignedDuration::from_hours(7 * 24);
        assert_eq!(Sets::new(1, &pieces, seven).cut(&vec![(1, 60)]), [vec![(1, 60)]]);
        Sets::new(1, &pieces, seven).remember(&mut pieces, seven);
        assert!(pieces.is_empty());
    }

    #[test]
    fn two_sets_of_which_both_halves_come_make_sets_smaller_and_one_does_not() {
        let sets = sets();
        assert!(!sets.halved_in_vain(200));
        assert_eq!(sets.cut(&vec![(1, 200)]).len(), 1);
        assert!(sets.halved_in_vain(200));
        assert_eq!(sets.cut(&vec![(1, 200)]), [vec![(1, 100)], vec![(101, 200)]]);
    }

    #[test]
    fn halves_hold_every_id_once() {
        assert_eq!(halves(&vec![(5, 5)]), None);
        assert_eq!(halves(&vec![(5, 6)]), Some([vec![(5, 5)], vec![(6, 6)]]));
        assert_eq!(halves(&vec![(1, 3), (9, 10)]), Some([vec![(1, 3)], vec![(9, 10)]]));
    }
    #[test]
    fn halving_may_cost_a_hundred_requests_in_a_small_account_and_a_twentieth_in_a_large_one() {
        for (planned, most) in [(1, 100), (2_000, 100), (10_000, 500)] {
            let sets = Sets::new(planned, &Pieces::default(), Timestamp::UNIX_EPOCH);
            assert!(sets.spend(most) && !sets.spend(1), "{planned}");
        }
    }
}
