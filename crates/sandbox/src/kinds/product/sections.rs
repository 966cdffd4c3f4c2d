//! The sections of a product's document.

use std::fmt::Write;

use super::{COLOURS, Facts, TEXTS, categories};
use crate::kinds::{Record, With, World, journal, list};
use crate::seed::{Dice, hash};
use crate::text;

pub fn put_stock(tracked: bool, dice: &mut Dice, now: &mut Dice, out: &mut String) {
    let _ = write!(out, ",\"stock\":{{\"stockTracked\":{tracked}");
    let grams = list::roll(now, 5000);
    if dice.percent(95) {
        let _ = match grams % 4 {
            0 => write!(out, ",\"weight\":{{\"magnitude\":{}}}", grams / 1000),
            _ => write!(out, ",\"weight\":{{\"magnitude\":{}.{:03}0}}", grams / 1000, grams % 1000),
        };
    }
    if dice.percent(80) {
        let side = list::roll(dice, 60);
        let _ = write!(
            out,
            ",\"dimensions\":{{\"length\":{side},\"height\":{}.00,\"width\":{}.50,\"volume\":{}}}",
            side / 3,
            side / 2,
            side * side
        );
    }
    out.push('}');
}

pub fn put_sales(world: &World, id: i64, facts: &Facts, dice: &mut Dice, now: &mut Dice, out: &mut String) {
    out.push_str(",\"salesChannels\":[{\"salesChannelName\":\"Brightpearl\"");
    list::put_text(out, "productName", &facts.name);
    list::put_text(out, "productCondition", dice.pick(&["new", "new", "used", "refurbished"]));
    out.push_str(",\"categories\":[");
    for (n, code) in categories(world, id).into_iter().enumerate() {
        let _ = write!(out, "{}{{\"categoryCode\":\"{code}\"}}", if n == 0 { "" } else { "," });
    }
    out.push(']');
    for key in ["description", "shortDescription"] {
        list::put_raw(out, key, "{\"languageCode\":\"en\"");
        let text = now.pick(&TEXTS);
        list::put_text(out, "text", text);
        if key == "description" {
            fill(world, id, world.text_bytes.saturating_sub(text.len()), out);
        }
        out.push_str(",\"format\":\"HTML_FRAGMENT\"}");
    }
    if dice.percent(20) {
        list::put_flag(out, "availableToSellOnChannel", now.percent(80));
        list::put_flag(out, "sellWhenNoStock", now.percent(20));
    }
    out.push_str("}]");
}

/// Adds so many bytes to the text just written: a pattern of the product's own, which needs no escape.
fn fill(world: &World, id: i64, bytes: usize, out: &mut String) {
    if bytes > 0 {
        let words = (0..64).map(|salt| format!("{:016x}", hash(world.seed, id, salt)));
        let pattern = words.collect::<String>();
        let mut filling = pattern.repeat(bytes.div_ceil(pattern.len()));
        filling.truncate(bytes);
        out.truncate(out.len() - 1);
        out.push_str(&filling);
        out.push('"');
    }
}

pub fn put_composition(world: &World, id: i64, dice: &mut Dice, out: &mut String) {
    let mut other = |id: i64| 1 + (id + list::roll(dice, world.products - 1)) % world.products;
    let (first, second, third) = (other(id), other(id), other(id));
    if !dice.percent(10) {
        out.push_str(",\"composition\":{\"bundle\":false}");
        return;
    }
    let _ = write!(
        out,
        ",\"composition\":{{\"bundle\":true,\"bundleComponents\":[{{\"productId\":{first},\"productQuantity\":{}}},\
         {{\"productId\":{second},\"productQuantity\":1",
        1 + id % 4
    );
    if dice.percent(20) {
        let _ = write!(
            out,
            ",\"composition\":{{\"bundle\":true,\"bundleComponents\":[{{\"productId\":{third},\"productQuantity\":4}}]}}"
        );
    }
    out.push_str("}]}");
}

pub fn put_warehouses(dice: &mut Dice, now: &mut Dice, out: &mut String) {
    out.push_str(",\"warehouses\":{");
    for n in 0..list::roll(dice, 4) {
        let _ = write!(
            out,
            "{}\"{}\":{{\"defaultLocationId\":{},\"reorderLevel\":{},\"reorderQuantity\":{}}}",
            if n == 0 { "" } else { "," },
            list::nth(&[2, 1, 5], n),
            list::roll(dice, 9),
            list::roll(now, 20),
            list::roll(now, 50)
        );
    }
    out.push('}');
}

/// The custom fields that are set, and the names of the others.
pub fn put_custom(world: &World, record: &Record, with: With, dice: &mut Dice, now: &mut Dice, out: &mut String) {
    let names = ["PCF_NOTE", "PCF_NUM", "PCF_FLAG", "PCF_DATE", "PCF_COLOR", "PCF_WASHCARE"];
    let set = names.map(|_| dice.percent(60));
    if with.custom_fields {
        out.push_str(",\"customFields\":{");
        let mut first = true;
        for (name, _) in names.iter().zip(set).filter(|(_, set)| *set) {
            let _ = write!(out, "{}\"{name}\":", if first { "" } else { "," });
            first = false;
            match *name {
                "PCF_NUM" => drop(write!(out, "{}", list::roll(now, 1000) - 100)),
                "PCF_FLAG" => out.push_str(if now.percent(50) { "true" } else { "false" }),
                "PCF_DATE" => {
                    let day = journal::midnight(world, record.created + list::roll(now, 300) * 86_400);
                    let _ = write!(out, "\"{}\"", text::instant(&world.zone, day));
                }
                "PCF_COLOR" => {
                    let colour = list::roll(now, 6);
                    let _ = write!(out, "{{\"id\":{},\"value\":\"{}\"}}", colour + 1, list::nth(&COLOURS, colour));
                }
                _ => text::string(out, now.pick(&["abc", "", "30° – \"gentle\"", "two\nlines 🧺"])),
            }
        }
        out.push('}');
    }
    if with.null_custom_fields {
        out.push_str(",\"nullCustomFields\":[");
        let mut first = true;
        for (name, _) in names.iter().zip(set).filter(|(_, set)| !*set) {
            let _ = write!(out, "{}\"{name}\"", if first { "" } else { "," });
            first = false;
        }
        out.push(']');
    }
}
