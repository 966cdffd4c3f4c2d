//! Orders: terms, lines and totals, and the states that follow from payments, shipments and receipts.
//!
//! Guesses: quantities and values of credits are positive, as in the documentation's examples, but for
//! `negative_credits`; an order keeps its date of closing.

use super::layout::{OrderType, Part, lines as line_counts};
use super::status::{self, Stage};
use super::trade::{DAY, Trade};

/// An order of this age is closed or cancelled, except for one in a hundred.
const CLOSED_AFTER: i64 = 30 * DAY;
/// Nothing that began so shortly before the start is finished.
const FRESH: i64 = 3 * 3600;
/// Channels by their share: the account's own shop, marketplaces, telephone, a store, wholesale, two shops abroad.
const CHANNELS: [i64; 20] = [1, 1, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 4, 5, 5, 6, 6, 7, 7, 8];
/// Channels of customers that pay in euros.
const ABROAD: [i64; 2] = [7, 8];
const NAMES: [&str; 5] =
    ["Cotton Shirt", "Crème brûlée torch", "靴下 (3 足)", "Mug \"Best Dad\" 🎁", "Tea towel\n(set of 2)"];
const SERVICES: [&str; 3] = ["Packaging", "Freight – Łódź", "Photo \"studio\""];
/// Nominal codes of lines: goods, carriage.
pub const SALES: &str = "0060";
pub const CARRIAGE: &str = "0070";
/// Places of lines that edits add and take away, behind those that stay.
const EDITED_FROM: i64 = 5;
const EDITED: i64 = 11;

/// A tax code: its id, code and rate in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tax {
    pub id: i64,
    pub code: &'static str,
    pub rate: i64,
}

pub const TAXES: [Tax; 3] =
    [Tax { id: 1, code: "T0", rate: 0 }, Tax { id: 2, code: "T20", rate: 2_000 }, Tax { id: 3, code: "T5", rate: 500 }];

/// Terms that are settled for an order when it is created.
/// More than twelve fields: facts of one order that are drawn together.
#[derive(Clone, Debug)]
pub struct Terms {
    pub id: i64,
    pub number: i64,
    pub order_type: OrderType,
    pub stage: Stage,
    pub created: i64,
    pub contact: i64,
    /// 0 is none.
    pub channel: i64,
    pub warehouse: i64,
    pub currency: &'static str,
    pub currency_id: i64,
    /// Millionths: so much of the order's currency is one of the account's.
    pub rate: i64,
    pub price_list: i64,
    /// `INC` or `EXC`.
    pub price_mode: &'static str,
    /// The order that a credit is for.
    pub parent: Option<i64>,
}

/// A line, in the order's currency.
#[derive(Clone, Debug)]
pub struct Line {
    pub id: i64,
    pub place: i64,
    pub product: Option<i64>,
    pub name: &'static str,
    pub quantity: i64,
    /// Ten-thousandths; the cost is in the account's currency.
    pub price: i64,
    pub cost: i64,
    /// Hundredths of a percent.
    pub discount: i64,
    /// Cents.
    pub net: i64,
    pub tax: i64,
    pub taxed: Tax,
    pub nominal: &'static str,
}

/// Cents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub net: i64,
    pub tax: i64,
    pub base_net: i64,
    pub base_tax: i64,
}

/// The states that others' records give an order.
#[derive(Clone, Copy, Debug)]
pub struct States {
    pub status: i64,
    /// Not applicable, unpaid, partially paid, paid.
    pub paid: usize,
    /// None, a part, all.
    pub stock: usize,
    /// Not required, not allocated, in part, all.
    pub allocation: usize,
    /// No goods, not shipped, in part, all.
    pub shipping: usize,
}

/// A quotient rounded to the nearest, halves away from zero.
pub fn round(value: i64, by: i64) -> i64 {
    (value.abs() + by / 2) / by * value.signum()
}

/// The line with its net and tax: rounded to cents, so that totals are the sums of the shown lines.
fn valued(line: Line) -> Line {
    let net = round(line.quantity * line.price * (10_000 - line.discount), 1_000_000);
    Line { net, tax: round(net * line.taxed.rate, 10_000), ..line }
}

impl Totals {
    pub fn total(&self) -> i64 {
        self.net + self.tax
    }

    pub fn base_total(&self) -> i64 {
        self.base_net + self.base_tax
    }
}

impl Terms {
    pub fn is_invoiced(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// When the order was closed, whether invoiced or cancelled.
    pub fn closed(&self, trade: &Trade) -> Option<i64> {
        let is_closed = matches!(self.stage, Stage::Closed | Stage::Cancelled);
        is_closed.then(|| (self.created + 3_600).min(trade.quiet().max(self.created)))
    }

    /// The reference of its invoice.
    pub fn invoice(&self) -> Option<String> {
        let code = ["SI", "PI", "SC", "PC"][self.order_type.place()];
        self.is_invoiced().then(|| format!("{code}-{}", self.id))
    }

    /// An amount of cents in the account's currency.
    pub fn base(&self, cents: i64) -> i64 {
        round(cents * 1_000_000, self.rate)
    }
}

impl Trade {
    /// The terms of an order by its id; `created` is needed of one that was added.
    pub fn terms(&self, id: i64, created: i64) -> Terms {
        let ids = self.ids(Part::Order);
        let number = ids.number(id);
        if id <= ids.greatest {
            return self.made_terms(number);
        }
        let stage = if self.chance(id, 0x20, 4) == 0 { Stage::Draft } else { Stage::Open };
        self.with_stage(id, number, created, stage)
    }

    /// The terms of an order that was made from the seed, by its number.
    pub fn made_terms(&self, number: i64) -> Terms {
        let id = self.ids(Part::Order).id(number);
        let created = self.order_created(id);
        self.with_stage(id, number, created, self.stage(id, number, created))
    }

    fn stage(&self, id: i64, number: i64, created: i64) -> Stage {
        let order_type = OrderType::of(number);
        if order_type.is_credit() {
            let parent = self.parent(number);
            let parent_id = self.ids(Part::Order).id(parent);
            let stage = self.stage(parent_id, parent, self.order_created(parent_id));
            if stage != Stage::Closed {
                return stage;
            }
        }
        if created > self.quiet() - FRESH {
            return Stage::Open;
        }
        let old = created < self.start - CLOSED_AFTER && self.chance(id, 0x21, 100) < 99;
        match (order_type, self.chance(id, 0x22, 100)) {
            (OrderType::Sale | OrderType::Purchase, 0..6) => Stage::Cancelled,
            _ if old => Stage::Closed,
            (_, 6..50) => Stage::Closed,
            (OrderType::Sale, 50..62) => Stage::Draft,
            _ => Stage::Open,
        }
    }

    /// The order that a credit is for: the sale before it, or the purchase that supplies it.
    fn parent(&self, number: i64) -> i64 {
        match OrderType::of(number) {
            OrderType::SaleCredit => number - 1,
            _ => Self::supplier_of(number),
        }
    }

    fn with_stage(&self, id: i64, number: i64, created: i64, stage: Stage) -> Terms {
        let order_type = OrderType::of(number);
        if order_type.is_credit() {
            let parent = self.made_terms(self.parent(number));
            return Terms { id, number, order_type, stage, created, parent: Some(parent.id), ..parent };
        }
        let mut dice = self.dice(id, 0x23);
        let contacts = self.contacts.max(1);
        let anyone = dice.below(contacts.unsigned_abs()).cast_signed();
        // Some customers come again and again.
        let contact = if dice.percent(40) { anyone * anyone / contacts * anyone / contacts } else { anyone };
        let is_sale = order_type == OrderType::Sale;
        let channel = if is_sale { *dice.pick(&CHANNELS.each_ref()) } else { 0 };
        let (currency, currency_id) = match (is_sale, dice.below(10)) {
            (true, _) if ABROAD.contains(&channel) => ("EUR", 2),
            (true, 0..3) if channel == 2 => ("USD", 3),
            (false, 6..8) => ("EUR", 2),
            (false, 8..) => ("USD", 3),
            _ => ("GBP", 1),
        };
        let price_list = match (is_sale, currency_id) {
            (false, _) => 1,
            (true, 2) => 8,
            (true, 3) => 5,
            (true, _) if channel == 6 => 7,
            (true, _) => 2,
        };
        Terms {
            id,
            number,
            order_type,
            stage,
            created,
            contact: contact + 1,
            channel,
            warehouse: self.warehouse(number),
            currency,
            currency_id,
            rate: self.rate(currency_id, created),
            price_list,
            price_mode: if price_list % 2 == 0 { "INC" } else { "EXC" },
            parent: None,
        }
    }

    /// So much of a currency is one of the account's that day, in millionths.
    fn rate(&self, currency: i64, at: i64) -> i64 {
        let usual = match currency {
            2 => 1_166_667,
            3 => 1_275_002,
            _ => return 1_000_000,
        };
        usual + usual * (self.chance(at / DAY, currency.unsigned_abs(), 801) - 400) / 10_000
    }

    /// The lines of an order at a revision: those of the beginning stay, each edit takes away the line that the one
    /// before it added, and adds another. It is worth nothing where the order is closed, or a credit.
    pub fn lines(&self, terms: &Terms, revision: u32) -> Vec<Line> {
        let (count, goods) = line_counts(terms.number);
        let mut lines: Vec<Line> =
            (0..count).map(|place| self.line(terms, i64::try_from(place).expect("a few"), place < goods)).collect();
        if revision > 0 {
            let place = EDITED_FROM + (i64::from(revision) - 1) % EDITED;
            let is_open = matches!(terms.stage, Stage::Draft | Stage::Open);
            let is_worth = is_open && !terms.order_type.is_credit();
            let price = if is_worth { 10_000 + self.chance(terms.id * 16 + place, 0x30, 190_000) } else { 0 };
            let line = Line { name: "Gift wrap 🎁", price, ..self.line(terms, place, false) };
            lines.push(valued(Line { quantity: 1, discount: 0, cost: price / 3, ..line }));
        }
        lines
    }

    fn line(&self, terms: &Terms, place: i64, is_goods: bool) -> Line {
        let id = terms.id * 16 + place;
        let mut dice = self.dice(id, 0x31);
        let mut roll = |end: i64| dice.below(end.unsigned_abs()).cast_signed();
        let purchase = Self::supplier_of(terms.number);
        let mut line = Line {
            id,
            place,
            product: None,
            name: "Carriage",
            quantity: 1,
            price: 49_500,
            cost: 31_000,
            discount: 0,
            net: 0,
            tax: 0,
            taxed: TAXES[1],
            nominal: CARRIAGE,
        };
        match terms.order_type {
            OrderType::Sale if is_goods => {
                let product = self.bought(purchase, self.supplied_by(terms.id, place));
                let (price, cost) = self.price(product);
                line.product = Some(product);
                line.quantity = self.sold(id);
                line.price = price * (950 + roll(101)) / 1_000;
                line.cost = cost;
                line.discount = if roll(5) == 0 { 1_250 } else { 0 };
            }
            OrderType::Purchase if is_goods => {
                let product = self.bought(purchase, place);
                line.product = Some(product);
                line.cost = self.price(product).1;
                line.price = line.cost;
                // More was ordered than came in, until it is closed.
                line.quantity =
                    self.bought_pieces(purchase, place) + if terms.stage == Stage::Open { 20 + roll(80) } else { 0 };
            }
            OrderType::Purchase => {
                line.name = SERVICES[usize::try_from(roll(3)).expect("it is small")];
                line.quantity = 1 + roll(6);
                line.price = 100_000 + roll(3_000_000);
                line.cost = line.price;
            }
            OrderType::SaleCredit | OrderType::PurchaseCredit if is_goods => {
                let parent = self.made_terms(self.parent(terms.number));
                let origin = self.line(&parent, place, true);
                let most = if terms.order_type == OrderType::SaleCredit { origin.quantity } else { 10 };
                let quantity = 1 + roll(most);
                return valued(Line { id, quantity, ..origin });
            }
            OrderType::Sale | OrderType::SaleCredit | OrderType::PurchaseCredit => {}
        }
        line.price = round(line.price * terms.rate, 1_000_000);
        if let Some(product) = line.product {
            line.name = NAMES[usize::try_from(product % 5).expect("it is small")];
            line.nominal = SALES;
            line.taxed = TAXES[[1, 1, 1, 1, 1, 1, 1, 0, 0, 2][usize::try_from(product % 10).expect("it is small")]];
        }
        if terms.currency == "USD" {
            line.taxed = TAXES[0];
        }
        valued(line)
    }

    /// The totals of lines.
    pub fn totals(&self, terms: &Terms, lines: &[Line]) -> Totals {
        let (net, tax) = lines.iter().fold((0, 0), |(net, tax), line| (net + line.net, tax + line.tax));
        Totals { net, tax, base_net: terms.base(net), base_tax: terms.base(tax) }
    }

    /// The states of an order; a silent change moves the stock of a sale that is not closed.
    pub fn states(&self, terms: &Terms, totals: &Totals, revision: u32, touches: u32) -> States {
        let is_sale = terms.order_type == OrderType::Sale;
        let goods = self.goods(terms);
        let chance = self.chance(terms.id, 0x40 + u64::from(revision), 60).unsigned_abs();
        let is_live = matches!(terms.stage, Stage::Open | Stage::Closed);
        let paid = match self.paid(terms) {
            0 if !is_live => 0,
            ..=0 => 1,
            paid if paid < totals.total() => 2,
            _ => 3,
        };
        let moved = usize::try_from((self.chance(terms.id, 0x41, 3) + i64::from(touches)) % 3).expect("it is small");
        let (stock, allocation) = match (terms.order_type, terms.stage) {
            (OrderType::Sale, Stage::Closed) => (2, 3),
            (OrderType::Sale, Stage::Cancelled) => (0, 0),
            (OrderType::Sale, Stage::Draft | Stage::Open) => (moved, moved + 1),
            (OrderType::Purchase, _) => (self.received(terms, &goods), 0),
            // The goods of a credit are not booked in.
            (_, Stage::Closed) => (usize::try_from(self.chance(terms.id, 0x42, 3)).expect("it is small"), 0),
            _ => (0, 0),
        };
        let shipped = self.shipped(terms, &goods);
        let wanted: i64 = if is_sale { goods.iter().map(|line| line.quantity).sum() } else { 0 };
        let shipping = match shipped {
            _ if !is_sale || (!is_live && shipped == 0) => 0,
            ..=0 => 1,
            shipped if shipped < wanted => 2,
            _ => 3,
        };
        // Purchases state the received share; services, that there was nothing to receive.
        let chance = match (terms.order_type, terms.stage) {
            (OrderType::Purchase, Stage::Open) => u64::from(stock > 0),
            (OrderType::Purchase, Stage::Closed) => u64::from(stock == 0),
            _ => chance,
        };
        let status = status::choose(terms.order_type, terms.stage, chance);
        States { status, paid, stock, allocation, shipping }
    }

    /// The lines of goods of an order.
    pub fn goods(&self, terms: &Terms) -> Vec<Line> {
        let (_, goods) = line_counts(terms.number);
        (0..goods).map(|place| self.line(terms, i64::try_from(place).expect("a few"), true)).collect()
    }

    /// How many lines of a sale had left when the account began to serve: all, the first, or none.
    pub fn left(&self, terms: &Terms) -> usize {
        let (_, goods) = line_counts(terms.number);
        let is_made = terms.id <= self.ids(Part::Order).greatest;
        match terms.stage {
            Stage::Closed => goods,
            Stage::Open if is_made && goods > 1 && self.leaves_in_part(terms) => 1,
            Stage::Open | Stage::Draft | Stage::Cancelled => 0,
        }
    }

    fn leaves_in_part(&self, terms: &Terms) -> bool {
        terms.created < self.quiet() - FRESH && self.chance(terms.id, 0x43, 4) == 0
    }

    /// Pieces that left for a sale.
    fn shipped(&self, terms: &Terms, goods: &[Line]) -> i64 {
        let since = self.ledger.shipped.get(&terms.id).copied().unwrap_or_default();
        goods.iter().take(self.left(terms)).map(|line| line.quantity).sum::<i64>() + since
    }

    /// Whether none, a part or all of a purchase came in.
    fn received(&self, terms: &Terms, goods: &[Line]) -> usize {
        let is_made = terms.id <= self.ids(Part::Order).greatest;
        let since = self.ledger.received.get(&terms.id).copied().unwrap_or_default();
        let (mut there, mut wanted) = (since, 0);
        for line in goods {
            wanted += line.quantity;
            let comes = is_made && matches!(terms.stage, Stage::Open | Stage::Closed);
            there += if comes { self.bought_pieces(terms.number, line.place) } else { 0 };
        }
        match there {
            _ if wanted == 0 => 0,
            ..=0 => 0,
            there if there < wanted => 1,
            _ => 2,
        }
    }

    /// Cents paid for an order: by its customer, or to its supplier; for a credit, the refund.
    pub(super) fn paid(&self, terms: &Terms) -> i64 {
        let mut paid = self.ledger.paid.get(&terms.id).copied().unwrap_or_default();
        if terms.id <= self.ids(Part::Order).greatest {
            let mut total = None;
            for part in [Part::CustomerPayment, Part::SupplierPayment] {
                for place in 0..part.owned(terms.number) {
                    let is_there = self.ids(part).made(part.number(terms.number, place)).is_some();
                    let total = *total.get_or_insert_with(|| self.totals(terms, &self.lines(terms, 0)).total());
                    paid += if is_there { self.payment_of(part, terms, total, place).paid } else { 0 };
                }
            }
        }
        if terms.order_type.is_credit() { -paid } else { paid }
    }
}
