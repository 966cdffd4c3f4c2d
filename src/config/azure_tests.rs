//! Addresses, accounts and credentials of containers.

use toml::Table;

use super::*;

/// The container of an address with these variables, and the environment.
fn resolved(url: &str, vars: &[(&str, &str)]) -> (Result<AzureContainer>, Environment) {
    let environment = Environment::new(vars.iter().map(|(name, value)| (name.into(), value.into())));
    let mut table = Table::new();
    environment.lay_over(&mut table, &[]).unwrap();
    let rest = url.strip_prefix("az://").unwrap();
    (resolve(url, rest, &Values::new(table), &environment), environment)
}

const ACCOUNT: (&str, &str) = ("PEARLIFT_DESTINATION_AZURE_ACCOUNT", "acmelake");

#[test]
fn an_address_is_a_container_and_a_prefix_as_written() {
    let of = |url: &str| resolved(url, &[ACCOUNT]).0.map(|azure| (azure.container, azure.prefix));
    assert_eq!(of("az://lake").unwrap(), ("lake".to_owned(), String::new()));
    assert_eq!(of("az://lake/shop/ünï%20/").unwrap(), ("lake".to_owned(), "shop/ünï%20".to_owned()));
    for bad in [
        "az://",
        "az:///shop",
        "az://lake@acmelake/x",
        "az://key:planted@lake",
        "az://lake?sig=planted",
        "az://lake/a//b",
    ] {
        let failure = of(bad).unwrap_err();
        assert_eq!(failure.kind(), Kind::Settings, "{bad}");
        assert!(!failure.to_string().contains("planted"), "{failure}");
    }
}

#[test]
fn the_account_comes_from_the_settings_or_the_usual_variables_and_is_needed() {
    let of = |vars: &[(&str, &str)]| resolved("az://lake", vars).0.map(|azure| azure.account);
    assert_eq!(of(&[ACCOUNT, ("AZURE_STORAGE_ACCOUNT", "other")]).unwrap(), "acmelake");
    assert_eq!(of(&[("AZURE_STORAGE_ACCOUNT_NAME", "one\n"), ("AZURE_STORAGE_ACCOUNT", "two")]).unwrap(), "one");
    assert_eq!(of(&[("AZURE_STORAGE_ACCOUNT", "two")]).unwrap(), "two");
    assert!(of(&[]).unwrap_err().to_string().contains("`destination.azure.account` is not set"));
    for bad in ["evil.example#", "x@evil.example", "Acme", "a/b"] {
        assert_eq!(of(&[("AZURE_STORAGE_ACCOUNT", bad)]).unwrap_err().kind(), Kind::Settings, "{bad}");
    }
}

#[test]
fn credentials_are_the_most_particular_ones_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "cGxhbnRlZA==\n").unwrap();
    let file = file.to_str().unwrap();
    let of = |vars: &[(&str, &str)]| {
        let vars: Vec<_> = vars.iter().copied().chain([ACCOUNT]).collect();
        resolved("az://lake", &vars).0.map(|azure| azure.credentials)
    };
    let application =
        || EntraApplication { tenant: "acme.example".to_owned(), client: "app".to_owned(), authority: None };
    let entra = [("AZURE_TENANT_ID", "acme.example"), ("AZURE_CLIENT_ID", "app")];
    let with = |more: &[(&'static str, &'static str)]| [&entra[..], more].concat();
    let key = || AzureCredentials::Key(Secret::new("cGxhbnRlZA=="));
    assert_eq!(of(&[("AZURE_STORAGE_ACCOUNT_KEY", "cGxhbnRlZA==\n")]).unwrap(), key());
    assert_eq!(of(&[("AZURE_STORAGE_KEY", "cGxhbnRlZA==")]).unwrap(), key());
    assert_eq!(
        of(&[("AZURE_STORAGE_ACCOUNT_KEY_FILE", file), ("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=x")]).unwrap(),
        key()
    );
    let signature = AzureCredentials::Signature(Secret::new("sv=1&sig=planted"));
    assert_eq!(
        of(&with(&[("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=planted"), ("AZURE_CLIENT_SECRET", "x")])).unwrap(),
        signature
    );
    let secret = AzureCredentials::Application { application: application(), secret: Secret::new("planted") };
    assert_eq!(of(&with(&[("AZURE_CLIENT_SECRET", "planted")])).unwrap(), secret);
    let workload = AzureCredentials::Workload { application: application(), token_file: "/run/token".into() };
    assert_eq!(
        of(&with(&[("AZURE_FEDERATED_TOKEN_FILE", "/run/token"), ("AZURE_CLIENT_SECRET", "x")])).unwrap(),
        workload
    );
    assert_eq!(of(&entra).unwrap(), AzureCredentials::Machine { client: Some("app".to_owned()), endpoint: None });
    let refused = of(&[("AZURE_STORAGE_CONNECTION_STRING", "AccountKey=planted")]).unwrap_err();
    assert!(refused.to_string().contains("is not read") && !refused.to_string().contains("planted"), "{refused}");
}

#[test]
fn addresses_that_would_carry_credentials_in_the_clear_are_refused() {
    for (name, value) in [
        ("PEARLIFT_DESTINATION_AZURE_ENDPOINT", "http://127.0.0.1:10000/devstoreaccount1"),
        ("AZURE_STORAGE_ENDPOINT", "http://blob.example"),
        ("AZURE_STORAGE_ENDPOINT", "https://key:planted@blob.example"),
        ("AZURE_STORAGE_ENDPOINT", "https://blob.example?sig=planted"),
        ("AZURE_AUTHORITY_HOST", "http://login.example"),
        ("IDENTITY_ENDPOINT", "http://identity.example/token"),
        ("AZURE_TENANT_ID", "../x"),
    ] {
        let vars = [ACCOUNT, ("AZURE_CLIENT_ID", "app"), (name, value)];
        let failure = resolved("az://lake", &vars).0.unwrap_err();
        assert_eq!(failure.kind(), Kind::Settings, "{name}={value}");
        assert!(!failure.to_string().contains("planted"), "{failure}");
    }
    let local = "http://127.0.0.1:10000/devstoreaccount1/";
    let vars = [ACCOUNT, ("AZURE_STORAGE_ENDPOINT", local), ("PEARLIFT_DESTINATION_AZURE_ALLOW_HTTP", "true")];
    assert_eq!(resolved("az://lake", &vars).0.unwrap().endpoint.as_deref(), Some(local.trim_end_matches('/')));
    let given = [ACCOUNT, ("IDENTITY_ENDPOINT", "http://169.254.169.254/metadata/identity/oauth2/token")];
    assert!(resolved("az://lake", &given).0.is_ok());
}

#[test]
fn a_signature_is_known_to_the_redactor_whole_and_in_part() {
    let token = "?sv=2025-01-05&sp=racwdl&sig=pl%2Fanted%2Bsig%3D";
    let (resolved, environment) = resolved("az://lake", &[ACCOUNT, ("AZURE_STORAGE_SAS_TOKEN", token)]);
    resolved.unwrap();
    for text in ["sig=pl%2Fanted%2Bsig%3D", "sig=pl/anted+sig=", "&amp;sig=pl%252Fanted%252Bsig%253D&amp;x=1"] {
        let cleaned = environment.redactor().clean(text);
        assert!(!cleaned.contains("anted"), "{text}: {cleaned}");
    }
}
