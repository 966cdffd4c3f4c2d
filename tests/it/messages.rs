//! The program's own messages: a text that a user wrote at a wrong place is not shown, for it may be a credential.

use std::path::Path;

use crate::support::{Done, Program};

/// Parts of the credentials that the tests write where none belongs.
const PLANTED: [&str; 3] = ["planted", "PLANTED", "pl4nt3d"];

#[track_caller]
fn says_nothing_of_it(done: &Done, wrote: &str) {
    let said = done.said();
    assert!(PLANTED.iter().all(|part| !said.contains(part)), "{wrote}: {said}");
    assert!(said.contains("could not "), "{wrote}: {said}");
}

fn program(folder: &Path) -> Program {
    Program::bare(folder.join("lake"))
        .with("BRIGHTPEARL_STAFF_TOKEN", "sandbox-staff-token")
        .with("PEARLIFT_ACCOUNT_BASE_URL", "http://127.0.0.1:9/public-api/acme")
        .with("PEARLIFT_LIMITS_RETRY_TRIES", "1")
}

#[test]
fn an_address_is_shown_without_user_password_query_and_fragment_even_where_it_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    let oauth = program
        .clone()
        .with("PEARLIFT_AUTH_KIND", "oauth")
        .with("BRIGHTPEARL_OAUTH_REFRESH_TOKEN", "sandbox+refresh/token=");
    let bucket = program.clone().with("PEARLIFT_DESTINATION_URL", "s3://lake/x");
    let places = [
        (&program, "PEARLIFT_ACCOUNT_BASE_URL"),
        (&program, "PEARLIFT_ACCOUNT_API_DOMAIN"),
        (&oauth, "PEARLIFT_AUTH_TOKEN_URL"),
        (&bucket, "PEARLIFT_DESTINATION_S3_ENDPOINT"),
        (&bucket, "AWS_ENDPOINT_URL_S3"),
        (&program, "PEARLIFT_DESTINATION_URL"),
    ];
    // GIVEN addresses with credentials, most of them not well-formed
    let addresses = [
        "https://user:planted-password@h:99999",
        "https://user:planted-password@h:99999/x?key=planted-key#planted",
        "https://planted-user@h:x/",
        "https://user:planted-password",
        "https://user:planted:password/x",
        "https://user:pl4nt3d%40password@h:port",
        "https://user:planted/pass?word#and@more@[h",
        "http://user:planted-password@h.example/x",
        "http://h.example/x?token=planted-token",
        "http://h.example/x#planted-token",
        "ftp://planted:planted@h/x",
        "user:planted-password@https://h",
    ];
    for (program, variable) in places {
        for address in addresses {
            let program = match variable {
                "PEARLIFT_ACCOUNT_API_DOMAIN" => program.clone().without("PEARLIFT_ACCOUNT_BASE_URL"),
                _ => program.clone(),
            };
            let text = match variable {
                "PEARLIFT_ACCOUNT_API_DOMAIN" => address.split_once("://").map_or(address, |(_, rest)| rest),
                _ => address,
            };
            // WHEN they are set where an address belongs THEN that is refused, or they are no address there
            for command in [&["run", "brand"][..], &["check"], &["--log-format", "json", "run", "brand"]] {
                says_nothing_of_it_or_is_no_failure(&program.clone().with(variable, text).run(command), variable, text);
            }
        }
    }
    // AND credentials of a bucket within its address are refused, with a slash too few, too
    for address in [
        "s3://KEY:PLANTED@bucket/x",
        "s3://KEY:PLANTED@/x",
        "s3://PLANTED@bucket",
        "s3://KEY:PLANTED%40bucket/x",
        "s3:/KEY:PLANTED@bucket/x",
        "s3:KEY:PLANTED@bucket/x",
        "S3://KEY:PLANTED@bucket/x",
        "s3a://KEY:PLANTED@bucket/x",
        "file://user:planted@h/x",
    ] {
        for command in [&["run", "brand"][..], &["status"], &["clean"]] {
            let done = program.clone().with("PEARLIFT_DESTINATION_URL", address).run(command).expect(2);
            says_nothing_of_it(&done, address);
        }
    }
}

/// A token service is not called if the source is out of reach; no message contains a credential.
#[track_caller]
fn says_nothing_of_it_or_is_no_failure(done: &Done, variable: &str, wrote: &str) {
    assert_ne!(done.code, 0, "{variable}={wrote}: {}", done.said());
    let said = done.said();
    assert!(PLANTED.iter().all(|part| !said.contains(part)), "{variable}={wrote}: {said}");
}

#[test]
fn the_settings_file_is_not_quoted_where_a_value_stands() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pearlift.toml");
    let program = program(folder.path());
    for (text, says) in [
        ("[auth]\nstaff_token = \"planted-staff-token\"\n", "line 2, column 1: unknown field `staff_token`"),
        ("[auth]\nclient_secret = 'planted'\napp_ref = 'a'\n", "line 2, column 1: unknown field `client_secret`"),
        ("staff_token = \"planted-staff-token\"\n", "line 1, column 1: unknown field `staff_token`"),
        ("[auth]\n# here\nstaff_token = planted-staff-token\n", "line 3, column 15"),
        ("[auth]\napp_ref = \"planted-staff-token\n", "line 2, column "),
        ("[auth]\napp_ref = 'a' 'planted-staff-token'\n", "line 2, column "),
        ("[auth]\nkind = \"planted-staff-token\"\n", "line 2, column 8: unknown value, expected one of `staff-token`"),
        (
            "[limits]\nreserve = \"planted-token, expected 5\"\n",
            "line 2, column 11: invalid type: string, expected u32",
        ),
        ("[auth]\napp_ref = ['planted-token']\n", "line 2, column 11: invalid type: sequence, expected a string"),
        ("[account]\ncode = \"planted+staff/token=of-many-letters\"\n", "accept the account code"),
        (
            "[destination]\nurl = 's3://lake'\ns3.region = 'planted token of many letters'\n",
            "accept `destination.s3.region`",
        ),
        ("[limits]\nmemory = \"planted-token-of-many-letters\"\n", "read `limits.memory`"),
        ("[limits]\nperiod = \"1 planted-token-of-many-letters\"\n", "read `limits.period`"),
        ("[resource.brand]\nstart = \"planted-token-of-many-letters\"\n", "read `resource.brand.start`"),
    ] {
        std::fs::write(&file, text).unwrap();
        let mut program = program.clone();
        for name in ["PEARLIFT_ACCOUNT_CODE", "PEARLIFT_DESTINATION_URL"] {
            let key = if name.ends_with("CODE") { "code" } else { "url" };
            if text.contains(&format!("\n{key} = ")) {
                program = program.without(name);
            }
        }
        for format in ["text", "json"] {
            let arguments = ["--config", file.to_str().unwrap(), "--log-format", format, "run", "brand"];
            let done = program.run(&arguments).expect(2);
            says_nothing_of_it(&done, text);
            let said = done.said().replace("\\\"", "\"");
            assert!(said.contains(says), "{text}: {said}");
        }
    }
    // AND so it is with variables
    std::fs::write(&file, "").unwrap();
    for (name, value) in [
        ("PEARLIFT_AUTH_KIND", "planted-staff-token"),
        ("PEARLIFT_LIMITS_RESERVE", "planted-token-of-many-letters"),
        ("PEARLIFT_LIMITS_COMPARE_COUNTS", "planted-token-of-many-letters"),
        ("PEARLIFT_LIMITS_TIMEOUT", "planted-token-of-many-letters"),
        ("PEARLIFT_RESOURCE_BRAND_START", "planted-token-of-many-letters"),
    ] {
        let done = program.clone().with(name, value).run(&["run", "brand"]).expect(2);
        says_nothing_of_it(&done, name);
    }
    // A short value is shown, for it is the fault.
    let done = program.with("PEARLIFT_LIMITS_TIMEOUT", "2 hoours").run(&["run", "brand"]).expect(2);
    assert!(done.said().contains("`2 hoours` is no duration"), "{}", done.said());
}

#[test]
fn a_token_among_the_arguments_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    for arguments in [
        &["run", "sandbox-staff-token"][..],
        &["run", "--max-minutes", "sandbox-staff-token"],
        &["run", "--max-minutes=sandbox-staff-token"],
        &["sandbox%2Dstaff-token"],
        &["backfill", "brand", "--ids", "SANDBOX-STAFF-TOKEN"],
        &["--config", "sandbox-staff-token", "run"],
    ] {
        // `run` of the tests searches all messages.
        let done = program.run(arguments).expect(2);
        assert!(done.said().contains("[secret]"), "{arguments:?}: {}", done.said());
    }
    // AND an argument forges no line
    let done = program.run(&["run", "--max-minutes", "1\nbrand 12,345 complete\u{9b}"]).expect(2);
    assert!(done.said().lines().all(|line| !line.starts_with("brand")), "{}", done.said());
}
