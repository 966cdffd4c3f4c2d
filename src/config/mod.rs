//! Settings: flags over environment over file over defaults, and secrets from the environment or from files.
//!
//! Takes a TOML file and the process environment, gives [`Settings`], the parts of which are resolved on demand, so
//! that a command needs only those that it uses. Refuses unknown keys (with their line), http to anything but loopback,
//! and secrets in the file.

mod setting;
mod choices;
mod settings;
mod file;
mod written;
mod anchor;
mod environment;
mod shown;
mod size;
mod values;
mod address;
mod destination;
mod secrets;
mod resolve;
mod resource;
#[cfg(test)]
mod page_tests;

pub use address::{check_address, is_credential_service, is_loopback, shown_address};
pub use choices::{Choice, Deletes, DestinationLayout, Encodings, Pace};
pub use environment::Environment;
pub use resolve::{AccountSettings, Destination, Limits, S3, Settings};
pub use secrets::{Credentials, NamedSecret, OAuth, capitalised, learn};
pub use setting::{Holds, Setting};
pub use settings::SETTINGS;
pub use written::{configuration, template};
