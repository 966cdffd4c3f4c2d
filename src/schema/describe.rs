//! Checks the meanings that a schema file states, and gives a [`Meaning`] a column.
//!
//! Refuses empty texts, references that are no `table.column`, and lists of codes that do not exist or do not fit the
//! column's type. The existence of a referenced column is checked when the catalogue is complete.

use crate::failure::{Failure, Kind, Result};
use crate::schema::file::{CodesFile, ColumnFile, ConfidenceName, ReferencesFile};
use crate::schema::{Code, Confidence, Meaning, ReferenceTarget, References, Type};

impl From<ConfidenceName> for Confidence {
    fn from(name: ConfidenceName) -> Self {
        match name {
            ConfidenceName::Documented => Self::Documented,
            ConfidenceName::Recorded => Self::Recorded,
            ConfidenceName::ClientCode => Self::ClientCode,
            ConfidenceName::Inferred => Self::Inferred,
            ConfidenceName::Guess => Self::Guess,
        }
    }
}

/// The lists of codes of a file.
#[derive(Clone, Copy)]
pub struct CodeLists<'a>(&'a CodesFile);

impl<'a> CodeLists<'a> {
    /// Refuses a list without codes, and a code without meaning.
    pub fn of(lists: &'a CodesFile) -> Result<Self> {
        for (name, codes) in &lists.0 {
            if codes.0.is_empty() || codes.0.iter().any(|(_, meaning)| meaning.trim().is_empty()) {
                return Err(wrong(format!("the codes `{}` are a list of codes with a meaning each", name.as_ref())));
            }
        }
        Ok(Self(lists))
    }

    fn find(self, name: &str, column: &str, kind: Type) -> Result<Vec<Code>> {
        let list = self.0.0.iter().find(|(list, _)| list.as_ref() == name);
        let (_, codes) = list.ok_or_else(|| wrong(format!("there are no codes `{name}`")))?;
        let fits = |code: &str| match kind {
            Type::String => true,
            Type::Int32 | Type::Int64 => code.parse::<i64>().is_ok(),
            Type::Bool | Type::Float64 | Type::Decimal { .. } | Type::Date | Type::Timestamp | Type::Json => false,
            Type::Hash { .. } => false,
        };
        let codes =
            codes.0.iter().map(|(code, meaning)| Code { code: code.as_ref().clone(), meaning: meaning.clone() });
        let codes: Vec<Code> = codes.collect();
        if let Some(Code { code, .. }) = codes.iter().find(|code| !fits(&code.code)) {
            return Err(wrong(format!("the code `{code}` of `{name}` is not a value of the {kind} column `{column}`")));
        }
        Ok(codes)
    }
}

/// A text of the file, trimmed; refused if it is given and empty.
pub fn text(key: &str, text: Option<String>) -> Result<String> {
    let Some(text) = text else { return Ok(String::new()) };
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.contains('\n') {
        return Err(wrong(format!("`{key}` must be one line of text, and not empty")));
    }
    Ok(trimmed.to_owned())
}

/// The meaning that a file states for a column of this type; `confidence` is that of its table.
pub fn meaning(
    file: &ColumnFile,
    kind: Type,
    confidence: Confidence,
    line: usize,
    codes: CodeLists<'_>,
) -> Result<Meaning> {
    if file.personal && file.required {
        return Err(wrong("a `personal` column may be null: `forget` empties it".to_owned()));
    }
    Ok(Meaning {
        description: text("description", file.description.clone())?,
        references: file.references.as_ref().map(references).transpose()?.unwrap_or_default(),
        codes: file.codes.as_ref().map(|name| codes.find(name, &file.name, kind)).transpose()?.unwrap_or_default(),
        personal: file.personal,
        acting: file.acting,
        confidence: file.confidence.map_or(confidence, Confidence::from),
        line,
    })
}

fn references(file: &ReferencesFile) -> Result<References> {
    let explain =
        || wrong("`references` is \"table.column\", a list of these, or { none = \"the reason\" }".to_owned());
    let target = |text: &String| {
        let (table, column) = text.split_once('.').ok_or_else(explain)?;
        Ok(ReferenceTarget { table: table.to_owned(), column: column.to_owned() })
    };
    match file {
        ReferencesFile::One(one) => Ok(References::To(vec![target(one)?])),
        ReferencesFile::Several(several) if several.is_empty() => Err(explain()),
        ReferencesFile::Several(several) => Ok(References::To(several.iter().map(target).collect::<Result<_>>()?)),
        ReferencesFile::Nowhere { none } => Ok(References::Nowhere(text("references.none", Some(none.clone()))?)),
    }
}

fn wrong(why: String) -> Failure {
    Failure::new(Kind::Schema, "accept a schema file").because(why)
}
