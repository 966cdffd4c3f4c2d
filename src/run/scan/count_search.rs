//! The search by which a resource is counted, and the filter of records created from a day on.

use jiff::Timestamp;

use crate::fetch::{Filter, Query};
use crate::run::scan::id_source::IdSource;
use crate::schema::{IdSearch, ReadStyle, Resource, Type};
use crate::window::Window;

/// The search of a resource by which it is counted.
#[derive(Clone, Debug)]
pub struct CountSearch {
    pub search: IdSearch,
    /// Its date of creation.
    pub created: Option<String>,
}

impl CountSearch {
    /// The search of a resource; none where it has none, or its ids are no numbers.
    pub fn of(resource: &Resource) -> Option<Self> {
        if resource.read.key_type != Type::Int64 {
            return None;
        }
        match &resource.read.style {
            ReadStyle::IdSets { changes: Some(changes), .. } => {
                Some(Self { search: changes.search.clone(), created: Some(changes.created().to_owned()) })
            }
            ReadStyle::Search(search) => {
                let (name, row, filters) = (search.search.clone(), search.row.clone(), search.filters.clone());
                let count_is_wrong = resource.read.count.is_wrong;
                let id = IdSearch { search: name, id: row.clone(), row, repeats: false, count_is_wrong, filters };
                Some(Self { search: id, created: search.since.first().cloned() })
            }
            ReadStyle::IdSets { changes: None, .. } | ReadStyle::List { .. } | ReadStyle::PerOwner { .. } => None,
        }
    }

    /// The columns beside the ids.
    pub fn stamps(&self) -> Vec<String> {
        self.created.iter().cloned().collect()
    }

    /// The search as it is requested: of all records, or of those created from `start` on.
    pub fn query(&self, id_source: &IdSource<'_>, resource: &Resource, start: Option<Timestamp>) -> Query {
        let filter = created_since(self.created.as_ref(), start);
        let by = self.created.clone();
        let query = id_source.query(&resource.read.service, &self.search, &self.stamps(), filter);
        Query { by, ..query }
    }
}

/// The filter of records created from then on; none without a date of creation, or a day.
pub fn created_since(created: Option<&String>, start: Option<Timestamp>) -> Option<Filter> {
    let window = Window::since(start?);
    Some(Filter::Period { column: created?.clone(), window })
}
