//! The file that `pearlift init` writes, and docs/configuration.md.

use crate::config::setting::{Example, RESOURCE, Setting};
use crate::config::settings::{SECTIONS, SETTINGS};
use crate::schema::{Catalog, Partition, Resource, Type};

const BEGIN: &str = "\
# Settings of pearlift. Every key can also be set as PEARLIFT_SECTION_KEY (PEARLIFT_DESTINATION_URL); docs/configuration.md
# explains each. Keys behind `#` show their defaults or an example. Secrets are never stored here: they come from the environment.
# Relative paths begin at the folder of this file.
";

/// The frame of the page about all settings.
const PAGE: &str = include_str!("../../templates/configuration.md");

/// A settings file with every key: those that are needed, and the others behind `#`. The catalogue gives resources for
/// examples.
pub fn template(catalog: &Catalog) -> String {
    template_with(catalog, &[])
}

/// The same with values of settings by their names, such as `account.code`; one without a value is behind `#`.
pub fn template_with(catalog: &Catalog, chosen: &[(&str, Option<String>)]) -> String {
    let mut text = BEGIN.to_owned();
    for (section, note, below) in SECTIONS.iter().filter(|(section, ..)| *section != RESOURCE) {
        let heading = format!("[{section}]");
        text += "\n";
        match (section.is_empty(), note.is_empty()) {
            (true, _) => {}
            (false, true) => text += &format!("{heading}\n"),
            (false, false) => text += &format!("{heading:<32} # {note}\n"),
        }
        text += below;
        for one in SETTINGS.iter().filter(|one| one.section == *section) {
            let choice = chosen.iter().find(|(name, _)| one.is_named(name));
            let line = choice.map_or_else(|| one.line(), |(_, value)| one.line_of(value.as_deref()));
            text += &(line + "\n");
        }
    }
    for example in [Example::Snapshots, Example::Records] {
        let Some(resource) = catalog.resources().iter().find(|resource| stands_for(resource, example)) else {
            continue;
        };
        text += &format!("\n# [resource.{}]\n", resource.name);
        text += &named(&lines(|one| one.section == RESOURCE && one.example == example), resource);
    }
    text
}

fn stands_for(resource: &Resource, example: Example) -> bool {
    match example {
        Example::Snapshots => matches!(resource.partition(), Partition::Snapshot { .. }),
        Example::Records => resource.open().is_some() && resource.tables.len() > 1 && column(resource).is_some(),
    }
}

/// A column that could be left out.
fn column(resource: &Resource) -> Option<&str> {
    let table = &resource.tables[0];
    let places = table.columns.iter().enumerate().filter(|(place, _)| !table.key.contains(place));
    places.map(|(_, column)| column).find(|column| column.kind == Type::String).map(|column| column.name.as_str())
}

/// The lines with the names of a resource.
fn named(lines: &str, resource: &Resource) -> String {
    let child = resource.tables.get(1).map_or("", |table| &table.name);
    let lines = lines.replace("{record}", &resource.tables[0].name).replace("{child}", child);
    lines.replace("{column}", column(resource).unwrap_or_default())
}

fn lines(which: impl Fn(&Setting) -> bool) -> String {
    SETTINGS.iter().filter(|one| which(one)).map(|one| one.line() + "\n").collect()
}

/// The page about all settings, docs/configuration.md: a section of the file is a section of the page.
pub fn configuration(catalog: &Catalog) -> String {
    let sections: String = SECTIONS.iter().map(|(section, note, below)| part(section, note, below)).collect();
    PAGE.replace("{sections}", &sections).replace("{file}", &template(catalog))
}

/// A section of that page.
fn part(section: &str, note: &str, below: &str) -> String {
    let mut text = match section {
        "" => "## Above all sections\n\n".to_owned(),
        RESOURCE => "## `[resource.NAME]`\n\nThese are settings of a single resource, such as `[resource.order]`.\n\n"
            .to_owned(),
        section => format!("## `[{section}]`\n\n"),
    };
    for remark in [note, below.trim_start_matches("# ").trim_end()].into_iter().filter(|remark| !remark.is_empty()) {
        text += &sentence(remark);
    }
    text += "| key | type | default | meaning | variable |\n|---|---|---|---|---|\n";
    SETTINGS.iter().filter(|one| one.section == section).for_each(|one| text += &(one.row() + "\n"));
    text + "\n"
}

/// A remark as a paragraph: with a capital letter and a full stop.
fn sentence(remark: &str) -> String {
    let mut letters = remark.trim_end_matches('.').chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.\n\n", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;

    #[test]
    fn the_template_is_a_settings_file_also_without_its_signs() {
        let text = template(&Catalog::load(None).unwrap());
        file::read(&text).expect("the template is read");
        let signs = text.replace("\n# ", "\n");
        let keys: Vec<&str> = signs.lines().filter(|line| line.contains(" = ") || line.starts_with('[')).collect();
        let whole = keys.join("\n");
        file::read(&whole).expect("every sample is of its setting's type");
    }

    #[test]
    fn chosen_values_are_in_the_file_and_settings_without_one_are_behind_a_sign() {
        let odd = "a \"lake\" \\ of\ttabs".to_owned();
        let chosen = [
            ("account.code", Some("acme".to_owned())),
            ("account.api_domain", None),
            ("auth.kind", Some("oauth".to_owned())),
            ("destination.url", Some(odd.clone())),
        ];
        let text = template_with(&Catalog::load(None).unwrap(), &chosen);
        let table = file::read(&text).expect("it is read");
        let value = |section: &str, key: &str| table[section].get(key).and_then(toml::Value::as_str).map(str::to_owned);
        assert_eq!(value("account", "code").as_deref(), Some("acme"));
        assert_eq!(value("account", "api_domain"), None);
        assert_eq!(value("auth", "kind").as_deref(), Some("oauth"));
        assert_eq!(value("destination", "url"), Some(odd));
        assert_eq!(text.lines().count(), template(&Catalog::load(None).unwrap()).lines().count());
    }

    #[test]
    fn no_setting_is_listed_twice_and_defaults_are_of_their_types() {
        for (place, one) in SETTINGS.iter().enumerate() {
            let twin = SETTINGS[..place].iter().any(|other| (other.section, other.key) == (one.section, one.key));
            assert!(
                !twin && SECTIONS.iter().any(|(section, ..)| *section == one.section),
                "{}.{}",
                one.section,
                one.key
            );
            assert!(!one.line().ends_with("= "), "{} has neither a default nor a sample", one.key);
        }
    }
}
