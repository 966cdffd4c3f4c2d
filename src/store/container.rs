//! Opens a container of Azure Blob Storage, with credentials that the redactor knows before they are used.
//!
//! Takes the container of the settings, gives the store. Uploads that a crashed run left unfinished need no care: the
//! service lists none and drops their blocks after a week. Refuses (`StoreRefused`) a key or a signature that is none.

use std::pin::Pin;
use std::sync::Arc;

use object_store::azure::{AzureConfigKey, AzureCredential, AzureCredentialProvider, MicrosoftAzureBuilder};
use object_store::{ClientOptions, CredentialProvider};

use crate::config::{AzureContainer, AzureCredentials, EntraApplication};
use crate::failure::{Failure, Kind, Result};
use crate::secret::{Redactor, Secret};
use crate::store::Store;
use crate::store::credentials::Listener;
use crate::store::listing::Bucket;
use crate::store::network::{Connector, retry};

/// Entries of a page of a list. The service gives 5,000 with some 50 signs of elements each, more than an answer may
/// have.
const PAGE: usize = 1_000;

impl Store {
    /// Opens a container.
    pub(super) fn container(azure: &AzureContainer) -> Result<Self> {
        let url = format!("az://{}/{}", azure.container, azure.prefix);
        let opened = known(builder(azure), &azure.redactor).and_then(MicrosoftAzureBuilder::build);
        let container = opened.map_err(|error| {
            Failure::new(Kind::StoreRefused, "open the container")
                .at(&url)
                .caused(error)
                .advise("AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN gives the credentials, or AZURE_CLIENT_ID with those of Microsoft Entra ID")
        })?;
        Self::below(Bucket::new(container, None).with_page(PAGE), &azure.prefix, url, azure.locks)
    }
}

/// The client of a container, with the credentials of the settings.
fn builder(azure: &AzureContainer) -> MicrosoftAzureBuilder {
    // Http is never accepted for the service's own address.
    let options = ClientOptions::new().with_allow_http(azure.allow_http && azure.endpoint.is_some());
    let mut builder = MicrosoftAzureBuilder::new()
        .with_account(&azure.account)
        .with_container_name(&azure.container)
        .with_http_connector(Connector)
        .with_client_options(options)
        .with_retry(retry());
    if let Some(endpoint) = &azure.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    match &azure.credentials {
        AzureCredentials::Key(key) => builder.with_access_key(key.reveal()),
        AzureCredentials::Signature(signature) => {
            builder.with_config(AzureConfigKey::SasKey, signature.reveal().trim_start_matches('?'))
        }
        AzureCredentials::Application { application, secret } => {
            entra(builder, application).with_client_secret(secret.reveal())
        }
        AzureCredentials::Workload { application, token_file } => {
            entra(builder, application).with_federated_token_file(token_file.display().to_string())
        }
        AzureCredentials::Machine { client, endpoint } => {
            let builder = client.iter().fold(builder, |builder, client| builder.with_client_id(client));
            endpoint.iter().fold(builder, |builder, endpoint| builder.with_msi_endpoint(endpoint))
        }
    }
}

fn entra(builder: MicrosoftAzureBuilder, application: &EntraApplication) -> MicrosoftAzureBuilder {
    let builder = builder.with_tenant_id(&application.tenant).with_client_id(&application.client);
    application.authority.iter().fold(builder, |builder, host| builder.with_authority_host(host))
}

/// A builder that makes the credentials that it fetches known to the redactor.
fn known(builder: MicrosoftAzureBuilder, redactor: &Redactor) -> object_store::Result<MicrosoftAzureBuilder> {
    // Built for its source of credentials alone, which no other way gives; its requests are those for credentials.
    let listener = Listener::new(redactor);
    let source = Arc::clone(builder.clone().with_http_connector(listener).build()?.credentials());
    Ok(builder.with_credentials(Arc::new(AzureSource { source, redactor: redactor.clone() })))
}

/// A source of credentials that registers the tokens among them; keys and signatures are known from the settings.
#[derive(Debug)]
struct AzureSource {
    source: AzureCredentialProvider,
    redactor: Redactor,
}

impl CredentialProvider for AzureSource {
    type Credential = AzureCredential;

    fn get_credential<'a, 'b>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<AzureCredential>>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let credential = self.source.get_credential().await?;
            if let AzureCredential::BearerToken(token) = &*credential {
                self.redactor.learn(&Secret::new(token));
            }
            Ok(credential)
        })
    }
}
