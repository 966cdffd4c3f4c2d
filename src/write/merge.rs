//! One live file and the new rows of its key range, merged in order, row group by row group.
//!
//! Rows of records that are replaced go, new ones come; a new row that is equal to the old one (except for when and by
//! which run it was first seen) leaves the old one as it is. Rows are compared first: nothing is written before a
//! difference is found, and from there on row groups without a difference go over as bytes where their form allows it.

use std::cmp::Ordering;
use std::path::Path;

use arrow_row::RowConverter;
use tokio::runtime::Handle;

use crate::failure::Result;
use crate::manifest::{DataFile, Key};
use crate::store::Store;
use crate::write::changes::{Met, RowAction, RowChanges};
use crate::write::columns::Layout;
use crate::write::groups::{KeyBounds, RowGroups};
use crate::write::incoming::{Compared, Incoming, Side};
use crate::write::output::Begun;
use crate::write::picked::Picked;
use crate::write::sorted::record_key;
use crate::write::source::{FileSource, HeldRange};
use crate::write::spool::RecordSet;

/// The treatment of old rows.
pub struct Rules<'a> {
    pub action: &'a dyn Fn(&Key) -> RowAction,
    /// The records with rows that may change; none means any.
    pub records: Option<Vec<&'a RecordSet>>,
}

impl Rules<'_> {
    /// Whether rows of these records may change.
    fn concern(&self, bounds: Option<&KeyBounds>) -> bool {
        let (Some(records), Some(KeyBounds { first, last, .. })) = (&self.records, bounds) else { return true };
        records.iter().any(|records| records.touches(first, last))
    }

    /// The records within these bounds with rows that may change, ascending; none means all.
    fn within(&self, bounds: Option<&KeyBounds>) -> Option<Vec<&Key>> {
        let (records, KeyBounds { first, last, .. }) = self.records.as_ref().zip(bounds)?;
        let mut keys: Vec<&Key> = records.iter().flat_map(|records| records.within(first, last)).collect();
        keys.sort_unstable();
        keys.dedup();
        Some(keys)
    }
}

/// Where old bytes are checked before they are written anew.
#[derive(Clone, Copy)]
pub struct MergePlace<'a> {
    pub store: &'a Store,
    pub spool: &'a Path,
    pub runtime: &'a Handle,
}

/// A live file on its way through a merge.
pub struct Merge<'a> {
    place: MergePlace<'a>,
    file: &'a DataFile,
    layout: &'a Layout,
    converter: RowConverter,
    groups: RowGroups,
    /// Whether row groups may go over as bytes; unknown until something is written.
    copyable: Option<bool>,
    /// The key up to which old rows were found equal.
    equal_to: Option<Vec<u8>>,
    changes: RowChanges,
}

impl<'a> Merge<'a> {
    /// Opens a file.
    pub fn open(place: MergePlace<'a>, file: &'a DataFile, source: FileSource, layout: &'a Layout) -> Result<Self> {
        let groups = RowGroups::open(source, file, layout.key[0])?;
        let converter = layout.key_converter();
        Ok(Self {
            place,
            file,
            layout,
            converter,
            groups,
            copyable: None,
            equal_to: None,
            changes: RowChanges::default(),
        })
    }

    /// Merges the file with the new rows into `output`, which is begun where a row differs and none is open.
    pub fn merge(
        &mut self,
        incoming: &mut Incoming<'_>,
        rules: &Rules<'_>,
        output: &mut Begun<'_, '_>,
        met: &mut Met<'_>,
    ) -> Result<RowChanges> {
        if output.is_open() {
            self.begin_writing(0, output)?;
        }
        let most = output.target.form.sizes.row_group_bytes;
        let concerned: Vec<bool> =
            (0..self.groups.count()).map(|group| rules.concern(self.groups.key_bounds(group).as_ref())).collect();
        for group in 0..self.groups.count() {
            let bounds = self.groups.key_bounds(group);
            if !concerned[group] {
                let first = bounds.expect("a row group without bounds is of concern").first;
                self.write_new(incoming, |record| *record < first, group, output, met)?;
                self.keep(group, output)?;
                continue;
            }
            let differs = !self.is_worth_comparing(group, output) || {
                let held = self.groups.hold_ahead(group, |next| concerned[next], most)?;
                self.differs((group, &held), bounds.as_ref(), incoming, rules)?
            };
            if differs {
                self.begin_writing(group, output)?;
                self.merge_group(group, incoming, rules, output, met)?;
            } else {
                self.keep(group, output)?;
            }
        }
        self.write_new(incoming, |_| true, self.groups.count(), output, met)?;
        Ok(self.changes)
    }

    /// Writes the whole file to an output that is open.
    pub fn append(&mut self, output: &mut Begun<'_, '_>) -> Result<()> {
        self.begin_writing(0, output)?;
        (0..self.groups.count()).try_for_each(|group| self.keep(group, output))
    }

    /// Whether comparing a row group can save writing it: nothing is written yet, or an equal group is copied as bytes.
    fn is_worth_comparing(&self, group: usize, output: &Begun<'_, '_>) -> bool {
        let (rows, bytes) = (self.groups.rows(group), self.groups.bytes(group));
        !output.is_open() || (self.copyable == Some(true) && !output.target.form.sizes.is_small(rows, bytes))
    }

    /// Opens the output, and writes the row groups before this one.
    fn begin_writing(&mut self, group: usize, output: &mut Begun<'_, '_>) -> Result<()> {
        if self.copyable.is_some() {
            return Ok(());
        }
        let MergePlace { store, spool, runtime } = self.place;
        self.groups.check(|source| source.checked(store, self.file, spool, runtime))?;
        self.copyable = Some(self.groups.are_copyable(output.target.form));
        output.open();
        (0..group).try_for_each(|group| self.keep(group, output))
    }

    /// Writes a row group as it is, where writing has begun.
    fn keep(&mut self, group: usize, output: &mut Begun<'_, '_>) -> Result<()> {
        let Some(copyable) = self.copyable else { return Ok(()) };
        let held = self.groups.hold(group)?;
        let (output, target) = output.open();
        if copyable && output.copy(&self.groups, &held, group, target)? {
            return Ok(());
        }
        for batch in self.groups.all(&held, group)? {
            output.write_merged(&batch?, target)?;
        }
        output.end_large_group()
    }

    /// Whether rows of a row group differ from the new ones; up to there they are taken from `incoming`.
    fn differs(
        &mut self,
        (group, held): (usize, &HeldRange),
        bounds: Option<&KeyBounds>,
        incoming: &mut Incoming<'_>,
        rules: &Rules<'_>,
    ) -> Result<bool> {
        let wanted = rules.within(bounds);
        let mut compared = Compared::default();
        for (place, batch) in self.groups.some(held, group, self.layout.content, wanted.as_deref())?.enumerate() {
            let mut old = Side::new(batch?, self.layout, &self.converter);
            while !old.is_spent() {
                let order = order(&old, incoming.head(&self.converter)?.as_deref());
                let same = match order {
                    Ordering::Less => match (rules.action)(&self.record_key(&old)) {
                        RowAction::Stays => true,
                        RowAction::Marked(_) => self.layout.is_marked(&old.batch, old.at),
                        RowAction::Goes | RowAction::Replaced => false,
                    },
                    Ordering::Equal => compared.are_equal(self.layout, (&old, place), incoming)?,
                    Ordering::Greater => false,
                };
                if !same {
                    if let Some(before) = old.at.checked_sub(1) {
                        self.equal_to = Some(old.key(before).to_vec());
                    }
                    return Ok(true);
                }
                old.at += 1;
                if let (Ordering::Equal, Some(new)) = (order, incoming.head(&self.converter)?) {
                    new.at += 1;
                }
            }
            self.equal_to = Some(old.key(old.batch.num_rows() - 1).to_vec());
        }
        // A new record may belong between old ones that were not looked at.
        let next = incoming.record_key(&self.converter)?;
        Ok(next.is_some_and(|next| bounds.is_none_or(|bounds| next < bounds.last)))
    }

    /// Merges a row group with the new rows that belong before its last row.
    fn merge_group(
        &mut self,
        group: usize,
        incoming: &mut Incoming<'_>,
        rules: &Rules<'_>,
        output: &mut Begun<'_, '_>,
        met: &mut Met<'_>,
    ) -> Result<()> {
        let held = self.groups.hold(group)?;
        let (output, target) = output.open();
        let mut picked = Picked::default();
        let mut compared = Compared::default();
        for (place, batch) in self.groups.all(&held, group)?.enumerate() {
            let mut old = Side::new(batch?, self.layout, &self.converter);
            while !old.is_spent() {
                let new = incoming.head(&self.converter)?;
                match order(&old, new.as_deref()) {
                    Ordering::Less => {
                        let equal = self.equal_to.as_deref().is_some_and(|equal| old.key(old.at) <= equal);
                        match if equal { RowAction::Stays } else { (rules.action)(&self.record_key(&old)) } {
                            RowAction::Stays => picked.take_old(old.at),
                            RowAction::Marked(_) if self.layout.is_marked(&old.batch, old.at) => {
                                picked.take_old(old.at)
                            }
                            RowAction::Marked(at) => {
                                self.changes.removed += 1;
                                met.take(&old.batch, old.at);
                                picked.take_marked(old.at, at);
                            }
                            action @ (RowAction::Goes | RowAction::Replaced) => {
                                self.changes.removed += 1;
                                met.lost.rows += u64::from(action == RowAction::Replaced);
                                met.take(&old.batch, old.at);
                            }
                        }
                        old.at += 1;
                    }
                    Ordering::Greater => {
                        let new = new.expect("it is the lesser");
                        self.changes.added += 1;
                        met.take(&new.batch, new.at);
                        picked.take_new(new.at);
                        new.at += 1;
                    }
                    Ordering::Equal => {
                        let equal = compared.are_equal(self.layout, (&old, place), incoming)?;
                        let new = incoming.head(&self.converter)?.expect("both are there");
                        if equal {
                            picked.take_old(old.at);
                        } else {
                            self.changes.changed += 1;
                            let columns = self.layout.content - 1;
                            met.take_changed(columns, (&old.batch, old.at), (&new.batch, new.at));
                            picked.take_new(new.at);
                        }
                        old.at += 1;
                        new.at += 1;
                    }
                }
                if old.is_spent() || incoming.in_hand().is_some_and(Side::is_spent) {
                    picked.write(&old.batch, incoming.in_hand().map(|side| &side.batch), output, target)?;
                }
            }
        }
        output.end_large_group()
    }

    /// Writes new rows that the bound admits, behind the row groups before this one.
    fn write_new(
        &mut self,
        incoming: &mut Incoming<'_>,
        admits: impl Fn(&Key) -> bool,
        group: usize,
        output: &mut Begun<'_, '_>,
        met: &mut Met<'_>,
    ) -> Result<()> {
        while let Some(rows) = incoming.take(&self.converter, &admits)? {
            self.begin_writing(group, output)?;
            self.changes.added += u64::try_from(rows.num_rows()).expect("a length fits");
            met.take_all(&rows);
            let (output, target) = output.open();
            output.write_merged(&rows, target)?;
        }
        Ok(())
    }

    fn record_key(&self, side: &Side) -> Key {
        record_key(&side.batch, self.layout.key[0], side.at)
    }
}

/// The order of the current old row and the new one.
fn order(old: &Side, new: Option<&Side>) -> Ordering {
    new.map_or(Ordering::Less, |new| old.key(old.at).cmp(new.key(new.at)))
}
