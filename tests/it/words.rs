//! The words of the glossary: the old ones are refused in code, pages, schema files and help texts.

use std::path::PathBuf;
use std::process::Command;

use crate::support::{own_files, root};

/// Words that have a better one in docs/glossary.md, or are no plain English.
const OLD: [&str; 29] = [
    "asker",
    "bears",
    "commission",
    "dead",
    "died",
    "dies",
    "errand",
    "errands",
    "foresee",
    "foreseen",
    "keyless",
    "mend",
    "mended",
    "mending",
    "mends",
    "misfit",
    "misfits",
    "mould",
    "owed",
    "patience",
    "spared",
    "stir",
    "stirred",
    "stirring",
    "stirs",
    "stood",
    "tells",
    "told",
    "whoever",
];
/// Phrases, of the same kind.
const PHRASES: [&str; 7] =
    ["brought home", "kept aside", "goes on", "handed on", "hand of", "kept apart", "struck off"];
/// Names that stay: an option and a folder of the contract.
const KEPT: [&str; 6] = [
    "\"misfits\"",
    "\"--fail-on\", \"misfit\"",
    "--fail-on misfit",
    "_pearlift/misfits",
    "{OURS}/misfits",
    "[possible values: misfit]",
];

/// The old words of a text; a word ends where neither a letter nor `_` follows.
fn old_words(text: &str) -> Vec<String> {
    let kept = KEPT.iter().fold(text.to_owned(), |text, kept| text.replace(kept, ""));
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let words = kept.split(|c| !is_word(c)).filter(|word| !word.is_empty());
    let mut found: Vec<String> = words.map(str::to_lowercase).filter(|word| OLD.contains(&word.as_str())).collect();
    let lines: Vec<&str> = kept.lines().map(|line| line.trim_start_matches([' ', '/', '!', '#'])).collect();
    let joined = lines.join(" ").to_lowercase();
    found.extend(PHRASES.iter().filter(|phrase| joined.contains(**phrase)).map(|phrase| (*phrase).to_owned()));
    found
}

#[test]
fn code_pages_and_schema_files_use_the_words_of_the_glossary() {
    let mut found = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    for folder in ["src", "crates", "docs", "schemas", "tests/it", "fuzz/src", "examples"] {
        found.extend(own_files(folder, &[".rs", ".md", ".toml"]));
    }
    assert!(found.len() > 300, "{}", found.len());
    let mut wrong = Vec::new();
    let own = |path: &PathBuf| path.ends_with("tests/it/words.rs");
    for path in found.into_iter().filter(|path| !own(path)) {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        // The value of `--fail-on` in code.
        let text = std::fs::read_to_string(&path).unwrap().replace("FailOn::Misfit", "");
        let words = old_words(&text);
        let words = words.into_iter().filter(|word| !(name == "src/cli/arguments.rs" && word == "misfit"));
        wrong.extend(words.map(|word| format!("{name}: {word}")));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn help_texts_use_the_words_of_the_glossary() {
    let help = |arguments: &[&str]| {
        let done = Command::new(env!("CARGO_BIN_EXE_pearlift")).args(arguments).arg("--help").output().unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    let all = help(&[]);
    let (_, listed) = all.split_once("Commands:\n").unwrap();
    let names: Vec<&str> = listed
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty())
        .collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert_eq!(old_words(&help(&[name])), Vec::<String>::new(), "{name}");
    }
    assert_eq!(old_words(&all), Vec::<String>::new());
}

#[test]
fn an_old_word_is_found_in_a_sentence_and_a_phrase_over_two_lines() {
    assert_eq!(old_words("/// An id is owed; `--fail-on misfit`."), ["owed"]);
    assert_eq!(old_words("/// The rows are kept\n    /// apart."), ["kept apart"]);
    assert_eq!(old_words("allowed, follow_owed_ids, _pearlift/misfits/order"), Vec::<String>::new());
}
