//! The address to which the page of a login leads back.

use url::{Host, Url};

use crate::config::shown_address;
use crate::failure::{Failure, Kind, Result};

/// A redirect address. It is sent exactly as it was written, for the source compares it with the registered one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectAddress {
    text: String,
    url: Url,
}

impl RedirectAddress {
    /// Reads an address. Refuses (`Settings`) one that is not absolute, has a fragment, or is plain http to another
    /// machine.
    pub fn new(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Failure::new(Kind::Settings, "accept `auth.redirect_uri`").at(shown_address(text)).because(why).advise(
                "write the redirect address that is registered for the app, such as `http://127.0.0.1:8799/callback`",
            )
        };
        let url = Url::parse(text).ok().filter(Url::has_host).ok_or_else(|| refuse("it is no URL"))?;
        if url.fragment().is_some() {
            return Err(refuse("it contains `#`"));
        }
        let found = Self { text: text.to_owned(), url };
        if found.url.scheme() != "https" && !found.is_here() {
            return Err(refuse("it is neither https nor http to this machine"));
        }
        Ok(found)
    }

    /// The same with another port. Refuses (`Settings`) an address of another machine.
    pub fn with_port(mut self, port: u16) -> Result<Self> {
        if !self.is_here() {
            return Err(Failure::new(Kind::Usage, "listen on a port")
                .at(shown_address(&self.text))
                .because("the redirect address is not on this machine")
                .advise("use `--paste` without `--port`, or `--redirect-uri http://127.0.0.1:PORT/callback`"));
        }
        // A host with a port takes any.
        let _ = self.url.set_port(Some(port));
        self.text = self.url.as_str().to_owned();
        Ok(self)
    }

    /// Whether a listener on 127.0.0.1 receives its requests.
    pub fn is_here(&self) -> bool {
        let is_loopback = match self.url.host() {
            Some(Host::Ipv4(address)) => address.octets() == [127, 0, 0, 1],
            Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
            Some(Host::Ipv6(_)) | None => false,
        };
        self.url.scheme() == "http" && is_loopback
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(80)
    }

    pub fn path(&self) -> &str {
        self.url.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_as_written_and_listened_to_on_this_machine_only() {
        for (text, here) in [
            ("http://127.0.0.1:8799/callback", true),
            ("http://localhost:8799", true),
            ("https://127.0.0.1:8799/", false),
            ("https://app.example/oauth?x=1", false),
        ] {
            let address = RedirectAddress::new(text).unwrap();
            assert_eq!((address.text(), address.is_here()), (text, here), "{text}");
        }
        let other = RedirectAddress::new("http://localhost:8799/back").unwrap().with_port(9).unwrap();
        assert_eq!((other.text(), other.port(), other.path()), ("http://localhost:9/back", 9, "/back"));
        assert!(RedirectAddress::new("https://app.example/").unwrap().with_port(9).is_err());
        for text in
            ["", "callback", "http://app.example/", "http://127.0.0.2:1/", "http://[::1]:9/", "https://a/#b", "urn:x"]
        {
            assert!(RedirectAddress::new(text).is_err(), "{text}");
        }
    }
}
