//! The cryptography of TLS: ring, which is installed once for the process before the first HTTP client is built
//! (docs/decisions/0012-cryptography.md).

use rustls::crypto::{CryptoProvider, ring};

/// Installs ring as the provider of the process, unless the program that embeds pearlift has chosen another.
pub fn install_provider() {
    if CryptoProvider::get_default().is_none() {
        // A second thread that installs at the same moment installs the same provider.
        drop(ring::default_provider().install_default());
    }
}
