//! Search columns and rows of a resource, whether it is a kind or a fixture.

use crate::fixture::Fixture;
use crate::kinds::{self, Cell, Column, Kind, Record, World, order};
use crate::settings::Settings;

/// A resource as searches show it.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    Kind(Kind),
    Fixture(&'a Fixture),
}

impl<'a> Shown<'a> {
    /// The columns of its search, and the place of the one with the record's id.
    pub fn columns(self) -> Option<(Vec<Column<'a>>, usize)> {
        match self {
            Self::Kind(kind) => kinds::search(kind).map(|(columns, id)| (columns.to_vec(), id)),
            Self::Fixture(fixture) => fixture.columns(),
        }
    }

    /// The search rows of a record.
    pub fn rows(self, world: &World, record: &Record) -> Vec<Vec<Cell>> {
        match self {
            Self::Kind(kind) => kinds::rows(kind, world, record),
            Self::Fixture(fixture) => fixture.rows(world, record),
        }
    }

    /// How many search rows a record has.
    pub fn row_count(self, world: &World, record: &Record) -> usize {
        match self {
            Self::Kind(kind) => kinds::row_count(kind, world, record),
            Self::Fixture(fixture) => fixture.row_count(world, record),
        }
    }

    /// Whether a record may have several search rows, so that its id repeats.
    pub fn repeats(self) -> bool {
        match self {
            Self::Kind(kind) => kinds::repeats(kind),
            Self::Fixture(fixture) => fixture.search.as_ref().is_some_and(|search| search.each.is_some()),
        }
    }

    /// The cell of a column, where it is known without the row.
    pub fn cell(self, world: &World, column: &str, record: &Record) -> Option<Cell> {
        match self {
            Self::Kind(kind) => kinds::dated(kind, world, column, record),
            Self::Fixture(fixture) => fixture.cell(world, column, record),
        }
    }

    /// The name that reference data give an id.
    pub fn reference(self, name: &str, id: i64) -> String {
        let text = match self {
            Self::Kind(_) => order::reference(name, id),
            Self::Fixture(fixture) => fixture.reference_name(name, id),
        };
        text.map_or_else(|| format!("{name} {id}"), str::to_owned)
    }

    /// The number of rows that the search states whatever it finds.
    pub fn claims(self, settings: &Settings) -> Option<usize> {
        match self {
            _ if !settings.supplier_payment_lies => None,
            Self::Kind(kind) => (kind == Kind::SupplierPayment).then_some(500),
            Self::Fixture(fixture) => fixture.search.as_ref()?.claims,
        }
    }

    /// Whether the search ignores the filters of a column.
    pub fn ignores(self, settings: &Settings, column: &str) -> bool {
        settings.supplier_payment_lies
            && match self {
                Self::Kind(kind) => kind == Kind::SupplierPayment && column == "paymentId",
                Self::Fixture(fixture) => {
                    let ignored = fixture.search.iter().flat_map(|search| &search.ignores);
                    ignored.into_iter().any(|ignored| ignored == column)
                }
            }
    }
}
