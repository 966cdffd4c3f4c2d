//! The settings of `[webhook]`: the receiver of a run's result, and the results that it gets.
//!
//! The address may hold a secret, so that all of it is one: no message shows more than its host.

use url::Url;

use crate::config::address::check_address;
use crate::config::choices::Notify;
use crate::config::resolve::Settings;
use crate::config::secrets;
use crate::failure::{Failure, Kind, Result};
use crate::secret::Secret;

/// The shortest part of an address that is looked for in texts on its own: keys are longer, and words are not.
const SHORTEST: usize = 16;

/// The receiver of a run's result.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The address; all of it is secret.
    pub address: Secret,
    /// The address without anything that may be secret.
    pub host: String,
    pub on: Notify,
}

impl Settings {
    /// The receiver, if there is one. Refuses (`Settings`) an address that is not https, except for http to loopback.
    pub fn webhook(&self) -> Result<Option<Webhook>> {
        let on = self.values.choice("webhook.on").expect("it has a default");
        let written = || self.values.text("webhook.url").map(str::to_owned);
        let Some(text) = secrets::webhook_url(self.environment())?.or_else(written) else { return Ok(None) };
        let refuse = |why: &str| {
            Failure::new(Kind::Settings, "accept the address of the webhook")
                .because(why)
                .advise("BRIGHTPEARL_WEBHOOK_URL, or `url` under [webhook], is the https address of the receiver")
        };
        self.learn_address(&text);
        let url = Url::parse(&text).map_err(|_| refuse("it is no URL"))?;
        self.learn_address(url.as_str());
        check_address(&url, "webhook.url").map_err(|failure| refuse(failure.reason()))?;
        let host = url.host_str().ok_or_else(|| refuse("it names no host"))?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = format!("{}://{host}{port}", url.scheme());
        Ok(Some(Webhook { address: Secret::new(url.as_str()), host, on }))
    }

    /// Makes the address known to the redactor, and each part of it that is long enough to be a key.
    fn learn_address(&self, text: &str) {
        let parts = text.split(['/', '?', '&', '=', '#']).filter(|part| part.len() >= SHORTEST && !part.contains('.'));
        for secret in std::iter::once(text).chain(parts) {
            self.environment().redactor().learn(&Secret::new(secret));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn settings(text: &str, vars: &[(&str, &str)]) -> Settings {
        let environment = Environment::new(vars.iter().map(|(name, value)| (name.into(), value.into())));
        Settings::from_text(None, text, environment, &[]).unwrap()
    }

    #[test]
    fn the_variable_takes_precedence_and_no_text_shows_the_address() {
        let text = "[webhook]\nurl = \"https://hooks.example/services/T0000/abcdefghijklmnopqrst\"\non = \"always\"\n";
        let found = settings(text, &[]);
        let webhook = found.webhook().unwrap().unwrap();
        assert_eq!((webhook.host.as_str(), webhook.on), ("https://hooks.example", Notify::Always));
        assert!(!format!("{webhook:?}").contains("T0000"), "{webhook:?}");
        let cleaned = found.environment().redactor().clean("no abcdefghijklmnopqrst at hooks.example");
        assert_eq!(cleaned, "no [secret] at hooks.example");
        let other = settings(text, &[("BRIGHTPEARL_WEBHOOK_URL", "http://127.0.0.1:9/x")]).webhook().unwrap().unwrap();
        assert_eq!(other.host, "http://127.0.0.1:9");
        assert!(settings("", &[]).webhook().unwrap().is_none());
    }

    #[test]
    fn an_address_in_the_clear_is_refused_without_being_shown() {
        for url in ["http://hooks.example/services/key", "hooks.example/key", "https://user:key@hooks.example/"] {
            let refused = settings("", &[("PEARLIFT_WEBHOOK_URL", url)]).webhook().unwrap_err();
            assert_eq!(refused.kind(), Kind::Settings);
            assert!(!refused.to_string().contains("key"), "{refused}");
        }
    }
}
