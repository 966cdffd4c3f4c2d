//! Stock: the sum of all movements, by product and warehouse. It is summed once when the account begins to serve; later
//! changes are in the ledger.

use super::layout::{OrderType, Part};
use super::ledger::Movement;
use super::status::Stage;
use super::trade::{StockPieces, Trade, WAREHOUSES};

impl Trade {
    /// Sums the existing movements, and the quantities on goods-out notes that are not shipped.
    pub fn sum_stock(&mut self) {
        let greatest = self.products.last().copied().unwrap_or(1);
        let mut stock = vec![[StockPieces::default(); WAREHOUSES]; usize::try_from(greatest).expect("an id") + 1];
        let mut add = |product: i64, warehouse: i64, there: i64, held: i64| {
            let place = usize::try_from(warehouse - 1).expect("an id");
            let pieces = usize::try_from(product).ok().and_then(|product| stock.get_mut(product)?.get_mut(place));
            let pieces = pieces.expect("goods are of a known product, in a known warehouse");
            pieces.there += i32::try_from(there).expect("it is small");
            pieces.held += i32::try_from(held).expect("it is small");
        };
        let orders = self.ids(Part::Order).count;
        let movements = self.ids(Part::Movement).count;
        for order in 0..orders {
            let first = Part::Movement.number(order, 0);
            let owned = (Part::Movement.owned(order)).min(movements - first);
            if owned <= 0 && OrderType::of(order) != OrderType::Sale {
                continue;
            }
            let mut rest = 0;
            if OrderType::of(order) == OrderType::Sale {
                let terms = self.made_terms(order);
                let (goods, left) = (self.goods(&terms), self.left(&terms));
                rest = i64::try_from(left).expect("a few");
                let there = usize::try_from(owned).unwrap_or_default();
                for line in goods.iter().take(left.min(there)) {
                    add(line.product.unwrap_or_default(), terms.warehouse, -line.quantity, 0);
                }
                let note = self.ids(Part::GoodsOut).made(Part::GoodsOut.number(order, 0));
                if left == 0 && terms.stage == Stage::Open && note.is_some() {
                    for line in &goods {
                        add(line.product.unwrap_or_default(), terms.warehouse, 0, line.quantity);
                    }
                }
            }
            for place in rest..owned {
                let movement = self.movement(self.ids(Part::Movement).id(first + place));
                add(movement.product, movement.warehouse, movement.quantity, 0);
            }
        }
        for number in Part::Movement.count(orders)..movements {
            let movement = self.movement(self.ids(Part::Movement).id(number));
            add(movement.product, movement.warehouse, movement.quantity, 0);
        }
        self.stock = stock;
    }

    /// The stock of a product: each warehouse that has or had some of it.
    pub fn stock_of(&self, product: i64) -> Vec<(i64, StockPieces)> {
        let made =
            usize::try_from(product).ok().and_then(|product| self.stock.get(product)).copied().unwrap_or_default();
        let since = |sums: &std::collections::HashMap<(i64, i64), i64>, warehouse: i64| {
            sums.get(&(product, warehouse)).and_then(|sum| i32::try_from(*sum).ok()).unwrap_or_default()
        };
        let all = (1..).zip(made).map(|(warehouse, made)| {
            let there = made.there + since(&self.ledger.stock, warehouse);
            (warehouse, StockPieces { there, held: made.held + since(&self.ledger.held, warehouse) })
        });
        all.filter(|(_, pieces)| *pieces != StockPieces::default()).collect()
    }

    /// Counts a movement, or with -1 one that is deleted, in stock, order and note.
    pub fn count_movement(&mut self, movement: &Movement, sign: i64) {
        let quantity = movement.quantity * sign;
        *self.ledger.stock.entry((movement.product, movement.warehouse)).or_default() += quantity;
        match (movement.code, movement.order) {
            ("GO", Some(order)) => *self.ledger.shipped.entry(order).or_default() -= quantity,
            ("GI", order) => {
                if let Some(order) = order {
                    *self.ledger.received.entry(order).or_default() += quantity;
                }
                let of = |line: &super::ledger::Received| {
                    (line.row, line.product) == (movement.purchase_row, movement.product)
                };
                if let Some(place) = self.goods_in(movement.note).lines.iter().position(of) {
                    let place = i64::try_from(place).expect("a few");
                    *self.ledger.lines.entry((movement.note, place)).or_default() += quantity;
                }
            }
            _ => {}
        }
    }

    /// Holds the pieces of a goods-out note that is not shipped, or with -1 lets them go.
    pub fn hold(&mut self, note: i64, sign: i64) {
        let note = self.goods_out(note);
        for line in note.lines.iter().filter(|_| note.terms.is_some()) {
            let product = line.product.unwrap_or_default();
            *self.ledger.held.entry((product, note.warehouse)).or_default() += line.quantity * sign;
        }
    }
}
