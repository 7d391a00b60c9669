//! How much an endpoint is given at once: little at first, more as long as it answers.
//!
//! An endpoint that hangs holds what it was given until it is given up. Were that the whole share of an endpoint, a few
//! hundred of them would hold every place there is; so everybody begins small, and doubles with each round of answers.

use std::time::{Duration, Instant};

/// Requests under way to an endpoint that has shown nothing yet.
const FIRST: usize = 4;

/// Deliveries claimed in one write at most.
const MOST_CLAIMED: usize = 256;

/// A batch that was sent within this time may be followed by a larger one.
const SOON: Duration = Duration::from_millis(250);

/// The pace of one endpoint.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Requests under way that it may ever have.
    most: usize,
    window: usize,
    /// How many were claimed last, and when.
    claimed: Option<(usize, Instant)>,
}

impl Pace {
    /// The pace of an endpoint that may have `most` requests under way.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, window: most.min(FIRST), claimed: None }
    }

    /// Requests that may be under way.
    pub(crate) fn window(&self) -> usize {
        self.window
    }

    /// Learns whether the endpoint took a request as one that works does.
    pub(crate) fn learn(&mut self, healthy: bool) {
        self.window = if healthy { self.most.min(self.window + 1) } else { 1.max(self.window / 2) };
    }

    /// How many to claim at `now`, when next to nothing is left of what was claimed before: as many as go out soon,
    /// because what is held waits for nobody else.
    pub(crate) fn claim(&mut self, now: Instant) -> usize {
        let soon = |(_, at): &(usize, Instant)| now.saturating_duration_since(*at) < SOON;
        let larger = self.claimed.filter(soon).map_or(0, |(last, _)| (2 * last).min(MOST_CLAIMED));
        let count = larger.max(self.window);
        self.claimed = Some((count, now));
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pace of an endpoint that has answered for a while, and now.
    fn warm() -> (Pace, Instant) {
        let mut pace = Pace::new(32);
        (0..100).for_each(|_| pace.learn(true));
        (pace, Instant::now())
    }

    #[test]
    fn an_endpoint_begins_small_and_grows_as_it_answers() {
        let mut pace = Pace::new(32);
        assert_eq!(pace.window(), 4);
        (0..4).for_each(|_| pace.learn(true));
        assert_eq!(pace.window(), 8);
        (0..100).for_each(|_| pace.learn(true));
        assert_eq!(pace.window(), 32);
        (0..3).for_each(|_| pace.learn(false));
        assert_eq!(pace.window(), 4);
        (0..9).for_each(|_| pace.learn(false));
        assert_eq!(pace.window(), 1, "never nothing");
    }

    #[test]
    fn what_goes_out_soon_is_claimed_in_larger_batches() {
        let (mut pace, now) = warm();
        let claims: Vec<usize> = (0..5).map(|_| pace.claim(now)).collect();
        assert_eq!(claims, [32, 64, 128, 256, 256]);
        assert_eq!(pace.claim(now + SOON), 32, "and what does not is not held for long");
    }

    #[test]
    fn the_operators_bound_counts() {
        assert_eq!(Pace::new(2).window(), 2);
    }
}
