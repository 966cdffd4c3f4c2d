//! All integration tests in one binary.

#![allow(clippy::unwrap_used, reason = "a test that panics has found something")]

mod clean;
mod compact;
mod crash;
mod damage;
mod decode;
mod docs;
mod errors;
mod export;
mod faults;
mod fuzz;
mod hostile;
mod layers;
mod licences;
mod loading;
mod marks;
mod merge;
mod oauth;
mod plan;
mod properties;
mod reading;
mod repair;
mod reread;
mod reshape;
mod resume;
mod schemas;
mod secrets;
mod sequences;
mod stir;
mod support;
mod throttle;
mod together;
mod verify;
mod wishes;
