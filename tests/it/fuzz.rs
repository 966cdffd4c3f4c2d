//! The fuzz targets on every example of the corpus and on examples spoilt at random, a few seconds of the work that
//! `make fuzz` does for hours.

#[path = "../../fuzz/src/targets.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use pearlift::config::{Environment, Settings};
use pearlift::decode::{documents, ids, meta_data, uris};
use pearlift::fetch::{Body, error_body};
use pearlift::schema::Catalog;
use targets::{TARGETS, Target};

/// Spoilt examples of each target.
const ROUNDS: usize = 4_000;
/// Of each run alike, so that a failure is found again.
const SEED: u64 = 20_261_124;
/// Pieces that the formats are made of: changes of single bytes seldom make them.
const PIECES: [&str; 32] = [
    "null",
    "true",
    "\"",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "-",
    ".",
    "e",
    "E+",
    "0",
    "00",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e999999999",
    "1.0000000",
    "\n",
    "[[",
    "]]",
    " = ",
    "\u{feff}",
    "../",
    "//",
    "=",
    "id",
    "é",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// The examples of a target, in the order of their names.
fn examples(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(root().join(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Changes a few places of an example.
fn spoil(random: &mut fastrand::Rng, example: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = example.to_vec();
    for _ in 0..random.usize(1..5) {
        let at = random.usize(..=bytes.len());
        let end = (at + random.usize(..24)).min(bytes.len());
        match random.u8(..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                let into = random.usize(..=bytes.len());
                bytes.splice(into..into, piece);
            }
            4 => {
                let from = random.usize(..=other.len());
                let to = (from + random.usize(..64)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            5 => bytes.insert(at, random.u8(..)),
            _ => {
                let piece = random.choice(PIECES).unwrap();
                let until = if random.bool() { end } else { at };
                bytes.splice(at..until, piece.bytes());
            }
        }
    }
    bytes
}

#[track_caller]
fn survives(name: &str, target: Target, bytes: &[u8]) {
    let outcome = catch_unwind(AssertUnwindSafe(|| target(bytes)));
    // The target's message is on stderr already.
    assert!(outcome.is_ok(), "{name} does not take, seed {SEED}: {}", bytes.escape_ascii());
}

#[test]
fn every_target_has_examples_and_every_example_a_target() {
    let mut folders: Vec<String> =
        std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    folders.sort();
    let mut names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(folders, names);
    assert!(names.iter().all(|name| examples(name).len() >= 5));
}

#[test]
fn every_example_of_the_corpus_is_refused_or_read_well() {
    for (name, target) in TARGETS {
        for example in examples(name) {
            survives(name, target, &example);
        }
    }
}

#[test]
fn what_is_spoilt_at_random_is_refused_or_read_well() {
    for (name, target) in TARGETS {
        let mut random = fastrand::Rng::with_seed(SEED);
        let examples = examples(name);
        for _ in 0..ROUNDS {
            let example = random.choice(&examples).unwrap();
            let other = random.choice(&examples).unwrap();
            survives(name, target, &spoil(&mut random, example, other));
        }
    }
}

#[test]
fn what_nests_ten_thousand_deep_is_refused_and_the_stack_holds() {
    // GIVEN text as deep as a hostile source may send it, closed and not, on the small stack of a worker
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    let texts = [
        deep("[", "]"),
        deep("{\"a\":", "}"),
        "[".repeat(10_000),
        "{\"a\":".repeat(10_000),
        deep("[{\"response\":", "}]"),
    ];
    let worker = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        for text in texts {
            // WHEN it comes as an answer, in an answer, as an error
            for body in
                [text.clone(), format!("{{\"response\":{text}}}"), format!("{{\"errors\":{text},\"response\":[]}}")]
            {
                let body = Body { bytes: body.into(), gzip: false };
                let catalog = Catalog::load(None).unwrap();
                let shape = pearlift::decode::Shape::compile(&catalog.resources()[0]).unwrap();
                // THEN it is refused, or no record of it is taken
                let page = documents(&shape, &body);
                assert!(page.is_err() || page.unwrap().records.iter().all(|record| !record.fits));
                assert!(uris(&body).is_err() && meta_data(&body).is_err() && ids(&body, "id", "id", &[], &[]).is_err());
                assert_eq!(error_body(&body), pearlift::fetch::ErrorBody::default());
            }
            assert!(
                pearlift::manifest::parse("order", 1, format!("{{\"format\":1,\"tables\":{text}}}").as_bytes())
                    .is_err()
            );
            // AND so are a schema file and settings
            let toml = format!("about = {text}");
            assert!(Catalog::from_texts(&[("thing".to_owned(), toml.clone())]).is_err());
            assert!(Settings::from_text(None, &toml, Environment::default(), &[]).is_err());
        }
    });
    worker.unwrap().join().unwrap();
    // AND a value with four times the nesting of any document of the source is read
    let shape = pearlift::decode::Shape::compile(Catalog::load(None).unwrap().get("brand").unwrap()).unwrap();
    let read = |deep: usize| {
        let text = format!("{{\"response\":[{{\"id\":1,\"x\":{}{}}}]}}", "[".repeat(deep), "]".repeat(deep));
        documents(&shape, &Body { bytes: text.into(), gzip: false })
    };
    assert!(read(29).unwrap().records[0].fits);
    // AND a record that nests deeper is kept whole
    let page = read(30).unwrap();
    assert!(!page.records[0].fits);
    assert_eq!(page.rejected_records.len(), 1);
}
