//! The parts of a run that are plain functions, by tables.

use domain::money::{Percent, Rate};
use domain::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use toml::de::DeValue;

use super::declaration::Noun;
use super::fields::nearest;
use super::plan::{Change, Field, compare};
use super::secret::Whose;
use super::value;

/// Reads one value as it stands in a file.
fn read<T>(toml: &str, read: impl Fn(&DeValue<'_>) -> Result<T, String>) -> Result<T, String> {
    read(DeValue::parse(toml).unwrap().get_ref())
}

#[test]
fn lengths_of_time_are_read_and_written_alike() {
    let cases = [
        (r#""1m""#, MINUTE_MS, "1m"),
        (r#""90m""#, 90 * MINUTE_MS, "90m"),
        (r#""60m""#, HOUR_MS, "1h"),
        (r#""36h""#, 36 * HOUR_MS, "36h"),
        (r#""30d""#, 30 * DAY_MS, "30d"),
        (r#""4w""#, 28 * DAY_MS, "28d"),
        (r#""3650d""#, 3_650 * DAY_MS, "3650d"),
    ];
    for (text, ms, written) in cases {
        assert_eq!(read(text, value::window), Ok(ms), "{text}");
        assert_eq!(value::length_text(ms), written);
    }
    assert_eq!(read("\"90s\"", value::delay), Ok(90_000));
    assert_eq!(
        (value::length_text(90_000), value::length_text(120_000)),
        ("90s".to_owned(), "2m".to_owned())
    );
    assert!(read("\"0s\"", value::delay).is_err());
    for text in [
        "\"\"",
        "\"d\"",
        "\"1.5d\"",
        "\"-1d\"",
        "\"+1d\"",
        "\"30\"",
        "\"30s\"",
        "\"0m\"",
        "30",
        "\"9999999999999999w\"",
    ] {
        assert!(read(text, value::window).is_err(), "{text}");
    }
}

#[test]
fn rates_are_amounts_or_shares() {
    let share = |text: &str| Rate::Share(text.parse::<Percent>().unwrap());
    assert_eq!(read(r#""1.20""#, value::rate), Ok(Rate::Flat(1_200_000)));
    assert_eq!(read(r#""0""#, value::rate), Ok(Rate::Flat(0)));
    assert_eq!(read(r#""12.5%""#, value::rate), Ok(share("12.5")));
    assert_eq!(read(r#""100 %""#, value::rate), Ok(share("100")));
    for text in
        ["\"%\"", "\"1.\"", "\".5\"", "\"1e3\"", "\"1 USD\"", "\"100.1%\"", "\"-1%\"", "1", "1.5", "true"]
    {
        assert!(read(text, value::rate).is_err(), "{text}");
    }
}

#[test]
fn names_and_addresses_are_strict() {
    for good in ["\"a\"", "\"0-9\"", "\"-\"", &format!("\"{}\"", "a".repeat(63))] {
        assert!(read(good, value::slug).is_ok(), "{good}");
    }
    for bad in ["\"\"", "\"A\"", "\"a b\"", "\"a_b\"", "\"ä\"", "\"a/b\"", &format!("\"{}\"", "a".repeat(64))]
    {
        assert!(read(bad, value::slug).is_err(), "{bad}");
    }
    assert_eq!(read("\"Ann@Example.ORG\"", value::email), Ok("ann@example.org".to_owned()));
    for bad in [
        "\"ann\"",
        "\"@a.b\"",
        "\"ann@\"",
        "\"ann@host\"",
        "\"a@b@c.d\"",
        "\"a b@c.d\"",
        "\"a@.d\"",
        "\"a@d.\"",
    ] {
        assert!(read(bad, value::email).is_err(), "{bad}");
    }
    for bad in ["\"\"", "\" a\"", "\"a \"", "\"a\\nb\"", &format!("\"{}\"", "a".repeat(201))] {
        assert!(read(bad, value::name).is_err(), "{bad}");
    }
    assert!(read("\"two\\nlines\\tand a tab\"", value::prose).is_ok());
    assert!(read("\"a\\u0000\"", value::prose).is_err());
}

#[test]
fn ranges_are_networks_or_single_addresses() {
    let range = |text: &str| read(&format!("\"{text}\""), value::addresses).map(|range| range.to_string());
    assert_eq!(range("203.0.113.0/24"), Ok("203.0.113.0/24".to_owned()));
    assert_eq!(range("203.0.113.9"), Ok("203.0.113.9/32".to_owned()));
    assert_eq!(range("2001:db8::1"), Ok("2001:db8::1/128".to_owned()));
    for bad in ["203.0.113.1/24", "203.0.113.0/33", "::ffff:1.2.3.4", "example.com", "1.2.3", ""] {
        assert!(range(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_token_is_hashed_and_never_repeated_in_words() {
    assert!(read("\"0123456789abcdef\"", value::token).is_ok());
    for bad in ["0123456789abcde", "0123456789 abcdef", "0123456789abcdéf", &"x".repeat(201)] {
        let why = read(&format!("\"{bad}\""), value::token).unwrap_err();
        assert!(!why.contains(bad), "{why}");
    }
}

#[test]
fn the_nearest_name_is_offered_only_when_it_is_near() {
    let known = ["slug", "name", "status"];
    assert_eq!(nearest("slgu", &known), "did you mean `slug`?");
    assert_eq!(nearest("statuss", &known), "did you mean `status`?");
    assert_eq!(nearest("colour", &known), "known are: name, slug, status");
}

#[test]
fn only_what_differs_is_a_change() {
    let old = vec![
        Field::new("a", 1),
        Field::new("b", 2),
        Field::new("gone", 3),
        Field::maybe("none", None::<i64>),
    ];
    let new =
        vec![Field::new("new", 9), Field::new("b", 2), Field::new("a", 7), Field::maybe("z", None::<i64>)];
    let change = |field: &str, old: Option<&str>, new: Option<&str>| Change {
        field: field.to_owned(),
        old: old.map(str::to_owned),
        new: new.map(str::to_owned),
    };
    let expected =
        [change("new", None, Some("9")), change("a", Some("1"), Some("7")), change("gone", Some("3"), None)];
    assert_eq!(compare(old.clone(), new), expected);
    assert_eq!(compare(old.clone(), old), []);
}

#[test]
fn an_owner_of_secrets_is_named_by_kind_network_and_name() {
    let whose = |text: &str| text.parse::<Whose>();
    for (text, noun, network, name) in [
        ("partner/app", Noun::Partner, "any", "app"),
        ("partner/acme/app", Noun::Partner, "acme", "app"),
        ("user/Ann@A.example", Noun::User, "any", "ann@a.example"),
        ("advertiser/shop", Noun::Advertiser, "any", "shop"),
    ] {
        let own = whose(text).unwrap();
        assert!(own.means((noun, network, name)), "{text}");
        assert!(!own.means((noun, network, "other")) && !own.means((Noun::Offer, network, name)), "{text}");
        assert_eq!(own.to_string().to_lowercase(), text.to_lowercase());
    }
    assert!(!whose("partner/acme/app").unwrap().means((Noun::Partner, "other", "app")));
    for bad in ["", "partner", "partner/", "offer/x", "network/acme", "partner/a/b/c", "app"] {
        assert!(whose(bad).is_err(), "{bad}");
    }
}
