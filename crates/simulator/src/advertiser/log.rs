//! What the advertiser remembers: the last visits and the last postbacks, newest first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::postback::{Answer, Postback};
use crate::clock;
use crate::query::Pair;

/// How many visits, and how many postbacks, are kept.
const KEEP: usize = 200;

#[derive(Default)]
pub(super) struct Log {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    last_number: u64,
    visits: VecDeque<Visit>,
    postbacks: VecDeque<Arc<Postback>>,
}

/// Somebody on a landing page; the same query again is the same visit.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) offer: String,
    pub(super) query: String,
    pub(super) last_at_ms: i64,
    pub(super) times: u64,
}

/// What is known of a postback before it has a number and a time.
pub(super) struct Sent {
    pub(super) offer: String,
    pub(super) landing_query: String,
    pub(super) base: String,
    pub(super) parameters: Vec<Pair>,
    pub(super) repeats: Option<u64>,
    pub(super) at_ms: i64,
    pub(super) answer: Answer,
}

impl Log {
    pub(super) fn visit(&self, offer: &str, query: &str) {
        let mut kept = self.kept();
        let known = kept.visits.iter().position(|at| at.offer == offer && at.query == query);
        let times = known.and_then(|at| kept.visits.remove(at)).map_or(0, |visit| visit.times);
        kept.visits.push_front(Visit {
            offer: offer.to_owned(),
            query: query.to_owned(),
            last_at_ms: clock::now_ms(),
            times: times + 1,
        });
        kept.visits.truncate(KEEP);
    }

    /// Keeps the postback and answers its number.
    pub(super) fn postback(&self, sent: Sent) -> u64 {
        let mut kept = self.kept();
        kept.last_number += 1;
        let number = kept.last_number;
        kept.postbacks.push_front(Arc::new(Postback {
            number,
            at_ms: sent.at_ms,
            offer: sent.offer,
            landing_query: sent.landing_query,
            base: sent.base,
            parameters: sent.parameters,
            repeats: sent.repeats,
            answer: sent.answer,
        }));
        kept.postbacks.truncate(KEEP);
        number
    }

    pub(super) fn visits(&self) -> Vec<Visit> {
        self.kept().visits.iter().cloned().collect()
    }

    pub(super) fn postbacks(&self) -> Vec<Arc<Postback>> {
        self.kept().postbacks.iter().cloned().collect()
    }

    /// A lock whose holder panicked still holds whole entries only.
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{KEEP, Log};

    #[test]
    fn the_log_is_bounded_and_newest_first() {
        let log = Log::default();
        for at in 0..KEEP + 5 {
            log.visit("offer", &format!("click_id={at}"));
        }
        let visits = log.visits();
        assert_eq!(visits.len(), KEEP);
        assert_eq!(visits[0].query, format!("click_id={}", KEEP + 4));
    }

    #[test]
    fn the_same_visit_again_is_counted_once() {
        let log = Log::default();
        log.visit("offer", "click_id=1");
        log.visit("offer", "click_id=2");
        log.visit("offer", "click_id=1");
        let visits: Vec<_> = log.visits().into_iter().map(|at| (at.query, at.times)).collect();
        assert_eq!(visits, [("click_id=1".to_owned(), 2), ("click_id=2".to_owned(), 1)]);
    }
}
