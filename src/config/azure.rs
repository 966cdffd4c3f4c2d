//! A container of Azure Blob Storage as settings and environment describe it: `az://container/prefix`.
//!
//! Takes values, environment and the address, gives [`AzureContainer`]. Secrets come from variables, or from files that
//! variables name. Refuses (`Settings`) an address with credentials or without a container, a missing account, an
//! endpoint that credentials must not be sent to, and a connection string.

use std::path::PathBuf;

use url::Url;

use crate::config::address::{check_address, is_credential_service};
use crate::config::bucket::{LockSettings, check_endpoint, check_name, locks};
use crate::config::destination;
use crate::config::environment::Environment;
use crate::config::secrets;
use crate::config::values::Values;
use crate::failure::{Failure, Kind, Result};
use crate::secret::{Redactor, Secret};

/// Variables of the account's name.
const ACCOUNT: [&str; 2] = ["AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"];
/// A text with all of an account's settings, which other tools take.
const CONNECTION_STRING: &str = "AZURE_STORAGE_CONNECTION_STRING";

/// A container of Azure Blob Storage.
#[derive(Clone, Debug)]
pub struct AzureContainer {
    pub container: String,
    /// Without slashes at its ends; empty for the container's root.
    pub prefix: String,
    pub account: String,
    /// The address of the account, without a slash at its end; that of the public cloud where none is set.
    pub endpoint: Option<String>,
    pub allow_http: bool,
    pub credentials: AzureCredentials,
    pub locks: LockSettings,
    /// Learns the credentials that are fetched.
    pub redactor: Redactor,
}

/// The proof of identity at Azure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AzureCredentials {
    /// The key of the account.
    Key(Secret),
    /// A shared access signature.
    Signature(Secret),
    /// An application of Microsoft Entra ID with a secret.
    Application { application: EntraApplication, secret: Secret },
    /// An application that the token in a file stands for (workload identity).
    Workload { application: EntraApplication, token_file: PathBuf },
    /// The identity of the machine, at this address where it is not the usual one.
    Machine { client: Option<String>, endpoint: Option<String> },
}

/// An application of Microsoft Entra ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntraApplication {
    pub tenant: String,
    pub client: String,
    /// The service that gives tokens; that of the public cloud where none is set.
    pub authority: Option<String>,
}

/// The container of an address `az://…`; `rest` is its part behind the scheme.
pub(super) fn resolve(url: &str, rest: &str, values: &Values, environment: &Environment) -> Result<AzureContainer> {
    let (container, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    check_name(url, container, "AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN")?;
    let text = |name: &str| values.text(name).map(str::to_owned);
    let account =
        text("destination.azure.account").or_else(|| ACCOUNT.iter().find_map(|name| variable(environment, name)));
    let account = account.ok_or_else(|| {
        Failure::new(Kind::Settings, "find the storage account")
            .because("`destination.azure.account` is not set")
            .advise("set `account` under [destination.azure], or AZURE_STORAGE_ACCOUNT_NAME")
    })?;
    // It becomes a part of hosts.
    if account.is_empty() || !account.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        return Err(Failure::new(Kind::Settings, "accept `destination.azure.account`")
            .because("it is not lower-case letters and digits, as the names of storage accounts are"));
    }
    let endpoint = text("destination.azure.endpoint").or_else(|| variable(environment, "AZURE_STORAGE_ENDPOINT"));
    let allow_http = values.flag("destination.azure.allow_http").unwrap_or_default();
    if let Some(endpoint) = &endpoint {
        check_endpoint("destination.azure", endpoint, allow_http)?;
    }
    Ok(AzureContainer {
        container: container.to_owned(),
        prefix: destination::prefix(url, prefix)?,
        account,
        // Paths are appended to it, and those of requests within requests begin at its last slash.
        endpoint: endpoint.map(|endpoint| endpoint.trim_end_matches('/').to_owned()),
        allow_http,
        credentials: credentials(environment)?,
        locks: locks("destination.azure", values)?,
        redactor: environment.redactor().clone(),
    })
}

/// A variable without the line ends of the file that it was read from.
fn variable(environment: &Environment, name: &str) -> Option<String> {
    environment.get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The credentials of the environment, the most particular ones first.
fn credentials(environment: &Environment) -> Result<AzureCredentials> {
    let secret = |names: &[&str]| secrets::of_variables(environment, names);
    if let Some(key) = secret(&secrets::AZURE_KEY)? {
        return Ok(AzureCredentials::Key(key.secret));
    }
    if let Some(signature) = secret(&secrets::AZURE_SIGNATURE)? {
        return Ok(AzureCredentials::Signature(signature.secret));
    }
    let client = variable(environment, "AZURE_CLIENT_ID");
    let authority = variable(environment, "AZURE_AUTHORITY_HOST");
    if let Some(authority) = &authority {
        check_variable("AZURE_AUTHORITY_HOST", authority, |_| false)?;
    }
    if let (Some(tenant), Some(client)) = (variable(environment, "AZURE_TENANT_ID"), client.clone()) {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if !tenant.chars().all(is_part) {
            return Err(Failure::new(Kind::Settings, "accept AZURE_TENANT_ID")
                .because("it is neither the id nor the domain of a tenant"));
        }
        let application = EntraApplication { tenant, client, authority };
        if let Some(file) = variable(environment, "AZURE_FEDERATED_TOKEN_FILE") {
            let token_file = destination::path_or_as_written(&file, environment);
            return Ok(AzureCredentials::Workload { application, token_file });
        }
        if let Some(secret) = secret(&secrets::AZURE_CLIENT_SECRET)? {
            return Ok(AzureCredentials::Application { application, secret: secret.secret });
        }
    }
    if environment.get(CONNECTION_STRING).is_some() {
        return Err(Failure::new(Kind::Settings, "find the credentials of the storage account")
            .because(format!("{CONNECTION_STRING} is not read"))
            .advise("set AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN to the `AccountKey` or `SharedAccessSignature` in it"));
    }
    let endpoint = variable(environment, "IDENTITY_ENDPOINT");
    if let Some(endpoint) = &endpoint {
        check_variable("IDENTITY_ENDPOINT", endpoint, |url| {
            url.host().is_some_and(|host| is_credential_service(&host))
        })?;
    }
    Ok(AzureCredentials::Machine { client, endpoint })
}

/// Refuses an address of the environment that credentials must not be sent to; `gives` accepts further ones by http.
fn check_variable(name: &str, address: &str, gives: impl Fn(&Url) -> bool) -> Result<()> {
    let url = Url::parse(address)
        .map_err(|error| Failure::new(Kind::Settings, format!("read {name}")).because("it is no URL").caused(error))?;
    if url.scheme() == "http" && gives(&url) {
        return Ok(());
    }
    check_address(&url, name)
}

#[cfg(test)]
#[path = "azure_tests.rs"]
mod tests;
