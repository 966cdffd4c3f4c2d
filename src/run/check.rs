//! Tests of everything that a run needs, without reading data: settings, destination, credentials, and whether the
//! account's searches still match the schemas.

use std::sync::Arc;

use crate::decode::meta_data;
use crate::event::Event;
use crate::failure::{Failure, Kind, Result};
use crate::fetch::{Auth, Client, ColumnMeta, Request, SourceReply};
use crate::manifest::nonce;
use crate::manifest::{FieldDrift, KindChange, check_destination, head};
use crate::quantity::plural;
use crate::run::lost_account::{Lost, LostAccount, is_forbidden};
use crate::run::request::RunRequest;
use crate::run::selection::choose;
use crate::schema::{ConstantFilter, IdSearch, Inventory, Leaf, ReadStyle, Resource, Source};
use crate::store::Store;

/// Searches that the source does not know, after which it does not know the account: a single one may be unknown alone.
const ADDRESSES: usize = 3;

/// A check, and its result.
#[derive(Debug)]
pub struct Finding {
    pub what: String,
    /// The result, in a word or a sentence.
    pub found: Result<String>,
    /// Things that differ and do not stop a run.
    pub drift: Vec<String>,
}

/// Tries everything, in the order in which a run needs it; stops early only where the rest makes no sense.
pub async fn check(request: &RunRequest) -> Result<Vec<Finding>> {
    let chosen = choose(&request.catalog, &request.settings, &request.names)?;
    let account = request.settings.account()?;
    request.settings.metrics_file()?;
    request.settings.webhook()?;
    let credentials = request.settings.credentials(request.now)?;
    let limits = request.settings.limits()?;
    request.settings.destination()?;
    let auth = Auth::new(credentials.clone(), &account.code, request.redactor.clone())?;
    let named = auth.token_state()?.and_then(|state| state.api_domain);
    let named = named.filter(|domain| auth.check_domain(domain).is_ok());
    let run = nonce();
    request.events.tell(Event::Begun { run: run.clone(), account: account.code.clone(), resources: chosen.len() });
    let mut findings = vec![finding("settings", Ok(format!("account {} at {}", account.code, account.base_url)))];
    let opened = async {
        let store = Store::of(&request.settings, true)?;
        store.prove_conditional_put(&run).await?;
        check_destination(&store, &account.code).await?;
        Ok(store)
    };
    let mut drifted_fields = Vec::new();
    match opened.await {
        Ok(store) => {
            drifted_fields = drifted(&store, &chosen).await;
            let found = format!("{} can be written and honours conditional puts", store.describe());
            findings.push(finding("destination", Ok(found)));
            let found = "one was taken, seen as held, renewed and given back".to_owned();
            findings.push(finding("locks", store.prove_lock(&nonce()).await.map(|()| found)));
        }
        Err(failure) => findings.push(finding("destination", Err(failure))),
    }
    let client = Client::new(&account, auth, &limits, request.seed, request.events.clone())?;
    client.clocks().set(request.now);
    let lost =
        LostAccount { run: request, account: &account, credentials: &credentials, named, request: first(&chosen) };
    findings.extend(compare(&client, &chosen, &lost).await?);
    findings.extend(drifted_fields);
    Ok(findings)
}

/// Compares every search with the schemas; ends early where the account or the credentials are refused.
async fn compare(client: &Client, chosen: &[&Resource], lost: &LostAccount<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let (mut is_known, mut unknown) = (false, 0);
    'searches: for resource in chosen {
        for (search, wanted) in searches(resource) {
            let what = format!("{}: {search}", resource.name);
            let looked = look(client, resource, &search, &wanted).await;
            let found = match looked {
                Ok(drift) => Finding { what, found: Ok("as the schema says".to_owned()), drift },
                Err(Looked::Unknown(failure)) if !is_known => {
                    unknown += 1;
                    findings.push(finding(&what, Err(failure)));
                    if unknown == ADDRESSES {
                        break 'searches;
                    }
                    continue;
                }
                Err(Looked::Failed(failure)) if !is_known && is_final(&failure) => {
                    let (cause, failure) = lost.explain(Lost::Refused(failure)).await?;
                    return Ok(vec![finding(cause, Err(failure))]);
                }
                Err(Looked::Unknown(failure) | Looked::Failed(failure)) => finding(&what, Err(failure)),
            };
            if !is_known {
                findings.insert(0, finding("credentials", Ok("the source takes them".to_owned())));
                is_known = true;
            }
            findings.push(found);
        }
    }
    // Nothing was known there.
    if unknown > 0
        && !is_known
        && let Some(Finding { found: Err(failure), .. }) = findings.pop()
    {
        let (cause, failure) = lost.explain(Lost::Unknown(failure)).await?;
        return Ok(vec![finding(cause, Err(failure))]);
    }
    Ok(permitted(findings))
}

/// Whether every other request would fail in the same way.
fn is_final(failure: &Failure) -> bool {
    matches!(failure.kind(), Kind::Credentials | Kind::Offline | Kind::Unreachable)
}

/// The findings, with one in place of all searches where the credentials may read none of them.
fn permitted(findings: Vec<Finding>) -> Vec<Finding> {
    let forbidden = |finding: &Finding| finding.found.as_ref().is_err_and(is_forbidden);
    let count = findings.iter().filter(|finding| forbidden(finding)).count();
    if count < 2 || count + 1 < findings.len() {
        return findings;
    }
    let (refused, mut kept): (Vec<Finding>, Vec<Finding>) = findings.into_iter().partition(forbidden);
    let first = refused.into_iter().find_map(|finding| finding.found.err()).expect("there are two");
    let failure = Failure::new(Kind::Refused, "read any resource")
        .because(format!("the source takes the credentials and forbids every search: {}", first.reason()))
        .asked_as(first.request_id().map(str::to_owned))
        .advise("give the app or staff member permission to use the API; with a staff token, check whose token it is");
    kept.push(finding("permission", Err(failure)));
    kept
}

/// The request by which another data centre is asked for the account.
fn first(chosen: &[&Resource]) -> Request {
    let search = chosen.iter().find_map(|resource| Some((resource, searches(resource).into_iter().next()?.0)));
    let (name, path) = match search {
        Some((resource, search)) => (resource.name.as_str(), format!("{}/{search}/meta-data", resource.read.service)),
        None => ("", String::new()),
    };
    Request::get(&Arc::from(name), path)
}

/// The fields in which the last scans and the schemas differed, by resource.
async fn drifted(store: &Store, chosen: &[&Resource]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for resource in chosen {
        let what = format!("{}: fields of the last scans", resource.name);
        match head(store, &resource.name).await {
            Ok(Some(head)) if head.schema_hash == resource.hash && !head.state.evidence.drift.is_empty() => {
                let drift = described(&head.state.evidence.drift);
                findings.push(Finding { what, found: Ok("they differ from the schema".to_owned()), drift });
            }
            Ok(_) => {}
            Err(failure) => findings.push(finding(&what, Err(failure))),
        }
    }
    findings
}

/// A line for each field.
fn described(drift: &FieldDrift) -> Vec<String> {
    let unknown = drift.unknown.iter().flat_map(|(path, count)| {
        let values = plural(*count, "value");
        let field = format!("has `{path}`, which no column takes: {values} went to `_extra`");
        let line = drift.columns.get(path).map(|line| format!("may have this column for `{path}`: {line}"));
        std::iter::once(field).chain(line)
    });
    let missing = drift
        .missing
        .iter()
        .map(|(column, rows)| format!("no longer has `{column}` in its search: {} came without", plural(*rows, "row")));
    let emptied = drift.emptied.iter().map(|(path, rows)| match path.strip_suffix(".*") {
        Some(table) => format!("has no rows of `{table}`, which had rows before: none of {}", plural(*rows, "record")),
        None => format!("has nothing for `{path}`, which was filled before: null in {}", plural(*rows, "row")),
    });
    let changed = drift.changed.iter().map(|(path, KindChange { was, is, count })| {
        format!("has {is} for `{path}`, which was {was} before: {}", plural(*count, "value"))
    });
    unknown.chain(missing).chain(emptied).chain(changed).collect()
}

fn finding(what: &str, found: Result<String>) -> Finding {
    Finding { what: what.to_owned(), found, drift: Vec::new() }
}

/// The parts of a search on which a schema relies.
struct Wanted {
    /// Pages are sorted by it.
    row: String,
    filters: Vec<String>,
    /// Columns that must come back.
    columns: Vec<String>,
    /// Every column that a table takes; others are new at the source.
    mapped: Option<Vec<String>>,
}

/// The searches of a resource.
fn searches(resource: &Resource) -> Vec<(String, Wanted)> {
    let ids = |search: &IdSearch, dates: &[String], more: Vec<String>| {
        let own = [search.id.clone(), search.row.clone()].into_iter();
        let columns = own.chain(dates.iter().cloned()).chain(more).chain(shown(&search.filters)).collect();
        let filters = dates.iter().cloned().chain(constant(&search.filters)).collect();
        (search.search.clone(), Wanted { row: search.row.clone(), filters, columns, mapped: None })
    };
    match &resource.read.style {
        ReadStyle::IdSets { inventory, changes, .. } => {
            let mut found: Vec<(String, Wanted)> = changes
                .iter()
                .map(|changes| {
                    ids(
                        &changes.search,
                        &changes.since,
                        changes.same.iter().map(|(theirs, _)| theirs.clone()).collect(),
                    )
                })
                .collect();
            if let Inventory::Search(search) | Inventory::Windows(search) = inventory
                && found.iter().all(|(known, _)| *known != search.search)
            {
                found.push(ids(search, &[], Vec::new()));
            }
            found
        }
        ReadStyle::Search(search) => {
            let mapped: Vec<String> = resource
                .tables
                .iter()
                .flat_map(|table| table.columns.iter().chain(&table.excluded_columns))
                .flat_map(|column| &column.from)
                .filter_map(|source: &Source| match &source.leaf {
                    Leaf::Fields(fields) => fields.first().cloned(),
                    Leaf::Key | Leaf::Index | Leaf::Label | Leaf::Asked | Leaf::Path | Leaf::Level => None,
                })
                .collect();
            let wanted = Wanted {
                row: search.row.clone(),
                filters: search.since.iter().cloned().chain(constant(&search.filters)).collect(),
                columns: search.since.iter().cloned().chain(shown(&search.filters)).collect(),
                mapped: Some(mapped),
            };
            vec![(search.search.clone(), wanted)]
        }
        ReadStyle::List { .. } | ReadStyle::PerOwner { .. } => Vec::new(),
    }
}

/// The columns of constant filters.
fn constant(filters: &[ConstantFilter]) -> impl Iterator<Item = String> {
    filters.iter().map(|filter| filter.column.clone())
}

/// Those that the search shows.
fn shown(filters: &[ConstantFilter]) -> impl Iterator<Item = String> {
    filters.iter().filter(|filter| filter.is_shown).map(|filter| filter.column.clone())
}

/// Why a search could not be compared.
enum Looked {
    /// The source knows no such address.
    Unknown(Failure),
    Failed(Failure),
}

impl From<Failure> for Looked {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Compares a search's own description with the parts on which we rely; gives the harmless differences.
async fn look(client: &Client, resource: &Resource, search: &str, wanted: &Wanted) -> Result<Vec<String>, Looked> {
    let name: Arc<str> = Arc::from(resource.name.as_str());
    let request = Request::get(&name, format!("{}/{search}/meta-data", resource.read.service));
    let answer = match client.ask(&request).await? {
        SourceReply::Good(answer) => answer,
        SourceReply::TooLong(failure) => return Err(failure.into()),
        SourceReply::Refused { status, error, .. } => {
            let is_wrong_address = error.is_wrong_address();
            let failure = Failure::new(Kind::Refused, format!("look at {search}"))
                .at(request.path)
                .because(format!("HTTP {status} {} {}", error.code.unwrap_or_default(), error.message))
                .asked_as(error.request_id)
                .advise("exclude the resource with `resources.exclude` if the account does not have it");
            return Err(if is_wrong_address { Looked::Unknown(failure) } else { failure.into() });
        }
    };
    let columns = meta_data(&answer.body).map_err(|broken| {
        Failure::new(Kind::Answer, format!("look at {search}")).at(request.path.clone()).because(broken.0)
    })?;
    let column = |name: &String| columns.iter().find(|column| column.name == *name);
    let mut wrong = Vec::new();
    if !column(&wanted.row).is_some_and(|column: &ColumnMeta| column.sortable) {
        wrong.push(format!("cannot be sorted by `{}`", wanted.row));
    }
    wrong.extend(
        wanted
            .filters
            .iter()
            .filter(|name| !column(name).is_some_and(|column| column.filterable))
            .map(|name| format!("cannot be filtered by `{name}`")),
    );
    wrong.extend(
        wanted.columns.iter().filter(|name| column(name).is_none()).map(|name| format!("has no column `{name}`")),
    );
    if !wrong.is_empty() {
        return Err(Failure::new(Kind::Answer, format!("rely on {search}"))
            .because(format!("it {}", wrong.join(", ")))
            .advise("the source has changed: correct the schema with `--schemas`, or exclude the resource with `resources.exclude`")
            .into());
    }
    let Some(mapped) = &wanted.mapped else { return Ok(Vec::new()) };
    let gone = mapped
        .iter()
        .filter(|name| column(name).is_none())
        .map(|name| format!("no longer has `{name}`: the column stays null"));
    let new = columns.iter().filter(|column| !mapped.contains(&column.name));
    let new = new.map(|column| format!("has `{}`, which no table takes: it goes to `_extra`", column.name));
    Ok(gone.chain(new).collect())
}
