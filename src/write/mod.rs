//! From decoded pages to Parquet files: pages gather in a spool on local disk, a commit merges the spool with the live
//! files, and only partitions and tables with changed rows are rewritten.
//!
//! Takes pages and the live files, gives staged files and the names of the files they replace. Memory is bounded by
//! settings: the excess is on disk. Nothing here decides a commit; see `manifest`.

mod columns;
mod digest;
mod weight;
mod partition;
mod segment;
mod spool;
mod sorted;
mod form;
mod encode;
mod parquet;
mod thrift;
mod file_limits;
mod reader;
mod ranges;
mod lookup;
mod held_rows;
mod source;
mod ahead;
mod groups;
mod open;
mod output;
mod context;
mod changes;
mod incoming;
mod picked;
mod merge;
mod table;
mod older;
mod reappeared;
mod row_count;
mod deleted_files;
mod deleted_rows;
mod entries;
mod reshape;
mod expected_columns;
mod inspect;
mod table_bytes;
mod table_group;
mod stream;
mod cursor;
mod periods;
mod repartition;
mod compare;
mod compact;
mod rewrite;
mod statistics;
mod log_table;

pub use changes::{LostValues, RowChanges};
pub use compact::{Joined, Joining, Joint, join, joint, small_neighbours};
pub use compare::compare;
pub use context::WriteContext;
pub use deleted_rows::{DeletedFiles, DeletedRows, DeletedSelection, write_deleted_rows};
pub use digest::digest;
pub use expected_columns::Columns;
pub use form::Sizes;
pub use held_rows::{HeldColumns, HeldValues};
pub use inspect::{FileFault, Flaw, Footer, LocatedFile, footer};
pub use log_table::{is_packed_here, pack, unpack};
pub use lookup::{StoredRecord, StoredValue, held, held_after, held_between, held_by_file, held_ids, held_open, named};
pub use older::{Older, older_copies};
pub use partition::{day_number, number, segment};
pub use reappeared::{Reappeared, cancel_deletions};
pub use repartition::{Repartitioning, granularity, repartition_tables};
pub use reshape::{Reshaping, marked_tables, reshape_tables};
pub use rewrite::{Rewriting, Rewritten, RowEdit, rewrite_files, visit_rows};
pub use row_count::{CountedRows, count_rows};
pub use spool::{RecordSet, Spool, Spooled};
pub use statistics::statistics;
pub use table::{Marks, Replace, WriteRequest, Written, write_tables};
pub use table_bytes::{from_parquet, to_parquet};
pub use table_group::{ComparedTable, Group};
