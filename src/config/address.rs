//! Addresses that credentials are sent to: https, or http to this machine, which no proxy ever sees.

use url::{Host, Url};

use crate::failure::{Failure, Kind, Result};

/// Whether a host is this machine: `localhost`, `127.0.0.0/8` or `::1`.
pub fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Whether a host is one at which AWS gives credentials to its own machines, by plain http and without a way out of them:
/// instances, tasks and pods, by either version of IP.
pub fn is_credential_service(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(_) => false,
        Host::Ipv4(address) => {
            matches!(address.octets(), [169, 254, 169, 254] | [169, 254, 170, 2] | [169, 254, 170, 23])
        }
        Host::Ipv6(address) => {
            matches!(address.segments(), [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] | [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23])
        }
    }
}

/// Refuses (`Settings`) an address that is not https, but for http to loopback, since credentials must not travel in the clear;
/// and one that holds a user or a password, since addresses are shown.
pub fn check_address(url: &Url, key: &str) -> Result<()> {
    let refuse = |why: &str| Failure::new(Kind::Settings, format!("accept `{key}`")).because(why);
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("it holds a user or a password").advise("credentials come from the environment only"));
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if url.host().is_some_and(|host| is_loopback(&host)) => Ok(()),
        _ => Err(refuse("it is not https").at(url.as_str()).advise("plain http is accepted for loopback only")),
    }
}
