//! The digest of rows, by which a page is known again.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_row::{RowConverter, SortField};
use sha2::{Digest, Sha256};

/// The digest of the values of these batches; none where a column has no order.
pub fn digest<'b>(batches: impl Iterator<Item = &'b RecordBatch>) -> Option<String> {
    let mut hash = Sha256::new();
    for batch in batches {
        let columns: Vec<ArrayRef> = batch.columns().iter().map(Arc::clone).collect();
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        let rows = RowConverter::new(fields).ok()?.convert_columns(&columns).ok()?;
        hash.update(rows.num_rows().to_le_bytes());
        for row in &rows {
            hash.update(row.data().len().to_le_bytes());
            hash.update(row.data());
        }
    }
    Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn rows_that_differ_in_a_value_or_in_their_order_have_other_digests() {
        let batch = |ids: Vec<i64>, texts: Vec<Option<&str>>| {
            let (ids, texts): (ArrayRef, ArrayRef) =
                (Arc::new(Int64Array::from(ids)), Arc::new(StringArray::from(texts)));
            digest([RecordBatch::try_from_iter([("id", ids), ("text", texts)]).unwrap()].iter()).unwrap()
        };
        let one = batch(vec![1, 2], vec![Some("a"), None]);
        assert_eq!(one, batch(vec![1, 2], vec![Some("a"), None]));
        for other in [
            batch(vec![1, 3], vec![Some("a"), None]),
            batch(vec![1, 2], vec![Some("a"), Some("")]),
            batch(vec![2, 1], vec![None, Some("a")]),
            batch(vec![1], vec![Some("a")]),
        ] {
            assert_ne!(one, other);
        }
    }
}
