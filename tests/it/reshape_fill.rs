//! Columns that a migration fills from `_extra`: every one of every schema, as a re-read fills it.

use arrow_array::cast::AsArray;
use pearlift::decode::Rest;
use pearlift::schema::{EXTRA, Partition};

use crate::support::answer;

#[test]
fn every_column_of_every_schema_is_filled_as_a_reread_fills_it_or_is_named() {
    let catalog = pearlift::schema::Catalog::load(None).unwrap();
    let (mut filled, mut unfilled) = (0, 0);
    for resource in catalog.resources() {
        let body = answer(resource);
        let fresh = crate::schemas::decode(resource, &body);
        for (place, table) in resource.tables.iter().enumerate() {
            for (column, wanted) in table.columns.iter().enumerate().filter(|(_, column)| !column.required) {
                // GIVEN rows read by a schema without this column
                let mut before = resource.clone();
                before.read.newer.clear();
                before.tables[place].columns.remove(column);
                before.tables.iter_mut().for_each(|table| table.partition = Partition::None);
                let old = crate::schemas::decode(&before, &body);
                let extras = old.tables[place].batch.column_by_name(EXTRA).unwrap().as_string().clone();

                // WHEN it is taken out of their `_extra`
                let rest = Rest::new(&before, resource, place, &[column], &[]).unwrap();
                let (values, left) = rest.take(&extras);

                // THEN values and the remaining `_extra` equal a fresh read, or nothing is touched and that is reported
                let name = format!("{}.{}", table.name, wanted.name);
                if rest.unfilled().is_empty() {
                    let batch = &fresh.tables[place].batch;
                    assert_eq!(&values[0].1, batch.column(column), "{name}");
                    assert_eq!(&left, batch.column_by_name(EXTRA).unwrap(), "{name}");
                    filled += 1;
                } else {
                    assert_eq!((values.len(), left.as_string()), (0, &extras), "{name}");
                    unfilled += 1;
                }
            }
        }
    }
    // Values that share their place with another column, such as a date beside its instant, or have another place.
    assert!(filled > 600 && unfilled < 80, "{filled} {unfilled}");
}
