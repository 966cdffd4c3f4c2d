//! `pearlift demo`: a simulated account, exported to a folder, without settings or network.

use std::ffi::OsString;

use crate::cli::arguments::{Demo, LogFormat};
use crate::cli::start::{Start, Wish};
use crate::cli::terminal::{complain, print};
use crate::config::{Environment, Settings};
use crate::failure::{Failure, Kind, Result};
use crate::run::Task;
use crate::schema::Catalog;
use pearlift_sandbox::{Sandbox, Settings as AccountSettings, Size};

/// The account's code: a destination of it is a demo's.
const ACCOUNT: &str = "demo";

/// Exports the account and prints a query to try.
pub async fn demo(start: Start, demo: Demo) -> Result<u8> {
    let settings = AccountSettings { account: ACCOUNT.to_owned(), limit: 0, ..AccountSettings::default() };
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
    // The account is made anew each time: what an earlier demo left is read again whole.
    let full = demo.out.join("_pearlift").exists();
    if start.options.log_format == LogFormat::Text {
        complain(&format!("exporting a simulated account of {} orders to {folder}\n", demo.orders.max(1)));
    }
    let code = start.run(catalog, settings, Wish { task: Task::Update { full }, ..Wish::default() }).await?;
    if code == 0 {
        print(&format!("\nTry, with DuckDB in this folder:\n\n{}", query(&folder)))?;
    }
    Ok(code)
}

/// Revenue by month and currency, from two tables.
fn query(folder: &str) -> String {
    format!(
        "duckdb -c \"\n  SELECT o.created_month, o.order_currency_code, count(DISTINCT o.id) AS orders, sum(r.quantity) AS pieces, sum(r.row_net) AS net\n  FROM read_parquet('{folder}/order/**/*.parquet', hive_partitioning = true) AS o\n  JOIN read_parquet('{folder}/order_row/**/*.parquet', hive_partitioning = true) AS r ON r.order_id = o.id\n  WHERE o.order_type_code = 'SO'\n  GROUP BY ALL ORDER BY ALL DESC LIMIT 12\""
    )
}
