//! The bytes that rows take: batches are cut by bytes, because a row may take a few bytes or a megabyte.
//!
//! Offsets of Arrow's texts are 32 bits wide, so a batch of unbounded bytes not only fills the memory but fails.

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;

/// A batch on its way from stage to stage has at most this many rows and, where a single row is not larger, this many
/// bytes.
pub const BATCH: Most = Most { rows: 8192, bytes: 4 << 20 };

/// The largest batch that is wanted; one row is always allowed.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    pub rows: usize,
    pub bytes: usize,
}

/// The bytes of each row of a batch: of its texts, and of its other values as they lie in memory.
pub fn row_bytes(batch: &RecordBatch) -> Vec<usize> {
    let texts = batch.columns().iter().filter(|column| *column.data_type() == DataType::Utf8);
    let mut sizes = vec![fixed(batch); batch.num_rows()];
    for text in texts {
        for (size, ends) in sizes.iter_mut().zip(text.as_string::<i32>().value_offsets().windows(2)) {
            *size += usize::try_from(ends[1] - ends[0]).expect("offsets ascend");
        }
    }
    sizes
}

/// The bytes of all rows of a batch, without those around a slice.
pub fn bytes(batch: &RecordBatch) -> usize {
    let texts = batch.columns().iter().filter(|column| *column.data_type() == DataType::Utf8);
    let length = |column: &dyn Array| {
        let offsets = column.as_string::<i32>().value_offsets();
        usize::try_from(offsets[offsets.len() - 1] - offsets[0]).expect("offsets ascend")
    };
    fixed(batch) * batch.num_rows() + texts.map(|text| length(text)).sum::<usize>()
}

/// The bytes of a row without its texts.
fn fixed(batch: &RecordBatch) -> usize {
    let width = |kind: &DataType| kind.primitive_width().unwrap_or(4);
    batch.columns().iter().map(|column| width(column.data_type())).sum()
}

impl Most {
    /// How many of these rows, from the first on, are a batch.
    pub fn length(&self, sizes: impl IntoIterator<Item = usize>) -> usize {
        let mut bytes = 0_usize;
        let fits = |size: &usize| {
            bytes = bytes.saturating_add(*size);
            bytes <= self.bytes
        };
        sizes.into_iter().take(self.rows).take_while(fits).count().max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};

    use super::{Most, bytes, row_bytes};

    fn batch() -> RecordBatch {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("abc"), None, Some("a longer text"), Some("")]));
        RecordBatch::try_from_iter([("id", ids), ("text", texts)]).unwrap()
    }

    #[test]
    fn rows_have_the_bytes_of_their_values() {
        let batch = batch();
        assert_eq!(row_bytes(&batch), [15, 12, 25, 12]);
        assert_eq!(bytes(&batch), 64);
        assert_eq!(row_bytes(&batch.slice(2, 2)), [25, 12]);
        assert_eq!(bytes(&batch.slice(1, 2)), 37);
        assert_eq!((row_bytes(&batch.slice(4, 0)), bytes(&batch.slice(4, 0))), (Vec::new(), 0));
    }

    #[test]
    fn a_batch_ends_before_it_is_too_large_and_never_without_a_row() {
        let most = Most { rows: 3, bytes: 30 };
        assert_eq!(most.length([15, 12, 25, 12]), 2);
        assert_eq!(most.length([1, 1, 1, 1]), 3);
        assert_eq!(most.length([31, 1]), 1);
        assert_eq!(most.length([usize::MAX, usize::MAX]), 1);
    }
}
