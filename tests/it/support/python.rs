//! Readers of Parquet that are not ours: Python with DuckDB, as `make test` installs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use pearlift::sandbox::Sandbox;

use super::{Done, Program};

/// The credentials of the tests' S3 server.
pub const S3_KEY: &str = "lake-key";
pub const S3_SECRET: &str = "lake-secret";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program of the virtual environment.
pub fn tool(name: &str) -> PathBuf {
    let path = root().join(".venv/bin").join(name);
    assert!(path.exists(), "{} is missing: `make test` installs it", path.display());
    path
}

/// A script of the second reading of the schema files.
pub fn python_file(name: &str) -> PathBuf {
    root().join("tests/reference").join(name)
}

/// Compares every table with the sandbox's truth, by a second interpreter of the schema files. `more` are more arguments.
#[track_caller]
pub fn check_truth(sandbox: &Sandbox, tables: &str, more: &[&str]) {
    if let Err(differences) = compare_with_truth(sandbox, tables, more) {
        panic!("the tables differ from the truth:\n{differences}");
    }
}

/// The same, as a result: the differences are its error.
pub fn compare_with_truth(sandbox: &Sandbox, tables: &str, more: &[&str]) -> Result<(), String> {
    let output = Command::new(tool("python"))
        .arg(python_file("check.py"))
        .args(["--truth", &sandbox.control(), "--tables", tables, "--day", &super::today()])
        .args(more)
        // The keys of the tests' own S3 server; a folder needs none.
        .env("AWS_ACCESS_KEY_ID", S3_KEY)
        .env("AWS_SECRET_ACCESS_KEY", S3_SECRET)
        .output()
        .expect("Python starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let compared = said.contains("equal the truth") || said.contains("differ");
    assert!(compared, "the check says nothing:\n{said}\n{errors}");
    if output.status.success() { Ok(()) } else { Err(format!("{said}\n{errors}")) }
}

/// The answer of DuckDB, a line a row, cells parted by `|`.
#[track_caller]
pub fn query(sql: &str) -> Vec<String> {
    let script = "import duckdb, sys\nduckdb.sql('SET enable_progress_bar = false')\nfor row in duckdb.sql(sys.argv[1]).fetchall(): print('|'.join(str(cell) for cell in row))";
    let output = Command::new(tool("python")).args(["-c", script, sql]).output().expect("Python starts");
    assert!(output.status.success(), "{sql}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Runs a script of the tests' own; panics where it fails.
#[track_caller]
pub fn python(script: &str, arguments: &[&str]) {
    let output = Command::new(tool("python")).args(["-c", script]).args(arguments).output().expect("Python starts");
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The view of readers of these resources in folders (`tests/readers/look.py`), one object a folder.
#[track_caller]
pub fn look(resources: &str, folders: &[&Path]) -> Vec<serde_json::Value> {
    let output = Command::new(tool("python"))
        .arg(root().join("tests/readers/look.py"))
        .arg(resources)
        .args(folders)
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "{folders:?}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

/// Runs the program, and gives the most memory that it held at a time, in bytes, as the system counts it.
pub fn peak_memory(program: &Program, arguments: &[&str]) -> (Done, u64) {
    let script = "import resource, subprocess, sys\n\
        code = subprocess.call(sys.argv[1:])\n\
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n\
        sys.exit(code)";
    let plain = program.command(arguments);
    let mut command = Command::new(tool("python"));
    command.args(["-c", script]).arg(plain.get_program()).args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.current_dir(std::env::temp_dir()).output().expect("Python starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
    let done =
        Done { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) };
    let kilobytes: u64 =
        done.stdout.lines().last().and_then(|line| line.parse().ok()).expect("the last line is a number");
    (done, kilobytes << 10)
}
