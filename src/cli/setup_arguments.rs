//! The arguments of the commands that set pearlift up: `init` and `auth`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use crate::cli::help::ending;
use crate::config::{AuthKind, Choice};

#[derive(Debug, Args)]
pub struct Init {
    /// File to write
    #[arg(value_name = "FILE", default_value = "pearlift.toml")]
    pub file: PathBuf,
    /// Account code, as you enter it to log in to Brightpearl
    #[arg(long, value_name = "CODE")]
    pub account: Option<String>,
    /// Data centre (euw1, use1), or the host or address of the API
    #[arg(long, value_name = "HOST", visible_alias = "api-domain")]
    pub datacentre: Option<String>,
    /// Kind of login; tokens are never arguments, they come from variables or files
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(AuthKind::NAMES))]
    pub login: Option<String>,
    /// Reference of the app
    #[arg(long, value_name = "REF")]
    pub app_ref: Option<String>,
    /// Reference of the developer, for OAuth
    #[arg(long, value_name = "REF")]
    pub dev_ref: Option<String>,
    /// Folder, s3://bucket/prefix, or az://container/prefix
    #[arg(long, value_name = "URL")]
    pub destination: Option<String>,
    /// Do not end with the checks of `pearlift check`
    #[arg(long)]
    pub no_check: bool,
}

#[derive(Debug, Args)]
pub struct AuthArguments {
    #[command(subcommand)]
    pub command: AuthCommand,
}

/// The commands of `auth`.
#[derive(Debug, Subcommand)]
pub enum AuthCommand {
    /// Log in with OAuth: allow the app on a page of Brightpearl, and keep its tokens
    #[command(after_help = ending("auth"))]
    Login(LoginArguments),
    /// Print the account, the expiry of the token, and whether it can be refreshed; never a token
    #[command(after_help = ending("auth"))]
    Status(LoginStatus),
    /// Refresh the token now
    #[command(after_help = ending("auth"))]
    Refresh,
}

#[derive(Debug, Args)]
pub struct LoginArguments {
    /// Redirect address, exactly as it is registered for the app [default: auth.redirect_uri]
    #[arg(long, value_name = "URL")]
    pub redirect_uri: Option<String>,
    /// Port on 127.0.0.1 that the answer is received at, instead of that of the redirect address
    #[arg(long, value_name = "N", conflicts_with = "paste")]
    pub port: Option<u16>,
    /// Read the address to which the page led, or its code, from stdin instead of listening
    #[arg(long)]
    pub paste: bool,
}

#[derive(Debug, Args)]
pub struct LoginStatus {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
