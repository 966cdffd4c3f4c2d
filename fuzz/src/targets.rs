//! The fuzz targets: one function for each reader of bytes from outside. Each takes any bytes, and panics if the reader
//! does or if its result breaks its promise. Called by libFuzzer (`make fuzz`) and by `tests/it/fuzz.rs`.

use std::sync::OnceLock;

use jiff::Timestamp;
use pearlift::config::{Environment, Settings};
use pearlift::decode::{Page, Shape, date_days, decimal, documents, ids, meta_data, rows, timestamp_micros, uris};
use pearlift::delta::{parse_checkpoint, parse_entry};
use pearlift::failure::Kind;
use pearlift::fetch::{Body, Filter, MOST_IDS, chunks, collapse, count, error_body, expand, parse_set, render};
use pearlift::manifest::{Version, parse, parse_changes};
use pearlift::schema::{Catalog, ReadStyle, Resource};
use pearlift::secret::{Redactor, Secret};
use pearlift::store::{paths, upload_page};
use pearlift::window::Window;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A reader under test.
pub type Target = fn(&[u8]);

/// Every target, by the name of its folder of examples in `fuzz/corpus/`.
pub const TARGETS: [(&str, Target); 10] = [
    ("id_sets", id_sets),
    ("pages", pages),
    ("decimals", decimals),
    ("moments", moments),
    ("schemas", schemas),
    ("manifests", manifests),
    ("settings", settings),
    ("uploads", uploads),
    ("logs", logs),
    ("texts", texts),
];

/// A set is refused, or names its members in order.
pub fn id_sets(data: &[u8]) {
    let Some(ranges) = std::str::from_utf8(data).ok().and_then(parse_set) else { return };
    assert!(ranges.iter().all(|(first, last)| first <= last && *first >= 0));
    // Ascending, and with a gap between: touching ranges are one.
    assert!(ranges.windows(2).all(|pair| pair[0].1.checked_add(1).is_some_and(|next| next < pair[1].0)));
    assert!(count(&ranges) <= MOST_IDS);
    assert_eq!(parse_set(&render(&ranges)).as_ref(), Some(&ranges));
    if count(&ranges) > 5_000 {
        return;
    }
    let all: Vec<i64> = expand(&ranges).collect();
    assert_eq!(collapse(all.iter().rev().copied()), ranges);
    for most in [1, 7, 200] {
        let sets = chunks(&ranges, most);
        assert!(sets.iter().all(|set| count(set) <= u64::try_from(most).unwrap()));
        assert_eq!(sets.iter().flat_map(|set| expand(set).collect::<Vec<_>>()).collect::<Vec<_>>(), all);
    }
}

fn catalog() -> &'static [(Resource, Shape)] {
    static CATALOG: OnceLock<Vec<(Resource, Shape)>> = OnceLock::new();
    CATALOG.get_or_init(|| {
        let catalog = Catalog::load(None).unwrap();
        catalog.resources().iter().map(|resource| (resource.clone(), Shape::compile(resource).unwrap())).collect()
    })
}

/// The first line names a resource (or picks one by its first byte), the rest is the body of an answer: the answer is
/// broken as a whole, or every record of it is decoded or rejected as a whole.
pub fn pages(data: &[u8]) {
    let (head, bytes) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (&data[..0], data),
    };
    let named = catalog().iter().find(|(resource, _)| resource.name.as_bytes() == head);
    let picked = usize::from(head.first().copied().unwrap_or_default()) % catalog().len();
    let (resource, shape) = named.unwrap_or(&catalog()[picked]);
    let body = Body { bytes: bytes.to_vec().into(), gzip: bytes.starts_with(b"\x1f\x8b") };
    let filter = Filter::Period { column: "updatedOn".to_owned(), window: Window::since(Timestamp::UNIX_EPOCH) };
    let _ = error_body(&body);
    let _ = meta_data(&body);
    for uri in uris(&body).unwrap_or_default() {
        uri.rsplit('/').next().inspect(|set| id_sets(set.as_bytes()));
    }
    if let Ok(page) = ids(&body, "orderId", "orderId", &["updatedOn".to_owned()], std::slice::from_ref(&filter)) {
        assert_eq!(page.search.rows, u64::try_from(page.rows.len()).unwrap());
        let ascending = page.rows.windows(2).all(|pair| pair[0].row <= pair[1].row);
        assert_eq!(page.search.ascending, ascending);
        let descending = page.rows.windows(2).all(|pair| pair[0].row >= pair[1].row);
        assert_eq!(page.search.descending, descending);
        let repeats = page.rows.windows(2).any(|pair| pair[0].row == pair[1].row);
        assert_eq!(page.search.repeats, repeats);
    }
    match &resource.read.style {
        ReadStyle::Search(search) => {
            for filters in [&[][..], std::slice::from_ref(&filter)] {
                let Ok(page) = rows(shape, &body, &search.row, filters) else { continue };
                let said = page.search.as_ref().expect("a search says how many rows it holds").rows;
                accounted_for(&page, usize::try_from(said).unwrap());
            }
        }
        ReadStyle::IdSets { .. } | ReadStyle::List { .. } | ReadStyle::PerOwner { .. } => {
            let Ok(page) = documents(shape, &body) else { return };
            let counted = body.text().ok().and_then(|text| serde_json::from_slice::<Answer>(&text).ok());
            // A reader of another make counts the records; where it sees none (prices nest), ours are not compared.
            let flat = resource.read.records.len() == 1;
            if let Some(Answer { response: Some(Entries(there)) }) = counted.filter(|_| flat) {
                accounted_for(&page, there);
            } else {
                accounted_for(
                    &page,
                    page.records.iter().filter(|record| record.fits).count() + page.rejected_records.len(),
                );
            }
        }
    }
}

/// Every record is decoded or rejected, and every row belongs to one of them.
fn accounted_for(page: &Page, there: usize) {
    let home = page.records.iter().filter(|record| record.fits).count();
    assert_eq!(
        home + page.rejected_records.len(),
        there,
        "of {there} records {home} are home: {:?}",
        page.rejected_records
    );
    for table in &page.tables {
        assert_eq!(table.batch.num_rows(), table.record_places.len());
        assert!(table.record_places.iter().all(|place| usize::try_from(*place).unwrap() < page.records.len()));
        // The record's rows are together, in the order of the records.
        assert!(table.record_places.is_sorted());
    }
}

/// An answer as another reader sees it; of two `response` the later counts.
struct Answer {
    response: Option<Entries>,
}

/// How many entries a list or a map has; none where it is null.
struct Entries(usize);

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Answer;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Answer, A::Error> {
                let mut response = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key == "response" {
                        response = Some(map.next_value::<Entries>()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Answer { response })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Count;
        impl<'de> Visitor<'de> for Count {
            type Value = Entries;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list or a map")
            }
            fn visit_unit<E>(self) -> Result<Entries, E> {
                Ok(Entries(0))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entries, A::Error> {
                let mut count = 0;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Entries(count))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut count = 0;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Entries(count))
            }
        }
        deserializer.deserialize_any(Count)
    }
}

/// A decimal equals its digits, by another arithmetic: on the text alone. The first byte gives precision and scale.
pub fn decimals(data: &[u8]) {
    let Some((size, text)) = data.split_first() else { return };
    let precision = 1 + size % 38;
    let scale = size / 38 % (precision + 1);
    let found = decimal(text, precision, scale);
    assert_eq!(found, by_hand(text, precision, scale), "{:?} as decimal({precision},{scale})", text.escape_ascii());
}

/// The digits of a number are moved by its exponent and the scale, and must then end at the point.
fn by_hand(text: &[u8], precision: u8, scale: u8) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let point = i128::try_from(whole.len()).unwrap() + i128::from(exponent) + i128::from(scale);
    let zeros = usize::try_from(point - i128::try_from(significant.len()).unwrap()).ok()?;
    let leading = significant.len() - significant.trim_start_matches('0').len();
    if significant.len() - leading + zeros > usize::from(precision) {
        return None;
    }
    let value: i128 = format!("{}{}", &significant[leading..], "0".repeat(zeros)).parse().unwrap();
    Some(if negative { -value } else { value })
}

/// An instant that both we and another reader take is the same one; a day is that of the text.
pub fn moments(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let ours = timestamp_micros(text);
    if let (Some(ours), Ok(theirs)) = (ours, text.parse::<Timestamp>()) {
        assert_eq!(ours, theirs.as_microsecond(), "{text:?}");
    }
    if let Some(micros) = ours {
        // The last hours of 9999 are beyond the range of the other reader.
        if let Ok(at) = Timestamp::from_microsecond(micros) {
            assert_eq!(timestamp_micros(&format!("{at:.6}")), Some(micros), "{text:?}");
        }
        assert!(date_days(text).is_some(), "{text:?} has a day");
    }
    if let Some(days) = date_days(text) {
        let day = text[..10].parse::<jiff::civil::Date>().unwrap();
        let epoch = jiff::civil::Date::constant(1970, 1, 1);
        assert_eq!(epoch.checked_add(jiff::Span::new().days(days)).unwrap(), day, "{text:?}");
    }
}

/// A schema file is refused with a reason, or its tables have keys and names that stay inside the destination.
pub fn schemas(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let run = "0123456789abcdef0123456789abcdef";
    let catalog = match Catalog::from_texts(&[("thing".to_owned(), text.to_owned())]) {
        Ok(catalog) => catalog,
        Err(failure) => {
            assert_eq!(failure.kind(), Kind::Schema, "{failure}");
            assert!(failure.to_string().len() > "could not ".len());
            return;
        }
    };
    let resource = &catalog.resources()[0];
    assert_eq!(resource.hash.len(), 16);
    assert!(!resource.tables.is_empty());
    for table in &resource.tables {
        assert!(table.key.iter().all(|key| table.columns[*key].required), "{}", table.name);
        let segment = table.partition.segment().map(|name| format!("{name}=2026-01-01"));
        let path = paths::data(&table.name, segment.as_deref(), run, 1);
        assert_eq!(paths::of_data(&path), Some((table.name.as_str(), run)));
        assert!(path.split('/').all(|part| !part.is_empty() && part != ".." && !part.starts_with('_')), "{path}");
        let arrow = table.arrow();
        let mut names: Vec<&str> = arrow.fields().iter().map(|field| field.name().as_str()).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a column twice: {names:?}");
    }
    // A value that it maps is mapped or refused; it does not panic.
    let Ok(shape) = Shape::compile(resource) else { return };
    for example in
        [r#"{"response":[{"id":1},{"id":"2","a":{"b":[1,{"c":null}]}},null,7]}"#, r#"{"response":{"5":{"id":5}}}"#]
    {
        let body = Body { bytes: example.to_owned().into(), gzip: false };
        if let Ok(page) = documents(&shape, &body) {
            let all = page.records.iter().filter(|record| record.fits).count() + page.rejected_records.len();
            accounted_for(&page, all);
        }
    }
}

/// The version to which examples of manifests refer for their files.
fn checkpoint() -> Version {
    let text = include_str!("../corpus/manifests/whole").replace("\"version\": 42", "\"version\": 41");
    parse("order", 41, text.as_bytes()).unwrap()
}

/// A manifest is refused, or is written back as it was and names nothing but paths of its own.
pub fn manifests(data: &[u8]) {
    let read = parse("order", 42, data).or_else(|_| parse_changes("order", 42, data, &checkpoint()));
    let version = match read {
        Ok(version) => version,
        Err(failure) => {
            assert!(matches!(failure.kind(), Kind::Damage | Kind::Settings), "{failure}");
            return;
        }
    };
    let again = parse("order", 42, &serde_json::to_vec_pretty(&version).unwrap()).unwrap();
    assert_eq!(Version { checkpoint: version.checkpoint.clone(), ..again }, version);
    let named = version.files().chain(&version.deleted).flat_map(|file| [&file.path, &file.staged]);
    for path in named.chain(&version.removes).chain(version.rejected.iter().map(|file| &file.path)) {
        assert!(path.split('/').all(|part| !part.is_empty() && !part.starts_with('.')), "{path}");
        assert!(path.ends_with(".parquet") || path.ends_with(".part") || path.ends_with(".jsonl"), "{path}");
    }
    // Totals can be computed.
    let _ = version.rows();
}

/// Settings are refused with the reason, or each part of them is refused or can be used.
pub fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let settings = match Settings::from_text(None, text, Environment::default(), &["order"]) {
        Ok(settings) => settings,
        Err(failure) => {
            assert_eq!(failure.kind(), Kind::Settings, "{failure}");
            assert!(failure.to_string().contains("line") || failure.to_string().contains("resource"), "{failure}");
            return;
        }
    };
    let refused = [
        settings.account().map(|account| {
            let url = account.base_url;
            let loopback = matches!(url.host_str(), Some("localhost" | "[::1]"))
                || url.host_str().is_some_and(|host| host.starts_with("127."));
            assert!(url.scheme() == "https" || loopback, "{url}");
            assert!(url.password().is_none());
        }),
        settings.limits().map(|limits| assert!(limits.page_size >= 2 && limits.concurrency >= 1)),
        settings.destination().map(drop),
        settings.credentials(Timestamp::UNIX_EPOCH).map(drop),
        settings.every("order").map(drop),
        settings.keep("order").map(drop),
    ];
    for failure in refused.into_iter().filter_map(Result::err) {
        assert_eq!(failure.kind(), Kind::Settings, "{failure}");
    }
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    let catalog = CATALOG.get_or_init(|| Catalog::load(None).expect("the built-in resources are whole"));
    let _ = catalog.resources().iter().filter(|resource| settings.selects(resource)).count();
}

/// An entry or a checkpoint of a Delta log is read, or is damage.
pub fn logs(data: &[u8]) {
    let path = paths::log_commit("table", 0);
    let entry = parse_entry(&path, data).map(drop);
    let checkpoint = parse_checkpoint(&path, &bytes::Bytes::copy_from_slice(data)).map(drop);
    for refused in [entry, checkpoint].into_iter().filter_map(Result::err) {
        assert_eq!(refused.kind(), Kind::Damage);
    }
}

/// A list of unfinished uploads is refused, or each upload that would be given up is one of a staged file.
pub fn uploads(data: &[u8]) {
    let Ok(page) = upload_page(data) else { return };
    for upload in page.uploads {
        if let Some((table, run)) = paths::of_staged(&upload.path) {
            assert!(upload.path.starts_with(&format!("{}/{run}/{table}-", paths::STAGING)));
        }
    }
}

/// A text from outside is shown without the secret, which is its first line, and the rest of it stays.
pub fn texts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (secret, text) = text.split_once('\n').unwrap_or(("", text));
    let redactor = Redactor::default();
    redactor.learn(&Secret::new(secret));
    let secret = secret.trim().to_ascii_lowercase();
    let cleaned = redactor.clean(text);
    if secret.len() < 4 {
        assert_eq!(cleaned, text);
    } else if !"[secret]".contains(&secret) && !secret.contains("[secret]") {
        let parts: Vec<&str> = cleaned.split("[secret]").collect();
        assert!(parts.iter().all(|part| !part.to_ascii_lowercase().contains(&secret)), "{cleaned}");
        // Nothing is made up, and nothing changes its place.
        let mut rest = text;
        for part in parts {
            let at = rest.find(part).unwrap_or_else(|| panic!("`{part}` is not in `{rest}`"));
            rest = &rest[at + part.len()..];
        }
    }
}
