//! Citations resolve: a page that a comment, a schema file or a page cites exists, and so does the number on it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::support::{own_files, root, rust_files};

/// A citation is looked for this many characters before its `§`: a page is cited with a few numbers at most.
const BEFORE: usize = 80;

/// Every file that may cite a page.
fn citing() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md"), root().join("CONTRIBUTING.md"), root().join("CHANGELOG.md")];
    for folder in ["src", "crates/sandbox/src", "crates/sandbox/fixtures", "docs", "schemas", "examples", "tests/it"] {
        found.extend(own_files(folder, &[".rs", ".md", ".toml"]));
    }
    assert!(found.len() > 300, "{}", found.len());
    found
}

/// A text in one line, without the marks of comments.
fn joined(text: &str) -> String {
    let bare = |line: &str| line.trim().trim_start_matches(['/', '!', '#']).trim().to_owned();
    text.lines().map(bare).collect::<Vec<_>>().join(" ")
}

/// The numbers of a page: `## 5. …`, `**5.1** …` and `**5. …**`.
fn numbers(page: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("docs").join(page)).unwrap();
    let number = |line: &str| {
        let rest = line.strip_prefix("## ").or_else(|| line.strip_prefix("**"))?;
        let number: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        Some(number.trim_end_matches('.').to_owned()).filter(|number| !number.is_empty())
    };
    text.lines().filter_map(number).collect()
}

/// The faults of a text's citations: `docs/PAGE.md §5.1, §5.4`, on a page in `docs/` also `§5.1` of the page itself.
fn faults(name: &str, text: &str) -> (usize, Vec<String>) {
    let text = joined(text);
    let (mut cited, mut wrong) = (0, Vec::new());
    for (at, _) in text.match_indices('§') {
        let number: String = text[at..].chars().skip(1).take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let number = number.trim_end_matches('.');
        let before: String = text[..at].chars().rev().take(BEFORE).collect::<Vec<_>>().into_iter().rev().collect();
        let page = before.rfind(".md").map(|end| {
            let start = before[..end].rfind(|c: char| !(c.is_ascii_lowercase() || c == '-')).map_or(0, |last| last + 1);
            format!("{}.md", &before[start..end])
        });
        let own = name.strip_prefix("docs/").filter(|own| root().join("docs").join(own).exists());
        let Some(page) = page.or(own.map(str::to_owned)) else {
            wrong.push(format!("{name}: §{number} names no page"));
            continue;
        };
        if !root().join("docs").join(&page).exists() {
            wrong.push(format!("{name}: docs/{page} does not exist"));
        } else if !numbers(&page).contains(number) {
            wrong.push(format!("{name}: docs/{page} has no §{number}"));
        }
        cited += 1;
    }
    (cited, wrong)
}

#[test]
fn every_number_that_is_cited_exists_on_its_page() {
    let (mut cited, mut wrong) = (0, Vec::new());
    for path in citing() {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        if name == "tests/it/citations.rs" {
            continue;
        }
        let (count, found) = faults(&name, &std::fs::read_to_string(&path).unwrap());
        cited += count;
        wrong.extend(found);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(cited > 50, "{cited}");
}

#[test]
fn every_page_that_is_named_exists() {
    let mut wrong = Vec::new();
    for path in citing() {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let text = joined(&std::fs::read_to_string(&path).unwrap());
        for (at, _) in text.match_indices("docs/").filter(|_| name != "tests/it/citations.rs") {
            let page: String =
                text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || "/.-_".contains(*c)).collect();
            // A folder or a file before it makes it a path of something else.
            let whole = text[..at].chars().next_back().is_none_or(|c| !c.is_ascii_alphanumeric() && c != '/');
            if whole && page.ends_with(".md") && !root().join(&page).exists() {
                wrong.push(format!("{name} names {page}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_citation_of_an_absent_page_or_number_is_noticed() {
    for (text, fault) in [
        ("/// Wider (docs/brightpearl-api.md §4.3, §5.1).", None),
        ("/// Joined (docs/reading.md\n/// §9).", None),
        ("/// Wider (docs/brightpearl-api.md §4.3, §44).", Some("src/a.rs: docs/brightpearl-api.md has no §44")),
        ("/// Wider (docs/absent.md §4).", Some("src/a.rs: docs/absent.md does not exist")),
        ("/// Wider (the notes, §4).", Some("src/a.rs: §4 names no page")),
    ] {
        let (_, found) = faults("src/a.rs", text);
        assert_eq!(found.first().map(String::as_str), fault, "{text}");
    }
}

#[test]
fn every_fact_about_the_source_states_its_certainty_and_every_guess_how_to_change_it() {
    let page = std::fs::read_to_string(root().join("docs/brightpearl-api.md")).unwrap();
    let facts: Vec<&str> = page.split("\n**").skip(1).map(|fact| fact.split("\n\n").next().unwrap()).collect();
    assert!(facts.len() > 40, "{}", facts.len());
    for fact in facts {
        let fact = fact.replace('\n', " ");
        let certainties = ["*documented*", "*recorded*", "*client code*", "*guess*"];
        assert!(certainties.iter().any(|certainty| fact.contains(certainty)), "{fact}");
        let changes =
            ["etting: `", "ettings: `", "chema key: `", "chema keys: `"].iter().any(|word| fact.contains(word));
        let safe = ["safe either way", "both are accepted", "bounded:"].iter().any(|word| fact.contains(word));
        assert!(!fact.contains("*guess*") || changes || safe, "{fact}");
    }
}

#[test]
fn every_path_that_the_architecture_names_exists() {
    let page = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let picture = std::fs::read_to_string(root().join("docs/architecture.svg")).unwrap();
    assert!(page.contains("](architecture.svg)"), "the page shows the picture");
    let in_page = page.split('`').skip(1).step_by(2);
    let in_picture = picture.split(['<', '>']);
    let named: BTreeSet<&str> =
        in_page.chain(in_picture).filter(|name| name.starts_with("src/") || name.starts_with("crates/")).collect();
    assert!(named.len() > 30, "{}", named.len());
    for name in named {
        assert!(root().join(name).exists(), "docs/architecture names {name}");
    }
}

#[test]
fn every_name_that_the_glossary_says_the_code_has_is_there() {
    let glossary = std::fs::read_to_string(root().join("docs/glossary.md")).unwrap();
    let sources = ["src", "crates/sandbox/src"].into_iter().flat_map(rust_files);
    let code: String = sources.map(|(_, text)| text).collect();
    let words: BTreeSet<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let mut named = 0;
    for row in glossary.lines().filter(|line| line.starts_with("| ")) {
        let names = row.trim_end_matches('|').rsplit('|').next().unwrap();
        for name in names.split('`').skip(1).step_by(2).filter(|name| !name.contains('/')) {
            let there = words.contains(name) || words.contains(format!("{name}s").as_str());
            assert!(there, "the glossary says that the code has `{name}`: {row}");
            named += 1;
        }
    }
    assert!(named > 3, "{named}");
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_of_a_page_leads_to_a_page_and_a_heading() {
    let (mut followed, mut wrong) = (0, Vec::new());
    for path in citing().into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "md")) {
        let text = std::fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.contains(' ') || link.starts_with('`') {
                continue;
            }
            let (page, heading) = link.split_once('#').map_or((link, None), |(page, heading)| (page, Some(heading)));
            let target = if page.is_empty() { path.clone() } else { path.parent().unwrap().join(page) };
            let there = match heading {
                _ if !target.exists() => false,
                None => true,
                Some(heading) => {
                    let text = std::fs::read_to_string(&target).unwrap();
                    let mut headings = text.lines().filter_map(|line| line.strip_prefix('#')).map(|line| {
                        let line = line.trim_start_matches('#').trim();
                        anchor(line)
                    });
                    headings.any(|known| known == heading) || text.contains(&format!("id=\"{heading}\""))
                }
            };
            followed += 1;
            if !there {
                wrong.push(format!("{}: {link}", path.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(followed > 100, "{followed}");
}
