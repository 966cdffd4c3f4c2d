//! One page of a search, requested until its body is whole.

use crate::failure::{Failure, Kind, Result};
use crate::fetch::whole::{BodyReader, WholeReply, read_whole};
use crate::fetch::{Client, Request, SearchPage};

/// How a page's body is read on a worker thread.
pub type PageReader<T> = BodyReader<(SearchPage, T)>;

/// Asks for a page until its body is whole.
pub(super) async fn read_page<T: Send + 'static>(
    client: &Client,
    request: &Request,
    reader: PageReader<T>,
) -> Result<(SearchPage, T, jiff::Timestamp, jiff::Timestamp)> {
    match read_whole(client, request, reader).await? {
        WholeReply::Good { content: (page, content), asked_at, date } => Ok((page, content, asked_at, date)),
        WholeReply::TooLong(failure) => Err(failure),
        WholeReply::Refused { status, error, .. } => {
            Err(Failure::new(Kind::Refused, format!("search {}", request.resource))
                .at(request.path.clone())
                .because(format!("HTTP {status} {} {}", error.code.unwrap_or_default(), error.message))
                .asked_as(error.request_id)
                .advise("the source has changed; run `pearlift check`"))
        }
        WholeReply::Broken(broken) => Err(Failure::new(Kind::Answer, format!("read {}", request.resource))
            .at(request.path.clone())
            .because(broken.0)
            .advise("run `pearlift check`; if it persists, exclude the resource with `resources.exclude`")),
    }
}
