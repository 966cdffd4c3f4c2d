//! `pearlift completions`: commands and options for a shell, and for bash and zsh, which complete arguments without a name,
//! also the names of resources.

use clap::builder::PossibleValuesParser;
use clap::{Arg, CommandFactory};

use crate::cli::arguments::{Arguments, Completions, RESOURCE};
use crate::cli::start::Start;
use crate::failure::{Failure, Kind, Result};
use crate::schema::Catalog;

/// Prints completions for a shell; the resources are those built in, and those of the user's own schema files.
pub fn completions(start: &Start, completions: &Completions) -> Result<u8> {
    let catalog = Catalog::load(start.schemas().as_deref())?;
    let mut names: Vec<String> = catalog.resources().iter().map(|resource| resource.name.clone()).collect();
    names.sort();
    let mut command = completed(Arguments::command(), &names);
    let mut text = Vec::new();
    clap_complete::generate(completions.shell, &mut command, "pearlift", &mut text);
    let text = String::from_utf8(text).map_err(|error| Failure::new(Kind::Bug, "make completions").caused(error))?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    start.terminal().print(&lines)?;
    Ok(0)
}

/// The command whose arguments that name a resource have these names as their possible values.
fn completed(command: clap::Command, names: &[String]) -> clap::Command {
    let is_resource = |argument: &Arg| {
        argument.get_value_names().is_some_and(|shown| shown.iter().any(|name| name.as_str() == RESOURCE))
    };
    let named = |argument: Arg| match is_resource(&argument) {
        true => argument.value_parser(PossibleValuesParser::new(names.to_vec())),
        false => argument,
    };
    command.mut_subcommands(|command| command.mut_args(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_argument_that_names_a_resource_offers_the_resources() {
        let command = completed(Arguments::command(), &["first".to_owned(), "second".to_owned()]);
        let mut offering = Vec::new();
        for command in command.get_subcommands() {
            for argument in command.get_arguments() {
                let values: Vec<String> =
                    argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
                if values == ["first", "second"] {
                    offering.push(command.get_name().to_owned());
                }
            }
        }
        assert_eq!(
            offering,
            ["run", "backfill", "reconcile", "plan", "verify", "clean", "resources", "sql"].map(str::to_owned)
        );
    }
}
