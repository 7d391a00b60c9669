//! What is going on at each link: how many visitors it gets, and what they do at the advertiser.

use std::sync::Arc;

use domain::catalog::Catalog;
use domain::link::Link;
use domain::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};

use super::visitor::Crowd;

/// One link's traffic.
#[derive(Debug, Clone)]
pub(super) struct Campaign {
    pub(super) link: Arc<Link>,
    pub(super) crowd: Crowd,
    /// Clicks on an ordinary day.
    pub(super) per_day: f64,
    pub(super) course: Course,
}

/// What a visitor may do once arrived.
#[derive(Debug, Clone, Copy)]
pub(super) enum Course {
    /// One result, reported by its click.
    Once {
        /// How likely.
        chance: f64,
        /// How long it takes half of them.
        median_ms: i64,
        /// How likely it takes days.
        late: f64,
    },
    /// Orders, each with a number and an amount.
    Orders {
        /// How likely.
        chance: f64,
    },
    /// An installation, then an account, then a purchase.
    Steps {
        /// How likely the first.
        chance: f64,
    },
}

/// Every link of the demo with its traffic.
pub(super) fn all(catalog: &Catalog) -> Vec<Campaign> {
    let mut campaigns: Vec<Campaign> = catalog.links.values().map(campaign).collect();
    // The catalog has no order, and the same seed is to give the same history.
    campaigns.sort_by(|a, b| name(a).cmp(&name(b)));
    campaigns
}

fn name(campaign: &Campaign) -> (&str, &str) {
    (&campaign.link.offer.slug, &campaign.link.partner.slug)
}

fn campaign(link: &Arc<Link>) -> Campaign {
    let crowd = Crowd::of(&link.partner.slug);
    let (per_day, course) = match link.offer.slug.as_str() {
        "open-account" => (150.0, Course::Once { chance: 0.07, median_ms: 40 * MINUTE_MS, late: 0.0 }),
        "star-harvest" => (230.0, Course::Steps { chance: 0.05 }),
        "kestrel-shop" => (140.0, Course::Orders { chance: 0.035 }),
        "travel-survey" => (85.0, Course::Once { chance: 0.08, median_ms: HOUR_MS, late: 0.06 }),
        _ => (22.0, Course::Once { chance: 0.2, median_ms: 20 * MINUTE_MS, late: 0.0 }),
    };
    // A link that is not approved yet gets the traffic of a test.
    let share = match (link.approval, crowd) {
        (domain::link::LinkApproval::Approved, Crowd::PocketPoints) => 1.0,
        (domain::link::LinkApproval::Approved, Crowd::DailyQuests) => 0.85,
        _ => 0.05,
    };
    Campaign { link: Arc::clone(link), crowd, per_day: per_day * share, course }
}

/// How an hour of the day (UTC) compares with the average hour: nights are quiet, evenings are not.
const HOURS: [f64; 24] = [
    0.45, 0.3, 0.2, 0.2, 0.25, 0.4, 0.7, 0.95, 1.0, 1.0, 1.05, 1.15, 1.2, 1.1, 1.05, 1.1, 1.25, 1.5, 1.75,
    1.9, 1.85, 1.6, 1.2, 0.85,
];

/// How a day of the week compares with the average day, from Sunday on.
const WEEKDAYS: [f64; 7] = [1.25, 0.9, 0.88, 0.92, 0.95, 1.0, 1.1];

/// Visitors per hour at `at`, as a multiple of the average.
pub(super) fn rhythm(at: Timestamp) -> f64 {
    let hour = at.ms().div_euclid(HOUR_MS).rem_euclid(24);
    // 1970 began on a Thursday.
    let weekday = (at.ms().div_euclid(DAY_MS) + 4).rem_euclid(7);
    let of =
        |table: &[f64], place: i64| usize::try_from(place).ok().and_then(|place| table.get(place).copied());
    of(&HOURS, hour).unwrap_or(1.0) * of(&WEEKDAYS, weekday).unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use domain::time::{HOUR_MS, Timestamp};

    use super::rhythm;

    #[test]
    fn a_week_has_the_visitors_of_seven_average_days() {
        let start: Timestamp = "2026-11-16T00:00:00Z".parse().unwrap();
        let week: f64 = (0..7 * 24).map(|hour| rhythm(start.plus_ms(hour * HOUR_MS))).sum();
        assert!((week / (7.0 * 24.0) - 1.0).abs() < 0.05, "{week}");
        let at = |text: &str| rhythm(text.parse().unwrap());
        assert!(
            at("2026-11-22T19:30:00Z") > 5.0 * at("2026-11-24T03:30:00Z"),
            "Sunday evening, Tuesday night"
        );
    }
}
