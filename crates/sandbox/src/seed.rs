//! Values from a seed: the same seed, kind, id and salt always give the same value.

/// Mixes a seed, an id and a salt (splitmix64).
pub fn hash(seed: u64, id: i64, salt: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(id.cast_unsigned().wrapping_mul(0xbf58_476d_1ce4_e5b9))
        .wrapping_add(salt.wrapping_mul(0x94d0_49bb_1331_11eb));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of values for one record.
pub struct Dice {
    seed: u64,
    id: i64,
    salt: u64,
}

impl Dice {
    /// The stream of a record; `salt` distinguishes kinds and revisions.
    pub fn new(seed: u64, id: i64, salt: u64) -> Self {
        Self { seed, id, salt: salt << 16 }
    }

    /// The next value below `end`, which is at least 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.salt += 1;
        hash(self.seed, self.id, self.salt) % end
    }

    /// True this many times in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        let end = u64::try_from(of.len()).expect("a length fits");
        of[usize::try_from(self.below(end)).expect("an index fits")]
    }
}
