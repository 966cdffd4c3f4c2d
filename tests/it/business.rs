//! The simulated account is a business: its numbers add up, as SQL over the exported tables sees them (`rules` of the sandbox).

use std::path::Path;
use std::time::Duration;

use pearlift::sandbox::{Sandbox, SandboxSettings, Size, Verb};
use serde_json::Value;

use crate::support::{Program, check_truth, query, start, this_morning, truth};

/// Rules by name. Each selects the rows that break it; `MISSED` is a list of orders that lost a journal by deletion.
const RULES: [(&str, &str); 33] = [
    (
        "an order's totals are the sums of its lines",
        "SELECT o.id FROM orders o JOIN order_row r ON r.order_id = o.id GROUP BY o.id, o.net, o.tax_amount, o.total
         HAVING sum(r.row_net) <> o.net OR sum(r.row_tax) <> o.tax_amount OR o.net + o.tax_amount <> o.total",
    ),
    ("every order has lines", "SELECT id FROM orders WHERE id NOT IN (SELECT order_id FROM order_row)"),
    (
        "a line shows the code of its product",
        "SELECT r.id FROM order_row r LEFT JOIN product p ON p.id = r.product_id
         WHERE r.product_sku IS DISTINCT FROM p.sku AND (p.id IS NOT NULL OR r.product_id IS NULL)",
    ),
    (
        "a line's net is its quantity at its price less its discount, to the cent",
        "SELECT id FROM (SELECT id, row_net, row_tax, tax_rate, quantity::DECIMAL(9, 0) * product_price::DECIMAL(12, 4)
                * (100 - discount_percentage::DECIMAL(5, 2)) AS hundredfold FROM order_row)
         WHERE abs(row_net * 100 - hundredfold) > 0.5 OR abs(row_tax * 100 - row_net::DECIMAL(12, 2) * tax_rate::DECIMAL(6, 2)) > 0.5
            OR hundredfold IS NULL OR row_net < 0",
    ),
    (
        "totals in the account's currency are those in the order's at its rate",
        "SELECT id FROM orders WHERE abs(base_net - net / exchange_rate) > 0.0051 OR base_net + base_tax_amount <> base_total
            OR abs(base_tax_amount - tax_amount / exchange_rate) > 0.0051
            OR (order_currency_code = 'GBP' AND (base_total <> total OR exchange_rate <> 1))",
    ),
    (
        "lines are in the currency of their order",
        "SELECT r.id FROM orders o JOIN order_row r ON r.order_id = o.id
         WHERE NOT (row_net_currency_code = order_currency_code AND product_price_currency_code = order_currency_code)",
    ),
    (
        "a status is of its order's type, under its name",
        "SELECT o.id FROM orders o LEFT JOIN order_status s ON s.id = o.order_status_id
         WHERE s.order_type_code IS DISTINCT FROM o.order_type_code OR s.name IS DISTINCT FROM o.order_status_name",
    ),
    (
        "codes of states are of the order's type",
        "SELECT id FROM orders WHERE stock_status_code[:2] <> order_type_code
            OR (order_type_code <> 'SO' AND (allocation_status_code <> 'ANR' OR shipping_status_code <> 'NST'))",
    ),
    (
        "closed orders are invoiced or cancelled, and no others are invoiced",
        "SELECT o.id FROM orders o LEFT JOIN order_invoice i ON i.order_id = o.id AND i.invoice_reference <> ''
         WHERE (i.order_id IS NOT NULL) <> (o.state_tax = 'INVOICED') OR (i.order_id IS NOT NULL AND o.closed_on IS NULL)
            OR (o.closed_on IS NOT NULL AND i.order_id IS NULL AND NOT (o.order_status_name ILIKE '%cancelled%'
                OR o.order_status_name = 'Lost quote'))",
    ),
    (
        "lines have tax codes, price lists have currencies, and channels are there",
        "SELECT o.id FROM orders o JOIN order_row r ON r.order_id = o.id LEFT JOIN tax_code t ON t.code = r.tax_code
            LEFT JOIN price_list p ON p.id = o.price_list_id LEFT JOIN channel c ON c.id = o.channel_id
            LEFT JOIN nominal_code n ON n.code = r.nominal_code
         WHERE coalesce(t.rate, 0) IS DISTINCT FROM r.tax_rate OR t.id IS DISTINCT FROM r.tax_class_id OR n.id IS NULL
            OR (o.order_type_code = 'SO' AND (p.currency_code IS DISTINCT FROM o.order_currency_code OR c.id IS NULL
                OR p.price_list_type_code <> 'SELL' OR p.gross <> (o.price_mode_code = 'INC')))
            OR (o.order_type_code = 'PO' AND p.price_list_type_code IS DISTINCT FROM 'BUY')",
    ),
    (
        "credits are for an order of their party, in its currency, of what was in it",
        "SELECT c.id FROM orders c LEFT JOIN orders o ON o.id = c.parent_order_id
         WHERE c.order_type_code IN ('SC', 'PC') AND c.parent_order_id NOT IN (GONE) AND (o.id IS NULL
            OR o.order_type_code <> replace(c.order_type_code, 'C', 'O') OR o.order_currency_code <> c.order_currency_code
            OR o.channel_id <> c.channel_id OR c.net > o.net OR c.net <= 0
            OR EXISTS (FROM order_row r WHERE r.order_id = c.id AND r.product_id NOT IN
                (SELECT product_id FROM order_row p WHERE p.order_id = o.id AND product_id IS NOT NULL)))",
    ),
    (
        "every invoice has one journal of its type, date and amounts",
        "SELECT o.id FROM orders o JOIN order_invoice i ON i.order_id = o.id AND i.invoice_reference <> ''
         LEFT JOIN (SELECT j.id, j.tax_date_local, j.due_date_local, j.contact_id, j.journal_type_code, l.order_id, l.invoice_reference,
                sum(l.transaction_amount) FILTER (side = 'debit') AS amount, sum(l.change) FILTER (side = 'debit') AS change,
                sum(l.transaction_amount) FILTER (nominal_code = '0050') AS tax, sum(l.change) FILTER (nominal_code = '0050') AS base_tax
            FROM journal j JOIN journal_line l ON l.journal_id = j.id WHERE journal_type_code IN ('SI', 'PI', 'SC', 'PC')
            GROUP BY ALL) j ON j.order_id = o.id
         WHERE o.id NOT IN (MISSED) GROUP BY ALL
         HAVING count(j.id) <> 1 OR min(j.invoice_reference) <> min(i.invoice_reference)
            OR min(j.journal_type_code) <> min(i.invoice_reference)[:2]
            OR min(j.amount) <> min(o.total) OR min(j.change) <> min(o.base_total)
            OR coalesce(min(j.tax), 0) <> min(o.tax_amount) OR coalesce(min(j.base_tax), 0) <> min(o.base_tax_amount)
            OR min(j.tax_date_local) <> min(o.original_invoice_date_local) OR min(j.due_date_local) <= min(j.tax_date_local)
            OR min(j.contact_id) NOT IN (SELECT contact_id FROM order_party p WHERE p.order_id = o.id AND contact_id IS NOT NULL)",
    ),
    (
        "a journal of an invoice is of one",
        "SELECT DISTINCT j.id FROM journal j JOIN journal_line l ON l.journal_id = j.id
         LEFT JOIN order_invoice i ON i.order_id = l.order_id AND i.invoice_reference = l.invoice_reference
         WHERE journal_type_code IN ('SI', 'PI', 'SC', 'PC') AND i.order_id IS NULL AND l.order_id NOT IN (GONE)",
    ),
    (
        "journals balance, in their currency and in the account's",
        "SELECT journal_id FROM journal_line GROUP BY journal_id
         HAVING sum(CASE side WHEN 'debit' THEN transaction_amount ELSE -transaction_amount END) <> 0
            OR sum(CASE side WHEN 'debit' THEN change ELSE -change END) <> 0 OR min(transaction_amount) < 0 OR min(change) < 0",
    ),
    (
        "sales and credits are on their sides",
        "SELECT j.id FROM journal j JOIN journal_line l ON l.journal_id = j.id
         WHERE (nominal_code = '0040' AND side <> CASE journal_type_code WHEN 'SI' THEN 'debit' WHEN 'SC' THEN 'credit' ELSE side END)
            OR (nominal_code = '0060' AND side <> CASE journal_type_code WHEN 'SI' THEN 'credit' WHEN 'SC' THEN 'debit' ELSE side END)
            OR (nominal_code = '0140' AND side <> CASE journal_type_code WHEN 'PI' THEN 'credit' WHEN 'PC' THEN 'debit' ELSE side END)",
    ),
    (
        "payments decide the payment state",
        "WITH paid AS (SELECT order_id, sum(amount_paid) AS paid FROM
                (SELECT order_id, amount_paid FROM customer_payment UNION ALL SELECT order_id, amount_paid FROM supplier_payment)
            GROUP BY 1)
         SELECT o.id FROM (SELECT *, CASE WHEN order_type_code IN ('SC', 'PC') THEN -1 ELSE 1 END AS sign FROM orders) o
         LEFT JOIN paid p ON p.order_id = o.id
         WHERE o.order_payment_status <> CASE
            WHEN coalesce(p.paid, 0) = 0 AND (o.closed_on IS NOT NULL AND o.state_tax <> 'INVOICED'
                OR o.order_status_name ILIKE '%draft%' OR o.order_status_name = 'Quote sent') THEN 'NOT_APPLICABLE'
            WHEN coalesce(p.paid * sign, 0) <= 0 THEN 'UNPAID' WHEN p.paid * sign < o.total THEN 'PARTIALLY_PAID' ELSE 'PAID' END",
    ),
    (
        "payments are in the currency of their order, and of its kind",
        "SELECT p.id FROM (SELECT id, order_id, currency_code, 'S' AS kind FROM customer_payment
            UNION ALL SELECT id, order_id, currency_code, 'P' FROM supplier_payment) p JOIN orders o ON o.id = p.order_id
         WHERE p.currency_code <> o.order_currency_code OR o.order_type_code[:1] <> p.kind",
    ),
    (
        "signs of payments are those of their type",
        "SELECT id FROM customer_payment WHERE sign(amount_paid) <> CASE payment_type WHEN 'PAYMENT' THEN -1
                WHEN 'RECEIPT' THEN 1 WHEN 'CAPTURE' THEN 1 ELSE 0 END OR (amount_authorized > 0) <> (payment_type IN ('AUTH', 'VOID'))
         UNION ALL SELECT id FROM supplier_payment WHERE sign(amount_paid) NOT IN (0, CASE payment_type WHEN 'PAYMENT' THEN 1 ELSE -1 END)",
    ),
    (
        "a posted payment has a journal of its amount",
        "SELECT p.id FROM (SELECT id, order_id, amount_paid, journal_id, 'SR' AS kind FROM customer_payment
            UNION ALL SELECT id, order_id, amount_paid, journal_id, 'PP' FROM supplier_payment) p
         LEFT JOIN journal j ON j.id = p.journal_id LEFT JOIN journal_line l ON l.journal_id = j.id
         WHERE p.journal_id IS NOT NULL AND p.order_id NOT IN (MISSED) AND (l.transaction_amount IS DISTINCT FROM abs(p.amount_paid)
            OR l.order_id <> p.order_id OR j.journal_type_code <> p.kind)",
    ),
    (
        "a journal of a payment is of one",
        "SELECT id FROM journal WHERE journal_type_code IN ('SR', 'PP') AND id NOT IN (PAID)
            AND id NOT IN (SELECT journal_id FROM customer_payment WHERE journal_id IS NOT NULL)
            AND id NOT IN (SELECT journal_id FROM supplier_payment WHERE journal_id IS NOT NULL)",
    ),
    (
        "a shipped note shows the goods that moved by it, and no other moved any",
        "WITH noted AS (SELECT n.id, n.shipped, n.warehouse_id, r.order_row_id, r.product_id, sum(r.quantity) AS quantity
            FROM goods_out_note n JOIN goods_out_note_row r ON r.goods_out_note_id = n.id GROUP BY ALL),
         moved AS (SELECT goods_note_id, warehouse_id, sales_order_row_id, product_id, sum(-quantity) AS quantity, count(*) AS times
            FROM goods_movement WHERE goods_note_type_code = 'GO' GROUP BY ALL)
         SELECT coalesce(n.id, m.goods_note_id) FROM noted n FULL JOIN moved m
            ON m.goods_note_id = n.id AND m.sales_order_row_id = n.order_row_id
         WHERE coalesce(n.id, m.goods_note_id) NOT IN (NOTES) AND (coalesce(n.shipped, true) <> (m.goods_note_id IS NOT NULL)
            OR (n.shipped AND (n.quantity <> m.quantity OR n.product_id <> m.product_id OR n.warehouse_id <> m.warehouse_id))
            OR n.id IS NULL)",
    ),
    (
        "notes hold lines of their order, and no more than was ordered by one that is shipped",
        "SELECT n.id FROM goods_out_note n JOIN goods_out_note_row r ON r.goods_out_note_id = n.id
         LEFT JOIN order_row o ON o.order_id = n.order_id AND o.id = r.order_row_id
         WHERE n.order_id NOT IN (GONE) GROUP BY n.id, n.transfer, o.id, o.quantity, o.product_id
         HAVING o.id IS NULL OR min(r.product_id) <> o.product_id OR sum(r.quantity) > o.quantity OR n.transfer",
    ),
    (
        "a goods-in note shows the goods that came by it",
        "WITH moved AS (SELECT goods_note_id, purchase_order_row_id, warehouse_id, product_id, sum(quantity) AS quantity
            FROM goods_movement WHERE goods_note_type_code = 'GI' GROUP BY ALL)
         SELECT coalesce(n.goods_in_note_id, m.goods_note_id) FROM goods_in_note_movement n FULL JOIN moved m
            ON m.goods_note_id = n.goods_in_note_id AND m.product_id = n.product_id AND m.warehouse_id = n.warehouse_id
         WHERE (n.quantity IS DISTINCT FROM m.quantity OR n.purchase_order_row_id IS DISTINCT FROM m.purchase_order_row_id)
            AND NOT (m.quantity IS NULL AND n.purchase_order_row_id IS NULL)",
    ),
    (
        "goods come in by notes of purchases, for their lines",
        "SELECT n.id FROM goods_in_note n JOIN goods_in_note_movement m ON m.goods_in_note_id = n.id
         LEFT JOIN order_row r ON r.id = m.purchase_order_row_id AND r.order_id = n.order_id
         WHERE (n.transfer <> (n.order_id IS NULL)) OR (n.order_id NOT IN (GONE) AND r.product_id IS DISTINCT FROM m.product_id)",
    ),
    (
        "shipping states of sales are what left for them",
        "WITH wanted AS (SELECT order_id, sum(quantity) AS quantity FROM order_row WHERE product_id IS NOT NULL GROUP BY 1),
         moved AS (SELECT order_id, sum(-quantity) AS quantity FROM goods_movement WHERE goods_note_type_code = 'GO' GROUP BY 1)
         SELECT o.id FROM orders o LEFT JOIN wanted w ON w.order_id = o.id LEFT JOIN moved m ON m.order_id = o.id
         WHERE o.order_type_code = 'SO' AND (CASE WHEN coalesce(m.quantity, 0) = 0 THEN o.shipping_status_code NOT IN ('NST', 'SNS')
                WHEN m.quantity < w.quantity THEN o.shipping_status_code <> 'SPS' ELSE o.shipping_status_code <> 'ASS' END
            OR (o.state_tax = 'INVOICED' AND o.shipping_status_code <> 'ASS'))",
    ),
    (
        "stock states of purchases are what came in for them",
        "WITH wanted AS (SELECT order_id, sum(quantity) AS quantity FROM order_row WHERE product_id IS NOT NULL GROUP BY 1),
         moved AS (SELECT order_id, sum(quantity) AS quantity FROM goods_movement WHERE goods_note_type_code = 'GI' GROUP BY 1)
         SELECT o.id FROM orders o LEFT JOIN wanted w ON w.order_id = o.id LEFT JOIN moved m ON m.order_id = o.id
         WHERE o.order_type_code = 'PO' AND o.stock_status_code <> CASE WHEN coalesce(m.quantity, 0) = 0 THEN 'PON'
            WHEN m.quantity < w.quantity THEN 'POP' ELSE 'POA' END",
    ),
    (
        "stock is the sum of movements, by product and warehouse",
        "WITH moved AS (SELECT product_id, warehouse_id, sum(quantity) AS quantity FROM goods_movement GROUP BY ALL)
         SELECT coalesce(a.product_id, m.product_id) FROM product_availability_warehouse a FULL JOIN moved m
            ON m.product_id = a.product_id AND m.warehouse_id = a.warehouse_id
         WHERE coalesce(a.in_stock, 0) <> coalesce(m.quantity, 0) OR coalesce(a.in_stock, 0) < 0
            OR coalesce(m.product_id, a.product_id) NOT IN (SELECT product_id FROM product_availability)",
    ),
    (
        "allocated stock is on notes that are not shipped",
        "WITH held AS (SELECT r.product_id, n.warehouse_id, sum(r.quantity) AS quantity FROM goods_out_note n
            JOIN goods_out_note_row r ON r.goods_out_note_id = n.id WHERE NOT n.shipped GROUP BY ALL)
         SELECT coalesce(a.product_id, h.product_id) FROM product_availability_warehouse a FULL JOIN held h
            ON h.product_id = a.product_id AND h.warehouse_id = a.warehouse_id
         WHERE coalesce(a.allocated, 0) <> coalesce(h.quantity, 0) OR a.in_stock - a.allocated <> a.on_hand",
    ),
    (
        "stock in total is that of the warehouses, and a warehouse's that of its locations",
        "SELECT a.product_id FROM product_availability a LEFT JOIN product_availability_warehouse w USING (product_id) GROUP BY ALL
         HAVING a.in_stock <> coalesce(sum(w.in_stock), 0) OR a.allocated <> coalesce(sum(w.allocated), 0)
         UNION ALL SELECT w.product_id FROM product_availability_warehouse w
         JOIN product_availability_location l USING (product_id, warehouse_id) GROUP BY w.product_id, warehouse_id, w.in_stock
         HAVING w.in_stock <> sum(l.in_stock)",
    ),
    (
        "internal transfers leave a warehouse as it was",
        "SELECT goods_note_id FROM goods_movement WHERE goods_note_type_code = 'IT' GROUP BY goods_note_id, product_id, warehouse_id
         HAVING sum(quantity) <> 0 OR count(*) <> 2",
    ),
    (
        "dates of an order are in order",
        "SELECT id FROM orders WHERE placed_on > created_on OR updated_on < created_on OR closed_on < created_on
            OR updated_on < closed_on OR delivery_date < created_on OR created_on > NOW",
    ),
    (
        "notes, movements, payments and journals come after their order",
        "SELECT n.id FROM goods_out_note n JOIN orders o ON o.id = n.order_id
            WHERE n.created_on < o.created_on OR n.shipped_on < n.created_on OR n.shipped_on > o.closed_on
         UNION ALL SELECT p.id FROM customer_payment p JOIN orders o ON o.id = p.order_id WHERE p.created_on < o.created_on
         UNION ALL SELECT p.id FROM supplier_payment p JOIN orders o ON o.id = p.order_id WHERE p.created_on < o.created_on
         UNION ALL SELECT m.id FROM goods_movement m JOIN orders o ON o.id = m.order_id WHERE m.updated_on < o.created_on
         UNION ALL SELECT m.goods_in_note_id FROM goods_in_note_movement m JOIN goods_in_note n ON n.id = m.goods_in_note_id
            JOIN orders o ON o.id = n.order_id WHERE m.created_on < o.created_on OR n.received_on > m.created_on",
    ),
    (
        "journals of orders come after them, in the currency and at the rate of theirs",
        "SELECT DISTINCT j.id FROM journal j JOIN journal_line l ON l.journal_id = j.id JOIN orders o ON o.id = l.order_id
         LEFT JOIN currency c ON c.id = j.currency_id
         WHERE j.journal_type_code IN ('SI', 'PI', 'SC', 'PC', 'SR', 'PP') AND (j.created_on < o.created_on
            OR c.code IS DISTINCT FROM o.order_currency_code OR abs(j.exchange_rate * o.exchange_rate - 1) > 0.00001)",
    ),
];

/// Ids that deletions left without a partner, as lists of SQL.
struct Without {
    /// Orders that are gone, and those of which a journal is.
    orders: Vec<i64>,
    journals: Vec<i64>,
    /// Goods-out notes that are gone, and journals of payments that are.
    notes: Vec<i64>,
    payments: Vec<i64>,
}

const NOTHING: Without = Without { orders: Vec::new(), journals: Vec::new(), notes: Vec::new(), payments: Vec::new() };

fn list(ids: &[i64]) -> String {
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    if ids.is_empty() { "-1".to_owned() } else { ids.join(",") }
}

/// A view of each table in a folder; `orders` is `order`, which is a reserved word.
fn views(lake: &Path) -> String {
    let folders = std::fs::read_dir(lake).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let tables = folders.filter(|name| !name.starts_with('_'));
    let view = |table: String| {
        let name = if table == "order" { "orders" } else { &table };
        let files = format!("{}/{table}/**/*.parquet", lake.display());
        format!("CREATE VIEW {name} AS FROM read_parquet('{files}', hive_partitioning = true);")
    };
    tables.map(view).collect()
}

/// Names of the rules that tables break, with an example.
fn broken(lake: &Path, sandbox: &Sandbox, without: &Without) -> Vec<String> {
    let checks = RULES.iter().map(|(name, rule)| {
        let rule = rule
            .replace("MISSED", &list(&without.journals))
            .replace("GONE", &list(&without.orders))
            .replace("NOTES", &list(&without.notes))
            .replace("PAID)", &format!("{})", list(&without.payments)))
            .replace("NOW", &format!("TIMESTAMPTZ '{}'", sandbox.now()));
        format!(
            "SELECT '{}' AS rule, count(*) AS times, min(id) AS example FROM ({rule}) AS broken(id)",
            name.replace('\'', "''")
        )
    });
    let checks = checks.collect::<Vec<_>>().join(" UNION ALL ");
    query(&format!("{} SELECT * FROM ({checks}) WHERE times > 0", views(lake)))
}

fn text(folder: &tempfile::TempDir) -> &str {
    folder.path().to_str().unwrap()
}

/// The program, for a lake in which stock is read with each run.
pub fn program(sandbox: &Sandbox, lake: &tempfile::TempDir) -> Program {
    Program::new(sandbox, lake.path())
        .with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_KEEP", "1d")
        .with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms")
        .with("PEARLIFT_RESOURCE_GOODS_IN_BATCH_EVERY", "1ms")
}

/// The records of a resource as the account has them.
async fn records(sandbox: &Sandbox, name: &str) -> Vec<Value> {
    truth(sandbox, name).await.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_numbers_of_an_account_add_up_once_it_is_loaded() {
    // GIVEN accounts of several sizes and seeds: a history of three years, and one of forty days
    for (orders, seed, history) in [(1_500, 1, 3 * 365), (730, 5, 40), (37, 3, 365)] {
        let settings =
            SandboxSettings { limit: 0, seed, history, now: Some(this_morning()), ..SandboxSettings::default() };
        let sandbox = start(settings, Size { orders, ..Size::default() }).await;
        let lake = tempfile::tempdir().unwrap();

        // WHEN one is exported
        program(&sandbox, &lake).run(&["run"]).expect(0);

        // THEN no rule is broken
        assert_eq!(broken(lake.path(), &sandbox, &NOTHING), Vec::<String>::new(), "{orders} orders of seed {seed}");
    }
}

/// Edits of orders, payments, goods and notes that arrive, and open notes that advance until they are shipped.
async fn change(sandbox: &Sandbox) {
    for every in [3, 5] {
        let some: Vec<i64> = sandbox.ids("order").into_iter().step_by(every).collect();
        sandbox.edit("order", &some);
    }
    sandbox.touch("order", &sandbox.ids("order")[..300]);
    for (kind, count) in [
        ("order", 40),
        ("customer_payment", 60),
        ("supplier_payment", 20),
        ("goods_in_note", 8),
        ("goods_movement", 40),
        ("goods_out_note", 30),
        ("journal", 20),
    ] {
        sandbox.insert(kind, count);
    }
    for _ in 0..4 {
        sandbox.age(Duration::from_secs(60));
        let notes = records(sandbox, "goods_out_note").await;
        let open = notes.iter().filter(|note| note["document"]["status"]["shipped"] == false);
        sandbox.edit("goods_out_note", &open.map(|note| note["id"].as_i64().unwrap()).collect::<Vec<i64>>());
    }
    for kind in ["goods_in_note", "goods_movement", "journal"] {
        sandbox.edit(kind, &sandbox.eligible(Verb::Edit, kind).into_iter().step_by(7).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn they_add_up_after_edits_payments_goods_received_and_deletions() {
    // GIVEN an exported account of the last forty days, of which many orders are open
    let settings = SandboxSettings { limit: 0, history: 40, now: Some(this_morning()), ..SandboxSettings::default() };
    let sandbox = start(settings, Size { orders: 800, ..Size::default() }).await;
    let lake = tempfile::tempdir().unwrap();
    let program = program(&sandbox, &lake);
    program.run(&["run"]).expect(0);
    let states = format!(
        "{} SELECT id, order_payment_status, shipping_status_code, stock_status_code FROM orders ORDER BY id",
        views(lake.path())
    );
    let before = query(&states);

    // WHEN orders are edited twice, payments, goods and notes arrive, and open orders advance until they are shipped
    change(&sandbox).await;
    sandbox.age(Duration::from_secs(600));
    program.run(&["run"]).expect(0);
    // Silent changes of orders, and edits of goods-in notes and journals, have no date.
    program.run(&["run", "--full", "order", "goods_in_note", "journal"]).expect(0);

    // THEN no rule is broken, and the states of many orders are others
    assert_eq!(broken(lake.path(), &sandbox, &NOTHING), Vec::<String>::new());
    let changed = |place: usize| {
        let of = |line: &String| line.split('|').nth(place).unwrap().to_owned();
        before.iter().zip(query(&states)).filter(|(before, after)| of(before) != of(after)).count()
    };
    let changes = [changed(1), changed(2), changed(3)];
    assert!(changes[0] > 20 && changes[1] > 20 && changes[2] > 20, "{changes:?}");
    check_truth(&sandbox, text(&lake), &["--allow-extra", "product_price,product_price_list"]);

    // WHEN records of each kind are deleted, and comparisons of ids take them out
    let mut without = NOTHING;
    without.orders = sandbox.ids("order").into_iter().step_by(90).collect();
    sandbox.delete("order", &without.orders);
    let journals: Vec<i64> = sandbox.ids("journal").into_iter().step_by(111).collect();
    for journal in records(&sandbox, "journal").await {
        if journals.contains(&journal["id"].as_i64().unwrap()) {
            without.journals.extend(journal["debits"][0]["orderId"].as_i64());
        }
    }
    sandbox.delete("journal", &journals);
    without.notes = sandbox.ids("goods_out_note").into_iter().step_by(70).collect();
    sandbox.delete("goods_out_note", &without.notes);
    let payments: Vec<i64> = sandbox.ids("customer_payment").into_iter().step_by(100).collect();
    for payment in records(&sandbox, "customer_payment").await {
        if payments.contains(&payment["paymentId"].as_i64().unwrap()) {
            without.payments.extend(payment["journalId"].as_i64());
        }
    }
    sandbox.delete("customer_payment", &payments);
    sandbox.age(Duration::from_secs(600));
    for _ in 0..2 {
        program.run(&["reconcile", "--force"]).expect(0);
        program.run(&["run"]).expect(0);
    }

    // THEN no rule is broken: an order with a deleted payment is paid less
    assert_eq!(broken(lake.path(), &sandbox, &without), Vec::<String>::new());
    check_truth(&sandbox, text(&lake), &["--allow-extra", "product_price,product_price_list"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_size_that_is_given_suspends_the_rules_that_it_contradicts_and_no_others() {
    // GIVEN an account with fewer journals than its invoices need, and one with fewer movements than its goods
    let invoices = "every invoice has one journal of its type, date and amounts";
    let moved = [
        "a shipped note shows the goods that moved by it, and no other moved any",
        "a goods-in note shows the goods that came by it",
        "shipping states of sales are what left for them",
        "stock states of purchases are what came in for them",
    ];
    let few = || Size { orders: 400, ..Size::default() };
    let cases = [
        (few().with("journal", 300), vec![invoices]),
        (few().with("goods_movement", 300), moved.to_vec()),
        (few().with("journal", 3_000).with("product", 40).with("contact", 7), vec![]),
    ];
    for (size, suspended) in cases {
        let sandbox =
            start(SandboxSettings { limit: 0, now: Some(this_morning()), ..SandboxSettings::default() }, size).await;
        let lake = tempfile::tempdir().unwrap();

        // WHEN it is exported
        program(&sandbox, &lake).run(&["run"]).expect(0);

        // THEN the rules that it contradicts are broken, and they alone
        let broken = broken(lake.path(), &sandbox, &NOTHING);
        let names: Vec<&str> = broken.iter().map(|line| line.split('|').next().unwrap()).collect();
        assert_eq!(names, suspended, "{broken:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn credits_are_negative_where_the_account_shows_them_so() {
    // GIVEN accounts that show credits as positive, as the documentation's examples do, and as negative
    for (negative_credits, sign) in [(false, "1"), (true, "-1")] {
        let settings =
            SandboxSettings { limit: 0, negative_credits, now: Some(this_morning()), ..SandboxSettings::default() };
        let sandbox = start(settings, Size { orders: 300, ..Size::default() }).await;
        let lake = tempfile::tempdir().unwrap();

        // WHEN their orders are exported
        program(&sandbox, &lake).run(&["run", "order"]).expect(0);

        // THEN quantities, lines and totals have that sign, and totals are the sums of lines
        let signs = format!(
            "{} SELECT DISTINCT sign(r.quantity)::INT, sign(r.row_net)::INT, sign(o.net)::INT, sign(o.base_total)::INT
             FROM orders o JOIN order_row r ON r.order_id = o.id WHERE o.order_type_code IN ('SC', 'PC')",
            views(lake.path())
        );
        assert_eq!(query(&signs), [[sign; 4].join("|")]);
        let sums = format!("{} SELECT count(*) FROM ({})", views(lake.path()), RULES[0].1);
        assert_eq!(query(&sums), ["0"]);
    }
}
