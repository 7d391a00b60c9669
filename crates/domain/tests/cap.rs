//! Periods, caps and budgets, against a model that counts the slow way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use domain::cap::{Limit, Measure, Taken, closed, exhausted};
use domain::period::Period;
use domain::time::{DAY_MS, Timestamp};
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn periods_are_the_utc_calendar() {
    let moment = at("2026-11-22T20:18:00.123Z");
    for (period, start, end) in [
        (Period::Day, "2026-11-22T00:00:00Z", Some("2026-11-23T00:00:00Z")),
        (Period::Week, "2026-11-16T00:00:00Z", Some("2026-11-23T00:00:00Z")),
        (Period::Month, "2026-11-01T00:00:00Z", Some("2026-12-01T00:00:00Z")),
        (Period::Total, "1970-01-01T00:00:00Z", None),
    ] {
        assert_eq!((period.start(moment), period.end(moment)), (at(start), end.map(at)), "{period}");
    }
    let monday = at("2026-11-23T00:00:00Z");
    assert_eq!(Period::Week.start(monday), monday);
    assert_eq!(Period::Month.end(at("2026-12-31T23:59:59.999Z")), Some(at("2027-01-01T00:00:00Z")));
    assert_eq!(Period::Month.start(at("2024-02-29T12:00:00Z")), at("2024-02-01T00:00:00Z"));
    assert_eq!(Period::Week.start(at("1969-12-29T00:00:00Z")), at("1969-12-29T00:00:00Z"));
}

#[test]
fn a_click_is_stopped_when_no_conversion_would_fit() {
    let budget = [Limit { measure: Measure::Revenue, period: Period::Day, most: 10 }];
    let mut taken = Taken::default();
    let day = at("2026-11-22T20:18:00Z");
    taken.set(Period::Day, taken.of(Period::Day).plus(7));
    assert_eq!(closed(&budget, &taken, Some(3), day), None);
    let full = closed(&budget, &taken, Some(4), day).unwrap();
    assert_eq!((full.used, full.until), (7, Some(at("2026-11-23T00:00:00Z"))));
    assert_eq!(closed(&budget, &taken, None, day), None);
    assert!(exhausted(&budget, &taken, 4, day).is_some());
}

/// One conversion that asks for room, or one that gives its room back.
#[derive(Debug, Clone)]
enum Step {
    Ask { at_ms: i64, revenue: i64 },
    GiveBack { which: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ask = (0..90 * DAY_MS, 0_i64..50).prop_map(|(at_ms, revenue)| Step::Ask { at_ms, revenue });
    let back = (0_usize..40).prop_map(|which| Step::GiveBack { which });
    prop::collection::vec(prop_oneof![3 => ask, 1 => back], 1..16)
}

fn limits() -> impl Strategy<Value = Vec<Limit>> {
    let measure = prop::sample::select(vec![Measure::Conversions, Measure::Revenue]);
    let limit = (measure, prop::sample::select(Period::ALL), 1_i64..60);
    prop::collection::vec(limit.prop_map(|(measure, period, most)| Limit { measure, period, most }), 0..5)
}

/// What a period has taken, counted anew from everything that was accepted and not given back.
fn recount(accepted: &[Option<(Timestamp, i64)>], now: Timestamp) -> Taken {
    let mut taken = Taken::default();
    for period in Period::ALL {
        let same = accepted.iter().flatten().filter(|(when, _)| period.start(*when) == period.start(now));
        taken.set(
            *period,
            same.fold(Taken::default().of(*period), |tally, (_, revenue)| tally.plus(*revenue)),
        );
    }
    taken
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn no_history_ever_passes_a_limit(limits in limits(), steps in steps()) {
        let mut accepted: Vec<Option<(Timestamp, i64)>> = Vec::new();
        for step in steps {
            match step {
                Step::Ask { at_ms, revenue } => {
                    let now = Timestamp::from_ms(at_ms);
                    let taken = recount(&accepted, now);
                    let refused = exhausted(&limits, &taken, revenue, now);
                    let fits = limits.iter().all(|limit| {
                        let tally = taken.of(limit.period);
                        match limit.measure {
                            Measure::Conversions => tally.conversions < limit.most,
                            Measure::Revenue => tally.revenue_micros + revenue <= limit.most,
                        }
                    });
                    prop_assert_eq!(refused.is_none(), fits);
                    if fits {
                        accepted.push(Some((now, revenue)));
                    }
                }
                Step::GiveBack { which } => {
                    if let Some(place) = accepted.get_mut(which) {
                        *place = None;
                    }
                }
            }
        }
        for (now, _) in accepted.iter().flatten() {
            let taken = recount(&accepted, *now);
            for limit in &limits {
                let tally = taken.of(limit.period);
                let used = match limit.measure {
                    Measure::Conversions => tally.conversions,
                    Measure::Revenue => tally.revenue_micros,
                };
                prop_assert!(used <= limit.most, "{limit:?}: {used}");
            }
        }
    }
}
