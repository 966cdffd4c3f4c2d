//! All integration tests in one binary.

#![allow(clippy::unwrap_used, reason = "a test that panics has found something")]

mod clean;
mod crash;
mod decode;
mod docs;
mod errors;
mod export;
mod faults;
mod layers;
mod oauth;
mod plan;
mod properties;
mod reading;
mod repair;
mod schemas;
mod stir;
mod support;
mod throttle;
mod together;
mod verify;
