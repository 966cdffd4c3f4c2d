//! The parts of a request that columns take: the id that was requested, and the label of its GET.

/// The statements of a request about its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The one id that was requested; none where there were several.
    pub(super) id: Option<String>,
    pub(super) label: Option<String>,
}

impl Asked {
    /// A request for one id, or by a GET that has a label.
    pub fn new(id: Option<i64>, label: Option<&str>) -> Self {
        Self { id: id.map(|id| id.to_string()), label: label.map(str::to_owned) }
    }
}
