//! `pearlift init`: a commented settings file, and whether it works.
//!
//! Takes flags, and on a terminal answers for the values that no flag gives. Without both it writes the file to be filled
//! in. Refuses (`Settings`) a file that exists, and values in a form that cannot be corrected; then nothing is written.

use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdin};
use std::path::Path;

use crate::cli::check;
use crate::cli::questions::SetUp;
use crate::cli::setup_arguments::Init;
use crate::cli::shell;
use crate::cli::start::Start;
use crate::config::{AuthKind, Choice, template, template_with};
use crate::failure::{Failure, Kind, Result};
use crate::fetch::Auth;
use crate::schema::Catalog;

/// The settings file that commands read without `--config`.
const DEFAULT_FILE: &str = "pearlift.toml";

/// Writes the file; one that is there is left alone. Ends with the checks where values were given or asked for.
pub async fn init(start: Start, init: Init) -> Result<u8> {
    let terminal = start.terminal();
    if init.file.exists() {
        return Err(wrong(&init.file, ErrorKind::AlreadyExists.into()));
    }
    let mut set_up = SetUp::given(&init)?;
    let asks = stdin().is_terminal() && stderr().is_terminal();
    if set_up.is_empty() && !asks {
        write(&init.file, &template(&Catalog::load(None)?))?;
        let file = init.file.display();
        let next = "fill in [account] and [destination], set BRIGHTPEARL_STAFF_TOKEN, then `pearlift check`";
        terminal.complain(&[format!("wrote {file}: {next}")]);
        return Ok(0);
    }
    terminal.complain(&set_up.corrections);
    if asks {
        set_up.ask(&terminal, &mut stdin().lock())?;
    }
    write(&init.file, &template_with(&Catalog::load(None)?, &set_up.settings()))?;
    let mut lines = vec![String::new(), format!("wrote {}", init.file.display())];
    lines.extend(secrets(&set_up).map(str::to_owned));
    terminal.complain(&lines);
    if init.no_check {
        return Ok(0);
    }
    check_file(start, &init.file).await
}

/// The place of the secrets that the login needs, which are no settings.
fn secrets(set_up: &SetUp) -> impl Iterator<Item = &'static str> {
    let lines: &[&str] = match set_up.login.as_deref().and_then(AuthKind::named) {
        Some(AuthKind::Oauth) => &[
            "tokens are not in this file: `pearlift auth login` gets them and keeps them in a file of their own",
            "a confidential app also has a client secret: set it in BRIGHTPEARL_CLIENT_SECRET, or name a file that contains \
             it in BRIGHTPEARL_CLIENT_SECRET_FILE",
        ],
        Some(AuthKind::AccountToken) => &[
            "the token is not in this file: App Store > Private apps shows it; set it in BRIGHTPEARL_ACCOUNT_TOKEN, or name \
             a file that contains it in BRIGHTPEARL_ACCOUNT_TOKEN_FILE",
        ],
        Some(AuthKind::StaffToken) => &[
            "the token is not in this file: App Store > Private apps gives one to each member of staff who is authorised \
             for the app; set it in BRIGHTPEARL_STAFF_TOKEN, or name a file that contains it in BRIGHTPEARL_STAFF_TOKEN_FILE",
        ],
        None => &["tokens are not in this file: they come from variables or files, see docs/tasks/credentials.md"],
    };
    lines.iter().copied()
}

/// Checks the written file; where a value or a secret is missing, states it and the next command.
async fn check_file(mut start: Start, file: &Path) -> Result<u8> {
    let next = match file.to_str() {
        Some(DEFAULT_FILE) => "pearlift check".to_owned(),
        _ => format!("pearlift --config '{}' check", shell::quotable(&file.display().to_string())),
    };
    start.config = Some(file.to_owned());
    match missing(&start) {
        Ok(()) => check::check(start).await,
        Err(failure) if failure.kind() == Kind::Settings => {
            let mut lines = vec![format!("not checked yet: {failure}")];
            lines.extend(failure.advice().map(|advice| format!("help: {advice}")));
            lines.push(format!("then: `{next}`"));
            start.terminal().complain(&lines);
            Ok(0)
        }
        Err(failure) => Err(failure),
    }
}

/// Refuses (`Settings`) settings in which something is missing that the checks need.
fn missing(start: &Start) -> Result<()> {
    let catalog = start.catalog()?;
    let settings = start.settings(&catalog)?;
    settings.destination()?;
    let account = settings.account()?;
    let credentials = settings.credentials(start.now)?;
    Auth::new(credentials, &account.code, start.redactor.clone()).map(|_| ())
}

fn write(file: &Path, text: &str) -> Result<()> {
    let mut created = File::create_new(file).map_err(|error| wrong(file, error))?;
    created.write_all(text.as_bytes()).map_err(|error| wrong(file, error))
}

fn wrong(file: &Path, error: std::io::Error) -> Failure {
    let exists = error.kind() == ErrorKind::AlreadyExists;
    let failure = Failure::new(Kind::Settings, "write the settings file").at(file.display().to_string());
    if exists {
        let why = "the file exists, and was not changed";
        failure.because(why).advise("give another name: `pearlift init FILE`")
    } else {
        failure.caused(error)
    }
}
