//! Opens a bucket of Google Cloud Storage, an experiment, with credentials that the redactor knows before they are used.
//!
//! Takes the bucket of the settings, gives the store. Conditions are generations of objects. Unfinished uploads are
//! neither listed nor given up: a lifecycle rule of the bucket removes them. Refuses (`StoreRefused`) a file of
//! credentials that is none.

use std::pin::Pin;
use std::sync::Arc;

use object_store::CredentialProvider;
use object_store::gcp::{GcpCredential, GcpCredentialProvider, GoogleCloudStorageBuilder};

use crate::config::CloudBucket;
use crate::failure::{Failure, Kind, Result};
use crate::secret::{Redactor, Secret};
use crate::store::Store;
use crate::store::credentials::Listener;
use crate::store::listing::Bucket;
use crate::store::network::{Connector, retry};

impl Store {
    /// Opens a bucket.
    pub(super) fn cloud(cloud: &CloudBucket) -> Result<Self> {
        let url = format!("gs://{}/{}", cloud.bucket, cloud.prefix);
        let opened = known(builder(cloud), &cloud.redactor).and_then(GoogleCloudStorageBuilder::build);
        let bucket = opened.map_err(|error| {
            Failure::new(Kind::StoreRefused, "open the bucket")
                .at(&url)
                .caused(error)
                .advise("GOOGLE_APPLICATION_CREDENTIALS names the key of a service account, or `gcloud auth application-default login` makes credentials")
        })?;
        Self::below(Bucket::new(bucket, None), &cloud.prefix, url, cloud.locks)
    }
}

/// The client of a bucket, with the credentials of the settings.
fn builder(cloud: &CloudBucket) -> GoogleCloudStorageBuilder {
    let builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&cloud.bucket)
        .with_http_connector(Connector)
        .with_retry(retry());
    match &cloud.credentials {
        None => builder,
        Some(file) if file.is_key => builder.with_service_account_key(file.text.reveal()),
        Some(file) => builder.with_application_credentials(file.path.display().to_string()),
    }
}

/// A builder that makes the credentials that it fetches known to the redactor.
fn known(builder: GoogleCloudStorageBuilder, redactor: &Redactor) -> object_store::Result<GoogleCloudStorageBuilder> {
    // Built for its source of credentials alone, which no other way gives; its requests are those for credentials.
    let listener = Listener::new(redactor);
    let source = Arc::clone(builder.clone().with_http_connector(listener).build()?.credentials());
    Ok(builder.with_credentials(Arc::new(CloudSource { source, redactor: redactor.clone() })))
}

/// A source of credentials that registers them.
#[derive(Debug)]
struct CloudSource {
    source: GcpCredentialProvider,
    redactor: Redactor,
}

impl CredentialProvider for CloudSource {
    type Credential = GcpCredential;

    fn get_credential<'a, 'b>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<GcpCredential>>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let credential = self.source.get_credential().await?;
            self.redactor.learn(&Secret::new(&credential.bearer));
            Ok(credential)
        })
    }
}
