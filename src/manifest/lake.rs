//! One account a destination: the paper that says so.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind, Result};
use crate::manifest::format::FORMAT;
use crate::store::{Store, paths};

/// What `_pearlift/destination.json` says.
#[derive(Debug, Deserialize, Serialize)]
struct Paper {
    format: u32,
    account: String,
    created_at: Timestamp,
    pearlift: String,
}

/// Makes sure that the destination is this account's: writes its paper where there is none (`create`), refuses (`Settings`)
/// another account's and a newer format's.
pub async fn claim_destination(store: &Store, account: &str, now: Timestamp, create: bool) -> Result<()> {
    let path = paths::destination();
    let found = store.get(&path).await?;
    if found.is_none() {
        store.refuse_former(&path).await?;
    }
    let found = match found {
        None if !create => return Ok(()),
        None => {
            let paper = Paper {
                format: FORMAT,
                account: account.to_owned(),
                created_at: now,
                pearlift: env!("CARGO_PKG_VERSION").to_owned(),
            };
            let bytes = serde_json::to_vec_pretty(&paper)
                .map_err(|error| Failure::new(Kind::Bug, "write the destination's paper").caused(error))?;
            // Whoever put it first: what counts is what is there afterwards.
            store.put_new(&path, bytes).await?;
            store.get(&path).await?
        }
        found => found,
    };
    let Some(bytes) = found else {
        return Err(Failure::new(Kind::StoreUnreachable, "read back what was written").at(path));
    };
    let paper: Paper = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(Kind::Damage, "read the destination's paper").at(&path).caused(error))?;
    if paper.format > FORMAT {
        return Err(Failure::new(Kind::Settings, "use the destination")
            .at(store.describe())
            .because(format!("it is of format {}, and this program knows up to {FORMAT}", paper.format))
            .advise("use the newer pearlift that wrote it"));
    }
    if paper.account != account {
        return Err(Failure::new(Kind::Settings, "use the destination")
            .at(store.describe())
            .because(format!("it belongs to account `{}`, and `account.code` is `{account}`", paper.account))
            .advise("give each account a destination of its own (`destination.url`)"));
    }
    Ok(())
}
