//! Settings with one of a few words as their value.

use crate::schema::{Granularity, PartitionChoice};

/// How we are known to the source (docs/brightpearl-api.md §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthKind {
    StaffToken,
    AccountToken,
    Oauth,
}

/// How the quota of a period is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Evenly over the period, so that the shop's own apps always find room.
    Even,
    /// At once, then wait for the next.
    Burst,
}

/// How the values of data files are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encodings {
    /// Plain and dictionary: every engine reads them.
    #[default]
    Common,
    /// Also differences (DELTA_BINARY_PACKED): smaller, and not for every engine.
    Compact,
}

/// The treatment of the rows of deleted records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletes {
    /// They leave the tables and are kept as deleted rows, with the time at which they were found deleted.
    Move,
    /// They stay in the tables, with when they were found gone.
    Mark,
    /// They leave the tables and are not kept.
    Drop,
}

/// How readers find the files of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DestinationLayout {
    /// By a glob: superseded files are deleted as soon as a commit is published.
    #[default]
    Parquet,
    /// By the Delta log of the table: superseded files stay for the retention.
    Delta,
}

impl DestinationLayout {
    /// The word of the settings.
    pub fn word(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Delta => "delta",
        }
    }
}

/// How a bucket's service encrypts objects at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketEncryption {
    /// With keys of the service (SSE-S3).
    Managed,
    /// With a key of the key management service (SSE-KMS).
    Kms,
    /// Twice, with such a key (DSSE-KMS).
    DoubleKms,
}

impl BucketEncryption {
    /// Whether it is done with a key that may be named.
    pub(super) fn has_key(self) -> bool {
        match self {
            Self::Managed => false,
            Self::Kms | Self::DoubleKms => true,
        }
    }
}

/// The treatment of columns that are marked personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// They hold their values.
    None,
    /// They hold keyed hashes of their values.
    Gdpr,
}

/// The results of runs that the webhook gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// Those with an exit code other than 0.
    Failure,
    /// Those with exit code 0.
    Success,
    Always,
}

/// A choice with its words.
pub trait Choice: Sized + Copy + 'static {
    /// The words, in the order of [`Choice::ALL`].
    const NAMES: &'static [&'static str];
    /// The choices.
    const ALL: &'static [Self];

    /// The choice that a word names.
    fn named(word: &str) -> Option<Self> {
        let place = Self::NAMES.iter().position(|name| *name == word)?;
        Self::ALL.get(place).copied()
    }
}

impl Choice for AuthKind {
    const NAMES: &'static [&'static str] = &["staff-token", "account-token", "oauth"];
    const ALL: &'static [Self] = &[Self::StaffToken, Self::AccountToken, Self::Oauth];
}

impl Choice for Pace {
    const NAMES: &'static [&'static str] = &["even", "burst"];
    const ALL: &'static [Self] = &[Self::Even, Self::Burst];
}

impl Choice for Encodings {
    const NAMES: &'static [&'static str] = &["common", "compact"];
    const ALL: &'static [Self] = &[Self::Common, Self::Compact];
}

impl Choice for Deletes {
    const NAMES: &'static [&'static str] = &["move", "mark", "drop"];
    const ALL: &'static [Self] = &[Self::Move, Self::Mark, Self::Drop];
}

impl Choice for BucketEncryption {
    const NAMES: &'static [&'static str] = &["AES256", "aws:kms", "aws:kms:dsse"];
    const ALL: &'static [Self] = &[Self::Managed, Self::Kms, Self::DoubleKms];
}

impl Choice for DestinationLayout {
    const NAMES: &'static [&'static str] = &["parquet", "delta"];
    const ALL: &'static [Self] = &[Self::Parquet, Self::Delta];
}

impl Choice for PartitionChoice {
    const NAMES: &'static [&'static str] = &["auto", "month", "quarter", "year", "none"];
    const ALL: &'static [Self] = &[
        Self::Auto,
        Self::Fixed(Granularity::Month),
        Self::Fixed(Granularity::Quarter),
        Self::Fixed(Granularity::Year),
        Self::Fixed(Granularity::Undivided),
    ];
}

impl Choice for Notify {
    const NAMES: &'static [&'static str] = &["failure", "success", "always"];
    const ALL: &'static [Self] = &[Self::Failure, Self::Success, Self::Always];
}

impl Choice for Profile {
    const NAMES: &'static [&'static str] = &["none", "gdpr"];
    const ALL: &'static [Self] = &[Self::None, Self::Gdpr];
}
