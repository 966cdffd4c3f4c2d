//! The destination marker: it names the one account of a destination.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind, Result};
use crate::manifest::format::FORMAT;
use crate::store::{Store, paths};

/// The content of `_pearlift/destination.json`.
#[derive(Debug, Deserialize, Serialize)]
struct DestinationMarker {
    format: u32,
    account: String,
    created_at: Timestamp,
    pearlift: String,
}

/// Whether the destination is this account's already; refuses (`Settings`) another account's and a newer format's.
pub async fn check_destination(store: &Store, account: &str) -> Result<bool> {
    let path = paths::destination();
    let Some(bytes) = store.get(&path).await? else {
        store.refuse_former(&path).await?;
        return Ok(false);
    };
    let marker: DestinationMarker = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(Kind::Damage, "read the destination marker").at(&path).caused(error))?;
    if marker.format > FORMAT {
        return Err(Failure::new(Kind::Settings, "use the destination")
            .at(store.describe())
            .because(format!("it is of format {}, and this program knows up to {FORMAT}", marker.format))
            .advise("use the newer pearlift that wrote it"));
    }
    if marker.account != account {
        return Err(Failure::new(Kind::Settings, "use the destination")
            .at(store.describe())
            .because(format!("it belongs to account `{}`, and `account.code` is `{account}`", marker.account))
            .advise("give each account its own destination (`destination.url`)"));
    }
    Ok(true)
}

/// Makes a destination without a marker this account's, by a conditional put; refuses as [`check_destination`] does
/// where another account was faster.
pub async fn claim_destination(store: &Store, account: &str, now: Timestamp) -> Result<()> {
    if check_destination(store, account).await? {
        return Ok(());
    }
    let path = paths::destination();
    let marker = DestinationMarker {
        format: FORMAT,
        account: account.to_owned(),
        created_at: now,
        pearlift: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let bytes = serde_json::to_vec_pretty(&marker)
        .map_err(|error| Failure::new(Kind::Bug, "write the destination marker").caused(error))?;
    // Another run may have been first: the marker that is there afterwards counts.
    store.put_new(&path, bytes).await?;
    if check_destination(store, account).await? {
        return Ok(());
    }
    Err(Failure::new(Kind::StoreUnreachable, "read back what was written").at(path))
}
