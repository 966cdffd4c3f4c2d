//! The grant of a login as the OAuth library reads it: as leniently as that of a refresh.

use std::time::Duration;

use oauth2::basic::BasicTokenType;
use oauth2::{AccessToken, RefreshToken, Scope, TokenResponse};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::fetch::grant::Grant;

/// A grant, with its tokens as the library returns them.
#[derive(Debug)]
pub struct LoginGrant {
    pub grant: Grant,
    access: AccessToken,
    refresh: Option<RefreshToken>,
    token_type: BasicTokenType,
}

impl<'de> Deserialize<'de> for LoginGrant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let answer = Value::deserialize(deserializer)?;
        let grant = Grant::of(&answer).ok_or_else(|| D::Error::custom("the answer is no token"))?;
        Ok(Self {
            access: AccessToken::new(grant.access.reveal().to_owned()),
            refresh: grant.refresh.as_ref().map(|token| RefreshToken::new(token.reveal().to_owned())),
            token_type: BasicTokenType::Bearer,
            grant,
        })
    }
}

/// The library asks for it; tokens are written by the token file alone.
impl Serialize for LoginGrant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.grant.access)
    }
}

impl TokenResponse for LoginGrant {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.grant.life.and_then(|life| Duration::try_from(life).ok())
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_read_leniently_and_not_written() {
        for life in ["604800", "\"604800\"", "604800.0"] {
            let answer = format!(r#"{{"access_token":"planted-access","expires_in":{life},"token_type":7}}"#);
            let read: LoginGrant = serde_json::from_str(&answer).expect("it holds a token");
            assert_eq!(read.expires_in(), Some(Duration::from_secs(604_800)), "{life}");
            assert_eq!(read.access_token().secret(), "planted-access");
            let shown = format!("{read:?} {}", serde_json::to_string(&read).expect("it is a text"));
            assert!(!shown.contains("planted"), "{shown}");
        }
        assert!(serde_json::from_str::<LoginGrant>(r#"{"access_token":""}"#).is_err());
    }
}
