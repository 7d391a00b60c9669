//! A delivery: one message to one partner postback, tried until it arrives or its schedule ends.

use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Timestamp};

codes! {
    /// Where a delivery stands.
    DeliveryState, "delivery state" {
        /// Waits for its next attempt.
        Pending => "pending",
        /// Arrived.
        Delivered => "delivered",
        /// Given up; kept for replay.
        Dead => "dead",
    }
}

codes! {
    /// Why a delivery exists.
    Origin, "delivery origin" {
        /// A conversion came or changed.
        Live => "live",
        /// The postback was added later and filled in.
        Backfill => "backfill",
    }
}

/// How long to wait before retry 1, 2, …; after the last one a delivery is dead.
pub const RETRY_MS: [i64; 10] = [
    5 * SECOND_MS,
    MINUTE_MS,
    5 * MINUTE_MS,
    30 * MINUTE_MS,
    2 * HOUR_MS,
    5 * HOUR_MS,
    10 * HOUR_MS,
    14 * HOUR_MS,
    20 * HOUR_MS,
    DAY_MS,
];

/// An endpoint's `Retry-After` is obeyed up to this.
pub const MAX_RETRY_AFTER_MS: i64 = DAY_MS;

/// How an attempt ended, as far as the schedule cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempted {
    /// Answered with this status, and perhaps with the seconds of a `Retry-After`.
    Answered {
        /// HTTP status.
        status: u16,
        /// Seconds asked for by `Retry-After`.
        retry_after_s: Option<i64>,
    },
    /// Never sent, because the address is not allowed.
    Refused,
    /// No answer: timeout, connection, TLS, DNS.
    Failed,
}

impl Attempted {
    /// Whether the endpoint works. One that answers at all, even with 404, does; one that does not answer, answers 5xx
    /// or 429 does not. An address that we refuse says nothing against it.
    pub fn is_healthy(self) -> bool {
        match self {
            Self::Answered { status, .. } => status < 500 && status != 429,
            Self::Refused => true,
            Self::Failed => false,
        }
    }
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Done.
    Delivered,
    /// Try again at this time.
    Retry(Timestamp),
    /// Give up; keep for replay.
    Dead,
    /// Give up and switch the postback off: the endpoint said that it is gone for good.
    Disable,
}

/// Decides what follows from attempt number `attempt` (1 for the first), finished at `now`. `random` spreads
/// the retries of many deliveries by ±10 %.
pub fn next(attempted: Attempted, attempt: i64, now: Timestamp, random: u64) -> Next {
    let retry_after_s = match attempted {
        Attempted::Answered { status: 200..=299, .. } => return Next::Delivered,
        Attempted::Answered { status: 410, .. } => return Next::Disable,
        Attempted::Answered { retry_after_s, .. } => retry_after_s,
        Attempted::Refused | Attempted::Failed => None,
    };
    let at = usize::try_from(attempt - 1).unwrap_or(0);
    let Some(base_ms) = RETRY_MS.get(at) else { return Next::Dead };
    let asked_ms = retry_after_s.unwrap_or(0).clamp(0, MAX_RETRY_AFTER_MS / SECOND_MS) * SECOND_MS;
    let per_mille = i64::try_from(random % 201).unwrap_or(100) + 900;
    let jittered_ms = base_ms * per_mille / 1_000;
    // An endpoint that asks for more time gets it, and never less than the schedule.
    Next::Retry(now.plus_ms(jittered_ms.max(asked_ms)))
}

/// Failures in a row that open a breaker.
pub const BREAKER_FAILURES: u32 = 5;
/// How long a breaker stays open at first; doubled by every failed probe.
pub const BREAKER_FIRST_MS: i64 = 5 * SECOND_MS;
/// How long a breaker stays open at most.
pub const BREAKER_LONGEST_MS: i64 = 5 * MINUTE_MS;

/// Protects one endpoint, and us from it: after several failures in a row nothing is sent for a while, then
/// one delivery goes ahead to see. Waiting for it costs a delivery none of its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Breaker {
    failures: u32,
    open_until: Option<Timestamp>,
}

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Everything.
    All,
    /// One delivery, to see whether the endpoint is back.
    Probe,
    /// Nothing before this time.
    Nothing(Timestamp),
}

impl Breaker {
    /// Until when nothing is sent; none while it is closed.
    pub fn open_until(&self) -> Option<Timestamp> {
        self.open_until
    }

    /// What may be sent at `now`.
    pub fn admits(&self, now: Timestamp) -> Admission {
        match self.open_until {
            None => Admission::All,
            Some(until) if now < until => Admission::Nothing(until),
            Some(_) => Admission::Probe,
        }
    }

    /// Learns how an attempt ended.
    pub fn learn(&mut self, attempted: Attempted, now: Timestamp) {
        if attempted.is_healthy() {
            *self = Self::default();
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= BREAKER_FAILURES {
            let doublings = (self.failures - BREAKER_FAILURES).min(10);
            let pause_ms = (BREAKER_FIRST_MS << doublings).min(BREAKER_LONGEST_MS);
            self.open_until = Some(now.plus_ms(pause_ms));
        }
    }
}
