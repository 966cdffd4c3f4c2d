//! The unfinished uploads of a destination: listed and given up. A folder and memory have none.

use object_store::multipart::MultipartStore;
use object_store::path::Path;

use crate::failure::Result;
use crate::store::uploads::Upload;
use crate::store::{Store, error};

impl Store {
    /// The unfinished uploads below a folder, sorted; one request for each thousand.
    pub async fn uploads(&self, folder: &str) -> Result<Vec<Upload>> {
        match &self.uploads {
            Some(uploads) => uploads.below(folder).await,
            None => Ok(Vec::new()),
        }
    }

    /// Gives uploads up with the parts that arrived; one that is gone is not an error.
    pub async fn give_up(&self, uploads: &[Upload]) -> Result<()> {
        let Some(of) = &self.uploads else { return Ok(()) };
        for upload in uploads {
            let wrong = |error| error::failure("give up an upload", &upload.path, error);
            let path = Path::parse(of.key(&upload.path)).map_err(|error| wrong(error.into()))?;
            match of.bucket.abort_multipart(&path, &upload.id).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(wrong(error)),
            }
        }
        Ok(())
    }
}
