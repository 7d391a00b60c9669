//! What offers and events have taken of their caps and budgets, in memory.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use domain::cap::{self, Exhausted, Taken, Tally};
use domain::id::{EventId, OfferId};
use domain::money::Rate;
use domain::offer::{Offer, Results, Terms};
use domain::period::Period;
use domain::time::Timestamp;

use crate::tally::Written;

/// The newest tally of every limited result. One read lock for a click on a limited offer, none for others.
#[derive(Debug, Default)]
pub struct Tallies(RwLock<HashMap<(OfferId, EventId, Period), (Timestamp, Tally)>>);

impl Tallies {
    /// The cap or budget that leaves an offer no room: a budget, or the caps of all its results.
    pub fn closed(&self, offer: &Offer, now: Timestamp) -> Option<Exhausted> {
        is_limited(offer).then(|| closed(offer, now, |event| self.taken(offer.id, event, now))).flatten()
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

    fn taken(&self, offer: OfferId, event: EventId, now: Timestamp) -> Taken {
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

/// The limit that leaves an offer no room for a click, by what each result has taken. An offer of several events has
/// room as long as one of them has.
pub(crate) fn closed(offer: &Offer, now: Timestamp, taken: impl Fn(EventId) -> Taken) -> Option<Exhausted> {
    let whole = taken(EventId::NONE);
    let over_budget = |terms: &Terms| cap::closed(&offer.rules.budgets, &whole, fixed(terms), now);
    let capped = |event, terms: &Terms| cap::closed(&terms.caps, &taken(event), fixed(terms), now);
    match &offer.results {
        Results::Single(terms) => capped(EventId::NONE, terms).or_else(|| over_budget(terms)),
        Results::Multi(events) => {
            let mut soonest: Option<Exhausted> = None;
            for event in events {
                let full = capped(event.id, &event.terms).or_else(|| over_budget(&event.terms))?;
                let sooner = |known: Exhausted| opens_at(full) < opens_at(known);
                if soonest.is_none_or(sooner) {
                    soonest = Some(full);
                }
            }
            soonest
        }
    }
}

/// When there is room again, for comparing: a total has it last.
fn opens_at(full: Exhausted) -> i64 {
    full.until.map_or(i64::MAX, Timestamp::ms)
}

fn fixed(terms: &Terms) -> Option<i64> {
    match terms.revenue {
        Rate::Flat(micros) => Some(micros),
        Rate::Share(_) => None,
    }
}
