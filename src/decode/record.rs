//! The walk over one record: slots are filled, rows are emitted, what is unnamed or does not fit goes to `_extra`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use sonic_rs::{JsonType, JsonValueTrait, LazyValue};

use crate::decode::builder::{ColumnBuilder, Token, Value};
use crate::decode::json::{canonical, push_key};
use crate::decode::misfit::{MisfitRecord, Misfits};
use crate::decode::moment::{month_days, timestamp_micros};
use crate::decode::number::whole;
use crate::decode::page::{Owner, TableRows};
use crate::decode::shape::{Pick, Shape, Take};
use crate::fetch::DEEP;
use crate::manifest::Key;
use crate::schema::{EXTRA, PartitionBy, Type};

/// One context being walked.
#[derive(Default)]
struct Frame<'a> {
    context: usize,
    slots: Vec<Option<LazyValue<'a>>>,
    key: Option<Cow<'a, str>>,
    index: usize,
    /// Unnamed fields and values that did not fit: path, canonical text.
    extras: Vec<(Vec<String>, String)>,
    /// Entries to walk once this context's slots are filled.
    entries: Vec<(usize, LazyValue<'a>)>,
}

/// A table's rows being built.
struct Growing {
    columns: Vec<ColumnBuilder>,
    extra: StringBuilder,
    owners: Vec<u32>,
}

/// Builds the rows of a page, record by record.
pub struct Walker<'s, 'a> {
    shape: &'s Shape,
    tables: Vec<Growing>,
    frames: Vec<Frame<'a>>,
    owners: Vec<Owner>,
    records: Vec<MisfitRecord>,
    misfits: Misfits,
    /// Why the record in hand does not fit.
    unfit: Option<String>,
    /// Some record of the page nests too deep.
    deep: bool,
}

impl<'s, 'a> Walker<'s, 'a> {
    pub fn new(shape: &'s Shape, deep: bool) -> Self {
        let growing = |kinds: Vec<Type>| Growing {
            columns: kinds.into_iter().map(ColumnBuilder::new).collect(),
            extra: StringBuilder::new(),
            owners: Vec::new(),
        };
        Self {
            shape,
            tables: shape.tables.iter().map(|table| growing(table.columns.iter().map(|c| c.kind).collect())).collect(),
            frames: Vec::new(),
            owners: Vec::new(),
            records: Vec::new(),
            misfits: Misfits::default(),
            unfit: None,
            deep,
        }
    }

    /// Walks a document: `key` is its key in the map that holds it, if any.
    pub fn document(&mut self, key: Option<Cow<'a, str>>, index: usize, value: LazyValue<'a>) {
        self.open(0, 0, key, index);
        if value.get_type() == JsonType::Object {
            self.walk(0, 0, value.clone(), false);
            self.finish_record(value.as_raw_str());
        } else {
            self.no_record(value.as_raw_str());
        }
    }

    /// Walks the `_extra` of a row: the columns take what is theirs, what is left is the row's `_extra`.
    pub fn rest(&mut self, value: LazyValue<'a>) {
        self.owners.push(Owner { key: Key::Int(0), newer: Vec::new(), partition: 0, fits: true });
        self.open(0, 0, None, 0);
        self.walk(0, 0, value, false);
        self.emit(0);
    }

    /// Keeps an entry that is no record: rows of nulls would take the place of what is held.
    fn no_record(&mut self, raw: &str) {
        let id = self.owner_key();
        if let Some(key) = id.clone() {
            self.owners.push(Owner { key, newer: Vec::new(), partition: 0, fits: false });
        }
        let reason = "it is no object".to_owned();
        self.records.push(MisfitRecord { id, reason, raw: raw.to_owned() });
    }

    /// Walks a search row: for each cell the node of its column, or the column's name where the schema has none.
    pub fn row(
        &mut self,
        index: usize,
        cells: impl Iterator<Item = (Result<usize, &'a str>, LazyValue<'a>)>,
        raw: &str,
    ) {
        self.open(0, 0, None, index);
        for (column, value) in cells {
            match column {
                Ok(node) => self.walk(0, node, value, false),
                Err(name) => self.unnamed(0, 0, name, &value),
            }
        }
        self.finish_record(raw);
    }

    fn open(&mut self, level: usize, context: usize, key: Option<Cow<'a, str>>, index: usize) {
        if self.frames.len() <= level {
            self.frames.push(Frame::default());
        }
        let frame = &mut self.frames[level];
        frame.context = context;
        frame.key = key;
        frame.index = index;
        frame.extras.clear();
        frame.entries.clear();
        frame.slots.clear();
        frame.slots.resize_with(self.shape.contexts[context].slots, || None);
    }

    /// Takes a value at a node, and all below it.
    fn walk(&mut self, level: usize, node: usize, value: LazyValue<'a>, within_whole: bool) {
        let shape = self.shape;
        let here = &shape.nodes[node];
        let kind = value.get_type();
        if kind == JsonType::Null || here.skipped {
            return;
        }
        let frame = &mut self.frames[level];
        if let Some(slot) = here.slot {
            if frame.slots[slot].is_some() {
                self.refuse(level, node, &value, "named twice");
                return;
            }
            frame.slots[slot] = Some(value.clone());
        }
        let container = matches!(kind, JsonType::Object | JsonType::Array);
        if let (Some(context), true) = (here.each, container) {
            frame.entries.push((context, value));
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
        } else if here.slot.is_none() && !here.left_out {
            self.refuse(level, node, &value, "of another kind than the schema says");
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
        let mut path: Vec<String> = self.shape.path(node).into_iter().map(str::to_owned).collect();
        path.push(name.to_owned());
        // Names that are numbers are keys of a map.
        let shown = |name: &String| if name.bytes().all(|byte| byte.is_ascii_digit()) { "*" } else { name }.to_owned();
        let place = self.place(level, &path.iter().map(shown).collect::<Vec<_>>().join("."));
        self.misfits.count_unknown(place);
        self.extra(level, path, value);
    }

    fn extra(&mut self, level: usize, path: Vec<String>, value: &LazyValue<'_>) {
        let mut text = String::new();
        canonical(value, &mut text);
        self.frames[level].extras.push((path, text));
    }

    /// A value that does not fit where it stands.
    fn refuse(&mut self, level: usize, node: usize, value: &LazyValue<'_>, why: &str) {
        if self.is_muted(level) {
            return;
        }
        let path: Vec<String> = self.shape.path(node).into_iter().map(str::to_owned).collect();
        let place = self.place(level, &path.join("."));
        self.misfits.count(format!("{place} ({why})"), value.as_raw_str());
        let path = if path.is_empty() { vec![".".to_owned()] } else { path };
        self.extra(level, path, value);
    }

    /// The name of a place for people: the table it belongs to, then the path.
    fn place(&self, level: usize, path: &str) -> String {
        let context = &self.shape.contexts[self.frames[level].context];
        match context.tables.first() {
            Some((table, _)) => format!("{}.{path}", self.shape.tables[*table].name),
            None => path.to_owned(),
        }
    }

    fn finish_record(&mut self, raw: &str) {
        self.unfit = None;
        let Some(key) = self.owner_key() else {
            let reason = match &self.frames[0].key {
                Some(key) => format!("`{key}` is no key of a record"),
                None => "it has no key".to_owned(),
            };
            self.records.push(MisfitRecord { id: None, reason, raw: raw.to_owned() });
            return;
        };
        if self.deep && raw.contains(DEEP) {
            self.owners.push(Owner { key: key.clone(), newer: Vec::new(), partition: 0, fits: false });
            let reason = "a value nests deeper than can be read".to_owned();
            self.records.push(MisfitRecord { id: Some(key), reason, raw: raw.to_owned() });
            return;
        }
        let newer = self.shape.newer.iter().map(|(picks, kind)| self.pick_number(picks, *kind)).collect();
        let partition = self.partition();
        self.owners.push(Owner { key: key.clone(), newer, partition, fits: true });
        self.emit(0);
        if let Some(reason) = self.unfit.take() {
            self.owners.last_mut().expect("it was just pushed").fits = false;
            self.records.push(MisfitRecord { id: Some(key), reason, raw: raw.to_owned() });
        }
    }

    fn owner_key(&self) -> Option<Key> {
        let value = self.value(0, &self.shape.key, None)?;
        let token = Token::of(&value)?;
        match self.shape.key_type {
            // Where records are asked for by their ids, one that is not positive is none of them.
            Type::Int64 => whole(token.text.as_bytes()).filter(|id| *id > 0 || !self.shape.by_id).map(Key::Int),
            _ => Some(Key::Text(token.text.into_owned())).filter(|key| *key != Key::Text(String::new())),
        }
    }

    fn pick_number(&self, picks: &[Pick], kind: Type) -> Option<i64> {
        let value = picks.iter().find_map(|pick| self.value(0, pick, None))?;
        let token = Token::of(&value)?;
        if kind == Type::Timestamp { timestamp_micros(&token.text) } else { whole(token.text.as_bytes()) }
    }

    /// The partition's number: days since 1970 of the month's first, the bucket, or 0 where there is none.
    fn partition(&self) -> i32 {
        let Some((picks, by)) = &self.shape.partition else { return 0 };
        let found = match by {
            PartitionBy::Month => self.pick_number(picks, Type::Timestamp).and_then(month_days),
            PartitionBy::Bucket(count) => {
                self.pick_number(picks, Type::Int64).and_then(|id| i32::try_from(id.rem_euclid(i64::from(*count))).ok())
            }
        };
        found.unwrap_or(0)
    }

    fn value<'f>(&'f self, level: usize, pick: &Pick, label: Option<&'f str>) -> Option<Value<'f, 'a>> {
        let frame = &self.frames[level - pick.above];
        match pick.take {
            Take::Slot { slot, .. } => frame.slots[slot].as_ref().map(Value::Json),
            Take::Key => frame.key.as_deref().map(Value::Text),
            Take::Index => Some(Value::Index(frame.index)),
            Take::Label => label.map(Value::Text),
        }
    }

    /// Emits the rows of the context at this level, then walks its entries.
    fn emit(&mut self, level: usize) {
        let shape = self.shape;
        let context = self.frames[level].context;
        for (place, (table, label)) in shape.contexts[context].tables.iter().enumerate() {
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
                self.misfits.count(format!("{path} (unnamed, in a record without rows)"), &raw);
            }
        }
        let frame = &mut self.frames[level];
        frame.entries = entries;
        frame.entries.clear();
    }

    fn row_count(&self) -> usize {
        self.tables.iter().map(|table| table.owners.len()).sum()
    }

    fn entry(&mut self, level: usize, context: usize, key: Option<Cow<'a, str>>, index: usize, value: LazyValue<'a>) {
        if value.is_null() {
            return;
        }
        self.open(level, context, key, index);
        self.walk(level, self.shape.contexts[context].top, value, false);
        self.emit(level);
    }

    fn emit_row(&mut self, level: usize, context: usize, table: usize, label: Option<&str>, first: bool) {
        let shape = self.shape;
        let mut columns = std::mem::take(&mut self.tables[table].columns);
        let mut refused: Vec<(&Pick, String)> = Vec::new();
        for (column, builder) in shape.tables[table].columns.iter().zip(&mut columns) {
            let picks = &column.picks[&context];
            let found = picks.iter().find_map(|pick| {
                self.value(level, pick, label)
                    .filter(|value| !self.is_elsewhere(pick, value, column.kind))
                    .map(|value| (pick, value))
            });
            let filled = match &found {
                None => {
                    builder.null();
                    false
                }
                Some((pick, value)) => builder.push(value).unwrap_or_else(|_| {
                    builder.null();
                    let mut text = String::new();
                    value.write(&mut text);
                    refused.push((*pick, text));
                    false
                }),
            };
            if column.required && !filled {
                self.unfit.get_or_insert_with(|| {
                    format!("{}.{} has no value that fits", shape.tables[table].name, column.name)
                });
            }
        }
        for (pick, text) in refused {
            let path = self.source(pick);
            let place = self.place(level, &path.join("."));
            self.misfits.count(place, &text);
            self.frames[level].extras.push((path, text));
        }
        let extra = if first { self.render_extra(level) } else { None };
        let growing = &mut self.tables[table];
        growing.columns = columns;
        growing.extra.append_option(extra);
        growing.owners.push(u32::try_from(self.owners.len() - 1).expect("a page has under 2^32 records"));
    }

    /// The path of a column's source, as a schema writes it but for `$`: `^` once for each context above.
    fn source(&self, pick: &Pick) -> Vec<String> {
        let mut path = vec!["^".to_owned(); pick.above];
        match &pick.take {
            Take::Slot { node, .. } => path.extend(self.shape.path(*node).into_iter().map(str::to_owned)),
            Take::Key => path.push("@key".to_owned()),
            Take::Index => path.push("@index".to_owned()),
            Take::Label => path.push("@label".to_owned()),
        }
        if path.is_empty() { vec![".".to_owned()] } else { path }
    }

    /// A container whose fields are named one by one is no value of a scalar column.
    fn is_elsewhere(&self, pick: &Pick, value: &Value<'_, '_>, kind: Type) -> bool {
        let (Take::Slot { node, .. }, Value::Json(json)) = (&pick.take, value) else { return false };
        kind != Type::Json && !self.shape.nodes[*node].fields.is_empty() && json.get_type() == JsonType::Object
    }

    /// The `_extra` of a row: its own, and below `^` what its table-less contexts above hold.
    fn render_extra(&self, level: usize) -> Option<String> {
        let mut tree = Extra::default();
        for (path, text) in &self.frames[level].extras {
            tree.insert(path, text);
        }
        let mut above = level;
        let mut prefix = Vec::new();
        while above > 0 && self.shape.contexts[self.frames[above - 1].context].tables.is_empty() {
            above -= 1;
            prefix.push("^".to_owned());
            for (path, text) in &self.frames[above].extras {
                tree.insert(&[prefix.as_slice(), path.as_slice()].concat(), text);
            }
        }
        tree.render()
    }

    /// The rows built, the owners, and what did not fit.
    pub fn finish(mut self) -> (Vec<Owner>, Vec<TableRows>, Vec<MisfitRecord>, Misfits) {
        let tables = self
            .tables
            .iter_mut()
            .zip(&self.shape.tables)
            .map(|(growing, table)| {
                let mut fields: Vec<Field> =
                    table.columns.iter().map(|column| Field::new(&column.name, column.kind.arrow(), true)).collect();
                fields.push(Field::new(EXTRA, DataType::Utf8, true));
                let mut arrays: Vec<ArrayRef> = growing.columns.iter_mut().map(ColumnBuilder::finish).collect();
                arrays.push(Arc::new(growing.extra.finish()));
                let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
                    .expect("builders of one table have one length and the types of their columns");
                TableRows { batch, owners: std::mem::take(&mut growing.owners) }
            })
            .collect();
        (self.owners, tables, self.records, self.misfits)
    }
}

/// Nested JSON built from paths.
#[derive(Default)]
struct Extra {
    text: Option<String>,
    below: BTreeMap<String, Extra>,
}

impl Extra {
    fn insert(&mut self, path: &[String], text: &str) {
        match path {
            [] => {
                // The same place twice: the first stays, others are kept beside it.
                if self.text.is_none() {
                    self.text = Some(text.to_owned());
                } else if self.text.as_deref() != Some(text) {
                    let name = format!("#{}", self.below.len() + 2);
                    self.below.entry(name).or_default().text = Some(text.to_owned());
                }
            }
            [name, rest @ ..] => self.below.entry(name.clone()).or_default().insert(rest, text),
        }
    }

    fn render(&self) -> Option<String> {
        if self.below.is_empty() {
            return self.text.clone();
        }
        let mut out = String::from("{");
        let own = self.text.as_ref().map(|text| (".".to_owned(), text.clone()));
        let below = self.below.iter().filter_map(|(name, extra)| extra.render().map(|text| (name.clone(), text)));
        for (index, (name, text)) in own.into_iter().chain(below).enumerate() {
            if index > 0 {
                out.push(',');
            }
            push_key(&name, &mut out);
            out.push_str(&text);
        }
        out.push('}');
        Some(out)
    }
}
