//! `pearlift auth`: the login with OAuth, its state, and a refresh.
//!
//! Takes the settings of `[auth]`, gives tokens in the token file and lines without a token. Refuses (`Settings`) another
//! kind of login.

use std::io::stdin;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::cli::setup_arguments::{AuthArguments, AuthCommand, LoginArguments, LoginStatus};
use crate::cli::start::Start;
use crate::config::{AccountSettings, Credentials, OAuth};
use crate::failure::{Failure, Kind, Result};
use crate::fetch::{Auth, Authorisation, Http, TokenState};
use crate::login::{AnswerListener, LoginAnswer, RedirectAddress, pasted};

/// The page is waited for this long: time to log in to Brightpearl and to find the person who may.
const LOGIN_FOR: Duration = Duration::from_secs(600);
/// A connection to the token service is given this time.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Executes a command of `auth`.
pub async fn auth(start: Start, arguments: AuthArguments) -> Result<u8> {
    match arguments.command {
        AuthCommand::Login(arguments) => login(start, arguments).await,
        AuthCommand::Status(arguments) => status(&start, &arguments),
        AuthCommand::Refresh => refresh(&start).await,
    }
}

/// The account with its credentials.
fn credentials(start: &Start) -> Result<(AccountSettings, Credentials)> {
    let settings = start.settings(&start.catalog()?)?;
    Ok((settings.account()?, settings.credentials(start.now)?))
}

async fn login(start: Start, arguments: LoginArguments) -> Result<u8> {
    let terminal = start.terminal();
    let (account, settings) = match credentials(&start)? {
        (account, Credentials::OAuth(settings)) => (account, settings),
        (_, Credentials::StaffToken { .. } | Credentials::AccountToken { .. }) => {
            return Err(Failure::new(Kind::Settings, "log in")
                .because("`auth.kind` is not `oauth`, and other tokens need no login")
                .advise("set `kind = \"oauth\"` under [auth]; with another kind, `pearlift check` tests the token"));
        }
    };
    let redirect = redirect(&settings, &arguments)?;
    let listener = match redirect.is_here() && !arguments.paste {
        true => Some(AnswerListener::bind(redirect.clone()).await?),
        false => None,
    };
    let redirect = listener.as_ref().map_or(&redirect, AnswerListener::redirect).text().to_owned();
    let login = Authorisation::new(&settings, &account.code, &redirect, start.redactor.clone())?;
    login.prove_file().await?;
    terminal.complain(&["open this address in a browser, log in to Brightpearl and allow the app:".to_owned()]);
    terminal.print(&[login.address().to_string()])?;
    let answer = match listener {
        Some(listener) => {
            terminal.complain(&[format!("waiting for the answer at {redirect}")]);
            listener.answer(login.state(), LOGIN_FOR).await?
        }
        None => ask(&start, &redirect, login.state())?,
    };
    let http = Http::new(TIMEOUT)?;
    let state = login.redeem(&http, &answer.code()?, Timestamp::now()).await?;
    terminal.complain(&notes(&settings, &account, &state));
    terminal.print(&described(&account, &state, Timestamp::now()))?;
    Ok(0)
}

/// The redirect address: of the flags, else of the settings.
fn redirect(settings: &OAuth, arguments: &LoginArguments) -> Result<RedirectAddress> {
    let redirect = RedirectAddress::new(arguments.redirect_uri.as_deref().unwrap_or(&settings.redirect_uri))?;
    match arguments.port {
        Some(port) => redirect.with_port(port),
        None => Ok(redirect),
    }
}

/// The answer that a person pastes.
fn ask(start: &Start, redirect: &str, state: &str) -> Result<LoginAnswer> {
    let terminal = start.terminal();
    terminal.complain(&[format!(
        "then paste the address to which the page leads; it begins with {redirect}, and it is no fault if the browser shows \
         nothing there"
    )]);
    terminal.prompt("address, or the code in it:");
    let mut line = String::new();
    stdin()
        .read_line(&mut line)
        .map_err(|error| Failure::new(Kind::Usage, "read the answer from stdin").caused(error))?;
    pasted(&line, state)
}

/// Lines about settings that the login does not agree with.
fn notes(settings: &OAuth, account: &AccountSettings, state: &TokenState) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(named) = settings.refresh_token.as_ref().or(settings.access_token.as_ref()) {
        lines.push(format!(
            "{} is set: while it has this value, the tokens of this login take precedence; remove it",
            named.variable
        ));
    }
    if settings.dev_ref.is_none() || settings.app_ref.is_none() {
        lines.push("warning: the source answers 401 unless auth.app_ref and auth.dev_ref are both set".to_owned());
    }
    if let Some(domain) = state.api_domain.as_ref().filter(|domain| account.fixed && **domain != account.host()) {
        lines.push(format!(
            "the token service names the host {domain}, and the settings fix {}: remove account.api_domain (or \
             account.base_url) to follow the login",
            account.host()
        ));
    }
    lines
}

fn status(start: &Start, arguments: &LoginStatus) -> Result<u8> {
    let (account, credentials) = credentials(start)?;
    let token = match &credentials {
        Credentials::StaffToken { token, .. } | Credentials::AccountToken { token, .. } => Some(token.variable.clone()),
        Credentials::OAuth(_) => None,
    };
    let state = Auth::new(credentials, &account.code, start.redactor.clone())?.token_state()?;
    let terminal = start.terminal();
    let Some(state) = state else {
        let from = token.unwrap_or_default();
        if arguments.json {
            terminal.print_json(json!({"account": account.code, "host": account.host(), "variable": from}))?;
        } else {
            terminal.print(&[
                line("account", &account.code),
                line("host", &account.host()),
                line("token", &format!("from {from}; it is neither refreshed nor kept by pearlift")),
            ])?;
        }
        return Ok(0);
    };
    let now = start.now;
    if arguments.json {
        terminal.print_json(json!({
            "account": account.code,
            "host": host(&account, &state),
            "expires_at": state.expires_at,
            "expired": is_expired(&state, now),
            "refreshable": state.is_refreshable,
            "token_file": state.is_kept.then(|| state.file.display().to_string()),
        }))?;
    } else {
        terminal.print(&described(&account, &state, now))?;
    }
    if is_expired(&state, now) && !state.is_refreshable {
        return Err(Failure::new(Kind::Credentials, "use the OAuth token")
            .because("it has expired, and there is no refresh token")
            .advise("log in again with `pearlift auth login`"));
    }
    Ok(0)
}

async fn refresh(start: &Start) -> Result<u8> {
    let (account, credentials) = credentials(start)?;
    let auth = Auth::new(credentials, &account.code, start.redactor.clone())?;
    auth.refresh_now(&Http::new(TIMEOUT)?, Timestamp::now()).await?;
    if let Some(state) = auth.token_state()? {
        start.terminal().print(&described(&account, &state, Timestamp::now()))?;
    }
    Ok(0)
}

fn is_expired(state: &TokenState, now: Timestamp) -> bool {
    state.expires_at.is_some_and(|at| at <= now)
}

/// The host that requests go to.
fn host(account: &AccountSettings, state: &TokenState) -> String {
    match &state.api_domain {
        Some(domain) if !account.fixed => domain.clone(),
        Some(_) | None => account.host(),
    }
}

/// The state of a login for people.
fn described(account: &AccountSettings, state: &TokenState, now: Timestamp) -> Vec<String> {
    let token = match state.expires_at {
        Some(at) if at <= now => format!("expired at {at:.0}"),
        Some(at) => {
            let left = u64::try_from(at.duration_since(now).as_secs()).unwrap_or_default();
            // To the minute: nobody needs the seconds of a week.
            let left = humantime::format_duration(Duration::from_secs(left - left % 60));
            format!("valid until {at:.0}, for {left}")
        }
        None => "valid until the source refuses it: no expiry is known".to_owned(),
    };
    let refreshes = if state.is_refreshable { "yes, before it expires" } else { "no: there is no refresh token" };
    let kept =
        if state.is_kept { state.file.display().to_string() } else { "none yet: the tokens are configured".to_owned() };
    vec![
        line("account", &account.code),
        line("host", &host(account, state)),
        line("token", &token),
        line("refreshed", refreshes),
        line("token file", &kept),
    ]
}

fn line(name: &str, value: &str) -> String {
    format!("{name:<12}{value}")
}
