//! The history: rows about runs and about the resources of each run, in Parquet below `_pearlift/history/`, for questions
//! in SQL.
//!
//! Takes the report of a run, gives two small files; joins small files; reads the newest rows. No table needs the
//! history: files that cannot be read, or that pearlift did not name, are left as they are.

mod columns;
mod rows;
mod files;
mod append;
mod recent;
mod join;
mod erase;

pub use append::append;
pub use columns::{HistoryColumn, HistoryTable};
pub use erase::erase_texts;
pub use files::{HistoryFile, history_files};
pub use join::{HistoryJoins, is_due, join_history};
pub use recent::{recent_runs, visit_since};
pub use rows::HistoryRow;
