//! The page that leads from an account to the first query, followed step by step.

use std::process::{Command, Stdio};

use crate::support::{Program, account, query, root};

/// The blocks of a section of the page in this language.
fn blocks<'a>(page: &'a str, section: &str, language: &str) -> Vec<&'a str> {
    let (_, from) = page.split_once(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("{section} is missing"));
    let section = from.split("\n## ").next().unwrap();
    let opened = format!("```{language}\n");
    section.split(opened.as_str()).skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_step_of_getting_started_works_as_it_is_printed() {
    // GIVEN the settings of the page, for an account on this machine without a quota
    let page = std::fs::read_to_string(root().join("docs/getting-started.md")).unwrap();
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let [settings] = blocks(&page, "3. Settings", "toml")[..] else { panic!("the page has one settings file") };
    let address = settings.lines().find(|line| line.starts_with("api_domain = ")).unwrap();
    let settings = settings.replace(address, &format!("base_url = \"{}\"", sandbox.url()));
    std::fs::write(folder.path().join("pearlift.toml"), settings).unwrap();

    // WHEN the commands of the page are run in its folder
    let steps = ["4. Check", "5. Plan and run", "6. Query"];
    let commands: String = steps.iter().flat_map(|step| blocks(&page, step, "sh")).collect();
    assert_eq!(commands.matches("pearlift ").count(), 5, "{commands}");
    let named = ["ACCOUNT_CODE", "ACCOUNT_BASE_URL", "AUTH_KIND", "AUTH_APP_REF", "DESTINATION_URL"];
    let program = named
        .into_iter()
        .fold(Program::new(&sandbox, "unused"), |program, name| program.without(&format!("PEARLIFT_{name}")));
    let environment = program.command(&[]);
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_pearlift")).parent().unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.env_clear().envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display())).current_dir(folder.path());
    let output = shell.args(["-ec", &commands]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // THEN the query of the page counts every order, and the views were written
    let [sql] = blocks(&page, "6. Query", "sql")[..] else { panic!("the page has one query") };
    let rows = query(&sql.replace("'lake/", &format!("'{}/lake/", folder.path().display())));
    let orders: usize = rows.iter().map(|row| row.split('|').nth(1).unwrap().parse::<usize>().unwrap()).sum();
    assert_eq!(orders, sandbox.ids("order").len());
    assert!(std::fs::read_to_string(folder.path().join("views.sql")).unwrap().contains("CREATE"));
}
