//! Columns of a checkpoint: nested Arrow columns from the values of rows, and the values of rows from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Int32Array, Int64Array, StringArray, StructArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Fields};

/// A map of texts, as `partitionValues` and `configuration` are.
pub type TextMap = BTreeMap<String, Option<String>>;

pub fn texts<'v>(values: impl Iterator<Item = Option<&'v str>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

pub fn longs(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from_iter(values))
}

pub fn integers(values: impl Iterator<Item = Option<i32>>) -> ArrayRef {
    Arc::new(Int32Array::from_iter(values))
}

pub fn flags(values: impl Iterator<Item = Option<bool>>) -> ArrayRef {
    Arc::new(BooleanArray::from_iter(values))
}

pub fn maps<'v>(values: impl Iterator<Item = Option<&'v TextMap>>) -> ArrayRef {
    let names = MapFieldNames { entry: "key_value".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for value in values {
        for (key, text) in value.into_iter().flatten() {
            maps.keys().append_value(key);
            maps.values().append_option(text.as_deref());
        }
        maps.append(value.is_some()).expect("each key has a value");
    }
    Arc::new(maps.finish())
}

pub fn lists<'v>(values: impl Iterator<Item = Option<&'v Vec<String>>>) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for value in values {
        value.into_iter().flatten().for_each(|text| lists.values().append_value(text));
        lists.append(value.is_some());
    }
    Arc::new(lists.finish())
}

/// A column of columns, which is null where `valid` has no value.
pub fn structs(valid: impl Iterator<Item = bool>, columns: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let fields: Fields =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    Arc::new(StructArray::new(fields, arrays, Some(NullBuffer::from_iter(valid))))
}

/// A row of a column of columns, as any writer may have made it.
#[derive(Clone, Copy, Debug)]
pub struct StructRow<'a> {
    columns: &'a StructArray,
    row: usize,
}

impl<'a> StructRow<'a> {
    /// A row of this column; none where it is null or of another type.
    pub fn of(column: &'a ArrayRef, row: usize) -> Option<Self> {
        let columns = column.as_struct_opt()?;
        columns.is_valid(row).then_some(Self { columns, row })
    }

    fn column(self, name: &str) -> Option<&'a ArrayRef> {
        self.columns.column_by_name(name).filter(|column| column.is_valid(self.row))
    }

    pub fn text(self, name: &str) -> Option<String> {
        Some(self.column(name)?.as_string_opt::<i32>()?.value(self.row).to_owned())
    }

    pub fn long(self, name: &str) -> Option<i64> {
        let column = self.column(name)?;
        match column.data_type() {
            DataType::Int32 => Some(column.as_primitive::<Int32Type>().value(self.row).into()),
            DataType::Int64 => Some(column.as_primitive::<Int64Type>().value(self.row)),
            _ => None,
        }
    }

    pub fn integer(self, name: &str) -> Option<i32> {
        self.long(name).and_then(|value| i32::try_from(value).ok())
    }

    pub fn flag(self, name: &str) -> Option<bool> {
        Some(self.column(name)?.as_boolean_opt()?.value(self.row))
    }

    pub fn within(self, name: &str) -> Option<Self> {
        Self::of(self.columns.column_by_name(name)?, self.row)
    }

    pub fn map(self, name: &str) -> Option<TextMap> {
        let entries = self.column(name)?.as_map_opt()?.value(self.row);
        let keys = entries.columns().first()?.as_string_opt::<i32>()?;
        let values = entries.columns().get(1)?.as_string_opt::<i32>()?;
        let value = |row: usize| values.is_valid(row).then(|| values.value(row).to_owned());
        Some((0..entries.len()).map(|row| (keys.value(row).to_owned(), value(row))).collect())
    }

    pub fn list(self, name: &str) -> Option<Vec<String>> {
        let items = self.column(name)?.as_list_opt::<i32>()?.value(self.row);
        let items = items.as_string_opt::<i32>()?;
        Some(items.iter().flatten().map(str::to_owned).collect())
    }
}
