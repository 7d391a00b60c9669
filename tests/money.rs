//! What a conversion is worth to each side.

use testkit::for_each_engine;

use crate::world::{World, conversion_id, encoded};

/// Offers beside the fixture's: another currency, shares with decimals, several shares.
const MORE: &str = r#"
[[offer]]
slug = "yen"
advertiser = "shop"
currency = "JPY"
destination = "https://shop.example/yen?click={gk_click_id}"
revenue = "300"
payout = "0"

[[offer]]
slug = "shares"
type = "MultiEvent"
conversion_type = "RevShare"
currency = "EUR"
advertiser = "shop"
destination = "https://shop.example/shares?click={gk_click_id}"
[[offer.event]]
code = "first"
revenue = "12.345678%"
payout = "0.000001%"
[[offer.event]]
code = "next"
revenue = "100%"
payout = "50%"

[[link]]
offer = "yen"
partner = "app"

[[link]]
offer = "shares"
partner = "app"

[[postback]]
partner = "app"
slug = "money"
url = "http://{partner}/postback/money?p={payout}+{payout_currency}&a={cnv_amount}+{cnv_currency}"
"#;

/// Offer, what the advertiser sends; then revenue and payout in micro-units, their currency, and what the partner
/// is told.
type Case = (&'static str, &'static str, i64, i64, &'static str, &'static str);

const CASES: [Case; 14] = [
    ("flat", "", 2_500_000, 1_200_000, "USD", "p=1.20+USD&a=+"),
    // A flat rate stays what it is; the sale's amount is only told.
    ("flat", "cnv_amount=99.9", 2_500_000, 1_200_000, "USD", "p=1.20+USD&a=99.90+USD"),
    ("flat", "cnv_amount=5&cnv_currency=EUR", 2_500_000, 1_200_000, "USD", "p=1.20+USD&a=5.00+EUR"),
    ("yen", "", 300_000_000, 0, "JPY", "p=0+JPY&a=+"),
    ("share", "cnv_amount=100", 10_000_000, 7_500_000, "USD", "p=7.50+USD&a=100.00+USD"),
    // Paid in the currency of the sale.
    ("share", "cnv_amount=80&cnv_currency=EUR", 8_000_000, 6_000_000, "EUR", "p=6.00+EUR&a=80.00+EUR"),
    ("share", "cnv_amount=80&cnv_currency=jpy", 8_000_000, 6_000_000, "JPY", "p=6+JPY&a=80+JPY"),
    ("share", "cnv_amount=0", 0, 0, "USD", "p=0.00+USD&a=0.00+USD"),
    ("share", "cnv_amount=0.000001", 0, 0, "USD", "p=0.00+USD&a=0.000001+USD"),
    // Half to even, each side by itself: 10 % of 5 and 15 micro-units, 7.5 % of 20.
    ("share", "cnv_amount=0.000005", 0, 0, "USD", "p=0.00+USD&a=0.000005+USD"),
    ("share", "cnv_amount=0.000015", 2, 1, "USD", "p=0.000001+USD&a=0.000015+USD"),
    ("share", "cnv_amount=0.000020", 2, 2, "USD", "p=0.000002+USD&a=0.00002+USD"),
    ("shares", "event_id=first&cnv_amount=1000000000", 123_456_780_000_000, 10_000_000, "EUR", "p=10.00+EUR"),
    ("shares", "event_id=next&cnv_amount=3.33", 3_330_000, 1_665_000, "EUR", "p=1.665+EUR&a=3.33+EUR"),
];

#[test]
fn both_sides_are_computed_to_the_micro_unit() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let reported: Vec<(String, &Case)> = CASES
            .iter()
            .enumerate()
            .map(|(at, case)| {
                let click = world.click(case.0, &format!("m{at}"));
                let answer = world.report(&format!("gk_click_id={click}&{}", case.1));
                assert_eq!(answer.code(), "recorded", "{case:?}: {answer:?}");
                (conversion_id(&answer), case)
            })
            .collect();
        let received = world.received();
        for (at, (conversion, case)) in reported.iter().enumerate() {
            let (.., revenue, payout, currency, told) = **case;
            let row = engine.sql(&format!(
                "select revenue_micros, payout_micros, currency from conversion where conversion_id = {}",
                engine.id(conversion)
            ));
            assert_eq!(row, [[revenue.to_string(), payout.to_string(), currency.to_owned()]], "{case:?}");
            let told = format!("/postback/money?{told}");
            let heard = received.iter().any(|one| one.path_and_query.starts_with(&told));
            assert!(heard, "nobody heard {told} of member m{at}");
        }
        world.stop();
    });
}

#[test]
fn an_amount_that_cannot_be_read_is_refused_and_pays_nothing() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let click = world.click("share", "m1");
        let wrong = [
            "cnv_amount=",
            "cnv_amount=1,50",
            "cnv_amount=1.5e3",
            "cnv_amount=-1",
            "cnv_amount=%2B1",
            "cnv_amount=1.",
            "cnv_amount=.5",
            "cnv_amount=0x10",
            "cnv_amount=1.0000001",
            "cnv_amount=1000000001",
            "cnv_amount=99999999999999999999999999",
            "cnv_amount=NaN",
            "cnv_amount=%D9%A1",
            "cnv_amount=1&cnv_currency=XXXX",
            "cnv_amount=1&cnv_currency=ZZZ",
            "cnv_amount=1&cnv_currency=%E2%82%AC",
            "cnv_sub_1=none",
        ];
        for parameters in wrong {
            let answer = world.report(&format!("gk_click_id={click}&{parameters}"));
            assert_eq!((answer.status, answer.code().as_str()), (400, "amount_malformed"), "{parameters}");
        }
        assert_eq!(world.count("conversion"), 0);
        assert_eq!(world.count("inbound where code = 'amount_malformed'"), 17);
        let trailing = format!("gk_click_id={click}&cnv_amount={}", encoded("10.100000"));
        assert_eq!(world.report(&trailing).code(), "recorded", "zeros at the end are no precision");
        world.stop();
    });
}
