//! The way to a bucket: through the proxy of the environment, but never to this machine.

use std::pin::Pin;

use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use url::Host;

use crate::config::is_loopback;

/// Matches every name and every address.
const EVERY_HOST: &str = "*,0.0.0.0/0,::/0";

/// Makes clients of which loopback is asked directly.
#[derive(Debug, Default)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let plain = ReqwestConnector::default();
        // A proxy that is set takes the place of the environment's, and this one is used for no host.
        let unused = options.clone().with_proxy_url("http://127.0.0.1:9").with_proxy_excludes(EVERY_HOST);
        Ok(HttpClient::new(Way { proxied: plain.connect(options)?, direct: plain.connect(&unused)? }))
    }
}

#[derive(Debug)]
struct Way {
    proxied: HttpClient,
    direct: HttpClient,
}

impl HttpService for Way {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let host = request.uri().host().and_then(|host| Host::parse(host).ok());
        let direct = host.is_some_and(|host| is_loopback(&borrowed(&host)));
        let client = if direct { &self.direct } else { &self.proxied };
        Box::pin(client.execute(request))
    }
}

fn borrowed(host: &Host<String>) -> Host<&str> {
    match host {
        Host::Domain(name) => Host::Domain(name),
        Host::Ipv4(address) => Host::Ipv4(*address),
        Host::Ipv6(address) => Host::Ipv6(*address),
    }
}
