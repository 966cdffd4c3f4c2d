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
mod forms;
mod destination;
mod aws_profile;
mod secret_source;
mod bucket;
mod azure;
mod cloud;
mod secrets;
mod resolve;
mod account;
mod resource;
mod files;
mod webhook;
#[cfg(test)]
pub(crate) mod page_tests;

pub use account::{AccountSettings, DataCentre};
pub use address::{check_address, is_credential_service, is_loopback, shown_address};
pub use aws_profile::S3Credentials;
pub use azure::{AzureContainer, AzureCredentials, EntraApplication};
pub use bucket::{LockSettings, S3};
pub use choices::{AuthKind, BucketEncryption, Choice, Deletes, DestinationLayout, Encodings, Notify, Pace};
pub use cloud::{CloudBucket, CloudCredentials};
pub use environment::{Environment, SecretSource};
pub use files::settings_files;
pub use forms::{AccountForm, DATA_CENTRES, SourceAddress, account_form, app_form, source_address};
pub use resolve::{Destination, Limits, Settings};
pub use secrets::{Credentials, NamedSecret, OAuth, capitalised, learn, secret_variables};
pub use setting::{Holds, Setting};
pub use settings::SETTINGS;
pub use webhook::Webhook;
pub use written::{configuration, template, template_with};
