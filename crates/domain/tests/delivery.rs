//! The retry schedule and the breaker.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use domain::conversion::Status;
use domain::delivery::{Admission, Attempted, Breaker, Next, RETRY_MS, next};
use domain::postback::Wanted;
use domain::time::{DAY_MS, Timestamp};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_ms(1_000_000);

fn answered(status: u16) -> Attempted {
    Attempted::Answered { status, retry_after_s: None }
}

#[test]
fn only_2xx_is_delivered_and_only_410_switches_off() {
    for status in 100..600 {
        let expected_delivered = (200..300).contains(&status);
        let what = next(answered(status), 1, NOW, 100);
        assert_eq!(what == Next::Delivered, expected_delivered, "{status}");
        assert_eq!(what == Next::Disable, status == 410, "{status}");
    }
    assert!(matches!(next(Attempted::Failed, 1, NOW, 100), Next::Retry(_)));
    assert!(matches!(next(Attempted::Refused, 1, NOW, 100), Next::Retry(_)));
}

#[test]
fn the_schedule_is_the_contracts_and_then_ends() {
    for (attempt, wait_ms) in (1..).zip(RETRY_MS) {
        assert_eq!(next(Attempted::Failed, attempt, NOW, 100), Next::Retry(NOW.plus_ms(wait_ms)));
    }
    assert_eq!(next(Attempted::Failed, 11, NOW, 100), Next::Dead);
    assert_eq!(next(Attempted::Failed, 99, NOW, 100), Next::Dead);
}

#[test]
fn retry_after_only_lengthens_and_is_bounded() {
    let asked =
        |seconds| next(Attempted::Answered { status: 429, retry_after_s: Some(seconds) }, 2, NOW, 100);
    assert_eq!(asked(1), Next::Retry(NOW.plus_ms(60_000)));
    assert_eq!(asked(600), Next::Retry(NOW.plus_ms(600_000)));
    assert_eq!(asked(i64::MAX), Next::Retry(NOW.plus_ms(DAY_MS)));
    assert_eq!(asked(-5), Next::Retry(NOW.plus_ms(60_000)));
}

#[test]
fn a_breaker_opens_after_five_failures_probes_and_closes() {
    let mut breaker = Breaker::default();
    for _ in 0..4 {
        breaker.learn(Attempted::Failed, NOW);
        assert_eq!(breaker.admits(NOW), Admission::All);
    }
    breaker.learn(answered(503), NOW);
    assert_eq!(breaker.admits(NOW), Admission::Nothing(NOW.plus_ms(5_000)));
    assert_eq!(breaker.admits(NOW.plus_ms(5_000)), Admission::Probe);
    breaker.learn(Attempted::Failed, NOW.plus_ms(5_000));
    assert_eq!(breaker.admits(NOW.plus_ms(5_001)), Admission::Nothing(NOW.plus_ms(15_000)));
    breaker.learn(answered(404), NOW.plus_ms(15_000));
    assert_eq!(breaker, Breaker::default());
}

#[test]
fn changes_are_opt_in_and_success_always_tells() {
    let default = Wanted::default();
    assert!(default.wants(Status::Success, 0) && default.wants(Status::Success, 3));
    assert!(
        !default.wants(Status::Pending, 0)
            && !default.wants(Status::Rejected, 0)
            && !default.wants(Status::Rejected, 1)
    );
    let changes = Wanted { changes: true, ..default };
    assert!(changes.wants(Status::Rejected, 1) && !changes.wants(Status::Rejected, 0));
}

proptest! {
    #[test]
    fn jitter_stays_within_a_tenth(attempt in 1_i64..=10, random in any::<u64>()) {
        let Next::Retry(at) = next(Attempted::Failed, attempt, NOW, random) else { panic!() };
        let base = RETRY_MS[usize::try_from(attempt).unwrap() - 1];
        let wait = at.ms() - NOW.ms();
        prop_assert!((base * 9 / 10..=base * 11 / 10).contains(&wait), "{wait} of {base}");
    }
}
