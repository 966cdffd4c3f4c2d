//! Buckets as users have them: profiles of `~/.aws`, session tokens, encryption by keys, services without the request
//! that deletes several objects.

use std::path::Path;

use crate::support::{Answer, Echo, Program, Proxy, S3_KEY, S3_SECRET, Weed, account, check_truth};

const KEY: &str = "alias/lake";

/// The program without the keys of its environment, with files of profiles in a folder.
fn with_profiles(program: &Program, folder: &Path, credentials: &str, config: &str) -> Program {
    std::fs::write(folder.join("credentials"), credentials).unwrap();
    std::fs::write(folder.join("config"), config).unwrap();
    let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
    names
        .into_iter()
        .fold(program.clone(), Program::without)
        .with("AWS_SHARED_CREDENTIALS_FILE", folder.join("credentials").to_str().unwrap())
        .with("AWS_CONFIG_FILE", folder.join("config").to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_keys_of_a_profile_reach_the_bucket_and_which_ones_count_is_clear() {
    let (weed, sandbox) = (Weed::start(), account(50).await);
    let folder = tempfile::tempdir().unwrap();
    // GIVEN a profile with the right keys and the address of the service, and one with others
    let credentials = format!(
        "[lake]\naws_access_key_id = {S3_KEY}\naws_secret_access_key = {S3_SECRET}\n\
         [other]\naws_access_key_id = other-key\naws_secret_access_key = planted-other-secret\n"
    );
    let config = format!(
        "[profile lake]\nregion = eu-west-1\nendpoint_url = {0}\n[profile other]\nendpoint_url = {0}\n",
        weed.endpoint()
    );
    let program =
        with_profiles(&weed.reach(Program::new(&sandbox, "s3://lake/shop")), folder.path(), &credentials, &config)
            .without("PEARLIFT_DESTINATION_S3_ENDPOINT")
            .with("PEARLIFT_RESOURCE_BRAND_EVERY", "1ms");
    let wrong = |program: &Program| {
        program.clone().with("AWS_ACCESS_KEY_ID", "wrong").with("AWS_SECRET_ACCESS_KEY", "planted-wrong-secret")
    };
    let right =
        |program: &Program| program.clone().with("AWS_ACCESS_KEY_ID", S3_KEY).with("AWS_SECRET_ACCESS_KEY", S3_SECRET);
    let setting = "PEARLIFT_DESTINATION_S3_PROFILE";
    // WHEN the settings or the environment name it THEN its keys are used
    for program in [program.clone().with(setting, "lake"), program.clone().with("AWS_PROFILE", "lake")] {
        program.run(&["run", "brand"]).expect(0);
    }
    // AND a profile of the settings precedes the keys of the environment, which precede its profile
    wrong(&program).with(setting, "lake").run(&["run", "brand"]).expect(0);
    let endpoint = weed.endpoint();
    right(&program).with("AWS_PROFILE", "other").with("AWS_ENDPOINT_URL", &endpoint).run(&["run", "brand"]).expect(0);
    for program in [program.clone().with(setting, "other"), right(&program).with(setting, "other")] {
        let done = program.run(&["run", "brand"]).expect(5);
        assert!(done.said().contains("the service does not know the access key"), "{}", done.said());
    }
    check_truth(&sandbox, "s3://lake/shop", &["--only", "brand", "--s3-endpoint", &weed.endpoint()]);
}

#[test]
fn a_profile_that_cannot_be_used_ends_a_command_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[profile browser]\nsso_start_url = https://acme.example\n\
        [profile program]\ncredential_process = echo planted\n\
        [profile chained]\nrole_arn = arn:aws:iam::1:role/lake\nsource_profile = default\n";
    let program = with_profiles(&Program::bare("s3://lake/shop"), folder.path(), "", config);
    for (name, why) in [
        ("browser", "sign-on in a browser (SSO)"),
        ("program", "credential_process"),
        ("chained", "another profile"),
        ("absent", "credentials nor "),
    ] {
        for variable in ["PEARLIFT_DESTINATION_S3_PROFILE", "AWS_PROFILE"] {
            let done = program.clone().with(variable, name).run(&["status"]).expect(2);
            assert!(done.said().contains(why), "{name}: {}", done.said());
            assert!(done.said().contains(&format!("the AWS profile `{name}`")), "{name}: {}", done.said());
        }
    }
}

#[test]
fn the_token_of_a_session_is_sent_and_its_end_is_stated() {
    // GIVEN a service that knows the session no longer, and quotes what it was sent
    let service = Echo::saying(400, "", "<Error><Code>ExpiredToken</Code><Token>planted-session-token</Token></Error>");
    let folder = tempfile::tempdir().unwrap();
    let credentials = "[lake]\naws_access_key_id = AK\naws_secret_access_key = planted-profile-secret\n\
        aws_session_token = planted-session-token\n";
    let bare = Program::bare("s3://lake/shop")
        .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &service.root())
        .with("PEARLIFT_DESTINATION_S3_ALLOW_HTTP", "true");
    let profile = with_profiles(&bare, folder.path(), credentials, "").with("PEARLIFT_DESTINATION_S3_PROFILE", "lake");
    let variables = bare
        .with("AWS_ACCESS_KEY_ID", "AK")
        .with("AWS_SECRET_ACCESS_KEY", "planted-variable-secret")
        .with("AWS_SESSION_TOKEN", "planted-session-token");
    for program in [profile, variables] {
        // WHEN a profile or variables have it THEN it is sent, the message is a sentence, and no secret is printed
        let before = service.asked().len();
        let done = program.run(&["status"]).expect(5);
        let asked = service.asked()[before..].join("\n").to_lowercase();
        assert!(asked.contains("x-amz-security-token: planted-session-token"), "{asked}");
        assert!(done.said().contains("the session token has expired"), "{}", done.said());
        assert!(!done.said().contains("planted"), "{}", done.said());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_object_is_encrypted_with_the_key_of_the_settings() {
    let (weed, sandbox) = (Weed::with_keys(), account(50).await);
    let proxy = Proxy::start(weed.endpoint()).await;
    for (kind, key) in [("aws:kms", Some(KEY)), ("AES256", None)] {
        // GIVEN an encryption in the settings WHEN tables are written, lists deleted and read THEN they are the truth
        let url = format!("s3://lake/{}", kind.replace(':', "-"));
        let program = weed
            .reach(Program::new(&sandbox, &url))
            .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &proxy.endpoint())
            .with("PEARLIFT_DESTINATION_S3_ENCRYPTION", kind);
        let program = key.iter().fold(program, |program, key| program.with("PEARLIFT_DESTINATION_S3_KMS_KEY", key));
        proxy.take_heard();
        program.run(&["run", "order"]).expect(0);
        program.run(&["run", "--full", "order"]).expect(0);
        program.run(&["verify", "--deep"]).expect(0);
        check_truth(&sandbox, &url, &["--only", "order,order_row", "--s3-endpoint", &weed.endpoint()]);

        // AND each put and each copy requested it
        let heard = proxy.take_heard();
        let writes: Vec<_> = heard.iter().filter(|heard| heard.method == "PUT").collect();
        assert!(writes.iter().any(|heard| heard.header("x-amz-copy-source").is_some()), "files are published");
        for write in &writes {
            assert_eq!(write.header("x-amz-server-side-encryption"), Some(kind), "{}", write.path);
            assert_eq!(write.header("x-amz-server-side-encryption-aws-kms-key-id"), key, "{}", write.path);
        }
        // AND the service states it of every object
        let prefix = url.trim_start_matches("s3://lake/");
        let keys: Vec<String> = weed.keys().await.into_iter().filter(|path| path.starts_with(prefix)).collect();
        assert!(keys.len() > 10, "{keys:?}");
        for path in &keys {
            let stated = weed.header(path, "x-amz-server-side-encryption").await;
            assert_eq!(stated.as_deref(), Some(kind), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_in_parts_is_encrypted_from_its_beginning() {
    let weed = Weed::with_keys();
    let proxy = Proxy::start(weed.endpoint()).await;
    let program = weed
        .reach(Program::bare("s3://lake/shop"))
        .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &proxy.endpoint())
        .with("PEARLIFT_DESTINATION_S3_ENCRYPTION", "aws:kms")
        .with("PEARLIFT_DESTINATION_S3_KMS_KEY", KEY);
    let (store, spool) = (weed.store(&program), tempfile::tempdir().unwrap());
    // GIVEN a file of three parts WHEN it is staged and copied to its name
    let run = "0123456789abcdef0123456789abcdef";
    let staged = pearlift::store::paths::staged("brand", run, 1);
    let scratch = store.scratch(&staged, spool.path()).unwrap();
    let bytes: Vec<u8> = (0..20_usize << 20).map(|at| u8::try_from(at % 251).unwrap()).collect();
    std::fs::write(&scratch.path, &bytes).unwrap();
    store.stage(scratch).await.unwrap();
    assert!(store.copy(&staged, "brand/brand-1.parquet").await.unwrap());

    // THEN the beginning of the upload requested the key, and no part did, which the protocol refuses
    let heard = proxy.take_heard();
    let of = |query: &str| heard.iter().filter(|heard| heard.path.contains(query)).collect::<Vec<_>>();
    let (begun, parts) = (of("?uploads="), of("partNumber="));
    assert_eq!((begun.len(), parts.len()), (1, 3));
    assert_eq!(begun[0].header("x-amz-server-side-encryption-aws-kms-key-id"), Some(KEY));
    assert!(parts.iter().all(|part| part.header("x-amz-server-side-encryption").is_none()));
    // AND the copy is encrypted and has the content
    let stated = weed.header("shop/brand/brand-1.parquet", "x-amz-server-side-encryption").await;
    assert_eq!(stated.as_deref(), Some("aws:kms"));
    let copy = store.local_copy("brand/brand-1.parquet", 32 << 20, spool.path()).await.unwrap().unwrap();
    assert!(std::fs::read(copy.path()).unwrap() == bytes, "the copy has the content");
}

#[test]
fn a_key_without_an_encryption_that_uses_it_is_refused() {
    let program = Program::bare("s3://lake/shop").with("PEARLIFT_DESTINATION_S3_KMS_KEY", KEY);
    for program in [program.clone(), program.clone().with("PEARLIFT_DESTINATION_S3_ENCRYPTION", "AES256")] {
        let done = program.run(&["status"]).expect(2);
        assert!(done.said().contains("destination.s3.kms_key"), "{}", done.said());
    }
    let done = program.with("PEARLIFT_DESTINATION_S3_ENCRYPTION", "sse:kms").run(&["status"]).expect(2);
    assert!(done.said().contains("`aws:kms`"), "{}", done.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_service_that_deletes_no_several_objects_at_once_is_asked_to_delete_each() {
    let (weed, sandbox) = (Weed::start(), account(50).await);
    let proxy = Proxy::start(weed.endpoint()).await;
    for (status, code) in [(501, "NotImplemented"), (405, "MethodNotAllowed"), (400, "MalformedPOSTRequest")] {
        let url = format!("s3://lake/{code}");
        let program =
            weed.reach(Program::new(&sandbox, &url)).with("PEARLIFT_DESTINATION_S3_ENDPOINT", &proxy.endpoint());
        // GIVEN a service that does not know the request WHEN tables are read twice and cleaned
        proxy.answer("POST", "?delete", usize::MAX, Answer::Refuse(status, code));
        proxy.take_log();
        program.run(&["run", "order"]).expect(0);
        // THEN it is sent once in a run, and each object is deleted by itself
        let heard = proxy.take_log();
        let count = |wanted: &dyn Fn(&(String, String)) -> bool| heard.iter().filter(|heard| wanted(heard)).count();
        assert_eq!(count(&|(method, path)| method == "POST" && path.ends_with("?delete")), 1, "{code}: {heard:?}");
        assert!(count(&|(method, _)| method == "DELETE") > 5, "{code}: {heard:?}");
        program.run(&["run", "--full", "order"]).expect(0);
        program.run(&["clean"]).expect(0);
        proxy.heal();
        // AND nothing is left that a service with the request would not keep
        assert_eq!(weed.objects(&format!("lake/{code}/_pearlift/staging/")), Vec::<String>::new());
        program.run(&["verify", "--deep"]).expect(0);
        check_truth(&sandbox, &url, &["--only", "order,order_row", "--s3-endpoint", &weed.endpoint()]);
    }
    // AND a refusal for another reason is one
    let program = weed
        .reach(Program::new(&sandbox, "s3://lake/denied"))
        .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &proxy.endpoint());
    proxy.answer("POST", "?delete", usize::MAX, Answer::Refuse(403, "AccessDenied"));
    let done = program.run(&["run", "order"]).expect(5);
    assert!(done.said().contains("s3:DeleteObject"), "{}", done.said());
}
