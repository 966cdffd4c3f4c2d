//! All integration tests in one binary.

#![allow(clippy::unwrap_used, reason = "a test that panics has found something")]

mod cadence;
mod clean;
mod commit;
mod compact;
mod crash;
mod damage;
mod decode;
mod destination;
mod docs;
mod errors;
mod export;
mod faults;
mod fuzz;
mod hostile;
mod kill;
mod layers;
mod licences;
mod loading;
mod marks;
mod merge;
mod oauth;
mod plan;
mod properties;
mod readers;
mod reading;
mod repair;
mod reread;
mod reshape;
mod resume;
mod schemas;
mod scratch;
mod secrets;
mod sequences;
mod signals;
mod slow;
mod steps;
mod stir;
mod stock;
mod support;
mod throttle;
mod together;
mod uploads;
mod verify;
mod wishes;
