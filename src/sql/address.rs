//! The address of the destination as each engine writes it.
//!
//! Takes the destination of the settings and an address that the user gives instead, gives the beginning of every path. Refuses
//! (`Settings`) a destination that the engine cannot reach, and characters that engines take for patterns.

use crate::config::{AzureContainer, CloudBucket, Destination, S3};
use crate::failure::{Failure, Kind, Result};
use crate::sql::dialect::SqlDialect;

/// Signs of patterns in the paths of at least one engine.
const PATTERNS: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];
/// The service that serves a bucket of Cloud Storage by the protocol of S3.
const CLOUD_STORAGE: &str = "storage.googleapis.com";

/// The address of a destination for a dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseAddress {
    /// Without a slash at its end.
    base: String,
    /// Lines for people: where the engine takes credentials and the address of the service from.
    pub notes: Vec<String>,
}

impl BaseAddress {
    /// The address of a path below the destination.
    pub fn of(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    /// The address of the destination itself.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether it is a path of this machine.
    pub fn is_local(&self) -> bool {
        self.base.starts_with('/') || self.base.starts_with("file:")
    }
}

/// The address of the destination; `described` is the whole path of a folder, `given` replaces the settings' address.
pub fn address(
    dialect: SqlDialect,
    destination: &Destination,
    described: &str,
    given: Option<&str>,
) -> Result<BaseAddress> {
    let (base, notes) = match (given, destination) {
        (Some(given), _) => (given.trim_end_matches('/').to_owned(), credentials(dialect, None)),
        (None, Destination::Local(_)) => (folder(dialect, described)?, Vec::new()),
        (None, Destination::S3(s3)) => (bucket(dialect, s3)?, credentials(dialect, Some(s3))),
        (None, Destination::Azure(azure)) => azure_address(dialect, azure)?,
        (None, Destination::Cloud(cloud)) => (cloud_address(dialect, cloud)?, credentials(dialect, None)),
    };
    if let Some(sign) = base.chars().find(|c| PATTERNS.contains(c) || c.is_control()) {
        return Err(refused(dialect)
            .because(format!("its address has the character {sign:?}, which engines take for a pattern"))
            .advise("give another address of the same files with --location"));
    }
    Ok(BaseAddress { base, notes })
}

fn refused(dialect: SqlDialect) -> Failure {
    Failure::new(Kind::Settings, format!("write the address of the destination for {}", dialect.title()))
}

fn folder(dialect: SqlDialect, path: &str) -> Result<String> {
    match dialect {
        SqlDialect::DuckDb | SqlDialect::ClickHouse => Ok(path.to_owned()),
        SqlDialect::Spark => Ok(format!("file:{path}")),
        _ => Err(refused(dialect).because("it cannot read a folder of this machine").advise(
            "set `destination.url` to a bucket, or give with --location the address at which it sees the files",
        )),
    }
}

/// Letters behind `s3://`: the bucket, and the prefix if there is one.
fn key(s3: &S3) -> String {
    if s3.prefix.is_empty() { s3.bucket.clone() } else { format!("{}/{}", s3.bucket, s3.prefix) }
}

/// Whether the bucket is of AWS, or of a service that speaks its protocol.
fn is_aws(s3: &S3) -> bool {
    s3.endpoint.as_deref().is_none_or(|endpoint| host(endpoint).ends_with("amazonaws.com"))
}

/// The host of an endpoint, with its port.
fn host(endpoint: &str) -> &str {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

fn bucket(dialect: SqlDialect, s3: &S3) -> Result<String> {
    let other = || {
        refused(dialect)
            .because("it reads buckets of AWS only, and `destination.s3.endpoint` is another service")
            .advise("give with --location the address at which it sees the files")
    };
    match dialect {
        SqlDialect::Spark => Ok(format!("s3a://{}", key(s3))),
        SqlDialect::DuckDb | SqlDialect::Trino | SqlDialect::Databricks => Ok(format!("s3://{}", key(s3))),
        SqlDialect::Snowflake if is_aws(s3) => Ok(format!("s3://{}", key(s3))),
        SqlDialect::Snowflake => Ok(format!("s3compat://{}", key(s3))),
        SqlDialect::Redshift | SqlDialect::Athena if is_aws(s3) => Ok(format!("s3://{}", key(s3))),
        SqlDialect::Redshift | SqlDialect::Athena => Err(other()),
        SqlDialect::BigQuery if s3.endpoint.as_deref().is_some_and(|endpoint| host(endpoint) == CLOUD_STORAGE) => {
            Ok(format!("gs://{}", key(s3)))
        }
        SqlDialect::BigQuery => Err(refused(dialect)
            .because("it reads Cloud Storage, and the destination is another service")
            .advise("give with --location the address `gs://bucket/prefix` of a copy")),
        SqlDialect::Fabric => Err(refused(dialect)
            .because("it reads OneLake and Azure storage, and the destination is another service")
            .advise("make a shortcut to the bucket, and give its address in OneLake with --location")),
        SqlDialect::ClickHouse => Ok(https(s3)),
    }
}

/// The address of a container, and where the engine takes its credentials from.
fn azure_address(dialect: SqlDialect, azure: &AzureContainer) -> Result<(String, Vec<String>)> {
    let AzureContainer { container, prefix, account, endpoint, .. } = azure;
    let below = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
    let blobs = format!("https://{account}.blob.core.windows.net/{container}{below}");
    let lake = format!("abfss://{container}@{account}.dfs.core.windows.net{below}");
    let public =
        endpoint.as_deref().is_none_or(|endpoint| endpoint == format!("https://{account}.blob.core.windows.net"));
    let refuse = |why: &str| {
        Err(refused(dialect).because(why).advise("give with --location the address at which it sees the files"))
    };
    let (base, notes) = match dialect {
        SqlDialect::DuckDb => (format!("az://{container}{below}"), duckdb_azure(account, public)),
        _ if !public => return refuse("`destination.azure.endpoint` is not that of the public cloud"),
        SqlDialect::Spark => (lake, vec![
            "Credentials: hadoop-azure takes them from its configuration, fs.azure.account.auth.type and the keys that belong to it.".to_owned(),
        ]),
        SqlDialect::Trino => (lake, trino_azure()),
        SqlDialect::Databricks => (lake, credentials(dialect, None)),
        SqlDialect::Snowflake => (blobs.replacen("https://", "azure://", 1), credentials(dialect, None)),
        SqlDialect::Fabric => (blobs, credentials(dialect, None)),
        SqlDialect::BigQuery => return refuse("it reads Cloud Storage, and the destination is Azure storage"),
        SqlDialect::Redshift | SqlDialect::Athena => {
            return refuse("it reads buckets of AWS only, and the destination is Azure storage");
        }
        SqlDialect::ClickHouse => {
            return refuse("its scripts read a folder or a bucket (`file`, `s3`), and Azure storage needs another function with credentials in the statement");
        }
    };
    Ok((base, notes))
}

/// The address of a bucket of Cloud Storage.
fn cloud_address(dialect: SqlDialect, cloud: &CloudBucket) -> Result<String> {
    let CloudBucket { bucket, prefix, .. } = cloud;
    match dialect {
        SqlDialect::BigQuery if prefix.is_empty() => Ok(format!("gs://{bucket}")),
        SqlDialect::BigQuery => Ok(format!("gs://{bucket}/{prefix}")),
        _ => Err(refused(dialect)
            .because(
                "the destination is Cloud Storage, which is experimental, and the scripts for it are for BigQuery only",
            )
            .advise("give with --location the address at which it sees the files")),
    }
}

fn duckdb_azure(account: &str, public: bool) -> Vec<String> {
    let options = match public {
        true => format!("TYPE azure, PROVIDER credential_chain, ACCOUNT_NAME '{account}'"),
        // Another endpoint can only be stated so; its keys are never written here.
        false => "TYPE azure, CONNECTION_STRING '…'".to_owned(),
    };
    vec![
        "Credentials, once in each session before this script; they come from the environment or the machine's identity:"
            .to_owned(),
        format!("INSTALL azure; LOAD azure; CREATE SECRET ({options});"),
    ]
}

fn trino_azure() -> Vec<String> {
    let mut lines = trino(None);
    lines.pop();
    lines.push("and hive.non-managed-table-writes-enabled=false. Credentials: fs.native-azure.enabled and the azure.* keys of the catalogue.".to_owned());
    lines
}

/// The address of a bucket as a web address.
fn https(s3: &S3) -> String {
    let region = s3.region.as_deref().unwrap_or("us-east-1");
    let endpoint = s3.endpoint.clone().unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
    let endpoint = endpoint.trim_end_matches('/');
    let (scheme, host) = endpoint.split_once("://").unwrap_or(("https", endpoint));
    let root =
        if s3.path_style { format!("{endpoint}/{}", s3.bucket) } else { format!("{scheme}://{}.{host}", s3.bucket) };
    if s3.prefix.is_empty() { root } else { format!("{root}/{}", s3.prefix) }
}

/// Where an engine takes credentials from, and the options of a service that is not AWS.
fn credentials(dialect: SqlDialect, s3: Option<&S3>) -> Vec<String> {
    match dialect {
        SqlDialect::DuckDb => duckdb(s3),
        SqlDialect::Spark => {
            let mut lines = vec!["Credentials: hadoop-aws takes them from the environment (AWS_ACCESS_KEY_ID, …) or the instance's role.".to_owned()];
            lines.extend(s3.and_then(|s3| s3.endpoint.as_deref().map(|endpoint| (s3, endpoint))).map(|(s3, endpoint)| {
                format!("The service: spark.hadoop.fs.s3a.endpoint = {endpoint}, spark.hadoop.fs.s3a.path.style.access = {}.", s3.path_style)
            }));
            lines
        }
        SqlDialect::ClickHouse => vec![
            "Credentials: the server takes them from its environment or from <s3> in its configuration, where"
                .to_owned(),
            "use_environment_credentials and the keys of each address are set.".to_owned(),
        ],
        SqlDialect::Snowflake => snowflake(s3),
        SqlDialect::BigQuery => {
            vec!["Credentials: those of the user or service account that runs the query.".to_owned()]
        }
        SqlDialect::Redshift => {
            vec!["Credentials: the default IAM role of the cluster, which must be able to read the bucket.".to_owned()]
        }
        SqlDialect::Athena => vec!["Credentials: those of the user or role that runs the query.".to_owned()],
        SqlDialect::Trino => trino(s3),
        SqlDialect::Databricks => {
            vec!["Credentials: an external location of Unity Catalog that covers the address.".to_owned()]
        }
        SqlDialect::Fabric => {
            vec!["Credentials: those of the user who runs the statements (Microsoft Entra ID).".to_owned()]
        }
    }
}

fn duckdb(s3: Option<&S3>) -> Vec<String> {
    let mut options = vec!["TYPE s3".to_owned(), "PROVIDER credential_chain".to_owned()];
    if let Some(s3) = s3 {
        options.extend(s3.region.as_ref().map(|region| format!("REGION '{region}'")));
        if let Some(endpoint) = &s3.endpoint {
            options.push(format!("ENDPOINT '{}'", host(endpoint)));
            options.push(format!("URL_STYLE '{}'", if s3.path_style { "path" } else { "vhost" }));
            options.extend(endpoint.starts_with("http://").then(|| "USE_SSL false".to_owned()));
        }
    }
    vec![
        "Credentials, once in each session before this script; they come from the environment or the instance's role:"
            .to_owned(),
        format!("CREATE SECRET ({});", options.join(", ")),
    ]
}

fn snowflake(s3: Option<&S3>) -> Vec<String> {
    if s3.is_none_or(is_aws) {
        return vec![
            "Credentials: the storage integration PEARLIFT, which an administrator creates for the bucket.".to_owned(),
        ];
    }
    let endpoint = s3.and_then(|s3| s3.endpoint.as_deref()).unwrap_or_default();
    vec![
        "The stage PEARLIFT has to exist; its credentials are the bucket's, which are never written here:".to_owned(),
        format!(
            "CREATE STAGE PEARLIFT URL = '…' ENDPOINT = '{}' CREDENTIALS = (AWS_KEY_ID = '…' AWS_SECRET_KEY = '…');",
            host(endpoint)
        ),
    ]
}

fn trino(s3: Option<&S3>) -> Vec<String> {
    let mut lines = vec![
        "The catalogue is of the Hive connector, with hive.recursive-directories=true, hive.timestamp-precision=MICROSECONDS".to_owned(),
        "and hive.non-managed-table-writes-enabled=false. Credentials: fs.native-s3.enabled and the s3.* keys of the catalogue.".to_owned(),
    ];
    lines.extend(
        s3.and_then(|s3| s3.endpoint.as_deref().map(|endpoint| (s3, endpoint))).map(|(s3, endpoint)| {
            format!("The service: s3.endpoint={endpoint}, s3.path-style-access={}.", s3.path_style)
        }),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Settings};

    /// The address of a destination for a dialect, or the message of its refusal.
    fn of(dialect: SqlDialect, url: &str, vars: &[(&str, &str)]) -> std::result::Result<String, String> {
        let usual = [
            ("PEARLIFT_DESTINATION_URL", url),
            ("PEARLIFT_DESTINATION_AZURE_ACCOUNT", "acmelake"),
            ("PEARLIFT_DESTINATION_GCS_EXPERIMENTAL", "true"),
            ("AZURE_STORAGE_ACCOUNT_KEY", "cGxhbnRlZA=="),
        ];
        let vars = usual.iter().chain(vars).map(|(name, value)| (name.into(), value.into()));
        let settings = Settings::from_text(None, "", Environment::new(vars), &[]).unwrap();
        let found = address(dialect, &settings.destination().unwrap(), url, None);
        found
            .map(|address| {
                assert!(!address.notes.concat().contains("cGxhbnRlZA"), "{:?}", address.notes);
                address.of("x")
            })
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_container_has_the_address_of_each_dialect_or_is_refused() {
        let lake = "abfss://lake@acmelake.dfs.core.windows.net/shop/x";
        for (dialect, wanted) in [
            (SqlDialect::DuckDb, "az://lake/shop/x"),
            (SqlDialect::Spark, lake),
            (SqlDialect::Trino, lake),
            (SqlDialect::Databricks, lake),
            (SqlDialect::Snowflake, "azure://acmelake.blob.core.windows.net/lake/shop/x"),
            (SqlDialect::Fabric, "https://acmelake.blob.core.windows.net/lake/shop/x"),
        ] {
            assert_eq!(of(dialect, "az://lake/shop", &[]).as_deref(), Ok(wanted), "{dialect:?}");
        }
        assert_eq!(of(SqlDialect::DuckDb, "az://lake", &[]).as_deref(), Ok("az://lake/x"));
        for dialect in [SqlDialect::ClickHouse, SqlDialect::BigQuery, SqlDialect::Redshift, SqlDialect::Athena] {
            let refused = of(dialect, "az://lake/shop", &[]).unwrap_err();
            assert!(refused.contains(dialect.title()), "{refused}");
        }
        // Another endpoint is one that only DuckDB can be given.
        let local = [
            ("PEARLIFT_DESTINATION_AZURE_ENDPOINT", "http://127.0.0.1:10000/acmelake"),
            ("PEARLIFT_DESTINATION_AZURE_ALLOW_HTTP", "true"),
        ];
        assert_eq!(of(SqlDialect::DuckDb, "az://lake/shop", &local).as_deref(), Ok("az://lake/shop/x"));
        assert!(of(SqlDialect::Spark, "az://lake/shop", &local).unwrap_err().contains("destination.azure.endpoint"));
    }

    #[test]
    fn a_bucket_of_cloud_storage_has_an_address_for_bigquery_only() {
        assert_eq!(of(SqlDialect::BigQuery, "gs://lake/shop", &[]).as_deref(), Ok("gs://lake/shop/x"));
        assert!(of(SqlDialect::DuckDb, "gs://lake/shop", &[]).unwrap_err().contains("BigQuery only"));
    }
}
