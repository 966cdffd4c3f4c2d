//! Addresses that credentials are sent to: https, or http to this machine, which no proxy ever sees. And how addresses
//! are shown: without possible credentials.

use url::{Host, Url};

use crate::failure::{Failure, Kind, Result};

/// The end of a user and a password, as it is and escaped.
const AT: [&str; 2] = ["@", "%40"];
/// Schemes that a destination is mistaken to have, though no `://` follows.
const MISTAKEN: [&str; 11] = ["s3", "s3a", "s3n", "http", "https", "gs", "az", "abfs", "abfss", "wasb", "wasbs"];

/// Whether a host is this machine: `localhost`, `127.0.0.0/8` or `::1`.
pub fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Whether a host is one at which AWS gives credentials to its own machines, by plain http and without a way out of
/// them: instances, tasks and pods, by either version of IP.
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

/// An address as it may be shown: without user, password, query and fragment, even if it is malformed. Everything
/// before the last `@` may be part of a password, so it is left out.
pub fn shown_address(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{}://", without_user(scheme)), rest),
        // A path after its scheme, which has no user.
        None if text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("file:")) => return text.to_owned(),
        None => (String::new(), text),
    };
    let rest = without_user(rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find(['/', '\\']).unwrap_or(rest.len()));
    // A port consists of digits; anything else may be a password with its host missing.
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.bytes().all(|byte| byte.is_ascii_digit()) && !port.ends_with(']') => {
            host.split_once(':').map_or(host, |(name, _)| name)
        }
        _ => authority,
    };
    let path = if scheme.is_empty() && host != authority { "" } else { path };
    format!("{scheme}{host}{path}")
}

fn without_user(text: &str) -> &str {
    AT.iter().fold(text, |text, at| text.rsplit_once(at).map_or(text, |(_, rest)| rest))
}

/// The password in an address, with the user and alone; none where it holds none.
pub(super) fn passwords(text: &str) -> Option<[&str; 2]> {
    let (_, rest) = text.split_once("://")?;
    let user = rest.rsplit_once('@')?.0;
    Some([user, user.split_once(':')?.1])
}

/// Whether a destination is meant as an address, with a slash too few or in another scheme.
pub(super) fn is_mistaken(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let known = MISTAKEN.iter().any(|known| scheme.eq_ignore_ascii_case(known));
    is_scheme && !scheme.eq_ignore_ascii_case("file") && (known || rest.starts_with('/'))
}

/// Refuses (`Settings`) an address that is not https, except for http to loopback, since credentials must not travel in
/// the clear; and one that holds a user or a password.
pub fn check_address(url: &Url, key: &str) -> Result<()> {
    let refuse = |why: &str| Failure::new(Kind::Settings, format!("accept `{key}`")).because(why);
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("it contains a user or a password").advise("credentials come from the environment only"));
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if url.host().is_some_and(|host| is_loopback(&host)) => Ok(()),
        _ => Err(refuse("it is not https")
            .at(shown_address(url.as_str()))
            .advise("plain http is accepted for loopback only")),
    }
}

/// Refuses (`Settings`) a query or a fragment in an address to which paths are added.
pub(super) fn refuse_query(url: &Url, key: &str) -> Result<()> {
    if url.query().is_none() && url.fragment().is_none() {
        return Ok(());
    }
    Err(Failure::new(Kind::Settings, format!("accept `{key}`"))
        .at(shown_address(url.as_str()))
        .because("it contains `?` or `#`, and paths are appended to it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_credentials_well_formed_or_not() {
        for (text, shown) in [
            ("https://h.example/a/b", "https://h.example/a/b"),
            ("https://h.example:8443/a", "https://h.example:8443/a"),
            ("http://[::1]:9/a", "http://[::1]:9/a"),
            ("http://[::1]", "http://[::1]"),
            ("https://user:password@h:99999", "https://h:99999"),
            ("https://user:password@h/x?key=secret#secret", "https://h/x"),
            ("https://h/x#secret@", "https://"),
            ("https://user:pass@word/and?more#of@it@h/x", "https://h/x"),
            ("https://user:password%40h:99999/x", "https://h:99999/x"),
            ("https://user:password", "https://user"),
            ("https://user:password/x", "https://user/x"),
            ("https://user:pass:word/x", "https://user/x"),
            ("user:password@https://h/x", "https://h/x"),
            ("user:password@h/x", "h/x"),
            ("s3://KEY:SECRET@bucket/x", "s3://bucket/x"),
            ("s3:KEY:SECRET/more", "s3"),
            ("https:\\\\user:password@h", "h"),
            ("file://user:password@h/x", "file://h/x"),
            ("file:lake", "file:lake"),
            ("", ""),
        ] {
            assert_eq!(shown_address(text), shown, "{text}");
        }
    }

    #[test]
    fn a_slash_too_few_makes_no_folder_of_an_address() {
        for text in ["s3:/KEY:SECRET@bucket/x", "s3:KEY:SECRET@bucket", "S3://bucket", "https:/h", "x-y://h", "c:/lake"]
        {
            assert!(is_mistaken(text), "{text}");
        }
        for text in ["lake", "/srv/lake", "./a:b", "a:b", "~/x", "file:///x", "FILE:/x", "", ":/x", "sales 10:/x"] {
            assert!(!is_mistaken(text), "{text}");
        }
    }
}
