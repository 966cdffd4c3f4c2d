//! The values of secrets, from the place of an account's secrets: variables, variables with a prefix, or a folder.
//!
//! Each secret has several names, and the name of a variable may end in `_FILE` to name a file that holds the value. The
//! names with a hyphen are those that an integration platform injects; they come from the process environment as they
//! are. An account with a place of its own takes no token from another place: a missing one is not replaced by that of another
//! account. Keys of a store may be shared: where the place has none, the variables count.

use std::io::{Error, ErrorKind};
use std::path::Path;

use crate::config::aws_profile::S3Credentials;
use crate::config::destination;
use crate::config::environment::{Environment, SecretSource};
use crate::disk;
use crate::failure::{Failure, Kind, Result};
use crate::secret::Secret;

/// The most bytes of a file that holds a secret.
const MOST_BYTES: u64 = 64 << 10;
const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";

/// The names of one secret, first found wins.
pub(super) fn names(name: &str) -> Vec<String> {
    vec![format!("BRIGHTPEARL_{name}"), format!("PAN_SEC_BRIGHTPEARL-{name}")]
}

/// A name as the account's variables have it.
pub(super) fn prefixed(environment: &Environment, name: &str) -> String {
    match environment.secrets() {
        SecretSource::Prefixed(prefix) => format!("{prefix}{name}"),
        SecretSource::Variables | SecretSource::Folder(_) => name.to_owned(),
    }
}

/// The places of one secret, for messages: variables or files.
pub(super) fn places(environment: &Environment, name: &str) -> Vec<String> {
    let place = |name: String| match environment.secrets() {
        SecretSource::Folder(folder) => folder.join(name).display().to_string(),
        SecretSource::Variables | SecretSource::Prefixed(_) => prefixed(environment, &name),
    };
    names(name).into_iter().map(place).collect()
}

/// A value with the variable or file that gave it.
pub(super) fn find_named(environment: &Environment, name: &str) -> Result<Option<(String, String)>> {
    for name in names(name) {
        if let Some(found) = value(environment, &name)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The first value of these names of a store's secrets: at the place of the account's secrets, or else in variables.
pub(super) fn find_among(environment: &Environment, names: &[&str]) -> Result<Option<(String, String)>> {
    for name in names {
        if let Some(found) = value(environment, name)? {
            return Ok(Some(found));
        }
    }
    for name in names {
        if let Some(found) = variable(environment, name)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The value of one name at the place of the account's secrets.
fn value(environment: &Environment, name: &str) -> Result<Option<(String, String)>> {
    match environment.secrets() {
        SecretSource::Folder(folder) => in_folder(folder, name),
        SecretSource::Variables | SecretSource::Prefixed(_) => variable(environment, &prefixed(environment, name)),
    }
}

/// The value of a variable, or of the file that it names with `_FILE`.
fn variable(environment: &Environment, name: &str) -> Result<Option<(String, String)>> {
    if let Some(value) = environment.get(name) {
        return Ok(Some((without_mark(value), name.to_owned())));
    }
    let file = format!("{name}_FILE");
    let Some(path) = environment.get(&file) else { return Ok(None) };
    let path = destination::path_or_as_written(path, environment);
    let text = disk::read(&path, MOST_BYTES).and_then(text).map_err(|error| {
        Failure::new(Kind::Settings, format!("read the file that {file} names"))
            .at(path.display().to_string())
            .caused(error)
    })?;
    Ok(Some((without_mark(&text), file)))
}

/// The value in a file of the folder, if there is such a file.
fn in_folder(folder: &Path, name: &str) -> Result<Option<(String, String)>> {
    let path = folder.join(name);
    let shown = path.display().to_string();
    match disk::read(&path, MOST_BYTES).and_then(text) {
        Ok(text) => Ok(Some((without_mark(&text), shown))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::new(Kind::Settings, "read a file of `account.secrets_dir`").at(shown).caused(error)),
    }
}

/// The text of a file: UTF-8, or UTF-16 with a byte order mark, as some editors and shells write it.
fn text(bytes: Vec<u8>) -> std::io::Result<String> {
    let unit: fn([u8; 2]) -> u16 = match bytes.as_slice() {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return String::from_utf8(bytes).map_err(|_| no_text()),
    };
    let (pairs, rest) = bytes.as_chunks::<2>();
    let text = String::from_utf16(&pairs.iter().map(|pair| unit(*pair)).collect::<Vec<u16>>());
    text.ok().filter(|_| rest.is_empty()).ok_or_else(no_text)
}

/// Names no byte of the file, which holds a secret.
fn no_text() -> Error {
    Error::new(ErrorKind::InvalidData, "it is not text in UTF-8 or UTF-16")
}

/// A value without its byte order mark and surrounding white space.
pub(super) fn without_mark(text: &str) -> String {
    text.trim_start_matches('\u{feff}').trim().to_owned()
}

/// The keys of the bucket, where the account's secrets have a place of their own that holds them. Refuses (`Settings`)
/// one key without the other.
pub(super) fn s3_credentials(environment: &Environment) -> Result<Option<S3Credentials>> {
    if *environment.secrets() == SecretSource::Variables {
        return Ok(None);
    }
    let find = |name: &str| Ok(value(environment, name)?.map(|(text, _)| text).filter(|text| !text.is_empty()));
    let keys: (Option<String>, Option<String>) = (find(ACCESS_KEY_ID)?, find(SECRET_ACCESS_KEY)?);
    let (key_id, secret_key) = match keys {
        (None, None) => return Ok(None),
        (Some(id), Some(secret)) => (id, Secret::new(&secret)),
        (Some(_), None) | (None, Some(_)) => {
            let (id, secret) = (prefixed(environment, ACCESS_KEY_ID), prefixed(environment, SECRET_ACCESS_KEY));
            return Err(Failure::new(Kind::Settings, "find the keys of the account's bucket")
                .because(format!("only one of {id} and {secret} is at the place of its secrets")));
        }
    };
    let token = find(SESSION_TOKEN)?.map(|token| Secret::new(&token));
    [Some(&secret_key), token.as_ref()].into_iter().flatten().for_each(|one| environment.redactor().learn(one));
    Ok(Some(S3Credentials::Keys { key_id, secret_key, token }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(vars: &[(&str, &str)], secrets: SecretSource) -> Environment {
        Environment::new(vars.iter().map(|(name, value)| (name.into(), value.into()))).with_secrets(secrets)
    }

    #[test]
    fn an_account_with_a_place_of_its_own_takes_no_secret_from_another() {
        let vars = [
            ("BRIGHTPEARL_STAFF_TOKEN", "of nobody"),
            ("ACME_BRIGHTPEARL_STAFF_TOKEN", " of acme\n"),
            ("BRIGHTPEARL_HASH_KEY", "shared"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "key"),
        ];
        let of = |secrets: SecretSource, name: &str| find_named(&environment(&vars, secrets), name).unwrap();
        let acme = || SecretSource::Prefixed("ACME_".to_owned());
        let named = |value: &str, name: &str| Some((value.to_owned(), name.to_owned()));
        assert_eq!(of(acme(), "STAFF_TOKEN"), named("of acme", "ACME_BRIGHTPEARL_STAFF_TOKEN"));
        assert_eq!(of(SecretSource::Variables, "STAFF_TOKEN"), named("of nobody", "BRIGHTPEARL_STAFF_TOKEN"));
        assert_eq!(of(acme(), "HASH_KEY"), None);
        assert_eq!(of(SecretSource::Prefixed("BOLT_".to_owned()), "STAFF_TOKEN"), None);
        assert!(s3_credentials(&environment(&vars, acme())).unwrap().is_none());

        // GIVEN a folder with one file
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("BRIGHTPEARL_STAFF_TOKEN"), "\u{feff}of the folder\n").unwrap();
        let in_folder = || SecretSource::Folder(folder.path().to_owned());
        assert_eq!(of(in_folder(), "STAFF_TOKEN").unwrap().0, "of the folder");
        assert_eq!(of(in_folder(), "HASH_KEY"), None);
        // AND a folder in the place of a file is refused
        std::fs::create_dir(folder.path().join("BRIGHTPEARL_HASH_KEY")).unwrap();
        assert_eq!(find_named(&environment(&vars, in_folder()), "HASH_KEY").unwrap_err().kind(), Kind::Settings);
    }

    #[test]
    fn secrets_of_a_store_are_those_of_the_account_or_else_shared() {
        let names = ["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"];
        let shared = ("AZURE_STORAGE_ACCOUNT_KEY", "shared");
        let acme = ("ACME_AZURE_STORAGE_KEY", "of acme");
        let of = |vars: &[(&str, &str)]| {
            let environment = environment(vars, SecretSource::Prefixed("ACME_".to_owned()));
            find_among(&environment, &names).unwrap().map(|(value, _)| value)
        };
        assert_eq!(of(&[shared, acme]).as_deref(), Some("of acme"));
        assert_eq!(of(&[shared]).as_deref(), Some("shared"));
        assert_eq!(of(&[("BOLT_AZURE_STORAGE_KEY", "of bolt")]), None);
    }

    #[test]
    fn the_keys_of_a_bucket_come_together_and_become_known() {
        let acme = || SecretSource::Prefixed("ACME_".to_owned());
        let id = ("ACME_AWS_ACCESS_KEY_ID", "id of acme");
        let refused = s3_credentials(&environment(&[id], acme())).unwrap_err().to_string();
        assert!(refused.contains("only one of ACME_AWS_ACCESS_KEY_ID and ACME_AWS_SECRET_ACCESS_KEY"), "{refused}");
        let vars = [id, ("ACME_AWS_SECRET_ACCESS_KEY", "key of acme"), ("AWS_REGION", "eu-west-1")];
        let environment = environment(&vars, acme());
        let found = s3_credentials(&environment).unwrap().unwrap();
        assert!(matches!(found, S3Credentials::Keys { key_id, token: None, .. } if key_id == "id of acme"));
        assert_eq!(environment.redactor().clean("it is key of acme"), "it is [secret]");
    }
}
