//! The program: see `pearlift::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    pearlift::cli::main(std::env::args_os(), std::env::vars_os())
}
