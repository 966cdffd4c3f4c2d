//! Places in a record that is walked: the value that a column picks up, its name for people and in `_extra`, and the
//! `_extra` of a row.

use sonic_rs::{JsonType, JsonValueTrait, LazyValue};

use crate::decode::builder::ColumnValue;
use crate::decode::extra::Extra;
use crate::decode::json::raw;
use crate::decode::record::Walker;
use crate::decode::shape::{Pick, Take};
use crate::schema::Type;

impl<'a> Walker<'_, 'a> {
    /// The name of a place for people: the table it belongs to, then the path.
    pub(super) fn place(&self, level: usize, path: &str) -> String {
        let context = &self.shape.contexts[self.frames[level].context];
        match context.tables.first() {
            Some((table, _)) => format!("{}.{path}", self.shape.tables[*table].name),
            None => path.to_owned(),
        }
    }

    /// Whether a column of the place's table can take a field by this path: a path of a schema has no other names.
    pub(super) fn has_column_path(&self, level: usize, path: &[&str]) -> bool {
        let is_spelled = |name: &&str| {
            let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
            !is_number
                && !name
                    .contains(|letter: char| letter == '.' || letter == '"' || letter == '\\' || letter.is_control())
                && !name.starts_with(['@', '^', '$', '*'])
        };
        let context = &self.shape.contexts[self.frames[level].context];
        !context.tables.is_empty() && path.iter().all(is_spelled)
    }

    pub(super) fn value<'f>(
        &'f self,
        level: usize,
        pick: &Pick,
        label: Option<&'f str>,
    ) -> Option<ColumnValue<'f, 'a>> {
        let at = level - pick.above(level);
        let frame = &self.frames[at];
        match pick.take {
            Take::Slot { slot, node } => {
                let piece = || frame.piece.as_deref().filter(|_| self.shape.nodes[node].parent.is_none());
                frame.slots[slot].as_ref().map(ColumnValue::Json).or_else(|| piece().map(ColumnValue::Text))
            }
            Take::Key => frame.key.as_deref().map(ColumnValue::Text),
            Take::Index => Some(ColumnValue::Index(frame.index)),
            Take::Label => label.map(ColumnValue::Text),
            Take::Get => self.asked.label.as_deref().map(ColumnValue::Text),
            Take::Asked => self.asked.id.as_deref().map(ColumnValue::Text),
            Take::Path => self.path_of(at).map(ColumnValue::Made),
            Take::Level(depth) => Some(ColumnValue::Index(level.saturating_sub(depth))),
        }
    }

    /// The places of the entry at a level and of those around it, from the record down; none of the record.
    fn path_of(&self, level: usize) -> Option<String> {
        let places: Vec<String> = self.frames[..=level].iter().skip(1).map(|frame| frame.index.to_string()).collect();
        (!places.is_empty()).then(|| places.join("."))
    }

    /// Keeps an entry's name in its map where no column takes it and no value of the entry repeats it: a list may have become a
    /// map.
    pub(super) fn keep_name(&mut self, level: usize) {
        let frame = &mut self.frames[level];
        let context = &self.shape.contexts[frame.context];
        let Some(key) = frame.key.as_deref().filter(|_| !context.takes_key && !context.tables.is_empty()) else {
            return;
        };
        let repeats = |value: &LazyValue<'_>| raw(value).trim_matches('"') == key;
        if !frame.slots.iter().flatten().any(repeats) {
            let text = serde_json::to_string(key).expect("a text is JSON");
            frame.extras.push((vec!["@key".to_owned()], text));
        }
    }

    /// The path of a column's source, as a schema writes it except for `$`: `^` once for each context above.
    pub(super) fn source(&self, level: usize, pick: &Pick) -> Vec<String> {
        let mut path = vec!["^".to_owned(); pick.above(level)];
        match &pick.take {
            Take::Slot { node, .. } => path.extend(self.shape.path(*node).into_iter().map(str::to_owned)),
            Take::Key => path.push("@key".to_owned()),
            Take::Index => path.push("@index".to_owned()),
            Take::Label | Take::Get => path.push("@label".to_owned()),
            Take::Asked => path.push("@id".to_owned()),
            Take::Path => path.push("@path".to_owned()),
            Take::Level(_) => path.push("@level".to_owned()),
        }
        if path.is_empty() { vec![".".to_owned()] } else { path }
    }

    /// A container with individually named fields is no value of a scalar column.
    pub(super) fn is_elsewhere(&self, pick: &Pick, value: &ColumnValue<'_, '_>, kind: Type) -> bool {
        let (Take::Slot { node, .. }, ColumnValue::Json(json)) = (&pick.take, value) else { return false };
        !kind.takes_whole() && !self.shape.nodes[*node].fields.is_empty() && json.get_type() == JsonType::Object
    }

    /// The `_extra` of a row: its own, and below `^` that of its enclosing contexts without a table.
    pub(super) fn render_extra(&self, level: usize) -> Option<String> {
        let mut tree = Extra::default();
        for (path, text) in &self.frames[level].extras {
            tree.insert(path.iter().map(String::as_str), text);
        }
        let mut above = level;
        let mut prefix = Vec::new();
        while above > 0 && self.shape.contexts[self.frames[above - 1].context].tables.is_empty() {
            above -= 1;
            prefix.push("^");
            for (path, text) in &self.frames[above].extras {
                tree.insert(prefix.iter().copied().chain(path.iter().map(String::as_str)), text);
            }
        }
        tree.render()
    }
}
