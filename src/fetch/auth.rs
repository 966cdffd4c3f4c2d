//! Authentication of every request: the header sets and the OAuth refresh (docs/brightpearl-api.md §2.1, §2.2).
//!
//! One refresh serves all requests in flight: a request knows the generation of the token that it used, and only the
//! first of the refused requests refreshes it. The new set is on disk before it is used.

use std::path::PathBuf;
use std::sync::RwLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::config::{Credentials, NamedSecret, OAuth, shown_address};
use crate::failure::{Failure, Kind, Result};
use crate::fetch::Http;
use crate::fetch::domain::check_domain;
use crate::fetch::grant::{Denied, GRANT, Grant, margin};
use crate::fetch::received::short_body;
use crate::fetch::token_file::{TokenFile, TokenSet};
use crate::secret::{Redactor, Secret};
use crate::store::Watcher;

/// The token endpoint is asked with this bound.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A token endpoint in trouble is asked this often, and with this pause before the second time, twice it before the
/// third.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// A token that still lives is not refreshed so soon after that failed.
const REST: SignedDuration = SignedDuration::from_secs(30);

/// Our identity at the source.
#[derive(Debug)]
pub struct Auth {
    identity: Identity,
    redactor: Redactor,
}

#[derive(Debug)]
enum Identity {
    /// Headers that never change, and the advice for when they are refused.
    Fixed(HeaderMap, String),
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
    /// Until when a token that still lives is not refreshed, in seconds since 1970.
    rests_until: AtomicI64,
}

/// The state of an OAuth login, without its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenState {
    /// None where no answer stated it.
    pub expires_at: Option<Timestamp>,
    pub is_refreshable: bool,
    /// The host that the token service named.
    pub api_domain: Option<String>,
    pub file: PathBuf,
    /// Whether the tokens are those of the file; else they are configured.
    pub is_kept: bool,
}

/// The identity that one request is sent with.
#[derive(Clone, Debug)]
pub struct Identified {
    pub headers: HeaderMap,
    /// The token's generation; 0 of one that never changes.
    pub generation: u64,
    /// The API domain that the answer with this token named, which is definitive (docs/brightpearl-api.md §1.3).
    pub api_domain: Option<String>,
}

/// The next step of a request that was refused (401).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRefusal {
    /// Repeated: it was sent with an older token than the current one.
    Older,
    /// Repeated: the token was refreshed for it.
    Refreshed,
    /// Ended: there is no newer token.
    Final,
}

impl TokenState {
    /// The state of a set that is in no file.
    pub(super) fn of(set: &TokenSet) -> Self {
        Self {
            expires_at: set.expires_at,
            is_refreshable: set.refresh.is_some(),
            api_domain: set.api_domain.clone(),
            file: PathBuf::new(),
            is_kept: false,
        }
    }
}

impl Auth {
    /// The identity that these credentials give for an account.
    pub fn new(credentials: Credentials, account: &str, redactor: Redactor) -> Result<Self> {
        let fixed = |token: &NamedSecret, token_header, others: &[(&'static str, &str)]| {
            redactor.learn(&token.secret);
            let mut headers = HeaderMap::new();
            for (name, value) in others {
                headers.insert(HeaderName::from_static(name), header(name, value, "the settings under [auth]")?);
            }
            let value = header(token_header, token.secret.reveal(), &token.variable)?;
            headers.insert(HeaderName::from_static(token_header), value);
            let refs = if others.len() > 1 { "auth.app_ref and auth.dev_ref" } else { "auth.app_ref" };
            let advice = format!("check auth.kind and {refs}, and the token in {}", token.variable);
            Ok::<_, Failure>(Identity::Fixed(headers, advice))
        };
        let identity = match credentials {
            Credentials::StaffToken { app_ref, token } => {
                fixed(&token, "brightpearl-staff-token", &[("brightpearl-app-ref", &app_ref)])?
            }
            Credentials::AccountToken { app_ref, dev_ref, token } => {
                let mut refs = vec![("brightpearl-app-ref", app_ref.as_str())];
                refs.extend(dev_ref.as_deref().map(|dev_ref| ("brightpearl-dev-ref", dev_ref)));
                fixed(&token, "brightpearl-account-token", &refs)?
            }
            Credentials::OAuth(settings) => Identity::OAuth(Box::new(Tokens::new(*settings, account, &redactor)?)),
        };
        Ok(Self { identity, redactor })
    }

    /// The same identity, with a watcher of the steps in which new tokens are kept.
    pub fn watched(mut self, watcher: Watcher) -> Self {
        match &mut self.identity {
            Identity::Fixed(..) => {}
            Identity::OAuth(tokens) => tokens.file.watch(watcher),
        }
        self
    }

    /// The redactor of secrets in texts of the source.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// The headers of a request, with the generation and the host of the token in them. Refreshes a token that is about
    /// to expire; where that cannot be done and the token still lives, it is used as it is.
    pub async fn headers(&self, http: &Http, now: Timestamp) -> Result<Identified> {
        let tokens = match &self.identity {
            Identity::Fixed(headers, _) => {
                return Ok(Identified { headers: headers.clone(), generation: 0, api_domain: None });
            }
            Identity::OAuth(tokens) => tokens,
        };
        let (generation, set) = tokens.current();
        let left = set.expires_at.map(|at| at.duration_since(now));
        let ends = left.is_some_and(|left| left <= margin(set.life)) || set.access.reveal().is_empty();
        if ends && set.refresh.is_some() {
            let lives = left.is_some_and(|left| left > SignedDuration::ZERO) && !set.access.reveal().is_empty();
            if lives && now.as_second() < tokens.rests_until.load(Ordering::Relaxed) {
                return tokens.headers();
            }
            match tokens.refresh(http, generation, now, &self.redactor).await {
                Err(failure) if lives && matches!(failure.kind(), Kind::Credentials | Kind::Unreachable) => {
                    tokens.rests_until.store(now.as_second().saturating_add(REST.as_secs()), Ordering::Relaxed);
                }
                refreshed => refreshed?,
            }
        }
        tokens.headers()
    }

    /// Refreshes the token of this generation after a refusal (401) of a request with it, where it is the current one and
    /// `refreshes` allows it.
    pub async fn refresh_after_refusal(
        &self,
        http: &Http,
        generation: u64,
        refreshes: bool,
        now: Timestamp,
    ) -> Result<AfterRefusal> {
        let tokens = match &self.identity {
            Identity::Fixed(..) => return Ok(AfterRefusal::Final),
            Identity::OAuth(tokens) => tokens,
        };
        let (current, set) = tokens.current();
        if current != generation {
            return Ok(AfterRefusal::Older);
        }
        if !refreshes || set.refresh.is_none() {
            return Ok(AfterRefusal::Final);
        }
        tokens.refresh(http, generation, now, &self.redactor).await?;
        Ok(AfterRefusal::Refreshed)
    }

    /// Refreshes the token now. Refuses (`Settings`) credentials that are not refreshed.
    pub async fn refresh_now(&self, http: &Http, now: Timestamp) -> Result<()> {
        let refuse = |why: &str| Failure::new(Kind::Settings, "refresh the OAuth token").because(why);
        let tokens = match &self.identity {
            Identity::Fixed(..) => {
                return Err(refuse("`auth.kind` is not `oauth`, and other tokens are not refreshed"));
            }
            Identity::OAuth(tokens) => tokens,
        };
        let (generation, set) = tokens.current();
        if set.refresh.is_none() {
            return Err(refuse("there is no refresh token").advise("`pearlift auth login` gets one"));
        }
        tokens.refresh(http, generation, now, &self.redactor).await
    }

    /// The state of the tokens; none where the credentials are no OAuth tokens.
    pub fn token_state(&self) -> Result<Option<TokenState>> {
        match &self.identity {
            Identity::Fixed(..) => Ok(None),
            Identity::OAuth(tokens) => tokens.state().map(Some),
        }
    }

    /// Advice for credentials that are refused for good; it names the secret in use.
    pub fn advice(&self) -> String {
        match &self.identity {
            Identity::Fixed(_, advice) => advice.clone(),
            Identity::OAuth(tokens) => tokens.advice(),
        }
    }

    /// Refuses (`Credentials`) a host to which no token is sent.
    pub fn check_domain(&self, host: &str) -> Result<()> {
        match &self.identity {
            Identity::Fixed(..) => check_domain(host, &[]),
            Identity::OAuth(tokens) => check_domain(host, &tokens.settings.api_domains),
        }
    }
}

impl Tokens {
    fn new(settings: OAuth, account: &str, redactor: &Redactor) -> Result<Self> {
        let secret = |named: &Option<NamedSecret>| named.as_ref().map(|named| named.secret.clone());
        let (access, refresh) = (secret(&settings.access_token), secret(&settings.refresh_token));
        let file = TokenFile::of(&settings, account);
        for secret in [&access, &refresh, &secret(&settings.client_secret)].into_iter().flatten() {
            redactor.learn(secret);
        }
        let given = TokenSet {
            access: access.unwrap_or_else(|| Secret::new("")),
            refresh,
            token_type: settings.token_type.clone(),
            expires_at: settings.expires_at,
            life: None,
            api_domain: None,
        };
        let is_given = given.refresh.is_some() || !given.access.reveal().is_empty();
        let set = match file.read()? {
            Some(kept) => kept,
            None if is_given => given,
            None => return Err(no_tokens(&file)),
        };
        [Some(&set.access), set.refresh.as_ref()].into_iter().flatten().for_each(|secret| redactor.learn(secret));
        let token_url = token_url(&settings, account);
        Ok(Self {
            settings,
            token_url,
            file,
            current: RwLock::new((1, set)),
            refreshing: tokio::sync::Mutex::new(None),
            rests_until: AtomicI64::new(0),
        })
    }

    fn current(&self) -> (u64, TokenSet) {
        self.current.read().expect("no holder panics").clone()
    }

    fn state(&self) -> Result<TokenState> {
        let set = self.current().1;
        let is_kept = self.file.read()?.is_some_and(|kept| kept.access == set.access);
        Ok(TokenState { is_kept, file: self.file.path().to_owned(), ..TokenState::of(&set) })
    }

    fn headers(&self) -> Result<Identified> {
        let (generation, set) = self.current();
        let mut headers = HeaderMap::new();
        let bearer = format!("{} {}", set.token_type, set.access.reveal());
        headers.insert(AUTHORIZATION, header("authorization", &bearer, &self.variable())?);
        let refs = [("brightpearl-dev-ref", &self.settings.dev_ref), ("brightpearl-app-ref", &self.settings.app_ref)];
        for (name, value) in refs {
            if let Some(value) = value {
                headers.insert(HeaderName::from_static(name), header(name, value, "the settings under [auth]")?);
            }
        }
        Ok(Identified { headers, generation, api_domain: set.api_domain })
    }

    /// The variable of the token that a new authorisation gives: the refresh token's, unless only an access token is
    /// set.
    fn variable(&self) -> String {
        let named = self.settings.refresh_token.as_ref().or(self.settings.access_token.as_ref());
        named.map_or_else(|| "BRIGHTPEARL_OAUTH_REFRESH_TOKEN".to_owned(), |named| named.variable.clone())
    }

    /// Whether a variable holds a token.
    fn is_configured(&self) -> bool {
        self.settings.refresh_token.is_some() || self.settings.access_token.is_some()
    }

    fn advice(&self) -> String {
        let refs = "check auth.kind, auth.app_ref and auth.dev_ref, which the source needs too";
        let variable = self.variable();
        let login = "or log in again with `pearlift auth login`";
        if !self.is_configured() {
            return format!("{refs}; {login}");
        }
        if self.current().1.refresh.is_some() {
            return format!("{refs}; {login}; or set a new token in {variable}");
        }
        format!(
            "{refs}; {login}; or set a new token in {variable}, and a refresh token in BRIGHTPEARL_OAUTH_REFRESH_TOKEN"
        )
    }

    /// Refreshes, unless somebody has since this generation.
    async fn refresh(&self, http: &Http, generation: u64, now: Timestamp, redactor: &Redactor) -> Result<()> {
        let mut denied = self.refreshing.lock().await;
        let (current, set) = self.current();
        if current != generation {
            return Ok(());
        }
        if let Some(why) = denied.as_ref() {
            return Err(self.refusal(why.clone()));
        }
        let lock = self.file.lock().await?;
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

    fn refusal(&self, why: String) -> Failure {
        let mut advice = "log in again with `pearlift auth login`".to_owned();
        if self.is_configured() {
            advice = format!("{advice}, or set a new token in {}", self.variable());
        }
        if why.contains("client") {
            let secret = self.settings.client_secret.as_ref();
            let secret = secret.map_or("BRIGHTPEARL_CLIENT_SECRET", |secret| secret.variable.as_str());
            advice = format!("check auth.client_id and the client's secret in {secret}; or {advice}");
        }
        Failure::new(Kind::Credentials, "refresh the OAuth token")
            .at(shown_address(&self.token_url))
            .because(why)
            .advise(format!("{advice}; check auth.token_url"))
    }

    fn unreachable(&self) -> Failure {
        Failure::new(Kind::Unreachable, "refresh the OAuth token")
            .at(shown_address(&self.token_url))
            .advise("check auth.token_url and the network connection; run again later, the refresh token stays valid")
    }

    async fn ask(&self, http: &Http, set: &TokenSet, now: Timestamp, redactor: &Redactor) -> Result<TokenSet> {
        let refused = |why: &str| self.refusal(why.to_owned());
        let refresh = set.refresh.as_ref().ok_or_else(|| refused("there is no refresh token"))?;
        let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", refresh.reveal())];
        let client_id = self.settings.client_id.as_deref().ok_or_else(|| refused("`auth.client_id` is not set"))?;
        form.push(("client_id", client_id));
        if let Some(secret) = &self.settings.client_secret {
            form.push(("client_secret", secret.secret.reveal()));
        }
        let url = Url::parse(&self.token_url).map_err(|error| self.unreachable().caused(error))?;
        let mut tries = 1;
        let body = loop {
            match self.post(http.to(&url), &url, &form, redactor).await {
                Err(failure) if failure.kind() == Kind::Unreachable && tries < TRIES => {
                    tokio::time::sleep(PAUSE * tries).await;
                    tries += 1;
                }
                answered => break answered?,
            }
        };
        let grant = Grant::read(&body).ok_or_else(|| refused("the answer is no token"))?;
        [Some(&grant.access), grant.refresh.as_ref()].into_iter().flatten().for_each(|token| redactor.learn(token));
        Ok(TokenSet::granted(grant, now, Some(set)))
    }

    /// One request to the token endpoint: its good answer's body, a refusal (`Credentials`), or trouble on its side or
    /// on the way (`Unreachable`).
    async fn post(
        &self,
        http: &reqwest::Client,
        url: &Url,
        form: &[(&str, &str)],
        redactor: &Redactor,
    ) -> Result<bytes::Bytes> {
        let unreachable = |error: reqwest::Error| self.unreachable().caused(error.without_url());
        let answer = http.post(url.clone()).timeout(TIMEOUT).form(form).send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = short_body(answer, GRANT).await.map_err(unreachable)?;
        let Some(body) = body else {
            let why = format!("HTTP {} with a body longer than {GRANT} bytes", status.as_u16());
            return Err(if status.is_server_error() { self.unreachable().because(why) } else { self.refusal(why) });
        };
        if status.is_success() {
            return Ok(body);
        }
        let denied: Denied = serde_json::from_slice(&body).unwrap_or_default();
        let why = format!("HTTP {} {} {}", status.as_u16(), denied.error, denied.error_description);
        let why = redactor.clean(why.trim_end());
        if status.is_server_error() || status.as_u16() == 429 {
            return Err(self.unreachable().because(why));
        }
        Err(self.refusal(why))
    }
}

/// Where tokens are given: the address used in practice (docs/brightpearl-api.md §2.2); three are known, so it is a
/// setting.
pub(super) fn token_url(settings: &OAuth, account: &str) -> String {
    settings.token_url.clone().unwrap_or_else(|| format!("https://oauth.brightpearl.com/token/{account}"))
}

/// Tokens are neither configured nor kept.
fn no_tokens(file: &TokenFile) -> Failure {
    Failure::new(Kind::Settings, "find the OAuth token")
        .at(file.path().display().to_string())
        .because("there is none in the token file, and BRIGHTPEARL_OAUTH_REFRESH_TOKEN is not set")
        .advise("`pearlift auth login` gets one; or export BRIGHTPEARL_OAUTH_REFRESH_TOKEN, or name a file that contains it in BRIGHTPEARL_OAUTH_REFRESH_TOKEN_FILE")
}

/// A header's value; `from` is the place where it is set.
fn header(name: &str, value: &str, from: &str) -> Result<HeaderValue> {
    let mut header = HeaderValue::from_str(value).map_err(|_| {
        Failure::new(Kind::Settings, format!("send the header {name}"))
            .because("its value contains characters that no header can carry")
            .advise(format!("check {from} for line breaks and characters beyond ASCII"))
    })?;
    header.set_sensitive(true);
    Ok(header)
}
