//! The requests to the account, for tests and for inspection.

use std::collections::BTreeMap;

use serde::Serialize;

/// Counts since the start, or since they were cleared.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Log {
    /// By method and path without ids and parameters: `GET order-service/order`.
    pub requests: BTreeMap<String, u64>,
    pub statuses: BTreeMap<u16, u64>,
    /// Ids requested by GET, by path.
    pub ids: BTreeMap<String, u64>,
    /// Requests to the token endpoint.
    pub grants: u64,
    /// Requests refused for haste.
    pub throttled: u64,
    /// The changes of the account between requests, in order.
    pub churned: Vec<String>,
    /// Answers gone wrong on purpose.
    pub faults: u64,
    /// Requests with a faulty answer by the plan of faults, by method and path with the query.
    pub wrong: Vec<String>,
    /// Calls of the other app, and those of them refused for haste.
    pub foreign: u64,
    pub foreign_throttled: u64,
}

impl Log {
    /// Requests in all, throttled ones included.
    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }

    /// Requests to documents: GETs that are no searches.
    pub fn documents(&self) -> u64 {
        let documents = self.requests.iter().filter(|(path, _)| path.starts_with("GET ") && !path.contains("-search"));
        documents.map(|(_, count)| count).sum()
    }

    /// Requests with this beginning of method and path.
    pub fn of(&self, prefix: &str) -> u64 {
        self.requests.iter().filter(|(path, _)| path.starts_with(prefix)).map(|(_, count)| count).sum()
    }
}
