//! The program: see `pearlift::cli`.

use std::process::ExitCode;

/// Pages are made on one thread and freed on another: the system's allocator keeps much of that (docs/decisions).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    pearlift::cli::main(std::env::args_os(), std::env::vars_os())
}
