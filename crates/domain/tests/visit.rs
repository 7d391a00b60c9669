//! The tracking parameters: placeholders, strict decoding, duplicates, lengths.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use domain::placeholder::is_placeholder;
use domain::query::{Malformed, Plus, decode};
use domain::visit::{Param, Visit};
use proptest::prelude::*;

#[test]
fn placeholders_in_every_form_are_recognised() {
    for raw in [
        "PUB_MEMBER_ID",
        "PUB_CLICK_ID",
        "pub_click_id",
        "null",
        "NULL",
        "undefined",
        "TOBEREPLACED",
        "{clickid}",
        "{{click.id}}",
        "[click_id]",
        "[[x]]",
        "${CLICK_ID}",
        "#click#",
        "%click_id%",
        "<sub1>",
        "__CLICKID__",
        "%7Bclick_id%7D",
        "%7B%7Bx%7D%7D",
        "%5Bx%5D",
        "%24%7Bx%7D",
        "%23x%23",
        "%25x%25",
        "%3Cx%3E",
        "%257Bx%257D",
        "%%CLICK%%",
        "{user id}",
        "%5f%5fX%5f%5f",
    ] {
        assert!(is_placeholder(raw), "{raw}");
    }
}

#[test]
fn honest_values_are_no_placeholders() {
    for raw in [
        "",
        "42",
        "abc",
        "nullable",
        "undefined1",
        "PUB_CLICK_ID_7",
        "{",
        "{}",
        "[]",
        "____",
        "#",
        "a{b}",
        "{a}b",
        "{9f1c2b7e-4b1d-4c62-9f30-6a1f0f3c9e11}",
        "100%25",
        "p-77",
        "Tom",
        "%41",
        "<>",
        "{a/b}",
        "__x",
        "under_score",
        "{\"a\":1}",
    ] {
        assert!(!is_placeholder(raw), "{raw}");
    }
}

#[test]
fn values_are_decoded_once_and_strictly() {
    assert_eq!(decode("a%20b", Plus::Literal).unwrap(), "a b");
    assert_eq!(decode("a%2520b", Plus::Literal).unwrap(), "a%20b");
    assert_eq!(decode("a+b", Plus::Literal).unwrap(), "a+b");
    assert_eq!(decode("a+b%2B", Plus::Space).unwrap(), "a b+");
    assert_eq!(decode("gr%C3%BCn", Plus::Literal).unwrap(), "grün");
    for (raw, wrong) in [
        ("%", Malformed::Encoding),
        ("%4", Malformed::Encoding),
        ("%zz", Malformed::Encoding),
        ("a%u0041", Malformed::Encoding),
        ("%FF", Malformed::Utf8),
        ("%C3%28", Malformed::Utf8),
        ("%ED%A0%80", Malformed::Utf8),
        ("%00", Malformed::Control),
        ("a%0D%0Ab", Malformed::Control),
        ("%7F", Malformed::Control),
        ("%C2%85", Malformed::Control),
        ("\u{1b}", Malformed::Control),
    ] {
        assert_eq!(decode(raw, Plus::Literal).unwrap_err(), wrong, "{raw}");
    }
}

#[test]
fn the_first_fault_is_named_and_sound_values_stay() {
    let fault = |query: &str| Visit::read(query).fault().map(ToString::to_string).unwrap_or_default();
    assert_eq!(
        fault("pub_click_id=a&pub_member_id=b&pub_sub_1=%ZZ"),
        "pub_sub_1 has a `%` that is not followed by two hexadecimal digits"
    );
    assert_eq!(fault("pub_click_id=a&pub_click_id=a"), "pub_click_id is given more than once");
    assert_eq!(fault("pub_click_id=a&pub%5Fclick_id=b"), "pub_click_id is given more than once");
    assert_eq!(fault(&format!("pub_click_id={}", "a".repeat(256))), "pub_click_id is longer than 255 bytes");
    assert_eq!(fault(&format!("pub_click_id={}", "a".repeat(255))), "");
    assert_eq!(fault(&format!("pub_sub_3={}", "%C3%BC".repeat(250))), "");
    assert_eq!(fault(&format!("pub_sub_3={}x", "%C3%BC".repeat(250))), "pub_sub_3 is longer than 500 bytes");
    assert_eq!(fault(&"x=1&".repeat(101)), "the query has more than 100 parameters");
    assert_eq!(fault("utm=1&utm=2&&=&pub_sub_16=x"), "");
    let visit = Visit::read("pub_click_id=a%20b&pub_member_id=%FF&pub_sub_1=");
    assert_eq!(visit.get(Param::ClickId), Some("a b"));
    assert_eq!(
        (visit.get(Param::MemberId), visit.given(Param::Sub1), visit.get(Param::Sub1)),
        (None, None, Some(""))
    );
}

#[test]
fn every_sub_parameter_has_its_number() {
    for n in 1..=15 {
        assert_eq!(Param::sub(n).unwrap().code(), format!("pub_sub_{n}"));
    }
    assert_eq!((Param::sub(0), Param::sub(16)), (None, None));
}

/// Anything, and what looks like tracking parameters.
const QUERIES: &str = concat!(
    r"\PC{0,200}|(pub_(click|member)_id|pub_sub_[0-9]{1,2})",
    r"(=(%[0-9a-fA-F]{0,2}|[a-z{}_#$<>])*)?(&.{0,20}){0,5}"
);

proptest! {
    #[test]
    fn no_query_makes_reading_panic(query in QUERIES) {
        let visit = Visit::read(&query);
        for (param, value) in visit.entries() {
            prop_assert!(value.len() <= param.max_bytes() || visit.is_placeholder(param));
        }
    }

    #[test]
    fn an_encoded_value_arrives_as_it_was(value in "[^\\p{Cc}]{1,60}") {
        let encoded = value.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
        let query = format!("pub_sub_7={encoded}");
        let visit = Visit::read(&query);
        prop_assert_eq!(visit.get(Param::Sub7), Some(value.as_str()));
    }
}
