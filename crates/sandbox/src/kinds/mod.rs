//! Resources whose records depend on each other and are made by code: the documents and search rows of each, by name.

mod ruled;
pub mod list;
pub mod order;
pub mod sales_order;
pub mod availability;
pub mod goods_out;
pub mod goods_in;
pub mod movement;
pub mod journal;
pub mod payment;

pub use ruled::RuledResource;

pub use crate::record::{Cell, Column, Record, World};

use jiff::tz::TimeZone;

use crate::record::IdSpans;
use crate::rules::{Ids, Ledger, Part, Trade};
use crate::settings::Settings;

/// The account around records, with these ids.
pub fn world(settings: &Settings, zone: TimeZone, spans: IdSpans, start: i64) -> World {
    let greatest = |name: &str| spans.get(name).map_or(0, |span| span.greatest);
    World {
        seed: settings.seed,
        zone,
        orders: greatest("order"),
        products: greatest("product"),
        contacts: greatest("contact"),
        trade: trade(settings, &spans, start),
        spans,
        dated_movements: settings.dated_movements,
        text_bytes: settings.text_bytes,
    }
}

/// The business of an account, before its products are known.
fn trade(settings: &Settings, spans: &IdSpans, start: i64) -> Trade {
    let ids = Part::ALL.map(|part| {
        let (salt, greatest) = spans.get(part.name()).map_or((0, 0), |span| (span.salt, span.greatest));
        Ids::new(settings.seed, salt, greatest)
    });
    Trade {
        seed: settings.seed,
        start,
        history: i64::from(settings.history) * 24 * 3600,
        ids,
        contacts: spans.get("contact").map_or(0, |span| span.greatest),
        products: Vec::new(),
        negative_credits: settings.negative_credits,
        stock: Vec::new(),
        ledger: Ledger::default(),
    }
}

/// Sections that are there only when asked for.
#[derive(Clone, Copy, Debug)]
pub struct With {
    pub custom_fields: bool,
    pub null_custom_fields: bool,
    pub locations: bool,
    pub on_order: bool,
    pub allocated_orders: bool,
    pub allocated_transfers: bool,
}

impl With {
    /// The sections asked for; none means every one.
    pub fn of(sections: Option<&[&str]>) -> Self {
        let asked = |name: &str| sections.is_none_or(|asked| asked.contains(&name));
        Self {
            custom_fields: asked("customFields"),
            null_custom_fields: asked("nullCustomFields"),
            locations: asked("breakDownByLocation"),
            on_order: asked("onOrder"),
            allocated_orders: asked("allocatedOrders"),
            allocated_transfers: asked("allocatedTransfers"),
        }
    }
}
