//! An account that never rests: before a request is served, changes by chance, reproducible from a seed.
//!
//! They fall between any two requests: between two pages of a search, and between OPTIONS and the GET of what it listed.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::fixture::RecordEvent;
use crate::kinds::{self, Cell, Kind, movement};
use crate::resource::ResourceId;
use crate::seed::Dice;

/// How the account changes while it is read.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stir {
    pub seed: u64,
    /// So many requests of a hundred find the account changed.
    pub percent: u64,
    /// What is changed; none means every kind that bears a verb.
    pub kinds: Vec<Kind>,
    /// Fixtures that change, too, by name.
    pub fixtures: Vec<String>,
    /// What happens, each as often as it stands here; none means [`Verb::USUAL`].
    pub verbs: Vec<Verb>,
}

/// Something that happens to the account.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// One to three new records, created now.
    Insert,
    /// Other content, dated now.
    Edit,
    /// What was edited last is edited once more, often within the same second.
    EditAgain,
    /// A new payment; the order that it names changes without a date.
    Pay,
    /// Goods that came in, as a note or as a movement; the order that it names changes without a date, and so does the
    /// goods-in note that a movement names.
    Receive,
    /// Other content and no date: nothing but a whole read finds it.
    Touch,
    /// Gone without a trace.
    Delete,
    /// The clock goes on by half a second to two hours.
    Age,
    /// The clock goes back by up to ten minutes.
    StepBack,
}

impl Verb {
    /// What the nightly run and a comparison of ids find between them.
    pub const USUAL: [Self; 18] = [
        Self::Insert,
        Self::Insert,
        Self::Insert,
        Self::Edit,
        Self::Edit,
        Self::Edit,
        Self::Edit,
        Self::EditAgain,
        Self::EditAgain,
        Self::Pay,
        Self::Pay,
        Self::Receive,
        Self::Receive,
        Self::Delete,
        Self::Delete,
        Self::Age,
        Self::Age,
        Self::StepBack,
    ];

    /// Kinds to which this happens at the source: a payment is never edited, a posting neither; what was paid, received or
    /// moved and is deleted leaves nothing by which to tell.
    fn happens_to(self) -> &'static [Kind] {
        use Kind::{
            Brand, Contact, GoodsInNote, GoodsMovement, GoodsOutNote, Journal, Order, PriceList, Product,
            SupplierPayment,
        };
        match self {
            Self::Insert => {
                &[Order, Product, Contact, GoodsOutNote, Journal, SupplierPayment, Brand, GoodsInNote, GoodsMovement]
            }
            Self::Edit | Self::EditAgain => &[Order, Order, Product, Contact, GoodsOutNote, PriceList, GoodsMovement],
            Self::Touch => &[Order, Product, Contact],
            Self::Delete => &[Order, Product, Contact, GoodsOutNote, Journal, Brand],
            Self::Pay => &[Kind::CustomerPayment],
            Self::Receive => &[GoodsInNote, GoodsMovement],
            Self::Age | Self::StepBack => &[],
        }
    }

    /// The event that it is to a fixture.
    pub(crate) fn event(self) -> Option<RecordEvent> {
        match self {
            Self::Insert => Some(RecordEvent::Insert),
            Self::Edit => Some(RecordEvent::Edit),
            Self::Touch => Some(RecordEvent::Touch),
            Self::Delete => Some(RecordEvent::Delete),
            Self::EditAgain | Self::Pay | Self::Receive | Self::Age | Self::StepBack => None,
        }
    }
}

/// How far it got.
#[derive(Debug, Default)]
pub struct Stirring {
    /// Requests seen.
    seen: i64,
    edited: Option<(ResourceId, i64)>,
}

impl Stirring {
    /// What happens before the next request: it is done to the account; the clock is the caller's to move.
    pub fn next(&mut self, stir: &Stir, account: &mut Account, now: i64) -> Vec<(String, SignedDuration)> {
        self.seen += 1;
        let mut dice = Dice::new(stir.seed, self.seen, 0x571);
        let mut done = Vec::new();
        // One change, seldom two or three at once.
        while done.len() < 3 && dice.percent(if done.is_empty() { stir.percent } else { 25 }) {
            let usual = Verb::USUAL.each_ref();
            let given: Vec<&Verb> = stir.verbs.iter().collect();
            let verb = *dice.pick(if given.is_empty() { &usual } else { &given });
            done.extend(self.happen(verb, stir, account, now, &mut dice));
        }
        done
    }

    /// Lets it happen; `None` where there is nothing for it to happen to.
    fn happen(
        &mut self,
        verb: Verb,
        stir: &Stir,
        account: &mut Account,
        now: i64,
        dice: &mut Dice,
    ) -> Option<(String, SignedDuration)> {
        let kinds = verb.happens_to().iter().filter(|kind| stir.kinds.is_empty() || stir.kinds.contains(kind));
        let fixtures = verb.event().map(|event| account.fixtures.with(event, &stir.fixtures)).unwrap_or_default();
        let all: Vec<ResourceId> = kinds.map(|kind| ResourceId::Kind(*kind)).chain(fixtures).collect();
        let all: Vec<&ResourceId> = all.iter().collect();
        let mut moved = SignedDuration::ZERO;
        let to = match verb {
            Verb::Age => {
                let longest = *dice.pick(&[&1_000, &1_000, &3_000, &90_000, &1_200_000, &7_200_000]);
                moved = SignedDuration::from_millis(longest / 2 + below(dice, longest / 2));
                None
            }
            Verb::StepBack => {
                moved = SignedDuration::from_secs(-1 - below(dice, 600));
                None
            }
            Verb::Insert => {
                let resource = *some(dice, &all)?;
                let new = account.insert(resource, 1 + dice.below(3), now);
                Some((resource, new.first().copied()?))
            }
            Verb::Pay | Verb::Receive => {
                let resource = *some(dice, &all)?;
                let new = account.insert(resource, 1, now).first().copied()?;
                if let ResourceId::Kind(kind) = resource {
                    account.touch(Kind::Order, order_of(account, kind, new).as_slice());
                    if kind == Kind::GoodsMovement {
                        account.touch(Kind::GoodsInNote, movement::received_by(&account.world, new).as_slice());
                    }
                }
                Some((resource, new))
            }
            Verb::EditAgain => {
                let (resource, id) = self.edited.filter(|(resource, id)| account.exists(*resource, *id))?;
                account.edit(resource, &[id], now);
                Some((resource, id))
            }
            Verb::Edit | Verb::Touch | Verb::Delete => {
                let resource = *some(dice, &all)?;
                let event = verb.event()?;
                let ids: Vec<i64> = account.ids(resource).filter(|id| account.allows(event, resource, *id)).collect();
                let id = *some(dice, &ids.iter().collect::<Vec<_>>())?;
                match verb {
                    Verb::Edit => {
                        account.edit(resource, &[id], now);
                        self.edited = Some((resource, id));
                    }
                    Verb::Touch => account.touch(resource, &[id]),
                    _ => account.delete(resource, &[id]),
                }
                Some((resource, id))
            }
        };
        let text = match to {
            Some((ResourceId::Kind(kind), id)) => format!("{verb:?} {kind:?} {id}"),
            Some((ResourceId::Fixture(place), id)) => format!("{verb:?} {} {id}", account.fixture(place).name),
            None => format!("{verb:?} {moved:#}"),
        };
        Some((text, moved))
    }
}

fn some<'a, T>(dice: &mut Dice, of: &[&'a T]) -> Option<&'a T> {
    (!of.is_empty()).then(|| dice.pick(of))
}

fn below(dice: &mut Dice, end: i64) -> i64 {
    dice.below(end.max(1).unsigned_abs()).cast_signed()
}

/// The order that a record names, where it names one.
fn order_of(account: &Account, kind: Kind, id: i64) -> Option<i64> {
    let (columns, _) = kinds::search(kind)?;
    let place = columns.iter().position(|column| matches!(column.name, "orderId" | "purchaseOrderId"))?;
    let row = kinds::rows(kind, &account.world, &account.record(kind, id)).into_iter().next()?;
    match row.get(place) {
        Some(Cell::Int(order)) if *order > 0 => Some(*order),
        _ => None,
    }
}
