//! The walk over one record: slots are filled, rows are emitted, values without a column or of another type go to
//! `_extra`.

use sonic_rs::{JsonType, JsonValueTrait, LazyValue};
use std::borrow::Cow;

use crate::decode::asked::Asked;
use crate::decode::growing::Growing;
use crate::decode::guess::Guess;
use crate::decode::json::canonical;
use crate::decode::kinds::KindCounts;
use crate::decode::rejected::{PATH, RejectedCounts, RejectedRecord};
use crate::decode::shape::{Pick, Shape};
use crate::decode::table_rows::{DecodedRecord, TableRows};
use crate::decode::twins::Twins;
use crate::fetch::DEEP;
use crate::manifest::Key;
use crate::schema::Type;

/// Bytes of a record apart from its rows: its key, its place among others, and the reason for its rejection.
const RECORD: usize = 256;
/// Copies of a record's key while its page is read.
const KEYS: usize = 4;
/// Characters of a key that are shown.
const SHOWN: usize = 120;
/// Unnamed values of one record: about 250 bytes each until its rows are made, 25 MiB.
const UNNAMED: usize = 100_000;

/// One context being walked.
#[derive(Default)]
pub(super) struct Frame<'a> {
    pub(super) context: usize,
    pub(super) slots: Vec<Option<LazyValue<'a>>>,
    pub(super) key: Option<Cow<'a, str>>,
    pub(super) index: usize,
    /// The entry is this piece of a text.
    pub(super) piece: Option<Cow<'a, str>>,
    /// The record or entry itself.
    pub(super) value: Option<LazyValue<'a>>,
    /// Unnamed fields and values that did not fit: path, canonical text.
    pub(super) extras: Vec<(Vec<String>, String)>,
    /// Entries to walk once this context's slots are filled.
    pub(super) entries: Vec<(usize, LazyValue<'a>)>,
}

/// Builds the rows of a page, record by record.
/// More than twelve fields: the state of one walk, changed by each of its steps.
pub struct Walker<'s, 'a> {
    pub(super) shape: &'s Shape,
    pub(super) asked: Asked,
    tables: Vec<Growing<'a>>,
    pub(super) frames: Vec<Frame<'a>>,
    pub(super) records: Vec<DecodedRecord>,
    /// The place of the record in hand among them; and where keys repeat, how many came of each.
    pub(super) record_place: usize,
    came: Vec<usize>,
    /// Records that came, those without a key among them.
    records_came: u64,
    rejected_records: Vec<RejectedRecord>,
    /// Rows, and older records of a key, that are left out.
    rejected_rows: Vec<RejectedRecord>,
    twins: Twins<'a>,
    rejected_values: RejectedCounts,
    kinds: KindCounts,
    /// The reason why the current record does not fit.
    unfit: Option<String>,
    /// Some record of the page nests too deep.
    deep: bool,
    /// Bytes that rows and kept records may still take.
    left: usize,
    /// Unnamed values of the current record.
    unnamed: usize,
    /// Nothing more is taken: the page has more rows, or more that is unnamed, than its text explains.
    pub(super) full: bool,
}

impl<'s, 'a> Walker<'s, 'a> {
    /// A walk over records that take at most this many bytes as rows.
    pub fn new(shape: &'s Shape, deep: bool, most: usize) -> Self {
        Self {
            shape,
            asked: Asked::default(),
            tables: shape.tables.iter().map(|table| Growing::new(table, shape.hash_key.as_ref())).collect(),
            frames: Vec::new(),
            records: Vec::new(),
            record_place: 0,
            came: Vec::new(),
            records_came: 0,
            rejected_records: Vec::new(),
            rejected_rows: Vec::new(),
            twins: Twins::default(),
            rejected_values: RejectedCounts::default(),
            kinds: KindCounts::new(shape.nodes.len()),
            unfit: None,
            deep,
            left: most,
            unnamed: 0,
            full: false,
        }
    }

    /// Counts bytes of rows and records.
    fn spend(&mut self, bytes: usize) {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => self.full = true,
        }
    }

    /// Keeps a record that does not fit.
    fn keep(&mut self, record: RejectedRecord) {
        self.spend(RECORD + record.raw.len());
        self.rejected_records.push(record);
    }

    /// Walks a document: `key` is its key in the map that holds it, if any.
    pub fn document(&mut self, key: Option<Cow<'a, str>>, index: usize, value: LazyValue<'a>) {
        if self.full {
            return;
        }
        self.unnamed = 0;
        self.open(0, 0, key, index, Some(value.clone()));
        self.records_came += 1;
        if value.get_type() == JsonType::Object || (self.shape.any_kind && !value.is_null()) {
            self.walk(0, 0, value.clone(), false);
            self.finish_record(value);
        } else {
            self.no_record(value);
        }
    }

    /// Walks the `_extra` of a row: the columns take their values, the remainder is the row's `_extra`.
    pub fn rest(&mut self, value: LazyValue<'a>) {
        self.record_place = self.records.len();
        self.records.push(DecodedRecord { key: Key::Int(0), newer: Vec::new(), partition: 0, fits: true });
        self.open(0, 0, None, 0, None);
        self.walk(0, 0, value, false);
        self.emit(0);
    }

    /// Keeps an entry that is no record: rows of nulls would replace the stored ones.
    fn no_record(&mut self, value: LazyValue<'a>) {
        let (id, raw) = (self.record_key(), value.as_raw_str().to_owned());
        if let Some(key) = id.clone() {
            self.begin(DecodedRecord { key, newer: Vec::new(), partition: 0, fits: false }, value);
        }
        self.keep(RejectedRecord { table: None, id, reason: "it is no object".to_owned(), raw });
    }

    /// Begins a record whose key is known, or continues one of the same key where keys repeat.
    fn begin(&mut self, record: DecodedRecord, value: LazyValue<'a>) {
        let key = if let Key::Text(text) = &record.key { text.len() } else { 0 };
        self.spend(RECORD + KEYS * key);
        if let Some(place) = self.twins.place(&record.key).filter(|_| self.shape.repeats) {
            self.record_place = place;
            self.records[place].fits &= record.fits;
            self.frames[0].index = self.came[place];
            self.came[place] += 1;
            return;
        }
        self.record_place = self.records.len();
        self.twins.note(&record.key, self.record_place, value);
        self.records.push(record);
        if self.shape.repeats {
            self.frames[0].index = 0;
            self.came.push(1);
        } else {
            self.tables.iter_mut().for_each(Growing::begin_record);
        }
    }

    /// Walks a search row: for each cell the node of its column, or the column's name where the schema has none.
    pub fn row(
        &mut self,
        index: usize,
        cells: impl Iterator<Item = (Result<usize, &'a str>, LazyValue<'a>)>,
        value: LazyValue<'a>,
    ) {
        if self.full {
            return;
        }
        self.unnamed = 0;
        self.records_came += 1;
        self.open(0, 0, None, index, Some(value.clone()));
        for (column, value) in cells {
            match column {
                Ok(node) => self.walk(0, node, value, false),
                Err(name) => self.unnamed(0, 0, name, &value),
            }
        }
        self.finish_record(value);
    }

    pub(super) fn open(
        &mut self,
        level: usize,
        context: usize,
        key: Option<Cow<'a, str>>,
        index: usize,
        value: Option<LazyValue<'a>>,
    ) {
        if self.frames.len() <= level {
            self.frames.push(Frame::default());
        }
        let frame = &mut self.frames[level];
        frame.context = context;
        frame.key = key;
        frame.index = index;
        frame.piece = None;
        frame.value = value;
        frame.extras.clear();
        frame.entries.clear();
        frame.slots.clear();
        frame.slots.resize_with(self.shape.contexts[context].slots, || None);
    }

    /// Takes a value at a node, and all below it.
    pub(super) fn walk(&mut self, level: usize, node: usize, value: LazyValue<'a>, within_whole: bool) {
        let shape = self.shape;
        let here = &shape.nodes[node];
        let kind = value.get_type();
        if kind == JsonType::Null || here.skipped {
            return;
        }
        self.kinds.count(node, kind, &value);
        let frame = &mut self.frames[level];
        if let Some(slot) = here.slot {
            if frame.slots[slot].is_some() {
                self.refuse(level, node, &value, "named twice");
                return;
            }
            frame.slots[slot] = Some(value.clone());
        }
        let container = matches!(kind, JsonType::Object | JsonType::Array);
        let is_text = |context: usize| !container && shape.contexts[context].split.is_some();
        if let Some(context) = here.each.filter(|context| container || is_text(*context)) {
            frame.entries.push((context, value.clone()));
            // Its rows have all of it: named values are taken from it as well, and nothing is unnamed.
            self.fill(level, node, &value);
        } else if !here.fields.is_empty() && kind == JsonType::Object {
            let whole = within_whole || here.whole;
            let mut expected = 0;
            for (key, value) in value.into_object_iter().into_iter().flatten().flatten() {
                // Fields come in nearly the same order in every record: look from where the last one was found.
                let fields = &here.fields;
                let found = (0..fields.len())
                    .map(|step| (expected + step) % fields.len())
                    .find(|place| shape.nodes[fields[*place]].name == key);
                match found {
                    Some(place) => {
                        expected = place + 1;
                        self.walk(level, fields[place], value, whole);
                    }
                    None if whole => {}
                    None => self.unnamed(level, node, &key, &value),
                }
            }
        } else if here.slot.is_none() && !here.excluded {
            self.refuse(level, node, &value, "of another kind than in the schema");
        }
    }

    /// Whether the context is of rows that are left out.
    fn is_muted(&self, level: usize) -> bool {
        self.shape.contexts[self.frames[level].context].muted
    }

    /// A field that the schema does not name.
    fn unnamed(&mut self, level: usize, node: usize, name: &str, value: &LazyValue<'_>) {
        if value.is_null() || self.is_muted(level) {
            return;
        }
        let mut path = self.shape.path(node);
        path.push(name);
        if path.iter().map(|name| name.len()).sum::<usize>() > PATH {
            self.rejected_values.count_further();
        } else {
            // Names that are numbers are keys of a map.
            let is_number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
            let shown: Vec<&str> = path.iter().map(|name| if is_number(name) { "*" } else { *name }).collect();
            let place = self.place(level, &shown.join("."));
            let guess = if self.has_column_path(level, &path) { Guess::of(value) } else { None };
            self.rejected_values.count_unknown(place, guess);
        }
        let path = path.into_iter().map(str::to_owned).collect();
        self.extra(level, path, value);
    }

    fn extra(&mut self, level: usize, path: Vec<String>, value: &LazyValue<'_>) {
        self.unnamed += 1;
        if self.unnamed > UNNAMED {
            self.full = true;
            return;
        }
        let mut text = String::new();
        canonical(value, &mut text);
        self.frames[level].extras.push((path, text));
    }

    /// Rejects a value that does not fit at its place.
    fn refuse(&mut self, level: usize, node: usize, value: &LazyValue<'_>, why: &str) {
        if self.is_muted(level) {
            return;
        }
        let path: Vec<String> = self.shape.path(node).into_iter().map(str::to_owned).collect();
        let place = self.place(level, &path.join("."));
        self.rejected_values.count(format!("{place} ({why})"), value.as_raw_str());
        let path = if path.is_empty() { vec![".".to_owned()] } else { path };
        self.extra(level, path, value);
    }

    fn finish_record(&mut self, value: LazyValue<'a>) {
        self.unfit = None;
        let raw = || value.as_raw_str().to_owned();
        let Some(key) = self.record_key() else {
            let reason = match &self.frames[0].key {
                Some(key) => format!("`{}` is not a key of a record", key.chars().take(SHOWN).collect::<String>()),
                None => "it has no key".to_owned(),
            };
            self.keep(RejectedRecord { table: None, id: None, reason, raw: raw() });
            return;
        };
        if self.deep && value.as_raw_str().contains(DEEP) {
            let reason = "a value nests deeper than can be read".to_owned();
            self.keep(RejectedRecord { table: None, id: Some(key.clone()), reason, raw: raw() });
            self.begin(DecodedRecord { key, newer: Vec::new(), partition: 0, fits: false }, value);
            return;
        }
        let newer = self.shape.newer.iter().map(|(picks, kind)| self.pick_number(picks, *kind)).collect();
        let partition = self.partition();
        self.begin(DecodedRecord { key: key.clone(), newer, partition, fits: true }, value.clone());
        self.emit(0);
        if let Some(reason) = self.unfit.take() {
            self.records[self.record_place].fits = false;
            self.keep(RejectedRecord { table: None, id: Some(key), reason, raw: raw() });
        }
    }

    /// Emits the rows of the context at this level, then walks its entries.
    pub(super) fn emit(&mut self, level: usize) {
        let shape = self.shape;
        let context = self.frames[level].context;
        // The first table's row is emitted last: values that do not fit the columns of any table are in its `_extra`.
        for (place, (table, label)) in shape.contexts[context].tables.iter().enumerate().rev() {
            self.emit_row(level, context, *table, label.as_deref(), place == 0);
        }
        let entries = std::mem::take(&mut self.frames[level].entries);
        let rows_before = self.row_count();
        for (context, value) in &entries {
            match value.get_type() {
                JsonType::Object => {
                    let pairs = value.clone().into_object_iter().into_iter().flatten().flatten();
                    for (index, (key, entry)) in pairs.enumerate() {
                        self.entry(level + 1, *context, Some(key), index, entry);
                    }
                }
                JsonType::String | JsonType::Number | JsonType::Boolean => self.pieces(level + 1, *context, value),
                _ => {
                    let items = value.clone().into_array_iter().into_iter().flatten().flatten();
                    for (index, entry) in items.enumerate() {
                        self.entry(level + 1, *context, None, index, entry);
                    }
                }
            }
        }
        if shape.contexts[context].tables.is_empty() && self.row_count() == rows_before {
            let lost: Vec<_> =
                self.frames[level].extras.iter().map(|(path, raw)| (path.join("."), raw.clone())).collect();
            for (path, raw) in lost {
                self.rejected_values.count(format!("{path} (unnamed, in a record without rows)"), &raw);
            }
        }
        let frame = &mut self.frames[level];
        frame.entries = entries;
        frame.entries.clear();
    }

    fn row_count(&self) -> usize {
        self.tables.iter().map(Growing::len).sum()
    }

    fn emit_row(&mut self, level: usize, context: usize, table: usize, label: Option<&str>, first: bool) {
        let shape = self.shape;
        let mut columns = std::mem::take(&mut self.tables[table].columns);
        let mut refused: Vec<(&Pick, String)> = Vec::new();
        let mut unfit = None;
        let mut bytes = shape.tables[table].width;
        for (place, (column, builder)) in shape.tables[table].columns.iter().zip(&mut columns).enumerate() {
            let picks = &column.picks[&context];
            let found = picks.iter().find_map(|pick| {
                self.value(level, pick, label)
                    .filter(|value| !self.is_elsewhere(pick, value, column.kind))
                    .filter(|value| !column.required || !value.is_empty_for(column.kind))
                    .map(|value| (pick, value))
            });
            if matches!(column.kind, Type::String | Type::Json | Type::Hash { .. }) {
                bytes += found.as_ref().map_or(0, |(_, value)| value.length());
            }
            let pushed = match &found {
                None => None,
                Some((pick, value)) => builder.push(value).map_or_else(
                    |_| {
                        if column.tried {
                            return None;
                        }
                        let mut text = String::new();
                        value.write(&mut text);
                        refused.push((*pick, text));
                        None
                    },
                    Some,
                ),
            };
            let pushed = match pushed {
                None if column.required => self.push_other_key(level, table, place, picks, builder),
                pushed => pushed,
            };
            if pushed.is_none() {
                builder.null();
            }
            if column.required && pushed != Some(true) && unfit.is_none() {
                unfit = Some(format!("{}.{} has no value that fits", shape.tables[table].name, column.name));
            }
        }
        self.tables[table].columns = columns;
        let is_rejected = level > 0 && unfit.is_some();
        if let (false, Some(reason)) = (is_rejected, &unfit) {
            self.unfit.get_or_insert_with(|| reason.clone());
        }
        for (pick, text) in refused.into_iter().filter(|_| !is_rejected) {
            let path = self.source(level, pick);
            let place = self.place(level, &path.join("."));
            self.rejected_values.count(place, &text);
            self.frames[level].extras.push((path, text));
        }
        let extra = if first { self.render_extra(level) } else { None };
        self.spend(bytes + extra.as_ref().map_or(0, String::len));
        let extra = extra.filter(|_| !self.full);
        let place = u32::try_from(self.record_place).expect("a page has under 2^32 records");
        let repeats = shape.repeats;
        let value = self.frames[level].value.as_ref().filter(|_| level > 0 || repeats);
        let growing = &mut self.tables[table];
        growing.end_row(extra, place);
        let rejected = match (value, unfit) {
            (Some(value), Some(reason)) if level > 0 => Some((growing.reject_last(value), reason)),
            (Some(value), None) => growing.reject_former(&shape.tables[table], value, repeats.then_some(place)),
            (Some(_) | None, _) => None,
        };
        if let Some((raw, reason)) = rejected {
            let id = self.records.get(self.record_place).map(|record| record.key.clone());
            self.spend(RECORD + raw.len());
            self.rejected_rows.push(RejectedRecord { table: Some(shape.tables[table].name.clone()), id, reason, raw });
        }
    }

    /// The text of each record, by its key.
    pub fn texts(&self) -> Vec<(Key, String)> {
        self.twins.texts()
    }

    /// The page.
    pub fn finish(self) -> Walked {
        let Self {
            shape,
            tables,
            mut records,
            mut rejected_records,
            mut rejected_rows,
            twins,
            rejected_values,
            kinds,
            full,
            records_came,
            ..
        } = self;
        twins.settle(&mut records, &mut rejected_records, &mut rejected_rows);
        let tables = tables.into_iter().zip(&shape.tables).map(|(growing, table)| growing.finish(table)).collect();
        Walked { records, tables, rejected_records, rejected_rows, rejected_values, kinds, came: records_came, full }
    }
}

/// The finished rows, the records, and the rejected values.
pub struct Walked {
    pub records: Vec<DecodedRecord>,
    pub tables: Vec<TableRows>,
    pub rejected_records: Vec<RejectedRecord>,
    pub rejected_rows: Vec<RejectedRecord>,
    pub rejected_values: RejectedCounts,
    pub kinds: KindCounts,
    /// Records that came, those without a key among them.
    pub came: u64,
    /// Some of the page is not in it: its rows would take more memory than its text explains.
    pub full: bool,
}
