//! One settings file of several: the account that it names, and everything that no other file may name too.
//!
//! Takes files, gives members. A file that cannot be read makes a member without an account: the account's own process
//! reports the reason. Refuses (`Settings`) two members with one destination, one file of metrics, or one file of tokens
//! for two accounts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cli::start::Start;
use crate::config::{Destination, SecretSource, Settings, secret_variables};
use crate::failure::{Failure, Kind, Result};
use crate::schema::Catalog;

/// An account of several.
#[derive(Debug, Default)]
pub struct Member {
    pub file: PathBuf,
    /// The name in messages: the account, or the file where the account is unknown or has several files.
    pub label: String,
    /// The address of the account at the source, where it is known: one quota.
    pub source: Option<String>,
    account: Option<String>,
    /// The key and the value of each setting that no other member may share.
    own: Vec<(&'static str, String)>,
    secrets: SecretSource,
}

/// The members of the files, checked against each other. Nothing is requested or written.
pub fn members(start: &Start, files: &[PathBuf]) -> Result<Vec<Member>> {
    let mut catalogs = BTreeMap::new();
    let mut members: Vec<Member> = files.iter().map(|file| member(start, file, &mut catalogs)).collect();
    for (place, one) in members.iter().enumerate() {
        for other in &members[..place] {
            refuse_shared(other, one)?;
        }
    }
    let accounts: Vec<Option<String>> = members.iter().map(|member| member.account.clone()).collect();
    for member in &mut members {
        let alone = |account: &&String| accounts.iter().flatten().filter(|other| other == account).count() == 1;
        let account = member.account.as_ref().filter(alone).cloned();
        member.label = account.unwrap_or_else(|| member.file.display().to_string());
    }
    Ok(members)
}

fn member(start: &Start, file: &Path, catalogs: &mut BTreeMap<Option<PathBuf>, Option<Catalog>>) -> Member {
    let start = Start { config: Some(file.to_owned()), ..start.clone() };
    let unknown = Member { file: file.to_owned(), ..Member::default() };
    let schemas = start.schemas();
    let catalog = catalogs.entry(schemas.clone()).or_insert_with(|| Catalog::load(schemas.as_deref()).ok());
    let Some(settings) = catalog.as_ref().and_then(|catalog| start.settings(catalog).ok()) else { return unknown };
    let account = settings.account().ok();
    Member {
        source: account.as_ref().map(|account| account.base_url.to_string()),
        account: account.map(|account| account.code),
        own: own(&settings),
        secrets: settings.environment().secrets().clone(),
        ..unknown
    }
}

/// The settings that are of one account only. One that cannot be resolved is reported by the account's process.
fn own(settings: &Settings) -> Vec<(&'static str, String)> {
    let destination = settings.destination().ok().map(|destination| match destination {
        Destination::Local(folder) => real(&folder).display().to_string(),
        Destination::S3(s3) => {
            let endpoint = s3.endpoint.map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
            format!("s3://{}/{}{endpoint}", s3.bucket, s3.prefix)
        }
        Destination::Azure(azure) => {
            let endpoint = azure.endpoint.map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
            format!("az://{}/{} of {}{endpoint}", azure.container, azure.prefix, azure.account)
        }
        Destination::Cloud(cloud) => format!("gs://{}/{}", cloud.bucket, cloud.prefix),
    });
    let metrics = settings.metrics_file().ok().flatten().map(|file| real(&file).display().to_string());
    let tokens = settings.token_file().map(|file| real(Path::new(file)).display().to_string());
    let found = [("destination.url", destination), ("metrics.textfile", metrics), (TOKEN_FILE, tokens)];
    found.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// Two files of one account may share its tokens, under a lock.
const TOKEN_FILE: &str = "auth.token_file";

/// A path without links in the part of it that exists.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = path.ancestors().find_map(|ancestor| {
        let rest = path.strip_prefix(ancestor).ok()?;
        Some(ancestor.canonicalize().ok()?.join(rest))
    });
    // A slash at the end is none of the name.
    found.unwrap_or(path).components().collect()
}

fn refuse_shared(one: &Member, other: &Member) -> Result<()> {
    let is_same = one.account.is_some() && one.account == other.account;
    let shared = one.own.iter().filter(|(key, _)| !(is_same && *key == TOKEN_FILE)).find(|own| other.own.contains(own));
    let Some((key, value)) = shared else { return Ok(()) };
    Err(Failure::new(Kind::Settings, "process several accounts")
        .at(value)
        .because(format!("`{key}` of {} and of {} is the same", one.file.display(), other.file.display()))
        .advise(format!(
            "give each account its own `{key}` in its settings file; a PEARLIFT_ variable applies to all of them"
        )))
}

impl Member {
    /// The variables that the process of this member does not get: the secrets of the other members, and where this one
    /// has a place of its own, those of nobody.
    pub fn withheld(&self, all: &[Member]) -> Vec<String> {
        let prefix = |member: &Member| match &member.secrets {
            SecretSource::Prefixed(prefix) => Some(prefix.clone()),
            SecretSource::Variables | SecretSource::Folder(_) => None,
        };
        let own: Vec<String> = prefix(self).iter().flat_map(|prefix| secret_variables(prefix)).collect();
        let others = all.iter().filter_map(prefix).flat_map(|prefix| secret_variables(&prefix));
        let shared = secret_variables("")
            .into_iter()
            .filter(|name| !["AWS_", "AZURE_"].iter().any(|start| name.starts_with(start)));
        let shared = shared.filter(|_| self.secrets != SecretSource::Variables);
        others.chain(shared).filter(|name| !own.contains(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(file: &str, account: &str, own: &[(&'static str, &str)], secrets: SecretSource) -> Member {
        let own = own.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        Member { file: file.into(), account: Some(account.to_owned()), own, secrets, ..Member::default() }
    }

    #[test]
    fn two_accounts_share_nothing_and_two_files_of_one_may_share_its_tokens() {
        let of = |account, own: &[(&'static str, &str)]| member("x.toml", account, own, SecretSource::Variables);
        let refused = |one: &Member, other: &Member| refuse_shared(one, other).err().map(|failure| failure.to_string());
        let acme = of("acme", &[("destination.url", "/lake/acme"), (TOKEN_FILE, "/t.json")]);
        assert_eq!(refused(&acme, &of("bolt", &[("destination.url", "/lake/bolt")])), None);
        assert!(
            refused(&acme, &of("bolt", &[("destination.url", "/lake/acme")])).unwrap().contains("`destination.url`")
        );
        assert!(refused(&acme, &of("bolt", &[(TOKEN_FILE, "/t.json")])).unwrap().contains("`auth.token_file`"));
        assert_eq!(refused(&acme, &of("acme", &[(TOKEN_FILE, "/t.json")])), None);
    }

    #[test]
    fn a_process_gets_the_secrets_of_its_account_and_of_no_other() {
        let prefixed = |prefix: &str| SecretSource::Prefixed(prefix.to_owned());
        let all = [
            member("a.toml", "acme", &[], prefixed("ACME_")),
            member("b.toml", "bolt", &[], prefixed("ACME_UK_")),
            member("c.toml", "crux", &[], SecretSource::Variables),
            member("d.toml", "dune", &[], SecretSource::Folder("/run/secrets/dune".into())),
        ];
        let has = |place: usize, name: &str| !all[place].withheld(&all).iter().any(|withheld| withheld == name);
        for (name, holders) in [
            ("ACME_BRIGHTPEARL_STAFF_TOKEN", [true, false, false, false]),
            ("ACME_AWS_SECRET_ACCESS_KEY_FILE", [true, false, false, false]),
            ("ACME_UK_BRIGHTPEARL_STAFF_TOKEN_FILE", [false, true, false, false]),
            ("BRIGHTPEARL_STAFF_TOKEN", [false, false, true, false]),
            ("AWS_SECRET_ACCESS_KEY", [true; 4]),
            ("ACME_AZURE_STORAGE_ACCOUNT_KEY", [true, false, false, false]),
            ("AZURE_STORAGE_ACCOUNT_KEY", [true; 4]),
            ("PATH", [true; 4]),
        ] {
            assert_eq!([0, 1, 2, 3].map(|place| has(place, name)), holders, "{name}");
        }
    }

    #[test]
    fn a_path_is_compared_behind_its_links_whether_it_exists_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("there");
        std::fs::create_dir(&there).unwrap();
        std::os::unix::fs::symlink(&there, folder.path().join("link")).unwrap();
        assert_eq!(real(&folder.path().join("link/new/")), real(&there).join("new"));
        assert_ne!(real(&folder.path().join("link/new")), real(&there.join("newer")));
    }
}
