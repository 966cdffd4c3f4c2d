//! A resource that is made by code, as a fixture without templates shows it.

use super::{
    Cell, Column, Record, With, World, availability, goods_in, goods_out, journal, movement, order, payment,
    sales_order,
};

/// A resource whose records are made by code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuledResource {
    Order,
    ProductAvailability,
    GoodsOutNote,
    GoodsInNote,
    GoodsMovement,
    Journal,
    CustomerPayment,
    SupplierPayment,
    SalesOrder,
}

impl RuledResource {
    /// The resource of this name.
    pub fn find(name: &str) -> Option<Self> {
        const ALL: [(&str, RuledResource); 10] = [
            ("order", RuledResource::Order),
            ("product_availability", RuledResource::ProductAvailability),
            ("goods_out_note", RuledResource::GoodsOutNote),
            ("goods_in_note", RuledResource::GoodsInNote),
            // The rows of the search of notes, as a resource of their own.
            ("goods_in_batch", RuledResource::GoodsInNote),
            ("goods_movement", RuledResource::GoodsMovement),
            ("journal", RuledResource::Journal),
            ("customer_payment", RuledResource::CustomerPayment),
            ("supplier_payment", RuledResource::SupplierPayment),
            ("sales_order", RuledResource::SalesOrder),
        ];
        ALL.iter().find(|(known, _)| *known == name).map(|(_, made)| *made)
    }

    /// The document of a record, as its GET shows it; nothing where only a search shows it. Without sections all are shown.
    pub fn document(self, world: &World, record: &Record, sections: Option<&[&str]>, out: &mut String) {
        let with = With::of(sections);
        match self {
            Self::Order => order::document(world, record, with, out),
            Self::ProductAvailability => availability::document(world, record, with, out),
            Self::GoodsOutNote => goods_out::document(world, record, out),
            Self::GoodsInNote => goods_in::document(world, record, out),
            Self::Journal => journal::document(world, record, out),
            Self::SalesOrder => sales_order::document(world, record, out),
            Self::GoodsMovement | Self::CustomerPayment | Self::SupplierPayment => {}
        }
    }

    /// The columns of its search; none where it has no search.
    pub fn columns(self) -> &'static [Column<'static>] {
        match self {
            Self::Order => order::COLUMNS,
            Self::GoodsOutNote => goods_out::COLUMNS,
            Self::GoodsInNote => goods_in::COLUMNS,
            Self::GoodsMovement => movement::COLUMNS,
            Self::Journal => journal::COLUMNS,
            Self::CustomerPayment => payment::CUSTOMER_COLUMNS,
            Self::SupplierPayment => payment::SUPPLIER_COLUMNS,
            Self::SalesOrder => sales_order::COLUMNS,
            Self::ProductAvailability => &[],
        }
    }

    /// The search rows of a record: one, or one a line of a journal, one a product and place of a goods-in note.
    pub fn rows(self, world: &World, record: &Record) -> Vec<Vec<Cell>> {
        match self {
            Self::Order => vec![order::row(world, record)],
            Self::GoodsOutNote => vec![goods_out::row(world, record)],
            Self::GoodsInNote => goods_in::rows(world, record),
            Self::GoodsMovement => vec![movement::row(world, record)],
            Self::Journal => journal::rows(world, record),
            Self::CustomerPayment => vec![payment::customer_row(world, record)],
            Self::SupplierPayment => vec![payment::supplier_row(world, record)],
            Self::SalesOrder => vec![sales_order::row(world, record)],
            Self::ProductAvailability => Vec::new(),
        }
    }

    /// Whether it has a document for a record of its owner.
    pub fn shows(self, world: &World, record: &Record) -> bool {
        self != Self::SalesOrder || sales_order::is_there(world, record)
    }

    /// How many search rows a record has.
    pub fn row_count(self, world: &World, record: &Record) -> usize {
        match self {
            Self::Journal => journal::lines(world, record),
            Self::GoodsInNote => goods_in::lines(world, record),
            _ => 1,
        }
    }

    /// Whether a record may have several search rows, so that its id repeats.
    pub fn repeats(self) -> bool {
        matches!(self, Self::Journal | Self::GoodsInNote)
    }

    /// The cell of a column, where the record's dates alone tell it.
    pub fn dated(self, world: &World, column: &str, record: &Record) -> Option<Cell> {
        match column {
            "createdOn" | "createdDate" | "journalDateEntered" => Some(Cell::Time(record.created)),
            "updatedOn" if self == Self::GoodsMovement => Some(movement::updated(world, record)),
            "updatedOn" => Some(record.updated.map_or(Cell::Null, Cell::Time)),
            _ => None,
        }
    }

    /// The name that reference data give an id.
    pub fn reference_name(self, name: &str, id: i64) -> Option<&'static str> {
        order::reference(name, id)
    }

    /// The records that change without a date when a record of this resource comes: the order that it names, and the note
    /// that a movement names.
    pub fn touches(self, world: &World, record: &Record) -> Vec<(&'static str, i64)> {
        let mut touched = Vec::new();
        let place = self.columns().iter().position(|column| matches!(column.name, "orderId" | "purchaseOrderId"));
        if let Some(place) = place
            && let Some(Cell::Int(order)) = self.rows(world, record).first().and_then(|row| row.get(place))
            && *order > 0
        {
            touched.push(("order", *order));
        }
        if self == Self::GoodsMovement {
            touched.extend(movement::received_by(world, record.id).map(|note| ("goods_in_note", note)));
        }
        touched
    }
}
