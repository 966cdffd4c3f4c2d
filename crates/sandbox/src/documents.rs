//! GET of id sets and lists, and OPTIONS (API notes §5).

use std::fmt::Write;

use crate::account::Account;
use crate::idset;
use crate::kinds::{self, Kind, With, availability, price, product};
use crate::reply::Reply;
use crate::seed::hash;
use crate::settings::Settings;

/// What is served by GET.
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
}

/// Finds what a path below the account names: what it is, and the id set behind it.
pub fn find(path: &str) -> Option<(Served, Option<&str>)> {
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
    SETS.iter().find_map(|(prefix, served)| {
        let set = path.strip_prefix(prefix).or_else(|| (path == prefix.trim_end_matches('/')).then_some(""))?;
        (!set.contains('/')).then_some((*served, Some(set).filter(|set| !set.is_empty())))
    })
}

/// Parameters of a GET.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    pub set: Option<&'a str>,
    pub with: With,
    /// 1-based; contacts only.
    pub first: usize,
}

/// Answers a GET; the second part is how many ids were asked for.
pub fn get(account: &Account, settings: &Settings, served: Served, asked: &Asked<'_>) -> (Reply, usize) {
    let kind = match served {
        Served::List(kind) => return (list(account, kind), 0),
        Served::Array(kind) | Served::Map(kind) => kind,
        Served::Journals => Kind::Journal,
        Served::Prices | Served::Availability => Kind::Product,
    };
    let Some(text) = asked.set else {
        return (Reply::error(400, "CMNC-006", "An id set is needed"), 0);
    };
    let ranges = match idset::parse(text) {
        Ok(ranges) => ranges,
        Err((code, message)) => return (Reply::error(400, code, &message), 0),
    };
    let span = ranges.iter().map(|(from, to)| to - from + 1).sum::<i64>();
    // A range may cover more than there is, but not endlessly.
    let ranges: Vec<(i64, i64)> = ranges.iter().map(|(from, to)| (*from, (*to).min(account.greatest(kind)))).collect();
    let ids = || ranges.iter().flat_map(|(from, to)| *from..=*to);
    let count = usize::try_from(span).unwrap_or(usize::MAX);
    if served == Served::Availability {
        let refused = ids().any(|id| !account.exists(kind, id) || !product::stock_tracked(&account.world, id));
        if refused || settings.availability_refuses_all {
            let message = "One or more products are not stock tracked or do not exist";
            return (Reply::error(400, &settings.availability_code, message), count);
        }
    }
    let mut found: Vec<i64> = ids().filter(|id| account.exists(kind, *id)).collect();
    found.retain(|id| !settings.never_returned.contains(id));
    let paged = kind == Kind::Contact;
    let most = if kind == Kind::GoodsOutNote { settings.max_note_ids } else { settings.max_ids };
    if found.len() > most && !paged {
        let usual = format!("At most {most} ids may be asked for");
        let message = Some(&settings.pieces.too_many).filter(|text| !text.is_empty()).unwrap_or(&usual);
        return (Reply::error(400, "CMNC-100", message), count);
    }
    let total = found.len();
    if paged {
        found = found.into_iter().skip(asked.first - 1).take(most).collect();
    }
    let returned = found.len();
    if settings.shuffles {
        found.sort_by_key(|id| hash(account.world.seed, *id, 99));
    }
    if found.is_empty() && total == 0 {
        let reply = match kind {
            Kind::Order => Reply::good("[]"),
            Kind::Contact => Reply::error(404, "CMNC-404", "No Contact Found"),
            Kind::Product if served == Served::Prices => Reply::error(404, "CMNC-404", "No Product Prices Found"),
            _ => Reply::error(404, "CMNC-404", "No Resource Found"),
        };
        return (reply, count);
    }
    let mut reply = Reply::good(&documents(account, served, kind, &found, asked.with));
    if paged {
        reply.body.pop();
        let last = asked.first + returned - usize::from(returned > 0);
        let _ = write!(
            reply.body,
            ",\"pagination\":{{\"morePagesAvailable\":{},\"resultsReturned\":{returned},\"firstResult\":{},\"lastResult\":{last}}},\"sorting\":[{{\"field\":\"contactId\",\"direction\":\"ASC\"}}]}}",
            asked.first - 1 + returned < total,
            asked.first,
        );
    }
    (reply, count)
}

fn documents(account: &Account, served: Served, kind: Kind, ids: &[i64], with: With) -> String {
    let world = &account.world;
    let (open, close) = match served {
        Served::Array(_) | Served::List(_) | Served::Prices => ("[", "]"),
        Served::Map(_) | Served::Availability => ("{", "}"),
        Served::Journals => ("{\"journals\":[", "]}"),
    };
    let mut out = String::with_capacity(ids.len() * 2048);
    out.push_str(open);
    for (place, id) in ids.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        let record = account.record(kind, *id);
        if matches!(served, Served::Map(_) | Served::Availability) {
            let _ = write!(out, "\"{id}\":");
        }
        match served {
            Served::Prices => price::document(world, &record, &mut out),
            Served::Availability => availability::document(world, &record, with, &mut out),
            Served::Array(_) | Served::Map(_) | Served::Journals | Served::List(_) => {
                kinds::document(kind, world, &record, with, &mut out);
            }
        }
    }
    out.push_str(close);
    out
}

fn list(account: &Account, kind: Kind) -> Reply {
    let ids: Vec<i64> = account.ids(kind).collect();
    Reply::good(&documents(account, Served::List(kind), kind, &ids, With::ALL))
}

/// Answers OPTIONS: ready-made GET paths of the existing ids.
pub fn options(account: &Account, settings: &Settings, served: Served, set: Option<&str>) -> Reply {
    let (kind, name) = match served {
        Served::Array(Kind::Order) => (Kind::Order, "order"),
        Served::Array(Kind::Product) => (Kind::Product, "product"),
        Served::Array(Kind::Contact) => (Kind::Contact, "contact"),
        Served::Prices => (Kind::Product, "product-price"),
        Served::Array(_) | Served::Map(_) | Served::Journals | Served::Availability | Served::List(_) => {
            return Reply::error(405, "CMNC-405", "OPTIONS is not allowed here");
        }
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
    let ids: Vec<i64> = account.ids(kind).filter(wanted).filter(shown).collect();
    if settings.options_fail_above > 0 && ids.len() > settings.options_fail_above {
        return Reply::error(500, "CMNU-003", "Internal Server Error");
    }
    let uris: Vec<String> =
        ids.chunks(settings.max_ids).map(|ids| format!("\"/{name}/{}\"", idset::render(ids))).collect();
    Reply::good(&format!("{{\"getUris\":[{}]}}", uris.join(",")))
}
