//! A resource's tables compiled for one walk over a record.
//!
//! The record is a *context*, and so is every entry of a `*`. A context has slots, filled while its fields are walked;
//! a column knows the context (this one or one above) and the slot of each of its sources.

use std::collections::HashMap;

use crate::failure::{Failure, Kind, Result};
use crate::fetch::SearchPage;
use crate::schema::{
    Column, Leaf, Origin, Partition, PartitionBy, PathStep, ReadStyle, Resource, Rows, Source, Split, Table, Type,
};
use crate::secret::HashKey;

/// Bytes of a row apart from its columns: its record, and the offset of its `_extra`.
const ROW: usize = 8;

/// The compiled form of a resource.
/// More than twelve fields: the facts that each step of a walk looks up.
#[derive(Debug)]
pub struct Shape {
    pub(super) nodes: Vec<ShapeNode>,
    pub(super) contexts: Vec<Context>,
    pub(super) tables: Vec<TableShape>,
    pub(super) records: Vec<PathStep>,
    pub(super) key: Vec<Pick>,
    pub(super) key_type: Type,
    /// Records are requested by their ids.
    pub(super) by_id: bool,
    /// Records of one key are the rows of one record.
    pub(super) repeats: bool,
    /// It is a list that comes in pages by their numbers.
    pub(super) pages: bool,
    /// It is a list of several GETs, each with a label.
    labelled: bool,
    /// A record may be an array, a map of anything, or a plain value.
    pub(super) any_kind: bool,
    pub(super) hash_key: Option<HashKey>,
    pub(super) newer: Vec<(Vec<Pick>, Type)>,
    pub(super) partition: Option<(Vec<Pick>, PartitionBy)>,
}

/// A place in a record.
#[derive(Debug, Default)]
pub(super) struct ShapeNode {
    /// The name in its parent; empty for a context's top.
    pub name: String,
    pub parent: Option<usize>,
    pub fields: Vec<usize>,
    /// The slot that takes the value here.
    pub slot: Option<usize>,
    /// Some column takes the value whole as JSON, so nothing below is unnamed.
    pub whole: bool,
    /// The context of each entry here.
    pub each: Option<usize>,
    /// A column that the settings leave out takes the value here.
    pub excluded: bool,
    /// Nothing of this place or below is written: only excluded columns take it.
    pub skipped: bool,
}

/// The record, or the entries of a `*`.
#[derive(Debug)]
pub(super) struct Context {
    pub top: usize,
    pub slots: usize,
    /// Tables that have a row for each entry, with the branch's label.
    pub tables: Vec<(usize, Option<String>)>,
    /// Its rows are of an excluded table; values without a column are excluded too.
    pub muted: bool,
    /// A text in the place of the entries is cut into them.
    pub split: Option<Split>,
    /// Some column takes the entries' keys in their map.
    pub takes_key: bool,
}

/// A table's columns, compiled.
#[derive(Debug)]
pub(super) struct TableShape {
    pub name: String,
    /// For each branch of `rows` its context; sources are resolved by branch.
    pub columns: Vec<ColumnShape>,
    /// Places of the key columns; the first is the record's key.
    pub key: Vec<usize>,
    /// Bytes of a row beside its texts.
    pub width: usize,
    /// Two entries of a record may have one key: it does not contain their places.
    pub may_repeat: bool,
}

/// A column, compiled: for each context of its table the sources in their order.
#[derive(Debug)]
pub(super) struct ColumnShape {
    pub name: String,
    pub kind: Type,
    pub required: bool,
    /// A value that does not fit is null: another column takes it.
    pub tried: bool,
    pub picks: HashMap<usize, Vec<Pick>>,
}

/// The place from which a value is taken: the number of contexts above, and the part of that context.
#[derive(Clone, Debug)]
pub(super) struct Pick {
    pub above: usize,
    /// From the record, however far a row within rows is from it.
    pub is_of_record: bool,
    pub take: Take,
}

impl Pick {
    /// The number of contexts between a row at this level and its own.
    pub fn above(&self, level: usize) -> usize {
        if self.is_of_record { level } else { self.above }
    }
}

/// The part of a context that is taken.
#[derive(Clone, Debug)]
pub(super) enum Take {
    Slot {
        slot: usize,
        node: usize,
    },
    Key,
    Index,
    Label,
    /// The label of the record's GET.
    Get,
    /// The id that was requested.
    Asked,
    Path,
    /// The rows of the same table around a row: contexts more than these.
    Level(usize),
}

impl Shape {
    /// Compiles a resource.
    pub fn compile(resource: &Resource) -> Result<Self> {
        let mut shape = Self::empty(resource);
        shape.key = shape.picks(0, &resource.read.key, resource.read.key_type)?;
        for (index, table) in resource.tables.iter().enumerate() {
            shape.add_table(index, table)?;
        }
        for table in &resource.excluded_tables {
            shape.exclude_table(table);
        }
        for newer in &resource.read.newer {
            let column = &resource.tables[newer.table].columns[newer.column];
            let picks = shape.picks(0, &column.from, column.kind)?;
            shape.newer.push((picks, column.kind));
        }
        if let Partition::By { by, table, column, .. } = resource.partition() {
            let column = &resource.tables[*table].columns[*column];
            shape.partition = Some((shape.picks(0, &column.from, column.kind)?, *by));
        }
        shape.skip_excluded();
        shape.any_kind = shape.nodes[0].slot.is_some() || shape.nodes[0].each.is_some();
        Ok(shape)
    }

    /// Only the record, without a table.
    pub(super) fn empty(resource: &Resource) -> Self {
        Self {
            nodes: vec![ShapeNode::default()],
            contexts: vec![Context {
                top: 0,
                slots: 0,
                tables: Vec::new(),
                muted: false,
                split: None,
                takes_key: false,
            }],
            tables: Vec::new(),
            records: resource.read.records.clone(),
            key: vec![Pick { above: 0, is_of_record: true, take: Take::Key }],
            key_type: resource.read.key_type,
            by_id: matches!(resource.read.style, ReadStyle::IdSets { .. } | ReadStyle::PerOwner { .. }),
            repeats: resource.read.repeats,
            pages: matches!(resource.read.style, ReadStyle::List { pages: Some(_), .. }),
            labelled: matches!(&resource.read.style, ReadStyle::List { gets, .. } if gets.iter().any(|get| get.label.is_some())),
            any_kind: false,
            hash_key: resource.hash_key.clone(),
            newer: Vec::new(),
            partition: None,
        }
    }

    pub(super) fn add_table(&mut self, index: usize, table: &Table) -> Result<()> {
        let branches: Vec<(Vec<PathStep>, Option<String>)> = match &table.rows {
            Rows::Record => vec![(Vec::new(), None)],
            Rows::Each(branches) => branches.clone(),
        };
        let mut columns: Vec<ColumnShape> = table
            .columns
            .iter()
            .map(|column| ColumnShape {
                name: column.name.clone(),
                kind: column.kind,
                required: column.required,
                tried: column.tried,
                picks: HashMap::new(),
            })
            .collect();
        for (steps, label) in branches {
            let chain = self.chain(&steps);
            let context = *chain.last().expect("a chain has the record");
            self.contexts[context].split = self.contexts[context].split.take().or_else(|| table.split.clone());
            if self.contexts[context].split != table.split {
                return Err(Failure::new(Kind::Schema, "compile a table")
                    .at(&table.name)
                    .because("another table has its rows from the same place, and no such `split`"));
            }
            if self.contexts[context].tables.iter().any(|(other, _)| *other == index) {
                return Err(Failure::new(Kind::Schema, "compile a table")
                    .at(&table.name)
                    .because("two branches are one path"));
            }
            self.contexts[context].tables.push((index, label));
            self.lead_again(context, &table.again);
            for (column, shape) in table.columns.iter().zip(&mut columns) {
                let picks = column
                    .from
                    .iter()
                    .map(|source| {
                        let above = source.above(chain.len() - 1);
                        self.contexts[chain[chain.len() - 1 - above]].takes_key |= source.leaf == Leaf::Key;
                        let pick = self.pick(chain[chain.len() - 1 - above], source, column.kind, above)?;
                        let take = match pick.take {
                            Take::Level(_) => Take::Level(chain.len() - 1),
                            take => take,
                        };
                        Ok(Pick { take, ..pick })
                    })
                    .collect::<Result<Vec<_>>>()?;
                shape.picks.insert(context, picks);
            }
            for column in &table.excluded_columns {
                self.exclude(&chain, column);
            }
        }
        let (key, may_repeat) = (table.key.clone(), self.repeats || may_repeat(table));
        let width = ROW + table.columns.iter().map(|column| width(column.kind)).sum::<usize>();
        self.tables.push(TableShape { name: table.name.clone(), columns, key, width, may_repeat });
        Ok(())
    }

    /// The contexts from the record down to rows.
    fn chain(&mut self, steps: &[PathStep]) -> Vec<usize> {
        let mut chain = vec![0];
        let mut node = 0;
        for step in steps {
            match step {
                PathStep::Field(name) => node = self.child(node, name),
                PathStep::Each => {
                    let context = self.entries(node);
                    chain.push(context);
                    node = self.contexts[context].top;
                }
            }
        }
        chain
    }

    /// Lets entries further down be entries of the same context.
    fn lead_again(&mut self, context: usize, steps: &[PathStep]) {
        if steps.is_empty() {
            return;
        }
        let mut node = self.contexts[context].top;
        for step in steps {
            if let PathStep::Field(name) = step {
                node = self.child(node, name);
            }
        }
        self.nodes[node].each = Some(context);
    }

    fn exclude_table(&mut self, table: &Table) {
        let none = [(Vec::new(), None)];
        let branches = match &table.rows {
            Rows::Record => none.as_slice(),
            Rows::Each(branches) => branches.as_slice(),
        };
        for (steps, _) in branches {
            let chain = self.chain(steps);
            let context = *chain.last().expect("a chain has the record");
            self.contexts[context].split = self.contexts[context].split.take().or_else(|| table.split.clone());
            self.contexts[context].muted = self.contexts[context].tables.is_empty();
            for column in table.columns.iter().chain(&table.excluded_columns) {
                self.exclude(&chain, column);
            }
        }
    }

    /// Notes the place of an excluded column's value.
    fn exclude(&mut self, chain: &[usize], column: &Column) {
        for source in &column.from {
            let context = chain[chain.len() - 1 - source.above(chain.len() - 1)];
            // An excluded value might be the name as well.
            self.contexts[context].takes_key = true;
            let Leaf::Fields(fields) = &source.leaf else { continue };
            let mut node = self.contexts[context].top;
            for field in fields {
                node = self.child(node, field);
            }
            self.nodes[node].excluded = true;
            self.nodes[node].whole |= column.kind.takes_whole();
        }
    }

    /// Finds the places of which nothing is written. The top of an entry is none: an unnamed value in it counts.
    pub(super) fn skip_excluded(&mut self) {
        for node in 0..self.nodes.len() {
            self.nodes[node].skipped = self.nodes[node].parent.is_some() && !self.is_written(node);
        }
    }

    /// Whether something here or below is written.
    fn is_written(&self, node: usize) -> bool {
        let here = &self.nodes[node];
        let entries =
            |context: usize| !self.contexts[context].tables.is_empty() || self.is_written(self.contexts[context].top);
        here.slot.is_some() || here.fields.iter().any(|field| self.is_written(*field)) || here.each.is_some_and(entries)
    }

    fn picks(&mut self, context: usize, sources: &[Source], kind: Type) -> Result<Vec<Pick>> {
        sources.iter().map(|source| self.pick(context, source, kind, 0)).collect()
    }

    fn pick(&mut self, context: usize, source: &Source, kind: Type, above: usize) -> Result<Pick> {
        let take = match &source.leaf {
            Leaf::Key => Take::Key,
            Leaf::Index => Take::Index,
            Leaf::Label if self.labelled && context == 0 => Take::Get,
            Leaf::Label => Take::Label,
            Leaf::Asked => Take::Asked,
            Leaf::Path => Take::Path,
            Leaf::Level => Take::Level(0),
            Leaf::Fields(fields) => {
                let mut node = self.contexts[context].top;
                for field in fields {
                    node = self.child(node, field);
                }
                if kind.takes_whole() {
                    self.nodes[node].whole = true;
                }
                let slot = match self.nodes[node].slot {
                    Some(slot) => slot,
                    None => {
                        let slot = self.contexts[context].slots;
                        self.contexts[context].slots += 1;
                        self.nodes[node].slot = Some(slot);
                        slot
                    }
                };
                Take::Slot { slot, node }
            }
        };
        Ok(Pick { above, is_of_record: source.origin == Origin::Record, take })
    }

    fn child(&mut self, node: usize, name: &str) -> usize {
        let found = self.nodes[node].fields.iter().copied().find(|child| self.nodes[*child].name == name);
        found.unwrap_or_else(|| {
            let child = self.nodes.len();
            self.nodes.push(ShapeNode { name: name.to_owned(), parent: Some(node), ..ShapeNode::default() });
            self.nodes[node].fields.push(child);
            child
        })
    }

    fn entries(&mut self, node: usize) -> usize {
        if let Some(context) = self.nodes[node].each {
            return context;
        }
        let top = self.nodes.len();
        self.nodes.push(ShapeNode::default());
        let context = self.contexts.len();
        self.contexts.push(Context { top, slots: 0, tables: Vec::new(), muted: false, split: None, takes_key: false });
        self.nodes[node].each = Some(context);
        context
    }

    /// The path of a node within its context, `totalValue.total`.
    pub(super) fn path(&self, node: usize) -> Vec<&str> {
        let mut names = Vec::new();
        let mut at = node;
        while let Some(parent) = self.nodes[at].parent {
            names.push(self.nodes[at].name.as_str());
            at = parent;
        }
        names.reverse();
        names
    }

    /// The name of a node for people: its table, and its path there; none where its table is excluded.
    pub(super) fn place_of(&self, node: usize) -> Option<String> {
        let mut top = node;
        while let Some(parent) = self.nodes[top].parent {
            top = parent;
        }
        let context = self.contexts.iter().find(|context| context.top == top).filter(|context| !context.muted)?;
        let path = self.path(node);
        let path = if path.is_empty() { ".".to_owned() } else { path.join(".") };
        Some(match context.tables.first() {
            Some((table, _)) => format!("{}.{path}", self.tables[*table].name),
            None => path,
        })
    }

    /// The columns that are written and that a search with rows does not have.
    pub fn missing(&self, search: &SearchPage) -> Vec<&str> {
        let lacks = |node: &&ShapeNode| search.columns.iter().all(|column| column.name != node.name);
        let fields = self.nodes[0].fields.iter().map(|node| &self.nodes[*node]).filter(|node| !node.skipped);
        if search.rows == 0 { Vec::new() } else { fields.filter(lacks).map(|node| node.name.as_str()).collect() }
    }
}

/// Whether two entries of a record may have one key. Not where the key contains the place in the only list of them, nor
/// where it contains the place and the label of the list.
fn may_repeat(table: &Table) -> bool {
    let Rows::Each(branches) = &table.rows else { return false };
    let has = |leaf: &Leaf| {
        let mut keys = table.key.iter().map(|place| &table.columns[*place].from);
        keys.any(|from| matches!(from.as_slice(), [source] if source.leaf == *leaf && source.above(table.depth()) == 0))
    };
    if has(&Leaf::Path) && (branches.len() == 1 || has(&Leaf::Label)) {
        return false;
    }
    let lists = table.again.is_empty()
        && branches.iter().all(|(steps, _)| steps.iter().filter(|step| **step == PathStep::Each).count() == 1);
    !(lists && has(&Leaf::Index) && (branches.len() == 1 || has(&Leaf::Label)))
}

/// Bytes of a column in each row, beside the bytes of texts.
fn width(kind: Type) -> usize {
    match kind {
        Type::Bool => 1,
        Type::Int32 | Type::Date | Type::String | Type::Json | Type::Hash { .. } => 4,
        Type::Int64 | Type::Float64 | Type::Timestamp => 8,
        Type::Decimal { .. } => 16,
    }
}
