//! Uploads of parts that a killed run left in a bucket: given up by the next run and by `clean`, and no others.

use pearlift::sandbox::Sandbox;
use pearlift::store::paths::{STAGING, staged};
use pearlift::store::{ScratchFile, Store};

use crate::support::{Answer, Done, Gate, Program, Proxy, Weed, account};

const DEAD_RUN: &str = "0123456789abcdef0123456789abcdef";
const OTHER_RUN: &str = "fedcba9876543210fedcba9876543210";

/// The program with a bucket `lake/shop`, and the requests that pass the proxy.
fn program(sandbox: &Sandbox, weed: &Weed, proxy: &Proxy) -> Program {
    weed.reach(Program::new(sandbox, "s3://lake/shop"))
        .with("PEARLIFT_DESTINATION_S3_ENDPOINT", &proxy.endpoint())
        .with("PEARLIFT_DESTINATION_S3_LOCK_RENEW", "150ms")
        .with("PEARLIFT_DESTINATION_S3_LOCK_EXPIRE", "1s")
}

/// A file of three parts, written and not staged yet.
fn big(store: &Store, spool: &std::path::Path, path: &str) -> ScratchFile {
    let scratch = store.scratch(path, spool).unwrap();
    std::fs::write(&scratch.path, vec![7; 20 << 20]).unwrap();
    scratch
}

/// Begins to stage a file as runs do, and is gone when the second part of three is on its way.
async fn die_in_an_upload(weed: &Weed, program: &Program, proxy: &Proxy, path: &str) {
    let (store, spool, gate) = (weed.store(program), tempfile::tempdir().unwrap(), Gate::new());
    proxy.answer("PUT", "partNumber=2", 1, Answer::Waits(gate.clone()));
    tokio::select! {
        _ = store.stage(big(&store, spool.path(), path)) => panic!("a part is held up"),
        () = gate.somebody_waits() => {}
    }
}

/// The removed paths of `clean`, with the reason, and the unknown ones.
fn cleaned(done: &Done) -> (Vec<String>, Vec<String>) {
    let said: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let gone = said["removed"].as_array().unwrap().iter();
    let gone = gone.map(|waste| format!("{} ({})", text(&waste["path"]), text(&waste["why"])));
    (gone.collect(), said["unknown"].as_array().unwrap().iter().map(text).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_killed_run_was_uploading_is_given_up_by_the_next_run_or_clean_and_nothing_else_is() {
    // GIVEN a bucket, and runs that crashed while they uploaded files of two resources
    let weed = Weed::start();
    let proxy = Proxy::start(weed.endpoint()).await;
    let sandbox = account(50).await;
    let program = program(&sandbox, &weed, &proxy);
    program.run(&["run", "brand", "currency"]).expect(0);
    let [brand, currency] = ["brand", "currency"].map(|table| staged(table, DEAD_RUN, 7));
    die_in_an_upload(&weed, &program, &proxy, &brand).await;
    die_in_an_upload(&weed, &program, &proxy, &currency).await;
    // AND uploads that are not ours, some of which look it
    let foreign = [
        format!("shop/_pearlift/brand-{DEAD_RUN}-1.part"),
        format!("shop/_pearlift/staging/{DEAD_RUN}/brand-{OTHER_RUN}-1.part"),
        format!("shop/_pearlift/staging/{DEAD_RUN}/other-{DEAD_RUN}-1.part"),
        "shop/brand/brand.parquet".to_owned(),
        format!("shop2/{brand}"),
        brand.clone(),
    ];
    for key in &foreign {
        weed.begin_upload(key).await;
    }
    let all = |ours: &[&String]| {
        let ours = ours.iter().map(|path| format!("shop/{path}"));
        let mut all: Vec<String> = foreign.iter().cloned().chain(ours).collect();
        all.sort();
        all
    };
    assert_eq!(weed.uploads().await, all(&[&brand, &currency]));

    // THEN those below our staging are seen
    let seen: Vec<String> =
        weed.store(&program).uploads(STAGING).await.unwrap().into_iter().map(|one| one.path).collect();
    let below = |path: &&String| path.starts_with(&format!("shop/{STAGING}/"));
    let named: Vec<String> =
        all(&[&brand, &currency]).iter().filter(below).map(|key| key.replacen("shop/", "", 1)).collect();
    assert_eq!(seen, named);
    assert_eq!(seen.len(), 4);

    // WHEN the next run is one of brands THEN the upload of brands is gone
    program.run(&["run", "brand"]).expect(0);
    assert_eq!(weed.uploads().await, all(&[&currency]));

    // WHEN `clean` lists the removals THEN it names the upload, and nothing is removed
    let (would, unknown) = cleaned(&program.run(&["clean", "--dry-run", "--json"]).expect(0));
    assert_eq!(would, [format!("{currency} (unfinished upload of a crashed run)")]);
    let strange: Vec<&String> = foreign[1..3].iter().collect();
    let names_all = |unknown: &[String]| strange.iter().all(|key| unknown.contains(&key.replacen("shop/", "", 1)));
    assert!(names_all(&unknown) && unknown.len() == 2, "{unknown:?}");
    assert_eq!(weed.uploads().await, all(&[&currency]));

    // WHEN it cleans THEN that is removed, behind a version that keeps its run from committing, and foreign objects
    // stay
    let versions = || weed.objects("lake/shop/_pearlift/manifests/currency/").len();
    let before = versions();
    let (gone, unknown) = cleaned(&program.run(&["clean", "--json"]).expect(0));
    assert_eq!((gone, versions()), (would, before + 1));
    assert!(names_all(&unknown), "{unknown:?}");
    assert_eq!(weed.uploads().await, all(&[]));

    // AND a second time there is nothing, and the lake is whole
    assert_eq!(cleaned(&program.run(&["clean", "--json"]).expect(0)).0, Vec::<String>::new());
    program.run(&["verify", "--deep"]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_living_run_uploads_is_left_alone_and_one_that_slept_has_lost() {
    // GIVEN a run that holds brands and uploads a file of theirs, slowly
    let weed = Weed::start();
    let proxy = Proxy::start(weed.endpoint()).await;
    let sandbox = account(50).await;
    let program = program(&sandbox, &weed, &proxy);
    program.run(&["run", "brand"]).expect(0);
    let (store, spool, gate) = (weed.store(&program), tempfile::tempdir().unwrap(), Gate::new());
    let locks = store.lock(&["brand"], OTHER_RUN, false, std::future::pending()).await.unwrap();
    proxy.answer("PUT", "partNumber=2", 1, Answer::Waits(gate.clone()));
    let path = staged("brand", OTHER_RUN, 1);
    let mut upload = std::pin::pin!(store.stage(big(&store, spool.path(), &path)));
    tokio::select! {
        _ = &mut upload => panic!("a part is held up"),
        () = gate.somebody_waits() => {}
    }

    // WHEN others run and clean THEN they leave it alone
    program.run(&["run", "brand"]).expect(6);
    program.run(&["clean"]).expect(6);
    assert_eq!(weed.uploads().await, [format!("shop/{path}")]);

    // WHEN it sleeps until its lock has expired, and another run takes over
    drop(locks);
    program.run(&["run", "brand"]).expect(0);
    assert_eq!(weed.uploads().await, Vec::<String>::new());

    // THEN it has lost when it wakes, and leaves nothing
    gate.open();
    let failure = upload.await.unwrap_err();
    assert_eq!(failure.kind().exit_code(), 6, "{failure}");
    assert_eq!(weed.uploads().await, Vec::<String>::new());
    assert_eq!(weed.objects("lake/shop/_pearlift/staging/"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_tells_or_ends_no_uploads_fails_no_run_and_clean_says_so_once() {
    let weed = Weed::start();
    let proxy = Proxy::start(weed.endpoint()).await;
    let sandbox = account(50).await;
    let program = program(&sandbox, &weed, &proxy);
    // The account's clock is not the machine's, and that is reported too.
    let is_of_uploads = |line: &&str| line.contains("warning") && !line.contains("clock");
    let warnings = |done: &Done| done.stderr.lines().filter(is_of_uploads).count();
    for (status, code) in [(501, "NotImplemented"), (405, "MethodNotAllowed"), (403, "AccessDenied"), (500, "Oh")] {
        // WHEN it does not list them THEN a run does not report it, and has asked once
        proxy.answer("GET", "?uploads=", 9, Answer::Refuse(status, code));
        let done = program.run(&["run", "brand", "currency"]).expect(0);
        assert_eq!((warnings(&done), proxy.heal()), (0, 8), "{}", done.said());

        // AND `clean` reports it once, with the remedy, and does the rest
        proxy.answer("GET", "?uploads=", 9, Answer::Refuse(status, code));
        let done = program.run(&["clean"]).expect(0);
        assert_eq!((warnings(&done), proxy.heal()), (1, 8), "{}", done.said());
        assert!(done.stderr.contains("s3:ListBucketMultipartUploads") && done.stderr.contains(&status.to_string()));
    }

    // WHEN it lists them and lets nobody end them THEN it is the same, and they are not reported as removed
    let upload = staged("brand", DEAD_RUN, 1);
    weed.begin_upload(&format!("shop/{upload}")).await;
    proxy.answer("DELETE", "uploadId=", 9, Answer::Refuse(403, "AccessDenied"));
    let done = program.run(&["run", "brand", "currency"]).expect(0);
    assert_eq!(warnings(&done), 0, "{}", done.said());
    let done = program.run(&["clean", "--json"]).expect(0);
    assert_eq!((warnings(&done), cleaned(&done).0), (1, Vec::<String>::new()), "{}", done.said());
    assert_eq!(weed.uploads().await, [format!("shop/{upload}")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn more_uploads_than_a_page_holds_are_all_seen() {
    use futures_util::StreamExt;
    use object_store::multipart::MultipartStore;

    // GIVEN more than a thousand uploads, several of some keys
    let weed = Weed::start();
    let program = weed.reach(Program::bare("s3://lake/shop"));
    let bucket = weed.bucket();
    let keys: Vec<String> = (0..1_050).map(|number| staged("brand", DEAD_RUN, number / 3)).collect();
    let begin = |key: &String| {
        let (bucket, path) = (bucket.clone(), object_store::path::Path::from(format!("shop/{key}")));
        async move { bucket.create_multipart(&path).await.unwrap() }
    };
    let mut begun: Vec<String> =
        futures_util::stream::iter(keys.iter().map(begin)).buffer_unordered(16).collect().await;
    begun.sort();

    // THEN each is seen
    let store = weed.store(&program);
    let found = store.uploads(STAGING).await.unwrap();
    let mut seen: Vec<String> = found.iter().map(|upload| upload.id.clone()).collect();
    seen.sort();
    assert_eq!(seen, begun);

    // AND those of another folder are not
    assert_eq!(store.uploads(&format!("{STAGING}/{OTHER_RUN}")).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_that_never_ends_and_names_what_nobody_asked_for_ends_and_gives_what_is_ours() {
    const SAID: &str = "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>shop</NextKeyMarker>\
        <Upload><Key>shop/_pearlift/staging/a.part</Key><UploadId>1</UploadId></Upload><Prefix>p</Prefix>\
        <Upload><Key>shop2/_pearlift/staging/a.part</Key><UploadId>2</UploadId></Upload>\
        <Upload><Key>shop/order/a.parquet</Key><UploadId>3</UploadId></Upload></ListMultipartUploadsResult>";
    let weed = Weed::start();
    let proxy = Proxy::start(weed.endpoint()).await;
    let program =
        weed.reach(Program::bare("s3://lake/shop")).with("PEARLIFT_DESTINATION_S3_ENDPOINT", &proxy.endpoint());
    proxy.answer("GET", "?uploads=", 5_000, Answer::Say(SAID));

    let found = weed.store(&program).uploads(STAGING).await.unwrap();

    let [only] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((only.path.as_str(), only.id.as_str()), ("_pearlift/staging/a.part", "1"));
    assert_eq!(proxy.heal(), 4_998, "asked twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_list_is_asked_where_the_bucket_is_and_a_folder_is_asked_nothing() {
    // GIVEN an endpoint that names the bucket by its host
    let weed = Weed::start();
    let proxy = Proxy::start(weed.endpoint()).await;
    let program =
        weed.reach(Program::bare("s3://lake/shop")).with("PEARLIFT_DESTINATION_S3_ENDPOINT", &proxy.endpoint());
    for (path_style, address) in [("true", "/lake/?uploads="), ("false", "/?uploads=")] {
        // WHEN uploads are listed THEN the address is that of the bucket
        let program = program.clone().with("PEARLIFT_DESTINATION_S3_PATH_STYLE", path_style);
        proxy.answer("GET", address, 1, Answer::Refuse(501, "NotImplemented"));
        let refused = weed.store(&program).uploads(STAGING).await.unwrap_err();
        assert_eq!(proxy.heal(), 0, "path_style {path_style}: {refused}");
    }

    // AND a folder has none
    let lake = tempfile::tempdir().unwrap();
    assert_eq!(Program::bare(lake.path()).store().uploads(STAGING).await.unwrap(), []);
}
