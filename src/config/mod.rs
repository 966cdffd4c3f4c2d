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
mod aws_profile;
mod bucket;
mod azure;
mod cloud;
mod secrets;
mod resolve;
mod resource;

pub use address::{check_address, is_credential_service, is_loopback, shown_address};
pub use aws_profile::ProfileCredentials;
pub use azure::{AzureContainer, AzureCredentials, EntraApplication};
pub use bucket::{LockSettings, S3};
pub use choices::{BucketEncryption, Choice, Deletes, DestinationLayout, Encodings, Pace};
pub use cloud::{CloudBucket, CloudCredentials};
pub use environment::Environment;
pub use resolve::{AccountSettings, Destination, Limits, Settings};
pub use secrets::{Credentials, NamedSecret, OAuth, capitalised, learn};
pub use setting::{Holds, Setting};
pub use settings::SETTINGS;
pub use written::{reference, template};
