//! Tables whose records define fields of other resources: the name that users gave a field, and the type of its values.
//!
//! Nothing is read or mapped by it: columns for such fields are proposed from it.

use std::collections::BTreeMap;

use crate::schema::file::{FieldPartFile, FieldTypeFile, FieldsFile};
use crate::schema::{Column, Type};

/// The columns by which the records of a table define fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDefinitions {
    /// The column of the name that users see.
    pub name: String,
    /// The column of the type's code.
    pub kind: String,
    /// The types of values by their codes, each with the name of the value where the values are maps.
    pub types: BTreeMap<String, (Type, Option<String>)>,
}

impl FieldDefinitions {
    /// Checks the key `fields` of a table with these columns; gives the reason for a refusal.
    pub fn check(file: FieldsFile, columns: &[Column]) -> Result<Self, String> {
        let is_text = |name: &String| columns.iter().any(|column| column.name == *name && column.kind == Type::String);
        for name in [&file.name, &file.kind] {
            if !is_text(name) {
                return Err(format!("`fields`: the table has no column `{name}` of type string"));
            }
        }
        let mut types = BTreeMap::new();
        for (code, kind) in file.types {
            let (kind, from) = match kind {
                FieldTypeFile::Whole(kind) => (kind, None),
                FieldTypeFile::Part(FieldPartFile { from, kind }) => (kind, Some(from)),
            };
            let parsed = Type::parse(&kind).ok().filter(|kind| !matches!(kind, Type::Hash { .. }));
            let parsed = parsed.ok_or_else(|| format!("`fields`: `{kind}` is no type"))?;
            types.insert(code, (parsed, from));
        }
        Ok(Self { name: file.name, kind: file.kind, types })
    }
}
