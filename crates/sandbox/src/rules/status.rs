//! Order statuses: each belongs to one order type and one stage.

use super::layout::OrderType;

/// How far an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Draft,
    Open,
    /// Invoiced, shipped or received.
    Closed,
    Cancelled,
}

/// Statuses as the account lists them, from id 1 on: of five in turn two are of sales, then one of each other type.
pub const COUNT: i64 = 30;
const TURN: [OrderType; 5] =
    [OrderType::Sale, OrderType::Sale, OrderType::Purchase, OrderType::SaleCredit, OrderType::PurchaseCredit];

const SALE: [(&str, Stage); 12] = [
    ("Draft / Quote", Stage::Draft),
    ("New order", Stage::Open),
    ("Invoiced", Stage::Closed),
    ("Cancelled", Stage::Cancelled),
    ("On hold", Stage::Open),
    ("Ready to ship", Stage::Open),
    ("Back order", Stage::Open),
    ("Rückfrage – Zahlung", Stage::Open),
    ("VIP \"rush\" ⚡", Stage::Open),
    ("Fulfilled", Stage::Closed),
    ("Quote sent", Stage::Draft),
    ("Lost quote", Stage::Cancelled),
];
const PURCHASE: [(&str, Stage); 6] = [
    ("Purchase draft", Stage::Draft),
    ("Placed with supplier", Stage::Open),
    ("Goods and invoice received", Stage::Closed),
    ("Purchase cancelled", Stage::Cancelled),
    ("Part received", Stage::Open),
    ("Invoice received", Stage::Closed),
];
const CREDIT: [(&str, Stage); 6] = [
    ("Credit draft", Stage::Draft),
    ("Return expected", Stage::Open),
    ("Credited", Stage::Closed),
    ("Credit cancelled", Stage::Cancelled),
    ("Return received", Stage::Open),
    ("Credited – goodwill", Stage::Closed),
];
const SUPPLIER_CREDIT: [(&str, Stage); 6] = [
    ("Supplier credit draft", Stage::Draft),
    ("Supplier credit asked for", Stage::Open),
    ("Supplier credited", Stage::Closed),
    ("Supplier credit cancelled", Stage::Cancelled),
    ("Returned to supplier", Stage::Open),
    ("Supplier credited in part", Stage::Closed),
];

fn of(order_type: OrderType) -> &'static [(&'static str, Stage)] {
    match order_type {
        OrderType::Sale => &SALE,
        OrderType::Purchase => &PURCHASE,
        OrderType::SaleCredit => &CREDIT,
        OrderType::PurchaseCredit => &SUPPLIER_CREDIT,
    }
}

/// A status by its id: the order type that it is for, and its name.
pub fn status(id: i64) -> Option<(OrderType, &'static str)> {
    let place = usize::try_from(id - 1).ok().filter(|_| id <= COUNT)?;
    let (round, turn) = (place / 5, place % 5);
    let nth = if turn < 2 { round * 2 + turn } else { round };
    Some((TURN[turn], of(TURN[turn])[nth].0))
}

/// The id of a type's status by its place in the list of the type.
fn id(order_type: OrderType, nth: usize) -> i64 {
    let turn = TURN.iter().position(|turn| *turn == order_type).expect("every type has its turn");
    let place = if turn < 2 { nth / 2 * 5 + nth % 2 } else { nth * 5 + turn };
    i64::try_from(place).expect("it is small") + 1
}

/// The id of a status of this type and stage, one of several by chance.
pub fn choose(order_type: OrderType, stage: Stage, chance: u64) -> i64 {
    let all = of(order_type);
    let fitting = || all.iter().enumerate().filter(|(_, (_, of_stage))| *of_stage == stage);
    let count = u64::try_from(fitting().count()).expect("a few");
    let nth = fitting().nth(usize::try_from(chance % count).expect("a few"));
    id(order_type, nth.expect("every type has a status of every stage").0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_status_of_every_stage_and_no_name_is_used_twice() {
        let mut names: Vec<&str> = (1..=COUNT).map(|id| status(id).unwrap().1).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 30);
        for order_type in TURN {
            for stage in [Stage::Draft, Stage::Open, Stage::Closed, Stage::Cancelled] {
                for chance in 0..4 {
                    let id = choose(order_type, stage, chance);
                    let (of_type, name) = status(id).unwrap();
                    assert!(of_type == order_type && of(order_type).contains(&(name, stage)), "{id}");
                }
            }
        }
    }
}
