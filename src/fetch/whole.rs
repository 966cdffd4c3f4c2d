//! An answer whose body is whole: a broken one is requested again, within the budget of the request.

use std::sync::Arc;

use jiff::Timestamp;

use crate::failure::{Failure, Result};
use crate::fetch::{Answer, Broken, Client, ErrorBody, Request, SourceReply};

/// The reader of an answer's body, on a worker thread.
pub type BodyReader<T> = Arc<dyn Fn(&Answer) -> std::result::Result<T, Broken> + Send + Sync>;

/// The reply to a request, its body read.
pub enum WholeReply<T> {
    /// The content, the time of the request, and the source's clock at the answer.
    Good {
        content: T,
        asked_at: Timestamp,
        date: Timestamp,
    },
    /// The answer is longer than any that is read.
    TooLong(Failure),
    Refused {
        status: u16,
        error: ErrorBody,
        date: Timestamp,
    },
    /// The body cannot be read, however often it is requested.
    Broken(Broken),
}

/// Requests until the body is whole. Fails where the source does.
pub async fn read_whole<T: Send + 'static>(
    client: &Client,
    request: &Request,
    read: BodyReader<T>,
) -> Result<WholeReply<T>> {
    let mut budget = client.retry_budget();
    if let Some(tries) = request.tries {
        budget.at_most(tries);
    }
    loop {
        let answer = match client.ask(request).await? {
            SourceReply::Good(answer) => answer,
            SourceReply::TooLong(failure) => return Ok(WholeReply::TooLong(failure)),
            SourceReply::Refused { status, error, date } => return Ok(WholeReply::Refused { status, error, date }),
        };
        let (asked_at, date, read) = (answer.asked_at, answer.date, Arc::clone(&read));
        let outcome = tokio::task::spawn_blocking(move || read(&answer));
        match outcome.await.expect("reading an answer does not panic") {
            Ok(content) => return Ok(WholeReply::Good { content, asked_at, date }),
            Err(broken) => match budget.another() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Ok(WholeReply::Broken(broken)),
            },
        }
    }
}
