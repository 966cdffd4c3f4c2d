//! The arguments, as the help shows them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Lifts a Brightpearl account into Parquet, incrementally and so that nothing is lost.
#[derive(Debug, Parser)]
#[command(name = "pearlift", version, max_term_width = 100)]
pub struct Arguments {
    #[command(flatten)]
    pub options: Options,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The settings file, at whose folder its relative paths begin [default: ./pearlift.toml where there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A folder with schema files of your own, added to or instead of the built-in ones
    #[arg(long, global = true, value_name = "DIR")]
    pub schemas: Option<PathBuf>,
    /// How events are logged to stderr
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Bars on a terminal, or lines always
    #[arg(long, global = true, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,
    /// Say more: every request
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Say only what is wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
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
pub enum Progress {
    Auto,
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Export a simulated account to a folder: needs no account and no network
    Demo(Demo),
    /// Write a commented settings file
    Init(Init),
    /// Try settings, credentials and destination, and compare the schemas with the account
    Check,
    /// Bring tables up to date; goes on with what an earlier run left unfinished
    Run(Run),
    /// Read given ids, a range of a date or what is damaged again, and merge it; watermarks stay
    Backfill(Backfill),
    /// Find records deleted at the source and take them out of the tables
    Reconcile(Reconcile),
    /// Say what `run` would do and cost: scans, requests, minutes, rows
    Plan(Plan),
    /// Show per resource whether it is complete, how old, how large
    Status(Status),
    /// Compare the files at the destination with the manifests; exit code 7 where anything is damaged
    Verify(Verify),
    /// Remove what no manifest needs; never anything that pearlift did not write
    Clean(Clean),
    /// List the resources, or show one's tables, columns and reading style
    Resources(Resources),
    /// Serve a simulated account on this machine
    Sandbox(Sandbox),
    /// Print shell completions
    Completions(Completions),
}

#[derive(Debug, Args)]
pub struct Demo {
    /// The folder to export to
    #[arg(long, value_name = "DIR", default_value = "pearlift-demo")]
    pub out: PathBuf,
    /// Orders of the simulated account
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub orders: u64,
}

#[derive(Debug, Args)]
pub struct Init {
    /// Where to write it
    #[arg(value_name = "FILE", default_value = "pearlift.toml")]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct Run {
    /// Resources by name [default: all that the settings include]
    #[arg(value_name = "RESOURCE")]
    pub resources: Vec<String>,
    /// Read everything again; deletes nothing that was merely not found
    #[arg(long)]
    pub full: bool,
    /// Say what would be done, from the manifests alone: no request, nothing written
    #[arg(long)]
    pub dry_run: bool,
    /// Wait for resources that another run works on
    #[arg(long)]
    pub wait: bool,
    /// Stop asking after so many minutes, commit what is whole, go on next time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_minutes: Option<u64>,
    /// Exit 3 also for this
    #[arg(long, value_enum, value_name = "WHAT")]
    pub fail_on: Option<FailOn>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("selection").required(true).multiple(true).args(["ids", "from", "to", "damaged"]))]
pub struct Backfill {
    /// Resources by name
    #[arg(value_name = "RESOURCE", required = true)]
    pub resources: Vec<String>,
    /// Ids: 123,456-500
    #[arg(long, value_name = "IDS", conflicts_with_all = ["from", "to", "by"])]
    pub ids: Option<String>,
    /// Accept copies that are older than the stored ones
    #[arg(long, requires = "ids")]
    pub accept_older: bool,
    /// From the beginning of this day, UTC
    #[arg(long, value_name = "DATE", requires = "to")]
    pub from: Option<jiff::civil::Date>,
    /// To the beginning of this day, UTC: the day itself is not read
    #[arg(long, value_name = "DATE", requires = "from")]
    pub to: Option<jiff::civil::Date>,
    /// The date of the search [default: that of creation]
    #[arg(long, value_name = "FIELD")]
    pub by: Option<String>,
    /// What files hold that `verify --deep` finds damaged
    #[arg(long, conflicts_with_all = ["ids", "from", "to", "by"])]
    pub damaged: bool,
    /// Give up what was damaged and the source cannot give again
    #[arg(long, requires = "damaged")]
    pub force: bool,
    /// Stop asking after so many minutes, commit what is whole; the same command goes on from there
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_minutes: Option<u64>,
    /// Exit 3 also for this
    #[arg(long, value_enum, value_name = "WHAT")]
    pub fail_on: Option<FailOn>,
    /// Wait for resources that another run works on
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, Args)]
pub struct Reconcile {
    /// Resources by name [default: all whose deletions can be found]
    #[arg(value_name = "RESOURCE")]
    pub resources: Vec<String>,
    /// Take out however many are gone
    #[arg(long)]
    pub force: bool,
    /// Wait for resources that another run works on
    #[arg(long)]
    pub wait: bool,
}

/// What else makes a run fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// A value or record that did not fit its schema
    Misfit,
}

#[derive(Debug, Args)]
pub struct Plan {
    /// Resources by name [default: all that the settings include]
    #[arg(value_name = "RESOURCE")]
    pub resources: Vec<String>,
    /// As if everything were to be read again
    #[arg(long)]
    pub full: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Status {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Exit 3 when a resource is incomplete, owes records, or was last scanned longer ago, such as 26h
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    pub max_age: Option<Duration>,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// Resources by name [default: all that have manifests]
    #[arg(value_name = "RESOURCE")]
    pub resources: Vec<String>,
    /// Read every byte: checksums, keys, owners, partitions
    #[arg(long)]
    pub deep: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Clean {
    /// Say what would go: nothing is deleted
    #[arg(long)]
    pub dry_run: bool,
    /// Join small neighbouring files of a partition into larger ones, up to `limits.file_bytes`
    #[arg(long)]
    pub compact: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Resources {
    /// One resource, with its tables, columns and their meanings
    pub name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Write pages about every table and column into this folder: a page a service, and a picture
    #[arg(long, value_name = "DIR", conflicts_with_all = ["name", "json"])]
    pub reference: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Sandbox {
    /// The port on 127.0.0.1; 0 takes any that is free
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Orders of the account; the rest follows: notes, movements, payments and journals are those of the orders
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub orders: u64,
    /// Requests a minute; 0 is no quota
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub limit: u32,
    /// The seed that the data are made from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Products, when not in proportion; contradicts no rule of the business
    #[arg(long, value_name = "N")]
    pub products: Option<u64>,
    /// Contacts, when not in proportion; contradicts no rule of the business
    #[arg(long, value_name = "N")]
    pub contacts: Option<u64>,
    /// Journals, when not in proportion; fewer leave invoices and payments without a journal
    #[arg(long, value_name = "N")]
    pub journals: Option<u64>,
    /// A folder with fixtures: resources that the account serves beside its own
    #[arg(long, value_name = "DIR")]
    pub fixtures: Option<PathBuf>,
    /// Records of a fixture, when not as many as it states: NAME=N
    #[arg(long, value_name = "NAME=N", value_parser = parse_records)]
    pub records: Vec<(String, u64)>,
    /// A JSON file of settings, as `POST /sandbox/TOKEN/settings` takes them
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
}

/// Reads `NAME=N`.
fn parse_records(text: &str) -> Result<(String, u64), String> {
    let (name, count) = text.split_once('=').ok_or("NAME=N is needed")?;
    Ok((name.to_owned(), count.parse().map_err(|_| format!("`{count}` is no number of records"))?))
}

#[derive(Debug, Args)]
pub struct Completions {
    pub shell: Shell,
}
