//! What can be asked of a report, and that its parts of time are the zone's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test says so by a panic"
)]

use std::collections::BTreeSet;

use domain::conversion::Status;
use domain::id::NetworkId;
use domain::report::{
    Ask, Bucket, Clicks, Dimension, Filter, Line, QUARTER_MS, Refused, Report, Takings, beginning, end, zone,
};
use domain::time::{DAY_MS, HOUR_MS, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

const ZONES: [&str; 8] = [
    "UTC",
    "Asia/Kathmandu",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "America/St_Johns",
    "Pacific/Apia",
];

fn buckets(from: i64, until: i64, zone_name: &str, by: Dimension) -> Result<Vec<Bucket>, Refused> {
    let (from, until) = (Timestamp::from_ms(from), Timestamp::from_ms(until));
    let ask = Ask::new(NetworkId(Uuid::nil()), from, until, zone(zone_name)?)?;
    ask.grouped(vec![by])?.buckets()
}

fn days(zone_name: &str, first: &str, last: &str) -> Vec<(String, i64)> {
    let own = zone(zone_name).unwrap();
    let (from, until) = (beginning(first, &own).unwrap(), end(last, &own).unwrap());
    let all = buckets(from.ms(), until.ms(), zone_name, Dimension::Day).unwrap();
    all.into_iter().map(|day| (day.name, (day.until.ms() - day.from.ms()) / QUARTER_MS)).collect()
}

fn named(days: &[(&str, i64)]) -> Vec<(String, i64)> {
    days.iter().map(|(name, quarters)| ((*name).to_owned(), *quarters)).collect()
}

#[test]
fn a_day_has_as_many_quarters_as_the_zone_s_clocks_give_it() {
    assert_eq!(
        days("America/New_York", "2026-10-31", "2026-11-02"),
        named(&[("2026-10-31", 96), ("2026-11-01", 100), ("2026-11-02", 96)])
    );
    assert_eq!(days("Europe/Berlin", "2026-03-29", "2026-03-29"), named(&[("2026-03-29", 92)]));
    // Half an hour only.
    assert_eq!(days("Australia/Lord_Howe", "2026-04-05", "2026-04-05"), named(&[("2026-04-05", 98)]));
    assert_eq!(days("Asia/Kathmandu", "2026-11-01", "2026-11-01"), named(&[("2026-11-01", 96)]));
    // A day that Samoa never had.
    assert_eq!(
        days("Pacific/Apia", "2011-12-29", "2011-12-31"),
        named(&[("2011-12-29", 96), ("2011-12-31", 96)])
    );
}

#[test]
fn a_day_of_kathmandu_begins_at_a_quarter_past_six_in_the_evening() {
    let own = zone("Asia/Kathmandu").unwrap();
    assert_eq!(beginning("2026-11-01", &own).unwrap(), "2026-10-31T18:15:00Z".parse().unwrap());
    assert_eq!(end("2026-11-01", &own).unwrap(), "2026-11-01T18:15:00Z".parse().unwrap());
    let moment = "2026-11-01T18:30:00Z";
    assert_eq!(end(moment, &own).unwrap(), moment.parse().unwrap(), "a moment is itself");
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let (from, until) = (Timestamp::from_ms(0), Timestamp::from_ms(DAY_MS));
    let utc = zone("UTC").unwrap();
    let ask = |from, until| Ask::new(NetworkId(Uuid::nil()), from, until, utc.clone());
    assert_eq!(ask(until, from).unwrap_err(), Refused::Empty(until, from));
    assert_eq!(ask(from, Timestamp::from_ms(401 * DAY_MS)).unwrap_err(), Refused::TooLong);
    let inside = Timestamp::from_ms(60_000);
    assert_eq!(ask(inside, until).unwrap_err(), Refused::InsideQuarter(inside));
    let by = |all: &[Dimension]| ask(from, until).unwrap().grouped(all.to_vec()).map(|_| ());
    assert_eq!(by(&[Dimension::Day, Dimension::Week]), Err(Refused::Groups));
    assert_eq!(by(&[Dimension::Offer, Dimension::Offer]), Err(Refused::Groups));
    assert_eq!(by(&[Dimension::Offer, Dimension::Day, Dimension::Os]), Err(Refused::Groups));
    assert_eq!(by(&[Dimension::Offer, Dimension::Day]), Ok(()));
    let day = Filter { dimension: Dimension::Day, value: "1970-01-01".to_owned() };
    let filtered = ask(from, until).unwrap().filtered(vec![day]);
    assert_eq!(filtered.unwrap_err(), Refused::TimeFilter(Dimension::Day));
    // Liberia's clocks were 44 minutes and 30 seconds behind until 1972.
    assert_eq!(buckets(0, DAY_MS, "Africa/Monrovia", Dimension::Day).unwrap_err(), Refused::OddOffset(from));
}

#[test]
fn filters_of_one_dimension_are_alternatives_and_of_several_all_hold() {
    let own = |dimension, value: &str| Filter { dimension, value: value.to_owned() };
    let ask = Ask::new(
        NetworkId(Uuid::nil()),
        Timestamp::from_ms(0),
        Timestamp::from_ms(DAY_MS),
        zone("UTC").unwrap(),
    );
    let filters =
        vec![own(Dimension::Country, "DE"), own(Dimension::Country, "FR"), own(Dimension::Os, "iOS")];
    let ask = ask.unwrap().filtered(filters).unwrap();
    assert!(ask.passes(Dimension::Country, "DE") && ask.passes(Dimension::Country, "FR"));
    assert!(!ask.passes(Dimension::Country, "") && !ask.passes(Dimension::Os, "Android"));
    assert!(ask.passes(Dimension::Offer, "any"));
}

#[test]
fn money_of_two_currencies_stays_apart() {
    let (usd, eur) = ("USD".parse().unwrap(), "EUR".parse().unwrap());
    let mut line = Line { clicks: Some(Clicks { counted: 3, ..Clicks::default() }), ..Line::default() };
    line.take(usd, &Takings::of(Status::Success, 1, 100, 40));
    line.take(eur, &Takings::of(Status::Success, 2, 7, 5));
    line.take(usd, &Takings::of(Status::Rejected, 9, 999, 999));
    line.take(usd, &Takings::of(Status::Pending, 1, 500, 500));
    let usd = line.takings[&usd];
    assert_eq!((usd.pending, usd.success, usd.rejected), (1, 1, 9));
    assert_eq!((usd.revenue_micros, usd.payout_micros, usd.margin_micros()), (Some(100), 40, Some(60)));
    assert_eq!(line.takings[&eur].margin_micros(), Some(2));
    assert_eq!(line.takings[&eur].earned_per_click_micros(&line.clicks.unwrap()), Some(1));
    assert_eq!(line.conversion_rate(), Some(13_333));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The parts of a range are the range: without gaps, in order, each under a name of its own, and each moment of a
    /// part has the part's date by the calendar itself.
    #[test]
    fn parts_of_time_are_the_whole_time(
        start in 90_000..118_000_i64,
        quarters in 1..3_000_i64,
        zone_at in 0..ZONES.len(),
        unit_at in 0..4_usize,
    ) {
        // Between 2020 and 2037, any quarter.
        let from = start * 5 * HOUR_MS - start % 7 * QUARTER_MS;
        let (name, until) = (ZONES[zone_at], from + quarters * QUARTER_MS);
        let unit = [Dimension::Day, Dimension::Hour, Dimension::Week, Dimension::Month][unit_at];
        let all = buckets(from, until, name, unit).unwrap();
        prop_assert_eq!((all[0].from.ms(), all[all.len() - 1].until.ms()), (from, until));
        prop_assert!(all.windows(2).all(|pair| pair[0].until == pair[1].from));
        let names: BTreeSet<&str> = all.iter().map(|part| part.name.as_str()).collect();
        prop_assert_eq!(names.len(), all.len());
        for part in &all {
            for at in [part.from.ms(), part.until.ms() - 1] {
                let local = jiff::Timestamp::from_millisecond(at).unwrap().to_zoned(zone(name).unwrap());
                let begins = match unit {
                    Dimension::Week => {
                        let monday: jiff::civil::Date = part.name.parse().unwrap();
                        let days = monday.until(local.date()).unwrap().get_days();
                        (0..7).contains(&days) && monday.weekday() == jiff::civil::Weekday::Monday
                    }
                    Dimension::Hour => part.name.starts_with(&local.strftime("%Y-%m-%d %H:").to_string()),
                    _ => local.date().to_string().starts_with(&part.name),
                };
                prop_assert!(begins, "{} is not in {}", local, part.name);
            }
        }
    }
}

#[test]
fn a_partner_sees_neither_revenue_nor_margin() {
    let usd = "USD".parse().unwrap();
    let mut line = Line::default();
    line.take(usd, &Takings::of(Status::Success, 1, 100, 40));
    let as_of = Timestamp::from_ms(0);
    let report = Report { as_of, lines: [(vec![(0, "a".to_owned())], line)].into() };
    assert_eq!(report.total().takings[&usd].margin_micros(), Some(60));
    let own = report.without_revenue().total().takings[&usd];
    assert_eq!((own.revenue_micros, own.margin_micros(), own.payout_micros), (None, None, 40));
}
