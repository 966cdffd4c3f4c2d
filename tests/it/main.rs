//! All integration tests in one binary.

#![allow(clippy::unwrap_used, reason = "a test that panics has found something")]

mod clean;
mod commit;
mod crash;
mod decode;
mod destination;
mod docs;
mod errors;
mod export;
mod faults;
mod kill;
mod layers;
mod oauth;
mod plan;
mod properties;
mod reading;
mod repair;
mod schemas;
mod signals;
mod steps;
mod support;
mod throttle;
mod together;
mod verify;
