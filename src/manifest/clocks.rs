//! Our clock beside the source's: the part of a resource's state that lets each clock be compared with itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Stamps by the clock of the machine that ran; those of [`State`](crate::manifest::State) are the source's.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ClockStamps {
    /// Our clock at the start of the last completed scan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// Our clock at the start of the last scan that read everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reloaded_at: Option<Timestamp>,
    /// Our clock when the ids were last compared with the source's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconciled_at: Option<Timestamp>,
    /// Our clock when open records were last read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_reread_at: Option<Timestamp>,
    /// The clocks at the start of the unfinished scan; its watermark is made of them when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<ScanStart>,
}

/// The start of an unfinished scan.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ScanStart {
    /// Our clock.
    pub ours: Timestamp,
    /// The earlier of the source's clock and ours.
    pub earliest: Timestamp,
}

impl ClockStamps {
    /// Whether nothing is known, as in manifests of earlier versions.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
