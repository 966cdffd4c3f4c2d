//! The scans of a resource: by ids, by the rows of a search, by a list; their ids, their deletions and their counts.
//!
//! Takes a resource session and a step, commits the fetched rows. `run` makes the scans, `forecast` counts the same
//! ones.

pub(crate) mod absent_ids;
pub(crate) mod absent_owners;
pub(crate) mod change_points;
pub(crate) mod changes;
pub(crate) mod completeness;
pub(crate) mod count_search;
pub(crate) mod deferred_sets;
pub(crate) mod deletion_proof;
pub(crate) mod deletion_decision;
pub(crate) mod difference;
pub(crate) mod documents;
pub(crate) mod first_day;
pub(crate) mod held_ids;
pub(crate) mod id_scan;
pub(crate) mod id_sets;
pub(crate) mod id_source;
pub(crate) mod lacking_columns;
pub(crate) mod list_pages;
pub(crate) mod list_scan;
pub(crate) mod missing_rows;
pub(crate) mod narrow_search;
pub(crate) mod newest_ids;
pub(crate) mod partition_counts;
pub(crate) mod planned_scan;
pub(crate) mod purpose;
pub(crate) mod refusal;
pub(crate) mod requested_ids;
pub(crate) mod reread;
pub(crate) mod row_groups;
pub(crate) mod search_scan;
pub(crate) mod shrinkage;
pub(crate) mod snapshot;
pub(crate) mod source_count;
pub(crate) mod stale_documents;
pub(crate) mod stale_requests;
pub(crate) mod styles;
pub(crate) mod vanished_records;
pub(crate) mod withheld_ids;
