//! The arguments, as the help shows them.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::cli::help::ending;
use crate::cli::setup_arguments::{AuthArguments, Init};

/// The heading of the options that every command has, behind its own.
const GLOBAL: &str = "Global options";
/// The value name of every argument that is the name of a resource: completions offer the resources there.
pub const RESOURCE: &str = "RESOURCE";
/// The uses of `backfill`: a range, ids, or the records of damaged files.
const BACKFILL: &str = "pearlift backfill [OPTIONS] --from <DATE> --to <DATE> [--by <FIELD>] <RESOURCE>...
       pearlift backfill [OPTIONS] --ids <IDS> [--accept-older] <RESOURCE>...
       pearlift backfill [OPTIONS] --damaged [--force] <RESOURCE>...";
/// The uses of `resources`: a list, a resource, or files about all of them.
const RESOURCES: &str = "pearlift resources [--json] [RESOURCE]
       pearlift resources --custom-fields <RESOURCE>
       pearlift resources --reference <DIR>
       pearlift resources --settings <FILE>
       pearlift resources --dbt <FILE>";

/// Copies a Brightpearl account into Parquet files, incrementally and completely.
#[derive(Debug, Parser)]
#[command(name = "pearlift", version, max_term_width = 100, after_help = ending("pearlift"))]
pub struct Arguments {
    #[command(flatten)]
    pub options: Options,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Settings file; relative paths in it begin at its folder [default: ./pearlift.toml, if it exists]; repeated, or a
    /// quoted pattern such as 'accounts/*.toml', for several accounts
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Accounts to process at a time, if `--config` names several; each takes the memory of its settings
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "N", default_value = "2")]
    pub jobs: NonZeroUsize,
    /// Folder of additional schema files; a file with the name of a built-in resource replaces it
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "DIR")]
    pub schemas: Option<PathBuf>,
    /// Format of the log on stderr
    #[arg(long, global = true, help_heading = GLOBAL, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Progress bars on a terminal, or log lines only
    #[arg(long, global = true, help_heading = GLOBAL, value_enum, default_value_t = ProgressChoice::Auto)]
    pub progress: ProgressChoice,
    /// Log every request
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub verbose: bool,
    /// Log warnings and failures only
    #[arg(short, long, global = true, help_heading = GLOBAL, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// How events are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Whether there are bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressChoice {
    Auto,
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Export a simulated account to a folder; needs neither a real account nor a network
    #[command(after_help = ending("demo"))]
    Demo(Demo),
    /// Write a commented settings file, by flags or by asking; an existing file is not changed
    #[command(after_help = ending("init"))]
    Init(Init),
    /// Log in with OAuth, print the state of the login, or refresh its token
    #[command(after_help = ending("auth"))]
    Auth(AuthArguments),
    /// Test settings, credentials and destination, and compare the schemas with the account
    #[command(after_help = ending("check"))]
    Check,
    /// Bring the tables up to date, and resume unfinished scans
    #[command(after_help = ending("run"))]
    Run(Run),
    /// Read selected records again and merge them; watermarks do not move
    #[command(after_help = ending("backfill"), override_usage = BACKFILL)]
    Backfill(BackfillArguments),
    /// Find records that were deleted at the source, and remove them from the tables
    #[command(after_help = ending("reconcile"))]
    Reconcile(Reconcile),
    /// Print the scans of the next `run`, with their requests, minutes and rows
    #[command(after_help = ending("plan"))]
    Plan(Plan),
    /// Print the completeness, age and size of each resource
    #[command(after_help = ending("status"))]
    Status(StatusArguments),
    /// Write the state of the destination as one HTML page: runs, freshness, completeness, plots
    #[command(after_help = ending("report"))]
    Report(ReportArguments),
    /// Compare the files at the destination with the manifests, and report damage
    #[command(after_help = ending("verify"))]
    Verify(Verify),
    /// Remove files that no manifest needs; other files are never touched
    #[command(after_help = ending("clean"))]
    Clean(Clean),
    /// Erase a person from the destination, and keep the person's values out of later reads
    #[command(after_help = ending("forget"))]
    Forget(Forget),
    /// List the resources, or print the tables and columns of one
    #[command(after_help = ending("resources"), override_usage = RESOURCES)]
    Resources(Resources),
    /// Print SQL by which an engine reads or loads the tables: views, external tables, COPY, MERGE
    #[command(after_help = ending("sql"))]
    Sql(Sql),
    /// Serve a simulated account on this machine, until interrupted
    #[command(after_help = ending("sandbox"))]
    Sandbox(SandboxArguments),
    /// Print the completions for a shell to stdout; in bash and zsh with the names of resources
    #[command(after_help = ending("completions"))]
    Completions(Completions),
    /// Write the manual pages of all commands to a folder
    #[command(after_help = ending("man"))]
    Man(ManArguments),
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Folder to export to
    #[arg(long, value_name = "DIR", default_value = "pearlift-demo")]
    pub out: PathBuf,
    /// Number of orders in the simulated account
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub orders: u64,
}

#[derive(Debug, Args)]
pub struct Run {
    /// Names of resources [default: all that the settings include]
    #[arg(value_name = RESOURCE)]
    pub resources: Vec<String>,
    /// Read everything again; records that are not returned are not deleted
    #[arg(long)]
    pub full: bool,
    /// Print the scans from the manifests alone, without sending a request or writing anything
    #[arg(long)]
    pub dry_run: bool,
    /// Wait for resources that another run holds, instead of skipping them
    #[arg(long)]
    pub wait: bool,
    /// Print the report as JSON, instead of the summary
    #[arg(long, conflicts_with = "dry_run")]
    pub json: bool,
    /// Stop requesting after N minutes and commit complete parts; the next run resumes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_minutes: Option<u64>,
    /// Also exit with code 3 when a value or record does not fit its schema
    #[arg(long, value_enum, value_name = "EVENT")]
    pub fail_on: Option<FailOn>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("selection").required(true).multiple(true).args(["ids", "from", "to", "damaged"]))]
pub struct BackfillArguments {
    /// Names of resources
    #[arg(value_name = RESOURCE, required = true)]
    pub resources: Vec<String>,
    /// Ids and ranges of ids, such as 123,456-500
    #[arg(long, value_name = "IDS", conflicts_with_all = ["from", "to", "by"])]
    pub ids: Option<String>,
    /// Accept copies that are older than the stored ones
    #[arg(long, requires = "ids")]
    pub accept_older: bool,
    /// First day of the range, in UTC
    #[arg(long, value_name = "DATE", requires = "to")]
    pub from: Option<jiff::civil::Date>,
    /// Day after the last day of the range, in UTC
    #[arg(long, value_name = "DATE", requires = "from")]
    pub to: Option<jiff::civil::Date>,
    /// Date that the range applies to, a column of the search [default: the date of creation]
    #[arg(long, value_name = "FIELD")]
    pub by: Option<String>,
    /// Select the records of files that `verify --deep` finds damaged
    #[arg(long, conflicts_with_all = ["ids", "from", "to", "by"])]
    pub damaged: bool,
    /// Give up damaged records that the source cannot return again
    #[arg(long, requires = "damaged")]
    pub force: bool,
    /// Print the report as JSON, instead of the summary
    #[arg(long)]
    pub json: bool,
    /// Stop requesting after N minutes and commit complete parts; the same command resumes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_minutes: Option<u64>,
    /// Also exit with code 3 when a value or record does not fit its schema
    #[arg(long, value_enum, value_name = "EVENT")]
    pub fail_on: Option<FailOn>,
    /// Wait for resources that another run holds, instead of skipping them
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, Args)]
pub struct Reconcile {
    /// Names of resources [default: all that allow deletions to be found]
    #[arg(value_name = RESOURCE)]
    pub resources: Vec<String>,
    /// Remove deleted records even if they exceed the safety limit
    #[arg(long)]
    pub force: bool,
    /// Print the report as JSON, instead of the summary
    #[arg(long)]
    pub json: bool,
    /// Wait for resources that another run holds, instead of skipping them
    #[arg(long)]
    pub wait: bool,
}

/// Further events that make a run fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    Misfit,
}

#[derive(Debug, Args)]
pub struct Plan {
    /// Names of resources [default: all that the settings include]
    #[arg(value_name = RESOURCE)]
    pub resources: Vec<String>,
    /// Plan a full read
    #[arg(long)]
    pub full: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct StatusArguments {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Exit with code 3 when a resource is incomplete, has pending records, or was last scanned longer ago than AGE (26h, 2d)
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    pub max_age: Option<Duration>,
    /// Print the last N runs instead, the newest first
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "20", conflicts_with = "max_age")]
    pub history: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
pub struct ReportArguments {
    /// File to write; an existing file is replaced
    #[arg(long, value_name = "FILE", default_value = "pearlift-report.html")]
    pub out: PathBuf,
    /// Open the page in the browser
    #[arg(long)]
    pub open: bool,
    /// Days of the history to show
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=400))]
    pub days: u16,
    /// Age from which a resource is late (26h, 2d)
    #[arg(long, value_name = "AGE", default_value = "26h", value_parser = humantime::parse_duration)]
    pub max_age: Duration,
    /// File with the output of `plan --json`, to be shown too
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// Names of resources [default: all that have manifests]
    #[arg(value_name = RESOURCE)]
    pub resources: Vec<String>,
    /// Read every byte: checksums, keys, records, partitions
    #[arg(long)]
    pub deep: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Clean {
    /// List the files without removing them
    #[arg(long)]
    pub dry_run: bool,
    /// Join small neighbouring files of a partition, up to `limits.file_bytes`
    #[arg(long)]
    pub compact: bool,
    /// Divide files by the period that the settings ask for (`partition`), from the stored rows
    #[arg(long)]
    pub repartition: bool,
    /// Change the destination to the layout of the settings (`destination.layout`), from its own files
    #[arg(long, conflicts_with_all = ["compact", "repartition", "names"])]
    pub layout: bool,
    /// Names of resources whose files are to be divided again [default: all]
    #[arg(value_name = RESOURCE, requires = "repartition")]
    pub names: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Forget {
    /// Id of the person, a contact of the account
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    pub contact: i64,
    /// Let later reads store the values again; nothing is written until the next full read
    #[arg(long, conflicts_with_all = ["dry_run", "wait"])]
    pub lift: bool,
    /// Count the rows without erasing anything
    #[arg(long)]
    pub dry_run: bool,
    /// Wait for resources that another run holds, instead of giving up
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, Args)]
pub struct Resources {
    /// Name of a resource, to print its tables, columns and their meanings
    #[arg(value_name = RESOURCE)]
    pub name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Write pages about all tables and columns to this folder: one for each service, and a picture
    #[arg(long, value_name = "DIR", conflicts_with_all = ["name", "json"])]
    pub reference: Option<PathBuf>,
    /// Write a page about all settings to this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "json", "reference"])]
    pub settings: Option<PathBuf>,
    /// Write all tables to this file as the sources of a dbt project, with descriptions and tests
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "json", "reference", "settings"])]
    pub dbt: Option<PathBuf>,
    /// Print the schema file of the resource, with a typed column for each custom field that the account defines
    #[arg(long, requires = "name", conflicts_with_all = ["json", "reference", "settings", "dbt"])]
    pub custom_fields: bool,
}

#[derive(Debug, Args)]
pub struct Sql {
    /// Names of resources [default: all that the settings include]
    #[arg(value_name = RESOURCE)]
    pub resources: Vec<String>,
    /// Dialect of the SQL
    #[arg(long, value_enum)]
    pub dialect: DialectChoice,
    /// Schema of the tables and views, created if it is missing; with a catalogue as `catalogue.schema`
    #[arg(long, value_name = "NAME")]
    pub schema: Option<String>,
    /// Beginning of the names of all tables and views
    #[arg(long, value_name = "NAME")]
    pub prefix: Option<String>,
    /// Address at which the engine sees the destination, if it is not that of the settings
    #[arg(long, value_name = "URL")]
    pub location: Option<String>,
    /// Name the files of the newest versions, so that a reader is consistent while a run publishes
    #[arg(long)]
    pub files: bool,
    /// Load tables: everything (0), or the changes since VERSION of one resource, `order=12,product=4`, or a file of `--state`
    #[arg(long, value_name = "VERSION")]
    pub since: Option<String>,
    /// File to write the versions to that the tables have after the script
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
}

/// The dialects of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DialectChoice {
    Duckdb,
    Spark,
    Snowflake,
    Bigquery,
    Redshift,
    Athena,
    Trino,
    Clickhouse,
    Databricks,
    Fabric,
}

#[derive(Debug, Args)]
pub struct SandboxArguments {
    /// Port on 127.0.0.1; 0 takes any free port
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Number of orders; notes, movements, payments and journals follow from them
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub orders: u64,
    /// Requests allowed per minute; 0 means no quota
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub limit: u32,
    /// Seed of the generated data
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Number of products, if not in proportion to the orders
    #[arg(long, value_name = "N")]
    pub products: Option<u64>,
    /// Number of contacts, if not in proportion to the orders
    #[arg(long, value_name = "N")]
    pub contacts: Option<u64>,
    /// Number of journals, if not in proportion; a smaller number leaves invoices and payments without a journal
    #[arg(long, value_name = "N")]
    pub journals: Option<u64>,
    /// Folder of fixtures: additional resources of the account
    #[arg(long, value_name = "DIR")]
    pub fixtures: Option<PathBuf>,
    /// Number of records of a fixture, instead of the number stated in it; can be repeated
    #[arg(long, value_name = "NAME=N", value_parser = parse_records)]
    pub records: Vec<(String, u64)>,
    /// JSON file of settings, in the form of `POST /sandbox/TOKEN/settings`
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
}

/// Reads `NAME=N`.
fn parse_records(text: &str) -> Result<(String, u64), String> {
    let (name, count) = text.split_once('=').ok_or("NAME=N is needed")?;
    Ok((name.to_owned(), count.parse().map_err(|_| format!("`{count}` is not a number of records"))?))
}

#[derive(Debug, Args)]
pub struct Completions {
    /// Shell to print completions for
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct ManArguments {
    /// Folder to write to, such as /usr/local/share/man/man1
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}
