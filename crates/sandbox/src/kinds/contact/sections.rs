//! The sections of a contact's document.

use std::fmt::Write;

use super::{Facts, STATUSES, STREETS};
use crate::kinds::list::{self, List};
use crate::kinds::{Record, With, World};
use crate::seed::Dice;
use crate::text;

/// Every address of the contact; an empty line is absent.
pub fn put_addresses(world: &World, record: &Record, count: i64, out: &mut String) {
    let mut dice = Dice::new(world.seed, record.id, 0x84);
    let mut now = Dice::new(world.seed, record.id, 0x85 | (u64::from(record.revision) << 8));
    out.push_str(",\"postalAddresses\":[");
    for n in 0..count {
        let _ = write!(out, "{}{{\"addressId\":{}", if n == 0 { "" } else { "," }, record.id * 4 + n);
        list::put(out, "contactId", record.id);
        list::put_text(out, "addressLine1", now.pick(&STREETS));
        for (key, lines) in [
            ("addressLine2", ["Old Town", "Śródmieście"]),
            ("addressLine3", ["Hexham", "Köln"]),
            ("addressLine4", ["Northumberland", "東京都"]),
            ("postalCode", ["NE46 1XX", "50667"]),
        ] {
            if dice.percent(60) {
                list::put_text(out, key, dice.pick(&lines));
            }
        }
        if dice.percent(90) {
            let (long, short, id) =
                list::nth(&[("GBR", "GB", 222), ("POL", "PL", 170), ("JPN", "JP", 107)], list::roll(&mut dice, 3));
            list::put_text(out, "countryIsoCode", long);
            list::put_text(out, "countryIsoCode2", short);
            list::put(out, "countryId", id);
        }
        out.push('}');
    }
    out.push(']');
}

pub fn put_communication(facts: &Facts, dice: &mut Dice, out: &mut String) {
    out.push_str(",\"communication\":{\"emails\":{");
    let mut comma = "";
    for (key, email) in ["PRI", "SEC", "TER"].into_iter().zip(&facts.emails) {
        if let Some(email) = email {
            let _ = write!(out, "{comma}\"{key}\":{{\"email\":\"{email}\"}}");
            comma = ",";
        }
    }
    out.push_str("},\"telephones\":{");
    comma = "";
    for (key, phone) in ["PRI", "SEC", "MOB", "FAX"].into_iter().zip(&facts.phones) {
        if let Some(phone) = phone {
            let _ = write!(out, "{comma}\"{key}\":\"{phone}\"");
            comma = ",";
        }
    }
    let voip = dice.pick(&["{}", "{}", "{\"SKP\":\"robin.weaver\"}"]);
    let site = dice.pick(&["{}", "{}", "{\"PRI\":\"example.com/żółw\"}"]);
    let _ = write!(out, "}},\"messagingVoips\":{voip},\"websites\":{site}}}");
}

pub fn put_status(world: &World, record: &Record, dice: &mut Dice, now: &mut Dice, out: &mut String) {
    let status = if dice.percent(30) { 0 } else { 1 + list::roll(now, 5) };
    let _ = write!(out, ",\"contactStatus\":{{\"current\":{{\"contactStatusId\":{status}");
    if status > 0 {
        list::put_text(out, "contactStatusName", list::nth(&STATUSES, status - 1));
    }
    out.push('}');
    if status > 0 && dice.percent(50) {
        out.push_str(",\"history\":[");
        let changed = record.updated.unwrap_or(record.created);
        for (id, at) in [(1, record.created), (status, changed)] {
            let _ = write!(out, "{}{{\"contactStatusId\":{id}", if out.ends_with('[') { "" } else { "," });
            list::put_text(out, "contactStatusName", list::nth(&STATUSES, id - 1));
            list::put_time(out, "occuredOn", world, at);
            list::put(out, "staffContactId", 1 + list::roll(dice, 9));
            out.push('}');
        }
        out.push(']');
    }
    out.push('}');
}

pub fn put_money(facts: &Facts, id: i64, dice: &mut Dice, now: &mut Dice, out: &mut String) {
    let _ = write!(out, ",\"financialDetails\":{{\"nominalCode\":\"{}\"", facts.nominal);
    if dice.percent(80) {
        list::put(out, "priceListId", 1 + list::roll(dice, list::size(List::PriceList)));
        list::put(out, "taxCodeId", 1 + list::roll(dice, list::size(List::TaxCode)));
        list::put(out, "creditTermDays", 30);
        list::put(out, "currencyId", list::currency(list::roll(dice, 12)).0);
        list::put(out, "creditTermTypeId", 1 + list::roll(dice, 3));
    }
    let limit = list::roll(now, 9) * 25_050;
    match id % 20 {
        0 => list::put_text(out, "creditLimit", &text::decimal(limit * 100, 4)),
        _ => list::put_raw(out, "creditLimit", &text::cents(limit)),
    }
    let discount = if now.percent(70) { 0 } else { list::roll(now, 3000) };
    list::put_raw(out, "discountPercentage", &text::cents(discount));
    if dice.percent(25) {
        list::put_text(out, "taxNumber", &format!("GB{:09}", id * 4_447));
    }
    out.push('}');
}

pub fn put_assignment(dice: &mut Dice, now: &mut Dice, out: &mut String) {
    out.push_str(",\"assignment\":{\"current\":{");
    if dice.percent(60) {
        let _ = write!(out, "\"staffOwnerContactId\":{}", 1 + list::roll(now, 9));
        for (key, end) in
            [("departmentId", 3), ("leadSourceId", 9), ("contactGroupId", 9), ("channelId", 8), ("projectId", 4)]
        {
            if dice.percent(60) {
                list::put(out, key, list::roll(dice, end + 1));
            }
        }
        list::put_text(out, "accountReference", dice.pick(&["", "WEA001", "ŁÓD \"7\""]));
    }
    out.push_str("}}");
}

pub fn put_custom(with: With, dice: &mut Dice, now: &mut Dice, out: &mut String) {
    let (code, region, note) = (dice.percent(50), dice.percent(40), dice.percent(30));
    if with.custom_fields {
        out.push_str(",\"customFields\":{");
        if code {
            let _ = write!(out, "\"PCF_CODE\":{}", 1_000_000_000 + list::roll(now, 900_000_000));
        }
        if region {
            let comma = if code { "," } else { "" };
            let _ = write!(out, "{comma}\"PCF_REGION\":{{\"id\":{},\"value\":\"Øst\"}}", 1 + list::roll(now, 9));
        }
        if note {
            out.push_str(if code || region { ",\"PCF_NOTE\":" } else { "\"PCF_NOTE\":" });
            text::string(out, now.pick(&["", "call\nback ☎", "\"quoted\"", "naïve"]));
        }
        out.push('}');
    }
}
