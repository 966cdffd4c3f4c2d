//! The keys of records and rows: from where the schema states them, else from the other place where sources keep them.

use crate::decode::builder::{ColumnBuilder, ColumnValue, Token};
use crate::decode::envelope::field;
use crate::decode::moment::{period_days, timestamp_micros};
use crate::decode::number::whole;
use crate::decode::record::Walker;
use crate::decode::shape::{Pick, Take};
use crate::manifest::Key;
use crate::schema::{PartitionBy, Type};

/// The field in which sources keep the id of a document that they also keep under its id.
const ID: &str = "id";

impl Walker<'_, '_> {
    /// The record's key: from where the schema states it, else from the other place where sources keep it.
    pub(super) fn record_key(&self) -> Option<Key> {
        let stated = self.shape.key.iter().find_map(|pick| self.as_key(&self.value(0, pick, None)?));
        stated.or_else(|| self.other_key(0, self.shape.key.first()?, self.shape.key_type, |value| self.as_key(value)))
    }

    fn as_key(&self, value: &ColumnValue<'_, '_>) -> Option<Key> {
        let token = Token::of(value)?;
        match self.shape.key_type {
            // Where records are requested by their ids, one that is not positive is none of them.
            Type::Int64 => whole(token.text.as_bytes()).filter(|id| *id > 0 || !self.shape.by_id).map(Key::Int),
            _ => Some(Key::Text(token.text.into_owned())).filter(|key| *key != Key::Text(String::new())),
        }
    }

    /// The key of an entry from the place that the schema does not state, in the eyes of `read`: its name in its map
    /// for a field in it, else its field `id`; its field `id` for its name. Only numbers: a name of another kind is no
    /// id.
    fn other_key<T>(
        &self,
        level: usize,
        pick: &Pick,
        kind: Type,
        read: impl Fn(&ColumnValue<'_, '_>) -> Option<T>,
    ) -> Option<T> {
        if kind != Type::Int64 {
            return None;
        }
        let frame = &self.frames[level - pick.above(level)];
        let own = || field(frame.value.as_ref()?, ID).and_then(|id| read(&ColumnValue::Json(&id)));
        match pick.take {
            Take::Slot { .. } => frame.key.as_deref().and_then(|key| read(&ColumnValue::Text(key))).or_else(own),
            Take::Key => own(),
            Take::Index | Take::Label | Take::Get | Take::Asked | Take::Path | Take::Level(_) => None,
        }
    }

    pub(super) fn pick_number(&self, picks: &[Pick], kind: Type) -> Option<i64> {
        let value = picks.iter().find_map(|pick| self.value(0, pick, None))?;
        let token = Token::of(&value)?;
        if kind == Type::Timestamp { timestamp_micros(&token.text) } else { whole(token.text.as_bytes()) }
    }

    /// The partition's number: days since 1970 of its period's first, the bucket, or 0 where there is none.
    pub(super) fn partition(&self) -> i32 {
        let Some((picks, by)) = &self.shape.partition else { return 0 };
        let found = match by {
            PartitionBy::Date { granularity, .. } => {
                self.pick_number(picks, Type::Timestamp).and_then(|micros| period_days(*granularity, micros))
            }
            PartitionBy::Bucket(count) => {
                self.pick_number(picks, Type::Int64).and_then(|id| i32::try_from(id.rem_euclid(i64::from(*count))).ok())
            }
        };
        found.unwrap_or(0)
    }

    /// Appends the key of a row from where the schema does not state it; `None` appends nothing.
    pub(super) fn push_other_key(
        &self,
        level: usize,
        table: usize,
        place: usize,
        picks: &[Pick],
        builder: &mut ColumnBuilder,
    ) -> Option<bool> {
        let (shape, pick) = (&self.shape.tables[table], picks.first()?);
        let record = &self.records.get(self.record_place)?.key;
        if shape.key.first() == Some(&place) {
            return builder.push(&ColumnValue::Text(&record.to_string())).ok();
        }
        let kind = shape.columns[place].kind;
        let text = self.other_key(level, pick, kind, |value| Token::of(value).map(|token| token.text.into_owned()))?;
        // An empty text would append a null, and the caller another.
        if text.is_empty() { None } else { builder.push(&ColumnValue::Text(&text)).ok() }
    }
}
