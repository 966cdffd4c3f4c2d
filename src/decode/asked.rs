//! The parts of a request that columns take: the id that was asked for, and the label of its GET.

/// What a request states of its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The one id that was asked for; none where there were several.
    pub(super) id: Option<String>,
    pub(super) label: Option<String>,
}

impl Asked {
    /// A request for one id, or by a GET that has a label.
    pub fn new(id: Option<i64>, label: Option<&str>) -> Self {
        Self { id: id.map(|id| id.to_string()), label: label.map(str::to_owned) }
    }
}
