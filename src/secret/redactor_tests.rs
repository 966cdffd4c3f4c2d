//! The encoders are written here, independent of the decoders that are tested.

use std::fmt::Write;

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use serde_json::json;

use super::*;

const TOKEN: &str = "Planted+secret/token=x1";

fn knowing(secrets: &[&str]) -> Redactor {
    let redactor = Redactor::default();
    secrets.iter().for_each(|secret| redactor.learn(&Secret::new(secret)));
    redactor
}

/// Base64 with padding.
fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let value = three.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = alphabet[usize::try_from(value >> (18 - 6 * place) & 63).unwrap()];
            out.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

const COMMON: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Ways to write a text that are no secret ones.
#[derive(Clone, Copy, Debug)]
enum Way {
    Percent(bool),
    PercentAll,
    Json,
    JsonAll,
    Braces,
    Hexadecimal,
    Decimal,
    Names,
    Base64(usize),
    Base64Url(usize),
    Upper,
    Wrapped,
}

fn written(text: &str, way: Way) -> String {
    let each = |write: &dyn Fn(&mut String, char)| {
        text.chars().fold(String::new(), |mut out, c| {
            write(&mut out, c);
            out
        })
    };
    let special = |c: char| !c.is_ascii_alphanumeric();
    match way {
        Way::Percent(upper) => each(&|out, c| match (special(c), upper) {
            (true, true) => write!(out, "%{:02X}", u32::from(c)).unwrap(),
            (true, false) => write!(out, "%{:02x}", u32::from(c)).unwrap(),
            (false, _) => out.push(c),
        }),
        Way::PercentAll => each(&|out, c| write!(out, "%{:02x}", u32::from(c)).unwrap()),
        Way::Json => json!(text).to_string(),
        Way::JsonAll => each(&|out, c| write!(out, "\\u{:04X}", u32::from(c)).unwrap()),
        Way::Braces => each(&|out, c| out.extend(c.escape_unicode())),
        Way::Hexadecimal => each(&|out, c| write!(out, "&#x{:X};", u32::from(c)).unwrap()),
        Way::Decimal => {
            each(&|out, c| if special(c) { write!(out, "&#{};", u32::from(c)).unwrap() } else { out.push(c) })
        }
        Way::Names => each(&|out, c| match c {
            '+' => out.push_str("&plus;"),
            '/' => out.push_str("&sol;"),
            '=' => out.push_str("&equals;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '<' => out.push_str("&lt;"),
            other => out.push(other),
        }),
        Way::Base64(before) => base64(format!("{}{text}!", "u:x"[..before].to_owned()).as_bytes(), COMMON),
        Way::Base64Url(before) => base64(format!("{}{text}", &"u:x"[..before]).as_bytes(), URLS).replace('=', ""),
        Way::Upper => text.to_uppercase(),
        Way::Wrapped => text
            .chars()
            .collect::<Vec<_>>()
            .chunks(7)
            .map(|line| line.iter().collect::<String>())
            .collect::<Vec<_>>()
            .join("\r\n"),
    }
}

fn ways() -> impl Strategy<Value = Way> {
    prop_oneof![
        any::<bool>().prop_map(Way::Percent),
        Just(Way::PercentAll),
        Just(Way::Json),
        Just(Way::JsonAll),
        Just(Way::Braces),
        Just(Way::Hexadecimal),
        Just(Way::Decimal),
        Just(Way::Names),
        (0_usize..3).prop_map(Way::Base64),
        (0_usize..3).prop_map(Way::Base64Url),
    ]
}

proptest! {
    #[test]
    fn a_secret_is_replaced_however_often_it_is_escaped(
        secret in "[!-~]{8,40}",
        before in "[ -~]{0,12}",
        first in ways(),
        second in ways(),
    ) {
        let text = written(&written(&secret, first), second);
        let cleaned = knowing(&[&secret]).clean(&format!("{before} {text} after"));
        assert!(cleaned.contains(PLACEHOLDER), "{secret} as {first:?} as {second:?}: {text} is {cleaned}");
        // Only the text around the secret is left.
        let left = cleaned.len() - before.len();
        assert!(left < 60, "{secret} as {first:?} as {second:?}: {text} is {cleaned}");
    }

    #[test]
    fn any_text_can_be_cleaned(text in any::<String>(), secret in "[!-~]{4,9}") {
        let redactor = knowing(&[&secret, TOKEN]);
        let cleaned = redactor.clean(&format!("{text}{secret}{text}"));
        assert!(!cleaned.to_ascii_lowercase().contains(&secret.to_ascii_lowercase()) || "[secret]".contains(&secret));
    }
}

#[test]
fn each_spelling_is_known() {
    let redactor = knowing(&[TOKEN]);
    for way in [
        Way::Percent(true),
        Way::Percent(false),
        Way::PercentAll,
        Way::JsonAll,
        Way::Braces,
        Way::Hexadecimal,
        Way::Decimal,
        Way::Names,
        Way::Upper,
        Way::Wrapped,
    ] {
        assert_eq!(redactor.clean(&format!("<{}>", written(TOKEN, way))), "<[secret]>", "{way:?}");
    }
    for text in [
        "planted%252Bsecret%252Ftoken%253Dx1",
        "planted\\\\u002bsecret\\\\/token\\\\u003dx1",
        "planted%u002bsecret/token=x1",
        "planted\\x2bsecret\\57token\\75x1",
        "Planted&#43secret&#x2ftoken=x1",
        "506c616e7465642b7365637265742f746f6b656e3d7831",
        "UGxhbnRlZCtzZWNyZXQvdG9rZW49eDE",
    ] {
        assert_eq!(redactor.clean(&format!("<{text}>")), "<[secret]>", "{text}");
    }
    // Base64 in the wrong case cannot be decoded; the last letter is not decided by the token alone.
    assert_eq!(redactor.clean("<ugxhbnrlzctzzwnyzxqvdg9rzw49ede>"), "<[secret]e>");
    // `Basic` of a user and the token, with the user's letters before it.
    let basic = redactor.clean(&format!("Basic {}", base64(format!("acme:{TOKEN}").as_bytes(), COMMON)));
    assert_eq!(basic, "Basic YWNtZT[secret]==");
}

#[test]
fn texts_that_only_look_alike_stay() {
    let redactor = knowing(&[TOKEN, "the", "a-token-of-another-kind"]);
    for text in [
        "the end of Planted+secret/token",
        "https://h/product-service/product-search?columns=productId&filter=1%2B2&num=5",
        "C:\\new\\users \\u00e9\\q &amp; &plusmn; 100% &#xffffff; %zz \\",
        "0123456789abcdef0123456789abcdef0123456789abcdef",
        "",
    ] {
        assert_eq!(redactor.clean(text), text);
    }
}

#[test]
fn the_beginning_of_a_secret_is_known_where_the_text_was_cut() {
    let redactor = knowing(&[TOKEN]);
    for text in
        ["Planted+secret/token=x", "Planted+sec", "planted%2Bsecret%2", "Planted\\u002bsecret\\u0", "UGxhbnRlZCtzZWNyZ"]
    {
        assert_eq!(redactor.clean(&format!("<{text}…> and {text}...")), "<[secret]…> and [secret]...", "{text}");
    }
    for text in ["the planted…", "Planted+sec", "Planted+sec …", "token=x1…"] {
        assert_eq!(redactor.clean(text), text);
    }
}

#[test]
fn a_value_stays_a_value() {
    let redactor = knowing(&["a\"b\\c,d", "3dabcd"]);
    let value = json!({"a\"b\\c,d": ["x a\"b\\c,d", 7, null, true], "y": "=abcd \u{3d}abcd"});
    let cleaned = redactor.clean_value(value);
    assert_eq!(cleaned, json!({"[secret]": ["x [secret]", 7, null, true], "y": "=abcd =abcd"}));
}
