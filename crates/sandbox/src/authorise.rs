//! The page on which a person allows an app (docs/brightpearl-api.md §2.7), and the codes that it gives.
//!
//! Takes the parameters of the address that an app opens, gives HTML; the form of the page leads back to the app with a
//! code, or with `access_denied`. A code is good for one exchange, by the same app and for the same redirect address.

use std::collections::BTreeMap;
use std::fmt::Write;

use url::Url;

use crate::settings::SandboxSettings;

/// A code that was given, and the login that it is for.
#[derive(Debug)]
struct Given {
    client_id: String,
    redirect_uri: String,
    until: i64,
}

/// The codes that have not been exchanged.
#[derive(Debug, Default)]
pub struct Codes {
    open: BTreeMap<String, Given>,
    count: u64,
}

/// Why a code is not exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeRefusal {
    /// It was never given, was exchanged, or has expired.
    Unknown,
    /// It was given for another redirect address.
    OtherRedirect,
}

/// The answer of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageAnswer {
    /// A status and a page.
    Page(u16, String),
    /// The browser goes to this address.
    Redirect(String),
}

impl Codes {
    /// Exchanges a code, which is then used up.
    pub fn take(&mut self, code: &str, client_id: &str, redirect_uri: &str, now: i64) -> Result<(), CodeRefusal> {
        let given = self.open.remove(code).filter(|given| given.until > now && given.client_id == client_id);
        match given {
            None => Err(CodeRefusal::Unknown),
            Some(given) if given.redirect_uri != redirect_uri => Err(CodeRefusal::OtherRedirect),
            Some(_) => Ok(()),
        }
    }

    /// Gives a code for a login; it has the characters that must be escaped in an address.
    fn give(&mut self, client_id: &str, redirect_uri: &str, until: i64) -> String {
        self.count += 1;
        let code = format!("sandbox+code/{}=", self.count);
        let given = Given { client_id: client_id.to_owned(), redirect_uri: redirect_uri.to_owned(), until };
        self.open.insert(code.clone(), given);
        code
    }

    /// Answers the page's address, and its form where `posted`.
    pub fn answer(
        &mut self,
        settings: &SandboxSettings,
        now: i64,
        account: &str,
        parameters: &BTreeMap<String, String>,
        posted: bool,
    ) -> PageAnswer {
        let value = |name: &str| parameters.get(name).map_or("", String::as_str);
        let refuse =
            |status, why: &str| PageAnswer::Page(status, page("Not possible", &format!("<p>{}</p>", html(why))));
        if account != settings.account {
            return refuse(404, "There is no such account.");
        }
        if value("client_id") != settings.client_id {
            return refuse(400, "There is no such app.");
        }
        let redirect_uri = value("redirect_uri");
        let registered = &settings.redirect_uris;
        let Some(mut back) = Url::parse(redirect_uri)
            .ok()
            .filter(|_| registered.is_empty() || registered.iter().any(|registered| registered == redirect_uri))
        else {
            return refuse(400, "The redirect address is not registered for the app.");
        };
        if value("response_type") != "code" {
            return refuse(400, "The response type is not code.");
        }
        if !posted {
            return PageAnswer::Page(200, form(settings, parameters));
        }
        {
            let mut query = back.query_pairs_mut();
            if value("decision") == "allow" {
                let code = self.give(value("client_id"), redirect_uri, now.saturating_add(settings.code_life));
                query.append_pair("code", &code);
            } else {
                query.append_pair("error", "access_denied");
            }
            if let Some(state) = parameters.get("state") {
                query.append_pair("state", state);
            }
        }
        PageAnswer::Redirect(back.into())
    }
}

/// The form with which a person allows the app or does not.
fn form(settings: &SandboxSettings, parameters: &BTreeMap<String, String>) -> String {
    let mut inputs = String::new();
    for (name, value) in parameters {
        let _ = writeln!(inputs, "<input type=\"hidden\" name=\"{}\" value=\"{}\">", html(name), html(value));
    }
    let body = format!(
        "<p>The app <b>{}</b> asks for access to the simulated account <b>{}</b>.</p>\n<form method=\"post\">\n{inputs}\
         <button id=\"allow\" name=\"decision\" value=\"allow\">Allow</button>\n\
         <button id=\"deny\" name=\"decision\" value=\"deny\">Deny</button>\n</form>",
        html(&settings.client_id),
        html(&settings.account),
    );
    page("Allow an app", &body)
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body><h1>{title}</h1>\n{body}\n</body></html>\n"
    )
}

/// A text within HTML.
fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let known = [
            ("response_type", "code"),
            ("client_id", "acme_export"),
            ("redirect_uri", "http://127.0.0.1:9/back"),
            ("state", "a&b\"<"),
        ];
        known.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_page_escapes_its_parameters_and_its_form_leads_back_with_a_code() {
        let (settings, mut codes) = (SandboxSettings::default(), Codes::default());
        let PageAnswer::Page(200, page) = codes.answer(&settings, 0, "acme", &parameters(&[]), false) else { panic!() };
        assert!(page.contains("a&amp;b&quot;&lt;") && page.contains("id=\"allow\""), "{page}");

        let allowed = codes.answer(&settings, 0, "acme", &parameters(&[("decision", "allow")]), true);
        let back = "http://127.0.0.1:9/back?code=sandbox%2Bcode%2F1%3D&state=a%26b%22%3C";
        assert_eq!(allowed, PageAnswer::Redirect(back.to_owned()));
        let denied = codes.answer(&settings, 0, "acme", &parameters(&[("decision", "deny")]), true);
        let PageAnswer::Redirect(back) = denied else { panic!() };
        assert!(back.contains("error=access_denied") && !back.contains("code="), "{back}");
    }

    #[test]
    fn a_code_is_exchanged_once_in_time_by_its_app_and_for_its_redirect_address() {
        let (settings, mut codes) = (SandboxSettings::default(), Codes::default());
        let (app, back) = ("acme_export", "http://127.0.0.1:9/back");
        let given: Vec<String> = (0..4).map(|_| codes.give(app, back, settings.code_life)).collect();
        assert_eq!(codes.take(&given[0], app, back, 0), Ok(()));
        assert_eq!(codes.take(&given[0], app, back, 0), Err(CodeRefusal::Unknown));
        assert_eq!(codes.take(&given[1], app, "http://127.0.0.1:9/", 0), Err(CodeRefusal::OtherRedirect));
        assert_eq!(codes.take(&given[2], "other", back, 0), Err(CodeRefusal::Unknown));
        assert_eq!(codes.take(&given[3], app, back, settings.code_life), Err(CodeRefusal::Unknown));
    }

    #[test]
    fn an_unknown_account_app_or_redirect_address_gets_no_form() {
        let settings =
            SandboxSettings { redirect_uris: vec!["http://127.0.0.1:9/back".to_owned()], ..SandboxSettings::default() };
        let mut codes = Codes::default();
        for (account, change, status) in [
            ("acme", ("x", "y"), 200),
            ("other", ("x", "y"), 404),
            ("acme", ("client_id", "other"), 400),
            ("acme", ("redirect_uri", "http://127.0.0.1:9/back/"), 400),
            ("acme", ("redirect_uri", "nowhere"), 400),
            ("acme", ("response_type", "token"), 400),
        ] {
            let answer = codes.answer(&settings, 0, account, &parameters(&[change]), false);
            assert!(matches!(answer, PageAnswer::Page(found, _) if found == status), "{change:?}: {answer:?}");
        }
    }
}
