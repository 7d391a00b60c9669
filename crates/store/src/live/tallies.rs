//! What offers and events have taken of their caps and budgets, in memory.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use domain::cap::{self, Exhausted, Taken, Tally};
use domain::id::{EventId, OfferId};
use domain::offer::{Offer, Results};
use domain::period::Period;
use domain::time::Timestamp;

use crate::tally::Written;

/// The newest tally of every limited result. One read lock for a click on a limited offer, none for others.
#[derive(Debug, Default)]
pub struct Tallies(RwLock<HashMap<Counted, (Timestamp, Tally)>>);

/// Whose tally, and of which kind of period.
type Counted = (OfferId, EventId, Period);

impl Tallies {
    /// The cap or budget that leaves an offer no room: a budget, or the caps of all its results.
    pub fn closed(&self, offer: &Offer, now: Timestamp) -> Option<Exhausted> {
        is_limited(offer)
            .then(|| cap::of_offer(offer, now, |event| self.taken(offer.id, event, now)))
            .flatten()
    }

    pub(super) fn set(&self, written: &Written) {
        let key = (written.offer, written.event, written.period);
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(key).or_insert((written.start, written.tally));
        // A change of an earlier period, such as a late rejection, is not the current one.
        if known.0 <= written.start {
            *known = (written.start, written.tally);
        }
    }

    /// What the current periods of a result have taken; of the whole offer with [`EventId::NONE`].
    pub fn taken(&self, offer: OfferId, event: EventId, now: Timestamp) -> Taken {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Taken::default();
        for period in Period::ALL {
            let known = all.get(&(offer, event, *period)).filter(|(start, _)| *start == period.start(now));
            if let Some((_, tally)) = known {
                taken.set(*period, *tally);
            }
        }
        taken
    }
}

fn is_limited(offer: &Offer) -> bool {
    !offer.rules.budgets.is_empty()
        || match &offer.results {
            Results::Single(terms) => !terms.caps.is_empty(),
            Results::Multi(events) => events.iter().any(|event| !event.terms.caps.is_empty()),
        }
}
