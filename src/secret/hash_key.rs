//! The key of hashes that stand for personal data: HMAC-SHA-256, so that equal values stay equal and nobody without the
//! key can try values.

use std::fmt;
use std::sync::Arc;

use ring::hmac::{HMAC_SHA256, Key, sign};

use super::{PLACEHOLDER, Secret};

/// The text that is hashed to distinguish keys.
const NAME: &str = "pearlift: the name of a hash key";

/// The key of hashes. Cheap to clone; printed as a placeholder.
#[derive(Clone)]
pub struct HashKey(Arc<Key>);

impl HashKey {
    /// The key that a secret text is, of any length.
    pub fn new(secret: &Secret) -> Self {
        Self(Arc::new(Key::new(HMAC_SHA256, secret.reveal().as_bytes())))
    }

    /// The hash of a text: 64 hexadecimal digits.
    pub fn hash(&self, text: &str) -> String {
        let tag = sign(&self.0, text.as_bytes());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A number that distinguishes the key.
    pub fn name(&self) -> u32 {
        let tag = sign(&self.0, NAME.as_bytes());
        tag.as_ref().iter().take(4).fold(0, |name, byte| name << 8 | u32::from(*byte))
    }
}

impl PartialEq for HashKey {
    fn eq(&self, other: &Self) -> bool {
        self.hash(NAME) == other.hash(NAME)
    }
}

impl Eq for HashKey {}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PLACEHOLDER)
    }
}
