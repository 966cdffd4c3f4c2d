//! The remote resources and our tables, as declared in `schemas/*.toml`.
//!
//! Takes TOML texts (built in, or a user's folder), gives a checked [`Catalog`]: everything true about the remote
//! tables, so that no other module names a resource, a table or a column. A wrong file is refused with its name and
//! line; other modules rely on the checks of the constructor.

mod file;
mod path;
mod meaning;
mod column;
mod naming;
mod definitions;
mod insertion;
mod lists;
mod partition;
mod resource;
mod held_ids;
mod held;
mod describe;
mod tables;
mod hash;
mod placed;
mod filters;
mod special;
mod check;
mod selection;
mod catalog;
mod proposal;

pub use catalog::Catalog;
pub use column::{Column, DELETED_AT, EXTRA, EXTRACTED_AT, RUN_ID, Type};
pub use definitions::FieldDefinitions;
pub use filters::ConstantFilter;
pub use held_ids::{HeldIds, RowCondition, Test};
pub use insertion::with_columns;
pub use lists::{ListGet, Pages};
pub use meaning::{Code, Confidence, DESCRIPTION, Meaning, ReferenceTarget, References};
pub use naming::{column_line, column_name};
pub use partition::{Granularity, Partition, PartitionBy, PartitionChoice};
pub use path::{Leaf, Origin, PathStep, Source};
pub use proposal::{DefinedField, Definer, NamedEntries};
pub use resource::{
    AlsoFrom, Changes, Count, Counted, IdSearch, Inventory, Naming, Newer, Open, Owners, Read, ReadStyle, Resource,
    RowSearch, Rows, Split, Table, file_schema, same_columns,
};
pub use selection::ColumnSelection;
