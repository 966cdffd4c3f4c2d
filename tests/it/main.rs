//! All integration tests in one binary.

mod decode;
mod export;
mod schemas;
mod support;
mod throttle;
