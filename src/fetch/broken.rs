//! An answer that cannot be read.

/// The answer is no whole JSON answer; asking again may give one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

impl Broken {
    /// A broken body, with the reason.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}
