//! A bucket as settings and environment describe it: `s3://bucket/prefix`.
//!
//! Takes values, environment and the address, gives [`S3`]. Refuses (`Settings`) an address with credentials or without
//! a bucket, an endpoint that credentials must not be sent to, and a region that is no part of a host.

use std::time::Duration;

use url::Url;

use crate::config::address::{check_address, refuse_query, shown_address};
use crate::config::aws_profile::{self, S3Credentials};
use crate::config::choices::BucketEncryption;
use crate::config::destination;
use crate::config::environment::Environment;
use crate::config::secret_source::s3_credentials;
use crate::config::shown::shown;
use crate::config::values::Values;
use crate::failure::{Failure, Kind, Result};
use crate::secret::Redactor;

/// S3-compatible storage; credentials come from the place of the account's secrets, a profile, or the usual `AWS_*` environment.
#[derive(Clone, Debug)]
pub struct S3 {
    pub bucket: String,
    /// Without slashes at its ends; empty for the bucket's root.
    pub prefix: String,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub allow_http: bool,
    pub path_style: bool,
    /// Those of the account or of a profile, instead of the environment's.
    pub credentials: Option<S3Credentials>,
    /// By the service, at rest; the bucket's own rule where none is set.
    pub encryption: Option<BucketEncryption>,
    pub kms_key: Option<String>,
    pub locks: LockSettings,
    /// Learns the credentials that are fetched.
    pub redactor: Redactor,
}

/// How lock objects live.
#[derive(Clone, Copy, Debug)]
pub struct LockSettings {
    /// How often a lock object is renewed.
    pub renew: Duration,
    /// The time, by the observer's clock, after which an unchanged lock object has expired.
    pub expire: Duration,
}

/// The bucket of an address `s3://…`; `rest` is its part behind the scheme.
pub(super) fn resolve(url: &str, rest: &str, values: &Values, environment: &Environment) -> Result<S3> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    check_name(url, bucket, "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY")?;
    // Line ends of files that variables were read from are no part of a value.
    let variable = |name: &str| environment.get(name).map(|text| text.trim().to_owned());
    let text = |name: &str| values.text(name).map(str::to_owned);
    // The account's own keys precede a profile of the settings, and that the keys of the environment, which precede its profile.
    let own = s3_credentials(environment)?;
    let of_environment = || variable("AWS_PROFILE").filter(|_| variable("AWS_ACCESS_KEY_ID").is_none());
    let profile = text("destination.s3.profile").or_else(of_environment);
    let profile = profile.filter(|_| own.is_none()).map(|name| aws_profile::read(&name, environment)).transpose()?;
    let endpoint = text("destination.s3.endpoint")
        .or_else(|| variable("AWS_ENDPOINT_URL_S3"))
        .or_else(|| variable("AWS_ENDPOINT_URL"))
        .or_else(|| variable("AWS_ENDPOINT"))
        .or_else(|| profile.as_ref()?.endpoint.clone());
    let allow_http = values.flag("destination.s3.allow_http").unwrap_or_default();
    if let Some(endpoint) = &endpoint {
        check_endpoint("destination.s3", endpoint, allow_http)?;
    }
    let region = text("destination.s3.region")
        .or_else(|| variable("AWS_REGION"))
        .or_else(|| variable("AWS_DEFAULT_REGION"))
        .or_else(|| profile.as_ref()?.region.clone());
    // It becomes a part of hosts.
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if let Some(region) = region.as_ref().filter(|region| !region.chars().all(is_part)) {
        return Err(Failure::new(Kind::Settings, "accept `destination.s3.region`")
            .at(shown(region))
            .because("it is not letters, digits and `-`, as `eu-west-1`"));
    }
    let (encryption, kms_key) = encryption(values)?;
    Ok(S3 {
        bucket: bucket.to_owned(),
        prefix: destination::prefix(url, prefix)?,
        path_style: values.flag("destination.s3.path_style").unwrap_or(endpoint.is_some()),
        endpoint,
        region,
        allow_http,
        credentials: own.or_else(|| profile.map(|profile| profile.credentials)),
        encryption,
        kms_key,
        locks: locks("destination.s3", values)?,
        redactor: environment.redactor().clone(),
    })
}

/// Refuses the name of a bucket or container that is none, with the variables that credentials come from.
pub(super) fn check_name(url: &str, name: &str, variables: &str) -> Result<()> {
    let refuse = |why: &str| Failure::new(Kind::Settings, "accept the destination").at(shown_address(url)).because(why);
    if name.is_empty() {
        return Err(refuse("it names no bucket"));
    }
    if name.contains(['@', ':', '%']) {
        return Err(refuse("its bucket contains a user or a password, or is not a name")
            .advise(format!("credentials come from the environment only: {variables}")));
    }
    if name.contains(['?', '#', '\\']) || name.contains(char::is_whitespace) {
        let scheme = url.split_once("://").map_or("s3", |(scheme, _)| scheme);
        return Err(refuse("its bucket has characters that bucket names cannot have")
            .advise(format!("write `{scheme}://bucket/prefix`")));
    }
    Ok(())
}

/// Refuses an endpoint of a section that is no address, and http without `allow_http`.
pub(super) fn check_endpoint(section: &str, endpoint: &str, allow_http: bool) -> Result<()> {
    let key = format!("{section}.endpoint");
    let url = Url::parse(endpoint).map_err(|error| {
        Failure::new(Kind::Settings, format!("read `{key}`")).at(shown_address(endpoint)).caused(error)
    })?;
    check_address(&url, &key)?;
    refuse_query(&url, &key)?;
    if url.scheme() == "http" && !allow_http {
        return Err(Failure::new(Kind::Settings, format!("accept `{key}`"))
            .at(shown_address(endpoint))
            .because("it is http")
            .advise(format!("set `allow_http = true` under [{section}]; it is accepted for loopback only")));
    }
    Ok(())
}

/// The encryption at rest and its key. Refuses (`Settings`) a key that nothing is encrypted with.
fn encryption(values: &Values) -> Result<(Option<BucketEncryption>, Option<String>)> {
    let encryption: Option<BucketEncryption> = values.choice("destination.s3.encryption");
    let key = values.text("destination.s3.kms_key").map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
    let refuse = |why: &str| Failure::new(Kind::Settings, "accept `destination.s3.kms_key`").because(why);
    if key.is_some() && !encryption.is_some_and(BucketEncryption::has_key) {
        return Err(refuse("`destination.s3.encryption` is not one with a key")
            .advise("set `encryption = \"aws:kms\"` under [destination.s3]"));
    }
    if key.as_ref().is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(refuse("it is not the id, the alias or the ARN of a key"));
    }
    Ok((encryption, key))
}

/// How the lock objects of a section's store live.
pub(super) fn locks(section: &str, values: &Values) -> Result<LockSettings> {
    let needed = |key: &str| Ok(values.duration(&format!("{section}.{key}"))?.expect("it has a default"));
    let (renew, expire) = (needed("lock_renew")?, needed("lock_expire")?);
    if expire < renew * 3 {
        return Err(Failure::new(Kind::Settings, format!("accept `{section}.lock_expire`")).because(
            "it must be at least three times `lock_renew`, or a slow renewal would look like an expired lock",
        ));
    }
    Ok(LockSettings { renew, expire })
}
