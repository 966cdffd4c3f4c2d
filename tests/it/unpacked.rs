//! Data files that unpack to far more than they have, beside manifests that state their checksums: somebody who may write to
//! the destination made both.

use std::fs::File;
use std::io::{Read, Write, repeat};
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Program, account, copy_folder, files, peak_memory};

/// The peak of a command at default settings.
const MOST: u64 = 512 << 20;
/// Rows that the forged files state: with a text of 8 MiB in each, sixteen times the bound.
const ROWS: u32 = 1_000;

/// An unsigned integer as Thrift and Parquet write it.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// An integer field of a Thrift struct whose id is the next one.
fn integer(value: usize) -> Vec<u8> {
    [vec![0x15], varint(2 * u64::try_from(value).unwrap())].concat()
}

/// A page: its header, then its packed content.
fn page(kind: usize, encoding: usize, values: u32, unpacked: usize, packed: &[u8]) -> Vec<u8> {
    let sizes = [integer(kind), integer(unpacked), integer(packed.len())].concat();
    let inner = [integer(usize::try_from(values).unwrap()), integer(encoding)].concat();
    let levels = if kind == 0 { [integer(3), integer(3)].concat() } else { Vec::new() };
    let part = if kind == 0 { 0x2c } else { 0x4c };
    [sizes, vec![part], inner, levels, vec![0, 0], packed.to_vec()].concat()
}

/// A page of values that are written out here.
fn small(kind: usize, encoding: usize, values: u32, content: &[u8]) -> Vec<u8> {
    page(kind, encoding, values, content.len(), &zstd::bulk::compress(content, 3).unwrap())
}

/// Definition levels of a page: all the same.
fn levels(rows: u32, level: u8) -> Vec<u8> {
    let run = [varint(2 * u64::from(rows)), vec![level]].concat();
    [u32::try_from(run.len()).unwrap().to_le_bytes().to_vec(), run].concat()
}

/// Packs a beginning and so many bytes of one letter.
fn packed(before: &[u8], letters: u64) -> Vec<u8> {
    let mut packer = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
    packer.include_contentsize(false).unwrap();
    packer.write_all(before).unwrap();
    std::io::copy(&mut repeat(b'x').take(letters), &mut packer).unwrap();
    packer.finish().unwrap()
}

/// A column of numbers that has no nulls.
fn numbers() -> Vec<u8> {
    let all: Vec<u8> = (1..=i64::from(ROWS)).flat_map(i64::to_le_bytes).collect();
    small(0, 0, ROWS, &all)
}

/// A column of nulls.
fn nulls() -> Vec<u8> {
    small(0, 0, ROWS, &levels(ROWS, 0))
}

/// A column of one text of so many bytes in every row: once in a dictionary.
fn repeated(bytes: u32) -> Vec<u8> {
    let dictionary = packed(&bytes.to_le_bytes(), u64::from(bytes));
    let numbers = [levels(ROWS, 1), vec![1], varint(2 * u64::from(ROWS)), vec![0]].concat();
    [page(2, 0, 1, usize::try_from(bytes + 4).unwrap(), &dictionary), small(0, 8, ROWS, &numbers)].concat()
}

/// A column of one text of so many bytes, and nulls.
fn long(bytes: u32) -> Vec<u8> {
    let run = [varint(2), vec![1], varint(2 * u64::from(ROWS - 1)), vec![0]].concat();
    let length = u32::try_from(run.len()).unwrap().to_le_bytes();
    let before = [length.to_vec(), run, bytes.to_le_bytes().to_vec()].concat();
    let unpacked = before.len() + usize::try_from(bytes).unwrap();
    page(0, 0, ROWS, unpacked, &packed(&before, u64::from(bytes)))
}

/// Writes a file with the columns of an honest one: texts are of these pages.
fn forge(honest: &Path, at: &Path, texts: impl Fn(&str) -> Vec<u8>) {
    let reader = SerializedFileReader::new(File::open(honest).unwrap()).unwrap();
    let metadata = reader.metadata().file_metadata();
    let properties = WriterProperties::builder().set_key_value_metadata(metadata.key_value_metadata().cloned()).build();
    let schema = metadata.schema_descr().root_schema_ptr();
    let mut writer = SerializedFileWriter::new(File::create(at).unwrap(), schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for column in metadata.schema_descr().columns() {
        let is_text = column.physical_type() == parquet::basic::Type::BYTE_ARRAY;
        let bytes = match (is_text, column.max_def_level()) {
            (true, 1..) => texts(column.name()),
            (true, 0) => small(0, 0, ROWS, &[1, 0, 0, 0, b'x'].repeat(usize::try_from(ROWS).unwrap())),
            (false, 0) => numbers(),
            (_, _) => nulls(),
        };
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let length = i64::try_from(bytes.len()).unwrap();
        let dictionary = bytes[..2] == [0x15, 4];
        let chunk = ColumnChunkMetaData::builder(Arc::clone(column))
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_encodings(vec![Encoding::PLAIN])
            .set_num_values(i64::from(ROWS))
            .set_total_compressed_size(length)
            .set_total_uncompressed_size(length)
            .set_data_page_offset(0)
            .set_dictionary_page_offset(dictionary.then_some(0))
            .build()
            .unwrap();
        let closed = ColumnCloseResult {
            bytes_written: u64::try_from(length).unwrap(),
            rows_written: u64::from(ROWS),
            metadata: chunk,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        group.append_column(&file, closed).unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

/// Writes a file that is a footer alone.
fn footer(at: &Path, footer: &[u8]) {
    let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
    std::fs::write(at, [b"PAR1", footer, &length, b"PAR1"].concat()).unwrap();
}

/// Makes the manifest state the size and the checksum that its file has.
fn vouch(lake: &Path, at: &Path) {
    let manifest = files(&lake.join("_pearlift/manifests/brand")).pop().unwrap();
    let mut version: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    let bytes = std::fs::read(at).unwrap();
    let file = &mut version["tables"]["brand"]["files"][0];
    file["bytes"] = json!(bytes.len());
    file["rows"] = json!(ROWS);
    file["sha256"] = json!(Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    std::fs::write(&manifest, version.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_data_file_that_unpacks_to_far_more_than_it_has_is_damage_and_takes_no_memory() {
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let (whole, lake) = (folder.path().join("whole"), folder.path().join("lake"));
    Program::new(&sandbox, &whole).run(&["run", "brand"]).expect(0);
    let honest = files(&whole.join("brand")).pop().unwrap();
    let data = lake.join(honest.strip_prefix(&whole).unwrap());
    let program = Program::new(&sandbox, &lake);
    // A root with one column, in which there is one, and so on.
    let nested = [
        vec![0x15, 2, 0x19, 0xfc],
        varint(200_002),
        [0x48, 1, b'r', 0x15, 2, 0].to_vec(),
        [0x35, 0, 0x18, 1, b'a', 0x15, 2, 0].repeat(200_000),
        [0x15, 4, 0x25, 0, 0x18, 1, b'z', 0].to_vec(),
        vec![0x16, 0, 0x19, 0x0c, 0],
    ]
    .concat();
    let endless = [vec![0x15, 2, 0x19, 0xfc], varint(u64::from(u32::MAX >> 1)), vec![0; 40]].concat();
    // GIVEN a page of 700 MiB, many large pages, a text in a dictionary that stands in each row, and footers
    let forged = folder.path().join("forged.parquet");
    let forgeries: [(&str, &dyn Fn()); 5] = [
        ("a page", &|| forge(&honest, &forged, |name| if name == "name" { long(700 << 20) } else { nulls() })),
        ("pages", &|| forge(&honest, &forged, |_| long(60 << 20))),
        ("a dictionary", &|| forge(&honest, &forged, |name| if name == "name" { repeated(8 << 20) } else { nulls() })),
        ("columns within columns", &|| footer(&forged, &nested)),
        ("a list of two thousand million", &|| footer(&forged, &endless)),
    ];
    for (what, write) in forgeries {
        write();
        for command in [&["verify", "--deep"][..], &["run", "--full", "brand"], &["verify"]] {
            let _ = std::fs::remove_dir_all(&lake);
            copy_folder(&whole, &lake);
            std::fs::copy(&forged, &data).unwrap();
            vouch(&lake, &data);
            // WHEN a command reads it
            let (done, memory) = peak_memory(&program, command);
            // THEN it ends as it should, with little memory
            assert!([0, 1, 3, 7].contains(&done.code), "{what}, {command:?}: {} {}", done.code, done.said());
            assert!(memory < MOST, "{what}, {command:?}: {} MiB: {}", memory >> 20, done.said());
            assert!(command != ["verify", "--deep"] || done.code == 7, "{what}: {}", done.said());
        }
    }
}
