//! pearlift copies a Brightpearl account into Parquet files, incrementally and completely.
//!
//! The modules are listed in the order of the data flow, and the order is law: a module uses only modules listed above
//! it (`tests/it/layers.rs` checks it).
//!
//! ```text
//!  flags, env, file ─▶ config ──┐
//!  schemas/*.toml  ─▶ schema ───┼─▶ plan ─▶ fetch ─▶ decode ─▶ write ─┐
//!  last manifest   ─▶ manifest ─┘   jobs    pages    batches   files   │
//!                         ▲                                            ▼
//!                         └────────────── commit (one conditional put)─┘
//!                  every stage ─▶ event ─▶ report (bars, summary, JSON, metrics, hints)
//! ```

pub mod secret;
pub mod window;
pub mod quantity;
pub mod tls;
pub mod failure;
pub mod disk;
pub mod event;
pub mod schema;
pub mod config;
pub mod store;
pub mod manifest;
pub mod plan;
pub mod fetch;
pub mod login;
pub mod decode;
pub mod write;
pub mod delta;
pub mod verify;
pub mod history;
pub mod clean;
pub mod forget;
pub mod run;
pub mod forecast;
pub mod report;
pub mod sql;
pub mod page;
pub mod cli;

/// The simulated account that `demo`, `sandbox` and the tests run against.
pub use pearlift_sandbox as sandbox;
