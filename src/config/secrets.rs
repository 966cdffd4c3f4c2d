//! Credentials: tokens from the environment or from files, never from flags or the settings file.
//!
//! Each secret has several names; [`find_named`] finds its value at the place that the settings name.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

use crate::config::address::passwords;
use crate::config::choices::AuthKind;
use crate::config::destination;
use crate::config::environment::{Environment, SecretSource};
use crate::config::secret_source::{find_among, find_named, names, places, prefixed, without_mark};
use crate::config::shown::shown;
use crate::config::values::Values;
use crate::failure::{Failure, Kind, Result};
use crate::quantity::plural;
use crate::secret::{HashKey, Secret};

/// The fewest bytes of a hash key.
const LEAST_KEY: usize = 32;
/// The secrets of each kind of `[auth]`, in the order in which an unset kind is chosen by them.
const STAFF_TOKEN: &str = "STAFF_TOKEN";
const ACCOUNT_TOKEN: &str = "ACCOUNT_TOKEN";
const OAUTH_ACCESS_TOKEN: &str = "OAUTH_ACCESS_TOKEN";
const OAUTH_REFRESH_TOKEN: &str = "OAUTH_REFRESH_TOKEN";
const CLIENT_SECRET: &str = "CLIENT_SECRET";
/// The key of the hashes that stand for personal data.
const HASH_KEY: &str = "HASH_KEY";
/// The address of the webhook.
const WEBHOOK_URL: &str = "WEBHOOK_URL";
/// All of them.
const OWN: [&str; 7] =
    [STAFF_TOKEN, ACCOUNT_TOKEN, OAUTH_ACCESS_TOKEN, OAUTH_REFRESH_TOKEN, CLIENT_SECRET, HASH_KEY, WEBHOOK_URL];

/// Secrets that the clients of buckets take from the environment by themselves.
const OF_OTHERS: [&str; 6] = [
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
    "IDENTITY_HEADER",
];

/// Secrets of Azure Blob Storage: the key of the account, a shared access signature, and that of an application.
pub(super) const AZURE_KEY: [&str; 2] = ["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"];
pub(super) const AZURE_SIGNATURE: [&str; 1] = ["AZURE_STORAGE_SAS_TOKEN"];
pub(super) const AZURE_CLIENT_SECRET: [&str; 1] = ["AZURE_CLIENT_SECRET"];
/// Names of secrets within a text of settings, which other tools of Azure take.
const CONNECTION: [&str; 2] = ["AccountKey", "SharedAccessSignature"];

/// Variables of proxies, also in small letters.
const PROXIES: [&str; 3] = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"];

/// The proof of identity (docs/brightpearl-api.md §2.1).
#[derive(Clone, Debug)]
pub enum Credentials {
    StaffToken { app_ref: String, token: NamedSecret },
    AccountToken { app_ref: String, dev_ref: Option<String>, token: NamedSecret },
    OAuth(Box<OAuth>),
}

/// A secret and the variable that it came from, for advice.
#[derive(Clone, Debug)]
pub struct NamedSecret {
    pub secret: Secret,
    pub variable: String,
}

/// An OAuth 2 token set with the values that a login and a refresh need (docs/brightpearl-api.md §2.2, §2.7).
/// More than twelve fields: the keys of `[auth]`, and the variables.
#[derive(Clone, Debug)]
pub struct OAuth {
    pub app_ref: Option<String>,
    pub dev_ref: Option<String>,
    pub client_id: Option<String>,
    pub client_secret: Option<NamedSecret>,
    pub token_url: Option<String>,
    pub authorize_url: Option<String>,
    /// Exactly as it is registered for the app.
    pub redirect_uri: String,
    pub token_file: Option<PathBuf>,
    /// Domains beside the source's own in which a token answer may place the account.
    pub api_domains: Vec<String>,
    pub access_token: Option<NamedSecret>,
    pub refresh_token: Option<NamedSecret>,
    /// `Bearer` by default.
    pub token_type: String,
    pub expires_at: Option<Timestamp>,
}

/// A value by its names, from the place of the account's secrets.
pub fn find(environment: &Environment, name: &str) -> Result<Option<String>> {
    Ok(find_named(environment, name)?.map(|(text, _)| text))
}

/// The environment with the account's secrets from the place that the settings name; those in variables are registered
/// with its redactor. Refuses (`Settings`) two places, and a prefix that no variable can have.
pub fn of_account(environment: Environment, values: &Values) -> Result<Environment> {
    let refuse = |key: &str| Failure::new(Kind::Settings, format!("accept `account.{key}`"));
    let source = match (values.text("account.secrets_prefix"), values.text("account.secrets_dir")) {
        (None, None) => return Ok(environment),
        (Some(_), Some(_)) => {
            return Err(refuse("secrets_prefix")
                .because("`account.secrets_dir` is set too")
                .advise("the secrets of an account are in variables with a prefix or in a folder: remove one key"));
        }
        (Some(prefix), None) => {
            let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if prefix.is_empty() || !prefix.chars().all(valid) {
                return Err(refuse("secrets_prefix")
                    .because(format!("{} is not letters, digits and `_`", shown(prefix)))
                    .advise("write `secrets_prefix = \"ACME_\"` for ACME_BRIGHTPEARL_STAFF_TOKEN"));
            }
            SecretSource::Prefixed(prefix.to_owned())
        }
        (None, Some(folder)) => SecretSource::Folder(destination::path("account.secrets_dir", folder, &environment)?),
    };
    let environment = environment.with_secrets(source);
    learn(&environment);
    Ok(environment)
}

fn secret(environment: &Environment, name: &str) -> Result<Option<NamedSecret>> {
    known(environment, find_named(environment, name)?)
}

/// The first secret of these names: at the place of the account's secrets, or else in variables, or in the files that they name
/// with `_FILE`.
pub(super) fn of_variables(environment: &Environment, names: &[&str]) -> Result<Option<NamedSecret>> {
    let named = known(environment, find_among(environment, names)?)?;
    named.iter().for_each(|named| learn_parts(environment, named.secret.reveal()));
    Ok(named)
}

/// Registers the signature within a shared access signature, and the secrets within a connection string.
fn learn_parts(environment: &Environment, text: &str) {
    let learn = |text: &str| environment.redactor().learn(&Secret::new(text));
    for (name, value) in text.split(['?', '&', ';']).filter_map(|part| part.split_once('=')) {
        if name.eq_ignore_ascii_case("sig") || CONNECTION.iter().any(|known| name.trim().eq_ignore_ascii_case(known)) {
            learn(value);
        }
    }
}

/// A value that was found, as a secret that the redactor knows.
fn known(environment: &Environment, found: Option<(String, String)>) -> Result<Option<NamedSecret>> {
    let found = found.filter(|(text, _)| !text.is_empty());
    let named = found.map(|(text, variable)| NamedSecret { secret: Secret::new(&text), variable });
    named.iter().for_each(|named| environment.redactor().learn(&named.secret));
    Ok(named)
}

/// Registers the secrets that variables contain with the environment's redactor, for every kind of credentials: a
/// message may contain any of them. Files are read when they are needed, for one may be a pipe that gives its text
/// once.
pub fn learn(environment: &Environment) {
    let names = OWN.into_iter().flat_map(names).chain(OF_OTHERS.map(str::to_owned));
    let names = names.flat_map(|name| [prefixed(environment, &name), name]);
    let values = names.filter_map(|name| environment.get(&name).map(without_mark));
    values.for_each(|value| environment.redactor().learn(&Secret::new(&value)));
    for name in of_azure().flat_map(|name| [prefixed(environment, name), name.to_owned()]) {
        if let Some(value) = environment.get(&name) {
            environment.redactor().learn(&Secret::new(&without_mark(value)));
            learn_parts(environment, value);
        }
    }
    environment.get("AZURE_STORAGE_CONNECTION_STRING").iter().for_each(|text| learn_parts(environment, text));
    // Proxies and endpoints. Variables of other programs may hold a password that is a word of ours.
    let is_used = |name: &str| {
        ["PEARLIFT_", "AWS_", "AZURE_"].iter().any(|start| name.starts_with(start))
            || PROXIES.contains(&&*name.to_uppercase())
    };
    let used = environment.all().filter(|(name, _)| is_used(name));
    let passwords = used.filter_map(|(_, value)| passwords(value)).flatten();
    passwords.for_each(|text| environment.redactor().learn(&Secret::new(text)));
}

/// The names of the secrets of Azure Blob Storage.
fn of_azure() -> impl Iterator<Item = &'static str> {
    AZURE_KEY.into_iter().chain(AZURE_SIGNATURE).chain(AZURE_CLIENT_SECRET)
}

/// The variables of secrets with a prefix, and those that name files of them.
pub fn secret_variables(prefix: &str) -> Vec<String> {
    let names = OWN.into_iter().flat_map(names).chain(OF_OTHERS.into_iter().chain(of_azure()).map(str::to_owned));
    names.flat_map(|name| [format!("{prefix}{name}"), format!("{prefix}{name}_FILE")]).collect()
}

/// The address of the webhook, where a secret holds it.
pub fn webhook_url(environment: &Environment) -> Result<Option<String>> {
    Ok(secret(environment, WEBHOOK_URL)?.map(|named| named.secret.reveal().to_owned()))
}

/// The key of hashes. Refuses (`Settings`) one that could be guessed.
pub fn hash_key(environment: &Environment) -> Result<Option<HashKey>> {
    let Some(named) = secret(environment, HASH_KEY)? else { return Ok(None) };
    let length = named.secret.reveal().len();
    if length < LEAST_KEY {
        return Err(Failure::new(Kind::Settings, format!("take the hash key of {}", named.variable))
            .because(format!("it has {}, and a short key can be guessed", plural(length, "byte")))
            .advise(format!("use at least {LEAST_KEY} bytes, such as the output of `openssl rand -hex 32`")));
    }
    Ok(Some(HashKey::new(&named.secret)))
}

/// The credentials that settings and environment give.
pub fn resolve(values: &Values, environment: &Environment, now: Timestamp) -> Result<Credentials> {
    let staff = secret(environment, STAFF_TOKEN)?;
    let account = secret(environment, ACCOUNT_TOKEN)?;
    let access_token = secret(environment, OAUTH_ACCESS_TOKEN)?;
    let refresh_token = secret(environment, OAUTH_REFRESH_TOKEN)?;
    let text = |name: &str| values.text(name).map(str::to_owned);
    let set: Option<AuthKind> = values.choice("auth.kind");
    let kind = set.unwrap_or_else(|| {
        if staff.is_some() {
            AuthKind::StaffToken
        } else if account.is_some() {
            AuthKind::AccountToken
        } else if access_token.is_some() || refresh_token.is_some() {
            AuthKind::Oauth
        } else {
            AuthKind::StaffToken
        }
    });
    let app_ref = || {
        text("auth.app_ref").ok_or_else(|| {
            Failure::new(Kind::Settings, "find the app reference")
                .because("`auth.app_ref` is not set")
                .advise("set `app_ref` under [auth] in pearlift.toml, or PEARLIFT_AUTH_APP_REF")
        })
    };
    let missing = |what: &str, name: &str| {
        let places = places(environment, name);
        let advice = match environment.secrets() {
            SecretSource::Folder(_) => format!("write it to {}", places[0]),
            SecretSource::Variables | SecretSource::Prefixed(_) => {
                format!("export {0}, or name a file that contains it in {0}_FILE", places[0])
            }
        };
        let verb = if matches!(environment.secrets(), SecretSource::Folder(_)) { "exists" } else { "is set" };
        let other = match set {
            Some(_) => String::new(),
            None => format!(
                "; with another kind of credentials {} or {}",
                prefixed(environment, &format!("BRIGHTPEARL_{ACCOUNT_TOKEN}")),
                prefixed(environment, &format!("BRIGHTPEARL_{OAUTH_REFRESH_TOKEN}"))
            ),
        };
        Failure::new(Kind::Settings, format!("find the {what}"))
            .because(format!("neither {} {}", places.join(" nor "), verb))
            .advise(advice + &other)
    };
    match kind {
        AuthKind::StaffToken => {
            let token = staff.ok_or_else(|| missing("staff token", STAFF_TOKEN))?;
            Ok(Credentials::StaffToken { app_ref: app_ref()?, token })
        }
        AuthKind::AccountToken => {
            let token = account.ok_or_else(|| missing("account token", ACCOUNT_TOKEN))?;
            Ok(Credentials::AccountToken { app_ref: app_ref()?, dev_ref: text("auth.dev_ref"), token })
        }
        AuthKind::Oauth => {
            let token_type = find(environment, "OAUTH_TOKEN_TYPE")?.filter(|text| !text.is_empty());
            let token_file = values.text("auth.token_file");
            Ok(Credentials::OAuth(Box::new(OAuth {
                app_ref: text("auth.app_ref"),
                dev_ref: text("auth.dev_ref"),
                client_id: text("auth.client_id").or_else(|| text("auth.app_ref")),
                client_secret: secret(environment, CLIENT_SECRET)?,
                token_url: text("auth.token_url"),
                authorize_url: text("auth.authorize_url"),
                redirect_uri: text("auth.redirect_uri").expect("it has a default"),
                api_domains: values.list("auth.api_domains").unwrap_or_default(),
                token_file: token_file
                    .map(|text| destination::path("auth.token_file", text, environment))
                    .transpose()?,
                access_token,
                refresh_token,
                token_type: token_type.map_or_else(|| "Bearer".to_owned(), |kind| capitalised(&kind)),
                expires_at: expiry(environment, now)?,
            })))
        }
    }
}

/// `bearer` is written `Bearer` in the header, as the source's own answers do.
pub fn capitalised(kind: &str) -> String {
    if kind.eq_ignore_ascii_case("bearer") { "Bearer".to_owned() } else { kind.to_owned() }
}

/// The whole part of a number that may be written with a fraction, as `3600.0`.
fn whole(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    whole.parse().ok().filter(|_: &i64| fraction.bytes().all(|byte| byte.is_ascii_digit()))
}

/// When the access token expires: an instant in ISO 8601, seconds or milliseconds since 1970, or else this many seconds
/// from now, which a 401 corrects if the token is older than that.
fn expiry(environment: &Environment, now: Timestamp) -> Result<Option<Timestamp>> {
    let wrong = |name: &str, text: &str| {
        let place = &places(environment, name)[0];
        Failure::new(Kind::Settings, format!("read {place}")).because(format!("{} is no time", shown(text)))
    };
    if let Some(text) = find(environment, "OAUTH_EXPIRES_AT")?.filter(|text| !text.is_empty()) {
        let at = match whole(&text) {
            // Seconds pass this number in the year 5138; milliseconds passed it in 1973.
            Some(number) if number.abs() < 100_000_000_000 => Timestamp::from_second(number).ok(),
            Some(number) => Timestamp::from_millisecond(number).ok(),
            None => text.parse::<Timestamp>().ok(),
        };
        return at.map(Some).ok_or_else(|| wrong("OAUTH_EXPIRES_AT", &text));
    }
    if let Some(text) = find(environment, "OAUTH_EXPIRES_IN")?.filter(|text| !text.is_empty()) {
        let seconds = whole(&text).ok_or_else(|| wrong("OAUTH_EXPIRES_IN", &text))?;
        return Ok(now.checked_add(SignedDuration::from_secs(seconds)).ok());
    }
    Ok(None)
}
