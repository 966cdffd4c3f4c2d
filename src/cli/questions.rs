//! The values that `init` needs: from flags, or asked on a terminal, with the place in Brightpearl where each is found.
//!
//! Takes texts as people write them, gives the forms that the settings have. Refuses (`Settings`) a text with the right
//! form; on a terminal the question is asked again. No secret is asked for.

use std::io::BufRead;

use crate::cli::setup_arguments::Init;
use crate::cli::terminal::Terminal;
use crate::config::{AuthKind, Choice, Environment, Settings, SourceAddress, account_form, app_form, source_address};
use crate::failure::{Failure, Kind, Result};

/// The values of a settings file; none where a value is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetUp {
    pub account: Option<String>,
    pub address: Option<SourceAddress>,
    pub login: Option<String>,
    pub app_ref: Option<String>,
    pub dev_ref: Option<String>,
    pub destination: Option<String>,
    /// Corrections of what was written, as lines for people.
    pub corrections: Vec<String>,
}

/// A value that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Account,
    Login,
    Address,
    AppRef,
    DevRef,
    Destination,
}

/// In this order: the kind of login decides on those behind it.
const QUESTIONS: [Question; 6] =
    [Question::Account, Question::Login, Question::Address, Question::AppRef, Question::DevRef, Question::Destination];

impl SetUp {
    /// The values of the flags.
    pub fn given(init: &Init) -> Result<Self> {
        let mut found = Self::default();
        let given = [
            (Question::Account, &init.account),
            (Question::Login, &init.login),
            (Question::Address, &init.datacentre),
            (Question::AppRef, &init.app_ref),
            (Question::DevRef, &init.dev_ref),
            (Question::Destination, &init.destination),
        ];
        for (question, text) in given {
            if let Some(text) = text {
                found.take(question, text)?;
            }
        }
        Ok(found)
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Asks for the missing values. Fails (`Usage`) where the answers end.
    pub fn ask(&mut self, terminal: &Terminal, answers: &mut impl BufRead) -> Result<()> {
        let mut said = self.corrections.len();
        for question in QUESTIONS {
            if !self.lacks(question) {
                continue;
            }
            terminal.complain(&[String::new(), question.place(self.is_oauth()).to_owned()]);
            loop {
                terminal.prompt(&question.prompt());
                let mut line = String::new();
                let read = answers.read_line(&mut line).map_err(|error| ended().caused(error))?;
                if read == 0 {
                    return Err(ended());
                }
                let text = match line.trim() {
                    "" => question.default().unwrap_or_default(),
                    text => text,
                };
                if text.is_empty() && question == Question::Address && self.is_oauth() {
                    break;
                }
                match self.take(question, text) {
                    Ok(()) => break,
                    Err(refused) => {
                        let advice = refused.advice().map(|advice| format!("help: {advice}"));
                        terminal
                            .complain(&[Some(refused.to_string()), advice].into_iter().flatten().collect::<Vec<_>>());
                    }
                }
            }
            terminal.complain(&self.corrections[said..]);
            said = self.corrections.len();
        }
        Ok(())
    }

    /// Takes a value as it was written.
    fn take(&mut self, question: Question, text: &str) -> Result<()> {
        match question {
            Question::Account => {
                let form = account_form(text)?;
                self.correct("account code", text, &form.code);
                self.account = Some(form.code);
                if let Some(address) = form.address.filter(|_| self.address.is_none()) {
                    self.correct("data centre", text, place(&address));
                    self.address = Some(address);
                }
            }
            Question::Login => {
                AuthKind::named(text).ok_or_else(|| {
                    Failure::new(Kind::Settings, "accept the kind of login")
                        .because("it is none of the kinds")
                        .advise(format!("write one of `{}`", AuthKind::NAMES.join("`, `")))
                })?;
                self.login = Some(text.to_owned());
            }
            Question::Address => {
                let address = source_address(text)?;
                self.correct("data centre", text, place(&address));
                self.address = Some(address);
                let named = account_form(text).ok().filter(|form| form.address.is_some());
                if let Some(form) = named.filter(|_| self.account.is_none()) {
                    self.correct("account code", text, &form.code);
                    self.account = Some(form.code);
                }
            }
            Question::AppRef => self.app_ref = Some(app_form(text, "app reference")?),
            Question::DevRef => self.dev_ref = Some(app_form(text, "developer reference")?),
            Question::Destination => {
                let text = text.trim();
                let written = toml::Value::String(text.to_owned());
                // The form alone is checked: a container's account may come from a variable, or is written into the file.
                let settings = format!("[destination]\nurl = {written}\n[destination.azure]\naccount = \"any\"\n");
                Settings::from_text(None, &settings, Environment::default(), &[])?.destination()?;
                if text.is_empty() {
                    return Err(Failure::new(Kind::Settings, "accept the destination")
                        .because("it is empty")
                        .advise("write a folder such as `./lake`, `s3://bucket/prefix`, or `az://container/prefix`"));
                }
                self.destination = Some(text.to_owned());
            }
        }
        Ok(())
    }

    fn correct(&mut self, what: &str, written: &str, taken: &str) {
        if written.trim() != taken {
            self.corrections.push(format!("the {what} is `{taken}`"));
        }
    }

    fn lacks(&self, question: Question) -> bool {
        match question {
            Question::Account => self.account.is_none(),
            Question::Login => self.login.is_none(),
            Question::Address => self.address.is_none(),
            Question::AppRef => self.app_ref.is_none(),
            Question::DevRef => self.dev_ref.is_none() && self.is_oauth(),
            Question::Destination => self.destination.is_none(),
        }
    }

    /// Whether the login is OAuth.
    pub fn is_oauth(&self) -> bool {
        self.login.as_deref().and_then(AuthKind::named) == Some(AuthKind::Oauth)
    }

    /// The settings by their names; those that are missing have no value.
    pub fn settings(&self) -> Vec<(&'static str, Option<String>)> {
        let (domain, base) = match &self.address {
            Some(SourceAddress::Domain(domain)) => (Some(domain.clone()), None),
            Some(SourceAddress::Base(base)) => (None, Some(base.clone())),
            None => (None, None),
        };
        vec![
            ("account.code", self.account.clone()),
            ("account.api_domain", domain),
            ("account.base_url", base),
            ("auth.kind", self.login.clone()),
            ("auth.app_ref", self.app_ref.clone()),
            ("auth.dev_ref", self.dev_ref.clone()),
            ("destination.url", self.destination.clone()),
        ]
    }
}

/// The answers ended before the last question.
fn ended() -> Failure {
    Failure::new(Kind::Usage, "ask for the settings")
        .because("the answers ended, and nothing was written")
        .advise("give the values as flags: `pearlift init --help` lists them")
}

fn place(address: &SourceAddress) -> &str {
    match address {
        SourceAddress::Domain(text) | SourceAddress::Base(text) => text,
    }
}

impl Question {
    /// The place in Brightpearl where the value is found, in one line.
    fn place(self, is_oauth: bool) -> &'static str {
        match (self, is_oauth) {
            (Self::Account, _) => {
                "The account code: you enter it to log in to Brightpearl, and each page there shows it at the bottom right."
            }
            (Self::Login, _) => {
                "The kind of login: staff-token or account-token for a private app (App Store > Private apps: a staff app \
                 or a system app), oauth for an app of a developer account."
            }
            (Self::Address, false) => {
                "The data centre: the beginning of the address of your Brightpearl pages, euw1 or use1."
            }
            (Self::Address, true) => {
                "The data centre, euw1 or use1; without one, the host that the login names is used."
            }
            (Self::AppRef, false) => {
                "The app reference: App Store > Private apps shows it, with the account code before it, such as acme_export."
            }
            (Self::AppRef, true) => "The app reference: your developer account shows it, at the app.",
            (Self::DevRef, _) => "The developer reference: your developer account shows it.",
            (Self::Destination, _) => {
                "The destination: a folder of this machine, s3://bucket/prefix, or az://container/prefix."
            }
        }
    }

    fn prompt(self) -> String {
        let what = match self {
            Self::Account => "account code",
            Self::Login => "kind of login",
            Self::Address => "data centre",
            Self::AppRef => "app reference",
            Self::DevRef => "developer reference",
            Self::Destination => "destination",
        };
        match self.default() {
            Some(default) => format!("{what} [{default}]:"),
            None => format!("{what}:"),
        }
    }

    fn default(self) -> Option<&'static str> {
        match self {
            Self::Login => Some("staff-token"),
            Self::Destination => Some("./lake"),
            Self::Account | Self::Address | Self::AppRef | Self::DevRef => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_values_are_asked_for_and_wrong_ones_again() {
        // GIVEN a flag, and answers some of which are wrong
        let mut set_up = SetUp { destination: Some("lake".to_owned()), ..SetUp::default() };
        let answers = "my account\nhttps://use1.brightpearlapp.com/acme.login\nwords\n\nacme_export\n";
        // WHEN they are asked for
        set_up.ask(&Terminal::default(), &mut answers.as_bytes()).unwrap();
        // THEN each question has its answer, and the address of the account gave the data centre
        let domain = SourceAddress::Domain("use1.brightpearlconnect.com".to_owned());
        assert_eq!((set_up.account.as_deref(), set_up.address), (Some("acme"), Some(domain)));
        assert_eq!((set_up.login.as_deref(), set_up.app_ref.as_deref()), (Some("staff-token"), Some("acme_export")));
        assert_eq!((set_up.dev_ref, set_up.destination.as_deref()), (None, Some("lake")));
        assert_eq!(set_up.corrections.len(), 2);
    }

    #[test]
    fn an_address_with_the_account_in_it_gives_both_values() {
        let mut set_up = SetUp::default();
        set_up.take(Question::Address, "http://127.0.0.1:8099/public-api/acme").unwrap();
        assert_eq!(set_up.account.as_deref(), Some("acme"));
        // A code that was given stays, and a name of a data centre is no code.
        let mut named = SetUp { account: Some("bolt".to_owned()), ..SetUp::default() };
        named.take(Question::Address, "https://use1.brightpearlapp.com/acme.login").unwrap();
        assert_eq!(named.account.as_deref(), Some("bolt"));
        let mut other = SetUp::default();
        other.take(Question::Address, "euw1").unwrap();
        assert_eq!(other.account, None);
    }

    #[test]
    fn oauth_needs_the_developer_and_no_data_centre() {
        let mut set_up = SetUp { account: Some("acme".to_owned()), ..SetUp::default() };
        set_up.ask(&Terminal::default(), &mut "oauth\n\nmy-app\nacme-dev\n\n".as_bytes()).unwrap();
        let settings = set_up.settings();
        let of = |name: &str| settings.iter().find(|(known, _)| *known == name).unwrap().1.as_deref();
        assert_eq!((of("account.api_domain"), of("account.base_url")), (None, None));
        assert_eq!((of("auth.dev_ref"), of("destination.url")), (Some("acme-dev"), Some("./lake")));
    }

    #[test]
    fn answers_that_end_early_are_a_failure() {
        let ended = SetUp::default().ask(&Terminal::default(), &mut "acme\n".as_bytes()).unwrap_err();
        assert_eq!(ended.kind(), Kind::Usage);
    }
}
