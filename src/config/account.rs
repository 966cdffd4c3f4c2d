//! The account at the source, and the hosts at which it may be.
//!
//! Takes the settings, gives the code and the address; a data centre in another known form is corrected. Refuses
//! (`Settings`) an account without an address, and an address that is no https.

use url::Url;

use crate::config::address::{check_address, refuse_query, shown_address};
use crate::config::choices::AuthKind;
use crate::config::forms::{DATA_CENTRES, SourceAddress, is_code, source_address};
use crate::config::resolve::Settings;
use crate::config::secrets;
use crate::config::shown::shown;
use crate::failure::{Failure, Kind, Result};

/// The account at the source.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    pub code: String,
    /// `https://…/public-api/{code}`, without a slash at its end.
    pub base_url: Url,
    /// The settings name the address: no token answer moves it.
    pub fixed: bool,
}

impl AccountSettings {
    /// The host, with a port where there is one.
    pub fn host(&self) -> String {
        place(&self.base_url)
    }

    /// The same account at another host, which no token answer moves.
    pub fn at(&self, host: &DataCentre) -> Self {
        let mut base_url = host.0.clone();
        base_url.set_path(self.base_url.path());
        Self { code: self.code.clone(), base_url, fixed: true }
    }
}

/// A host at which the source serves accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataCentre(Url);

impl DataCentre {
    /// The host of a name, or of an `http` address on this machine. Refuses (`Settings`) any other.
    pub fn new(text: &str) -> Result<Self> {
        let key = "account.data_centres";
        let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let url = Url::parse(&whole).ok().filter(Url::has_host).ok_or_else(|| {
            Failure::new(Kind::Settings, format!("accept `{key}`")).because(format!("{} is no host", shown(text)))
        })?;
        check_address(&url, key)?;
        refuse_query(&url, key)?;
        Ok(Self(url))
    }

    /// The host, with a port where there is one.
    pub fn host(&self) -> String {
        place(&self.0)
    }

    /// The lines of a settings file that name this host for an account.
    pub fn setting(&self, code: &str) -> String {
        match self.0.scheme() {
            "https" => format!("api_domain = \"{}\"", self.host()),
            scheme => format!("base_url = \"{scheme}://{}/public-api/{code}\"", self.host()),
        }
    }
}

fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

impl Settings {
    /// The account at the source.
    pub fn account(&self) -> Result<AccountSettings> {
        let injected = |name: &str| secrets::find(&self.environment, name);
        let code = match self.filled("account.code") {
            Some(code) => code.to_owned(),
            None => injected("OAUTH_ACCOUNT")?.ok_or_else(|| missing("`account.code`"))?,
        };
        if !is_code(&code) {
            return Err(Failure::new(Kind::Settings, "accept the account code")
                .because(format!("{} is not letters, digits, `-` and `_`", shown(&code)))
                .advise("write the code alone, such as `acme`, as `code` under [account]"));
        }
        let fixed = self.filled("account.base_url").is_some() || self.filled("account.api_domain").is_some();
        let text = match self.filled("account.base_url") {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let domain = match self.filled("account.api_domain") {
                    Some(domain) => domain.to_owned(),
                    None => injected("OAUTH_API_DOMAIN")?
                        .or_else(|| self.is_named_by_tokens().then(|| DATA_CENTRES[0].to_owned()))
                        .ok_or_else(|| missing("`account.api_domain`"))?,
                };
                format!("https://{}/public-api/{code}", corrected(&domain)?)
            }
        };
        let base_url = Url::parse(&text).ok().filter(Url::has_host).ok_or_else(|| {
            Failure::new(Kind::Settings, "read the address of the source")
                .because(format!("`{}` is no URL", shown_address(&text)))
        })?;
        check_address(&base_url, "account.base_url")?;
        refuse_query(&base_url, "account.base_url")?;
        Ok(AccountSettings { code, base_url, fixed })
    }

    /// The hosts at which an account may be that the configured host does not serve.
    pub fn data_centres(&self) -> Result<Vec<DataCentre>> {
        match self.values.list("account.data_centres") {
            Some(list) => list.iter().filter(|host| !host.is_empty()).map(|host| DataCentre::new(host)).collect(),
            None => DATA_CENTRES.into_iter().map(DataCentre::new).collect(),
        }
    }

    /// Whether the answer to a login names the host: until then it is the first data centre.
    fn is_named_by_tokens(&self) -> bool {
        self.values.choice("auth.kind") == Some(AuthKind::Oauth)
    }

    /// A setting that is not empty.
    fn filled(&self, name: &str) -> Option<&str> {
        self.values.text(name).filter(|text| !text.is_empty())
    }
}

fn missing(what: &str) -> Failure {
    Failure::new(Kind::Settings, "find the account").because(format!("{what} is not set")).advise(
        "run `pearlift init` and fill in [account], or set PEARLIFT_ACCOUNT_CODE and PEARLIFT_ACCOUNT_API_DOMAIN; \
         `pearlift demo` needs no account",
    )
}

/// The host that `account.api_domain` means: `euw1` and pasted addresses are corrected.
fn corrected(domain: &str) -> Result<String> {
    match source_address(domain) {
        Ok(SourceAddress::Domain(host)) => Ok(host),
        Ok(SourceAddress::Base(_)) | Err(_) if domain.contains("://") => {
            Err(Failure::new(Kind::Settings, "accept `account.api_domain`")
                .at(shown_address(domain))
                .because("it is an address, and a host is needed")
                .advise(format!("write `api_domain = \"{}\"`; a whole address is `base_url`", DATA_CENTRES[0])))
        }
        Ok(SourceAddress::Base(_)) | Err(_) => Ok(domain.to_owned()),
    }
}
