//! The examples of deployment: systemd units, a Dockerfile, a job of Kubernetes. Read as their tools read them, and their commands run.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Program, account, check_truth, root, tool};

/// A file of `examples/`.
fn example(path: &str) -> String {
    std::fs::read_to_string(root().join("examples").join(path)).unwrap()
}

/// The values of a unit's sections by `Section.Key`, in order. Refuses lines that are neither.
fn unit(text: &str) -> BTreeMap<String, Vec<String>> {
    let (mut section, mut found) = (String::new(), BTreeMap::<String, Vec<String>>::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.to_owned();
        } else {
            let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("`{line}` is no setting"));
            assert!(!section.is_empty(), "`{line}` is in no section");
            found.entry(format!("{section}.{key}")).or_default().push(value.to_owned());
        }
    }
    found
}

#[test]
fn the_unit_of_systemd_is_confined_and_takes_the_token_as_a_credential() {
    let service = unit(&example("systemd/pearlift.service"));
    let one = |key: &str| service[&format!("Service.{key}")].join(" ");
    for (key, value) in [
        ("Type", "oneshot"),
        ("User", "pearlift"),
        ("ProtectSystem", "strict"),
        ("ReadWritePaths", "/srv/pearlift"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("LoadCredential", "staff-token:/etc/pearlift/staff-token"),
    ] {
        assert_eq!(one(key), value, "{key}");
    }
    let timer = unit(&example("systemd/pearlift.timer"));
    assert_eq!(timer["Timer.Persistent"], ["true"]);
    assert!(example("systemd/pearlift.conf").lines().any(|line| line.starts_with("u pearlift - ")));
}

#[test]
fn systemd_accepts_the_units_where_it_is_installed_and_calls_the_service_confined() {
    let found = Command::new("systemd-analyze").arg("--version").output();
    let Ok(version) = found else {
        // Without systemd the parser of the test above is all that reads them.
        assert!(!Path::new("/run/systemd/system").exists(), "systemd runs, but systemd-analyze is missing");
        return;
    };
    assert!(version.status.success());
    // GIVEN the units in a folder, with the program and a user that exist here
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_pearlift");
    for name in ["pearlift.service", "pearlift.timer"] {
        let text = example(&format!("systemd/{name}")).replace("/usr/local/bin/pearlift", program);
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let analyze = |arguments: &[&str]| {
        let done = Command::new("systemd-analyze").args(arguments).current_dir(folder.path()).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        (done.status.success(), said)
    };
    // WHEN they are verified THEN nothing is said about them
    let (is_good, said) = analyze(&["verify", "--man=no", "./pearlift.service", "./pearlift.timer"]);
    let about = said.lines().filter(|line| line.contains("pearlift.service:") || line.contains("pearlift.timer:"));
    assert_eq!((is_good, about.collect::<Vec<_>>()), (true, Vec::<&str>::new()), "{said}");
    // AND its exposure is at most 2.0 of 10
    let (is_good, said) = analyze(&["security", "--offline=yes", "--threshold=20", "--no-pager", "./pearlift.service"]);
    assert!(is_good, "{said}");
    // AND an unknown key is noticed
    std::fs::write(folder.path().join("wrong.service"), "[Service]\nType=oneshot\nExecStart=/bin/true\nNoSuchKey=1\n")
        .unwrap();
    assert!(analyze(&["verify", "--man=no", "./wrong.service"]).1.contains("NoSuchKey"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_command_of_the_unit_exports_with_its_credential_and_its_variables_alone() {
    // GIVEN the folders that the unit and its comment name
    let sandbox = account(50).await;
    let base = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        let folder = base.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder.to_str().unwrap().to_owned()
    };
    let (srv, etc, cache, credentials) = (at("srv"), at("etc"), at("cache"), at("credentials"));
    let text = example("systemd/pearlift.service");
    let here = |text: &str| {
        let text =
            text.replace("/srv/pearlift", &srv).replace("/etc/pearlift", &etc).replace("/var/cache/pearlift", &cache);
        text.replace("%d", &credentials).replace("/usr/local/bin/pearlift", env!("CARGO_BIN_EXE_pearlift"))
    };
    let keys: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .map(&here)
        .collect();
    let [url, spool] = &keys[..] else { panic!("the comment has two settings: {keys:?}") };
    let settings = format!(
        "[account]\ncode = \"acme\"\nbase_url = \"{}\"\n[auth]\nkind = \"staff-token\"\napp_ref = \"acme_export\"\n\
         [destination]\n{url}\n[limits]\n{spool}\nrequests_per_period = 0\n[resources]\ninclude = [\"brand\", \"order\"]\n",
        sandbox.url()
    );
    std::fs::write(Path::new(&etc).join("pearlift.toml"), settings).unwrap();
    std::fs::write(Path::new(&credentials).join("staff-token"), "sandbox-staff-token\n").unwrap();

    // WHEN its command is run with its environment alone
    let unit = unit(&here(&text));
    let words: Vec<&str> = unit["Service.ExecStart"][0].split(' ').collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_clear().current_dir("/");
    for (name, value) in unit["Service.Environment"].iter().map(|line| line.split_once('=').unwrap()) {
        command.env(name, value);
    }
    let done = command.output().unwrap();

    // THEN the tables are there
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && !said.contains("sandbox-staff-token"), "{said}");
    check_truth(&sandbox, &format!("{srv}/lake"), &["--only", "brand,order,order_row"]);
}

/// The instructions of a Dockerfile, each with its rest; continued lines are joined.
fn instructions(text: &str) -> Vec<(String, String)> {
    let known = ["FROM", "WORKDIR", "COPY", "RUN", "ENV", "VOLUME", "USER", "ENTRYPOINT", "CMD", "ARG", "LABEL"];
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let parsed = joined.lines().map(|line| {
        let (name, rest) = line.split_once(' ').unwrap_or_else(|| panic!("`{line}` has no arguments"));
        assert!(known.contains(&name), "`{line}` is no instruction");
        (name.to_owned(), rest.trim().to_owned())
    });
    parsed.collect()
}

#[test]
fn the_dockerfile_has_pinned_bases_no_root_and_no_secrets() {
    let text = example("docker/Dockerfile");
    let found = instructions(&text);
    let of =
        |name: &str| found.iter().filter(|(known, _)| known == name).map(|(_, rest)| rest.as_str()).collect::<Vec<_>>();
    // Two stages, of versions: none is `latest`; the second has neither a shell nor a package manager.
    let bases = of("FROM");
    assert_eq!(bases.len(), 2);
    assert!(bases.iter().all(|base| base.contains(':') && !base.contains(":latest")), "{bases:?}");
    assert!(bases[0].ends_with(" AS build") && bases[1].contains("distroless") && bases[1].ends_with(":nonroot"));
    let rust = format!("rust:{}-", env!("CARGO_PKG_RUST_VERSION"));
    assert!(bases[0].starts_with(&rust), "{} is the compiler of Cargo.toml: {rust}", bases[0]);
    // No root, and neither tokens nor keys in it.
    let users = of("USER");
    assert!(users.len() == 1 && users[0].split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{users:?}");
    let lowered: Vec<String> = found.iter().map(|(name, rest)| format!("{name} {rest}").to_lowercase()).collect();
    for word in ["token", "secret", "password", "key_id"] {
        assert!(lowered.iter().all(|line| !line.contains(word)), "{word}: {lowered:?}");
    }
    // The entry and the command are lists, which no shell reads; the arguments are those of the program.
    let list = |name: &str| serde_json::from_str::<Vec<String>>(of(name)[0]).unwrap();
    assert_eq!(list("ENTRYPOINT"), ["/usr/local/bin/pearlift"]);
    let help = Command::new(env!("CARGO_BIN_EXE_pearlift")).args(list("CMD")).arg("--help").output().unwrap();
    assert!(help.status.success(), "{}", String::from_utf8_lossy(&help.stderr));
    // The context has everything that the build needs, and no more than it names.
    let context = example("docker/Dockerfile.dockerignore");
    assert_eq!(context.lines().find(|line| !line.starts_with('#')), Some("**"));
    let named: Vec<&str> = context.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(named.iter().all(|name| root().join(name).exists()), "{named:?}");
    for needed in ["Cargo.toml", "Cargo.lock", "src", "crates", "fuzz", "schemas", "templates"] {
        assert!(named.contains(&needed), "{needed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_variables_of_the_dockerfile_are_settings_of_the_program() {
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::new(&sandbox, "unused").without("PEARLIFT_DESTINATION_URL");
    let environment =
        instructions(&example("docker/Dockerfile")).into_iter().find(|(name, _)| name == "ENV").unwrap().1;
    for (name, value) in environment.split(' ').filter_map(|pair| pair.split_once('=')) {
        let here = folder.path().join(value.trim_start_matches('/'));
        std::fs::create_dir_all(&here).unwrap();
        program = program.with(name, here.to_str().unwrap());
    }
    program.with("PEARLIFT_RESOURCES_INCLUDE", "brand").run(&["run", "--log-format", "json"]).expect(0);
    assert!(folder.path().join("lake/brand").is_dir());
}

#[test]
fn the_kubernetes_jobs_run_without_root_and_take_their_tokens_as_files() {
    for file in ["cronjob.yaml", "accounts.yaml"] {
        let script = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))[-1]))";
        let file = root().join("examples/kubernetes").join(file);
        let done = Command::new(tool("python")).args(["-c", script]).arg(file).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let job: Value = serde_json::from_slice(&done.stdout).unwrap();
        check_pod(&job["spec"]["jobTemplate"]["spec"]["template"]["spec"]);
        let container = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
        let variables = container["env"].as_array().unwrap();
        let secret = |variable: &&Value| variable["name"].as_str().is_some_and(|name| name.contains("TOKEN"));
        assert!(variables.iter().filter(secret).all(|variable| variable["name"].as_str().unwrap().ends_with("_FILE")));
    }
}

#[test]
fn each_exit_code_of_the_job_for_several_accounts_is_final_or_tried_once_more() {
    let script = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))[-1]))";
    let file = root().join("examples/kubernetes/accounts.yaml");
    let done = Command::new(tool("python")).args(["-c", script]).arg(file).output().unwrap();
    let job: Value = serde_json::from_slice(&done.stdout).unwrap();
    let job = &job["spec"]["jobTemplate"]["spec"];
    assert_eq!((&job["completionMode"], &job["backoffLimitPerIndex"]), (&json!("Indexed"), &json!(1)));
    let rules = job["podFailurePolicy"]["rules"].as_array().unwrap();
    let of = |rule: &Value| (rule["action"].clone(), rule["onExitCodes"]["values"].clone());
    let found: Vec<(Value, Value)> = rules.iter().map(of).collect();
    assert_eq!(found, [(json!("FailIndex"), json!([1, 2, 3, 6, 7])), (json!("Count"), json!([4, 5, 130]))]);
}

/// A pod of the examples.
fn check_pod(pod: &Value) {
    let container = &pod["containers"][0];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
    for (kind, name) in [("requests", "cpu"), ("requests", "memory"), ("limits", "memory")] {
        assert!(container["resources"][kind][name].is_string(), "{kind} {name}");
    }
    // The user is that of the image, and the secrets can be read by its group and by nobody else.
    let user = pod["securityContext"]["runAsUser"].as_u64().unwrap();
    assert!(example("docker/Dockerfile").contains(&format!("\nUSER {user}:{user}\n")), "{user}");
    let secrets = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "secrets").unwrap();
    assert_eq!(secrets["secret"]["defaultMode"], 0o440);
    // Every volume that is mounted exists.
    let volumes: Vec<&Value> = pod["volumes"].as_array().unwrap().iter().map(|volume| &volume["name"]).collect();
    assert!(container["volumeMounts"].as_array().unwrap().iter().all(|mount| volumes.contains(&&mount["name"])));
}
