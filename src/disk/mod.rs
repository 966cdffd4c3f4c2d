//! Local files that another user may have created: opened without waiting, and checked before they are read.
//!
//! [`Folder`] is a folder held open, below which no link is followed: the destination, and the folder of the token
//! file. [`read`] and [`read_text`] read a small file that the user named, behind any links. Both refuse anything but a
//! regular file: opening a pipe would wait for its other end, and a device has no end. Fails with [`std::io::Error`];
//! one made here is an [`Unfit`], which names the kind and the place of the entry.

mod folder;
mod small;
mod unfit;

pub use folder::{Folder, Listed};
pub use small::{open, read, read_text, replace};
pub use unfit::{Unfit, is_unfit, unfit};

/// The user that this process acts for.
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}
