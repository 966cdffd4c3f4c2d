//! The HTTP clients: one that takes the proxy of the environment, and one that takes none, for this machine.

use std::time::Duration;

use reqwest::redirect::Policy;
use url::Url;

use crate::config::is_loopback;
use crate::failure::{Failure, Kind, Result};
use crate::tls::install_provider;

/// A connection is made within this, or counts as failed.
const CONNECT: Duration = Duration::from_secs(10);
/// Redirects that are followed, on the same host only: credentials never go elsewhere.
const REDIRECTS: usize = 3;

/// Both clients. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Http {
    proxied: reqwest::Client,
    direct: reqwest::Client,
}

impl Http {
    /// Clients with a time limit for each request, the body of the answer included.
    pub fn new(timeout: Duration) -> Result<Self> {
        Self::built(timeout, |builder| builder)
    }

    /// The same, and no redirect is followed.
    pub fn without_redirects(timeout: Duration) -> Result<Self> {
        Self::built(timeout, |builder| builder.redirect(Policy::none()))
    }

    fn built(timeout: Duration, with: fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> Result<Self> {
        install_provider();
        let built = |builder: reqwest::ClientBuilder| {
            with(builder).build().map_err(|error| Failure::new(Kind::Bug, "set up the HTTP client").caused(error))
        };
        Ok(Self { proxied: built(builder(timeout))?, direct: built(builder(timeout).no_proxy())? })
    }

    /// The client for an address. Loopback is never asked through a proxy: plain http is accepted there, so that the
    /// proxy would read the credentials; and it has another loopback.
    pub fn to(&self, url: &Url) -> &reqwest::Client {
        if url.host().is_some_and(|host| is_loopback(&host)) { &self.direct } else { &self.proxied }
    }
}

fn builder(timeout: Duration) -> reqwest::ClientBuilder {
    let same_place = Policy::custom(|attempt| {
        let first = attempt.previous().first();
        let same = first.is_some_and(|first| first.origin() == attempt.url().origin());
        if same && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
    });
    reqwest::Client::builder()
        .user_agent(concat!("pearlift/", env!("CARGO_PKG_VERSION")))
        .redirect(same_place)
        .connect_timeout(CONNECT)
        .timeout(timeout)
        .referer(false)
}
