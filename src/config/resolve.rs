//! From the settings file and the environment to the values of each stage.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use crate::config::address::{check_address, is_mistaken, shown_address};
use crate::config::anchor::{anchor, anchored, folder};
use crate::config::azure::{self, AzureContainer};
use crate::config::bucket::{self, S3};
use crate::config::choices::{DestinationLayout, Encodings, Pace};
use crate::config::cloud::{self, CloudBucket};
use crate::config::destination;
use crate::config::environment::Environment;
use crate::config::file;
use crate::config::secrets::{self, Credentials};
use crate::config::values::Values;
use crate::disk;
use crate::failure::{Failure, Kind, Result};
use crate::secret::HashKey;

/// The file read when `--config` names none.
const DEFAULT_FILE: &str = "pearlift.toml";
/// The most bytes of a settings file.
const MOST_BYTES: u64 = 1 << 20;
/// A destination that is in use holds this folder.
const STATE_FOLDER: &str = "_pearlift";

/// Settings, resolved part by part when asked for.
pub struct Settings {
    pub(super) values: Values,
    pub(super) environment: Environment,
    /// The destination as the file has it, where it is in force and is relative to the file's folder.
    relative_url: Option<String>,
    /// The settings file that was read, if any.
    pub path: Option<PathBuf>,
}

/// Where tables go.
#[derive(Clone, Debug)]
pub enum Destination {
    Local(PathBuf),
    S3(S3),
    Azure(AzureContainer),
    Cloud(CloudBucket),
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
        let environment = secrets::of_account(environment, &values)?;
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

    /// The credentials for the source.
    pub fn credentials(&self, now: Timestamp) -> Result<Credentials> {
        for key in ["auth.token_url", "auth.authorize_url"] {
            let Some(text) = self.values.text(key) else { continue };
            let url = Url::parse(text).map_err(|error| {
                Failure::new(Kind::Settings, format!("read `{key}`"))
                    .because(format!("`{}` is no URL", shown_address(text)))
                    .caused(error)
            })?;
            check_address(&url, key)?;
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
                "set `url` under [destination] to a folder, s3://bucket/prefix or az://container/prefix, or set PEARLIFT_DESTINATION_URL",
            )
        })?;
        // Line ends of a file that the variable was read from are no part of a name.
        let url = url.trim_matches(['\r', '\n']);
        if let Some(rest) = url.strip_prefix("az://") {
            return azure::resolve(url, rest, &self.values, &self.environment).map(Destination::Azure);
        }
        if let Some(rest) = url.strip_prefix("gs://") {
            return cloud::resolve(url, rest, &self.values, &self.environment).map(Destination::Cloud);
        }
        let Some(rest) = url.strip_prefix("s3://") else {
            if is_mistaken(url) || url.contains("://") && !url.get(..5).is_some_and(|s| s.eq_ignore_ascii_case("file:"))
            {
                return Err(Failure::new(Kind::Settings, "accept the destination").because(format!(
                    "`{}` is neither a folder nor s3://bucket/prefix nor az://container/prefix",
                    shown_address(url)
                )));
            }
            let path = destination::folder(url, &self.environment)?;
            self.refuse_other_place(&path)?;
            return Ok(Destination::Local(path));
        };
        bucket::resolve(url, rest, &self.values, &self.environment).map(Destination::S3)
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

    /// The variables, and the place of the account's secrets.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The file of refreshed tokens, where the settings name it.
    pub fn token_file(&self) -> Option<&str> {
        self.values.text("auth.token_file")
    }

    /// A duration that has a default.
    fn needed(&self, name: &str) -> Result<Duration> {
        Ok(self.values.duration(name)?.expect("it has a default"))
    }
}
