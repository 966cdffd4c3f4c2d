//! Google Cloud Storage, an experiment: refused unless it is accepted as one; and the conditions that its requests have,
//! before a service that a test plays. No test here proves the service itself.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use pearlift::store::{Put, Store};

use crate::support::{Echo, Program};

const URL: &str = "gs://lake/shop";
const RUN: &str = "0123456789abcdef0123456789abcdef";

/// The number of an object's state, and its content.
type Objects = BTreeMap<String, (u64, String)>;

/// A service that keeps objects by their names and honours conditions on their generation.
fn service() -> Echo {
    let objects: Mutex<(u64, Objects)> = Mutex::default();
    Echo::start(move |request, stream| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let name = path.trim_start_matches("/lake/").replace("%2F", "/").replace("%2D", "-").replace("%5F", "_");
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        let (number, objects) = &mut *objects.lock().unwrap();
        let found = objects.get(&name).cloned();
        let generation = found.as_ref().map_or(0, |(generation, _)| *generation);
        let (status, generation, body) = match method {
            "PUT" if header("x-goog-if-generation-match").is_some_and(|wanted| wanted != generation.to_string()) => {
                (412, 0, "<Error><Code>PreconditionFailed</Code></Error>".to_owned())
            }
            "PUT" => {
                *number += 1;
                objects.insert(name, (*number, body.to_owned()));
                (200, *number, String::new())
            }
            "DELETE" => {
                objects.remove(&name);
                (204, 0, String::new())
            }
            _ => match found {
                Some((generation, content)) => (200, generation, content),
                None => (404, 0, "<Error><Code>NoSuchKey</Code></Error>".to_owned()),
            },
        };
        let headers = format!(
            "ETag: \"{generation}\"\r\nx-goog-generation: {generation}\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        );
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        // A client that has heard enough is gone.
        let _ = stream.write_all(answer.as_bytes());
    })
}

/// The store of a played service, in an experiment.
fn store(service: &Echo, folder: &Path) -> Store {
    let key = format!(
        r#"{{"type":"service_account","client_email":"","private_key_id":"","private_key":"planted","disable_oauth":true,"gcs_base_url":"{}"}}"#,
        service.root()
    );
    std::fs::write(folder.join("key.json"), key).unwrap();
    Program::bare(URL)
        .with("PEARLIFT_DESTINATION_GCS_EXPERIMENTAL", "true")
        .with("GOOGLE_APPLICATION_CREDENTIALS", folder.join("key.json").to_str().unwrap())
        .store()
}

#[test]
fn cloud_storage_is_refused_unless_it_is_accepted_as_an_experiment() {
    for program in [Program::bare(URL), Program::bare(URL).with("PEARLIFT_DESTINATION_GCS_EXPERIMENTAL", "false")] {
        let done = program.run(&["status"]).expect(2);
        assert!(done.said().contains("Google Cloud Storage is experimental"), "{}", done.said());
        assert!(done.said().contains("`experimental = true` under [destination.gcs]"), "{}", done.said());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn puts_to_cloud_storage_have_the_conditions_of_their_generation() {
    let (service, folder) = (service(), tempfile::tempdir().unwrap());
    let store = store(&service, folder.path());
    // GIVEN a service that honours generations WHEN objects are put by condition THEN the store's verbs are right
    let Put::Created(tag) = store.put_new("_pearlift/locks/brand", "1").await.unwrap() else { panic!("it is new") };
    assert_eq!(store.put_new("_pearlift/locks/brand", "2").await.unwrap(), Put::Exists);
    let renewed = store.put_over("_pearlift/locks/brand", &tag, "3").await.unwrap();
    assert!(renewed.is_some());
    assert_eq!(store.put_over("_pearlift/locks/brand", &tag, "late").await.unwrap(), None);
    let (bytes, read) = store.get_tagged("_pearlift/locks/brand").await.unwrap().unwrap();
    assert_eq!(bytes, "3");
    assert!(store.put_over("_pearlift/locks/brand", &read, "4").await.unwrap().is_some());
    store.prove_conditional_put(RUN).await.unwrap();
    store.prove_lock(RUN).await.unwrap();
    // AND the first put named the generation of no object
    let first = service.asked().into_iter().find(|asked| asked.starts_with("PUT")).unwrap();
    assert!(first.contains("x-goog-if-generation-match: 0"), "{first}");
}

#[test]
fn a_key_of_cloud_storage_that_is_none_is_refused_without_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.json");
    for (text, why) in [
        ("planted, not JSON", "it is not JSON"),
        (
            r#"{"private_key":"planted-private-key","client_email":"a@b","private_key_id":"x"}"#,
            "could not open the bucket",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let done = Program::bare(URL)
            .with("PEARLIFT_DESTINATION_GCS_EXPERIMENTAL", "true")
            .with("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap())
            .run(&["status"]);
        assert!(matches!(done.code, 2 | 5), "{}", done.said());
        assert!(done.said().contains(why) && !done.said().contains("planted"), "{}", done.said());
    }
}
