//! Caps and budgets: how much of a result a network takes in a calendar period.
//!
//! A conversion counts from the moment it is recorded as `Pending` or `Success`, in the periods of that moment. When
//! it becomes `Rejected`, the places that it took then are free again.

use serde::{Deserialize, Serialize};

use crate::conversion::Reason;
use crate::id::EventId;
use crate::money::{Currency, Money, Rate};
use crate::offer::{Offer, Results, Terms};
use crate::period::Period;
use crate::time::Timestamp;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Conversions.
    Conversions,
    /// Tracked revenue, in micro-units of the offer's currency.
    Revenue,
}

/// One limit. A cap is at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limit {
    /// Of what.
    pub measure: Measure,
    /// In which period.
    pub period: Period,
    /// How much.
    pub most: i64,
}

impl Limit {
    /// How much is used of it, in words.
    fn told(&self, used: i64, currency: Currency) -> String {
        let period = match self.period {
            Period::Total => "in total".to_owned(),
            period => format!("a {period}"),
        };
        let plain = |micros| Money { micros, currency }.plain();
        match self.measure {
            Measure::Conversions => format!("{used} of {} conversions {period}", self.most),
            Measure::Revenue => {
                format!("{} of {} {currency} revenue {period}", plain(used), plain(self.most))
            }
        }
    }
}

/// What a period has taken so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Conversions that count.
    pub conversions: i64,
    /// Their revenue in the offer's currency, in micro-units.
    pub revenue_micros: i64,
}

impl Tally {
    fn of(self, measure: Measure) -> i64 {
        match measure {
            Measure::Conversions => self.conversions,
            Measure::Revenue => self.revenue_micros,
        }
    }

    /// This tally with one conversion more.
    pub fn plus(self, revenue_micros: i64) -> Self {
        Self {
            conversions: self.conversions + 1,
            revenue_micros: self.revenue_micros.saturating_add(revenue_micros),
        }
    }
}

/// A limit that leaves no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted {
    /// The limit.
    pub limit: Limit,
    /// What is taken.
    pub used: i64,
    /// When there is room again; none for a total.
    pub until: Option<Timestamp>,
}

impl Exhausted {
    /// How much is used, in words.
    pub fn told(&self, currency: Currency) -> String {
        self.limit.told(self.used, currency)
    }

    /// Why a conversion is rejected.
    pub const fn reason(&self) -> Reason {
        match self.limit.measure {
            Measure::Conversions => Reason::Capped,
            Measure::Revenue => Reason::OverBudget,
        }
    }
}

/// What the current periods of a result, or of a whole offer, have taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken([Tally; Period::ALL.len()]);

impl Taken {
    /// What one period has taken.
    pub fn of(&self, period: Period) -> Tally {
        self.0[period as usize]
    }

    /// Sets what one period has taken.
    pub fn set(&mut self, period: Period, tally: Tally) {
        self.0[period as usize] = tally;
    }
}

/// The first limit that has no room for one more conversion of `revenue_micros`, at `at`.
pub fn exhausted(limits: &[Limit], taken: &Taken, revenue_micros: i64, at: Timestamp) -> Option<Exhausted> {
    limits.iter().find_map(|limit| {
        let tally = taken.of(limit.period);
        let full = tally.plus(revenue_micros).of(limit.measure) > limit.most;
        full.then(|| Exhausted { limit: *limit, used: tally.of(limit.measure), until: limit.period.end(at) })
    })
}

/// What is taken of each limit, in words: `12 of 50 conversions a day`, `3.50 of 100.00 USD revenue in total`.
pub fn told(limits: &[Limit], taken: &Taken, currency: Currency) -> Vec<String> {
    let used = |limit: &Limit| taken.of(limit.period).of(limit.measure);
    limits.iter().map(|limit| limit.told(used(limit), currency)).collect()
}

/// Whether a click still has a chance, before its conversion's revenue is known: a budget is open while anything of
/// it is left, or, where the revenue is fixed, while one conversion fits.
pub fn closed(
    limits: &[Limit],
    taken: &Taken,
    fixed_revenue_micros: Option<i64>,
    at: Timestamp,
) -> Option<Exhausted> {
    exhausted(limits, taken, fixed_revenue_micros.unwrap_or(1), at)
}

/// The limit that leaves an offer no room for a click, by what each result has taken. An offer of several events has
/// room as long as one of them has.
pub fn of_offer(offer: &Offer, now: Timestamp, taken: impl Fn(EventId) -> Taken) -> Option<Exhausted> {
    let whole = taken(EventId::NONE);
    let over_budget = |terms: &Terms| closed(&offer.rules.budgets, &whole, fixed(terms), now);
    let capped = |event, terms: &Terms| closed(&terms.caps, &taken(event), fixed(terms), now);
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
