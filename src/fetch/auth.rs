//! Who we are, on every request: the header sets of API notes §2.1, and the OAuth refresh of §2.2.
//!
//! One refresh serves all requests in flight: a request knows the generation of the token it bore, and only the first of
//! those refused refreshes. The new set is on disk before it is used.

use std::path::PathBuf;
use std::sync::RwLock;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use crate::config::{Credentials, OAuth};
use crate::failure::{Failure, Kind, Result};
use crate::fetch::token::{TokenFile, TokenSet};
use crate::secret::{Redactor, Secret};
use crate::store::Watcher;

/// A token is refreshed this long before it expires: longer than any request takes.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// The token endpoint is asked with this bound.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Our identity at the source.
#[derive(Debug)]
pub struct Auth {
    identity: Identity,
    redactor: Redactor,
}

#[derive(Debug)]
enum Identity {
    /// Headers that never change.
    Fixed(HeaderMap),
    OAuth(Box<Tokens>),
}

#[derive(Debug)]
struct Tokens {
    settings: OAuth,
    token_url: String,
    file: TokenFile,
    current: RwLock<(u64, TokenSet)>,
    /// One refresh at a time; why one was denied: it is not tried again.
    refreshing: tokio::sync::Mutex<Option<String>>,
}

/// The token endpoint's answer.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    refresh_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<i64>,
    api_domain: Option<String>,
}

/// The token endpoint's refusal.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Denied {
    error: String,
    error_description: String,
}

impl Auth {
    /// The identity that these credentials give for an account.
    pub fn new(credentials: Credentials, account: &str, redactor: Redactor) -> Result<Self> {
        let fixed = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(HeaderName::from_static(name), header(name, value)?);
            }
            Ok::<_, Failure>(Identity::Fixed(headers))
        };
        let identity = match credentials {
            Credentials::StaffToken { app_ref, token } => {
                redactor.learn(&token);
                fixed(&[("brightpearl-app-ref", &app_ref), ("brightpearl-staff-token", token.reveal())])?
            }
            Credentials::AccountToken { app_ref, dev_ref, token } => {
                redactor.learn(&token);
                let mut pairs =
                    vec![("brightpearl-app-ref", app_ref.as_str()), ("brightpearl-account-token", token.reveal())];
                if let Some(dev_ref) = &dev_ref {
                    pairs.push(("brightpearl-dev-ref", dev_ref));
                }
                fixed(&pairs)?
            }
            Credentials::OAuth(settings) => Identity::OAuth(Box::new(Tokens::new(settings, account, &redactor)?)),
        };
        Ok(Self { identity, redactor })
    }

    /// The same identity; the steps in which new tokens are kept are told.
    pub fn watched(mut self, watcher: Watcher) -> Self {
        match &mut self.identity {
            Identity::Fixed(_) => {}
            Identity::OAuth(tokens) => tokens.file.watch(watcher),
        }
        self
    }

    /// What blacks out secrets in texts of the source.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// The headers of a request, and the generation of the token in them. Refreshes a token that is about to expire.
    pub async fn headers(&self, http: &reqwest::Client, now: Timestamp) -> Result<(HeaderMap, u64)> {
        match &self.identity {
            Identity::Fixed(headers) => Ok((headers.clone(), 0)),
            Identity::OAuth(tokens) => {
                let (generation, set) = tokens.current();
                let ends = set.expires_at.is_some_and(|at| at.duration_since(now) <= AHEAD);
                if (ends || set.access.reveal().is_empty()) && set.refresh.is_some() {
                    tokens.refresh(http, generation, now, &self.redactor).await?;
                }
                tokens.headers()
            }
        }
    }

    /// A request was refused (401) though it bore this generation's token. `true`: there is a newer token, ask once more.
    pub async fn refused(&self, http: &reqwest::Client, generation: u64, now: Timestamp) -> Result<bool> {
        match &self.identity {
            Identity::Fixed(_) => Ok(false),
            Identity::OAuth(tokens) if tokens.current().1.refresh.is_none() => Ok(false),
            Identity::OAuth(tokens) => {
                tokens.refresh(http, generation, now, &self.redactor).await?;
                Ok(true)
            }
        }
    }

    /// The API domain that the token's answer named, which is definitive (API notes §1).
    pub fn api_domain(&self) -> Option<String> {
        match &self.identity {
            Identity::Fixed(_) => None,
            Identity::OAuth(tokens) => tokens.current().1.api_domain,
        }
    }
}

impl Tokens {
    fn new(settings: OAuth, account: &str, redactor: &Redactor) -> Result<Self> {
        let path = match &settings.token_file {
            Some(path) => PathBuf::from(path),
            None => default_path(account),
        };
        let configured = settings.refresh_token.as_ref().or(settings.access_token.as_ref());
        let file = TokenFile::new(path, configured);
        let given = TokenSet {
            access: settings.access_token.clone().unwrap_or_else(|| Secret::new("")),
            refresh: settings.refresh_token.clone(),
            token_type: settings.token_type.clone(),
            expires_at: settings.expires_at,
            api_domain: None,
        };
        let set = file.read()?.unwrap_or(given);
        for secret in [Some(&set.access), set.refresh.as_ref(), settings.client_secret.as_ref()].into_iter().flatten() {
            redactor.learn(secret);
        }
        // What is used in practice (API notes §2.2); three spellings are known, so it is a setting.
        let token_url =
            settings.token_url.clone().unwrap_or_else(|| format!("https://oauth.brightpearl.com/token/{account}"));
        Ok(Self {
            settings,
            token_url,
            file,
            current: RwLock::new((1, set)),
            refreshing: tokio::sync::Mutex::new(None),
        })
    }

    fn current(&self) -> (u64, TokenSet) {
        self.current.read().expect("no holder panics").clone()
    }

    fn headers(&self) -> Result<(HeaderMap, u64)> {
        let (generation, set) = self.current();
        let mut headers = HeaderMap::new();
        let bearer = format!("{} {}", set.token_type, set.access.reveal());
        headers.insert(AUTHORIZATION, header("authorization", &bearer)?);
        let refs = [("brightpearl-dev-ref", &self.settings.dev_ref), ("brightpearl-app-ref", &self.settings.app_ref)];
        for (name, value) in refs {
            if let Some(value) = value {
                headers.insert(HeaderName::from_static(name), header(name, value)?);
            }
        }
        Ok((headers, generation))
    }

    /// Refreshes, unless somebody has since this generation.
    async fn refresh(
        &self,
        http: &reqwest::Client,
        generation: u64,
        now: Timestamp,
        redactor: &Redactor,
    ) -> Result<()> {
        let mut denied = self.refreshing.lock().await;
        let (current, set) = self.current();
        if current != generation {
            return Ok(());
        }
        if let Some(why) = denied.as_ref() {
            return Err(self.refused(why.clone()));
        }
        let file = self.file.clone();
        let lock = tokio::task::spawn_blocking(move || file.lock()).await.expect("locking a file does not panic")?;
        let newer = self.file.read()?.filter(|written| written.access != set.access);
        let next = match newer {
            // Another process was faster.
            Some(written) => written,
            None => {
                let next = self.ask(http, &set, now, redactor).await;
                if let Err(failure) = next.as_ref()
                    && failure.kind() == Kind::Credentials
                {
                    *denied = Some(failure.reason().to_owned());
                }
                let next = next?;
                self.file.write(&next)?;
                next
            }
        };
        drop(lock);
        redactor.learn(&next.access);
        if let Some(refresh) = &next.refresh {
            redactor.learn(refresh);
        }
        *self.current.write().expect("no holder panics") = (current + 1, next);
        Ok(())
    }

    fn refused(&self, why: String) -> Failure {
        Failure::new(Kind::Credentials, "refresh the OAuth token").at(self.token_url.clone()).because(why).advise(
            "authorise the app again and set BRIGHTPEARL_OAUTH_REFRESH_TOKEN; check auth.client_id and auth.token_url",
        )
    }

    async fn ask(
        &self,
        http: &reqwest::Client,
        set: &TokenSet,
        now: Timestamp,
        redactor: &Redactor,
    ) -> Result<TokenSet> {
        let refused = |why| self.refused(why);
        let refresh = set.refresh.as_ref().ok_or_else(|| refused("there is no refresh token".to_owned()))?;
        let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", refresh.reveal())];
        let client_id =
            self.settings.client_id.as_deref().ok_or_else(|| refused("`auth.client_id` is not set".to_owned()))?;
        form.push(("client_id", client_id));
        if let Some(secret) = &self.settings.client_secret {
            form.push(("client_secret", secret.reveal()));
        }
        let unreachable = |error: reqwest::Error| {
            Failure::new(Kind::Unreachable, "refresh the OAuth token")
                .at(self.token_url.clone())
                .caused(error.without_url())
        };
        let answer = http.post(&self.token_url).timeout(TIMEOUT).form(&form).send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        if !status.is_success() {
            let denied: Denied = serde_json::from_slice(&body).unwrap_or_default();
            let why = format!("HTTP {} {} {}", status.as_u16(), denied.error, denied.error_description);
            return Err(refused(redactor.clean(why.trim_end())));
        }
        let granted: Granted =
            serde_json::from_slice(&body).map_err(|_| refused("the answer is no token".to_owned()))?;
        Ok(TokenSet {
            access: Secret::new(&granted.access_token),
            // An answer without one means that the old one stands.
            refresh: granted.refresh_token.as_deref().map(Secret::new).or_else(|| set.refresh.clone()),
            token_type: granted.token_type.unwrap_or_else(|| set.token_type.clone()),
            expires_at: granted.expires_in.and_then(|seconds| now.checked_add(SignedDuration::from_secs(seconds)).ok()),
            api_domain: granted.api_domain.or_else(|| set.api_domain.clone()),
        })
    }
}

/// `$XDG_STATE_HOME/pearlift/{account}-token.json`, or below `~/.local/state`.
fn default_path(account: &str) -> PathBuf {
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local").join("state")));
    state.unwrap_or_else(|| PathBuf::from(".")).join("pearlift").join(format!("{account}-token.json"))
}

fn header(name: &str, value: &str) -> Result<HeaderValue> {
    let mut header = HeaderValue::from_str(value).map_err(|_| {
        Failure::new(Kind::Settings, format!("send the header {name}"))
            .because("its value holds letters that no header can carry")
            .advise("check the token's variable for line breaks or quotes")
    })?;
    header.set_sensitive(true);
    Ok(header)
}
