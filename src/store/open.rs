//! Opens a destination: folder, bucket, container, or memory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::client::HttpConnector;
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore};
use url::Url;

use crate::config::{
    BucketEncryption, Destination, DestinationLayout, LockSettings, S3, check_address, is_credential_service,
};
use crate::disk::Folder;
use crate::failure::{Failure, Kind, Result};
use crate::store::credentials::known;
use crate::store::listing::Bucket;
use crate::store::local::LocalFolder;
use crate::store::network::{Connector, retry};
use crate::store::step::Watcher;
use crate::store::uploads::Uploads;
use crate::store::{Former, LockTiming, Store, StoreKind, error, paths};

/// Credentials that the client takes from the environment, with their variables.
const CREDENTIALS: [(AmazonS3ConfigKey, &str); 9] = [
    (AmazonS3ConfigKey::AccessKeyId, "AWS_ACCESS_KEY_ID"),
    (AmazonS3ConfigKey::Token, "AWS_SESSION_TOKEN"),
    (AmazonS3ConfigKey::SecretAccessKey, "AWS_SECRET_ACCESS_KEY"),
    (AmazonS3ConfigKey::WebIdentityTokenFile, "AWS_WEB_IDENTITY_TOKEN_FILE"),
    (AmazonS3ConfigKey::RoleArn, "AWS_ROLE_ARN"),
    (AmazonS3ConfigKey::RoleSessionName, "AWS_ROLE_SESSION_NAME"),
    (AmazonS3ConfigKey::ContainerCredentialsRelativeUri, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    (AmazonS3ConfigKey::ContainerCredentialsFullUri, "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    (AmazonS3ConfigKey::ContainerAuthorizationTokenFile, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
];
/// Addresses that the client takes from the environment, with their variables: credentials go there, or come from
/// there.
const ADDRESSES: [(AmazonS3ConfigKey, &str); 5] = [
    (AmazonS3ConfigKey::Endpoint, "AWS_ENDPOINT_URL"),
    (AmazonS3ConfigKey::S3Endpoint, "AWS_ENDPOINT_URL_S3"),
    (AmazonS3ConfigKey::StsEndpoint, "AWS_ENDPOINT_URL_STS"),
    (AmazonS3ConfigKey::MetadataEndpoint, "AWS_METADATA_ENDPOINT"),
    (AmazonS3ConfigKey::ContainerCredentialsFullUri, "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
];
/// The host at which the client asks for `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`, with its scheme.
const CONTAINER: &str = "http://169.254.170.2";

impl Store {
    /// Opens the destination, in the layout `parquet`. A missing folder is made if `create` is true. Refuses (`StoreRefused`) a folder in which
    /// `_pearlift`, or something directly in it, is a link or another odd object.
    pub fn open(destination: &Destination, create: bool) -> Result<Self> {
        match destination {
            Destination::Local(folder) => Self::folder(folder, create),
            Destination::S3(s3) => Self::bucket(s3, AmazonS3Builder::from_env()),
            Destination::Azure(azure) => Self::container(azure),
            Destination::Cloud(cloud) => Self::cloud(cloud),
        }
    }

    fn folder(folder: &Path, create: bool) -> Result<Self> {
        if create {
            std::fs::create_dir_all(folder).map_err(|e| error::local("make", folder, e))?;
        }
        let folder = folder.canonicalize().map_err(|e| error::local("find", folder, e))?;
        let folder = Folder::open(&folder).map_err(|e| error::local("open", &folder, e))?;
        // Checked before anything is written, because the folder is used last.
        folder.list_names(paths::OURS).map_err(|e| error::local("use", &folder.place(paths::OURS), e))?;
        Ok(Self {
            inner: Arc::new(LocalFolder(folder.clone())),
            place: StoreKind::Folder(folder),
            lock_timing: LockTiming::default(),
            watcher: Watcher::default(),
            uploads: None,
            former: None,
            layout: DestinationLayout::default(),
            retention: Duration::ZERO,
        })
    }

    /// Opens a bucket with the credentials of a builder.
    pub fn bucket(s3: &S3, credentials: AmazonS3Builder) -> Result<Self> {
        let url = format!("s3://{}/{}", s3.bucket, s3.prefix);
        // Never for an endpoint that the client finds in the environment by itself.
        let client = ClientOptions::new().with_allow_http(s3.allow_http && s3.endpoint.is_some());
        let mut builder = encrypted(checked(trimmed(credentials)?)?, s3)
            .with_http_connector(Connector)
            .with_bucket_name(&s3.bucket)
            .with_region(s3.region.as_deref().unwrap_or("us-east-1"))
            .with_virtual_hosted_style_request(!s3.path_style)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_client_options(client.clone())
            .with_retry(retry());
        if let Some(endpoint) = &s3.endpoint {
            // Both of its names, or one that the client finds in the environment by itself would win.
            builder = builder.with_endpoint(endpoint).with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
        }
        let opened = known(builder, s3).and_then(|builder| {
            let singly = builder.clone().with_disable_bulk_delete(true).build()?;
            Ok((builder.build()?, singly, Connector.connect(&client)?))
        });
        let (bucket, singly, client) = opened.map_err(|error| {
            Failure::new(Kind::StoreRefused, "open the bucket").at(&url).caused(error).advise(
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY give the credentials, or `profile` under [destination.s3]",
            )
        })?;
        let listed = Bucket::new(bucket.clone(), Some(singly));
        let store = Self::below(listed.clone(), &s3.prefix, url, s3.locks)?;
        let prefix = Key::parse(&s3.prefix).expect("it was parsed");
        // As earlier versions made keys of a prefix.
        let escaped = Key::from(s3.prefix.as_str());
        let former = (escaped != prefix).then(|| Former {
            url: format!("s3://{}/{escaped}", s3.bucket),
            inner: Arc::new(PrefixStore::new(listed, escaped)),
        });
        let uploads = Some(Uploads::new(bucket, client, prefix));
        Ok(Self { uploads, former, ..store })
    }

    /// A store of the objects of a bucket below a prefix. Refuses (`Settings`) a prefix that no key can have.
    pub(super) fn below(bucket: Bucket, prefix: &str, url: String, locks: LockSettings) -> Result<Self> {
        // Parsed as it is: `Key::from` would escape characters that the client escapes again in its addresses.
        let parsed = Key::parse(prefix)
            .map_err(|error| Failure::new(Kind::Settings, "accept the destination").at(&url).caused(error))?;
        let inner: Arc<dyn ObjectStore> = match prefix {
            "" => Arc::new(bucket),
            _ => Arc::new(PrefixStore::new(bucket, parsed)),
        };
        Ok(Self::in_bucket(inner, url, locks))
    }

    /// A store of objects below a URL, in the layout `parquet`.
    fn in_bucket(inner: Arc<dyn ObjectStore>, url: String, locks: LockSettings) -> Self {
        Self {
            inner,
            place: StoreKind::Bucket(url),
            lock_timing: LockTiming::of(locks),
            watcher: Watcher::default(),
            uploads: None,
            former: None,
            layout: DestinationLayout::default(),
            retention: Duration::ZERO,
        }
    }

    /// A destination that lives as long as the process, for tests.
    pub fn memory() -> Self {
        Self {
            inner: Arc::new(InMemory::new()),
            place: StoreKind::Bucket("memory".to_owned()),
            lock_timing: LockTiming::default(),
            watcher: Watcher::default(),
            uploads: None,
            former: None,
            layout: DestinationLayout::default(),
            retention: Duration::ZERO,
        }
    }
}

/// The encryption of the settings, which every put, copy and upload requests.
fn encrypted(builder: AmazonS3Builder, s3: &S3) -> AmazonS3Builder {
    let key = s3.kms_key.as_deref().unwrap_or_default();
    match s3.encryption {
        None => builder,
        Some(BucketEncryption::Kms) => builder.with_sse_kms_encryption(key),
        Some(BucketEncryption::DoubleKms) => builder.with_dsse_kms_encryption(key),
        Some(BucketEncryption::Managed) => {
            let kind = "aws_server_side_encryption".parse().expect("it is a name that the client knows");
            builder.with_config(kind, "AES256")
        }
    }
}

/// Credentials without the line ends of the files that they were read from. Refuses (`Settings`), by its variable, a
/// value that no header can carry.
fn trimmed(mut builder: AmazonS3Builder) -> Result<AmazonS3Builder> {
    for (key, variable) in CREDENTIALS {
        let Some(value) = builder.get_config_value(&key) else { continue };
        let value = value.trim();
        if value.chars().any(|c| !c.is_ascii() || c.is_ascii_control()) {
            return Err(Failure::new(Kind::Settings, "open the bucket")
                .because(format!("{variable} contains characters that no header can carry"))
                .advise(format!("check {variable} for line breaks within it and characters beyond ASCII")));
        }
        builder = builder.with_config(key, value);
    }
    Ok(builder)
}

/// Addresses of the environment, under the rules of those in the settings. Refuses (`Settings`), by its variable, one
/// with a user or a password, and plain http to anything but this machine and the services at which AWS gives
/// credentials.
fn checked(mut builder: AmazonS3Builder) -> Result<AmazonS3Builder> {
    for (key, variable) in ADDRESSES {
        let Some(value) = builder.get_config_value(&key) else { continue };
        let value = value.trim();
        let url = Url::parse(value).map_err(|error| {
            Failure::new(Kind::Settings, format!("read {variable}")).because("it is no URL").caused(error)
        })?;
        let gives = matches!(key, AmazonS3ConfigKey::MetadataEndpoint | AmazonS3ConfigKey::ContainerCredentialsFullUri)
            && url.host().is_some_and(|host| is_credential_service(&host));
        let mut secured = url.clone();
        if gives && url.scheme() == "http" {
            secured.set_scheme("https").expect("http and https are alike");
        }
        check_address(&secured, variable)?;
        builder = builder.with_config(key, value);
    }
    let relative = builder.get_config_value(&AmazonS3ConfigKey::ContainerCredentialsRelativeUri);
    if let Some(relative) = relative {
        let host = |text: &str| Url::parse(text).ok().and_then(|url| Some((url.host_str()?.to_owned(), url.port())));
        if !relative.starts_with('/') || host(&format!("{CONTAINER}{relative}")) != host(CONTAINER) {
            return Err(Failure::new(Kind::Settings, "open the bucket")
                .because("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not a path: it begins with `/`"));
        }
    }
    Ok(builder)
}
