//! Size limits of the data files that are read: a file that somebody wrote together with its manifest has the right checksum, and
//! may state or unpack to anything.
//!
//! Takes a file as the Parquet reader wants it; gives its footer, and how many rows may be read at once. Refuses a
//! footer or a page larger than any that this program writes, before anything is allocated for it.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::{Compression, Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::ChunkReader;

use crate::write::thrift::ThriftReader;
use crate::write::weight::BATCH;

/// Bytes of a footer: one of a hundred million rows has this many.
const FOOTER: u64 = 16 << 20;
/// Bytes of the indexes of a file's pages.
const INDEXES: u64 = 16 << 20;
/// Elements of the schema of a nested table: a checkpoint of a Delta log has about 60, and more with statistics of other
/// writers.
const ELEMENTS: u64 = 1_000;
/// Bytes behind a footer: its length and the mark of the format.
const END: u64 = 8;
/// Bytes of a page when unpacked: one has a megabyte, and a value that is longer is in a page by itself. A value is
/// part of an answer, which has 32 MiB at most.
const PAGE: u64 = 64 << 20;
/// The largest pages of all columns that are read together: each is in memory, and may be a third time in a batch.
const PAGES: u64 = 128 << 20;
/// Bytes that are read for the header of a page at first, and at most.
const HEADER: u64 = 256;
const LONGEST_HEADER: u64 = 64 << 10;
/// Bytes of a value that is no text, and of Arrow's overhead for a text.
const FIXED: u64 = 16;

/// Reads a footer, and the indexes of pages that are wanted.
pub fn load_footer<R: ChunkReader>(file: &R, indexes: Indexes) -> Result<ArrowReaderMetadata> {
    let metadata = decode_footer(file, Nesting::Refused)?;
    let metadata = match indexes {
        Indexes::None => metadata,
        Indexes::Pages => {
            check_indexes(file, &metadata)?;
            let mut reader =
                ParquetMetaDataReader::new_with_metadata(metadata).with_page_index_policy(PageIndexPolicy::Optional);
            reader.read_page_indexes(file)?;
            reader.finish()?
        }
    };
    ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::default())
}

/// Reads the footer of a table with columns within columns; types are those of Parquet, whatever Arrow schema a writer
/// added.
pub fn load_nested_footer<R: ChunkReader>(file: &R) -> Result<ArrowReaderMetadata> {
    let metadata = decode_footer(file, Nesting::Bounded)?;
    ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::default().with_skip_arrow_metadata(true))
}

/// Whether a schema may have columns within columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nesting {
    Refused,
    /// At most [`ELEMENTS`] in all, which bounds the depth too.
    Bounded,
}

fn decode_footer<R: ChunkReader>(file: &R, nesting: Nesting) -> Result<ParquetMetaData> {
    let size = file.len();
    let end = size.checked_sub(END).ok_or_else(|| ParquetError::EOF("it is too short to be Parquet".to_owned()))?;
    let mut tail = file.get_bytes(end, 8)?;
    let length = u64::from(tail.get_u32_le());
    if *tail != *b"PAR1" {
        return Err(ParquetError::General("it does not end like a Parquet file".to_owned()));
    }
    let start = end.checked_sub(length).filter(|_| length <= FOOTER);
    let start = start.ok_or_else(|| too_large("its footer", length, FOOTER))?;
    let footer = file.get_bytes(start, usize::try_from(length).expect("it is at most FOOTER"))?;
    check_footer(&footer, nesting)?;
    ParquetMetaDataReader::decode_metadata(&footer)
}

/// Which indexes are read with a footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexes {
    None,
    /// Those of pages: least and greatest values, and places.
    Pages,
}

/// The number of rows that one batch of the read columns of these row groups may have, wherever it begins: by the
/// content of their pages, not by the statement of the footer. Refuses pages that are too large, or in encodings that
/// unpack to any length.
pub fn rows_at_once<R: ChunkReader>(
    file: &R,
    metadata: &ParquetMetaData,
    groups: &[usize],
    mask: &ProjectionMask,
) -> Result<usize> {
    let mut largest = 1;
    for group in groups {
        let columns = metadata.row_group(*group).columns().iter().enumerate();
        let (mut row, mut pages) = (0_u64, 0_u64);
        for (_, column) in columns.filter(|(leaf, _)| mask.leaf_included(*leaf)) {
            let held = weigh(file, column)?;
            row = row.saturating_add(FIXED + held.text);
            pages = pages.saturating_add(held.largest);
        }
        if pages > PAGES {
            return Err(too_large("its pages together", pages, PAGES));
        }
        largest = largest.max(row);
    }
    let most = u64::try_from(BATCH.bytes).unwrap_or(u64::MAX) / largest;
    Ok(usize::try_from(most).unwrap_or(usize::MAX).clamp(1, BATCH.rows))
}

/// The pages of a column of a row group.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    /// Bytes of the text of a row, in the page where they are most.
    text: u64,
    /// Bytes of the largest page.
    largest: u64,
}

fn weigh<R: ChunkReader>(file: &R, column: &ColumnChunkMetaData) -> Result<Weight> {
    let range = chunk_range(column, file.len())?;
    let is_text = column.column_type() == Type::BYTE_ARRAY;
    let (mut at, mut weight, mut longest) = (range.start, Weight::default(), 0);
    while at < range.end {
        let (header, length) = page_header(file, at, range.end)?;
        at += length;
        let content = header.packed;
        if content > range.end - at {
            return Err(ParquetError::General("a page goes beyond its column".to_owned()));
        }
        if header.unpacked > PAGE {
            return Err(too_large("a page", header.unpacked, PAGE));
        }
        weight.largest = weight.largest.max(header.unpacked);
        match (header.page, is_text) {
            (Page::Dictionary, true) => longest = longest_text(file, at, &header, column.compression())?,
            (Page::Plain, true) => weight.text = weight.text.max(header.unpacked.div_ceil(header.values.max(1))),
            (Page::Numbered, true) => weight.text = weight.text.max(longest),
            (Page::Dictionary | Page::Plain | Page::Numbered, false) => {}
        }
        at += content;
    }
    Ok(weight)
}

/// The kinds of pages that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Dictionary,
    /// Values as they are.
    Plain,
    /// Numbers, those of a dictionary's values among them.
    Numbered,
}

/// The header of a page.
#[derive(Clone, Copy, Debug)]
struct PageHeader {
    page: Page,
    packed: u64,
    unpacked: u64,
    values: u64,
}

/// Reads the header of a page; gives its length too.
fn page_header<R: ChunkReader>(file: &R, at: u64, end: u64) -> Result<(PageHeader, u64)> {
    let mut most = HEADER;
    loop {
        let bytes = file.get_bytes(at, usize::try_from(most.min(end - at)).expect("headers are short"))?;
        match parse_header(&bytes) {
            Err(_) if most < LONGEST_HEADER && most < end - at => most = LONGEST_HEADER,
            parsed => return parsed,
        }
    }
}

fn parse_header(bytes: &[u8]) -> Result<(PageHeader, u64)> {
    let mut compact = ThriftReader::new(bytes);
    let (mut kind, mut unpacked, mut packed, mut inner) = (None, None, None, None);
    let mut before = None;
    while let Some(field) = compact.field(before)? {
        match field.id {
            1 => kind = Some(compact.integer()?),
            2 => unpacked = u64::try_from(compact.integer()?).ok(),
            3 => packed = u64::try_from(compact.integer()?).ok(),
            5 | 7 | 8 if field.is_struct() => inner = Some(values(&mut compact, field.id)?),
            _ => compact.skip(field)?,
        }
        before = Some(field);
    }
    let unsound = || ParquetError::General("the header of a page is invalid".to_owned());
    let (values, encoding) = inner.ok_or_else(unsound)?;
    let page = match (kind, encoding) {
        (Some(2), Some(0 | 2)) => Page::Dictionary,
        (Some(0 | 3), Some(0)) => Page::Plain,
        (Some(0 | 3), Some(2 | 3 | 5 | 8)) => Page::Numbered,
        _ => return Err(ParquetError::General("a page is of a kind or an encoding that is not read".to_owned())),
    };
    let header = PageHeader {
        page,
        packed: packed.ok_or_else(unsound)?,
        unpacked: unpacked.ok_or_else(unsound)?,
        values: values.and_then(|values| u64::try_from(values).ok()).ok_or_else(unsound)?,
    };
    Ok((header, u64::try_from(compact.at()).expect("headers are short")))
}

/// The number of values and the encoding, from the part of a page's header that its kind has.
fn values(compact: &mut ThriftReader<'_>, part: i64) -> Result<(Option<i64>, Option<i64>)> {
    let place = if part == 8 { 4 } else { 2 };
    let (mut values, mut encoding, mut before) = (None, None, None);
    while let Some(field) = compact.field(before)? {
        match field.id {
            1 => values = Some(compact.integer()?),
            id if id == place => encoding = Some(compact.integer()?),
            _ => compact.skip(field)?,
        }
        before = Some(field);
    }
    Ok((values, encoding))
}

/// The longest text of a dictionary.
fn longest_text<R: ChunkReader>(file: &R, at: u64, header: &PageHeader, packing: Compression) -> Result<u64> {
    let size = |bytes| usize::try_from(bytes).map_err(|error| ParquetError::External(Box::new(error)));
    let packed = file.get_bytes(at, size(header.packed)?)?;
    let mut content = match packing {
        Compression::UNCOMPRESSED => packed,
        Compression::ZSTD(_) => Bytes::from(zstd::bulk::decompress(&packed, size(header.unpacked)?)?),
        _ => return Err(ParquetError::General("a page is packed in a way that is not read".to_owned())),
    };
    let mut longest = 0;
    while content.remaining() >= 4 {
        let length = content.get_u32_le();
        longest = longest.max(u64::from(length));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > content.remaining() {
            return Err(ParquetError::General("a text goes beyond its page".to_owned()));
        }
        content.advance(length);
    }
    Ok(longest)
}

/// The place of a column chunk; refuses one outside the file.
pub fn chunk_range(column: &ColumnChunkMetaData, size: u64) -> parquet::errors::Result<Range<u64>> {
    let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
    let bounds = u64::try_from(start).ok().zip(u64::try_from(column.compressed_size()).ok());
    let range = bounds.and_then(|(start, length)| Some(start..start.checked_add(length)?));
    range
        .filter(|range| range.end <= size)
        .ok_or_else(|| ParquetError::General("a column chunk is outside the file".to_owned()))
}

/// Refuses a footer that states more than it holds, or columns within columns: the reader of schemas calls itself for
/// each.
fn check_footer(footer: &[u8], nesting: Nesting) -> Result<()> {
    let mut compact = ThriftReader::new(footer);
    let mut before = None;
    while let Some(field) = compact.field(before)? {
        if field.id == 2 && field.is_list() {
            let (length, _) = compact.list()?;
            if nesting == Nesting::Bounded && u64::try_from(length).unwrap_or(u64::MAX) > ELEMENTS {
                return Err(too_large("its schema", u64::try_from(length).unwrap_or(u64::MAX), ELEMENTS));
            }
            for place in 0..length {
                check_column(&mut compact, place == 0 || nesting == Nesting::Bounded)?;
            }
        } else {
            compact.skip(field)?;
        }
        before = Some(field);
    }
    Ok(())
}

/// An element of a schema; only the first, the root, has others below it, unless nesting is bounded otherwise.
fn check_column(compact: &mut ThriftReader<'_>, may_nest: bool) -> Result<()> {
    let mut before = None;
    while let Some(field) = compact.field(before)? {
        if field.id == 5 {
            let children = compact.integer()?;
            if !may_nest && children != 0 {
                return Err(ParquetError::General("it has nested columns".to_owned()));
            }
        } else {
            compact.skip(field)?;
        }
        before = Some(field);
    }
    Ok(())
}

/// Refuses indexes of pages that are too large, or state more than they hold.
fn check_indexes<R: ChunkReader>(file: &R, metadata: &ParquetMetaData) -> Result<()> {
    let columns = || metadata.row_groups().iter().flat_map(|group| group.columns());
    let places = columns().flat_map(|column| {
        let values = column.column_index_offset().zip(column.column_index_length());
        values.into_iter().chain(column.offset_index_offset().zip(column.offset_index_length()))
    });
    let places: Vec<(u64, u64)> =
        places.filter_map(|(start, length)| Some((u64::try_from(start).ok()?, u64::try_from(length).ok()?))).collect();
    let all = places.iter().fold(0_u64, |sum, (_, length)| sum.saturating_add(*length));
    let first = places.iter().map(|(start, _)| *start).min();
    let last = places.iter().map(|(start, length)| start.saturating_add(*length)).max();
    let Some((first, last)) = first.zip(last) else { return Ok(()) };
    // The indexes follow each other, and the reader takes everything between the first and the last.
    if all > INDEXES || last - first > INDEXES {
        return Err(too_large("the index of its pages", all.max(last - first), INDEXES));
    }
    let bytes = file.get_bytes(first, usize::try_from(last - first).expect("it is at most INDEXES"))?;
    for (start, length) in places {
        let from = usize::try_from(start - first).expect("it is at most INDEXES");
        let to = usize::try_from(start - first + length).expect("it is at most INDEXES");
        let mut compact = ThriftReader::new(bytes.get(from..to).unwrap_or_default());
        let mut before = None;
        while let Some(field) = compact.field(before)? {
            compact.skip(field)?;
            before = Some(field);
        }
    }
    Ok(())
}

fn too_large(what: &str, bytes: u64, most: u64) -> ParquetError {
    ParquetError::General(format!("{what}: {bytes} bytes, more than the {most} that are read"))
}

#[cfg(test)]
mod tests {
    use super::{Nesting, Page, parse_header};

    fn check_footer(footer: &[u8]) -> super::Result<()> {
        super::check_footer(footer, Nesting::Refused)
    }

    /// A data page of ten values, of which an integer is twice its number: its encoding is the last.
    fn header(encoding: u8) -> Vec<u8> {
        let sizes = [0x15, 0, 0x15, 100, 0x15, 50];
        let inner = [0x2c, 0x15, 20, 0x15, 2 * encoding, 0x15, 6, 0x15, 6, 0];
        [&sizes[..], &inner, &[0]].concat()
    }

    #[test]
    fn encodings_that_repeat_a_text_in_a_few_bytes_are_refused() {
        let (plain, length) = parse_header(&header(0)).expect("it is sound");
        assert_eq!((plain.page, plain.unpacked, plain.packed, plain.values), (Page::Plain, 50, 25, 10));
        assert_eq!(usize::try_from(length), Ok(header(0).len()));
        assert_eq!(parse_header(&header(8)).expect("it is sound").0.page, Page::Numbered);
        // DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY, BYTE_STREAM_SPLIT
        for encoding in [6, 7, 9] {
            assert!(parse_header(&header(encoding)).is_err(), "{encoding}");
        }
        let cut = header(0);
        (0..cut.len()).for_each(|length| assert!(parse_header(&cut[..length]).is_err(), "{length}"));
    }

    #[test]
    fn a_footer_that_nests_or_states_more_than_it_holds_is_refused() {
        let root = [0x48, 1, b'r', 0x15, 2, 0];
        let leaf = [0x15, 4, 0x38, 1, b'a', 0];
        let group = [0x48, 1, b'g', 0x15, 2, 0];
        let footer = |elements: &[&[u8]]| {
            let count = u8::try_from(elements.len()).expect("they are few") << 4 | 0x0c;
            [&[0x15, 2, 0x19, count][..], &elements.concat(), &[0]].concat()
        };
        check_footer(&footer(&[&root, &leaf])).expect("it is flat");
        assert!(check_footer(&footer(&[&root, &group, &leaf])).is_err());
        let sound = footer(&[&root, &leaf]);
        (0..sound.len()).for_each(|length| assert!(check_footer(&sound[..length]).is_err(), "{length}"));
        // Structs in one another, and a list without end.
        assert!(check_footer(&[0x5c; 40]).is_err());
        assert!(check_footer(&[0x59, 0xf5, 0xff, 0xff, 0xff, 0x7f]).is_err());
    }
}
