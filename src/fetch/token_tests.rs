//! Writing the token file, and the treatment of files in its way.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::{LOCK_FOR, TokenFile, TokenSet};
use crate::failure::Kind;
use crate::secret::Secret;

fn set() -> TokenSet {
    TokenSet {
        access: Secret::new("an access token"),
        refresh: Some(Secret::new("a refresh token")),
        token_type: "Bearer".to_owned(),
        expires_at: None,
        life: None,
        api_domain: None,
    }
}

#[test]
fn tokens_are_written_for_their_owner_only_whatever_lies_in_the_way() {
    // GIVEN a draft that anybody may read, left where the new one is written; and one that leads elsewhere
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("tokens.json");
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let elsewhere = folder.path().join("elsewhere");
    std::fs::write(&elsewhere, "kept").expect("it can be written");
    let lay: [&dyn Fn(); 2] = [
        &|| {
            std::fs::write(&draft, "").expect("it can be written");
            std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o666)).expect("it is ours");
        },
        &|| symlink(&elsewhere, &draft).expect("it can be made"),
    ];
    for lay in lay {
        lay();
        // WHEN tokens are written
        let file = TokenFile::new(path.clone(), None);
        file.write(&set()).expect("it can be written");
        // THEN no other user may read them, they are complete, and the target of the link is unchanged
        let mode = std::fs::symlink_metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let read = file.read().expect("it is ours").expect("it is there");
        assert_eq!((read.access, read.refresh), (set().access, set().refresh));
        assert_eq!(std::fs::read_to_string(&elsewhere).expect("it is there"), "kept");
        assert!(!draft.exists());
    }
}

#[test]
fn a_token_file_may_begin_with_a_byte_order_mark() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("tokens.json");
    let file = TokenFile::new(path.clone(), None);
    file.write(&set()).expect("it can be written");
    let text = std::fs::read_to_string(&path).expect("it is there");
    // GIVEN a file that an editor wrote, in place, so that its mode stays
    std::fs::write(&path, format!("\u{feff}{text}")).expect("it can be written");
    // WHEN it is read THEN its tokens are those
    assert_eq!(file.read().expect("it is ours").expect("it is a set").access, set().access);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_another_process_holds_for_ever_is_told_with_its_path() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = TokenFile::new(folder.path().join("tokens.json"), None);
    // GIVEN a lock that is held
    let held = file.lock().await.expect("it is free");
    // WHEN it is taken THEN the wait ends
    let begun = tokio::time::Instant::now();
    let failed = file.lock().await.expect_err("it is held");
    assert!(begun.elapsed() >= LOCK_FOR);
    assert_eq!(failed.kind(), Kind::Settings);
    assert!(failed.to_string().contains("tokens.lock` has been held by another process for 300 seconds"), "{failed}");
    drop(held);
    file.lock().await.expect("it is free again");
}

#[test]
fn tokens_are_written_though_somebody_keeps_their_drafts_name() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("tokens.json");
    // GIVEN something that cannot be removed where the draft is written
    std::fs::create_dir(path.with_extension(format!("{}.new", std::process::id()))).expect("it can be made");
    // WHEN tokens are written THEN they are kept
    let file = TokenFile::new(path, None);
    file.write(&set()).expect("it can be written");
    assert_eq!(file.read().expect("it is ours").expect("it is there").access, set().access);
}

#[test]
fn without_a_configured_token_the_file_counts_and_keeps_the_token_that_it_began_with() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("tokens.json");
    let of = |configured: Option<&str>| TokenFile::new(path.clone(), configured.map(Secret::new).as_ref());
    let is_read = |configured| of(configured).read().expect("it is ours").is_some();
    // GIVEN tokens that began with a configured one
    of(Some("first")).write(&set()).expect("it can be written");
    // WHEN none is configured, and they are refreshed THEN they are used
    assert!(is_read(None));
    of(None).write(&set()).expect("it can be written");
    // AND where the former one is configured again, too, but not with another
    assert!(is_read(None) && is_read(Some("first")) && !is_read(Some("second")));
    // GIVEN tokens of a login without any THEN another configured one is a newer authorisation
    std::fs::remove_file(&path).expect("it is there");
    of(None).write(&set()).expect("it can be written");
    assert!(is_read(None) && !is_read(Some("first")));
}
