//! Grants in every form that a token endpoint may give them.

use jiff::SignedDuration;
use proptest::prelude::{any, proptest};

use super::{Grant, margin};

#[test]
fn a_grant_is_taken_in_whatever_form_its_life_comes() {
    for (written, seconds) in [
        ("3600", Some(3600)),
        ("3600.0", Some(3600)),
        ("3.6e3", Some(3600)),
        ("\"3600\"", Some(3600)),
        ("\" 3600.0 \"", Some(3600)),
        ("1e300", Some(3_155_760_000)),
        ("\"inf\"", Some(3_155_760_000)),
        ("\"NaN\"", None),
        ("0", None),
        ("-1", None),
        ("\"soon\"", None),
        ("null", None),
        ("true", None),
        ("{}", None),
    ] {
        let body = format!(r#"{{"access_token":"a token","expires_in":{written}}}"#);
        let grant = Grant::read(body.as_bytes()).unwrap_or_else(|| panic!("{written}"));
        assert_eq!(grant.life, seconds.map(SignedDuration::from_secs), "{written}");
    }
    let bare = Grant::read(br#"{"access_token":"a token"}"#).unwrap();
    assert_eq!((bare.access.reveal(), bare.life, bare.refresh), ("a token", None, None));
    // Other fields of another type, or empty, are as absent.
    let odd = br#"{"access_token":"a token","refresh_token":"","token_type":7,"api_domain":null}"#;
    let odd = Grant::read(&[b"\xef\xbb\xbf", odd.as_slice()].concat()).unwrap();
    assert!(odd.refresh.is_none() && odd.token_type.is_none() && odd.api_domain.is_none());
    for none in ["", "[]", "{}", "null", r#"{"access_token":""}"#, r#"{"access_token":1}"#] {
        assert!(Grant::read(none.as_bytes()).is_none(), "{none}");
    }
}

#[test]
fn the_margin_is_a_part_of_the_life_and_five_minutes_at_most() {
    let seconds = SignedDuration::from_secs;
    assert_eq!(margin(Some(seconds(604_800))), seconds(300));
    assert_eq!(margin(Some(seconds(300))), seconds(30));
    assert_eq!(margin(Some(seconds(60))), seconds(6));
    assert_eq!(margin(None), seconds(300));
}

proptest! {
    #[test]
    fn no_answer_panics(body in any::<Vec<u8>>(), life in any::<f64>()) {
        Grant::read(&body);
        Grant::read(format!(r#"{{"access_token":"a","expires_in":"{life}"}}"#).as_bytes());
    }
}
