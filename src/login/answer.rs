//! The answer of the page: a code, or the reason why there is none, with the text of the login that it answers.

use url::{Url, form_urlencoded};

use crate::failure::{Failure, Kind, Result};
use crate::secret::Secret;

/// The answer to a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginAnswer {
    /// The code to exchange.
    Code(Secret),
    /// The login was not allowed, with the source's reason.
    Denied(String),
}

impl LoginAnswer {
    /// The answer in a query; `None` where it repeats another text than `state`, none, or a parameter twice.
    pub(super) fn read(query: &str, state: &str) -> Option<Self> {
        let mut parameters = form_urlencoded::parse(query.as_bytes());
        let (mut code, mut error, mut why, mut states) = (None, None, String::new(), Vec::new());
        for (name, value) in &mut parameters {
            let former = match &*name {
                "code" => code.replace(value.into_owned()),
                "error" => error.replace(value.into_owned()),
                "error_description" => {
                    why = value.into_owned();
                    None
                }
                "state" => {
                    states.push(value.into_owned());
                    None
                }
                _ => None,
            };
            if former.is_some() {
                return None;
            }
        }
        if states.as_slice() != [state] {
            return None;
        }
        match (code.filter(|code| !code.is_empty()), error) {
            (Some(code), None) => Some(Self::Code(Secret::new(&code))),
            (_, Some(error)) => Some(Self::Denied(format!("{error} {why}").trim_end().to_owned())),
            (None, None) => None,
        }
    }

    /// The code. Refuses (`Credentials`) an answer without one.
    pub fn code(self) -> Result<Secret> {
        match self {
            Self::Code(code) => Ok(code),
            Self::Denied(why) => Err(Failure::new(Kind::Credentials, "log in")
                .because(format!("the login was not allowed: {why}"))
                .advise("run `pearlift auth login` again, and allow the app on the page that opens")),
        }
    }
}

/// The answer that a person pasted: the whole address to which the page led, its query, or the code alone, which repeats
/// nothing.
pub fn pasted(text: &str, state: &str) -> Result<LoginAnswer> {
    let text = text.trim();
    let refuse = |why: &str| {
        Failure::new(Kind::Usage, "take what was pasted")
            .because(why)
            .advise("paste the whole address from the browser's address bar: it contains `code=` and `state=`")
    };
    let query = match Url::parse(text) {
        Ok(url) if url.has_host() => Some(url.query().unwrap_or_default().to_owned()),
        Ok(_) | Err(_) => Some(text.trim_start_matches('?')).filter(|text| text.contains("state=")).map(str::to_owned),
    };
    if let Some(query) = query {
        return LoginAnswer::read(&query, state).ok_or_else(|| refuse("it is no answer to this login"));
    }
    if text.is_empty() {
        return Err(refuse("there is nothing"));
    }
    if text.contains(char::is_whitespace) || text.contains("code=") {
        return Err(refuse("it is neither an address nor a code"));
    }
    Ok(LoginAnswer::Code(Secret::new(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Option<LoginAnswer> {
        Some(LoginAnswer::Code(Secret::new(text)))
    }

    #[test]
    fn an_answer_counts_with_the_text_of_its_login_only() {
        assert_eq!(LoginAnswer::read("code=a%2Bb%3D&state=s", "s"), code("a+b="));
        let denied = LoginAnswer::Denied("access_denied not today".to_owned());
        assert_eq!(LoginAnswer::read("error=access_denied&error_description=not+today&state=s", "s"), Some(denied));
        for query in [
            "",
            "code=a",
            "code=a&state=",
            "code=a&state=other",
            "code=a&state=s&state=s",
            "code=a&state=other&state=s",
            "code=a&code=b&state=s",
            "code=&state=s",
            "state=s",
        ] {
            assert_eq!(LoginAnswer::read(query, "s"), None, "{query}");
        }
    }

    #[test]
    fn a_pasted_address_a_query_and_a_code_are_taken() {
        for text in [
            "https://app.example/back?code=a&state=s",
            " http://127.0.0.1:8799/?state=s&code=a\n",
            "?code=a&state=s",
            "code=a&state=s",
            "a\n",
        ] {
            assert_eq!(pasted(text, "s").ok(), code("a"), "{text}");
        }
        for text in ["", "two words", "code=a", "https://app.example/back", "https://app.example/?code=a&state=t"] {
            let refused = pasted(text, "s").unwrap_err();
            assert!(refused.advice().is_some(), "{text}");
        }
        assert!(pasted("https://a.example/?error=access_denied&state=s", "s").unwrap().code().is_err());
    }
}
