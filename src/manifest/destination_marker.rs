//! The destination marker: it names the one account of a destination, and its layout.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{Choice, DestinationLayout};
use crate::failure::{Failure, Kind, Result};
use crate::manifest::format::FORMAT;
use crate::store::{Store, paths};

/// The format of the marker of a destination in the layout `delta`: programs that know only [`FORMAT`] would delete
/// superseded files there.
const WITH_LAYOUT: u32 = 2;

/// The content of `_pearlift/destination.json`.
#[derive(Debug, Deserialize, Serialize)]
struct DestinationMarker {
    format: u32,
    account: String,
    created_at: Timestamp,
    pearlift: String,
    /// The word of the layout; absent for `parquet`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layout: Option<String>,
}

impl DestinationMarker {
    /// With the layout of a store.
    fn in_layout(self, layout: DestinationLayout) -> Self {
        match layout {
            DestinationLayout::Parquet => Self { format: FORMAT, layout: None, ..self },
            DestinationLayout::Delta => Self { format: WITH_LAYOUT, layout: Some(layout.word().to_owned()), ..self },
        }
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self)
            .map_err(|error| Failure::new(Kind::Bug, "write the destination marker").caused(error))
    }
}

/// Whether the destination is this account's already; refuses (`Settings`) another account's, a newer format's, and one
/// in another layout than the store's.
pub async fn check_destination(store: &Store, account: &str) -> Result<bool> {
    let Some(layout) = marked_layout(store, account).await? else { return Ok(false) };
    if layout == store.layout() {
        return Ok(true);
    }
    let (is, set) = (layout.word(), store.layout().word());
    Err(Failure::new(Kind::Settings, "use the destination")
        .at(store.describe())
        .because(format!("its layout is `{is}`, and `destination.layout` is `{set}`"))
        .advise(format!(
            "set `layout = \"{is}\"` under [destination], or change the destination: `pearlift clean --layout`"
        )))
}

/// The layout of the destination, if it has a marker; refuses (`Settings`) another account's and a newer format's.
pub async fn marked_layout(store: &Store, account: &str) -> Result<Option<DestinationLayout>> {
    let Some(marker) = marker(store, account).await? else { return Ok(None) };
    let word = marker.layout.as_deref().unwrap_or(DestinationLayout::Parquet.word());
    let layout = DestinationLayout::named(word).ok_or_else(|| {
        Failure::new(Kind::Settings, "use the destination")
            .at(store.describe())
            .because(format!("its layout `{word}` is unknown to this program"))
            .advise("use the newer pearlift that wrote it")
    })?;
    Ok(Some(layout))
}

/// States in the marker that the destination has the layout of the store. Only under the locks of all its resources.
pub async fn mark_layout(store: &Store, account: &str) -> Result<()> {
    let Some(marker) = marker(store, account).await? else { return Ok(()) };
    store.replace(&paths::destination(), marker.in_layout(store.layout()).bytes()?).await
}

/// The marker of this account.
async fn marker(store: &Store, account: &str) -> Result<Option<DestinationMarker>> {
    let path = paths::destination();
    let Some(bytes) = store.get(&path).await? else {
        store.refuse_former(&path).await?;
        return Ok(None);
    };
    let marker: DestinationMarker = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(Kind::Damage, "read the destination marker").at(&path).caused(error))?;
    if marker.format > WITH_LAYOUT {
        return Err(Failure::new(Kind::Settings, "use the destination")
            .at(store.describe())
            .because(format!("it is of format {}, and this program knows up to {WITH_LAYOUT}", marker.format))
            .advise("use the newer pearlift that wrote it"));
    }
    if marker.account != account {
        return Err(Failure::new(Kind::Settings, "use the destination")
            .at(store.describe())
            .because(format!("it belongs to account `{}`, and `account.code` is `{account}`", marker.account))
            .advise("give each account its own destination (`destination.url`)"));
    }
    Ok(Some(marker))
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
        layout: None,
    };
    let bytes = marker.in_layout(store.layout()).bytes()?;
    // Another run may have been first: the marker that is there afterwards counts.
    store.put_new(&path, bytes).await?;
    if check_destination(store, account).await? {
        return Ok(());
    }
    Err(Failure::new(Kind::StoreUnreachable, "read back what was written").at(path))
}
