//! A profile of the files that AWS tools share: `~/.aws/credentials` and `~/.aws/config`.
//!
//! Takes the name of a profile and the environment, gives its credentials, region and endpoint. A profile is read only
//! where `destination.s3.profile` or `AWS_PROFILE` names it. Refuses (`Settings`) a profile that is in neither file, one
//! without credentials, and credentials that only another program or service can give: single sign-on,
//! `credential_process`, and a role that another profile assumes.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;

use crate::config::destination;
use crate::config::environment::Environment;
use crate::config::shown::shown;
use crate::disk;
use crate::failure::{Failure, Kind, Result};
use crate::secret::Secret;

/// The most bytes of a file of profiles.
const MOST_BYTES: u64 = 1 << 20;
/// The files, with the variables that name others.
const CREDENTIALS: (&str, &str) = ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials");
const CONFIG: (&str, &str) = ("AWS_CONFIG_FILE", "~/.aws/config");
/// The profile that has no prefix in the file of settings.
const DEFAULT: &str = "default";
/// Keys whose values are sent.
const SENT: [&str; 5] =
    ["aws_access_key_id", "aws_secret_access_key", "aws_session_token", "role_arn", "role_session_name"];
/// Keys of a sign-on in a browser.
const SIGN_ON: [&str; 2] = ["sso_session", "sso_start_url"];

/// A profile.
#[derive(Clone, Debug)]
pub struct AwsProfile {
    pub credentials: S3Credentials,
    pub region: Option<String>,
    pub endpoint: Option<String>,
}

/// The credentials of a bucket, instead of those that the client finds: of a profile, or of the place of the account's secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum S3Credentials {
    /// Keys, with the token of a session where they belong to one.
    Keys { key_id: String, secret_key: Secret, token: Option<Secret> },
    /// A role, for which a service gives keys in exchange for the token in a file.
    WebIdentity { role: String, token_file: PathBuf, session_name: Option<String> },
}

/// The keys and values of one section.
type Section = BTreeMap<String, String>;

/// The profile of this name.
pub(super) fn read(name: &str, environment: &Environment) -> Result<AwsProfile> {
    let (credentials, places) = section(CREDENTIALS, &[name.to_owned()], environment)?;
    let named = match name {
        DEFAULT => vec![DEFAULT.to_owned(), format!("profile {DEFAULT}")],
        _ => vec![format!("profile {name}")],
    };
    let (config, config_place) = section(CONFIG, &named, environment)?;
    if credentials.is_none() && config.is_none() {
        return Err(refused(name)
            .because(format!("neither {places} nor {config_place} has it"))
            .advise("correct `profile` under [destination.s3], or AWS_PROFILE; AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name other files"));
    }
    let mut keys = config.unwrap_or_default();
    // Those of the file of credentials come first, as in the tools of AWS.
    keys.extend(credentials.unwrap_or_default());
    if let Some(key) = SENT.iter().find(|key| keys.get(**key).is_some_and(|value| !is_header_text(value))) {
        return Err(refused(name).because(format!("its `{key}` contains characters that no header can carry")));
    }
    let credentials = chosen(name, &keys, environment)?;
    if let S3Credentials::Keys { secret_key, token, .. } = &credentials {
        token.iter().chain([secret_key]).for_each(|secret| environment.redactor().learn(secret));
    }
    let text = |key: &str| keys.get(key).filter(|value| !value.is_empty()).cloned();
    Ok(AwsProfile { credentials, region: text("region"), endpoint: text("endpoint_url") })
}

fn refused(name: &str) -> Failure {
    Failure::new(Kind::Settings, format!("use the AWS profile {}", shown(name)))
}

fn is_header_text(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// The credentials of a profile's keys, in the order of precedence of the tools of AWS.
fn chosen(name: &str, keys: &Section, environment: &Environment) -> Result<S3Credentials> {
    let text = |key: &str| keys.get(key).filter(|value| !value.is_empty()).cloned();
    let ask_a_tool =
        "`aws configure export-credentials --profile NAME --format env` prints variables that pearlift takes";
    match (text("role_arn"), text("web_identity_token_file")) {
        (Some(role), Some(token_file)) => {
            let token_file = destination::path_or_as_written(&token_file, environment);
            return Ok(S3Credentials::WebIdentity { role, token_file, session_name: text("role_session_name") });
        }
        (Some(_), None) => {
            return Err(refused(name)
                .because("its role is assumed with the credentials of another profile or of the machine, which pearlift does not do")
                .advise(ask_a_tool));
        }
        (None, _) => {}
    }
    if SIGN_ON.iter().any(|key| text(key).is_some()) {
        return Err(refused(name)
            .because("it needs a sign-on in a browser (SSO), which pearlift does not do")
            .advise(ask_a_tool));
    }
    match (text("aws_access_key_id"), text("aws_secret_access_key")) {
        (Some(key_id), Some(secret_key)) => Ok(S3Credentials::Keys {
            key_id,
            secret_key: Secret::new(&secret_key),
            token: text("aws_session_token").map(|token| Secret::new(&token)),
        }),
        (Some(_), None) => Err(refused(name).because("it has `aws_access_key_id` without `aws_secret_access_key`")),
        (None, Some(_)) => Err(refused(name).because("it has `aws_secret_access_key` without `aws_access_key_id`")),
        (None, None) if text("credential_process").is_some() => Err(refused(name)
            .because(
                "its credentials are printed by another program (`credential_process`), which pearlift does not start",
            )
            .advise(ask_a_tool)),
        (None, None) => Err(refused(name).because("it has no credentials").advise(
            "add `aws_access_key_id` and `aws_secret_access_key` to it, or leave `profile` under [destination.s3] out",
        )),
    }
}

/// The section of a file under one of these names, and the path of the file.
fn section(
    (variable, usual): (&str, &str),
    names: &[String],
    environment: &Environment,
) -> Result<(Option<Section>, String)> {
    let path = environment.get(variable).unwrap_or(usual).trim();
    let path: PathBuf = destination::path_or_as_written(path, environment);
    let place = path.display().to_string();
    let text = match disk::read_text(&path, MOST_BYTES) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((None, place)),
        Err(error) => {
            return Err(Failure::new(Kind::Settings, "read a file of AWS profiles").at(place).caused(error));
        }
    };
    let mut sections = sections(&text);
    Ok((names.iter().find_map(|name| sections.remove(name)), place))
}

/// The sections of a text. A section that occurs again continues. Lines that are indented belong to the key before
/// them and are left out, as is a comment behind a value.
fn sections(text: &str) -> BTreeMap<String, Section> {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    let mut current = None;
    for line in text.trim_start_matches('\u{feff}').lines() {
        let is_indented = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || is_indented || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some((name, _)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            // Any white space between `profile` and its name is one space.
            let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
            sections.entry(name.clone()).or_default();
            current = Some(name);
            continue;
        }
        let (Some(section), Some((key, value))) = (current.as_ref(), line.split_once('=')) else { continue };
        let value = [" #", " ;", "\t#", "\t;"].iter().fold(value, |value, sign| match value.find(sign) {
            Some(at) => &value[..at],
            None => value,
        });
        let key = key.trim().to_ascii_lowercase();
        sections.entry(section.clone()).or_default().insert(key, value.trim().to_owned());
    }
    sections
}

#[cfg(test)]
#[path = "aws_profile_tests.rs"]
mod tests;
