//! From the bytes of a page to Arrow record batches: pure, on the CPU, without a document tree.
//!
//! Takes a request and its answer, gives a [`Page`]: a batch of rows for each table, and the rejected values. Values
//! are read from their own digits and letters, never through a float. Refuses ([`Broken`](crate::fetch::Broken)) a body
//! that is no whole JSON answer, so that it is requested again; every other oddity becomes a rejected value, never an
//! error.

mod json;
mod sound;
mod envelope;
mod table_rows;
mod extra;
mod number;
mod moment;
mod guess;
mod rejected;
mod shape;
mod kinds;
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
pub use guess::Guess;
pub use kinds::{JsonKind, KindCounts};
pub use moment::{date_days, period_days, timestamp, timestamp_micros};
pub use number::decimal;
pub use page::{Page, answer, documents, rows, uris};
pub use rejected::{RejectedCounts, RejectedRecord, UnknownField};
pub use rest::Rest;
pub use search::{IdRow, IdRows, ids, meta_data, search_page};
pub use shape::Shape;
pub use table_rows::{DecodedRecord, TableRows};
