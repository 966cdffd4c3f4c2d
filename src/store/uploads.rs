//! Unfinished multipart uploads: a killed run leaves them in a bucket, where they cost money and no list of objects
//! shows them. A folder and memory have none.
//!
//! The client of the bucket can give one up and cannot list them, so the list (S3 `ListMultipartUploads`) is requested
//! here, at an address that the client signs.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use object_store::aws::AmazonS3;
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use serde::Deserialize;

use crate::failure::Result;
use crate::store::error;
use crate::store::listing::ListedPages;
use crate::store::network::Untaken;

/// How long a signed address holds: one request is made at once.
const SIGNED_FOR: Duration = Duration::from_secs(60);
/// Pages of at most 1,000 uploads: a list that is longer than a million is not read to its end.
const PAGES: usize = 1_000;

/// An upload that was begun and is not finished.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Upload {
    /// Where the object would lie, relative to the destination.
    #[serde(rename = "Key")]
    pub path: String,
    /// The store's own name of the upload.
    #[serde(rename = "UploadId")]
    pub id: String,
}

/// The bucket without the destination's prefix, which lists uploads and aborts them.
#[derive(Clone)]
pub(super) struct Uploads {
    pub(super) bucket: AmazonS3,
    client: HttpClient,
    prefix: Path,
}

impl fmt::Debug for Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uploads({}, {})", self.bucket, self.prefix)
    }
}

/// A page of the answer, as far as it matters; paths are keys of the bucket.
#[derive(Debug, Deserialize)]
pub struct UploadPage {
    #[serde(rename = "Upload", default)]
    pub uploads: Vec<Upload>,
    /// Whether another page follows, and after which key and upload.
    #[serde(rename = "IsTruncated", default)]
    pub more: bool,
    #[serde(rename = "NextKeyMarker", default)]
    next_key: String,
    #[serde(rename = "NextUploadIdMarker", default)]
    next_id: String,
}

/// Reads an answer.
pub fn upload_page(answer: &[u8]) -> std::result::Result<UploadPage, quick_xml::DeError> {
    quick_xml::de::from_reader(answer)
}

impl Uploads {
    /// Those of a bucket, with the destination below a prefix.
    pub(super) fn new(bucket: AmazonS3, client: HttpClient, prefix: Path) -> Self {
        Self { bucket, client, prefix }
    }

    /// The key of a path of the destination.
    pub(super) fn key(&self, path: &str) -> String {
        if self.prefix.as_ref().is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) }
    }

    pub(super) async fn below(&self, folder: &str) -> Result<Vec<Upload>> {
        let (ours, below) = (self.key(""), self.key(&format!("{folder}/")));
        let mut found = BTreeSet::new();
        let mut after: Option<(String, String)> = None;
        let mut progress = ListedPages::default();
        for _ in 0..PAGES {
            let page = self.page(&below, after.as_ref()).await?;
            let (entries, bytes) =
                (page.uploads.len(), page.uploads.iter().map(|one| one.path.len() + one.id.len()).sum());
            // A service may ignore the prefix in the request.
            let in_folder = page.uploads.into_iter().filter(|upload| upload.path.starts_with(&below));
            found.extend(in_folder.map(|upload| Upload { path: upload.path[ours.len()..].to_owned(), ..upload }));
            // A service that names a place again, or brings nothing, would be requested for ever.
            let mark = format!("{}\n{}", page.next_key, page.next_id);
            if !page.more || progress.page(entries, bytes, Some(&mark)).is_err() {
                break;
            }
            after = Some((page.next_key, page.next_id));
        }
        Ok(found.into_iter().collect())
    }

    async fn page(&self, below: &str, after: Option<&(String, String)>) -> Result<UploadPage> {
        let mut query = vec![("uploads", ""), ("prefix", below), ("max-uploads", "1000")];
        if let Some((key, id)) = after {
            query.extend([("key-marker", key.as_str()), ("upload-id-marker", id.as_str())]);
        }
        let wrong = |error| error::failure("list unfinished uploads", below, error);
        let unread = |cause| error::unlisted(below, "its answer cannot be read", Some(cause));
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        let options = SignedUrlOptions::new().with_query(query);
        let (method, top) = (request.method().clone(), Path::default());
        let address = self.bucket.signed_url_opts(method, &top, SIGNED_FOR, &options).await.map_err(wrong)?;
        *request.uri_mut() = address.as_str().parse().expect("an address that was parsed can be parsed again");
        let answer = self.client.execute(request).await;
        let answer = answer.map_err(|cause| match Untaken::among(&cause) {
            Some(untaken) => error::unlisted(below, &untaken.to_string(), None),
            None => error::unlisted(below, "it does not answer", Some(cause.into())),
        })?;
        let status = answer.status();
        if !status.is_success() {
            return Err(error::unlisted(below, &format!("it answers {status}"), None));
        }
        let body = answer.into_body().bytes().await.map_err(|cause| unread(cause.into()))?;
        upload_page(&body).map_err(|cause| unread(cause.into()))
    }
}
