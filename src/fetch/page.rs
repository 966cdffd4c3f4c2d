//! One page of a search, asked for until its body is whole.

use std::sync::Arc;

use crate::failure::{Failure, Kind, Result};
use crate::fetch::{Answer, Broken, Client, Request, SearchPage, SourceReply};

/// How a page's body is read on a worker thread.
pub type PageReader<T> = Arc<dyn Fn(&Answer) -> Result<(SearchPage, T), Broken> + Send + Sync>;

/// Asks for a page until its body is whole.
pub(super) async fn read_page<T: Send + 'static>(
    client: &Client,
    request: &Request,
    reader: PageReader<T>,
) -> Result<(SearchPage, T, jiff::Timestamp, jiff::Timestamp)> {
    let mut budget = client.retry_budget();
    loop {
        let answer = match client.ask(request).await? {
            SourceReply::Good(answer) => answer,
            SourceReply::TooLong(failure) => return Err(failure),
            SourceReply::Refused { status, error, .. } => {
                return Err(Failure::new(Kind::Refused, format!("search {}", request.resource))
                    .at(request.path.clone())
                    .because(format!("HTTP {status} {} {}", error.code.unwrap_or_default(), error.message))
                    .asked_as(error.request_id)
                    .advise("the source has changed; run `pearlift check`"));
            }
        };
        let (asked_at, date) = (answer.asked_at, answer.date);
        let reader = Arc::clone(&reader);
        let read = tokio::task::spawn_blocking(move || reader(&answer)).await.expect("reading a page does not panic");
        match read {
            Ok((page, content)) => return Ok((page, content, asked_at, date)),
            Err(broken) => match budget.another() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => {
                    return Err(Failure::new(Kind::Answer, format!("read {}", request.resource))
                        .at(request.path.clone())
                        .because(broken.0)
                        .advise(
                            "run `pearlift check`; if it persists, leave the resource out with `resources.exclude`",
                        ));
                }
            },
        }
    }
}
