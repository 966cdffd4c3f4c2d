//! Resources whose records depend on each other and are made by code: the documents and search rows of each, by name.

mod made;
pub mod list;
pub mod order;
pub mod availability;
pub mod goods_out;
pub mod goods_in;
pub mod movement;
pub mod journal;
pub mod payment;

pub use made::Made;

pub use crate::record::{Cell, Column, Record, World};

/// Sections that are there only when asked for.
#[derive(Clone, Copy, Debug)]
pub struct With {
    pub custom_fields: bool,
    pub null_custom_fields: bool,
    pub locations: bool,
}

impl With {
    /// The sections asked for; none means every one.
    pub fn of(sections: Option<&[&str]>) -> Self {
        let asked = |name: &str| sections.is_none_or(|asked| asked.contains(&name));
        Self {
            custom_fields: asked("customFields"),
            null_custom_fields: asked("nullCustomFields"),
            locations: asked("breakDownByLocation"),
        }
    }
}
