//! The end of each command's help: examples and exit codes.
//!
//! The examples are commands that the parser accepts (a test parses them). The codes are those that the command can end
//! with; their meanings are those of docs/troubleshooting.md.

use std::fmt::Write;

/// A command's examples and exit codes.
struct Ending {
    command: &'static str,
    /// A command line, and its effect.
    examples: &'static [(&'static str, &'static str)],
    codes: &'static [u8],
}

/// The exit codes and their meanings.
const MEANINGS: [(u8, &str); 9] = [
    (0, "everything is done"),
    (1, "a bug in pearlift"),
    (2, "wrong usage, settings or schema"),
    (3, "some resources are incomplete or have pending records; the others are committed"),
    (4, "the source refused the request or cannot be reached"),
    (5, "the destination refused the request or cannot be reached"),
    (6, "another run holds a resource or won its commit"),
    (7, "files at the destination are damaged"),
    (130, "interrupted; complete parts are committed"),
];

/// Meanings that are those of one command.
const OWN: [(&str, u8, &str); 7] = [
    ("init", 4, "written; but the source refused the request or cannot be reached"),
    ("init", 5, "written; but the destination refused the request or cannot be reached"),
    ("plan", 3, "some resources could not be planned"),
    ("status", 3, "with --max-age: a resource is incomplete, has pending records, or is too old"),
    ("forget", 3, "the destination holds tables that no schema file describes; all others are erased"),
    ("clean", 3, "with --layout: other writers left objects in a Delta log, which stay"),
    ("sandbox", 2, "wrong usage, settings or fixtures, or a port that is taken"),
];

/// The codes of commands that write tables.
const WRITING: &[u8] = &[0, 1, 2, 3, 4, 5, 6, 7, 130];

const ENDINGS: [Ending; 19] = [
    Ending {
        command: "pearlift",
        examples: &[
            ("pearlift demo", "Exports a simulated account to ./pearlift-demo."),
            ("pearlift init", "Asks for the account and writes pearlift.toml."),
            ("pearlift run", "Loads everything the first time, and only the changes from then on."),
        ],
        codes: WRITING,
    },
    Ending {
        command: "demo",
        examples: &[
            ("pearlift demo", "Exports 2,000 simulated orders to ./pearlift-demo."),
            ("pearlift demo --out lake --orders 100", "Exports 100 simulated orders to ./lake."),
        ],
        codes: &[0, 1, 2, 3, 5, 6, 7, 130],
    },
    Ending {
        command: "init",
        examples: &[
            ("pearlift init", "Asks for the values on a terminal, writes ./pearlift.toml, and checks it."),
            (
                "pearlift init --account acme --datacentre euw1 --login staff-token --app-ref acme_export --destination lake",
                "Asks for nothing.",
            ),
            ("pearlift init /etc/pearlift/acme.toml", "Writes another file, to be given as --config."),
        ],
        codes: &[0, 1, 2, 4, 5, 6, 7],
    },
    Ending {
        command: "auth",
        examples: &[
            ("pearlift auth login", "Prints the address of the page on which you allow the login, and waits."),
            ("pearlift auth login --paste", "Takes the answer from the keyboard, where the browser is elsewhere."),
            ("pearlift auth status", "Prints when the token expires."),
            ("pearlift auth refresh", "Refreshes the token now."),
        ],
        codes: &[0, 1, 2, 4],
    },
    Ending {
        command: "check",
        examples: &[("pearlift check", "Tests everything that a run needs, without reading data.")],
        codes: &[0, 1, 2, 4, 5, 6, 7],
    },
    Ending {
        command: "run",
        examples: &[
            ("pearlift run", "Brings all selected resources up to date."),
            ("pearlift run order product --max-minutes 30", "Stops requesting after half an hour."),
            ("pearlift run --full product_price", "Reads all prices again."),
        ],
        codes: WRITING,
    },
    Ending {
        command: "backfill",
        examples: &[
            (
                "pearlift backfill order --from 2026-01-01 --to 2026-02-01",
                "Reads the orders created in January 2026 again.",
            ),
            ("pearlift backfill order --ids 1001,2000-2100", "Reads these orders again."),
            ("pearlift backfill order product --damaged", "Reads the records of damaged files again."),
        ],
        codes: WRITING,
    },
    Ending {
        command: "reconcile",
        examples: &[
            ("pearlift reconcile", "Compares the ids of all resources with the source."),
            ("pearlift reconcile order --force", "Removes deleted orders, whatever their number."),
        ],
        codes: WRITING,
    },
    Ending {
        command: "plan",
        examples: &[
            ("pearlift plan", "Prints the requests and minutes of the next run."),
            ("pearlift plan --full order --json", "Prints those of a full read of orders, as JSON."),
        ],
        codes: &[0, 1, 2, 3, 4, 5, 7],
    },
    Ending {
        command: "status",
        examples: &[
            ("pearlift status", "Prints the state of each resource."),
            ("pearlift status --history=7", "Prints the last seven runs and why some of them failed."),
            ("pearlift status --max-age 26h", "Exits with 3 when a table is older than 26 hours."),
        ],
        codes: &[0, 1, 2, 3, 5, 7],
    },
    Ending {
        command: "report",
        examples: &[
            ("pearlift report", "Writes ./pearlift-report.html."),
            ("pearlift report --out /srv/www/acme.html --days 30", "Shows the last 30 days in another file."),
            ("pearlift report --plan plan.json --open", "Shows a plan too, and opens the page in the browser."),
        ],
        codes: &[0, 1, 2, 5, 7],
    },
    Ending {
        command: "verify",
        examples: &[
            ("pearlift verify", "Compares the sizes and footers of all files."),
            ("pearlift verify order --deep", "Reads every byte of the orders."),
        ],
        codes: &[0, 1, 2, 5, 7],
    },
    Ending {
        command: "clean",
        examples: &[
            ("pearlift clean --dry-run", "Lists the files that would be removed."),
            ("pearlift clean --compact", "Removes them, and joins small files."),
            ("pearlift clean --repartition", "Removes them, and divides files as `partition` specifies."),
            ("pearlift clean --layout", "Changes the destination to the `layout` of the settings."),
        ],
        codes: &[0, 1, 2, 3, 5, 6, 7],
    },
    Ending {
        command: "forget",
        examples: &[
            ("pearlift forget --contact 1234 --dry-run", "Counts the rows that hold values of the person."),
            ("pearlift forget --contact 1234", "Erases the person, and keeps the values out of later reads."),
            ("pearlift forget --contact 1234 --lift", "Lets the next full read store the values again."),
        ],
        codes: &[0, 1, 2, 3, 5, 6, 7],
    },
    Ending {
        command: "resources",
        examples: &[
            ("pearlift resources warehouse", "Prints the tables and columns of one resource."),
            (
                "pearlift resources order --custom-fields",
                "Prints the schema file of orders with a column for each custom field.",
            ),
            ("pearlift resources --reference pages", "Writes the reference pages to ./pages."),
            ("pearlift resources --dbt models/sources.yml", "Writes the tables as sources of a dbt project."),
        ],
        codes: &[0, 1, 2],
    },
    Ending {
        command: "sql",
        examples: &[
            ("pearlift sql --dialect duckdb > views.sql", "Writes views of all tables for DuckDB."),
            (
                "pearlift sql --dialect snowflake --since 0 --state loaded.json",
                "Prints the load of all tables, and notes their versions.",
            ),
            (
                "pearlift sql --dialect snowflake --since loaded.json --state next.json",
                "Prints the changes since then.",
            ),
        ],
        codes: &[0, 1, 2, 5, 6, 7],
    },
    Ending {
        command: "sandbox",
        examples: &[
            ("pearlift sandbox", "Serves a simulated account on port 8080, until interrupted."),
            ("pearlift sandbox --port 0 --orders 500 --limit 0", "Serves a small account without a quota."),
        ],
        codes: &[0, 1, 2],
    },
    Ending {
        command: "completions",
        examples: &[(
            "pearlift completions bash > ~/.local/share/bash-completion/completions/pearlift",
            "Installs completions for bash.",
        )],
        codes: &[0, 1, 2],
    },
    Ending {
        command: "man",
        examples: &[("pearlift man ~/.local/share/man/man1", "Installs the manual pages: `man pearlift-run`.")],
        codes: &[0, 1, 2],
    },
];

fn of(command: &str) -> &'static Ending {
    ENDINGS.iter().find(|ending| ending.command == command).expect("each command has an ending")
}

/// The examples of a command: command lines, and their effects.
pub fn examples(command: &str) -> &'static [(&'static str, &'static str)] {
    of(command).examples
}

/// The exit codes of a command, with their meanings.
pub fn codes(command: &str) -> impl Iterator<Item = (u8, &'static str)> {
    let ending = of(command);
    MEANINGS.iter().filter(|(code, _)| ending.codes.contains(code)).map(|(code, meaning)| {
        let own = OWN.iter().find(|(name, own, _)| *name == ending.command && own == code);
        (*code, own.map_or(*meaning, |(_, _, meaning)| meaning))
    })
}

/// The text behind the options of a command.
pub fn ending(command: &str) -> String {
    let mut text = String::from("Examples:\n");
    for (line, effect) in examples(command) {
        let _ = writeln!(text, "  {line}\n      {effect}");
    }
    text.push_str("\nExit codes:\n");
    for (code, meaning) in codes(command) {
        let _ = writeln!(text, "  {code:<4} {meaning}");
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::arguments::{Arguments, Command};

    /// Every command with its help, without colours.
    fn helps() -> Vec<(clap::Command, String)> {
        let mut all = Arguments::command();
        all.build();
        let commands: Vec<clap::Command> =
            all.get_subcommands().filter(|one| one.get_name() != "help").cloned().collect();
        let whole = std::iter::once(all).chain(commands);
        whole.map(|mut command| (command.clone(), command.render_long_help().to_string())).collect()
    }

    fn page(name: &str) -> String {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
        std::fs::read_to_string(path).expect("the page is there")
    }

    #[test]
    fn every_command_has_a_purpose_examples_and_exit_codes() {
        let helps = helps();
        assert_eq!(helps.len(), ENDINGS.len());
        for (command, help) in helps {
            let purpose = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(purpose.starts_with(char::is_uppercase) && purpose.split(' ').count() > 3, "{purpose}");
            assert!(help.starts_with(&purpose[..30.min(purpose.len())]), "{help}");
            let ending = ENDINGS.iter().find(|ending| ending.command == command.get_name()).expect("it has an ending");
            assert!((1..=4).contains(&ending.examples.len()), "{help}");
            assert!(help.contains("\nExamples:\n") && help.contains("\nExit codes:\n  0 "), "{help}");
        }
    }

    #[test]
    fn a_command_lists_its_own_options_before_the_global_ones() {
        for (command, help) in helps() {
            let global = help.find("\nGlobal options:\n").unwrap_or_else(|| panic!("{help}"));
            for argument in command.get_arguments().filter(|argument| !argument.is_positional()) {
                let name = format!("--{}", argument.get_long().expect("an option has a long name"));
                let is_global = argument.get_help_heading() == Some("Global options");
                assert!(!is_global || help[global..].contains(&name), "{name}: {help}");
                let listed =
                    help[..global].contains(&format!("  {name}")) || help[..global].contains(&format!(", {name}"));
                assert!(is_global || listed, "{name}: {help}");
            }
        }
    }

    #[test]
    fn every_example_parses_and_is_of_its_command() {
        for ending in &ENDINGS {
            for (line, _) in ending.examples {
                let words: Vec<&str> = line.split(" > ").next().expect("there is a command").split(' ').collect();
                let parsed = Arguments::try_parse_from(&words);
                assert!(parsed.is_ok(), "{line}: {:?}", parsed.err().map(|error| error.to_string()));
                assert!(ending.command == "pearlift" || words[1] == ending.command, "{line}");
            }
        }
        assert!(Arguments::try_parse_from("pearlift backfill order".split(' ')).is_err(), "a wrong line is noticed");
        // AND the resources that they name exist
        let catalog = crate::schema::Catalog::load(None).expect("the built-in files are right");
        let known = |name: &str| catalog.resources().iter().any(|resource| resource.name == name);
        for (line, _) in ENDINGS.iter().flat_map(|ending| ending.examples) {
            let parsed =
                Arguments::try_parse_from(line.split(" > ").next().into_iter().flat_map(|line| line.split(' ')));
            let names = match parsed.expect("it parses").command {
                Command::Run(run) => run.resources,
                Command::Backfill(backfill) => backfill.resources,
                Command::Reconcile(reconcile) => reconcile.resources,
                Command::Plan(plan) => plan.resources,
                Command::Verify(verify) => verify.resources,
                Command::Resources(resources) => resources.name.into_iter().collect(),
                Command::Sql(sql) => sql.resources,
                _ => Vec::new(),
            };
            assert!(names.iter().all(|name| known(name)), "{line}");
        }
    }

    #[test]
    fn the_pages_have_every_command_option_and_exit_code() {
        let running = page("running.md");
        for (command, _) in helps() {
            let name = command.get_name();
            assert!(name == "pearlift" || running.contains(&format!("\n| `{name}")), "{name} has no row");
            for argument in command.get_arguments().filter(|argument| !argument.is_positional()) {
                let long = argument.get_long().expect("an option has a long name");
                assert!(
                    matches!(long, "help" | "version") || running.contains(&format!("--{long}")),
                    "{name} --{long}"
                );
            }
        }
        let codes = page("troubleshooting.md");
        for (code, _) in MEANINGS {
            assert!(codes.contains(&format!("\n| {code} | ")), "{code}");
        }
    }

    #[test]
    fn no_usage_line_offers_options_that_combine_as_alternatives() {
        for (_, help) in helps() {
            for line in
                help.lines().filter(|line| line.contains("Usage:") || line.trim_start().starts_with("pearlift "))
            {
                assert!(!line.contains('|'), "{line}");
            }
        }
    }
}
