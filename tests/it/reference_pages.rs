//! The pages of the reference: they are those of the catalogue, and name each column once.

use std::collections::BTreeSet;
use std::path::PathBuf;

use pearlift::report::{MADE, reference};
use pearlift::schema::Catalog;

use crate::support::{Program, files, python, root};

#[test]
fn the_pages_of_the_reference_are_those_that_the_catalogue_makes() {
    let folder = root().join("docs/reference");
    let pages = reference(&Catalog::load(None).unwrap());
    let made: BTreeSet<PathBuf> = pages.iter().map(|page| folder.join(&page.file)).collect();
    assert_eq!(files(&folder).into_iter().collect::<BTreeSet<_>>(), made);
    for page in pages {
        let written = std::fs::read_to_string(folder.join(&page.file)).unwrap();
        assert!(
            written == page.text,
            "{} is not current: cargo run -- resources --reference docs/reference",
            page.file
        );
    }
}

#[test]
fn the_reference_names_each_column_once_and_draws_each_reference() {
    let catalog = Catalog::load(None).unwrap();
    let pages = reference(&catalog);
    let text = |file: &str| &pages.iter().find(|page| page.file == file).unwrap().text;
    for resource in catalog.resources() {
        let page = text(&format!("{}.md", resource.read.service));
        for table in &resource.tables {
            let (_, section) = page.split_once(&format!("\n### {}\n", table.name)).unwrap();
            let section = section.split("\n#").next().unwrap();
            let rows = section.lines().filter(|line| line.starts_with("| "));
            assert_eq!(rows.count(), table.columns.len() + 1, "{}", table.name);
            for column in &table.columns {
                let row =
                    section.lines().find(|line| line.replace('*', "").starts_with(&format!("| {} |", column.name)));
                let row = row.unwrap_or_else(|| panic!("{}.{} has no row", table.name, column.name));
                assert_eq!(row.replace("\\|", "").matches('|').count(), 7, "{row}");
                assert!(row.contains(&column.kind.to_string()) && row.contains(&column.meaning.confidence.to_string()));
                for target in column.meaning.references.targets() {
                    assert!(row.contains(&target.to_string()), "{row}");
                    let edge = format!("\"{}\" }}o--o| \"{}\" : {}\n", table.name, target.table, column.name);
                    assert!(page.contains(&edge), "{edge}");
                }
            }
        }
    }
    // The picture is XML, and has each table once.
    let script = "
import sys, xml.etree.ElementTree as tree
words = [word.text for word in tree.parse(sys.argv[1]).iter('{http://www.w3.org/2000/svg}text') if word.get('class') == 't']
assert sorted(words) == sorted(sys.argv[2].split()), words
";
    let tables = catalog.resources().iter().flat_map(|resource| &resource.tables);
    let names: Vec<&str> = tables.map(|table| table.name.as_str()).collect();
    python(script, &[root().join("docs/reference/tables.svg").to_str().unwrap(), &names.join(" ")]);
}

#[test]
fn the_command_writes_the_reference_and_over_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("pages");
    let program = Program::bare(folder.path().join("lake"));
    for _ in 0..2 {
        let done = program.run(&["resources", "--reference", pages.to_str().unwrap()]).expect(0);
        assert_eq!(done.stdout.lines().count(), files(&pages).len());
    }
    let page = pages.join("order-service.md");
    assert!(std::fs::read_to_string(&page).unwrap().starts_with(MADE));
    std::fs::write(&page, "notes of somebody").unwrap();
    let index = pages.join("README.md");
    std::fs::write(&index, format!("{MADE}\nold")).unwrap();
    let done = program.run(&["resources", "--reference", pages.to_str().unwrap()]).expect(2);
    assert!(done.stderr.contains("order-service.md"), "{}", done.stderr);
    assert_eq!(std::fs::read_to_string(&page).unwrap(), "notes of somebody");
    assert!(std::fs::read_to_string(&index).unwrap().ends_with("old"), "nothing is written where one page is refused");
}
