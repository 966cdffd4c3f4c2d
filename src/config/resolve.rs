//! From the settings file and the environment to the values of each stage.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use crate::config::address::{check_address, is_mistaken, refuse_query, shown_address};
use crate::config::anchor::{anchor, anchored, folder};
use crate::config::choices::{DestinationLayout, Encodings, Pace};
use crate::config::destination;
use crate::config::environment::Environment;
use crate::config::file;
use crate::config::secrets::{self, Credentials};
use crate::config::shown::shown;
use crate::config::values::Values;
use crate::disk;
use crate::failure::{Failure, Kind, Result};
use crate::secret::{HashKey, Redactor};

/// The file read when `--config` names none.
const DEFAULT_FILE: &str = "pearlift.toml";
/// The most bytes of a settings file.
const MOST_BYTES: u64 = 1 << 20;
/// A destination that is in use holds this folder.
const STATE_FOLDER: &str = "_pearlift";

/// Settings, resolved part by part when asked for.
pub struct Settings {
    pub(super) values: Values,
    environment: Environment,
    /// The destination as the file has it, where it is in force and is relative to the file's folder.
    relative_url: Option<String>,
    /// The settings file that was read, if any.
    pub path: Option<PathBuf>,
}

/// The account at the source.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    pub code: String,
    /// `https://…/public-api/{code}`, without a slash at its end.
    pub base_url: Url,
    /// The settings name the address: no token answer moves it.
    pub fixed: bool,
}

/// Where tables go.
#[derive(Clone, Debug)]
pub enum Destination {
    Local(PathBuf),
    S3(S3),
}

/// S3-compatible storage; credentials come from the usual `AWS_*` environment.
#[derive(Clone, Debug)]
pub struct S3 {
    pub bucket: String,
    /// Without slashes at its ends; empty for the bucket's root.
    pub prefix: String,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub allow_http: bool,
    pub path_style: bool,
    /// How often a lock object is renewed.
    pub lock_renew: Duration,
    /// The time, by the observer's clock, after which an unchanged lock object has expired.
    pub lock_expire: Duration,
    /// Learns the credentials that are fetched.
    pub redactor: Redactor,
}

/// Bounds of every kind.
/// More than twelve fields: the keys of `[limits]`.
#[derive(Clone, Debug)]
pub struct Limits {
    /// 0: the source sets no limit that we know of; only its own answers count.
    pub requests_per_period: u32,
    pub period: Duration,
    pub reserve: u32,
    pub concurrency: usize,
    /// Bytes.
    pub memory: u64,
    pub pace: Pace,
    pub page_size: u32,
    pub timeout: Duration,
    pub retry_tries: u32,
    pub retry_for: Duration,
    pub overlap: Duration,
    pub settle: Duration,
    pub commit_every: Duration,
    /// Bytes of the spool.
    pub commit_bytes: u64,
    /// Bytes of a data file.
    pub file_bytes: u64,
    /// Rows of a partition in the largest table of a resource, above which a finer one is taken.
    pub partition_rows: u64,
    pub row_group_rows: usize,
    pub encodings: Encodings,
    pub spool: Option<PathBuf>,
    /// Requests a run and resource that read again the records least recently read.
    pub reread_requests: u64,
    /// The source's count and greatest ids are compared with the tables.
    pub compare_counts: bool,
    /// Requests of a run and resource that locate a difference of counts.
    pub locate_requests: u64,
}

impl Settings {
    /// Reads the file (`--config`, else `./pearlift.toml` if there is one) and overrides it by the environment.
    /// `resources` are the valid names of `[resource.NAME]`.
    pub fn load(config: Option<&Path>, environment: Environment, resources: &[&str]) -> Result<Self> {
        let path = match config {
            Some(path) => Some(path.to_owned()),
            None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
        };
        let text = match &path {
            Some(path) => disk::read_text(path, MOST_BYTES).map_err(|error| {
                Failure::new(Kind::Settings, "read the settings file")
                    .at(path.display().to_string())
                    .caused(error)
                    .advise("`pearlift init` writes one")
            })?,
            None => String::new(),
        };
        Self::from_text(path, &text, environment, resources)
    }

    /// Settings of a text, with the environment laid over it; `path` is where it was read, if anywhere.
    pub fn from_text(path: Option<PathBuf>, text: &str, environment: Environment, resources: &[&str]) -> Result<Self> {
        let place = path.as_ref().map_or_else(|| "environment".to_owned(), |path| path.display().to_string());
        let wrong = |error: toml::de::Error| {
            Failure::new(Kind::Settings, "read the settings").at(&place).unread(text, &error).advise(
                "docs/configuration.md lists every key; `pearlift init` writes a commented file; secrets come from the \
                 environment or from files",
            )
        };
        let mut table = file::read(text).map_err(wrong)?;
        let written = table.get("destination").and_then(|section| section.get("url")?.as_str()).map(str::to_owned);
        anchor(&mut table, path.as_deref().map_or(Path::new(""), folder))?;
        environment.lay_over(&mut table, resources)?;
        let values = Values::new(table);
        if let Some(unknown) = values.resources().find(|name| !resources.contains(name)) {
            return Err(Failure::new(Kind::Settings, format!("understand [resource.{unknown}]"))
                .at(&place)
                .because("no resource has that name")
                .advise("`pearlift resources` lists them all"));
        }
        let moved = path.as_deref().zip(written).filter(|(path, written)| {
            let moved = anchored(written, folder(path));
            moved.is_some() && moved.as_deref() == values.text("destination.url").map(Path::new)
        });
        let relative_url = moved.map(|(_, written)| written);
        Ok(Self { values, environment, relative_url, path })
    }

    /// A user's own folder of schema files. Read before the rest, for `load` needs the resources' names.
    pub fn schemas(config: Option<&Path>, environment: &Environment) -> Option<PathBuf> {
        if let Some(folder) = environment.get("PEARLIFT_SCHEMAS") {
            return Some(destination::path_or_as_written(folder, environment));
        }
        let path = config.unwrap_or(Path::new(DEFAULT_FILE));
        let text = disk::read_text(path, MOST_BYTES).ok()?;
        let table: toml::Table = toml::from_str(&text).ok()?;
        let written = table.get("schemas")?.as_str()?;
        let moved = anchored(written, folder(path));
        Some(moved.unwrap_or_else(|| destination::path_or_as_written(written, environment)))
    }

    /// The account at the source.
    pub fn account(&self) -> Result<AccountSettings> {
        let missing = |what: &str| {
            Failure::new(Kind::Settings, "find the account").because(format!("{what} is not set")).advise(
                "run `pearlift init` and fill in [account], or set PEARLIFT_ACCOUNT_CODE and PEARLIFT_ACCOUNT_API_DOMAIN; \
                 `pearlift demo` needs no account",
            )
        };
        let injected = |name: &str| secrets::find(&self.environment, name);
        let set = |name: &str| self.values.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
        let code = match set("account.code") {
            Some(code) => code,
            None => injected("OAUTH_ACCOUNT")?.ok_or_else(|| missing("`account.code`"))?,
        };
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if code.is_empty() || !code.chars().all(valid) {
            return Err(Failure::new(Kind::Settings, "accept the account code")
                .because(format!("{} is not letters, digits, `-` and `_`", shown(&code))));
        }
        let fixed = set("account.base_url").is_some() || set("account.api_domain").is_some();
        let text = match set("account.base_url") {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let domain = match set("account.api_domain") {
                    Some(domain) => domain,
                    None => injected("OAUTH_API_DOMAIN")?.ok_or_else(|| missing("`account.api_domain`"))?,
                };
                format!("https://{domain}/public-api/{code}")
            }
        };
        let base_url = Url::parse(&text).ok().filter(Url::has_host).ok_or_else(|| {
            Failure::new(Kind::Settings, "read the address of the source")
                .because(format!("`{}` is no URL", shown_address(&text)))
        })?;
        check_address(&base_url, "account.base_url")?;
        refuse_query(&base_url, "account.base_url")?;
        Ok(AccountSettings { code, base_url, fixed })
    }

    /// The credentials for the source.
    pub fn credentials(&self, now: Timestamp) -> Result<Credentials> {
        if let Some(text) = self.values.text("auth.token_url") {
            let url = Url::parse(text).map_err(|error| {
                Failure::new(Kind::Settings, "read `auth.token_url`")
                    .because(format!("`{}` is no URL", shown_address(text)))
                    .caused(error)
            })?;
            check_address(&url, "auth.token_url")?;
        }
        secrets::resolve(&self.values, &self.environment, now)
    }

    /// The key of the hashes that stand for personal data.
    pub fn hash_key(&self) -> Result<Option<HashKey>> {
        secrets::hash_key(&self.environment)
    }

    /// Where tables go.
    pub fn destination(&self) -> Result<Destination> {
        let url = self.values.text("destination.url").ok_or_else(|| {
            Failure::new(Kind::Settings, "find the destination").because("`destination.url` is not set").advise(
                "set `url` under [destination] to a folder or s3://bucket/prefix, or set PEARLIFT_DESTINATION_URL",
            )
        })?;
        // Line ends of a file that the variable was read from are no part of a name.
        let url = url.trim_matches(['\r', '\n']);
        let Some(rest) = url.strip_prefix("s3://") else {
            if is_mistaken(url) || url.contains("://") && !url.get(..5).is_some_and(|s| s.eq_ignore_ascii_case("file:"))
            {
                return Err(Failure::new(Kind::Settings, "accept the destination")
                    .because(format!("`{}` is neither a folder nor s3://bucket/prefix", shown_address(url))));
            }
            let path = destination::folder(url, &self.environment)?;
            self.refuse_other_place(&path)?;
            return Ok(Destination::Local(path));
        };
        self.bucket(url, rest).map(Destination::S3)
    }

    /// The bucket of an address `s3://…`; `rest` is its part behind the scheme.
    fn bucket(&self, url: &str, rest: &str) -> Result<S3> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let refuse =
            |why: &str| Failure::new(Kind::Settings, "accept the destination").at(shown_address(url)).because(why);
        if bucket.is_empty() {
            return Err(refuse("it names no bucket"));
        }
        if bucket.contains(['@', ':', '%']) {
            return Err(refuse("its bucket contains a user or a password, or is not a name")
                .advise("credentials come from the environment only: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"));
        }
        if bucket.contains(['?', '#', '\\']) || bucket.contains(char::is_whitespace) {
            return Err(
                refuse("its bucket has characters that bucket names cannot have").advise("write `s3://bucket/prefix`")
            );
        }
        let values = &self.values;
        // Line ends of files that variables were read from are no part of a value.
        let environment = |name: &str| self.environment.get(name).map(|text| text.trim().to_owned());
        let text = |name: &str| values.text(name).map(str::to_owned);
        let endpoint = text("destination.s3.endpoint")
            .or_else(|| environment("AWS_ENDPOINT_URL_S3"))
            .or_else(|| environment("AWS_ENDPOINT_URL"))
            .or_else(|| environment("AWS_ENDPOINT"));
        let allow_http = values.flag("destination.s3.allow_http").unwrap_or_default();
        if let Some(endpoint) = &endpoint {
            check_endpoint(endpoint, allow_http)?;
        }
        let region = text("destination.s3.region")
            .or_else(|| environment("AWS_REGION"))
            .or_else(|| environment("AWS_DEFAULT_REGION"));
        // It becomes a part of hosts.
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if let Some(region) = region.as_ref().filter(|region| !region.chars().all(is_part)) {
            return Err(Failure::new(Kind::Settings, "accept `destination.s3.region`")
                .at(shown(region))
                .because("it is not letters, digits and `-`, as `eu-west-1`"));
        }
        let lock_renew = self.needed("destination.s3.lock_renew")?;
        let lock_expire = self.needed("destination.s3.lock_expire")?;
        if lock_expire < lock_renew * 3 {
            return Err(Failure::new(Kind::Settings, "accept `destination.s3.lock_expire`").because(
                "it must be at least three times `lock_renew`, or a slow renewal would look like an expired lock",
            ));
        }
        Ok(S3 {
            bucket: bucket.to_owned(),
            prefix: destination::prefix(url, prefix)?,
            path_style: values.flag("destination.s3.path_style").unwrap_or(endpoint.is_some()),
            endpoint,
            region,
            allow_http,
            lock_renew,
            lock_expire,
            redactor: self.environment.redactor().clone(),
        })
    }

    /// Refuses a folder without tables where the working directory, from which relative paths counted before, has them:
    /// a first load of everything would begin.
    fn refuse_other_place(&self, path: &Path) -> Result<()> {
        let Some(written) = &self.relative_url else { return Ok(()) };
        let holds_tables = |path: &Path| path.join(STATE_FOLDER).is_dir();
        if holds_tables(path) || !holds_tables(Path::new(written)) {
            return Ok(());
        }
        Err(Failure::new(Kind::Settings, "choose the destination")
            .at(path.display().to_string())
            .because(format!(
                "no tables are there, but in `{written}` of the working directory; a relative `destination.url` begins \
                 at the folder of the settings file"
            ))
            .advise("write the absolute path of the tables as `url` under [destination]"))
    }

    /// How readers find the files of tables, and how long superseded ones stay where that is by a log.
    pub fn layout(&self) -> Result<(DestinationLayout, Duration)> {
        let layout = self.values.choice("destination.layout").expect("it has a default");
        Ok((layout, self.needed("destination.retention")?))
    }

    /// Whether a run ends by removing old versions and reports.
    pub fn housekeeping(&self) -> bool {
        self.values.flag("destination.housekeeping").unwrap_or_default()
    }

    /// The file of metrics that a run writes; none where none is wanted. Refuses (`Settings`) a name that the textfile
    /// collector does not read.
    pub fn metrics_file(&self) -> Result<Option<PathBuf>> {
        let Some(text) = self.values.text("metrics.textfile") else { return Ok(None) };
        let path = destination::path("metrics.textfile", text, &self.environment)?;
        if path.extension().is_none_or(|ending| ending != "prom") {
            return Err(Failure::new(Kind::Settings, "accept `metrics.textfile`")
                .because("node exporter reads only files with names that end in `.prom`"));
        }
        Ok(Some(path))
    }

    /// Bounds of every kind.
    pub fn limits(&self) -> Result<Limits> {
        let values = &self.values;
        let number = |name: &str| values.number(name).expect("it has a default");
        let flag = |name: &str| values.flag(name).expect("it has a default");
        let count = |name: &str| usize::try_from(number(name)).expect("a u32 is a usize");
        let limits = Limits {
            requests_per_period: number("limits.requests_per_period"),
            period: self.needed("limits.period")?,
            reserve: number("limits.reserve"),
            concurrency: count("limits.concurrency"),
            memory: values.size("limits.memory")?,
            pace: values.choice("limits.pace").expect("it has a default"),
            page_size: number("limits.page_size"),
            timeout: self.needed("limits.timeout")?,
            retry_tries: number("limits.retry_tries"),
            retry_for: self.needed("limits.retry_for")?,
            overlap: self.needed("limits.overlap")?,
            settle: self.needed("limits.settle")?,
            commit_every: self.needed("limits.commit_every")?,
            commit_bytes: values.size("limits.commit_bytes")?,
            file_bytes: values.size("limits.file_bytes")?,
            partition_rows: number("limits.partition_rows").into(),
            row_group_rows: count("limits.row_group_rows"),
            encodings: values.choice("limits.encodings").expect("it has a default"),
            spool: match values.text("limits.spool") {
                Some(spool) => Some(destination::path("limits.spool", spool, &self.environment)?),
                None => None,
            },
            reread_requests: number("limits.reread_requests").into(),
            compare_counts: flag("limits.compare_counts"),
            locate_requests: number("limits.locate_requests").into(),
        };
        let refuse =
            |key: &str, why: &str| Err(Failure::new(Kind::Settings, format!("accept `limits.{key}`")).because(why));
        if limits.requests_per_period > 0 && limits.reserve >= limits.requests_per_period {
            return refuse("reserve", "it leaves no requests of `requests_per_period`");
        }
        if limits.concurrency == 0 || limits.concurrency > 64 {
            return refuse("concurrency", "it is 1 to 64");
        }
        if limits.page_size < 2 || limits.page_size > 500 {
            return refuse(
                "page_size",
                "it is 2 to 500: consecutive pages overlap by a row, and the source gives at most 500",
            );
        }
        if limits.memory < 128 << 20 {
            return refuse("memory", "it is at least 128MiB");
        }
        if limits.partition_rows == 0 {
            return refuse("partition_rows", "a partition has a row at least");
        }
        if limits.row_group_rows < 1024 {
            return refuse("row_group_rows", "it is at least 1024");
        }
        Ok(limits)
    }

    /// A duration that has a default.
    fn needed(&self, name: &str) -> Result<Duration> {
        Ok(self.values.duration(name)?.expect("it has a default"))
    }
}

/// Refuses an endpoint that is no address, and http without `allow_http`.
fn check_endpoint(endpoint: &str, allow_http: bool) -> Result<()> {
    let url = Url::parse(endpoint).map_err(|error| {
        Failure::new(Kind::Settings, "read `destination.s3.endpoint`").at(shown_address(endpoint)).caused(error)
    })?;
    check_address(&url, "destination.s3.endpoint")?;
    refuse_query(&url, "destination.s3.endpoint")?;
    if url.scheme() == "http" && !allow_http {
        return Err(Failure::new(Kind::Settings, "accept `destination.s3.endpoint`")
            .at(shown_address(endpoint))
            .because("it is http")
            .advise("set `allow_http = true` under [destination.s3]; it is accepted for loopback only"));
    }
    Ok(())
}
