//! Accounts and hosts as people write them: pasted addresses, names of data centres, old hosts.
//!
//! Takes a text, gives the form that the settings have. Refuses (`Settings`) a text that is none of the known forms, with
//! the right one in the advice; a long value is not quoted, for it may be a credential at the wrong place.

use url::{Host, Url};

use crate::config::address::{check_address, is_loopback, refuse_query};
use crate::config::shown::shown;
use crate::failure::{Failure, Kind, Result};

/// The hosts of the source's data centres (docs/brightpearl-api.md §1.1).
pub const DATA_CENTRES: [&str; 2] = ["euw1.brightpearlconnect.com", "use1.brightpearlconnect.com"];
/// The domain of the API.
const API: &str = "brightpearlconnect.com";
/// The domains of the web pages on which people log in (docs/brightpearl-api.md §1.5).
const PAGES: [&str; 2] = ["brightpearlapp.com", "brightpearl.com"];
/// Names of data centres, each with the one that hosts have.
const NAMES: [(&str, &str); 6] =
    [("euw1", "euw1"), ("eu1", "euw1"), ("ws-eu1", "euw1"), ("use1", "use1"), ("use", "use1"), ("ws-use", "use1")];
/// The part of an API address before the account.
const PREFIX: &str = "public-api";

/// An account as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountForm {
    pub code: String,
    /// The host, where a whole address was written.
    pub address: Option<SourceAddress>,
}

/// The place at which the source serves an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceAddress {
    /// A host, for `account.api_domain`.
    Domain(String),
    /// A whole address, for `account.base_url`.
    Base(String),
}

/// The account that a text means: its code, an API address, or the address of the page on which people log in.
pub fn account_form(text: &str) -> Result<AccountForm> {
    let text = text.trim();
    if is_code(text) {
        return Ok(AccountForm { code: text.to_owned(), address: None });
    }
    let refuse = || {
        Failure::new(Kind::Settings, "accept the account code")
            .because(format!("{} is not letters, digits, `-` and `_`", shown(text)))
            .advise("write the code alone, such as `acme`: you enter it to log in to Brightpearl")
    };
    let url = Url::parse(text).ok().filter(Url::has_host).ok_or_else(refuse)?;
    let code = code_in(&url).ok_or_else(refuse)?;
    Ok(AccountForm { code, address: source_address(text).ok() })
}

/// Whether a text is an account code.
pub fn is_code(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// The account in an address: behind `public-api`, or as `ACCOUNT.login`.
fn code_in(url: &Url) -> Option<String> {
    let mut parts = url.path_segments()?;
    let first = parts.next()?;
    let code = if first == PREFIX { parts.next()? } else { first.strip_suffix(".login")? };
    Some(code.to_owned()).filter(|code| is_code(code))
}

/// The host or the address that a text means: `euw1`, a host of the API, a host of the web pages, or an address with one
/// of these. An address elsewhere is taken whole.
pub fn source_address(text: &str) -> Result<SourceAddress> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    if let Some((_, name)) = NAMES.iter().find(|(name, _)| *name == lower) {
        return Ok(SourceAddress::Domain(format!("{name}.{API}")));
    }
    let host = match lower.split_once("://") {
        Some(_) => {
            let url = Url::parse(text).ok();
            url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
        }
        None => lower.split('/').next().unwrap_or_default().to_owned(),
    };
    if let Some(host) = api_host(&host) {
        return Ok(SourceAddress::Domain(host));
    }
    elsewhere(text).unwrap_or_else(|| {
        Err(Failure::new(Kind::Settings, "accept the data centre")
            .because(format!("{} is neither a data centre of Brightpearl nor a host of its API", shown(text)))
            .advise(format!(
                "write `{}` or `{}`: the address of your Brightpearl pages begins with `euw1` or `use1`",
                DATA_CENTRES[0], DATA_CENTRES[1]
            )))
    })
}

/// The host of the API for a host of the source; none for any other, and for its pages of another purpose.
fn api_host(host: &str) -> Option<String> {
    let host = host.trim_end_matches('.');
    let label = |domain: &str| {
        let label = host.strip_suffix(domain)?.strip_suffix('.')?;
        Some(label).filter(|label| !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-'))
    };
    if label(API).is_some() {
        return Some(host.to_owned());
    }
    let name = PAGES.iter().find_map(|domain| label(domain))?;
    // Older hosts of the API still answer (docs/brightpearl-api.md §1.2).
    if name.starts_with("ws-") {
        return Some(host.to_owned());
    }
    let known = DATA_CENTRES.iter().find(|known| known.split('.').next() == Some(name))?;
    Some((*known).to_owned())
}

/// An API address at another host, such as a simulated account on this machine; `None` where the text is none.
fn elsewhere(text: &str) -> Option<Result<SourceAddress>> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let on_this_machine = url.host().is_some_and(|host: Host<&str>| is_loopback(&host));
    if !on_this_machine && code_in(&url).is_none() {
        return None;
    }
    let checked = check_address(&url, "account.base_url").and_then(|()| refuse_query(&url, "account.base_url"));
    Some(checked.and_then(|()| {
        match code_in(&url) {
            Some(_) => Ok(SourceAddress::Base(url.as_str().trim_end_matches('/').to_owned())),
            None => Err(Failure::new(Kind::Settings, "accept the address of the source")
                .because(format!("its path is not /{PREFIX}/ACCOUNT"))
                .advise(format!("write the whole address, such as `http://127.0.0.1:8080/{PREFIX}/acme`"))),
        }
    }))
}

/// The reference of an app as it was written. Refuses a text with the signs of a token, which belongs to no file.
pub fn app_form(text: &str, what: &str) -> Result<String> {
    let text = text.trim();
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        return Ok(text.to_owned());
    }
    Err(Failure::new(Kind::Settings, format!("accept the {what}"))
        .because(format!("{} is not letters, digits, `-`, `_` and `.`", shown(text)))
        .advise("a reference is a name, such as `acme_export`; tokens are set in variables or files, never here"))
}

#[cfg(test)]
#[path = "forms_tests.rs"]
mod tests;
