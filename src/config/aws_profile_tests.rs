//! Profiles of files as users have them.

use proptest::prelude::{any, proptest};

use super::*;

const CREDENTIALS_FILE: &str = "\
[default]
aws_access_key_id = AKDEFAULT
aws_secret_access_key = planted/default+key

# Keys of a session.
[night]
aws_access_key_id=AKNIGHT
AWS_SECRET_ACCESS_KEY = planted#night=key  # as the console shows it
aws_session_token = planted-night-token
";
const CONFIG_FILE: &str = "\
[default]
region = eu-west-1
[profile  night]
region = eu-central-1 ; where the bucket is
endpoint_url = https://s3.example.com
s3 =
    addressing_style = path
aws_access_key_id = AKOTHER
[profile pod]
role_arn = arn:aws:iam::1:role/lake
web_identity_token_file = /run/token
role_session_name = night
[profile chained]
role_arn = arn:aws:iam::1:role/lake
source_profile = default
[profile browser]
sso_session = acme
[profile program]
credential_process = /usr/bin/keys
[profile half]
aws_access_key_id = AKHALF
[profile none]
region = eu-west-1
[night]
region = not-a-profile-here
";

/// The profile of a name in these two files.
fn profile(name: &str) -> Result<AwsProfile> {
    let folder = tempfile::tempdir().unwrap();
    let (credentials, config) = (folder.path().join("credentials"), folder.path().join("config"));
    std::fs::write(&credentials, CREDENTIALS_FILE).unwrap();
    std::fs::write(&config, CONFIG_FILE).unwrap();
    let vars = [("AWS_SHARED_CREDENTIALS_FILE", credentials), ("AWS_CONFIG_FILE", config)];
    read(name, &Environment::new(vars.map(|(name, path)| (name.into(), path.into()))))
}

#[test]
fn a_profile_has_the_keys_of_both_files_and_those_of_credentials_come_first() {
    let night = profile("night").unwrap();
    let keys = S3Credentials::Keys {
        key_id: "AKNIGHT".to_owned(),
        secret_key: Secret::new("planted#night=key"),
        token: Some(Secret::new("planted-night-token")),
    };
    assert_eq!(night.credentials, keys);
    assert_eq!(night.region.as_deref(), Some("eu-central-1"));
    assert_eq!(night.endpoint.as_deref(), Some("https://s3.example.com"));
    let usual = profile("default").unwrap();
    let keys = S3Credentials::Keys {
        key_id: "AKDEFAULT".to_owned(),
        secret_key: Secret::new("planted/default+key"),
        token: None,
    };
    assert_eq!((usual.credentials, usual.region.as_deref(), usual.endpoint), (keys, Some("eu-west-1"), None));
    let pod = S3Credentials::WebIdentity {
        role: "arn:aws:iam::1:role/lake".to_owned(),
        token_file: "/run/token".into(),
        session_name: Some("night".to_owned()),
    };
    assert_eq!(profile("pod").unwrap().credentials, pod);
}

#[test]
fn a_profile_whose_credentials_others_give_or_that_has_none_is_refused_with_a_sentence() {
    for (name, why) in [
        ("chained", "its role is assumed with the credentials of another profile"),
        ("browser", "it needs a sign-on in a browser (SSO)"),
        ("program", "printed by another program (`credential_process`)"),
        ("half", "it has `aws_access_key_id` without `aws_secret_access_key`"),
        ("none", "it has no credentials"),
        ("absent", "has it"),
    ] {
        let failure = profile(name).unwrap_err();
        assert_eq!(failure.kind(), Kind::Settings, "{name}");
        assert!(failure.to_string().contains(why), "{name}: {failure}");
    }
}

#[test]
fn a_file_that_does_not_exist_has_no_profile_and_one_that_cannot_be_read_is_named() {
    let home = tempfile::tempdir().unwrap();
    let environment = Environment::new([("HOME".into(), home.path().into())]);
    let failure = read("night", &environment).unwrap_err();
    assert!(failure.to_string().contains(".aws/credentials"), "{failure}");
    std::fs::create_dir_all(home.path().join(".aws/credentials")).unwrap();
    let failure = read("night", &environment).unwrap_err();
    assert!(failure.to_string().starts_with("could not read a file of AWS profiles"), "{failure}");
    std::fs::remove_dir(home.path().join(".aws/credentials")).unwrap();
    std::fs::write(home.path().join(".aws/credentials"), CREDENTIALS_FILE).unwrap();
    assert!(read("night", &environment).is_ok());
}

#[test]
fn secrets_of_a_profile_are_known_to_the_redactor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials");
    std::fs::write(&path, CREDENTIALS_FILE).unwrap();
    let environment =
        Environment::new([("AWS_SHARED_CREDENTIALS_FILE".into(), path.into()), ("HOME".into(), folder.path().into())]);
    read("night", &environment).unwrap();
    let cleaned = environment.redactor().clean("planted#night=key and planted-night-token");
    assert!(!cleaned.contains("planted"), "{cleaned}");
}

proptest! {
    #[test]
    fn any_text_has_sections(text in any::<String>()) {
        sections(&text);
    }
}
