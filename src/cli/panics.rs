//! A panic ends the process as a bug of ours: exit code 1, with a message that asks for a report.
//!
//! The process ends wherever the panic occurs, in a task or in a thread that nobody joins: continuing could wait for
//! ever, and commits are complete at any moment.

use std::panic::PanicHookInfo;

use crate::cli::terminal::Terminal;
use crate::failure::Kind;
use crate::secret::Redactor;

/// From now on each panic ends the process. Secrets that the redactor knows are kept out of the message.
pub fn end_on_panic(redactor: Redactor) {
    let terminal = Terminal::new(redactor);
    std::panic::set_hook(Box::new(move |panic| {
        terminal.complain(&message(panic));
        #[expect(clippy::disallowed_methods, reason = "nothing that this process would still do can be relied on")]
        std::process::exit(i32::from(Kind::Bug.exit_code()));
    }));
}

fn message(panic: &PanicHookInfo<'_>) -> [String; 2] {
    let why = panic.payload_as_str().unwrap_or("it gives no reason");
    let place = panic.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
    let help = "  help: report it with these lines and the last ones of `-v`, without tokens or customers' data; \
                commits are intact, run again";
    [format!("pearlift {} found a bug{place}: {why}", env!("CARGO_PKG_VERSION")), help.to_owned()]
}
