//! `pearlift sandbox`: serves a simulated account until it is stopped.

use std::io::ErrorKind;

use crate::cli::arguments::SandboxArguments as Arguments;
use crate::cli::terminal::Terminal;
use crate::disk;
use crate::failure::{Failure, Kind, Result};
use pearlift_sandbox::{Sandbox, SandboxSettings, Size};

/// The most bytes of a settings file.
const MOST_BYTES: u64 = 1 << 20;

/// Serves until the process ends. Prints the base URL and the address of control requests on stdout once it listens.
pub async fn sandbox(arguments: Arguments) -> Result<u8> {
    let mut settings = SandboxSettings { limit: arguments.limit, seed: arguments.seed, ..SandboxSettings::default() };
    if let Some(file) = &arguments.settings {
        let wrong = |why: String| {
            Failure::new(Kind::Usage, "read the sandbox's settings").at(file.display().to_string()).because(why)
        };
        let text = disk::read_text(file, MOST_BYTES).map_err(|error| wrong(error.to_string()))?;
        let values = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        settings.change(values).map_err(wrong)?;
    }
    if arguments.fixtures.is_some() {
        settings.fixtures.clone_from(&arguments.fixtures);
    }
    let mut size = Size { orders: arguments.orders, records: arguments.records.into_iter().collect() };
    let counts = [("products", arguments.products), ("contacts", arguments.contacts), ("journals", arguments.journals)];
    for (name, count) in counts.into_iter().filter_map(|(name, count)| Some((name, count?))) {
        size.records.insert(name.to_owned(), count);
    }
    let (app_ref, token) = (settings.app_ref.clone(), settings.staff_token.clone());
    let sandbox = Sandbox::start(settings, &size, arguments.port).await.map_err(|error| {
        if error.kind() == ErrorKind::InvalidData {
            return Failure::new(Kind::Usage, "read the fixtures of the sandbox").because(error.to_string());
        }
        Failure::new(Kind::Usage, "serve the sandbox")
            .at(format!("127.0.0.1:{}", arguments.port))
            .caused(error)
            .advise("choose another port with --port, or 0 for any free port")
    })?;
    // Its token is meant to be seen.
    let terminal = Terminal::default();
    terminal.print(&[sandbox.url(), sandbox.control()])?;
    terminal.complain(&[format!(
        "app_ref is {app_ref}, BRIGHTPEARL_STAFF_TOKEN is {token}; POST {}/… changes the account",
        sandbox.control()
    )]);
    sandbox.forever().await;
    Ok(0)
}
