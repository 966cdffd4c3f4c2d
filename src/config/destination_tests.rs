//! Places as users write them, and their meaning.

use std::path::PathBuf;

use super::{folder, path, prefix};
use crate::config::Environment;

fn home() -> Environment {
    Environment::new([("HOME".into(), "/home/shop".into())])
}

#[test]
fn a_tilde_is_the_home_folder_and_a_file_url_is_its_path() {
    for (written, meant) in [
        ("lake", "lake"),
        ("/data/lake", "/data/lake"),
        ("~", "/home/shop/"),
        ("~/lake", "/home/shop/lake"),
        ("~//lake", "/home/shop/lake"),
        ("./~/lake", "./~/lake"),
        ("/data/~lake", "/data/~lake"),
        ("file:///data/lake", "/data/lake"),
        ("FILE:///data/lake", "/data/lake"),
        ("file:/data/lake", "/data/lake"),
        ("file://localhost/data/lake", "/data/lake"),
        ("file:///data/my%20lake", "/data/my lake"),
        ("file:///data/my lake", "/data/my lake"),
        ("file:///data/%C3%BCn", "/data/ün"),
        ("file:///data/ün", "/data/ün"),
        ("file:///data/50%", "/data/50%"),
    ] {
        assert_eq!(folder(written, &home()).unwrap(), PathBuf::from(meant), "{written}");
    }
    assert_eq!(path("limits.spool", "~/spool", &home()).unwrap(), PathBuf::from("/home/shop/spool"));
}

#[test]
fn a_file_url_with_a_host_is_refused_with_the_right_form() {
    for (written, form) in [
        ("file://data/lake", "file:///data/lake"),
        ("file://lake", "file:///lake"),
        ("file://~/lake", "\"~/lake\""),
        ("file:lake", "file:///lake"),
    ] {
        let refused = folder(written, &home()).unwrap_err();
        assert!(refused.to_string().contains(written), "{refused}");
        assert!(refused.advice().is_some_and(|advice| advice.contains(form)), "{written}: {:?}", refused.advice());
    }
    for written in ["file:///data/lake?x=1", "file:///data/lake#1", "~root/lake"] {
        assert!(folder(written, &home()).is_err(), "{written}");
    }
    let refused = folder("~/lake", &Environment::default()).unwrap_err();
    assert!(refused.to_string().contains("HOME"), "{refused}");
}

#[test]
fn a_prefix_is_taken_letter_by_letter() {
    for (written, meant) in [("", ""), ("/", ""), ("a/b/", "a/b"), ("ünï", "ünï"), ("~x/50%25", "~x/50%25")] {
        assert_eq!(prefix("s3://lake", written).unwrap(), meant);
    }
    for written in ["a//b", "a/./b", "../b", "a\n", "a\u{7f}"] {
        assert!(prefix("s3://lake", written).is_err(), "{written:?}");
    }
}
