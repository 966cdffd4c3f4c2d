//! The business of the account: the effects of one record on another.
//!
//! Every value here follows from the seed and the numbers of the records, with a small overlay of the changes since the
//! account began to serve. Documents and search rows only place these values. The rules, each of which
//! `tests/it/business.rs` states as SQL:
//! 1. *Totals equal lines*: net, tax and total of an order are the sums of its lines, to the cent, also after an edit.
//! 2. *Statuses fit*: a status is of its order's type; closed orders alone are invoiced.
//! 3. *Invoices match journals*: each invoice has one journal, of its type, reference, date, contact, currency and
//!    amounts.
//! 4. *Journals balance*, in their own currency and in the account's.
//! 5. *Payments match payment states*: the sum of an order's payments, against its total, is its state; posted payments
//!    have a journal of their amount.
//! 6. *Notes match movements*: the quantities of a shipped goods-out note or a goods-in note are those of its
//!    movements.
//! 7. *Shipping and stock states match movements*, of sales and of purchases of goods.
//! 8. *Stock equals movements*: of each product in each warehouse; allocated quantities are on notes that are not
//!    shipped.
//! 9. *Dates are in order*: placed, created, shipped, closed; a journal and a payment after their order.
//! 10. *Credits credit*: a credit is for an order of its other party, in its currency, of products that were in it.
//!
//! A size that is given explicitly suspends a rule only where it leaves out records that the rule needs: fewer journals
//! rule 3 and the posting in 5, fewer movements rules 6 and 7, fewer notes 6. More supplier payments than orders have
//! suspend rule 5 for purchases. An order or product that is deleted takes nothing with it, and a journal or note that
//! is deleted is missed by its order, as at the source.
//!
//! Not covered: stock transfers between warehouses, the stock states of credits, and costs of sales in journals.

mod layout;
mod status;
mod ledger;
mod trade;
mod order;
mod payment;
mod journal;
mod goods;
mod direct;
mod stock;
mod events;
mod completion;

pub use completion::{CompletionRule, Fact, Facts};
pub use events::{Following, Records};
pub use layout::{Part, is_gap, used};
pub use trade::{MOST_AFTER, Trade};
