//! The size of a terminal.

use std::io::IsTerminal;

use rustix::termios::tcgetwinsize;

/// The columns of a terminal that does not tell them.
const USUAL: usize = 80;

/// The columns of the terminal that a stream is; none where it is a file or a pipe.
pub fn width<T: IsTerminal + rustix::fd::AsFd>(stream: &T) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let columns = tcgetwinsize(stream).map_or(0, |size| usize::from(size.ws_col));
    Some(if columns == 0 { USUAL } else { columns })
}
