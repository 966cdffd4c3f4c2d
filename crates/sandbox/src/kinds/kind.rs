//! The kinds of records, and where each is served.

use serde::{Deserialize, Serialize};

use crate::kinds::list::{self, List};

/// A kind of record. Prices and availability are views of a product.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Order,
    Product,
    Contact,
    GoodsOutNote,
    Journal,
    CustomerPayment,
    SupplierPayment,
    PriceList,
    OrderStatus,
    OrderType,
    Warehouse,
    Channel,
    Brand,
    TaxCode,
    NominalCode,
    Currency,
    GoodsInNote,
    GoodsMovement,
}

impl Kind {
    /// The kinds that are lists.
    pub const LISTS: [Self; 9] = [
        Self::PriceList,
        Self::OrderStatus,
        Self::OrderType,
        Self::Warehouse,
        Self::Channel,
        Self::Brand,
        Self::TaxCode,
        Self::NominalCode,
        Self::Currency,
    ];

    const ALL: [(Self, &'static str); 18] = [
        (Self::Order, "order"),
        (Self::Product, "product"),
        (Self::Contact, "contact"),
        (Self::GoodsOutNote, "goods_out_note"),
        (Self::Journal, "journal"),
        (Self::CustomerPayment, "customer_payment"),
        (Self::SupplierPayment, "supplier_payment"),
        (Self::PriceList, "price_list"),
        (Self::OrderStatus, "order_status"),
        (Self::OrderType, "order_type"),
        (Self::Warehouse, "warehouse"),
        (Self::Channel, "channel"),
        (Self::Brand, "brand"),
        (Self::TaxCode, "tax_code"),
        (Self::NominalCode, "nominal_code"),
        (Self::Currency, "currency"),
        (Self::GoodsInNote, "goods_in_note"),
        (Self::GoodsMovement, "goods_movement"),
    ];

    /// Its name as a resource.
    pub fn name(self) -> &'static str {
        let listed = Self::ALL.iter().find(|(kind, _)| *kind == self);
        listed.map(|(_, name)| *name).expect("every kind is listed")
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }

    /// Tells its values from those of other kinds.
    pub fn salt(self) -> u64 {
        let place = Self::ALL.iter().position(|(kind, _)| *kind == self).expect("every kind is listed");
        u64::try_from(place).expect("a place fits") * 1_000 + 7
    }

    /// Whether some ids were never used.
    pub fn has_gaps(self) -> bool {
        !Self::LISTS.contains(&self)
    }

    /// How many entries a list has.
    pub fn list_size(self) -> i64 {
        match self {
            Self::PriceList => list::size(List::PriceList),
            Self::OrderStatus => list::size(List::OrderStatus),
            Self::OrderType => list::size(List::OrderType),
            Self::Warehouse => list::size(List::Warehouse),
            Self::Channel => list::size(List::Channel),
            Self::Brand => list::size(List::Brand),
            Self::TaxCode => list::size(List::TaxCode),
            Self::NominalCode => list::NOMINAL_SIZE,
            Self::Currency => list::CURRENCY_SIZE,
            Self::Order
            | Self::Product
            | Self::Contact
            | Self::GoodsOutNote
            | Self::Journal
            | Self::CustomerPayment
            | Self::SupplierPayment
            | Self::GoodsInNote
            | Self::GoodsMovement => 0,
        }
    }
}
