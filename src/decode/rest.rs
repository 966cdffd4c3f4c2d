//! Columns filled from the `_extra` of rows that were written before the columns were known.
//!
//! Takes the old and the new tables, and the `_extra` of old rows; gives the values of new columns and the remainder.
//! It is the walk over a fresh record, with `_extra` in the place of the record, so that a value equals that of a fresh
//! read. A value that `_extra` cannot give (a place that another column took, `^`, `@key`) is not guessed: such a
//! column stays null, and the entry stays where it is.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray};
use sonic_rs::{JsonType, JsonValueTrait, LazyValue};

use crate::decode::record::Walker;
use crate::decode::shape::Shape;
use crate::failure::Result;
use crate::schema::{Column, Leaf, Origin, Partition, Resource, Rows, Source, Table};

/// Marks in `_extra` a place with two values: the one that a fresh read would take is unknown.
const TWICE: &str = "\"#2\":";

/// The extraction of columns from the `_extra` of one table.
pub struct Rest {
    shape: Shape,
    /// Places, in the table, of the columns that are taken.
    places: Vec<usize>,
    /// New columns that `_extra` cannot fill.
    unfilled: Vec<String>,
    needed: bool,
}

impl Rest {
    /// For the table at `place` of `after`, the columns at `wanted`, all of them that `_extra` can give; those at
    /// `wider` existed before with a narrower type. `before` has the same tables with the columns of the old files.
    pub fn new(before: &Resource, after: &Resource, place: usize, wanted: &[usize], wider: &[usize]) -> Result<Self> {
        let table = &after.tables[place];
        let depth = table.depth();
        let taken = Taken::new(before, place)?;
        let plain = |source: &Source| match &source.leaf {
            Leaf::Fields(fields) if source.above(depth) == 0 && !fields.is_empty() => Some(fields.clone()),
            Leaf::Fields(_) | Leaf::Key | Leaf::Index | Leaf::Label | Leaf::Asked | Leaf::Path | Leaf::Level => None,
        };
        let free = |source: &Source| plain(source).is_some_and(|fields| !taken.has(&fields));
        let alone = |column: &Column| {
            let others = table.columns.iter().filter(|other| other.name != column.name);
            column.from.len() == 1
                && plain(&column.from[0]).is_some()
                && others.flat_map(|other| &other.from).all(|source| plain(source) != plain(&column.from[0]))
        };
        let (mut places, mut unfilled) = (Vec::new(), Vec::new());
        for wanted in wanted {
            let column = &table.columns[*wanted];
            if taken.has_extra && !column.from.is_empty() && column.from.iter().all(free) {
                places.push(*wanted);
            } else if !column.from.is_empty() {
                unfilled.push(column.name.clone());
            }
        }
        places.extend(wider.iter().filter(|wider| taken.has_extra && alone(&table.columns[**wider])));
        let at_top = |column: &Column, path: Vec<String>| {
            let from = vec![Source { origin: Origin::Above(0), leaf: Leaf::Fields(path) }];
            Column { from, required: false, ..column.clone() }
        };
        let given_away = table
            .excluded_columns
            .iter()
            .flat_map(|column| column.from.iter().filter_map(|source| Some(at_top(column, spelled(source, depth)?))));
        let given_away: Vec<Column> = given_away.collect();
        let needed = !places.is_empty() || !given_away.is_empty();
        Ok(Self { shape: shape_of(after, place, &places, given_away)?, needed, places, unfilled })
    }

    /// For the columns at these places of the table at `place`, from objects that are parts of a record.
    pub fn of_columns(after: &Resource, place: usize, places: Vec<usize>) -> Result<Self> {
        Ok(Self { shape: shape_of(after, place, &places, Vec::new())?, needed: true, places, unfilled: Vec::new() })
    }

    /// New columns that stay null until their record is read again.
    pub fn unfilled(&self) -> &[String] {
        &self.unfilled
    }

    /// The values of columns (by their places in the table), and the `_extra` that is left.
    pub fn take(&self, extras: &StringArray) -> (Vec<(usize, ArrayRef)>, ArrayRef) {
        if !self.needed {
            return (Vec::new(), std::sync::Arc::new(extras.clone()));
        }
        let nothing: LazyValue<'_> = sonic_rs::from_str("{}").expect("it is JSON");
        let mut walker = Walker::new(&self.shape, false, usize::MAX);
        let mut untouched = vec![false; extras.len()];
        for (row, text) in extras.iter().enumerate() {
            let object = text.filter(|text| !text.contains(TWICE)).and_then(|text| sonic_rs::from_str(text).ok());
            let object: Option<LazyValue<'_>> =
                object.filter(|value: &LazyValue<'_>| value.get_type() == JsonType::Object);
            untouched[row] = object.is_none();
            walker.rest(object.unwrap_or_else(|| nothing.clone()));
        }
        let batch = walker.finish().tables.pop().expect("there is one table").batch;
        let left = batch.column(self.places.len()).as_string::<i32>();
        let left: StringArray = (0..extras.len())
            .map(|row| {
                let from = if untouched[row] { extras } else { left };
                from.is_valid(row).then(|| from.value(row))
            })
            .collect();
        let columns = self.places.iter().copied().zip(batch.columns().iter().cloned()).collect();
        (columns, std::sync::Arc::new(left))
    }
}

/// The shape of objects that begin at a row's own entry, with the columns at these places of a table.
fn shape_of(after: &Resource, place: usize, places: &[usize], given_away: Vec<Column>) -> Result<Shape> {
    let table = &after.tables[place];
    let columns = places.iter().map(|place| {
        let column = &table.columns[*place];
        let from = column.from.iter().map(|source| Source { origin: Origin::Above(0), ..source.clone() }).collect();
        Column { from, required: false, ..column.clone() }
    });
    let pseudo = Table {
        name: table.name.clone(),
        description: String::new(),
        rows: Rows::Record,
        again: Vec::new(),
        split: None,
        columns: columns.collect(),
        excluded_columns: given_away,
        key: Vec::new(),
        partition: Partition::None,
        fields: None,
    };
    let mut shape = Shape::empty(after);
    shape.add_table(0, &pseudo)?;
    shape.skip_excluded();
    Ok(shape)
}

/// How `_extra` spells the place of a source; none where it is the whole of an enclosing entry.
fn spelled(source: &Source, depth: usize) -> Option<Vec<String>> {
    let above = source.above(depth);
    let mut path = vec!["^".to_owned(); above];
    match &source.leaf {
        Leaf::Fields(fields) if fields.is_empty() && above > 0 => return None,
        Leaf::Fields(fields) if fields.is_empty() => path.push(".".to_owned()),
        Leaf::Fields(fields) => path.extend(fields.iter().cloned()),
        Leaf::Key => path.push("@key".to_owned()),
        Leaf::Index => path.push("@index".to_owned()),
        Leaf::Label => path.push("@label".to_owned()),
        Leaf::Asked => path.push("@id".to_owned()),
        Leaf::Path => path.push("@path".to_owned()),
        Leaf::Level => path.push("@level".to_owned()),
    }
    Some(path)
}

/// The places of a table's entries that old columns took: they are not in `_extra`.
struct Taken {
    shape: Shape,
    contexts: Vec<usize>,
    /// The table has the `_extra` of its entries.
    has_extra: bool,
}

impl Taken {
    fn new(before: &Resource, place: usize) -> Result<Self> {
        let shape = Shape::compile(before)?;
        let of = |context: &usize| shape.contexts[*context].tables.iter().any(|(table, _)| *table == place);
        let contexts: Vec<usize> = (0..shape.contexts.len()).filter(of).collect();
        let first = |context: &usize| shape.contexts[*context].tables.first().is_some_and(|(table, _)| *table == place);
        let has_extra = contexts.iter().all(first);
        Ok(Self { shape, contexts, has_extra })
    }

    /// Whether some column, or the rows of a table, lie there or below, or a column takes it as a part of its JSON.
    fn has(&self, fields: &[String]) -> bool {
        self.contexts.iter().any(|context| {
            let mut node = self.shape.contexts[*context].top;
            for field in fields {
                let here = &self.shape.nodes[node];
                // The rows of a table have everything below.
                if here.whole || here.each.is_some() {
                    return true;
                }
                match here.fields.iter().find(|child| self.shape.nodes[**child].name == *field) {
                    Some(child) => node = *child,
                    None => return false,
                }
            }
            true
        })
    }
}
