//! Rejected values by path, rejected records whole, and the fields in which an answer and the schema differ, by path.

use std::collections::BTreeMap;

use crate::decode::guess::Guess;
use crate::manifest::Key;
use crate::secret::Redactor;

/// The longest sample of a rejected value that is shown, in characters.
const SAMPLE: usize = 60;
/// The longest sample that is kept, in characters: it is shortened for display only after secrets are replaced, because
/// half of a secret is not recognised. So many characters contain a long token as a whole, and no record has to be kept
/// whole.
const KEPT: usize = 65_536;

/// Paths of fields that are counted one by one: a map by names of the user's own would have no end.
const UNKNOWN: usize = 200;
/// The name for all paths beyond these.
const FURTHER: &str = "further fields";

/// Bytes of such a path at most: names of the source may be of any length, and cut they might show half of a secret.
pub const PATH: usize = 500;

/// A field that the schema does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnknownField {
    /// Values kept in `_extra`.
    pub count: u64,
    /// The type that a column of these values would have; none where no path of a column leads there.
    pub guess: Option<Guess>,
}

/// Values that did not fit, counted by path with one sample each; and fields in which an answer and the schema differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectedCounts {
    values: BTreeMap<String, (u64, String)>,
    unknown: BTreeMap<String, UnknownField>,
    missing: BTreeMap<String, u64>,
}

impl RejectedCounts {
    /// Counts a value at a path (`order.totalValue.total`).
    pub fn count(&mut self, path: String, sample: &str) {
        let short = || sample.chars().take(KEPT).collect();
        let counted = path.len() <= PATH && (self.values.len() < UNKNOWN || self.values.contains_key(&path));
        let path = if counted { path } else { FURTHER.to_owned() };
        self.values.entry(path).or_insert_with(|| (0, short())).0 += 1;
    }

    /// Counts a value of a field that the schema does not name, at this path; `guess` is the type of the value.
    pub fn count_unknown(&mut self, path: String, guess: Option<Guess>) {
        self.add_unknown(path, UnknownField { count: 1, guess });
    }

    /// Counts a value of a field that the schema does not name, at a path of more bytes than are counted one by one.
    pub fn count_further(&mut self) {
        self.add_unknown(FURTHER.to_owned(), UnknownField { count: 1, guess: None });
    }

    fn add_unknown(&mut self, path: String, field: UnknownField) {
        let counted = path.len() <= PATH && (self.unknown.len() < UNKNOWN || self.unknown.contains_key(&path));
        let (path, field) =
            if counted { (path, field) } else { (FURTHER.to_owned(), UnknownField { guess: None, ..field }) };
        let known = self.unknown.entry(path).or_insert(UnknownField { count: 0, ..field });
        known.count += field.count;
        known.guess = known.guess.zip(field.guess).map(|(one, other)| one.joined(other));
    }

    /// Counts rows of a search with a mapped column that the metaData does not list.
    pub fn count_missing(&mut self, column: &str, rows: u64) {
        *self.missing.entry(column.to_owned()).or_default() += rows;
    }

    /// Fields that the schema does not name, by path, with how many values of each are kept in `_extra`.
    pub fn unknown(&self) -> &BTreeMap<String, UnknownField> {
        &self.unknown
    }

    /// Columns that the schema maps and the search does not have, with the rows that came without.
    pub fn missing(&self) -> &BTreeMap<String, u64> {
        &self.missing
    }

    /// The paths, with count.
    pub fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.values.iter().map(|(path, (count, _))| (path.as_str(), *count))
    }

    /// The paths, with count and sample: without the secrets that the redactor knows, and cut.
    pub fn shown<'a>(&'a self, redactor: &'a Redactor) -> impl Iterator<Item = (&'a str, u64, String)> {
        let shown = |sample: &str| redactor.clean(sample).chars().take(SAMPLE).collect();
        self.values.iter().map(move |(path, (count, sample))| (path.as_str(), *count, shown(sample)))
    }

    /// Replaces secrets in the names of fields, which are kept with the state.
    pub fn redact(&mut self, redactor: &Redactor) {
        for (path, field) in std::mem::take(&mut self.unknown) {
            let clean = redactor.clean(&path);
            let guess = field.guess.filter(|_| clean == path);
            self.add_unknown(clean, UnknownField { guess, ..field });
        }
    }

    /// Shows this text in place of each sample.
    pub fn replace_samples(&mut self, text: &str) {
        self.values.values_mut().for_each(|(_, sample)| text.clone_into(sample));
    }

    /// Whether everything fitted.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: Self) {
        for (path, (count, sample)) in other.values {
            self.values.entry(path).or_insert((0, sample)).0 += count;
        }
        for (path, field) in other.unknown {
            self.add_unknown(path, field);
        }
        for (column, rows) in other.missing {
            self.count_missing(&column, rows);
        }
    }
}

/// A record that did not fit, or a row of one, kept whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRecord {
    /// The table of a row; none of a record.
    pub table: Option<String>,
    /// Its record key, if it could be read.
    pub id: Option<Key>,
    pub reason: String,
    /// The record as it came.
    pub raw: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn a_sample_is_redacted_before_it_is_cut() {
        let token = "planted-token-of-44-letters-0123456789abcdef";
        let redactor = Redactor::default();
        redactor.learn(&Secret::new(token));
        let mut rejected_values = RejectedCounts::default();
        rejected_values.count("a".to_owned(), &format!("{}{token}", "x".repeat(SAMPLE - 43)));
        rejected_values.count("b".to_owned(), &token.repeat(2 * KEPT / token.len()));
        rejected_values.count("c".to_owned(), &"é".repeat(2 * KEPT));
        rejected_values.count_unknown(format!("field.{token}"), None);
        let shown: Vec<_> = rejected_values.shown(&redactor).map(|(_, _, sample)| sample).collect();
        let expected = [format!("{}[secret]", "x".repeat(SAMPLE - 43)), "[secret]".to_owned(), "é".repeat(SAMPLE)];
        assert_eq!(shown[0], expected[0]);
        assert!(shown[1].starts_with(&expected[1]) && shown[1].chars().count() <= SAMPLE, "{}", shown[1]);
        assert_eq!(shown[2], expected[2]);
        rejected_values.redact(&redactor);
        assert_eq!(rejected_values.unknown().keys().collect::<Vec<_>>(), ["field.[secret]"]);
    }
}
