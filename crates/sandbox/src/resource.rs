//! Names of resources, and how the account tells them apart inside.

use crate::kinds::Kind;

/// The name of a resource that the account serves: `order`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceName(String);

impl ResourceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ResourceName {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl From<&String> for ResourceName {
    fn from(name: &String) -> Self {
        Self(name.clone())
    }
}

impl From<Kind> for ResourceName {
    fn from(kind: Kind) -> Self {
        Self(kind.name().to_owned())
    }
}

/// A resource: a kind, or a fixture by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceId {
    Kind(Kind),
    Fixture(usize),
}

impl From<Kind> for ResourceId {
    fn from(kind: Kind) -> Self {
        Self::Kind(kind)
    }
}
