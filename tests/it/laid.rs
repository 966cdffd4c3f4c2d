//! Links, pipes, sockets and files of others, laid where pearlift reads or writes: they are named and not used.

use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pearlift::config::Destination;
use pearlift::failure::{Failure, Kind};
use pearlift::store::{Store, paths};
use serde_json::{Value, json};

use crate::oauth;
use crate::support::{Program, account, copy_folder, files};

pub const RUN: &str = "0123456789abcdef0123456789abcdef";

/// Runs a command that must end by itself, and returns its exit code and its messages.
pub async fn ended(program: &Program, arguments: &[&str]) -> (i32, String) {
    // Not by `start`, which looks for secrets in the files that the environment names, and would wait for a pipe.
    let said = tempfile::NamedTempFile::new().unwrap();
    let append = || std::fs::File::options().append(true).open(said.path()).unwrap();
    let mut command = program.command(arguments);
    let mut running = command.stdin(Stdio::null()).stdout(append()).stderr(append()).spawn().unwrap();
    let text = || std::fs::read_to_string(said.path()).unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = running.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > Duration::from_secs(60) {
            running.kill().unwrap();
            panic!("{arguments:?} waits for ever: {}", text());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    (status.code().unwrap_or(-1), text())
}

/// Runs a command that must refuse the object at a path, by its name.
async fn refused(program: &Program, arguments: &[&str], at: &Path, why: &str, code: i32) {
    let (ended_with, said) = ended(program, arguments).await;
    assert_eq!(ended_with, code, "{arguments:?}, {}: {said}", at.display());
    assert!(said.contains(&format!("`{}` {why}", at.display())), "{arguments:?}, {}: {said}", at.display());
    assert!(!said.contains("panicked"), "{said}");
}

/// The newest manifest of a resource.
fn manifest(lake: &Path, resource: &str) -> PathBuf {
    files(&lake.join("_pearlift/manifests").join(resource)).pop().unwrap()
}

/// Moves the object at a path elsewhere, and puts a link to it in its place.
fn link_away(at: &Path, elsewhere: &Path) {
    std::fs::rename(at, elsewhere).unwrap();
    symlink(elsewhere, at).unwrap();
}

fn pipe(at: &Path) {
    let _ = std::fs::remove_file(at);
    assert!(Command::new("mkfifo").arg(at).status().unwrap().success());
}

fn socket(at: &Path) {
    let _ = std::fs::remove_file(at);
    // The socket stays when nobody listens any more.
    drop(UnixListener::bind(at).unwrap());
}

/// A path of a test's temporary folder, as the program writes it.
fn real(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().canonicalize().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_linked_folder_below_the_destination_is_refused_by_name_and_nothing_is_written_through_it() {
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let (lake, outside) = (real(&folder).join("lake"), real(&folder).join("outside"));
    let program = Program::new(&sandbox, &lake);
    let names = ["run", "brand", "customer_payment"];
    // GIVEN the folders that a first run makes
    program.run(&names).expect(0);
    let payments = files(&lake.join("customer_payment"));
    let partition = payments[0].parent().unwrap().strip_prefix(&lake).unwrap().to_owned();
    std::fs::remove_dir_all(&lake).unwrap();
    for at in [
        "_pearlift",
        "_pearlift/manifests",
        "_pearlift/manifests/brand",
        "_pearlift/locks",
        "_pearlift/staging",
        "_pearlift/runs",
        "_pearlift/scans",
        "_pearlift/deleted",
        "_pearlift/misfits",
        "brand",
        "customer_payment",
        partition.to_str().unwrap(),
    ] {
        let at = lake.join(at);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        // WHEN one of them leads elsewhere, where something is or nothing is
        for target in [&outside, &real(&folder).join("nowhere")] {
            symlink(target, &at).unwrap();
            // THEN the run names it
            refused(&program, &names, &at, "is a symbolic link", 5).await;
            std::fs::remove_file(&at).unwrap();
            // AND nothing is behind it
            assert_eq!(files(&outside), Vec::<PathBuf>::new(), "{}", at.display());
            assert!(!real(&folder).join("nowhere").exists(), "{}", at.display());
        }
        // AND without the link it runs
        program.run(&names).expect(0);
        std::fs::remove_dir_all(&lake).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_destination_itself_may_be_a_link_or_lie_behind_one() {
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("real/lake")).unwrap();
    symlink(folder.path().join("real"), folder.path().join("linked")).unwrap();
    symlink(folder.path().join("real/lake"), folder.path().join("lake")).unwrap();
    for destination in ["linked/lake", "lake"] {
        let program = Program::new(&sandbox, folder.path().join(destination));
        program.run(&["run", "--full", "brand"]).expect(0);
        program.run(&["verify", "--deep"]).expect(0);
    }
    assert!(!files(&folder.path().join("real/lake/brand")).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_linked_folder_does_not_lead_a_manifest_to_the_files_of_another_lake() {
    // GIVEN two lakes, and in the first a linked table folder that leads to the second
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (real(&folder).join("first"), real(&folder).join("second"));
    for lake in [&first, &second] {
        Program::new(&sandbox, lake).run(&["run", "brand"]).expect(0);
    }
    let live = files(&second.join("brand")).pop().unwrap();
    let named = live.strip_prefix(&second).unwrap().to_str().unwrap().to_owned();
    // AND a manifest of the first that removes a live file of the second
    std::fs::remove_dir_all(first.join("brand")).unwrap();
    symlink(second.join("brand"), first.join("brand")).unwrap();
    let manifest = manifest(&first, "brand");
    let mut version: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    version["removes"] = json!([named]);
    version["tables"]["brand"]["files"] = json!([]);
    std::fs::write(&manifest, version.to_string()).unwrap();
    // WHEN the first is run or cleaned THEN the link is refused, and nothing of the second is touched
    let program = Program::new(&sandbox, &first);
    for command in [&["run", "brand"][..], &["clean"], &["run", "--full", "brand"]] {
        refused(&program, command, &first.join("brand"), "is a symbolic link", 5).await;
        assert!(live.exists(), "{command:?}");
    }
    Program::new(&sandbox, &second).run(&["verify", "--deep"]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_of_the_destination_that_is_a_link_a_pipe_or_a_socket_is_refused_and_nobody_waits() {
    // GIVEN a lake
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let (whole, lake, outside) =
        (real(&folder).join("whole"), real(&folder).join("lake"), real(&folder).join("outside"));
    Program::new(&sandbox, &whole).run(&["run", "brand"]).expect(0);
    let program = Program::new(&sandbox, &lake);
    let below = |path: PathBuf| path.strip_prefix(&whole).unwrap().to_owned();
    let manifest = below(manifest(&whole, "brand"));
    let data = below(files(&whole.join("brand")).pop().unwrap());
    let run = &["run", "--full", "brand"][..];
    let rows: [(&Path, &[&[&str]]); 5] = [
        (&manifest, &[run, &["status"], &["verify"], &["clean"], &["plan"]]),
        (&data, &[run, &["verify"], &["verify", "--deep"], &["clean"]]),
        (Path::new("_pearlift/destination.json"), &[run, &["clean"], &["plan"]]),
        (Path::new("_pearlift/locks/brand"), &[run, &["clean"]]),
        (Path::new("_pearlift/locks/_start"), &[run, &["clean"]]),
    ];
    for (at, commands) in rows {
        for kind in ["is a symbolic link", "is a pipe, no file", "is a socket, no file"] {
            let _ = std::fs::remove_dir_all(&lake);
            copy_folder(&whole, &lake);
            let laid = lake.join(at);
            // WHEN one of its files is another thing
            match kind {
                "is a symbolic link" => link_away(&laid, &outside),
                "is a pipe, no file" => pipe(&laid),
                _ => socket(&laid),
            }
            let before = std::fs::read(&outside).ok();
            // THEN every command that uses it reports that, and ends
            for command in commands {
                refused(&program, command, &laid, kind, 5).await;
            }
            assert_eq!(std::fs::read(&outside).ok(), before);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dangling_link_in_the_place_of_a_lock_makes_no_file() {
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let (lake, outside) = (real(&folder).join("lake"), real(&folder).join("made"));
    let program = Program::new(&sandbox, &lake);
    for lock in ["brand", "_start"] {
        let at = lake.join("_pearlift/locks").join(lock);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&at);
        symlink(&outside, &at).unwrap();
        refused(&program, &["run", "brand"], &at, "is a symbolic link", 5).await;
        assert!(!outside.exists());
        std::fs::remove_file(&at).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn locks_can_be_opened_by_their_owner_only_and_everything_else_follows_the_umask() {
    // GIVEN a lock of an earlier version, which anybody may open
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let lake = real(&folder).join("lake");
    let lock = lake.join("_pearlift/locks/brand");
    std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
    std::fs::write(&lock, "").unwrap();
    std::fs::set_permissions(&lock, std::fs::Permissions::from_mode(0o644)).unwrap();
    // WHEN it runs under a umask
    let program = Program::new(&sandbox, &lake);
    let plain = program.command(&["run", "brand", "currency"]);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 027; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(command.output().unwrap().status.success());
    // THEN each lock is its owner's under any umask, and the rest follows the umask
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let found = files(&lake);
    assert!(found.contains(&lock) && found.contains(&lake.join("_pearlift/locks/_start")), "{found:?}");
    for path in found {
        let is_lock = path.starts_with(lake.join("_pearlift/locks"));
        assert_eq!(mode(&path), if is_lock { 0o600 } else { 0o640 }, "{}", path.display());
    }
    assert_eq!(mode(&lake.join("_pearlift/manifests/brand")), 0o750);
    assert_eq!(mode(&lake.join("brand")), 0o750);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lock_file_with_another_name_or_of_another_user_is_refused() {
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let lake = real(&folder).join("lake");
    let program = Program::new(&sandbox, &lake);
    program.run(&["run", "brand"]).expect(0);
    // GIVEN a lock that is also another file of ours
    let (lock, other) = (lake.join("_pearlift/locks/brand"), real(&folder).join("other"));
    std::fs::write(&other, "kept").unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::remove_file(&lock).unwrap();
    std::fs::hard_link(&other, &lock).unwrap();
    // WHEN it runs THEN it reports that, and the other file is as it was
    refused(&program, &["run", "--full", "brand"], &lock, "is a file that has another name too", 5).await;
    assert_eq!(std::fs::metadata(&other).unwrap().permissions().mode() & 0o777, 0o644);
    // GIVEN one of another user: root alone can make one
    std::fs::remove_file(&lock).unwrap();
    std::fs::write(&lock, "").unwrap();
    match std::os::unix::fs::chown(&lock, Some(4_242), None) {
        Ok(()) => {
            refused(&program, &["run", "--full", "brand"], &lock, "belongs to another user (4242)", 5).await;
            // AND a file of the destination's owner is as good as ours
            for path in [&lake, &lock] {
                std::os::unix::fs::chown(path, Some(4_242), None).unwrap();
            }
            program.run(&["run", "--full", "brand"]).expect(0);
        }
        // Not root: `disk::folder::tests` has a lock file of a user that is not expected.
        Err(refused) => assert_eq!(refused.kind(), ErrorKind::PermissionDenied),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_verb_of_the_store_goes_through_a_link_wherever_in_a_path_it_lies() {
    // GIVEN every path that is ever written
    let every = [
        paths::destination(),
        paths::manifest("brand", 1),
        paths::data("brand", None, RUN, 1),
        paths::data("order", Some("created_month=2026-03-01"), RUN, 1),
        paths::staged("brand", RUN, 1),
        paths::scan("brand", RUN),
        paths::rejected("brand", RUN, 1),
        paths::deleted("brand", RUN, 1),
        paths::lock("brand"),
        paths::run(jiff::Timestamp::UNIX_EPOCH, RUN),
        paths::history("run", jiff::Timestamp::UNIX_EPOCH, RUN),
        paths::history_join(RUN),
    ];
    for path in every {
        let depth = path.split('/').count();
        // AND a link in the place of each of its folders, or of itself
        for place in 1..=depth {
            let folder = tempfile::tempdir().unwrap();
            let (lake, outside) = (real(&folder).join("lake"), real(&folder).join("outside"));
            let store = Store::open(&Destination::Local(lake.clone()), true).unwrap();
            let linked: PathBuf = path.split('/').take(place).collect();
            let rest: PathBuf = path.split('/').skip(place).collect();
            let target = if place == depth { outside.join("file") } else { outside.join("folder") };
            let behind = if place == depth { target.clone() } else { target.join(&rest) };
            std::fs::create_dir_all(behind.parent().unwrap()).unwrap();
            std::fs::write(&behind, "kept").unwrap();
            std::fs::create_dir_all(lake.join(&linked).parent().unwrap()).unwrap();
            symlink(&target, lake.join(&linked)).unwrap();
            store.put_new("free/file", "ours").await.unwrap();
            let spool = tempfile::tempdir().unwrap();
            let laid = format!("`{}` is a symbolic link", lake.join(&linked).display());
            let refuses = |verb: &str, outcome: Result<(), Failure>| {
                let failure = outcome.expect_err(&format!("{verb} {path} goes through {}", linked.display()));
                assert_eq!(failure.kind(), Kind::StoreRefused, "{verb} {path}: {failure}");
                assert!(failure.to_string().contains(&laid), "{verb} {path}: {failure}");
            };
            // WHEN something is done with the path THEN the link is refused
            refuses("get", store.get(&path).await.map(drop));
            refuses("size", store.size(&path).await.map(drop));
            refuses("delete", store.delete(std::slice::from_ref(&path)).await);
            refuses("copy from", store.copy(&path, "free/copy").await.map(drop));
            refuses("local copy", store.local_copy(&path, 10, spool.path()).await.map(drop));
            refuses("copy to", store.copy("free/file", &path).await.map(drop));
            refuses("put_own", store.put_own(&path, "ours").await);
            refuses("list", store.list(linked.parent().unwrap().to_str().unwrap()).await.map(drop));
            let above = path.rsplit_once('/').unwrap().0;
            refuses("list_folder", store.list_folder(above).await.map(drop));
            if path == paths::lock("brand") {
                refuses("lock", store.lock(&["brand"], RUN, false, std::future::pending()).await.map(drop));
            }
            let scratch = store.scratch(&path, spool.path()).unwrap();
            match scratch.create() {
                // A file is never made over an existing object.
                Err(failure) if place == depth => assert!(failure.to_string().contains("exists"), "{failure}"),
                made => refuses("scratch", made.map(drop)),
            }
            // AND the object behind it is as it was
            assert_eq!(files(&outside), std::slice::from_ref(&behind), "{path}");
            assert_eq!(std::fs::read_to_string(&behind).unwrap(), "kept");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn token_drafts_of_others_links_and_pipes_are_left_alone() {
    // GIVEN tokens that have ended
    let sandbox = account(50).await;
    sandbox.change(|settings| settings.rotates = false);
    let folder = tempfile::tempdir().unwrap();
    let program = oauth::program(&sandbox, &folder).with("PEARLIFT_RESOURCE_BRAND_EVERY", "1ms");
    let newest = oauth::refreshed(&sandbox, &program, &folder);
    let planted = newest.replace(&sandbox.access_tokens()[0], "planted-token");
    assert_ne!(planted, newest);
    let (draft, elsewhere) = (folder.path().join("tokens.1.new"), folder.path().join("elsewhere"));
    std::fs::write(&elsewhere, &planted).unwrap();
    std::fs::set_permissions(&elsewhere, std::fs::Permissions::from_mode(0o600)).unwrap();
    let lay: [(&str, &dyn Fn()); 4] = [
        ("a link to tokens", &|| symlink(&elsewhere, &draft).unwrap()),
        ("a pipe", &|| pipe(&draft)),
        ("a file with another name", &|| std::fs::hard_link(&elsewhere, &draft).unwrap()),
        ("a file that anybody may read", &|| {
            std::fs::write(&draft, &planted).unwrap();
            std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o644)).unwrap();
        }),
    ];
    for (what, lay) in lay {
        // GIVEN a draft that no process of ours can have left
        lay();
        sandbox.expire_tokens();
        // WHEN tokens are refreshed THEN the run goes well with tokens of the source, and the thing is where it was
        let (code, said) = ended(&program, &["run", "brand"]).await;
        assert_eq!(code, 0, "{what}: {said}");
        let kept = std::fs::read_to_string(folder.path().join("tokens.json")).unwrap();
        assert!(kept.contains(&sandbox.access_tokens()[0]), "{what}");
        assert!(std::fs::symlink_metadata(&draft).is_ok(), "{what}");
        std::fs::remove_file(&draft).unwrap();
    }
    // GIVEN one of another user: root alone can make one
    std::fs::write(&draft, &planted).unwrap();
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o600)).unwrap();
    match std::os::unix::fs::chown(&draft, Some(4_242), None) {
        Ok(()) => {
            let next = oauth::refreshed(&sandbox, &program, &folder);
            assert!(next.contains(&sandbox.access_tokens()[0]) && draft.exists());
            // AND a token file of another user is refused
            let file = folder.path().join("tokens.json");
            std::os::unix::fs::chown(&file, Some(4_242), None).unwrap();
            let (code, said) = ended(&program, &["run", "brand"]).await;
            assert!(code == 2 && said.contains("it belongs to another user"), "{code}: {said}");
        }
        // Not root: the other kinds of files above cover it.
        Err(refused) => assert_eq!(refused.kind(), ErrorKind::PermissionDenied),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pipe_a_socket_or_a_device_that_settings_name_is_refused_and_nobody_waits() {
    let sandbox = account(50).await;
    let folder = tempfile::tempdir().unwrap();
    let (at, schemas) = (real(&folder).join("laid"), real(&folder).join("schemas"));
    let plain = Program::new(&sandbox, folder.path().join("lake"));
    let secret =
        plain.clone().without("BRIGHTPEARL_STAFF_TOKEN").with("BRIGHTPEARL_STAFF_TOKEN_FILE", at.to_str().unwrap());
    let lake = tempfile::tempdir().unwrap();
    let tokens = oauth::program(&sandbox, &lake);
    let (file, lock) = (real(&lake).join("tokens.json"), real(&lake).join("tokens.lock"));
    let own = schemas.join("own.toml");
    std::fs::create_dir_all(&schemas).unwrap();
    let config = ["--config", at.to_str().unwrap(), "run", "brand"];
    let own_schemas = ["--schemas", schemas.to_str().unwrap(), "run", "brand"];
    sandbox.expire_tokens();
    let rows: [(&Path, &Program, &[&str]); 5] = [
        (&at, &secret, &["run", "brand"]),
        (&at, &plain, &config),
        (&own, &plain, &own_schemas),
        (&file, &tokens, &["run", "brand"]),
        (&lock, &tokens, &["run", "brand"]),
    ];
    for (at, program, command) in rows {
        for kind in ["is a pipe, no file", "is a device, no file", "is no file"] {
            let _ = std::fs::remove_file(at);
            match kind {
                "is a pipe, no file" => pipe(at),
                "is a device, no file" => symlink("/dev/zero", at).unwrap(),
                _ => socket(at),
            }
            // WHEN it is read THEN the command reports that, and ends
            let (code, said) = ended(program, command).await;
            assert_eq!(code, 2, "{}: {kind}: {said}", at.display());
            let link = at == lock && kind == "is a device, no file";
            let kind = if link { "is a symbolic link" } else { kind };
            let kind = if at == lock && kind == "is no file" { "is a socket, no file" } else { kind };
            assert!(said.contains(&format!("`{}` {kind}", at.display())), "{kind}: {said}");
        }
        std::fs::remove_file(at).unwrap();
    }
}
