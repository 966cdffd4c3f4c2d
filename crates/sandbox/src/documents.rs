//! GET of id sets and lists, and OPTIONS (docs/brightpearl-api.md §5.3, §5.8).

use std::fmt::Write;

use crate::account::Account;
use crate::fixture::{FixtureRefusal, FixtureShape, Get};
use crate::idset;
use crate::reply::Reply;
use crate::resource::ResourceId;
use crate::seed::hash;
use crate::settings::SandboxSettings;

/// Parameters of a GET.
#[derive(Clone, Debug)]
pub struct GetRequest<'a> {
    /// Below the account.
    pub path: &'a str,
    pub set: Option<&'a str>,
    /// The optional sections by name.
    pub sections: &'a [&'a str],
    /// 1-based; where answers come in pages.
    pub first: usize,
    pub parameters: &'a [(String, String)],
}

/// How sets of documents are answered.
struct Manner {
    /// Ids of a set at most.
    most: usize,
    /// More than that come in pages, sorted by this field.
    pages_by: Option<String>,
    /// The answer to a set without a record.
    none: Reply,
    /// The answer to a set with a record that is not there.
    refuses: Option<Reply>,
}

impl Manner {
    fn of(get: &Get, settings: &SandboxSettings) -> Self {
        let refuse = |refusal: &FixtureRefusal| Reply::error(refusal.status, &refusal.code, &refusal.message);
        let refuses = |refusal: &FixtureRefusal| {
            let code = Some(&settings.refusal_code).filter(|code| !code.is_empty()).unwrap_or(&refusal.code);
            Reply::error(refusal.status, code, &refusal.message)
        };
        let empty = if get.keyed { "{}" } else { "[]" };
        Self {
            most: get.most.unwrap_or(settings.max_ids),
            pages_by: get.pages_by.clone(),
            none: get.none.as_ref().map_or_else(|| Reply::good(empty), refuse),
            refuses: get.refuses.as_ref().map(refuses),
        }
    }
}

/// Answers a GET; the second part is how many ids were requested.
pub fn get(
    account: &Account,
    settings: &SandboxSettings,
    resource: ResourceId,
    asked: &GetRequest<'_>,
) -> (Reply, usize) {
    let fixture = account.fixture(resource);
    let served = fixture.get.as_ref().expect("a served resource has a path");
    if fixture.shape == FixtureShape::List {
        return (list(account, settings, resource, asked), 0);
    }
    let Some(text) = asked.set else {
        return (Reply::error(400, "CMNC-006", "An id set is needed"), 0);
    };
    let ranges = match idset::parse(text) {
        Ok(ranges) => ranges,
        Err((code, message)) => return (Reply::error(400, code, &message), 0),
    };
    let span = ranges.iter().map(|(from, to)| to - from + 1).sum::<i64>();
    // A range may cover more than there is, but not endlessly.
    let greatest = account.greatest(resource);
    let beyond = ranges.iter().any(|(_, to)| *to > greatest);
    let ranges: Vec<(i64, i64)> = ranges.iter().map(|(from, to)| (*from, (*to).min(greatest))).collect();
    let ids = || ranges.iter().flat_map(|(from, to)| *from..=*to);
    let count = usize::try_from(span).unwrap_or(usize::MAX);
    let manner = Manner::of(served, settings);
    if let Some(refusal) = manner.refuses {
        let all = settings.refuses_every_set.contains(&fixture.name);
        if all || beyond || ids().any(|id| !account.exists(resource, id)) {
            return (refusal, count);
        }
    }
    let mut found: Vec<i64> = ids().filter(|id| account.exists(resource, *id)).collect();
    found.retain(|id| !settings.never_returned.contains(id));
    if let Some((column, value)) = within(served, asked.path) {
        found.retain(|id| account.shows(resource, *id, column, value));
    }
    let most = manner.most;
    if found.len() > most && manner.pages_by.is_none() {
        let usual = format!("At most {most} ids may be asked for");
        let message = Some(&settings.pieces.too_many).filter(|text| !text.is_empty()).unwrap_or(&usual);
        return (Reply::error(400, "CMNC-100", message), count);
    }
    let total = found.len();
    if manner.pages_by.is_some() {
        found = found.into_iter().skip(asked.first - 1).take(most).collect();
    }
    let returned = found.len();
    if settings.shuffles {
        found.sort_by_key(|id| hash(account.world.seed, *id, 99));
    }
    if found.is_empty() && total == 0 {
        return (manner.none, count);
    }
    if served.single {
        return (alone(account, resource, &found, asked), count);
    }
    let mut reply = Reply::good(&documents(account, resource, &found, asked));
    if let Some(field) = manner.pages_by {
        paginate(&mut reply, asked.first, returned, total);
        reply.body.pop();
        let _ = write!(reply.body, ",\"sorting\":[{{\"field\":\"{field}\",\"direction\":\"ASC\"}}]}}");
    }
    (reply, count)
}

/// Answers a GET of a list: all of it, or one of its pages.
fn list(account: &Account, settings: &SandboxSettings, resource: ResourceId, asked: &GetRequest<'_>) -> Reply {
    let fixture = account.fixture(resource);
    let served = fixture.get.as_ref().expect("a served resource has a path");
    let all: Vec<i64> = account.ids(resource).filter(|id| fixture.is_served_at(asked.path, *id)).collect();
    if served.single {
        let Some(first) = all.first() else { return Manner::of(served, settings).none };
        let mut document = String::new();
        let record = account.record(resource, *first);
        fixture.document(&account.world, &record, Some(asked.sections), &mut document);
        return Reply::good(&document);
    }
    if let Some((number, size, most)) = &served.numbered {
        let value = |wanted: &str| {
            let found = asked.parameters.iter().find(|(name, _)| name == wanted);
            found.and_then(|(_, value)| value.parse::<usize>().ok())
        };
        let size = value(size)
            .unwrap_or(50)
            .min(*most)
            .min(if settings.pieces.list_page == 0 { *most } else { settings.pieces.list_page })
            .max(1);
        let before = value(number).unwrap_or(1).saturating_sub(1).saturating_mul(size);
        let page: Vec<i64> = all.iter().skip(before).take(size).copied().collect();
        return Reply::good(&documents(account, resource, &page, asked));
    }
    let size = if settings.pieces.list_page == 0 { served.page } else { settings.pieces.list_page };
    if size == 0 || served.spread {
        return Reply::good(&documents(account, resource, &all, asked));
    }
    let page: Vec<i64> = all.iter().skip(asked.first - 1).take(size).copied().collect();
    let mut reply = Reply::good(&documents(account, resource, &page, asked));
    paginate(&mut reply, asked.first, page.len(), all.len());
    reply
}

/// The document of the only id that is requested.
fn alone(account: &Account, resource: ResourceId, found: &[i64], asked: &GetRequest<'_>) -> Reply {
    let [id] = found else { return Reply::error(400, "CMNC-100", "One id is asked for at a time") };
    let mut document = String::new();
    let record = account.record(resource, *id);
    account.fixture(resource).document(&account.world, &record, Some(asked.sections), &mut document);
    Reply::good(&document)
}

/// The search column of the owner that a path names a value of, and the value.
fn within<'a>(get: &'a Get, path: &'a str) -> Option<(&'a str, &'a str)> {
    let column = get.within.as_deref()?;
    let (before, _) = get.path.split_once("{id}")?;
    Some((column, path.strip_prefix(before)?.split('/').next()?))
}

/// Writes the block of a page behind the response.
fn paginate(reply: &mut Reply, first: usize, returned: usize, total: usize) {
    reply.body.pop();
    let more = first - 1 + returned < total;
    let last = first + returned - usize::from(returned > 0);
    let _ = write!(
        reply.body,
        ",\"pagination\":{{\"morePagesAvailable\":{more},\"resultsReturned\":{returned},\"firstResult\":{first},\"lastResult\":{last}}}}}",
    );
}

fn documents(account: &Account, resource: ResourceId, ids: &[i64], asked: &GetRequest<'_>) -> String {
    let fixture = account.fixture(resource);
    let (keyed, envelope) = fixture.get.as_ref().map_or((false, None), |get| (get.keyed, get.envelope.as_deref()));
    let (opens, closes) = match (keyed, fixture.get.as_ref().is_some_and(|get| get.bare)) {
        (true, _) => ("{", "}"),
        (false, true) => ("", ""),
        (false, false) => ("[", "]"),
    };
    let mut out = String::with_capacity(ids.len() * 2048);
    if let Some(envelope) = envelope {
        let _ = write!(out, "{{\"{envelope}\":");
    }
    out.push_str(opens);
    let spread = fixture.get.as_ref().is_some_and(|get| get.spread);
    let mut is_first = true;
    for id in ids {
        let mut document = String::new();
        fixture.document(&account.world, &account.record(resource, *id), Some(asked.sections), &mut document);
        if spread {
            // A list or a map of entries, without its brackets.
            document.pop();
            document.remove(0);
        } else if keyed {
            document.insert_str(0, &format!("\"{id}\":"));
        }
        if document.is_empty() {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            out.push(',');
        }
        out.push_str(&document);
    }
    out.push_str(closes);
    if envelope.is_some() {
        out.push('}');
    }
    out
}

/// Answers OPTIONS: ready-made GET paths of the existing ids.
pub fn options(account: &Account, settings: &SandboxSettings, resource: ResourceId, set: Option<&str>) -> Reply {
    let get = account.fixture(resource).get.as_ref().filter(|get| get.options);
    // The paths begin behind the service.
    let Some((_, name)) = get.and_then(|get| get.path.split_once('/')) else {
        return Reply::error(405, "CMNC-405", "OPTIONS is not allowed here");
    };
    let ranges = match set.map(idset::parse).transpose() {
        Ok(ranges) => ranges,
        Err((code, message)) => return Reply::error(400, code, &message),
    };
    let wanted =
        |id: &i64| ranges.as_ref().is_none_or(|ranges| ranges.iter().any(|(from, to)| (from..=to).contains(&id)));
    let shown = |id: &i64| {
        hash(account.world.seed, *id, 503) % 100 >= settings.options_hides && !settings.never_listed.contains(id)
    };
    let ids: Vec<i64> = account.ids(resource).filter(wanted).filter(shown).collect();
    if settings.options_fail_above > 0 && ids.len() > settings.options_fail_above {
        return Reply::error(500, "CMNU-003", "Internal Server Error");
    }
    let uris: Vec<String> =
        ids.chunks(settings.max_ids).map(|ids| format!("\"/{name}/{}\"", idset::render(ids))).collect();
    Reply::good(&format!("{{\"getUris\":[{}]}}", uris.join(",")))
}
