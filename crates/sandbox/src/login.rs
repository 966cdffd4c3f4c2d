//! The identity at the source (docs/brightpearl-api.md §2.1, §2.2): the three header schemes, and the token endpoint.

use std::collections::BTreeMap;

use serde_json::json;

use crate::authorise::{CodeRefusal, Codes};
use crate::reply::Reply;
use crate::settings::SandboxSettings;

/// The tokens of OAuth as they are now.
#[derive(Debug)]
pub struct Tokens {
    /// Access tokens and when they end, in seconds since 1970.
    access: BTreeMap<String, i64>,
    /// Requests that granted tokens were used for.
    used: BTreeMap<String, u64>,
    refresh: String,
    given: u32,
    /// Codes of the page on which the app is allowed.
    pub codes: Codes,
}

impl Tokens {
    /// The tokens that the settings name, valid from now.
    pub fn new(settings: &SandboxSettings, now: i64) -> Self {
        let access = BTreeMap::from([(settings.access_token.clone(), now + settings.token_life)]);
        let refresh = settings.refresh_token.clone();
        Self { access, used: BTreeMap::new(), refresh, given: 0, codes: Codes::default() }
    }

    /// Ends every access token.
    pub fn expire(&mut self) {
        self.access.values_mut().for_each(|until| *until = 0);
    }

    /// The access tokens that are good now.
    pub fn good(&self, now: i64) -> Vec<String> {
        self.access.iter().filter(|(_, until)| **until > now).map(|(token, _)| token.clone()).collect()
    }

    /// Judges the headers of a request: `header` gives them by name in small letters. A refusal is the answer.
    pub fn judge(
        &mut self,
        settings: &SandboxSettings,
        now: i64,
        header: impl Fn(&str) -> Option<String>,
    ) -> Result<(), Reply> {
        let unknown =
            |token: &str| Reply::text(401, &format!("Invalid instance token: {}", token.replace('=', "\\u003d")));
        let nobody = || Reply::text(401, "Not authenticated. You must provide a valid authentication token.");
        if let Some(bearer) = header("authorization").and_then(|text| text.strip_prefix("Bearer ").map(str::to_owned)) {
            if header("brightpearl-app-ref").is_none() || header("brightpearl-dev-ref").is_none() {
                return Err(nobody());
            }
            if let Some(used) = self.used.get_mut(&bearer).filter(|_| settings.token_uses > 0) {
                *used += 1;
                if *used > settings.token_uses {
                    self.access.insert(bearer.clone(), 0);
                }
            }
            return match self.access.get(&bearer) {
                Some(until) if *until > now => Ok(()),
                Some(_) => Err(Reply::text(401, "Authorization token expired")),
                None => Err(unknown(&bearer)),
            };
        }
        if header("brightpearl-app-ref").as_deref() != Some(&settings.app_ref) {
            return Err(nobody());
        }
        let named = [
            ("brightpearl-staff-token", &settings.staff_token),
            ("brightpearl-account-token", &settings.account_token),
        ];
        for (name, expected) in named {
            if let Some(token) = header(name) {
                return if token == *expected { Ok(()) } else { Err(unknown(&token)) };
            }
        }
        Err(nobody())
    }

    /// The refusal of a request for an account that is not served here.
    pub fn unknown_account(settings: &SandboxSettings, path: &str) -> Reply {
        match settings.unknown_account_status {
            401 => Reply::text(401, "Not authenticated. You must provide a valid authentication token."),
            _ => Reply::wrong_address(path),
        }
    }

    /// Answers the token endpoint; `domain` is where the account is served.
    pub fn grant(
        &mut self,
        settings: &SandboxSettings,
        now: i64,
        form: &BTreeMap<String, String>,
        domain: &str,
    ) -> (u16, String) {
        let field = |name: &str| form.get(name).map(String::as_str);
        let denied = |error: &str, why: &str| (400, json!({"error_description": why, "error": error}).to_string());
        let secret = field("client_secret");
        if field("client_id") != Some(&settings.client_id)
            || secret.is_some_and(|secret| secret != settings.client_secret)
        {
            return (400, json!({"error": "invalid_client"}).to_string());
        }
        let fresh = match field("grant_type") {
            Some("refresh_token") if field("refresh_token") == Some(&self.refresh) => false,
            Some("refresh_token") => {
                return denied("invalid_grant", "The auth token has either expired or does not exist");
            }
            Some("authorization_code") => {
                let value = |name: &str| field(name).unwrap_or_default();
                match self.codes.take(value("code"), &settings.client_id, value("redirect_uri"), now) {
                    Ok(()) => true,
                    Err(CodeRefusal::Unknown) => {
                        return denied("invalid_grant", "The auth token has either expired or does not exist");
                    }
                    Err(CodeRefusal::OtherRedirect) => {
                        return denied("invalid_grant", "Redirect uri does not match that used to request auth token");
                    }
                }
            }
            _ => return denied("unsupported_grant_type", "Only authorization_code and refresh_token are known"),
        };
        self.given += 1;
        let access = format!("{}{}", settings.access_token, self.given);
        self.access.insert(access.clone(), now + settings.token_life);
        self.used.insert(access.clone(), 0);
        if settings.rotates {
            self.refresh = format!("{}{}", settings.refresh_token, self.given);
        }
        let mut answer = json!({
            "access_token": access,
            "refresh_token": self.refresh,
            "api_domain": domain,
            "token_type": "Bearer",
            "expires_in": settings.token_life,
        });
        if fresh {
            answer["installation_instance_id"] = json!("13");
        }
        for (name, value) in &settings.grant {
            answer[name] = value.clone();
        }
        if let Some(fields) = answer.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        (200, answer.to_string())
    }
}
