//! Credentials of a bucket: the redactor knows them before they are used, from any source; and the observer of the
//! requests for those of any store.
//!
//! The client takes them from variables, or fetches them: from a container's address, for a web identity, or from the
//! machine's metadata; keys of the account and a profile of `~/.aws` precede all of these. Each credential that a source returns is registered, and so are those
//! sent to that source; an answer that is no credential may be quoted in an error, so its texts are registered too.

use std::pin::Pin;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, AwsCredentialProvider};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use object_store::{ClientOptions, CredentialProvider};
use serde_json::Value;
use url::form_urlencoded;

use crate::config::{S3, S3Credentials};
use crate::secret::{Redactor, Secret};
use crate::store::network::{Connector, retry};

/// Settings of the client that hold a secret.
const CONFIGURED: [AmazonS3ConfigKey; 2] = [AmazonS3ConfigKey::SecretAccessKey, AmazonS3ConfigKey::Token];
/// Headers, and keys of a query or a form, by which a source of credentials is asked.
const ASKED_WITH: [&str; 3] = ["authorization", "x-aws-ec2-metadata-token", "x-identity-header"];
const ASKED_FOR: [&str; 5] = ["WebIdentityToken", "client_secret", "client_assertion", "refresh_token", "assertion"];
/// Names of secrets in answers, in JSON and XML; an access key's id is none.
const ANSWERED: [&str; 4] = ["SecretAccessKey", "SessionToken", "Token", "access_token"];

/// A builder that makes its credentials known to the redactor: those of the settings, or its own.
pub(super) fn known(builder: AmazonS3Builder, s3: &S3) -> object_store::Result<AmazonS3Builder> {
    let redactor = &s3.redactor;
    let giver = match &s3.credentials {
        Some(credentials) => with_credentials(&builder, credentials),
        None => builder.clone(),
    };
    for key in CONFIGURED {
        giver.get_config_value(&key).iter().for_each(|value| redactor.learn(&Secret::new(value)));
    }
    // Built for its source of credentials alone, which no other way gives; its requests are those for credentials.
    let listener = Listener::new(redactor);
    let source = Arc::clone(giver.with_http_connector(listener).with_bucket_name(&s3.bucket).build()?.credentials());
    Ok(builder.with_credentials(Arc::new(Source { source, redactor: redactor.clone() })))
}

/// A builder with these credentials and no others; regions and addresses are those of the first one.
fn with_credentials(builder: &AmazonS3Builder, credentials: &S3Credentials) -> AmazonS3Builder {
    let mut giver = AmazonS3Builder::new();
    match credentials {
        S3Credentials::Keys { key_id, secret_key, token } => {
            giver = giver.with_access_key_id(key_id).with_secret_access_key(secret_key.reveal());
            if let Some(token) = token {
                giver = giver.with_token(token.reveal());
            }
        }
        S3Credentials::WebIdentity { role, token_file, session_name } => {
            let file = token_file.display().to_string();
            giver = giver.with_config(AmazonS3ConfigKey::WebIdentityTokenFile, file);
            giver = giver.with_config(AmazonS3ConfigKey::RoleArn, role);
            for (key, value) in [
                (AmazonS3ConfigKey::RoleSessionName, session_name.clone()),
                (AmazonS3ConfigKey::Region, builder.get_config_value(&AmazonS3ConfigKey::Region)),
                (AmazonS3ConfigKey::StsEndpoint, builder.get_config_value(&AmazonS3ConfigKey::StsEndpoint)),
            ] {
                if let Some(value) = value {
                    giver = giver.with_config(key, value);
                }
            }
        }
    }
    giver.with_retry(retry())
}

/// A source of credentials that registers them.
#[derive(Debug)]
struct Source {
    source: AwsCredentialProvider,
    redactor: Redactor,
}

impl CredentialProvider for Source {
    type Credential = AwsCredential;

    fn get_credential<'a, 'b>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<AwsCredential>>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let credential = self.source.get_credential().await?;
            self.redactor.learn(&Secret::new(&credential.secret_key));
            credential.token.iter().for_each(|token| self.redactor.learn(&Secret::new(token)));
            Ok(credential)
        })
    }
}

/// Makes clients with observed requests and answers.
#[derive(Debug)]
pub(super) struct Listener {
    redactor: Redactor,
}

impl Listener {
    /// One for this redactor.
    pub fn new(redactor: &Redactor) -> Self {
        Self { redactor: redactor.clone() }
    }
}

impl HttpConnector for Listener {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = Connector.connect(options)?;
        Ok(HttpClient::new(Listening { client, redactor: self.redactor.clone() }))
    }
}

#[derive(Debug)]
struct Listening {
    client: HttpClient,
    redactor: Redactor,
}

impl HttpService for Listening {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            self.learn_request(&request);
            // A PUT asks for a token, and its whole answer is one.
            let is_token = request.method().as_str() == "PUT";
            let (head, body) = self.client.execute(request).await?.into_parts();
            let body = body.bytes().await?;
            let text = String::from_utf8_lossy(&body);
            secrets(&text, is_token).iter().for_each(|secret| self.redactor.learn(secret));
            Ok(HttpResponse::from_parts(head, HttpResponseBody::from(body)))
        })
    }
}

impl Listening {
    fn learn_request(&self, request: &HttpRequest) {
        for name in ASKED_WITH {
            let values = request.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
            // With and without its kind, as in `Bearer …`.
            values.flat_map(|value| [Some(value), value.split_once(' ').map(|(_, rest)| rest)]).flatten().for_each(
                |value| {
                    self.redactor.learn(&Secret::new(value));
                },
            );
        }
        let query = request.uri().query().unwrap_or_default();
        let form = request.body().as_bytes().map_or(&[][..], |bytes| &bytes[..]);
        let asked = form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(form));
        asked
            .filter(|(name, _)| ASKED_FOR.contains(&&**name))
            .for_each(|(_, value)| self.redactor.learn(&Secret::new(&value)));
    }
}

/// The secrets that an answer holds.
fn secrets(text: &str, is_token: bool) -> Vec<Secret> {
    let mut found = Vec::new();
    if is_token {
        found.push(text.to_owned());
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value) => collect(&value, true, &mut found),
        Err(_) => found.extend(ANSWERED.iter().filter_map(|name| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            Some(rest.split_once('<')?.0.to_owned())
        })),
    }
    found.iter().map(|text| Secret::new(text)).collect()
}

/// Texts of a JSON value: those of an object under the names of secrets, at any depth; all of another value.
fn collect(value: &Value, is_secret: bool, found: &mut Vec<String>) {
    match value {
        Value::String(text) if is_secret => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, is_secret, found)),
        Value::Object(fields) => {
            let named = |name: &str| ANSWERED.iter().any(|known| known.eq_ignore_ascii_case(name));
            fields.iter().for_each(|(name, value)| collect(value, named(name), found));
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secrets_of_each_kind_of_answer_are_found() {
        let of = |text: &str, is_token| {
            secrets(text, is_token).iter().map(|secret| secret.reveal().to_owned()).collect::<Vec<_>>()
        };
        let json = r#"{"Code":"Success","AccessKeyId":"AK","SecretAccessKey":"s/1","Token":"t=2","Expiration":"2030-01-01T00:00:00Z"}"#;
        assert_eq!(of(json, false), ["s/1", "t=2"]);
        let xml = "<R><Credentials><AccessKeyId>AK</AccessKeyId><SecretAccessKey>s/1</SecretAccessKey><SessionToken>t=2</SessionToken></Credentials></R>";
        assert_eq!(of(xml, false), ["s/1", "t=2"]);
        assert_eq!(of("metadata-token\n", true), ["metadata-token"]);
        assert_eq!(of("role-of-the-machine", false), [""; 0]);
        // Answers of another shape, which an error quotes.
        assert_eq!(of(r#""s/1""#, false), ["s/1"]);
        assert_eq!(of(r#"["AK","s/1",{"Role":"r","Token":["t=2"]}]"#, false), ["AK", "s/1", "t=2"]);
    }
}
