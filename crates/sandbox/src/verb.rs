//! Events: to a record, and to the account as a whole.

use serde::{Deserialize, Serialize};

/// Something that happens to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordEvent {
    Insert,
    Edit,
    Touch,
    Delete,
}

impl RecordEvent {
    /// The event of this name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "insert" => Some(Self::Insert),
            "edit" => Some(Self::Edit),
            "touch" => Some(Self::Touch),
            "delete" => Some(Self::Delete),
            _ => None,
        }
    }
}

/// Something that happens to the account.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// One to three new records, created now.
    Insert,
    /// Other content, dated now.
    Edit,
    /// The record that was edited last is edited once more, often within the same second.
    EditAgain,
    /// A new payment; the order that it names changes without a date.
    Pay,
    /// Goods that came in, as a note or as a movement; the order that it names changes without a date, and so does the
    /// goods-in note that a movement names.
    Receive,
    /// Other content and no date: nothing but a whole read finds it.
    Touch,
    /// Gone without a trace.
    Delete,
    /// The clock advances by half a second to two hours.
    Age,
    /// The clock goes back by up to ten minutes.
    StepBack,
}

impl Verb {
    /// The events that the nightly run and a comparison of ids find between them.
    pub const USUAL: [Self; 18] = [
        Self::Insert,
        Self::Insert,
        Self::Insert,
        Self::Edit,
        Self::Edit,
        Self::Edit,
        Self::Edit,
        Self::EditAgain,
        Self::EditAgain,
        Self::Pay,
        Self::Pay,
        Self::Receive,
        Self::Receive,
        Self::Delete,
        Self::Delete,
        Self::Age,
        Self::Age,
        Self::StepBack,
    ];

    /// The verb of this name, as the settings have it.
    pub fn parse(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }

    /// The event that it is to a record.
    pub(crate) fn event(self) -> Option<RecordEvent> {
        match self {
            Self::Insert => Some(RecordEvent::Insert),
            Self::Edit => Some(RecordEvent::Edit),
            Self::Touch => Some(RecordEvent::Touch),
            Self::Delete => Some(RecordEvent::Delete),
            Self::EditAgain | Self::Pay | Self::Receive | Self::Age | Self::StepBack => None,
        }
    }
}
