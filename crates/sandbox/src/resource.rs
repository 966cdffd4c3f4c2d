//! Names of resources, and their places inside the account.

/// The name of a resource that the account serves: `season`.
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

/// A resource, by the place of its fixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(pub usize);
