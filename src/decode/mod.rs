//! From the bytes of a page to Arrow record batches: pure, on the CPU, without a document tree.
//!
//! Takes what was asked and what came back, gives a [`Page`]: for each table a batch of rows, and what did not fit. Values
//! are read from their own digits and letters, never through a float. Refuses ([`Broken`](crate::fetch::Broken)) a body that is no whole JSON
//! answer, for it is asked again; everything else that is odd becomes a misfit, never an error.

mod json;
mod sound;
mod envelope;
mod table_rows;
mod extra;
mod number;
mod moment;
mod misfit;
mod shape;
mod builder;
mod growing;
mod asked;
mod twins;
mod record;
mod keys;
mod place;
mod pieces;
mod search;
mod page;
mod joined;
mod rest;

pub use asked::Asked;
pub use growing::REPEATED_ROW;
pub use misfit::{MisfitRecord, Misfits};
pub use moment::{date_days, month_days, timestamp, timestamp_micros};
pub use number::decimal;
pub use page::{Page, answer, documents, rows, uris};
pub use rest::Rest;
pub use search::{IdRow, IdRows, ids, meta_data, search_page};
pub use shape::Shape;
pub use table_rows::{Owner, TableRows};
