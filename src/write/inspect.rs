//! The possible flaws of a data file, and the content of its footer, without reading the whole file.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use arrow_schema::DataType;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::errors::ParquetError;
use sha2::{Digest, Sha256};

use crate::failure::{Failure, Kind, Result};
use crate::manifest::{DataFile, Key};
use crate::quantity::plural;
use crate::store::{LocalCopy, RemoteFile};
use crate::write::expected_columns::Columns;
use crate::write::file_limits::{Indexes, load_footer};
use crate::write::parquet::failed;
use crate::write::ranges::Chunks;

/// Bytes hashed at a time.
const CHUNK: usize = 1 << 20;

/// A live file and its present path: the final one, or still the staged one.
#[derive(Clone, Debug)]
pub struct LocatedFile {
    pub file: DataFile,
    pub at: String,
}

/// Something wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFault {
    pub path: String,
    pub flaw: Flaw,
    /// The number of occurrences, for a flaw that can be repeated in a file; the flaw describes the first.
    pub count: u64,
}

/// The ways in which a live file can differ from its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is not there.
    Missing,
    /// Bytes there, bytes in the manifest.
    Size(u64, u64),
    /// Its content differs from the content that was written.
    Checksum,
    /// It is no whole Parquet file.
    Unreadable(String),
    /// Rows there, rows in the manifest.
    Rows(u64, u64),
    /// Its columns are not those of the table.
    Columns(String),
    /// Its least and greatest record key, and those of the manifest.
    Range { found: String, named: String },
    /// Rows out of the order of the key.
    Unsorted(String),
    /// A key that occurs twice in the table; the other file.
    Repeated { key: String, other: String },
    /// A record without a row in the main table.
    Orphan(String),
    /// A row that belongs to another partition.
    Partition { key: String, belongs: String },
}

impl Flaw {
    /// The flaw in one word, for machines.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Size(..) => "size",
            Self::Checksum => "checksum",
            Self::Unreadable(_) => "unreadable",
            Self::Rows(..) => "rows",
            Self::Columns(_) => "columns",
            Self::Range { .. } => "range",
            Self::Unsorted(_) => "unsorted",
            Self::Repeated { .. } => "repeated-key",
            Self::Orphan(_) => "orphan",
            Self::Partition { .. } => "partition",
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the manifest names it, but it does not exist"),
            Self::Size(found, named) => write!(f, "it has {found} bytes, and the manifest has {named}"),
            Self::Checksum => f.write_str("its bytes are not the ones that were written: the checksum differs"),
            Self::Unreadable(why) => write!(f, "it cannot be read: {why}"),
            Self::Rows(found, named) => {
                write!(f, "it has {}, and the manifest has {named}", plural(*found, "row"))
            }
            Self::Columns(why) => write!(f, "its columns differ from those of the table: {why}"),
            Self::Range { found, named } => write!(f, "its record keys are {found}, and the manifest has {named}"),
            Self::Unsorted(key) => write!(f, "its rows are not sorted by the key: ({key}) comes too late"),
            Self::Repeated { key, other } => write!(f, "the key ({key}) occurs again; it is also in {other}"),
            Self::Orphan(key) => write!(f, "the record of ({key}) is not in the main table"),
            Self::Partition { key, belongs } => write!(f, "({key}) belongs to {belongs}"),
        }
    }
}

/// The statements of a file's footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    pub rows: u64,
    pub columns: Vec<(String, DataType)>,
}

impl Footer {
    pub(super) fn new(metadata: &ArrowReaderMetadata) -> Self {
        let fields = metadata.schema().fields().iter();
        Self {
            rows: u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0),
            columns: fields.map(|field| (field.name().clone(), field.data_type().clone())).collect(),
        }
    }

    /// The first column that is not as it should be.
    pub fn differs(&self, columns: &Columns) -> Option<Flaw> {
        let columns = match columns {
            Columns::Just(columns) => columns,
            Columns::Among(names) => {
                let lacks = |name: &&String| self.columns.iter().all(|(found, _)| found != *name);
                return names.iter().find(lacks).map(|name| Flaw::Columns(format!("there is no `{name}`")));
            }
        };
        if let Some((found, named)) = self.columns.iter().zip(columns).find(|(found, named)| found != named) {
            let why = format!("`{}` ({}) is in the place of `{}` ({})", found.0, found.1, named.0, named.1);
            return Some(Flaw::Columns(why));
        }
        let (found, named) = (self.columns.len(), columns.len());
        (found != named).then(|| Flaw::Columns(format!("there are {found}, and the manifest has {named}")))
    }
}

/// Reads a footer. Blocks: call it from a blocking thread. The inner error is the reason why the file is no Parquet,
/// the outer one a failure of the store.
pub fn footer(file: RemoteFile) -> Result<Result<Footer, Flaw>> {
    match Chunks::open(file).and_then(|file| load_footer(&file, Indexes::None)) {
        Ok(metadata) => Ok(Ok(Footer::new(&metadata))),
        Err(error) => unreadable(error).map(Err),
    }
}

/// A flaw of the file, unless the store itself failed.
fn unreadable(error: ParquetError) -> Result<Flaw> {
    match error {
        ParquetError::External(inner) => match inner.downcast::<Failure>() {
            Ok(failure) if failure.kind() == Kind::StoreUnreachable => Err(*failure),
            Ok(failure) => Ok(Flaw::Unreadable(failure.to_string())),
            Err(other) => Ok(Flaw::Unreadable(other.to_string())),
        },
        other => Ok(Flaw::Unreadable(other.to_string())),
    }
}

/// The SHA-256 of a local file, hexadecimal, and its size in bytes.
pub(super) fn checksum(file: &mut File, path: &Path) -> Result<(String, u64)> {
    let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        let length = file.read(&mut chunk).map_err(|error| failed("read", path, error))?;
        if length == 0 {
            break;
        }
        hash.update(&chunk[..length]);
        bytes += u64::try_from(length).expect("a length fits");
    }
    Ok((hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(), bytes))
}

/// Refuses (`Damage`) a copy of a live file with other bytes than the written ones: rows merged from it would get a
/// valid checksum.
pub(super) fn refuse_altered(copy: &LocalCopy, file: &DataFile) -> Result<()> {
    let damaged = |why: &str| Failure::damaged("read a data file", &file.path).because(why);
    if copy.bytes() != file.bytes {
        return Err(damaged("its size differs from the manifest"));
    }
    let mut opened = copy.open()?.ok_or_else(|| damaged("it is gone"))?;
    let (sha256, _) = checksum(&mut opened, copy.path())?;
    if sha256 == file.sha256 { Ok(()) } else { Err(damaged("its checksum differs from the manifest")) }
}

/// A range of record keys for people.
pub(super) fn range(first: Option<&Key>, last: Option<&Key>) -> String {
    match (first, last) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "none".to_owned(),
    }
}
