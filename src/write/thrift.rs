//! Thrift's compact protocol, as far as a check of a Parquet footer or page header before its decoding needs it.
//!
//! Takes untrusted bytes; refuses lengths beyond their end and nesting deeper than Parquet has. No allocation depends
//! on a stated length.

use parquet::errors::{ParquetError, Result};

/// Structs and lists in one another: a footer has six.
const DEPTH: u8 = 16;

/// Kinds of values, as a field header states them.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;

/// Bytes being read.
pub struct ThriftReader<'b> {
    bytes: &'b [u8],
    length: usize,
}

/// A field's id and the kind of its value.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub id: i64,
    kind: u8,
}

impl Field {
    /// Whether its value is a list.
    pub fn is_list(self) -> bool {
        self.kind == LIST
    }

    /// Whether its value is a struct.
    pub fn is_struct(self) -> bool {
        self.kind == STRUCT
    }
}

fn refused(why: &str) -> ParquetError {
    ParquetError::General(format!("its metadata is invalid: {why}"))
}

impl<'b> ThriftReader<'b> {
    /// From the first byte on.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, length: bytes.len() }
    }

    /// Bytes read so far.
    pub fn at(&self) -> usize {
        self.length - self.bytes.len()
    }

    /// The next field of a struct; none at its end. `before` is the field before.
    pub fn field(&mut self, before: Option<Field>) -> Result<Option<Field>> {
        let head = self.byte()?;
        let kind = head & 0x0f;
        if kind == 0 {
            return Ok(None);
        }
        let id = match head >> 4 {
            0 => self.integer()?,
            step => before.map_or(0, |before| before.id).saturating_add(i64::from(step)),
        };
        Ok(Some(Field { id, kind }))
    }

    /// Passes over a field's value.
    pub fn skip(&mut self, field: Field) -> Result<()> {
        match field.kind {
            // A field's boolean is in its header.
            TRUE | FALSE => Ok(()),
            kind => self.value(kind, DEPTH),
        }
    }

    /// Reads a list header: the length of the list, and the kind of its entries.
    pub fn list(&mut self) -> Result<(usize, u8)> {
        let head = self.byte()?;
        let length = match head >> 4 {
            15 => self.length()?,
            short => usize::from(short),
        };
        // An entry has a byte at least.
        if length > self.bytes.len() {
            return Err(refused("a list is longer than the data that contains it"));
        }
        Ok((length, head & 0x0f))
    }

    /// An integer of any width.
    pub fn integer(&mut self) -> Result<i64> {
        let value = self.varint()?;
        let half = i64::try_from(value >> 1).map_err(|_| refused("an integer is too wide"))?;
        Ok(if value & 1 == 0 { half } else { -half - 1 })
    }

    fn value(&mut self, kind: u8, depth: u8) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or_else(|| refused("it nests too deep"))?;
        match kind {
            TRUE | FALSE | BYTE => self.byte().map(|_| ()),
            4..=6 => self.varint().map(|_| ()),
            DOUBLE => self.pass(8),
            BINARY => {
                let length = self.length()?;
                self.pass(length)
            }
            LIST | SET => {
                let (length, kind) = self.list()?;
                (0..length).try_for_each(|_| self.value(kind, depth))
            }
            MAP => {
                let length = self.length()?;
                let kinds = if length == 0 { 0 } else { self.byte()? };
                (0..length).try_for_each(|_| {
                    self.value(kinds >> 4, depth)?;
                    self.value(kinds & 0x0f, depth)
                })
            }
            STRUCT => {
                let mut before = None;
                while let Some(field) = self.field(before)? {
                    if !matches!(field.kind, TRUE | FALSE) {
                        self.value(field.kind, depth)?;
                    }
                    before = Some(field);
                }
                Ok(())
            }
            _ => Err(refused("it has a value of no known kind")),
        }
    }

    fn length(&mut self) -> Result<usize> {
        usize::try_from(self.varint()?).map_err(|_| refused("a length is too large"))
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for place in 0..10 {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(refused("an integer is too wide"))
    }

    fn byte(&mut self) -> Result<u8> {
        let (byte, rest) = self.bytes.split_first().ok_or_else(|| refused("it ends early"))?;
        self.bytes = rest;
        Ok(*byte)
    }

    fn pass(&mut self, length: usize) -> Result<()> {
        self.bytes = self.bytes.get(length..).ok_or_else(|| refused("it ends early"))?;
        Ok(())
    }
}
