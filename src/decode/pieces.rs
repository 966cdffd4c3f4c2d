//! Entries of lists and maps: the walk over each, the pieces of a text that is split into rows, and the named values below a
//! place with rows as its entries.

use std::borrow::Cow;

use sonic_rs::{JsonType, JsonValueTrait, LazyValue};

use crate::decode::builder::{ColumnValue, Token};
use crate::decode::record::Walker;

impl<'a> Walker<'_, 'a> {
    /// Takes the named values below a place with rows as its entries.
    pub(super) fn fill(&mut self, level: usize, node: usize, value: &LazyValue<'a>) {
        let shape = self.shape;
        let fields = &shape.nodes[node].fields;
        if fields.is_empty() {
            return;
        }
        for (key, value) in value.clone().into_object_iter().into_iter().flatten().flatten() {
            let Some(child) = fields.iter().copied().find(|child| shape.nodes[*child].name == key) else { continue };
            if value.is_null() || shape.nodes[child].skipped {
                continue;
            }
            if let Some(slot) = shape.nodes[child].slot {
                self.frames[level].slots[slot].get_or_insert_with(|| value.clone());
            }
            let container = matches!(value.get_type(), JsonType::Object | JsonType::Array);
            if let Some(context) = shape.nodes[child].each.filter(|_| container) {
                self.frames[level].entries.push((context, value.clone()));
            }
            self.fill(level, child, &value);
        }
    }

    /// Walks an entry: its key is that in the map that holds it, if any.
    pub(super) fn entry(
        &mut self,
        level: usize,
        context: usize,
        key: Option<Cow<'a, str>>,
        index: usize,
        value: LazyValue<'a>,
    ) {
        if value.is_null() || self.full {
            return;
        }
        self.open(level, context, key, index, Some(value.clone()));
        self.walk(level, self.shape.contexts[context].top, value, false);
        self.keep_name(level);
        self.emit(level);
    }

    /// Emits a row for each piece of a text.
    pub(super) fn pieces(&mut self, level: usize, context: usize, value: &LazyValue<'a>) {
        let shape = self.shape;
        let Some(split) = &shape.contexts[context].split else { return };
        let Some(text) = Token::of(&ColumnValue::Json(value)).map(|token| token.text.into_owned()) else { return };
        for (index, piece) in text.split(&split.by).map(str::trim).enumerate() {
            if piece.is_empty() || split.skip.iter().any(|skipped| skipped == piece) || self.full {
                continue;
            }
            self.open(level, context, None, index, Some(value.clone()));
            self.frames[level].piece = Some(Cow::Owned(piece.to_owned()));
            self.emit(level);
        }
    }
}
