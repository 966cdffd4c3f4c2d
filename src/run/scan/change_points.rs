//! The points from which a scan requests changes.
//!
//! Edits are requested from the watermark before the last, so that searches of two runs show each. Creations are
//! requested from the watermark where the greatest ids are compared each night too (`run::scan::newest_ids`): a search
//! for them is not the only evidence.

use jiff::Timestamp;

use crate::config::Limits;
use crate::fetch::Filter;
use crate::manifest::State;
use crate::run::scan::count_search::CountSearch;
use crate::schema::{ReadStyle, Resource};
use crate::window::Window;

/// One point for dates of edits, one for the date of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    pub edits: Timestamp,
    pub creations: Timestamp,
}

impl Since {
    /// The same point for every date.
    pub fn all(at: Timestamp) -> Self {
        Self { edits: at, creations: at }
    }

    /// The points of a resource's next scan, edits being asked from there on.
    pub fn of(resource: &Resource, state: &State, limits: &Limits, edits: Timestamp) -> Self {
        let compares = limits.compare_counts && CountSearch::of(resource).is_some();
        let creations = state.watermark.filter(|_| compares).map_or(edits, |watermark| watermark.max(edits));
        Self { edits, creations }
    }

    /// The point for one of a resource's dates.
    pub fn at(&self, resource: &Resource, column: &str) -> Timestamp {
        if creation(resource) == Some(column) { self.creations } else { self.edits }
    }

    /// The filter by one of a resource's dates.
    pub fn filter(&self, resource: &Resource, column: &str) -> Filter {
        Filter::Period { column: column.to_owned(), window: Window::since(self.at(resource, column)) }
    }
}

/// The date of creation of a resource's own search.
fn creation(resource: &Resource) -> Option<&str> {
    match &resource.read.style {
        ReadStyle::IdSets { changes: Some(changes), .. } => Some(changes.created()),
        ReadStyle::Search(search) if !search.newest => search.since.first().map(String::as_str),
        ReadStyle::IdSets { changes: None, .. }
        | ReadStyle::Search(_)
        | ReadStyle::List { .. }
        | ReadStyle::PerOwner { .. } => None,
    }
}
