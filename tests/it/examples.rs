//! The files of `examples/`, run or read as they are: only places that a test cannot have are replaced.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use pearlift::config::{Environment, Settings};
use pearlift::sandbox::Sandbox;
use pearlift::schema::Catalog;

use crate::support::{Done, Program, Weed, account, check_truth, copy_folder, files, query, tool};

const TABLES: [&str; 2] = ["--only", "brand,order,order_row"];

/// A file of `examples/`.
fn example(path: &str) -> String {
    let path = examples().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The folder of the program, then those of the system.
fn path() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_pearlift")).parent().unwrap();
    format!("{}:/usr/local/bin:/usr/bin:/bin", program.display())
}

/// A settings file in a folder, as the examples suppose it; its destination is relative.
fn settings(sandbox: &Sandbox, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let text = format!(
        "[account]\ncode = \"acme\"\nbase_url = \"{}\"\n[auth]\nkind = \"staff-token\"\napp_ref = \"acme_export\"\n\
         [destination]\nurl = \"lake\"\n[limits]\nrequests_per_period = 0\n[resources]\ninclude = [\"brand\", \"order\"]\n",
        sandbox.url()
    );
    std::fs::write(folder.join("pearlift.toml"), text).unwrap();
}

#[track_caller]
pub fn done(command: &mut Command) -> Done {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_cron_line_exports() {
    // GIVEN the folders that the lines name
    let sandbox = account(50).await;
    let root = tempfile::tempdir().unwrap();
    let (srv, etc) = (root.path().join("srv"), root.path().join("etc"));
    settings(&sandbox, &srv);
    std::fs::create_dir_all(&etc).unwrap();
    std::fs::write(etc.join("staff-token"), "sandbox-staff-token\n").unwrap();
    let text = example("cron/crontab")
        .replace("/srv/pearlift", srv.to_str().unwrap())
        .replace("/etc/pearlift", etc.to_str().unwrap())
        .replace("PATH=/usr/local/bin:/usr/bin:/bin", &format!("PATH={}", path()));

    // WHEN they are run as cron does: with their variables, home and shell alone, in the home
    let mut command = Command::new("/bin/sh");
    command.env_clear().env("HOME", root.path()).env("SHELL", "/bin/sh").current_dir(root.path());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line
            .split_once('=')
            .filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
        {
            Some((name, value)) => command.env(name, value),
            None => command.arg("-c").arg(line.splitn(6, ' ').nth(5).unwrap()),
        };
    }
    let ended = done(&mut command).expect(0);

    // THEN the tables and the log are there, and nothing is written elsewhere
    assert_eq!(ended.said(), "");
    let log = std::fs::read_to_string(srv.join("pearlift.log")).unwrap();
    assert!(log.contains(" changed, ") && !log.contains("sandbox-staff-token"), "{log}");
    check_truth(&sandbox, srv.join("lake").to_str().unwrap(), &TABLES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_kubernetes_job_exports() {
    // GIVEN the volumes and secrets that it names
    let sandbox = account(50).await;
    let weed = Weed::start();
    let root = tempfile::tempdir().unwrap();
    let (spool, secrets) = (root.path().join("spool"), root.path().join("secrets"));
    std::fs::create_dir_all(&spool).unwrap();
    std::fs::create_dir_all(&secrets).unwrap();
    std::fs::write(secrets.join("staff-token"), "sandbox-staff-token").unwrap();
    let text = example("kubernetes/cronjob.yaml");
    let arguments = text.lines().find_map(|line| line.trim().strip_prefix("args: ")).expect("it has arguments");
    let arguments: Vec<String> = serde_json::from_str(arguments).unwrap();
    let mut program = weed.reach(Program::bare("unused").without("PEARLIFT_DESTINATION_URL"));
    for name in ["PEARLIFT_ACCOUNT_CODE", "PEARLIFT_AUTH_KIND", "PEARLIFT_AUTH_APP_REF"] {
        program = program.without(name);
    }
    let mut named = 0;
    for line in text.lines().filter_map(|line| line.trim().strip_prefix("- { name: ")) {
        let Some((name, value)) = line.trim_end_matches(" }").split_once(", value: ") else { continue };
        let value = value.trim_matches('"');
        let value = match name {
            "PEARLIFT_LIMITS_SPOOL" => value.replace("/spool", spool.to_str().unwrap()),
            "BRIGHTPEARL_STAFF_TOKEN_FILE" => value.replace("/secrets", secrets.to_str().unwrap()),
            _ => value.to_owned(),
        };
        program = program.with(name, &value);
        named += 1;
    }
    assert_eq!(named, 6, "the variables are read");
    // The host is nobody's here.
    let program = program.without("PEARLIFT_ACCOUNT_API_DOMAIN").with("PEARLIFT_ACCOUNT_BASE_URL", &sandbox.url());
    let program = program.with("PEARLIFT_RESOURCES_INCLUDE", "brand,order");

    // WHEN it is run as in a container, from the root folder
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = done(program.command(&arguments).current_dir("/")).expect(0);

    // THEN its log is JSON, the last line is the report, the bucket holds the tables and the spool is empty again
    let lines: Vec<serde_json::Value> = ended.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines.last().unwrap()["exit_code"], ended.stdout.as_str()), (&0.into(), ""));
    let endpoint = weed.endpoint();
    let only = [&TABLES[..], &["--s3-endpoint", &endpoint]].concat();
    check_truth(&sandbox, "s3://lake/brightpearl", &only);
    assert_eq!(files(&spool), Vec::<std::path::PathBuf>::new());
}

/// Executes the example for Airflow with stand-ins for Airflow's modules; gives the state of each task.
fn airflow(settings: &Path, variables: &[(&str, &str)], path: &str, what: &str) -> (BTreeMap<String, String>, String) {
    let text = example("airflow/brightpearl_dag.py").replace("/etc/pearlift/accounts", settings.to_str().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let dag = folder.path().join("brightpearl_dag.py");
    std::fs::write(&dag, text).unwrap();
    let work = tempfile::tempdir().unwrap();
    let mut command = Command::new(tool("python"));
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/dag.py")).arg(&dag).arg(what);
    command.env_clear().env("PATH", path).envs(variables.iter().copied()).current_dir(work.path());
    let ended = done(&mut command).expect(0);
    assert_eq!(files(work.path()), Vec::<PathBuf>::new(), "nothing is written where the worker runs");
    let states: BTreeMap<String, String> = serde_json::from_str(&ended.stdout).unwrap();
    let name = |path: &String| Path::new(path).file_stem().unwrap().to_str().unwrap().to_owned();
    (states.iter().map(|(path, state)| (name(path), state.clone())).collect(), ended.stderr)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_airflow_tasks_export_each_account() {
    // GIVEN two accounts with settings files at the place that the file names, each with a relative destination
    let (acme, bolt) = (account(50).await, account(50).await);
    let etc = tempfile::tempdir().unwrap();
    for (name, sandbox) in [("acme", &acme), ("bolt", &bolt)] {
        settings(sandbox, &etc.path().join(name));
        let text = std::fs::read_to_string(etc.path().join(name).join("pearlift.toml")).unwrap();
        let text = text.replace("\"lake\"", &format!("\"{name}/lake\""));
        std::fs::write(etc.path().join(format!("{name}.toml")), text).unwrap();
    }
    let tokens = [("CONN_brightpearl_acme", "sandbox-staff-token"), ("CONN_brightpearl_bolt", "sandbox-staff-token")];

    // WHEN the tasks run in two nights THEN the tables are beside the settings, and the second night resumes there
    for first in [true, false] {
        let (states, log) = airflow(etc.path(), &tokens, &path(), "night");
        assert_eq!(states, BTreeMap::from(["acme", "bolt"].map(|name| (name.to_owned(), "complete".to_owned()))));
        assert_eq!(log.contains("new-destination"), first, "{log}");
        assert!(!log.contains("sandbox-staff-token"), "{log}");
    }
    for (name, sandbox) in [("acme", &acme), ("bolt", &bolt)] {
        check_truth(sandbox, etc.path().join(name).join("lake").to_str().unwrap(), &TABLES);
    }

    // AND one whose resource another run holds is skipped, and one with a wrong token is tried again
    let held = std::fs::File::open(etc.path().join("acme/lake/_pearlift/locks/order")).unwrap();
    held.lock().unwrap();
    let wrong = [tokens[0], ("CONN_brightpearl_bolt", "planted-wrong-token")];
    let (states, log) = airflow(etc.path(), &wrong, &path(), "night");
    assert_eq!((states["acme"].as_str(), states["bolt"].as_str()), ("skipped", "retried"), "{log}");
}

#[test]
fn each_exit_code_is_a_state_of_the_airflow_task_and_a_stopped_task_stops_the_program() {
    // GIVEN a program in the place of pearlift that ends with the number that is the account's name
    let (etc, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let program = bin.path().join("pearlift");
    let script = |text: &str| {
        std::fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    script("[ \"$1\" = --config ] && name=$(basename \"$2\" .toml) && exit \"$name\"");
    let codes = ["0", "1", "2", "3", "4", "5", "6", "7", "130"];
    let names: Vec<String> = codes.iter().map(|code| format!("CONN_brightpearl_{code}")).collect();
    let tokens: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "token")).collect();
    codes.iter().for_each(|code| std::fs::write(etc.path().join(format!("{code}.toml")), "").unwrap());
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", bin.path().display());
    // WHEN each ends THEN its state says whether another try is worth it
    let (states, log) = airflow(etc.path(), &tokens, &path, "night");
    let state = |code: &str| match code {
        "0" => "complete",
        "3" => "incomplete",
        "6" => "skipped",
        "4" | "5" | "130" => "retried",
        _ => "failed",
    };
    let expected: BTreeMap<String, String> =
        codes.iter().map(|code| ((*code).to_owned(), state(code).to_owned())).collect();
    assert_eq!(states, expected, "{log}");
    assert!(log.contains("WARNING: 3 is incomplete"), "{log}");

    // WHEN a task is stopped THEN the program is asked to stop, and is waited for
    let noted = bin.path().join("noted");
    script(&format!(
        "trap 'sleep 0.2; echo stopped > {}; exit 130' TERM; echo begun; while :; do sleep 0.05; done",
        noted.display()
    ));
    codes[1..].iter().for_each(|code| std::fs::remove_file(etc.path().join(format!("{code}.toml"))).unwrap());
    let (states, _) = airflow(etc.path(), &tokens, &path, "stop");
    assert_eq!(states["0"], "stopped");
    assert_eq!(std::fs::read_to_string(&noted).unwrap(), "stopped\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_pod_of_the_kubernetes_job_exports_its_account() {
    // GIVEN the volumes that the pods have, made of the example's own parts
    let (acme, bolt) = (account(50).await, account(50).await);
    bolt.change(|settings| settings.app_ref = "bolt_export".to_owned());
    let weed = Weed::start();
    let root = tempfile::tempdir().unwrap();
    let script = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let mut command = Command::new(tool("python"));
    let ended = done(command.args(["-c", script]).arg(examples().join("kubernetes/accounts.yaml"))).expect(0);
    let documents: Vec<serde_json::Value> = serde_json::from_str(&ended.stdout).unwrap();
    let (map, job) = (&documents[0], &documents[1]["spec"]["jobTemplate"]["spec"]);
    let pod = &job["template"]["spec"];
    let here = |text: &str| {
        let places = ["/accounts", "/secrets", "/spool"];
        places
            .iter()
            .fold(text.to_owned(), |text, place| text.replace(place, &format!("{}{place}", root.path().display())))
    };
    ["accounts", "secrets", "spool"].iter().for_each(|name| std::fs::create_dir(root.path().join(name)).unwrap());
    let settings = map["data"].as_object().unwrap();
    assert_eq!(job["completions"], settings.len());
    for ((name, text), sandbox) in settings.iter().zip([&acme, &bolt]) {
        let text = here(text.as_str().unwrap());
        let domain = text.lines().find(|line| line.starts_with("api_domain")).unwrap();
        let text = text.replace(domain, &format!("base_url = \"{}\"", sandbox.url()));
        std::fs::write(root.path().join("accounts").join(name), text).unwrap();
    }
    let volume = |name: &str| pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == name).unwrap();
    for item in volume("secrets")["secret"]["items"].as_array().unwrap() {
        let file = root.path().join("secrets").join(item["path"].as_str().unwrap());
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "sandbox-staff-token").unwrap();
    }
    let container = &pod["containers"][0];
    let names = ["PEARLIFT_DESTINATION_URL", "PEARLIFT_ACCOUNT_CODE", "PEARLIFT_AUTH_KIND", "PEARLIFT_AUTH_APP_REF"];
    let program = names.iter().fold(weed.reach(Program::bare("unused")), |program, name| program.without(name));
    let variable = &container["env"][1];
    let program = program
        .with(variable["name"].as_str().unwrap(), &here(variable["value"].as_str().unwrap()))
        .with("PEARLIFT_RESOURCES_INCLUDE", "brand,order");
    // WHEN each pod runs its command THEN its account is at its destination
    for (index, (sandbox, account)) in [(&acme, "acme"), (&bolt, "bolt")].into_iter().enumerate() {
        let arguments = container["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap());
        let arguments: Vec<String> =
            arguments.map(|text| here(&text.replace("$(INDEX)", &index.to_string()))).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        done(program.command(&arguments).current_dir("/")).expect(0);
        let endpoint = weed.endpoint();
        let only = [&TABLES[..], &["--s3-endpoint", &endpoint]].concat();
        check_truth(sandbox, &format!("s3://lake/{account}"), &only);
    }
}

/// The settings that an example's file gives, with the account of a test.
fn pointed_at(sandbox: &Sandbox, text: &str) -> String {
    let host = "api_domain = \"euw1.brightpearlconnect.com\"";
    assert!(text.contains(host), "{text}");
    let more = "\n[limits]\nrequests_per_period = 0\n[resources]\ninclude = [\"brand\", \"order\"]\n";
    format!("{}{more}", text.replace(host, &format!("base_url = \"{}\"", sandbox.url())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_quickstart_exports_to_a_folder_beside_its_settings() {
    // GIVEN the example in a folder, and its script
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let text = pointed_at(&sandbox, &example("quickstart-local/pearlift.toml"));
    std::fs::write(folder.path().join("pearlift.toml"), text).unwrap();
    let script = folder.path().join("run.sh");
    std::fs::copy(examples().join("quickstart-local/run.sh"), &script).unwrap();

    // WHEN the script is run from another folder THEN it checks, exports and shows the status
    let mut command = Command::new(&script);
    command.env_clear().env("PATH", path()).env("BRIGHTPEARL_STAFF_TOKEN", "sandbox-staff-token").current_dir("/");
    let ended = done(&mut command).expect(0);
    assert!(ended.stdout.contains("order"), "{}", ended.said());
    check_truth(&sandbox, folder.path().join("lake").to_str().unwrap(), &TABLES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_schemas_of_a_folder_add_a_resource_and_replace_one() {
    // GIVEN the example in a folder
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let text = pointed_at(&sandbox, &example("custom-schema/pearlift.toml"));
    std::fs::write(folder.path().join("pearlift.toml"), text).unwrap();
    copy_folder(&examples().join("custom-schema/schemas"), &folder.path().join("schemas"));
    let pearlift = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pearlift"));
        command.args(arguments).env_clear().env("BRIGHTPEARL_STAFF_TOKEN", "sandbox-staff-token");
        done(command.current_dir(folder.path())).expect(0)
    };

    // WHEN the catalogue is listed and a run made THEN both files are used
    assert!(pearlift(&["resources"]).stdout.contains("webhook"));
    pearlift(&["run", "brand"]);
    let columns = query(&format!(
        "SELECT column_name FROM (DESCRIBE SELECT * FROM read_parquet('{}/lake/brand/*.parquet'))",
        folder.path().display()
    ));
    assert!(columns.contains(&"name".to_owned()) && !columns.contains(&"created_on".to_owned()), "{columns:?}");
    let kept = query(&format!(
        "SELECT count(*) FROM read_parquet('{}/lake/brand/*.parquet') WHERE _extra LIKE '%createdOn%'",
        folder.path().display()
    ));
    assert_ne!(kept, ["0"]);
}

#[test]
fn the_settings_for_buckets_and_containers_are_read_as_they_are_meant() {
    let catalog = Catalog::load(None).unwrap();
    let names: Vec<&str> = catalog.resources().iter().map(|resource| resource.name.as_str()).collect();
    let [s3, azure] = ["s3", "azure"].map(|folder| files(&examples().join(folder)));
    assert_eq!((s3.len(), azure.len()), (3, 2), "{s3:?} {azure:?}");
    let kinds = s3.into_iter().map(|file| (file, "S3")).chain(azure.into_iter().map(|file| (file, "Azure")));
    for (file, kind) in kinds {
        // An account id is needed where the text has a gap.
        let folder = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(&file).unwrap().replace("<account id>", "0123456789abcdef");
        let copy = folder.path().join("pearlift.toml");
        std::fs::write(&copy, text).unwrap();
        let settings = Settings::load(Some(&copy), Environment::new([]), &names).unwrap();
        let destination = format!("{:?}", settings.destination().unwrap());
        let named = ["\"lake\"", "\"brightpearl\""].iter().all(|name| destination.contains(name));
        assert!(named && destination.starts_with(kind), "{}: {destination}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_example_in_rust_exports() {
    // GIVEN settings, and the example built
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let text = pointed_at(&sandbox, &example("quickstart-local/pearlift.toml"));
    let config = folder.path().join("pearlift.toml");
    std::fs::write(&config, text).unwrap();

    // WHEN it is run THEN the tables are there, and a line for each resource
    let mut command = Command::new(env!("CARGO"));
    // The library as `make test` compiled it, so that it is not compiled again.
    let flags = std::env::var_os("SUITE").map(|flags| flags.into_string().unwrap()).unwrap_or_default();
    command.args(["run", "--quiet", "--offline"]).args(flags.split_whitespace());
    command.args(["--example", "embed", "--"]).arg(&config);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("BRIGHTPEARL_STAFF_TOKEN", "sandbox-staff-token");
    let ended = done(&mut command).expect(0);
    assert!(ended.stdout.contains("brand: 40 rows"), "{}", ended.said());
    check_truth(&sandbox, folder.path().join("lake").to_str().unwrap(), &TABLES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_queries_for_duckdb_answer_as_the_account_does() {
    // GIVEN an exported account, and another after a night of payments, goods, edits and notes that were shipped
    let sandbox = account(900).await;
    let lake = tempfile::tempdir().unwrap();
    let program = Program::new(&sandbox, lake.path()).with("PEARLIFT_RESOURCE_PRODUCT_AVAILABILITY_EVERY", "1ms");
    let agree = || {
        let folder = lake.path().to_str().unwrap();
        let mut command = Command::new(tool("python"));
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples/answers.py"));
        // WHEN they are queried THEN each row follows from the account's records
        done(command.args(["--truth", &sandbox.control(), "--lake", folder])).expect(0);
    };
    program.run(&["run"]).expect(0);
    agree();
    sandbox.age(Duration::from_secs(5 * 3600));
    for (kind, count) in [("customer_payment", 40), ("goods_in_note", 5), ("order", 9), ("journal", 9)] {
        sandbox.insert(kind, count);
    }
    for kind in ["order", "goods_out_note"] {
        sandbox.edit(kind, &sandbox.ids(kind).into_iter().rev().take(60).collect::<Vec<_>>());
    }
    sandbox.age(Duration::from_secs(600));
    program.run(&["run"]).expect(0);
    agree();
}

#[test]
fn the_index_names_every_example() {
    let index = example("README.md");
    for entry in std::fs::read_dir(examples()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || index.contains(&format!("({name})")), "{name}");
    }
}
