//! The POST of a run's result to a webhook: at most two tries, in a bounded time, without redirects.
//!
//! Takes the receiver and a JSON text. Fails (`Refused`, `Unreachable`) with the host alone: the rest of the address may be
//! a key. The answer's body is not read.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use url::Url;

use crate::config::Webhook;
use crate::failure::{Failure, Kind, Result};
use crate::fetch::Http;

/// The time of one try.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The wait before the second try.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a try has failed, and whether another may succeed.
struct FailedTry {
    failure: Failure,
    may_pass: bool,
}

/// Posts a JSON text; a receiver that is not reached, or that fails, is tried once more.
pub async fn notify(webhook: &Webhook, body: String) -> Result<()> {
    let http = Http::without_redirects(TIMEOUT)?;
    match post(&http, webhook, body.clone()).await {
        Err(FailedTry { may_pass: true, .. }) => tokio::time::sleep(PAUSE).await,
        Err(FailedTry { failure, may_pass: false }) => return Err(failure),
        Ok(()) => return Ok(()),
    }
    post(&http, webhook, body).await.map_err(|tried| tried.failure)
}

async fn post(http: &Http, webhook: &Webhook, body: String) -> Result<(), FailedTry> {
    let failed = |kind: Kind| {
        Failure::new(kind, "send the result of the run")
            .at(&webhook.host)
            .advise("check BRIGHTPEARL_WEBHOOK_URL, or `url` under [webhook], and the receiver")
    };
    let url = Url::parse(webhook.address.reveal()).expect("the address was checked");
    let request = http.to(&url).post(url.clone()).header(CONTENT_TYPE, "application/json").body(body);
    let answer = request.send().await.map_err(|error| FailedTry {
        failure: failed(Kind::Unreachable).caused(error.without_url()),
        may_pass: true,
    })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let because = if status.is_redirection() {
        format!("the receiver answers {}, and redirects are not followed", status.as_u16())
    } else {
        format!("the receiver answers {}", status.as_u16())
    };
    let may_pass = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    Err(FailedTry { failure: failed(Kind::Refused).because(because), may_pass })
}
