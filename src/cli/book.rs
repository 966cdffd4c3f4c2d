//! The pages of the book, as a test of them: the parser accepts each command on them.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::cli::arguments::Arguments;
use crate::config::page_tests::pages;

/// Words in commands that represent any value, and such values.
const PLACEHOLDERS: [(&str, &str); 9] = [
    ("COMMAND", "run"),
    ("RESOURCE…", "name"),
    ("DATE", "2026-01-01"),
    ("AGE", "26h"),
    ("SHELL", "bash"),
    ("ENGINE", "duckdb"),
    ("VERSION", "0"),
    ("ID", "1"),
    ("N", "5"),
];

/// Every page, by its path, with its text.
fn all_pages() -> Vec<(PathBuf, String)> {
    pages(&["README.md", "CONTRIBUTING.md", "schemas/README.md"], &["docs", "examples"])
}

/// The texts of a page's code: blocks for a shell, and spans between backticks.
fn code(text: &str) -> (String, Vec<String>) {
    let (mut shell, mut prose, mut language) = (String::new(), String::new(), None);
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), language) {
            (Some(opened), None) => language = Some(opened),
            (Some(_), Some(_)) => language = None,
            (None, Some("sh")) => shell += &format!("{line}\n"),
            (None, Some(_)) => {}
            (None, None) => prose += &format!("{line}\n"),
        }
    }
    (shell, prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")).collect())
}

/// The commands of a text for a shell that begin with the program, each as words; redirections, pipes and remarks are cut off.
fn commands(shell: &str) -> Vec<Vec<String>> {
    let joined = shell.replace("\\\n", " ").replace("&&\n", "&& ");
    let parts = joined.lines().flat_map(|line| line.split(" #").next().unwrap_or_default().split(['|', ';', '&']));
    let words = parts.map(|part| {
        let words = part.split(" > ").next().unwrap_or_default().split_whitespace();
        words.map(|word| word.trim_matches(['"', '\'']).to_owned()).collect::<Vec<String>>()
    });
    let begun = words.filter_map(|words| {
        let begin = words.iter().position(|word| word == "pearlift")?;
        let before = words[..begin].iter().all(|word| word.contains('=') || word == "do" || word == "env");
        before.then(|| words[begin..].to_vec())
    });
    begun.collect()
}

/// The command of a span, if it is one: with the program's name or without it.
fn mentioned(span: &str, names: &[String]) -> Option<Vec<String>> {
    if span.contains(['[', '|', '<', '>', '=', '(']) || span.contains("SECTION") {
        return None;
    }
    let words: Vec<&str> = span.split(' ').collect();
    let words = match words.as_slice() {
        ["pearlift", _, ..] => words,
        [name, second, ..] if names.iter().any(|known| known == name) && second.starts_with("--") => {
            std::iter::once("pearlift").chain(words).collect()
        }
        _ => return None,
    };
    let real =
        |word: &&str| PLACEHOLDERS.iter().find(|(name, _)| name == word).map_or(*word, |(_, value)| *value).to_owned();
    Some(words.iter().filter(|word| **word != "…" && !word.is_empty()).map(real).collect())
}

/// Why the parser refuses a command, if it does; a mention may leave out what its sentence states.
fn fault(words: &[String], is_whole: bool) -> Option<String> {
    let error = Arguments::try_parse_from(words).err()?;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
        ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand if !is_whole => None,
        // `status --max-age` names the option; its value is the reader's.
        ErrorKind::InvalidValue if !is_whole && error.to_string().contains("none was supplied") => None,
        _ => Some(error.to_string()),
    }
}

#[test]
fn the_parser_accepts_every_command_of_the_all_pages() {
    let names: Vec<String> = Arguments::command().get_subcommands().map(|one| one.get_name().to_owned()).collect();
    let (mut tried, mut mentions, mut wrong) = (0, 0, Vec::new());
    for (path, text) in all_pages() {
        let (shell, spans) = code(&text);
        let whole = commands(&shell).into_iter().map(|words| (words, true));
        let parts = spans.iter().filter_map(|span| mentioned(span, &names)).map(|words| (words, false));
        for (words, is_whole) in whole.chain(parts) {
            wrong.extend(fault(&words, is_whole).map(|why| format!("{}: {words:?}: {why}", path.display())));
            tried += usize::from(is_whole);
            mentions += usize::from(!is_whole);
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(tried > 30 && mentions > 60, "{tried} commands and {mentions} mentions are few");
}

#[test]
fn a_wrong_command_of_a_page_is_noticed() {
    let page =
        "Run `pearlift run --fulll`.\n```sh\nexport A=b\npearlift --config \"$a\" run; pearlift stats > x\n```\n";
    let (shell, spans) = code(page);
    let whole = commands(&shell);
    assert_eq!(whole, [vec!["pearlift", "--config", "$a", "run"], vec!["pearlift", "stats"]]);
    assert!(fault(&whole[0], true).is_none() && fault(&whole[1], true).is_some());
    let part = mentioned(&spans[0], &[]).expect("it is a command");
    assert!(fault(&part, false).is_some());
}
