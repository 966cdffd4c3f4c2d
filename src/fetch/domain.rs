//! Hosts that a token answer may name: those of the source's own domains, and of domains that the settings allow.
//!
//! A token answer decides where the token is sent next, so that a forger of one would receive the account.

use crate::failure::{Failure, Kind, Result};

/// The domains of the source: of its API (docs/brightpearl-api.md §1.1), of its older hosts, and of its apps.
const OWN: [&str; 3] = ["brightpearlconnect.com", "brightpearl.com", "brightpearlapp.com"];
/// Characters of a refused name that are shown.
const SHOWN: usize = 100;

/// Refuses (`Credentials`) a host that is of none of the source's domains, nor of these.
pub fn check_domain(host: &str, further: &[String]) -> Result<()> {
    let is_name = !host.is_empty() && host.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.'));
    let host = host.to_ascii_lowercase();
    let is_of = |domain: &str| {
        let domain = domain.trim().to_ascii_lowercase();
        !domain.is_empty() && host.strip_suffix(&domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if is_name && OWN.into_iter().chain(further.iter().map(String::as_str)).any(is_of) {
        return Ok(());
    }
    Err(Failure::new(Kind::Credentials, "use the host that the token service names")
        .at(host.chars().take(SHOWN).collect::<String>())
        .because("it is in none of Brightpearl's domains, and the token would be sent there")
        .advise("if it is correct, allow its domain with `api_domains` under [auth]; or set account.api_domain"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_taken_when_its_domain_is_the_sources_or_allowed() {
        let allowed = ["shop.example".to_owned(), String::new()];
        for host in ["use1.brightpearlconnect.com", "WS-EU1.Brightpearl.com", "brightpearl.com", "api.shop.example"] {
            assert!(check_domain(host, &allowed).is_ok(), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "brightpearl.com.evil.example",
            "evilbrightpearl.com",
            "evil.example/brightpearl.com",
            "evil.example#.brightpearl.com",
            "evil.example?.brightpearl.com",
            "evil.example\\.brightpearl.com",
            "a@brightpearl.com",
            "brightpearl.com:8443",
            "127.0.0.1",
            "shop.example.evil.example",
        ] {
            assert!(check_domain(host, &allowed).is_err(), "{host}");
        }
        assert!(check_domain("shop.example", &[]).is_err());
    }
}
