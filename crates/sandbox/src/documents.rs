//! GET of id sets and lists, and OPTIONS (API notes §5).

use std::fmt::Write;

use crate::account::Account;
use crate::fixture::{Fixtures, Refusal, Shape};
use crate::idset;
use crate::kinds::{self, Kind, With, availability, price, product};
use crate::reply::Reply;
use crate::resource::ResourceId;
use crate::seed::hash;
use crate::settings::Settings;

/// The answers of GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// An array of documents by id set.
    Array(Kind),
    /// A map from id to document.
    Map(Kind),
    /// `{"journals": […]}`.
    Journals,
    Prices,
    Availability,
    /// A whole list.
    List(Kind),
    /// As the fixture at this place states it.
    Fixture(usize),
}

impl Served {
    /// The resource that is served.
    pub fn resource(self) -> ResourceId {
        match self {
            Self::Array(kind) | Self::Map(kind) | Self::List(kind) => ResourceId::Kind(kind),
            Self::Journals => ResourceId::Kind(Kind::Journal),
            Self::Prices | Self::Availability => ResourceId::Kind(Kind::Product),
            Self::Fixture(place) => ResourceId::Fixture(place),
        }
    }

    /// Records of a page of a list, 0 for a whole one; none where it is no list.
    pub fn list_page(self, account: &Account) -> Option<usize> {
        match self {
            Self::List(_) => Some(0),
            Self::Fixture(place) => {
                let fixture = account.fixture(place);
                (fixture.shape == Shape::List).then(|| fixture.get.as_ref().map_or(0, |get| get.page))
            }
            Self::Array(_) | Self::Map(_) | Self::Journals | Self::Prices | Self::Availability => None,
        }
    }
}

/// Finds what a path below the account names: what it is, and the id set behind it.
pub fn find<'p>(fixtures: &Fixtures, path: &'p str) -> Option<(Served, Option<&'p str>)> {
    const SETS: [(&str, Served); 8] = [
        ("order-service/order/", Served::Array(Kind::Order)),
        ("product-service/product/", Served::Array(Kind::Product)),
        ("contact-service/contact/", Served::Array(Kind::Contact)),
        ("warehouse-service/order/*/goods-note/goods-out/", Served::Map(Kind::GoodsOutNote)),
        ("warehouse-service/order/*/goods-note/goods-in/", Served::Map(Kind::GoodsInNote)),
        ("product-service/product-price/", Served::Prices),
        ("warehouse-service/product-availability/", Served::Availability),
        ("accounting-service/journal/", Served::Journals),
    ];
    const LISTS: [(&str, Kind); 8] = [
        ("product-service/price-list", Kind::PriceList),
        ("order-service/order-status", Kind::OrderStatus),
        ("order-service/order-type", Kind::OrderType),
        ("warehouse-service/warehouse", Kind::Warehouse),
        ("product-service/channel", Kind::Channel),
        ("product-service/brand", Kind::Brand),
        ("accounting-service/tax-code", Kind::TaxCode),
        ("accounting-service/nominal-code", Kind::NominalCode),
    ];
    if let Some((_, kind)) = LISTS.iter().find(|(known, _)| *known == path) {
        return Some((Served::List(*kind), None));
    }
    let of_fixture = fixtures.find_get(path);
    if let Some((place, None)) = of_fixture {
        return Some((Served::Fixture(place), None));
    }
    let of_kind = SETS.iter().find_map(|(prefix, served)| {
        let set = path.strip_prefix(prefix).or_else(|| (path == prefix.trim_end_matches('/')).then_some(""))?;
        (!set.contains('/')).then_some((*served, Some(set).filter(|set| !set.is_empty())))
    });
    of_kind.or_else(|| of_fixture.map(|(place, set)| (Served::Fixture(place), set)))
}

/// Parameters of a GET.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    pub set: Option<&'a str>,
    pub with: With,
    /// The optional sections by name.
    pub sections: &'a [&'a str],
    /// 1-based; where answers come in pages.
    pub first: usize,
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
    fn of(account: &Account, settings: &Settings, served: Served) -> Self {
        let missing = |message: &str| Reply::error(404, "CMNC-404", message);
        let (most, usual) = (settings.max_ids, || missing("No Resource Found"));
        let (most, none) = match served {
            Served::Array(Kind::Order) => (most, Reply::good("[]")),
            Served::Array(Kind::Contact) => (most, missing("No Contact Found")),
            Served::Prices => (most, missing("No Product Prices Found")),
            Served::Map(Kind::GoodsOutNote) => (settings.max_note_ids, usual()),
            Served::Array(_) | Served::Map(_) | Served::Journals | Served::Availability | Served::List(_) => {
                (most, usual())
            }
            Served::Fixture(place) => {
                let get = account.fixture(place).get.as_ref().expect("what is served has a path");
                let refuse = |refusal: &Refusal| Reply::error(refusal.status, &refusal.code, &refusal.message);
                let empty = if get.keyed { "{}" } else { "[]" };
                return Self {
                    most: get.most.unwrap_or(most),
                    pages_by: get.pages_by.clone(),
                    none: get.none.as_ref().map_or_else(|| Reply::good(empty), refuse),
                    refuses: get.refuses.as_ref().map(refuse),
                };
            }
        };
        let pages_by = (served == Served::Array(Kind::Contact)).then(|| "contactId".to_owned());
        let message = "One or more products are not stock tracked or do not exist";
        let refuses = (served == Served::Availability).then(|| Reply::error(400, &settings.availability_code, message));
        Self { most, pages_by, none, refuses }
    }
}

/// Answers a GET; the second part is how many ids were asked for.
pub fn get(account: &Account, settings: &Settings, served: Served, asked: &Asked<'_>) -> (Reply, usize) {
    let resource = served.resource();
    if let Some(usual) = served.list_page(account) {
        let all: Vec<i64> = account.ids(resource).collect();
        let size = if settings.pieces.list_page == 0 { usual } else { settings.pieces.list_page };
        if size == 0 {
            return (Reply::good(&documents(account, served, &all, asked)), 0);
        }
        let page: Vec<i64> = all.iter().skip(asked.first - 1).take(size).copied().collect();
        let mut reply = Reply::good(&documents(account, served, &page, asked));
        paginate(&mut reply, asked.first, page.len(), all.len());
        return (reply, 0);
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
    let manner = Manner::of(account, settings, served);
    let is_there = |id: i64| {
        account.exists(resource, id) && (served != Served::Availability || product::stock_tracked(&account.world, id))
    };
    if let Some(refusal) = manner.refuses {
        let all = served == Served::Availability && settings.availability_refuses_all;
        if all || (beyond && served != Served::Availability) || ids().any(|id| !is_there(id)) {
            return (refusal, count);
        }
    }
    let mut found: Vec<i64> = ids().filter(|id| account.exists(resource, *id)).collect();
    found.retain(|id| !settings.never_returned.contains(id));
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
    let mut reply = Reply::good(&documents(account, served, &found, asked));
    if let Some(field) = manner.pages_by {
        paginate(&mut reply, asked.first, returned, total);
        reply.body.pop();
        let _ = write!(reply.body, ",\"sorting\":[{{\"field\":\"{field}\",\"direction\":\"ASC\"}}]}}");
    }
    (reply, count)
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

fn documents(account: &Account, served: Served, ids: &[i64], asked: &Asked<'_>) -> String {
    let world = &account.world;
    let resource = served.resource();
    let fixture = if let Served::Fixture(place) = served { Some(account.fixture(place)) } else { None };
    let keyed = match served {
        Served::Map(_) | Served::Availability => true,
        Served::Array(_) | Served::List(_) | Served::Prices | Served::Journals => false,
        Served::Fixture(_) => fixture.and_then(|fixture| fixture.get.as_ref()).is_some_and(|get| get.keyed),
    };
    let envelope = match fixture {
        None => (served == Served::Journals).then_some("journals"),
        Some(fixture) => fixture.get.as_ref().and_then(|get| get.envelope.as_deref()),
    };
    let mut out = String::with_capacity(ids.len() * 2048);
    if let Some(envelope) = envelope {
        let _ = write!(out, "{{\"{envelope}\":");
    }
    out.push(if keyed { '{' } else { '[' });
    for (place, id) in ids.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        let record = account.record(resource, *id);
        if keyed {
            let _ = write!(out, "\"{id}\":");
        }
        match (served, fixture) {
            (_, Some(fixture)) => fixture.document(world, &record, Some(asked.sections), &mut out),
            (Served::Prices, None) => price::document(world, &record, &mut out),
            (Served::Availability, None) => availability::document(world, &record, asked.with, &mut out),
            (Served::List(kind), None) => kinds::document(kind, world, &record, With::ALL, &mut out),
            (Served::Array(kind) | Served::Map(kind), None) => {
                kinds::document(kind, world, &record, asked.with, &mut out);
            }
            (Served::Journals | Served::Fixture(_), None) => {
                kinds::document(Kind::Journal, world, &record, asked.with, &mut out);
            }
        }
    }
    out.push(if keyed { '}' } else { ']' });
    if envelope.is_some() {
        out.push('}');
    }
    out
}

/// Answers OPTIONS: ready-made GET paths of the existing ids.
pub fn options(account: &Account, settings: &Settings, served: Served, set: Option<&str>) -> Reply {
    let not_allowed = Reply::error(405, "CMNC-405", "OPTIONS is not allowed here");
    let name = match served {
        Served::Array(Kind::Order) => "order",
        Served::Array(Kind::Product) => "product",
        Served::Array(Kind::Contact) => "contact",
        Served::Prices => "product-price",
        Served::Fixture(place) => {
            let get = account.fixture(place).get.as_ref().filter(|get| get.options);
            // The paths begin behind the service.
            match get.and_then(|get| get.path.split_once('/')) {
                Some((_, path)) => path,
                None => return not_allowed,
            }
        }
        Served::Array(_) | Served::Map(_) | Served::Journals | Served::Availability | Served::List(_) => {
            return not_allowed;
        }
    };
    let resource = served.resource();
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
