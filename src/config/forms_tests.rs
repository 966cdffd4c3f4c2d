//! Accounts, data centres and references in the forms in which people write them.

use super::{AccountForm, SourceAddress, account_form, app_form, source_address};
use crate::failure::Kind;

fn domain(host: &str) -> SourceAddress {
    SourceAddress::Domain(host.to_owned())
}

#[test]
fn a_data_centre_is_corrected_to_the_host_of_its_api() {
    for (text, host) in [
        ("euw1", "euw1.brightpearlconnect.com"),
        (" EUW1\n", "euw1.brightpearlconnect.com"),
        ("eu1", "euw1.brightpearlconnect.com"),
        ("use1", "use1.brightpearlconnect.com"),
        ("use", "use1.brightpearlconnect.com"),
        ("euw1.brightpearlconnect.com", "euw1.brightpearlconnect.com"),
        ("https://euw1.brightpearlconnect.com/", "euw1.brightpearlconnect.com"),
        ("https://use1.brightpearlconnect.com/public-api/acme/", "use1.brightpearlconnect.com"),
        ("use1.brightpearlconnect.com/public-api/acme", "use1.brightpearlconnect.com"),
        ("https://euw1.brightpearlapp.com/acme.login", "euw1.brightpearlconnect.com"),
        ("use1.brightpearl.com", "use1.brightpearlconnect.com"),
        ("https://ws-eu1.brightpearl.com/public-api/acme", "ws-eu1.brightpearl.com"),
        ("euw2.brightpearlconnect.com", "euw2.brightpearlconnect.com"),
    ] {
        assert_eq!(source_address(text).unwrap(), domain(host), "{text}");
    }
}

#[test]
fn an_address_elsewhere_is_taken_whole_and_anything_else_is_refused_with_the_right_form() {
    for address in ["http://127.0.0.1:8080/public-api/acme", "https://gateway.example/public-api/acme"] {
        let taken = SourceAddress::Base(address.to_owned());
        assert_eq!(source_address(&format!("{address}/")).unwrap(), taken);
    }
    for (text, right) in [
        ("", "euw1.brightpearlconnect.com"),
        ("eu", "euw1.brightpearlconnect.com"),
        ("europe", "use1.brightpearlconnect.com"),
        ("www.brightpearl.com", "euw1.brightpearlconnect.com"),
        ("euw1.brightpearlconnect.com.evil.example", "euw1.brightpearlconnect.com"),
        ("evil.example/euw1.brightpearlconnect.com", "euw1.brightpearlconnect.com"),
        ("https://evil.example/", "euw1.brightpearlconnect.com"),
        ("euw1@brightpearlconnect.com", "euw1.brightpearlconnect.com"),
        ("http://127.0.0.1:8080/", "/public-api/acme"),
        ("http://gateway.example/public-api/acme", "loopback"),
    ] {
        let refused = source_address(text).unwrap_err();
        assert_eq!(refused.kind(), Kind::Settings);
        assert!(refused.advice().is_some_and(|advice| advice.contains(right)), "{text}: {refused}");
    }
}

#[test]
fn an_account_is_its_code_also_within_an_address() {
    let code = |code: &str, address| AccountForm { code: code.to_owned(), address };
    let euw1 = || Some(domain("euw1.brightpearlconnect.com"));
    for (text, account) in [
        ("acme", code("acme", None)),
        (" Acme-2_x ", code("Acme-2_x", None)),
        ("https://euw1.brightpearlconnect.com/public-api/acme/order-service/order", code("acme", euw1())),
        ("https://euw1.brightpearlapp.com/acme.login", code("acme", euw1())),
    ] {
        assert_eq!(account_form(text).unwrap(), account, "{text}");
    }
    for text in ["", "ac me", "acme.login", "a@b.example", "https://euw1.brightpearlapp.com/report.php", "acme/"] {
        let refused = account_form(text).unwrap_err();
        assert!(refused.advice().is_some_and(|advice| advice.contains("`acme`")), "{text}: {refused}");
    }
}

#[test]
fn a_token_is_no_reference_and_is_not_quoted() {
    assert_eq!(app_form(" acme_export ", "app reference").unwrap(), "acme_export");
    for text in ["", "two words", "bmljZSB0cnksIGJ1dCB0aGlzIGlzIGEgdG9rZW4="] {
        let refused = app_form(text, "app reference").unwrap_err().to_string();
        assert!(!refused.contains("bmljZSB0cnks"), "{refused}");
    }
}
