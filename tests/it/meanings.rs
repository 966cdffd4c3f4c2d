//! The meanings of tables and columns: that each has one, that wrong ones are refused, and where readers find them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use pearlift::config::{Environment, Settings};
use pearlift::schema::{Catalog, Column, DESCRIPTION, References, Table, Type, same_columns};

use crate::reshape::without_meanings;
use crate::schemas::decode;
use crate::support::{Program, account, answer, check_truth, files, python};

/// Endings of the names of columns that lead elsewhere. An own id is `id`.
const LEADING: [&str; 7] =
    ["_id", "_by", "currency_code", "nominal_code", "tax_code", "order_type_code", "payment_method_code"];
/// Columns with such a name that lead nowhere: they are the target of others.
const LED_TO: [&str; 1] = ["tax_code.tax_code"];

/// Parts of names of columns that hold texts about people, or free texts.
const TELLING: [&str; 19] = [
    "name",
    "address",
    "mail",
    "phone",
    "fax",
    "note",
    "postal",
    "text",
    "json",
    "message",
    "description",
    "reference",
    "comment",
    "title",
    "alias",
    "website",
    "skype",
    "salutation",
    "number",
];
/// Tables that the account sets up: their texts are about products, places and rules.
const SET_UP: [&str; 37] = [
    "brand",
    "brightpearl_category",
    "channel",
    "channel_brand",
    "collection",
    "contact_group",
    "contact_group_member",
    "currency",
    "customer_custom_field_definition",
    "landed_cost",
    "lead_source",
    "nominal_code",
    "option",
    "option_value",
    "order_shipping_status",
    "order_stock_status",
    "order_type",
    "payment_method",
    "price_list",
    "product",
    "product_custom_field",
    "product_custom_field_definition",
    "product_sales_channel",
    "product_type",
    "product_type_option",
    "product_variation",
    "project",
    "purchase_custom_field_definition",
    "sale_custom_field_definition",
    "season",
    "shipping_method",
    "supplier_custom_field_definition",
    "tag",
    "tax_code",
    "warehouse",
    "zone",
    "location",
];
/// Other columns with such a name, and the reason why they concern no person.
const TELLS_OF_NO_PERSON: [(&str, &str); 20] = [
    ("contact.contact_status_name", "a status that the account has set up"),
    ("contact_status_history.contact_status_name", "a status that the account has set up"),
    ("goods_in_note.goods_note_status", "a code"),
    ("goods_in_note.user_batch_reference", "the reference of a batch of goods"),
    ("goods_movement.goods_note_type_code", "a code"),
    ("goods_out_note.shipping_reference", "the number of a parcel"),
    ("goods_out_note_row.user_batch_reference", "the reference of a batch of goods"),
    ("journal_line.invoice_reference", "the number of an invoice"),
    ("journal_row.invoice_reference", "the number of an invoice"),
    ("order.order_status_name", "a status that the account has set up"),
    ("order_invoice.invoice_reference", "the number of an invoice"),
    ("order_row.product_name", "the name of a product"),
    ("order_row_option.name", "the name of an option of a product"),
    ("order_status.email_content", "a text for every customer"),
    ("order_status.name", "a status that the account has set up"),
    ("purchase_order_landed_cost.product_name", "the name of a product"),
    ("sales_credit_row.name", "the name of a product"),
    ("sales_order.invoice_reference", "the number of an invoice"),
    ("sales_order_row.name", "the name of a product"),
    ("stock_transfer.reference", "the reference of a transfer of goods"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every column of the built-in catalogue, with its name as `table.column`.
fn columns(catalog: &Catalog) -> Vec<(String, &Table, &Column)> {
    let tables = catalog.resources().iter().flat_map(|resource| &resource.tables);
    tables
        .flat_map(|table| {
            table.columns.iter().map(move |column| (format!("{}.{}", table.name, column.name), table, column))
        })
        .collect()
}

#[test]
fn every_table_and_every_column_has_a_description_that_is_a_sentence() {
    let catalog = Catalog::load(None).unwrap();
    let is_sentence = |text: &str| text.len() > 7 && text.ends_with('.') && text.starts_with(char::is_uppercase);
    let tables = catalog.resources().iter().flat_map(|resource| &resource.tables);
    let lacking: Vec<&str> =
        tables.clone().filter(|table| !is_sentence(&table.description)).map(|table| table.name.as_str()).collect();
    assert_eq!(lacking, [""; 0], "tables without a description");
    let columns = columns(&catalog);
    assert!(tables.count() >= 75 && columns.len() >= 655, "{}", columns.len());
    let lacking: Vec<&str> = columns
        .iter()
        .filter(|(_, _, column)| !is_sentence(&column.meaning.description))
        .map(|(name, _, _)| name.as_str())
        .collect();
    assert_eq!(lacking, [""; 0], "columns without a description");
}

#[test]
fn every_id_leads_to_a_column_or_says_why_to_none() {
    let catalog = Catalog::load(None).unwrap();
    let (mut leading, mut nowhere) = (0, 0);
    for (name, _, column) in columns(&catalog) {
        match &column.meaning.references {
            References::To(targets) => leading += targets.len(),
            References::Nowhere(_) => nowhere += 1,
            References::Unsaid => {
                let leads = LEADING.iter().any(|ending| column.name.ends_with(ending)) && column.kind != Type::Bool;
                assert!(!leads || LED_TO.contains(&name.as_str()), "{name} leads somewhere and does not say where");
            }
        }
    }
    assert!(leading > 200 && nowhere > 15 && nowhere < 40, "{leading} {nowhere}");
}

#[test]
fn a_column_that_others_lead_to_is_the_key_of_its_table_or_a_code_of_it() {
    let catalog = Catalog::load(None).unwrap();
    let columns = columns(&catalog);
    for (name, _, column) in &columns {
        for target in column.meaning.references.targets() {
            let (_, table, led_to) = columns.iter().find(|(other, ..)| *other == target.to_string()).unwrap();
            let in_key = table.key.iter().any(|place| table.columns[*place].name == led_to.name);
            assert!(in_key || led_to.name == "code", "{name} leads to {target}, which names no row");
        }
    }
}

#[test]
fn a_column_that_may_tell_of_a_person_is_marked_or_says_why_not() {
    let catalog = Catalog::load(None).unwrap();
    let mut unneeded: BTreeSet<&str> = TELLS_OF_NO_PERSON.iter().map(|(name, _)| *name).collect();
    let mut marked = 0;
    for (name, table, column) in columns(&catalog) {
        marked += usize::from(column.meaning.personal);
        let is_text = matches!(column.kind, Type::String | Type::Json);
        if column.meaning.personal || !is_text || !TELLING.iter().any(|part| column.name.contains(part)) {
            continue;
        }
        let is_spared = unneeded.remove(name.as_str()) || SET_UP.contains(&table.name.as_str());
        assert!(is_spared, "{name} may tell of a person: mark it `personal`, or state here why it does not");
    }
    assert_eq!(unneeded, BTreeSet::new(), "exceptions of columns that are marked or do not exist");
    assert!(marked > 35, "{marked}");
}

/// The texts of the built-in files by resource.
fn texts() -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = std::fs::read_dir(root().join("schemas"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn the_values_of_the_examples_are_among_the_codes_of_their_columns_and_each_list_is_used() {
    let catalog = Catalog::load(None).unwrap();
    let mut seen = 0;
    for resource in catalog.resources() {
        let page = decode(resource, &answer(resource));
        for (place, table) in resource.tables.iter().enumerate() {
            for column in table.columns.iter().filter(|column| !column.meaning.codes.is_empty()) {
                let values = page.tables[place].batch.column_by_name(&column.name).unwrap();
                let values = as_texts(values);
                for value in values {
                    let known = column.meaning.codes.iter().any(|code| code.code == value);
                    assert!(known, "{}.{}: {value} has no meaning", table.name, column.name);
                    seen += 1;
                }
            }
        }
        let text = &texts().into_iter().find(|(name, _)| *name == resource.name).unwrap().1;
        let lists = text.lines().filter_map(|line| line.strip_prefix("[codes.")?.strip_suffix(']'));
        for list in lists {
            assert!(text.contains(&format!("codes = \"{list}\"")), "{}: no column has the codes {list}", resource.name);
        }
    }
    assert!(seen > 50, "{seen}");
}

/// The values of a column of texts or whole numbers, as texts; nulls are left out.
fn as_texts(values: &arrow_array::ArrayRef) -> Vec<String> {
    if let Some(texts) = values.as_string_opt::<i32>() {
        return texts.iter().flatten().map(str::to_owned).collect();
    }
    values.as_primitive::<arrow_array::types::Int64Type>().iter().flatten().map(|value| value.to_string()).collect()
}

/// The refusal of the built-in files after one change of a text, once.
fn refusal(name: &str, from: &str, to: &str) -> String {
    let mut texts = texts();
    let (_, text) = texts.iter_mut().find(|(found, _)| found == name).unwrap();
    assert!(text.contains(from), "{name} does not say {from}");
    *text = text.replacen(from, to, 1);
    Catalog::from_texts(&texts).unwrap_err().to_string()
}

/// The line of a text in a built-in file.
fn line(name: &str, wanted: &str) -> usize {
    let text = texts().into_iter().find(|(found, _)| found == name).unwrap().1;
    text.lines().position(|line| line.contains(wanted)).unwrap() + 1
}

#[test]
fn a_meaning_that_makes_no_sense_is_refused_with_its_line() {
    let column = "name = \"channel_id\",";
    let reference = "references = \"channel.id\"";
    let place = format!("channel.toml, channel_warehouse, line {}", line("channel", column));
    for (to, why) in [
        ("references = \"shop.id\"", "there is no table `shop`"),
        ("references = \"channel.number\"", "table `channel` has no column `number`"),
        ("references = \"channel.name\"", "`channel.name` is string, not int64"),
        ("references = \"channel\"", "`references` is \"table.column\""),
        ("references = []", "`references` is \"table.column\""),
        ("references = { none = \" \" }", "`references.none` must be one line of text"),
        ("codes = \"kinds\"", "there are no codes `kinds`"),
        ("description = \"  \"", "`description` must be one line of text"),
    ] {
        let to = if to.starts_with("description") { to.to_owned() } else { format!("{to}, description = \"-\"") };
        let from = format!("{reference}, description = \"The channel.\"");
        let refused = refusal("channel", &from, &to);
        assert!(refused.contains(why) && refused.contains(&place), "{to}: {refused}");
    }
    // A key or a value that the grammar does not know is refused with its place.
    for to in ["reference = \"channel.id\"", "references = 7", "confidence = \"sure\"", "personal = \"yes\""] {
        let refused = refusal("channel", reference, to);
        assert!(refused.contains(&format!("line {}", line("channel", column))), "{to}: {refused}");
    }
    let refused = refusal("channel", "[tables.channel]\ndescription = \"", "[tables.channel]\ndescription = \"\"#");
    let head = line("channel", "[tables.channel]");
    assert!(refused.contains(&format!("channel.toml, channel, line {head}")), "{refused}");
    // Codes are values of their column.
    let refused = refusal("shipping_method", "1 = \"weight\"", "light = \"weight\"");
    let at = line("shipping_method", "name = \"method_type\"");
    assert!(refused.contains("`light`") && refused.contains(&format!("line {at}")), "{refused}");
    let refused = refusal("shipping_method", "1 = \"weight\"", "1 = \"\"");
    assert!(refused.contains("a list of codes with a meaning each"), "{refused}");
}

#[test]
fn a_file_without_meanings_is_read_and_mapped_as_the_same_file_with_them() {
    let described = Catalog::load(None).unwrap();
    let plain: Vec<_> = texts().into_iter().map(|(name, text)| (name, without_meanings(&text))).collect();
    assert!(plain.iter().all(|(_, text)| !text.contains("references =")));
    let plain = Catalog::from_texts(&plain).unwrap();
    let hashes = |catalog: &Catalog| -> Vec<String> {
        catalog.resources().iter().map(|resource| resource.hash.clone()).collect()
    };
    assert_eq!(hashes(&described), hashes(&plain));
    // A change of the reading is another hash.
    let mut changed = texts();
    let (_, text) = changed.iter_mut().find(|(name, _)| name == "channel").unwrap();
    *text = text.replacen("from = \"defaultWarehouseId\"", "from = \"warehouseId\"", 1);
    assert_ne!(hashes(&described), hashes(&Catalog::from_texts(&changed).unwrap()));
}

#[test]
fn a_file_of_ones_own_may_take_the_place_of_a_table_that_others_lead_to() {
    // GIVEN a file of a user's in the place of the channels, with another table
    let folder = tempfile::tempdir().unwrap();
    let own = texts().into_iter().find(|(name, _)| name == "channel").unwrap().1;
    let path = folder.path().join("channel.toml");
    std::fs::write(&path, own.replace("channel.id", "shop.id").replace("[tables.channel]", "[tables.shop]")).unwrap();

    // WHEN the catalogue is loaded
    let catalog = Catalog::load(Some(folder.path())).unwrap();

    // THEN built-in columns that led to the old table lead nowhere, those of the user's to the new one
    let columns = columns(&catalog);
    let references = |name: &str| &columns.iter().find(|(found, ..)| found == name).unwrap().2.meaning.references;
    assert_eq!(*references("order.channel_id"), References::Unsaid);
    assert_eq!(references("channel_warehouse.channel_id").targets()[0].to_string(), "shop.id");

    // WHEN the user's own file leads to a missing table THEN it is refused
    std::fs::write(&path, own.replace("[tables.channel]", "[tables.shop]")).unwrap();
    let refused = Catalog::load(Some(folder.path())).unwrap_err().to_string();
    assert!(refused.contains("there is no table `channel`"), "{refused}");
}

#[test]
fn a_resource_that_is_not_read_by_default_is_read_where_it_is_named() {
    let mut texts = texts();
    let (_, text) = texts.iter_mut().find(|(name, _)| name == "season").unwrap();
    *text = text.replacen("priority = ", "default = false\npriority = ", 1);
    let catalog = Catalog::from_texts(&texts).unwrap();
    let selected = |resources: &str| {
        let names: Vec<&str> = catalog.resources().iter().map(|resource| resource.name.as_str()).collect();
        let settings = Settings::from_text(None, resources, Environment::default(), &names).unwrap();
        let selects = |name: &str| settings.selects(catalog.find(name).unwrap());
        (selects("season"), selects("brand"))
    };
    assert_eq!(selected(""), (false, true));
    assert_eq!(selected("[resources]\ninclude = [\"*\"]"), (false, true));
    assert_eq!(selected("[resources]\ninclude = [\"sea*\"]"), (false, false));
    assert_eq!(selected("[resources]\ninclude = [\"*\", \"season\"]"), (true, true));
    assert_eq!(selected("[resources]\ninclude = [\"season\"]\nexclude = [\"sea*\"]"), (false, false));
}

#[test]
fn a_resource_is_shown_with_the_meanings_of_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::bare(folder.path().join("lake"));
    let shown = program.run(&["resources", "order"]).expect(0).stdout;
    let row = |name: &str| shown.lines().find(|line| line.trim_start().starts_with(&format!("{name} "))).unwrap();
    assert!(row("order_type_code").contains("PC purchase credit. References order_type.code."), "{shown}");
    assert!(row("net").ends_with("negative for credits (SC, PC), unlike `order_row.row_net`. (inferred)"), "{shown}");
    assert!(
        row("country_id")
            .contains("References no table: the API has no list of countries; country_iso_code has the country."),
        "{shown}"
    );
    assert!(row("address_full_name").ends_with("Personal."), "{shown}");

    let json = program.run(&["resources", "order", "--json"]).expect(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["default"], true);
    let tables = json["tables"].as_array().unwrap();
    assert!(tables.iter().all(|table| table["description"].as_str().unwrap().ends_with('.')));
    let column = |table: usize, name: &str| {
        let columns = tables[table]["columns"].as_array().unwrap();
        columns.iter().find(|column| column["name"] == name).unwrap().clone()
    };
    let code = column(0, "order_type_code");
    assert_eq!(code["references"], serde_json::json!(["order_type.code"]));
    assert_eq!(code["codes"]["SO"], "sales order");
    assert_eq!((&code["personal"], &code["confidence"]), (&false.into(), &"documented".into()));
    assert_eq!(column(0, "net")["confidence"], "inferred");
    let unread = &column(0, "installed_integration_instance_id")["references_nothing_because"];
    assert_eq!(unread, "the API has no list of installed apps");
    assert_eq!(column(2, "email")["personal"], true);
}

#[test]
fn descriptions_make_no_column_another() {
    let catalog = Catalog::load(None).unwrap();
    for (_, table, column) in columns(&catalog) {
        let (plain, described) = (table.arrow(), table.described());
        assert_ne!(plain.fields(), described.fields(), "fields compare by their metadata too");
        assert!(same_columns(plain.fields(), described.fields()), "{}", table.name);
        let field = described.field_with_name(&column.name).unwrap();
        assert_eq!(field.metadata()[DESCRIPTION], column.meaning.description);
    }
    let (one, other) = (catalog.get("brand").unwrap(), catalog.get("tax_code").unwrap());
    assert!(!same_columns(one.tables[0].described().fields(), other.tables[0].described().fields()));
    let fewer = arrow_schema::Fields::from(one.tables[0].arrow().fields()[1..].to_vec());
    assert!(!same_columns(&fewer, one.tables[0].arrow().fields()));
}

/// Bytes and times of the data files of a lake.
fn state(lake: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let data = files(lake).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "parquet"));
    // Each run appends to the history.
    let data = data.filter(|path| !path.starts_with(lake.join("_pearlift/history")));
    let mut found: Vec<_> = data
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            let time = std::fs::metadata(&path).unwrap().modified().unwrap();
            (path, bytes, time)
        })
        .collect();
    found.sort();
    found
}

/// The number of columns of the files of a table for which pyarrow shows a description, and that of all.
fn described(lake: &Path, table: &str) -> (usize, usize) {
    let script = "
import sys, glob, pyarrow.parquet
schemas = [pyarrow.parquet.read_schema(path) for path in glob.glob(f'{sys.argv[1]}/{sys.argv[2]}/**/*.parquet', recursive=True)]
fields = [field for schema in schemas for field in schema]
found = [field for field in fields if field.metadata and field.metadata.get(b'description')]
open(sys.argv[3], 'w').write(f'{len(found)} {len(fields)}')
";
    let out = tempfile::NamedTempFile::new().unwrap();
    python(script, &[lake.to_str().unwrap(), table, out.path().to_str().unwrap()]);
    let text = std::fs::read_to_string(out.path()).unwrap();
    let (found, all) = text.split_once(' ').unwrap();
    (found.parse().unwrap(), all.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_state_the_meanings_of_their_columns_and_old_ones_stay_as_they_are() {
    // GIVEN a lake that was written by schemas without meanings
    let sandbox = account(200).await;
    let lake = tempfile::tempdir().unwrap();
    let plain = tempfile::tempdir().unwrap();
    for (name, text) in texts() {
        std::fs::write(plain.path().join(format!("{name}.toml")), without_meanings(&text)).unwrap();
    }
    let program = Program::new(&sandbox, lake.path()).by_month();
    let resources = ["order", "product", "brand", "product_price"];
    program
        .clone()
        .with("PEARLIFT_SCHEMAS", plain.path().to_str().unwrap())
        .run(&[&["run"][..], &resources].concat())
        .expect(0);
    assert_eq!(described(lake.path(), "order").0, 0);
    let before = state(lake.path());

    // WHEN it runs with meanings and nothing has changed
    let done = program.run(&[&["run"][..], &resources].concat()).expect(0);

    // THEN no file is rewritten
    assert!(state(lake.path()) == before, "{}", done.stderr);

    // WHEN orders change
    let edited: Vec<i64> = sandbox.ids("order").into_iter().step_by(40).collect();
    sandbox.edit("order", &edited);
    program.run(&[&["run"][..], &resources].concat()).expect(0);

    // THEN the new files describe each column, beside old ones that stay, and readers agree on all
    let (found, all) = described(lake.path(), "order");
    assert!(found > 0 && found < all / 2, "{found} of {all}");
    assert_eq!(described(lake.path(), "brand").0, 0);
    check_truth(&sandbox, lake.path().to_str().unwrap(), &["--only", "order,order_row,order_party"]);
    let script = "
import sys, duckdb, pyarrow.dataset
duck = duckdb.sql(f\"select count(*) from read_parquet('{sys.argv[1]}/order/**/*.parquet')\").fetchall()[0][0]
assert pyarrow.dataset.dataset(f'{sys.argv[1]}/order', format='parquet', partitioning='hive').to_table().num_rows == duck
";
    python(script, &[lake.path().to_str().unwrap()]);

    // WHEN every order changes THEN every column is described but those of ours
    sandbox.edit("order", &sandbox.ids("order"));
    program.run(&["run", "order"]).expect(0);
    program.run(&["verify", "--deep"]).expect(0);
    let (found, all) = described(lake.path(), "order");
    assert!(found > 0 && all == found / 49 * 52, "{found} of {all}");
}
