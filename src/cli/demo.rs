//! `pearlift demo`: a simulated account, exported to a folder, without settings or network.

use std::ffi::OsString;

use crate::cli::arguments::{Demo, LogFormat};
use crate::cli::shell;
use crate::cli::start::{RunOptions, Start};
use crate::config::{Environment, Settings};
use crate::failure::{Failure, Kind, Result};
use crate::quantity::plural;
use crate::run::RunMode;
use crate::schema::Catalog;
use pearlift_sandbox::{Sandbox, SandboxSettings, Size};

/// The account's code: a destination of it is a demo's.
const ACCOUNT: &str = "demo";

/// Exports the account and prints a query to try.
pub async fn demo(start: Start, demo: Demo) -> Result<u8> {
    let settings = SandboxSettings { account: ACCOUNT.to_owned(), limit: 0, ..SandboxSettings::default() };
    let (app_ref, token) = (settings.app_ref.clone(), settings.staff_token.clone());
    let size = Size { orders: demo.orders.max(1), ..Size::default() };
    let sandbox = Sandbox::start(settings, &size, 0)
        .await
        .map_err(|error| Failure::new(Kind::Bug, "serve the simulated account").caused(error))?;
    let folder = demo.out.display().to_string();
    let vars = [
        ("BRIGHTPEARL_STAFF_TOKEN", token),
        ("PEARLIFT_ACCOUNT_CODE", ACCOUNT.to_owned()),
        ("PEARLIFT_ACCOUNT_BASE_URL", sandbox.url()),
        ("PEARLIFT_AUTH_KIND", "staff-token".to_owned()),
        ("PEARLIFT_AUTH_APP_REF", app_ref),
        ("PEARLIFT_DESTINATION_URL", folder.clone()),
        ("PEARLIFT_LIMITS_REQUESTS_PER_PERIOD", "0".to_owned()),
    ];
    let environment = Environment::new(vars.map(|(name, value)| (OsString::from(name), OsString::from(value))));
    let catalog = Catalog::load(None)?;
    let names: Vec<&str> = catalog.resources().iter().map(|resource| resource.name.as_str()).collect();
    let settings = Settings::from_text(None, "", environment, &names)?;
    let catalog = settings.shape(catalog)?;
    // Each demo generates a new account, so that the folder of an earlier one is read again completely.
    let full = demo.out.join("_pearlift").exists();
    if start.options.log_format == LogFormat::Text {
        let line = format!("exporting an account of {} to {folder}", plural(demo.orders.max(1), "simulated order"));
        start.terminal().complain(&[line, String::new()]);
    }
    let code =
        start.run(catalog, settings, RunOptions { mode: RunMode::Update { full }, ..RunOptions::default() }).await?;
    if code == 0 {
        let intro = ["", "Try, with DuckDB in this folder:", ""].map(str::to_owned);
        start.terminal().print(&[intro.to_vec(), query(&folder)].concat())?;
    }
    Ok(code)
}

/// A command that shows net sales by month and channel, from two tables; the folder can do nothing in a shell, nor in
/// SQL.
fn query(folder: &str) -> Vec<String> {
    // A name of files in which `*` and similar characters are literal.
    let mut files = String::new();
    for c in folder.chars() {
        match c {
            '\'' => files.push_str("''"),
            '*' | '?' | '[' => files.extend(['[', c, ']']),
            other => files.push(other),
        }
    }
    let mut lines = vec![
        "  SELECT strftime(o.original_invoice_date_local, '%Y-%m') AS month, c.name AS channel, count(*) AS invoices,"
            .to_owned(),
        "    sum(CASE o.order_type_code WHEN 'SC' THEN -abs(o.base_net) ELSE o.base_net END) AS net".to_owned(),
        format!("  FROM read_parquet('{files}/order/**/*.parquet', hive_partitioning = true) AS o"),
        format!("  JOIN read_parquet('{files}/channel/*.parquet') AS c ON c.id = o.channel_id"),
        "  WHERE o.order_type_code IN ('SO', 'SC') AND o.original_invoice_date_local IS NOT NULL".to_owned(),
        "  GROUP BY ALL ORDER BY month DESC, net DESC LIMIT 12".to_owned(),
    ];
    let quote = if shell::is_plain(folder) { '"' } else { '\'' };
    if quote == '\'' {
        lines.iter_mut().for_each(|line| *line = shell::quotable(line));
    }
    lines.insert(0, format!("duckdb -c {quote}"));
    lines.iter_mut().last().expect("there are lines").push(quote);
    lines
}
