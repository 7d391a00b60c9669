//! Targeting by what the outside cannot choose in a test: places, clocks and zones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr};

use domain::targeting::{Mode, Rule, Test, mismatch};
use domain::time::Timestamp;
use domain::visit::Visit;
use domain::visitor::{Agent, Country, Visitor, Whereabouts};

fn country(text: &str) -> Country {
    text.parse().unwrap()
}

fn time(zone: &str, days: &[i8], hours: &[i8]) -> Test {
    Test::Time { zone: zone.to_owned(), days: days.to_vec(), hours: hours.to_vec() }
}

/// Whether a visitor from Bavaria who comes then, with this query, passes a rule.
fn passes(mode: Mode, test: Test, query: &str, trusts_partner: bool, now: &str) -> bool {
    let whereabouts = Whereabouts { country: Some(country("DE")), region: Some("BY".to_owned()) };
    let visit = Visit::read(query);
    let visitor = Visitor {
        visit: &visit,
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        whereabouts: &whereabouts,
        agent: &Agent::default(),
        languages: "",
        now: now.parse::<Timestamp>().unwrap(),
        trusts_partner,
    };
    mismatch(&[Rule { mode, test }], &visitor).is_none()
}

#[test]
fn hours_and_days_are_those_of_the_zone_in_summer_and_winter() {
    for (test, now, expected) in [
        // Berlin is two hours ahead in summer, one in winter.
        (time("Europe/Berlin", &[], &[8]), "2026-07-01T06:00:00Z", true),
        (time("Europe/Berlin", &[], &[8]), "2026-07-01T07:00:00Z", false),
        (time("Europe/Berlin", &[], &[8]), "2026-12-01T07:59:59.999Z", true),
        (time("Europe/Berlin", &[], &[8]), "2026-12-01T06:59:59.999Z", false),
        // The hour that comes twice, and the one that does not come.
        (time("Europe/Berlin", &[], &[2]), "2026-10-25T00:30:00Z", true),
        (time("Europe/Berlin", &[], &[2]), "2026-10-25T01:30:00Z", true),
        (time("Europe/Berlin", &[], &[2]), "2026-03-29T01:00:00Z", false),
        // Kathmandu is 5:45 ahead.
        (time("Asia/Kathmandu", &[], &[6]), "2026-11-22T00:14:59Z", false),
        (time("Asia/Kathmandu", &[], &[6]), "2026-11-22T00:15:00Z", true),
        // A Sunday evening in UTC is Monday in Auckland.
        (time("Pacific/Auckland", &[1], &[]), "2026-11-22T20:00:00Z", true),
        (time("UTC", &[1], &[]), "2026-11-22T20:00:00Z", false),
        (time("UTC", &[7], &[20]), "2026-11-22T20:00:00Z", true),
        (time("UTC", &[7], &[21]), "2026-11-22T20:00:00Z", false),
    ] {
        assert_eq!(passes(Mode::Allow, test.clone(), "", false, now), expected, "{test:?} at {now}");
        assert_eq!(passes(Mode::Block, test.clone(), "", false, now), !expected, "{test:?} at {now}");
    }
}

#[test]
fn the_place_is_the_address_s_unless_the_partner_is_believed() {
    let german = || Test::Country(vec![country("276")]);
    let bavarian = || Test::Region(vec!["by".to_owned()]);
    for (query, trusts, in_germany, in_bavaria) in [
        ("", false, true, true),
        ("", true, true, true),
        ("pub_geo_country=FR&pub_geo_state=IDF", false, true, true),
        ("pub_geo_country=FR&pub_geo_state=IDF", true, false, false),
        ("pub_geo_country=deu&pub_geo_state=BY", true, true, true),
        // What is no country is not believed.
        ("pub_geo_country=Germany", true, true, true),
        ("pub_geo_country=", true, true, true),
    ] {
        let now = "2026-11-22T20:00:00Z";
        assert_eq!(passes(Mode::Allow, german(), query, trusts, now), in_germany, "{query} {trusts}");
        assert_eq!(passes(Mode::Block, german(), query, trusts, now), !in_germany, "{query} {trusts}");
        assert_eq!(passes(Mode::Allow, bavarian(), query, trusts, now), in_bavaria, "{query} {trusts}");
    }
}

#[test]
fn what_cannot_be_told_is_not_allowed_and_not_blocked() {
    let now = "2026-11-22T20:00:00Z";
    for test in [
        Test::Age { from: 1, to: 130 },
        Test::Language(vec!["de".to_owned()]),
        time("Nowhere/Land", &[], &[]),
    ] {
        assert!(!passes(Mode::Allow, test.clone(), "", true, now), "{test:?}");
        assert!(passes(Mode::Block, test.clone(), "", true, now), "{test:?}");
    }
}
