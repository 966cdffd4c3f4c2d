//! A bucket of Google Cloud Storage as settings and environment describe it: `gs://bucket/prefix`, an experiment.
//!
//! Takes values, environment and the address, gives [`CloudBucket`]. Refuses (`Settings`) the address unless
//! `destination.gcs.experimental` accepts that no test proves the service's conditional puts, and a file of credentials
//! that cannot be read.

use std::path::PathBuf;

use serde_json::Value;

use crate::config::bucket::{LockSettings, check_name, locks};
use crate::config::destination;
use crate::config::environment::Environment;
use crate::config::values::Values;
use crate::disk;
use crate::failure::{Failure, Kind, Result};
use crate::secret::{Redactor, Secret};

/// The variable of the file of credentials.
const CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";
/// Keys of that file that hold a secret.
const SECRETS: [&str; 3] = ["private_key", "client_secret", "refresh_token"];
/// The most bytes of that file.
const MOST_BYTES: u64 = 1 << 20;

/// A bucket of Google Cloud Storage.
#[derive(Clone, Debug)]
pub struct CloudBucket {
    pub bucket: String,
    /// Without slashes at its ends; empty for the bucket's root.
    pub prefix: String,
    /// Those of the environment; without them the client looks for those of `gcloud`, and then of the machine.
    pub credentials: Option<CloudCredentials>,
    pub locks: LockSettings,
    /// Learns the credentials that are fetched.
    pub redactor: Redactor,
}

/// A file of credentials, with its text.
#[derive(Clone, Debug)]
pub struct CloudCredentials {
    pub path: PathBuf,
    pub text: Secret,
    /// Whether it is the key of a service account, or else the authorisation of a user.
    pub is_key: bool,
}

/// The bucket of an address `gs://…`; `rest` is its part behind the scheme.
pub(super) fn resolve(url: &str, rest: &str, values: &Values, environment: &Environment) -> Result<CloudBucket> {
    if !values.flag("destination.gcs.experimental").unwrap_or_default() {
        return Err(Failure::new(Kind::Settings, "accept the destination")
            .because("Google Cloud Storage is experimental: no test has proved against the service that two runs cannot overwrite each other's commits")
            .advise("set `experimental = true` under [destination.gcs] to use it nevertheless, or use a folder, S3 or Azure"));
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    check_name(url, bucket, CREDENTIALS)?;
    Ok(CloudBucket {
        bucket: bucket.to_owned(),
        prefix: destination::prefix(url, prefix)?,
        credentials: credentials(environment)?,
        locks: locks("destination.gcs", values)?,
        redactor: environment.redactor().clone(),
    })
}

/// The file of credentials that the environment names.
fn credentials(environment: &Environment) -> Result<Option<CloudCredentials>> {
    let Some(path) = environment.get(CREDENTIALS) else { return Ok(None) };
    let path = destination::path_or_as_written(path.trim(), environment);
    let refused = || {
        Failure::new(Kind::Settings, format!("read the file that {CREDENTIALS} names")).at(path.display().to_string())
    };
    let text = disk::read_text(&path, MOST_BYTES).map_err(|error| refused().caused(error))?;
    // The cause of an error would quote the text.
    let parsed: Value = serde_json::from_str(&text).map_err(|_| refused().because("it is not JSON"))?;
    let secrets = SECRETS.iter().filter_map(|key| parsed.get(key)?.as_str());
    secrets.for_each(|secret| environment.redactor().learn(&Secret::new(secret)));
    let is_key = parsed.get("private_key").is_some();
    Ok(Some(CloudCredentials { path, text: Secret::new(&text), is_key }))
}
