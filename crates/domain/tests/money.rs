//! Money: parsing, printing and shares, as a table and as properties.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use domain::money::{Currency, MICROS, Money, Percent, Rate, parse_micros};
use proptest::prelude::*;

fn currency(code: &str) -> Currency {
    code.parse().unwrap()
}

#[test]
fn plain_decimals_are_read_exactly() {
    for (text, micros) in [
        ("0", 0),
        ("12", 12_000_000),
        ("12.5", 12_500_000),
        ("0.000001", 1),
        ("007.10", 7_100_000),
        ("1.1000000000", 1_100_000),
        ("1000000000", 1_000_000_000_000_000),
    ] {
        assert_eq!(parse_micros(text).unwrap(), micros, "{text}");
    }
}

#[test]
fn anything_else_is_refused_and_named() {
    for text in [
        "",
        ".",
        ".5",
        "5.",
        "-1",
        "+1",
        "1e3",
        "1,5",
        "1 000",
        " 1",
        "0x10",
        "1.0000001",
        "NaN",
        "∞",
        "１",
        "1.2.3",
        "1000000001",
        "99999999999999999999999",
    ] {
        let error = parse_micros(text).unwrap_err().to_string();
        assert!(error.contains(&format!("`{text}`")), "{text:?}: {error}");
    }
}

#[test]
fn amounts_print_with_their_currencys_decimals() {
    for (micros, code, plain) in [
        (12_500_000, "USD", "12.50"),
        (125_000, "USD", "0.125"),
        (1_200_000_000, "JPY", "1200"),
        (1_500_000, "JPY", "1.5"),
        (1_000, "KWD", "0.001"),
        (0, "EUR", "0.00"),
        (-2_500_000, "EUR", "-2.50"),
    ] {
        assert_eq!(Money { micros, currency: currency(code) }.plain(), plain);
    }
}

#[test]
fn shares_round_half_to_even_once() {
    let half: Percent = "50".parse().unwrap();
    assert_eq!([1, 3, 5, 7].map(|micros| half.of(micros)), [0, 2, 2, 4]);
    let share: Percent = "12.5".parse().unwrap();
    assert_eq!(share.of(100 * MICROS), 12_500_000);
    assert!("100.000001".parse::<Percent>().is_err());
    assert!("-1".parse::<Percent>().is_err());
}

#[test]
fn a_share_is_paid_in_the_currency_of_the_sale() {
    let sale = Money { micros: 10 * MICROS, currency: currency("EUR") };
    let rate = Rate::Share("20".parse().unwrap());
    assert_eq!(rate.of(Some(sale), currency("USD")).to_string(), "2.00 EUR");
    assert_eq!(rate.of(None, currency("USD")), Money::zero(currency("USD")));
    assert_eq!(Rate::Flat(MICROS).of(Some(sale), currency("USD")).to_string(), "1.00 USD");
}

#[test]
fn only_iso_4217_is_a_currency() {
    for text in ["", "US", "USDT", "ABC", "12A", "ÄÖÜ"] {
        assert!(text.parse::<Currency>().is_err(), "{text}");
    }
    assert_eq!(currency("usd").code(), "USD");
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(
        micros in 0..=1_000_000_000 * MICROS,
        code in prop::sample::select(vec!["USD", "JPY", "KWD"]),
    ) {
        let money = Money { micros, currency: code.parse().unwrap() };
        prop_assert_eq!(parse_micros(&money.plain()).unwrap(), micros);
    }

    #[test]
    fn a_share_is_the_nearest_whole_micro(
        micros in 0..=1_000_000_000 * MICROS,
        millionths in 0..=100 * MICROS,
    ) {
        let share = Percent::from_millionths(millionths).unwrap().of(micros);
        let exact = i128::from(micros) * i128::from(millionths);
        let off = (i128::from(share) * 100_000_000 - exact).abs();
        prop_assert!(off * 2 <= 100_000_000, "{share} is {off} off");
        prop_assert!((0..=micros).contains(&share));
        if off * 2 == 100_000_000 {
            prop_assert_eq!(share % 2, 0);
        }
    }

    #[test]
    fn no_text_makes_parsing_panic(text in "\\PC{0,30}") {
        let _ = parse_micros(&text);
        let _ = text.parse::<Percent>();
        let _ = text.parse::<Currency>();
    }
}
