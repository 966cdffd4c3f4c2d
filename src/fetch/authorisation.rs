//! A login by the OAuth authorization code grant (docs/brightpearl-api.md §2.7, §2.8): the address of the page on which a
//! person allows it, and the exchange of the code that the page gives.
//!
//! Takes the settings of `[auth]`, gives tokens in the token file. Refuses (`Settings`) settings without a client, and
//! (`Credentials`) a code that the token service does not take.

use std::time::Duration;

use jiff::Timestamp;
use oauth2::basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, RedirectUrl, RequestTokenError, StandardRevocableToken, TokenUrl, http,
};
use url::Url;

use crate::config::{OAuth, shown_address};
use crate::failure::{Failure, Kind, Result};
use crate::fetch::Http;
use crate::fetch::auth::{TokenState, token_url};
use crate::fetch::grant::GRANT;
use crate::fetch::login_grant::LoginGrant;
use crate::fetch::received::{reason, short_body};
use crate::fetch::token_file::{TokenFile, TokenSet};
use crate::secret::{Redactor, Secret};

/// The exchange is given this time, the body of the answer included.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The library's client with an authorisation page and a token endpoint.
type CodeClient = Client<
    BasicErrorResponse,
    LoginGrant,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// A login under way.
#[derive(Debug)]
pub struct Authorisation {
    client: CodeClient,
    address: Url,
    state: CsrfToken,
    token_url: String,
    file: TokenFile,
    redactor: Redactor,
}

impl Authorisation {
    /// A login for an account; `redirect` is the address to which the page leads back, exactly as it is registered.
    pub fn new(settings: &OAuth, account: &str, redirect: &str, redactor: Redactor) -> Result<Self> {
        let refuse = |key: &str| Failure::new(Kind::Settings, format!("accept `auth.{key}`"));
        let id = settings.client_id.clone().filter(|id| !id.is_empty()).ok_or_else(|| {
            refuse("client_id")
                .because("neither it nor `auth.app_ref` is set")
                .advise("set `app_ref` under [auth] to the reference of the app in your developer account")
        })?;
        let page = settings
            .authorize_url
            .clone()
            .unwrap_or_else(|| format!("https://oauth.brightpearl.com/authorize/{account}"));
        let token_url = token_url(settings, account);
        let mut client = Client::new(ClientId::new(id))
            .set_auth_uri(AuthUrl::new(page).map_err(|error| refuse("authorize_url").caused(error))?)
            .set_token_uri(TokenUrl::new(token_url.clone()).map_err(|error| refuse("token_url").caused(error))?)
            .set_redirect_uri(
                RedirectUrl::new(redirect.to_owned()).map_err(|error| refuse("redirect_uri").caused(error))?,
            )
            .set_auth_type(AuthType::RequestBody);
        if let Some(secret) = &settings.client_secret {
            redactor.learn(&secret.secret);
            client = client.set_client_secret(ClientSecret::new(secret.secret.reveal().to_owned()));
        }
        let (address, state) = client.authorize_url(CsrfToken::new_random).url();
        Ok(Self { client, address, state, token_url, file: TokenFile::of(settings, account), redactor })
    }

    /// The page on which a person allows the login.
    pub fn address(&self) -> &Url {
        &self.address
    }

    /// The text that the answer to this login repeats: another page cannot know it.
    pub fn state(&self) -> &str {
        self.state.secret()
    }

    /// Refuses (`Settings`) a token file whose folder cannot be written: a code must not be spent for it.
    pub async fn prove_file(&self) -> Result<()> {
        self.file.lock().await.map(drop)
    }

    /// Exchanges the code for tokens, and keeps them in the token file. A code is good for one exchange.
    pub async fn redeem(&self, http: &Http, code: &Secret, now: Timestamp) -> Result<TokenState> {
        self.redactor.learn(code);
        let place = shown_address(&self.token_url);
        let send = |request: HttpRequest| send(http.clone(), request, place.clone());
        let exchange = self.client.exchange_code(AuthorizationCode::new(code.reveal().to_owned()));
        let granted = exchange.request_async(&send).await.map_err(|error| match error {
            RequestTokenError::Request(failure) => failure,
            RequestTokenError::ServerResponse(denied) => {
                let why = denied.error_description().map_or("", String::as_str);
                self.refused(&format!("{} {why}", denied.error().as_ref()))
            }
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                self.refused("its answer is neither a token nor a reason")
            }
        })?;
        let grant = granted.grant;
        [Some(&grant.access), grant.refresh.as_ref()]
            .into_iter()
            .flatten()
            .for_each(|token| self.redactor.learn(token));
        let set = TokenSet::granted(grant, now, None);
        let lock = self.file.lock().await?;
        self.file.write(&set)?;
        drop(lock);
        Ok(TokenState { file: self.file.path().to_owned(), is_kept: true, ..TokenState::of(&set) })
    }

    fn refused(&self, why: &str) -> Failure {
        Failure::new(Kind::Credentials, "exchange the code for a token")
            .at(shown_address(&self.token_url))
            .because(format!("the token service refused it: {}", self.redactor.clean(why.trim_end())))
            .advise(
                "run `pearlift auth login` again, for a code is good for one exchange; check auth.client_id, \
                 auth.redirect_uri, auth.token_url, and the client's secret in BRIGHTPEARL_CLIENT_SECRET",
            )
    }
}

/// Sends a form to the token service: its answer, or trouble on its side or on the way (`Unreachable`).
async fn send(http: Http, request: HttpRequest, place: String) -> Result<HttpResponse> {
    let unreachable = |why: String| {
        Failure::new(Kind::Unreachable, "exchange the code for a token")
            .at(place.clone())
            .because(why)
            .advise("check auth.token_url and the network connection, and run `pearlift auth login` again")
    };
    let bug = |error| Failure::new(Kind::Bug, "make a request").caused(error);
    let mut request = reqwest::Request::try_from(request).map_err(|error| bug(error.without_url()))?;
    *request.timeout_mut() = Some(TIMEOUT);
    let answer = http.to(request.url()).execute(request).await.map_err(|error| unreachable(reason(&error)))?;
    let status = answer.status();
    let body = short_body(answer, GRANT).await.map_err(|error| unreachable(reason(&error)))?;
    if status.is_server_error() || status.as_u16() == 429 {
        return Err(unreachable(format!("HTTP {}", status.as_u16())));
    }
    let body = body.ok_or_else(|| unreachable(format!("the answer is longer than {GRANT} bytes")))?;
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body).to_vec();
    http::Response::builder()
        .status(status)
        .body(text)
        .map_err(|error| Failure::new(Kind::Bug, "take an answer").caused(error))
}
