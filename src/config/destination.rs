//! Places as users write them: folders with `~` or as `file://` URLs, and the prefix of a bucket's keys.

use std::path::{Path, PathBuf};

use url::Url;

use crate::config::address::shown_address;
use crate::config::environment::Environment;
use crate::failure::{Failure, Kind, Result};

/// The folder that `destination.url` names: a path, `~/…` below the home folder, or `file:///…`. Refuses (`Settings`) a
/// `file://` URL with a host, and `~user`.
pub(super) fn folder(url: &str, environment: &Environment) -> Result<PathBuf> {
    let scheme = url.get(..5).filter(|start| start.eq_ignore_ascii_case("file:"));
    if scheme.is_none() {
        return path("destination.url", url, environment);
    }
    let refuse = |why: &str, form: &str| {
        Failure::new(Kind::Settings, "accept the destination")
            .at(shown_address(url))
            .because(why)
            .advise(format!("write `url = \"{form}\"` under [destination], or the path of the folder alone"))
    };
    let rest = &url[5..];
    let Some(rest) = rest.strip_prefix("//") else {
        let form = format!("file:///{}", rest.trim_start_matches('/'));
        return if rest.starts_with('/') {
            parsed(url)
        } else {
            Err(refuse("a file URL contains a whole path", &form))
        };
    };
    let (host, below) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
        let why = format!("`{host}` is the host of this URL, and only folders of this machine can be used");
        // Two slashes before a path are the usual slip: the host is the path's first folder.
        let form = if host == "~" { format!("~/{below}") } else { format!("file:///{host}/{below}") };
        return Err(refuse(&why, form.trim_end_matches('/')));
    }
    parsed(url)
}

/// The path of a `file:` URL without a host, its escapes decoded.
fn parsed(url: &str) -> Result<PathBuf> {
    let refuse = || Failure::new(Kind::Settings, "accept the destination").at(shown_address(url));
    let parsed = Url::parse(url).map_err(|error| refuse().caused(error))?;
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(refuse()
            .because("it holds `?` or `#`")
            .advise("write them as %3F and %23, or the path of the folder alone"));
    }
    parsed.to_file_path().map_err(|()| refuse().because("it names no path"))
}

/// A path of the settings, in which `~/` is the home folder. Refuses (`Settings`) `~user`.
pub(super) fn path(key: &str, text: &str, environment: &Environment) -> Result<PathBuf> {
    let Some(rest) = text.strip_prefix('~') else { return Ok(PathBuf::from(text)) };
    let refuse = |why: &str| {
        Failure::new(Kind::Settings, format!("accept `{key}`"))
            .at(text)
            .because(why)
            .advise("write the whole path; a folder name that begins with `~` is written `./~…`")
    };
    if !rest.is_empty() && !rest.starts_with('/') {
        return Err(refuse("`~` is the user's own home folder only, as in `~/lake`"));
    }
    let home = environment.get("HOME").ok_or_else(|| refuse("`~` is the home folder, and HOME is not set"))?;
    Ok(Path::new(home).join(rest.trim_start_matches('/')))
}

/// [`path`], or the text itself if the home folder is unknown: reading it fails with its name.
pub(super) fn path_or_as_written(text: &str, environment: &Environment) -> PathBuf {
    path("", text, environment).unwrap_or_else(|_| PathBuf::from(text))
}

/// The prefix of a bucket's keys, as written except for slashes at its ends. Refuses (`Settings`) parts that a key of
/// ours cannot have.
pub(super) fn prefix(url: &str, prefix: &str) -> Result<String> {
    let prefix = prefix.trim_matches('/');
    let refuse = |why: &str| {
        Failure::new(Kind::Settings, "accept the destination").at(shown_address(url)).because(why).advise(
            "write `s3://bucket/prefix` or `az://container/prefix`; the prefix is taken literally, without escapes",
        )
    };
    if prefix.contains(|c: char| c.is_ascii_control()) {
        return Err(refuse("its prefix contains control characters"));
    }
    if !prefix.is_empty() && prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(refuse("its prefix has an empty part, `.` or `..`"));
    }
    Ok(prefix.to_owned())
}

#[cfg(test)]
#[path = "destination_tests.rs"]
mod tests;
