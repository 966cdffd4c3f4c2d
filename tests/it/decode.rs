//! Answers as the source should not give them: nothing of them is lost without a word.

use arrow_array::cast::AsArray;
use pearlift::decode::{Page, Shape, documents, rows};
use pearlift::fetch::{Body, Broken};
use pearlift::manifest::Key;
use pearlift::schema::{Catalog, EXTRA, ReadStyle};

const LEDGER: &str = r#"
about = "entries of a ledger, with amounts by day"
[read]
style = "list"
service = "test-service"
get = "ledger"
key = "id"

[tables.amount]
rows = "days.*.amounts.*"
key = ["id", "day", "position"]
columns = [
  { name = "id",       from = "$.id",    type = "int64", required = true },
  { name = "day",      from = "^.@key",  type = "string", required = true },
  { name = "position", from = "@index",  type = "int32", required = true },
  { name = "number",   from = "^.@key",  type = "int64" },
  { name = "rate",     from = "^.rate",  type = "decimal(9,2)" },
  { name = "on",       from = "on",      type = "timestamp" },
  { name = "on_local", from = "on",      type = "date" },
]
"#;

const CODES: &str = r#"
about = "codes"
[read]
style = "search"
service = "test-service"
search = "code-search"
key = "id"

[tables.code]
key = ["id"]
columns = [
  { name = "id",   from = "id",   type = "int64", required = true },
  { name = "name", from = "name", type = "string" },
]
"#;

fn read(schema: &str, text: &[u8]) -> Result<Page, Broken> {
    let catalog = Catalog::from_texts(&[("resource".to_owned(), schema.to_owned())]).unwrap();
    let resource = &catalog.resources()[0];
    let shape = Shape::compile(resource).unwrap();
    let body = Body { bytes: text.to_vec().into(), gzip: false };
    match &resource.read.style {
        ReadStyle::Search(search) => rows(&shape, &body, &search.row, &[]),
        ReadStyle::IdSets { .. } | ReadStyle::List { .. } | ReadStyle::PerOwner { .. } => documents(&shape, &body),
    }
}

fn extras(page: &Page) -> Vec<Option<&str>> {
    page.tables[0].batch.column_by_name(EXTRA).unwrap().as_string::<i32>().iter().collect()
}

fn rejected_values(page: &Page) -> Vec<(&str, u64)> {
    page.rejected_values.counts().collect()
}

#[test]
fn a_body_that_is_not_one_whole_answer_is_refused() {
    let bodies: [&[u8]; 9] = [
        b"",
        b"[1]",
        br#"{"response":[{"id":1}]"#,
        br#"{"response":[{"id":1}]} {"response":[{"id":2}]}"#,
        br#"{"response":[{"id":1}]}}"#,
        br#"{"response":[{"id":1} {"id":2}]}"#,
        br#"{"response":[{"id":1},]}"#,
        br#"{"response":[{"id":01}]}"#,
        b"{\"response\":[{\"id\":1,\"name\":\"\xff\"}]}",
    ];
    for body in bodies {
        let read = read(LEDGER, body);
        assert!(read.is_err(), "{}: {read:?}", String::from_utf8_lossy(body));
    }
}

#[test]
fn a_search_row_with_more_or_fewer_values_than_columns_is_refused() {
    let answer = |row: &str| {
        let columns = r#"{"columns":[{"name":"id"},{"name":"name"}]}"#;
        format!(r#"{{"response":{{"results":[{row}],"metaData":{columns}}}}}"#)
    };
    assert_eq!(read(CODES, answer(r#"[1,"a"]"#).as_bytes()).unwrap().records.len(), 1);
    assert!(read(CODES, answer("[1]").as_bytes()).is_err());
    assert!(read(CODES, answer(r#"[1,"a","b"]"#).as_bytes()).is_err());
}

#[test]
fn a_number_before_white_space_is_read() {
    let page =
        read(LEDGER, b"{\"response\":[{\"id\":7\n,\"days\":{\"1\":{\"rate\":2.50\n,\"amounts\":[{}]}}\n}]}").unwrap();
    assert!(page.rejected_values.is_empty(), "{:?}", page.rejected_values);
    assert_eq!(page.records.len(), 1);
    assert_eq!(extras(&page), [None]);
}

#[test]
fn a_value_from_an_enclosing_entry_that_does_not_fit_is_kept_and_counted() {
    let page = read(LEDGER, br#"{"response":[{"id":1,"days":{"monday":{"rate":"high","amounts":[{}]}}}]}"#).unwrap();
    assert_eq!(rejected_values(&page), [("amount.^.@key", 1), ("amount.^.rate", 1)]);
    assert_eq!(extras(&page), [Some(r#"{"^":{"@key":"monday","rate":"high"}}"#)]);
}

#[test]
fn a_value_that_fits_neither_of_its_two_columns_is_kept_once() {
    let page = read(LEDGER, br#"{"response":[{"id":1,"days":{"1":{"amounts":[{"on":"soon"}]}}}]}"#).unwrap();
    assert_eq!(extras(&page), [Some(r#"{"on":"soon"}"#)]);
}

#[test]
fn an_unnamed_field_of_a_record_without_rows_is_counted() {
    for days in ["{}", r#"{"1":{"amounts":[]}}"#] {
        let text = format!(r#"{{"response":[{{"id":1,"colour":"red","days":{days}}}]}}"#);
        let page = read(LEDGER, text.as_bytes()).unwrap();
        assert_eq!(rejected_values(&page), [("colour (unnamed, in a record without rows)", 1)]);
    }
}

#[test]
fn an_unnamed_field_of_a_record_is_kept_with_its_rows() {
    let page =
        read(LEDGER, br#"{"response":[{"id":1,"colour":"red","days":{"1":{"amounts":[{"tip":1 }]}}}]}"#).unwrap();
    assert!(page.rejected_values.is_empty());
    assert_eq!(extras(&page), [Some(r#"{"^":{"^":{"colour":"red"}},"tip":1}"#)]);
}

#[test]
fn an_entry_that_is_no_object_is_kept_whole_and_takes_the_place_of_nothing() {
    let schema = CODES
        .replace("style = \"search\"", "style = \"list\"")
        .replace("search = \"code-search\"", "get = \"code\"")
        .replace("key = \"id\"\n", "key = \"@key\"\n")
        .replace("from = \"id\",   type = \"int64\"", "from = \"@key\", type = \"int64\"");
    let page = read(&schema, br#"{"response":{"7":null,"8":"gone","9":{"name":"nine"}}}"#).unwrap();
    let kept: Vec<(String, &str)> = page
        .rejected_records
        .iter()
        .map(|record| (record.id.as_ref().unwrap().to_string(), record.raw.as_str()))
        .collect();
    assert_eq!(kept, [("7".to_owned(), "null"), ("8".to_owned(), "\"gone\"")]);
    assert_eq!(page.records.iter().map(|record| record.fits).collect::<Vec<bool>>(), [false, false, true]);
    assert_eq!(page.tables[0].batch.num_rows(), 1);
}

#[test]
fn a_record_read_by_its_id_whose_id_is_below_one_is_kept_whole_under_none() {
    let catalog = Catalog::load(None).unwrap();
    let shape = Shape::compile(catalog.get("order").unwrap()).unwrap();
    let mut answer: serde_json::Value = serde_json::from_str(include_str!("../fixtures/order.json")).unwrap();
    for id in [0, -7] {
        answer["response"][0]["id"] = id.into();
        let page = documents(&shape, &Body { bytes: answer.to_string().into(), gzip: false }).unwrap();
        let kept: Vec<_> =
            page.rejected_records.iter().map(|record| (&record.id, record.raw.contains("\"id\""))).collect();
        assert_eq!(kept, [(&None, true)], "{id}");
        assert!(page.records.iter().all(|record| !record.fits || record.key > Key::Int(0)), "{id}");
    }
}

/// The page of a resource's fixture once it has been changed.
fn changed(resource: &str, change: impl Fn(&mut serde_json::Value)) -> Page {
    let catalog = Catalog::load(None).unwrap();
    let shape = Shape::compile(catalog.get(resource).unwrap()).unwrap();
    let path = format!("{}/tests/fixtures/{resource}.json", env!("CARGO_MANIFEST_DIR"));
    let mut answer: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    change(&mut answer["response"]);
    documents(&shape, &Body { bytes: answer.to_string().into(), gzip: false }).unwrap()
}

/// The rows of each table, as text; with `_extra` only where asked for.
fn tables(page: &Page, with_extra: bool) -> Vec<Vec<String>> {
    let text = |page: &Page, table: usize| {
        let batch = &page.tables[table].batch;
        let columns: Vec<usize> = (0..batch.num_columns() - usize::from(!with_extra)).collect();
        let batch = batch.project(&columns).unwrap();
        let mut rows: Vec<String> =
            (0..batch.num_rows()).map(|row| format!("{:?}", batch.slice(row, 1).columns())).collect();
        rows.sort();
        rows
    };
    (0..page.tables.len()).map(|table| text(page, table)).collect()
}

/// A list as a map by this key, which its entries keep or not.
fn keyed(list: &serde_json::Value, name: &str, keeps: bool) -> serde_json::Value {
    let entries = list.as_array().unwrap().iter().map(|entry| {
        let (mut entry, key) = (entry.clone(), entry[name].to_string());
        if !keeps {
            entry.as_object_mut().unwrap().remove(name);
        }
        (key.trim_matches('"').to_owned(), entry)
    });
    serde_json::Value::Object(entries.collect())
}

/// A map by ids as a list, each entry with its id.
fn listed(map: &serde_json::Value) -> serde_json::Value {
    let entries = map.as_object().unwrap().iter().map(|(key, entry)| {
        let mut entry = entry.clone();
        entry["id"] = key.parse::<i64>().unwrap().into();
        entry
    });
    serde_json::Value::Array(entries.collect())
}

#[test]
fn a_key_that_is_missing_in_one_place_is_taken_from_the_other() {
    // GIVEN addresses as a map by id, without `addressId`; contacts as a map by id, without `contactId`
    let contact = tables(&changed("contact", |_| {}), false);
    let addresses = changed("contact", |response| {
        for contact in response.as_array_mut().unwrap() {
            if contact.get("postalAddresses").is_some() {
                contact["postalAddresses"] = keyed(&contact["postalAddresses"], "addressId", false);
            }
        }
    });
    let contacts = changed("contact", |response| *response = keyed(response, "contactId", false));
    // WHEN they are read THEN the rows are the same
    assert_eq!(tables(&addresses, false), contact);
    assert_eq!(tables(&contacts, false), contact);
    assert!(addresses.rejected_rows.is_empty() && contacts.rejected_records.is_empty());

    // GIVEN addresses in a list, with the plain name for their id
    let plain = changed("contact", |response| {
        for contact in response.as_array_mut().unwrap() {
            let addresses = contact.get_mut("postalAddresses").and_then(|addresses| addresses.as_array_mut());
            for address in addresses.into_iter().flatten() {
                let address = address.as_object_mut().unwrap();
                let id = address.shift_remove("addressId").unwrap();
                address.insert("id".to_owned(), id);
            }
        }
    });
    assert_eq!(tables(&plain, false), contact);
    assert!(plain.rejected_rows.is_empty());

    // GIVEN notes as a list, each with its id; rows of orders as a list
    for resource in ["goods_out_note", "product_availability"] {
        let list = changed(resource, |response| *response = listed(response));
        assert_eq!(tables(&list, false), tables(&changed(resource, |_| {}), false), "{resource}");
    }
    let orders = changed("order", |response| {
        for order in response.as_array_mut().unwrap() {
            if order.get("orderRows").is_some() {
                order["orderRows"] = listed(&order["orderRows"]);
            }
        }
    });
    assert_eq!(tables(&orders, false), tables(&changed("order", |_| {}), false));

    // GIVEN a key that cannot be read where the schema states it THEN it is kept beside the row
    let odd = changed("contact", |response| {
        *response = keyed(response, "contactId", true);
        for (_, contact) in response.as_object_mut().unwrap() {
            contact["contactId"] = "none".into();
        }
    });
    assert_eq!(tables(&odd, false)[0].len(), contact[0].len());
    assert!(extras(&odd)[0].unwrap().contains(r#""contactId":"none""#), "{:?}", extras(&odd));
    assert!(rejected_values(&odd).iter().any(|(path, _)| *path == "contact.contactId"), "{:?}", rejected_values(&odd));

    // AND names that are no ids are none: parties and custom fields stay rejected or as they are
    let parties = changed("order", |response| {
        for order in response.as_array_mut().unwrap() {
            order["parties"] = serde_json::json!([{"id": 7, "contactId": 3}]);
        }
    });
    assert!(
        parties.rejected_rows.iter().all(|row| row.table.as_deref() == Some("order_party")),
        "{:?}",
        parties.rejected_rows
    );
    assert_eq!(parties.rejected_rows.len(), parties.records.len());
}

#[test]
fn of_two_rows_of_one_key_in_a_record_the_later_stays_and_the_other_is_rejected() {
    let text = br#"{"response":[{"id":1,"postalAddresses":[]}]}"#;
    assert!(read(LEDGER, text).unwrap().rejected_rows.is_empty());
    let page = changed("contact", |response| {
        let contact = &mut response.as_array_mut().unwrap()[0];
        let mut twin = contact["postalAddresses"][0].clone();
        twin["addressLine1"] = "another line".into();
        contact["postalAddresses"].as_array_mut().unwrap().push(twin);
    });
    let kept: Vec<_> =
        page.rejected_rows.iter().map(|row| (row.table.as_deref().unwrap(), row.reason.as_str())).collect();
    assert_eq!(kept, [("contact_postal_address", "another row of the same key follows in its record")]);
    assert!(!page.rejected_rows[0].raw.contains("another line"), "{:?}", page.rejected_rows);
    let addresses = &page.tables[1];
    let lines = addresses.batch.column_by_name("address_line1").unwrap().as_string::<i32>();
    assert!(lines.iter().any(|line| line == Some("another line")), "{lines:?}");
    assert_eq!(addresses.record_places.len(), addresses.batch.num_rows());
    assert_eq!(tables(&changed("contact", |_| {}), true)[1].len(), addresses.batch.num_rows());
}

#[test]
fn of_two_records_of_one_key_the_newer_stays_by_the_columns_that_the_schema_names() {
    for (versions, stays) in [((3, 2), 0), ((2, 3), 1), ((2, 2), 1)] {
        let page = changed("order", |response| {
            let orders = response.as_array_mut().unwrap();
            orders.truncate(1);
            orders[0]["version"] = versions.0.into();
            let mut twin = orders[0].clone();
            twin["version"] = versions.1.into();
            orders.push(twin);
        });
        let fit: Vec<usize> = page.records.iter().enumerate().filter(|(_, o)| o.fits).map(|(place, _)| place).collect();
        assert_eq!(fit, [stays], "{versions:?}");
        assert_eq!((page.rejected_rows.len(), page.rejected_records.len()), (1, 0));
        assert_eq!(page.rejected_rows[0].id, Some(page.records[0].key.clone()));
    }
    // GIVEN one of the two that does not fit THEN the other stays, and the record is not pending
    let schema = CODES
        .replace("style = \"search\"", "style = \"list\"")
        .replace("search = \"code-search\"", "get = \"code\"")
        .replace("key = \"id\"\n", "key = \"@key\"\n")
        .replace("from = \"id\",   type = \"int64\"", "from = \"@key\", type = \"int64\"");
    let page = read(&schema, br#"{"response":{"7":{"name":"seven"},"7":"gone"}}"#).unwrap();
    assert_eq!((page.rejected_records.len(), page.rejected_rows.len()), (0, 1));
    assert_eq!(page.rejected_rows[0].raw, "\"gone\"");
    assert_eq!(page.records.iter().map(|record| record.fits).collect::<Vec<bool>>(), [true, false]);
}

#[test]
fn an_answer_of_another_shape_gives_what_it_has() {
    assert!(read(LEDGER, br#"{"metaData":{}}"#).is_err());
    let read = |text: &str| read(LEDGER, text.as_bytes()).unwrap();
    for (text, partial) in [
        (r#"{"response":null}"#, "is null"),
        (r#"{"response":"busy"}"#, "neither a list nor a map"),
        (r#"{"errors":[{"code":"X","message":"y"}]}"#, r#"states errors: [{"code":"X""#),
        (r#"{"response":[],"errors":{"a":1}}"#, "states errors"),
    ] {
        let page = read(text);
        assert_eq!(page.came, 0, "{text}");
        assert!(page.partial.as_deref().unwrap().contains(partial), "{text}: {:?}", page.partial);
    }
    for text in [r#"{"response":[{"id":1}],"errors":[]}"#, r#"{"response":[{"id":1}],"errors":null}"#] {
        assert_eq!((read(text).came, read(text).partial), (1, None), "{text}");
    }
    // AND a document that is in no list is one
    let alone = read(r#"{"response":{"id":1,"days":{"1":{"amounts":[{}]}}}}"#);
    assert_eq!((alone.records[0].key.clone(), alone.rejected_records.len()), (Key::Int(1), 0));
}

#[test]
fn a_raw_control_character_in_a_row_of_a_search_is_taken_as_that_character() {
    let answer = |row: &str| {
        let columns = r#"{"columns":[{"name":"id"},{"name":"name"}]}"#;
        format!(r#"{{"response":{{"results":[{row}],"metaData":{columns}}}}}"#)
    };
    let page = read(CODES, answer("[1,\"a\tb\nc\"],[2,\"x\\ud800\"]").as_bytes()).unwrap();
    let names = page.tables[0].batch.column_by_name("name").unwrap().as_string::<i32>();
    assert_eq!(names.iter().collect::<Vec<_>>(), [Some("a\tb\nc"), None]);
    assert_eq!(rejected_values(&page), [("code.name", 1)]);
    assert_eq!(extras(&page)[1], Some(r#"{"name":"\"x\\ud800\""}"#));
    // AND a search that states errors is not taken for a whole one
    let partial = answer(r#"[1,"a"]"#).replacen('{', r#"{"errors":[{"code":"X"}],"#, 1);
    assert!(read(CODES, partial.as_bytes()).is_err());
}

#[test]
fn an_entry_whose_name_is_empty_is_a_row_without_a_key_and_no_panic() {
    for text in [
        r#"{"response":[{"productId":1011,"priceLists":{"":1.5}}]}"#,
        r#"{"response":[{"productId":1011,"priceLists":{"":{"id":"","quantityPrice":{"1":"2"}}}}]}"#,
    ] {
        let catalog = Catalog::load(None).unwrap();
        let shape = Shape::compile(catalog.get("product_price").unwrap()).unwrap();
        let page = documents(&shape, &Body { bytes: text.as_bytes().to_vec().into(), gzip: false }).unwrap();
        assert_eq!(page.records.len(), 1, "{text}");
    }
}
