//! Churn: random changes of the account before a request is served, reproducible from a seed.
//!
//! Changes occur between any two requests: between two pages of a search, and between OPTIONS and the GET of its ids.

use jiff::SignedDuration;

use crate::account::Account;
use crate::churn_settings::Churn;
use crate::resource::ResourceId;
use crate::seed::Dice;
use crate::verb::Verb;

/// How far it got.
#[derive(Debug, Default)]
pub struct ChurnState {
    /// Requests seen.
    seen: i64,
    edited: Option<(ResourceId, i64)>,
}

impl ChurnState {
    /// Makes the changes before the next request to the account; the clock is the caller's to move.
    pub fn next(&mut self, churn: &Churn, account: &mut Account, now: i64) -> Vec<(String, SignedDuration)> {
        self.seen += 1;
        let mut dice = Dice::new(churn.seed, self.seen, 0x571);
        let mut done = Vec::new();
        // One change, seldom two or three at once.
        while done.len() < 3 && dice.percent(if done.is_empty() { churn.percent } else { 25 }) {
            let usual = Verb::USUAL.each_ref();
            let given: Vec<&Verb> = churn.verbs.iter().collect();
            let verb = *dice.pick(if given.is_empty() { &usual } else { &given });
            done.extend(self.happen(verb, churn, account, now, &mut dice));
        }
        done
    }

    /// Lets it happen; `None` where there is nothing for it to happen to.
    fn happen(
        &mut self,
        verb: Verb,
        churn: &Churn,
        account: &mut Account,
        now: i64,
        dice: &mut Dice,
    ) -> Option<(String, SignedDuration)> {
        let all = changing(verb, churn, account);
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
                for (name, id) in account.fixture(resource).touches(&account.world, &account.record(resource, new)) {
                    if let Some(touched) = account.resource(name) {
                        account.touch(touched, &[id]);
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
            Some((resource, id)) => format!("{verb:?} {} {id}", account.fixture(resource).name),
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

/// The resources that a verb may happen to, each as often as its fixture has the verb.
fn changing(verb: Verb, churn: &Churn, account: &Account) -> Vec<ResourceId> {
    let mut all = Vec::new();
    for (resource, fixture) in account.fixtures.all() {
        let is_named = churn.resources.contains(&fixture.name);
        let times = if !is_named && !churn.resources.is_empty() {
            0
        } else if is_named && fixture.churn.is_empty() {
            usize::from(verb.event().is_some_and(|event| fixture.has(event)))
        } else {
            fixture.churn.iter().filter(|known| **known == verb).count()
        };
        all.extend(std::iter::repeat_n(resource, times));
    }
    all
}
