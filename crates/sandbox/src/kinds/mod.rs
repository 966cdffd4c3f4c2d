//! What the account holds, kind by kind: each record's document and its search rows, from a seed.

mod kind;
pub mod list;
pub mod order;
pub mod product;
pub mod price;
pub mod availability;
pub mod contact;
pub mod goods_out;
pub mod goods_in;
pub mod movement;
pub mod journal;
pub mod payment;

use jiff::tz::TimeZone;

pub use kind::Kind;

use crate::fixture::IdSpans;
use crate::rules::Trade;

/// The numbers from which a record is made.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    pub id: i64,
    /// Seconds since 1970.
    pub created: i64,
    /// None until the first edit.
    pub updated: Option<i64>,
    /// Grows with every edit: other content.
    pub revision: u32,
    /// Grows with every silent change: other content, no date moves.
    pub touches: u32,
}

/// The account around a record: the ids that others bear lie within these (1 to the number).
#[derive(Clone, Debug)]
pub struct World {
    pub seed: u64,
    pub zone: TimeZone,
    pub orders: i64,
    pub products: i64,
    pub contacts: i64,
    /// The ids of every resource, by name.
    pub spans: IdSpans,
    /// The account's clock when it began to serve, in seconds since 1970.
    pub start: i64,
    /// The rules that tie records to each other.
    pub trade: Trade,
    pub dated_movements: bool,
    /// Bytes that the description of each product is filled up to.
    pub text_bytes: usize,
}

/// Sections that are there only when asked for.
#[derive(Clone, Copy, Debug)]
pub struct With {
    pub custom_fields: bool,
    pub null_custom_fields: bool,
    pub postal_addresses: bool,
    pub locations: bool,
}

/// A cell of a search row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Int(i64),
    Bool(bool),
    Text(String),
    /// Seconds since 1970.
    Time(i64),
    /// Another value, as JSON text.
    Json(String),
}

/// A column of a search.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    pub name: &'a str,
    /// IDSET, INTEGER, STRING, SEARCH_STRING, BOOLEAN, PERIOD.
    pub kind: &'a str,
    pub sortable: bool,
    pub filterable: bool,
    /// The name of its reference data.
    pub reference: Option<&'a str>,
}

impl<'a> Column<'a> {
    /// A column that can be sorted and filtered by.
    pub const fn of(name: &'a str, kind: &'a str) -> Self {
        Self { name, kind, sortable: true, filterable: true, reference: None }
    }

    /// A column that can be filtered by, and sorted by or not.
    pub const fn sorts(name: &'a str, kind: &'a str, sortable: bool) -> Self {
        Self { sortable, ..Self::of(name, kind) }
    }
}

impl With {
    /// Every section.
    pub const ALL: Self =
        Self { custom_fields: true, null_custom_fields: true, postal_addresses: true, locations: true };

    /// The sections of an `includeOptional` parameter.
    pub fn parse(text: &str) -> Self {
        let asked = |name: &str| text.split(',').any(|part| part == name);
        Self {
            custom_fields: asked("customFields"),
            null_custom_fields: asked("nullCustomFields"),
            postal_addresses: asked("postalAddresses"),
            locations: asked("breakDownByLocation"),
        }
    }
}

/// The document of a record, as its GET shows it; without the key where the source keeps it in a map.
pub fn document(kind: Kind, world: &World, record: &Record, with: With, out: &mut String) {
    match kind {
        Kind::Order => order::document(world, record, with, out),
        Kind::Product => product::document(world, record, with, out),
        Kind::Contact => contact::document(world, record, with, out),
        Kind::GoodsOutNote => goods_out::document(world, record, out),
        Kind::GoodsInNote => goods_in::document(world, record, out),
        Kind::Journal => journal::document(world, record, out),
        Kind::PriceList => list::entry(list::List::PriceList, world, record, out),
        Kind::OrderStatus => list::entry(list::List::OrderStatus, world, record, out),
        Kind::OrderType => list::entry(list::List::OrderType, world, record, out),
        Kind::Warehouse => list::entry(list::List::Warehouse, world, record, out),
        Kind::Channel => list::entry(list::List::Channel, world, record, out),
        Kind::Brand => list::entry(list::List::Brand, world, record, out),
        Kind::TaxCode => list::entry(list::List::TaxCode, world, record, out),
        Kind::NominalCode => list::nominal_document(world, record, out),
        Kind::CustomerPayment | Kind::SupplierPayment | Kind::GoodsMovement | Kind::Currency => {
            row_document(kind, world, record, out);
        }
    }
}

/// A search row as an object: column to value.
fn row_document(kind: Kind, world: &World, record: &Record, out: &mut String) {
    out.push('{');
    let (columns, _) = search(kind).unwrap_or_default();
    for (place, (column, cell)) in columns.iter().zip(rows(kind, world, record).into_iter().flatten()).enumerate() {
        if place > 0 {
            out.push(',');
        }
        crate::text::string(out, column.name);
        out.push(':');
        cell.write(world, out);
    }
    out.push('}');
}

/// The columns of a kind's search, and which of them holds the record's id: by it rows are in order when no other order is
/// asked for.
pub fn search(kind: Kind) -> Option<(&'static [Column<'static>], usize)> {
    let columns = match kind {
        Kind::Order => order::COLUMNS,
        Kind::Product => product::COLUMNS,
        Kind::Contact => contact::COLUMNS,
        Kind::GoodsOutNote => goods_out::COLUMNS,
        Kind::GoodsInNote => goods_in::COLUMNS,
        Kind::GoodsMovement => movement::COLUMNS,
        Kind::Journal => journal::COLUMNS,
        Kind::CustomerPayment => payment::CUSTOMER_COLUMNS,
        Kind::SupplierPayment => payment::SUPPLIER_COLUMNS,
        Kind::NominalCode => list::NOMINAL_COLUMNS,
        Kind::Currency => list::CURRENCY_COLUMNS,
        Kind::PriceList
        | Kind::OrderStatus
        | Kind::OrderType
        | Kind::Warehouse
        | Kind::Channel
        | Kind::Brand
        | Kind::TaxCode => return None,
    };
    // The batch is the note; what was bought stands before it.
    let id = if kind == Kind::GoodsInNote { "batchId" } else { columns[0].name };
    columns.iter().position(|column| column.name == id).map(|place| (columns, place))
}

/// The search rows of a record: one, or one a line of a journal, one a product and place of a goods-in note.
pub fn rows(kind: Kind, world: &World, record: &Record) -> Vec<Vec<Cell>> {
    match kind {
        Kind::Order => vec![order::row(world, record)],
        Kind::Product => vec![product::row(world, record)],
        Kind::Contact => vec![contact::row(world, record)],
        Kind::GoodsOutNote => vec![goods_out::row(world, record)],
        Kind::GoodsInNote => goods_in::rows(world, record),
        Kind::GoodsMovement => vec![movement::row(world, record)],
        Kind::Journal => journal::rows(world, record),
        Kind::CustomerPayment => vec![payment::customer_row(world, record)],
        Kind::SupplierPayment => vec![payment::supplier_row(world, record)],
        Kind::NominalCode => vec![list::nominal_row(world, record)],
        Kind::Currency => vec![list::currency_row(world, record)],
        Kind::PriceList
        | Kind::OrderStatus
        | Kind::OrderType
        | Kind::Warehouse
        | Kind::Channel
        | Kind::Brand
        | Kind::TaxCode => Vec::new(),
    }
}

/// How many search rows a record has.
pub fn row_count(kind: Kind, world: &World, record: &Record) -> usize {
    match kind {
        Kind::Journal => journal::lines(world, record),
        Kind::GoodsInNote => goods_in::lines(world, record),
        _ => 1,
    }
}

/// Whether a record may have several search rows, so that its id repeats.
pub fn repeats(kind: Kind) -> bool {
    matches!(kind, Kind::Journal | Kind::GoodsInNote)
}

/// What a column of a kind's search shows, where the record's dates alone tell it.
pub fn dated(kind: Kind, world: &World, column: &str, record: &Record) -> Option<Cell> {
    match column {
        "createdOn" | "createdDate" | "journalDateEntered" => Some(Cell::Time(record.created)),
        "updatedOn" if kind == Kind::GoodsMovement => Some(movement::updated(world, record)),
        "updatedOn" => Some(record.updated.map_or(Cell::Null, Cell::Time)),
        _ => None,
    }
}

impl Cell {
    /// Writes the cell as JSON.
    pub fn write(&self, world: &World, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Text(text) => crate::text::string(out, text),
            Self::Json(json) => out.push_str(json),
            Self::Time(seconds) => {
                out.push('"');
                out.push_str(&crate::text::instant(&world.zone, *seconds));
                out.push('"');
            }
        }
    }
}
