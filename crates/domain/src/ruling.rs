//! A ruling: the network's staff says where a conversion stands. Any status may follow any other at any time; only a
//! member's place that somebody else holds stands in the way. Caps and budgets refuse staff nothing, but it is told.

use crate::cap::{self, Exhausted, Limit, Taken};
use crate::conversion::{Conversion, Reason, Status};
use crate::id::ConversionId;
use crate::offer::Offer;
use crate::time::Timestamp;

/// What is stored beside the conversion that a ruling depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// The conversion that holds the member's place, perhaps this one.
    pub holder: Option<ConversionId>,
    /// What the event has taken of its caps in the periods of now.
    pub event_taken: Taken,
    /// What the whole offer has taken of its budgets in the periods of now.
    pub offer_taken: Taken,
}

/// What becomes of a ruling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// The conversion stands there already.
    Unchanged,
    /// The member's place is taken by this conversion; reject that one first.
    PlaceTaken(ConversionId),
    /// The status changes. The conversion waits for nothing by itself any more, and has lost to nobody.
    Changed(Ruled),
}

/// A change of status by staff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruled {
    /// The new status.
    pub to: Status,
    /// Why it is rejected.
    pub reason: Option<Reason>,
    /// Whether it holds its member's place from now on.
    pub holds_place: bool,
    /// The cap or budget that this goes over.
    pub over: Option<Exhausted>,
}

/// Decides about a staff's word on a conversion of `offer`, said at `now`.
pub fn rule(offer: &Offer, conversion: &Conversion, to: Status, known: &Known, now: Timestamp) -> Ruling {
    if conversion.status == to {
        return Ruling::Unchanged;
    }
    let approves = conversion.status == Status::Rejected;
    let holds_place = match (to, approves) {
        (Status::Rejected, _) => false,
        // What counts already keeps the place that it has, or had no need of; what comes back needs one.
        (_, false) => conversion.holds_place,
        (_, true) => !conversion.test && offer.terms(conversion.event).is_none_or(|terms| !terms.repeats),
    };
    let other = known.holder.filter(|holder| *holder != conversion.id);
    if let (true, true, Some(winner)) = (approves, holds_place, other) {
        return Ruling::PlaceTaken(winner);
    }
    Ruling::Changed(Ruled {
        to,
        reason: (to == Status::Rejected).then_some(Reason::StaffRejected),
        holds_place,
        over: if approves && !conversion.test { over(offer, conversion, known, now) } else { None },
    })
}

/// The cap or budget of a period that is not over which one more conversion goes over.
fn over(offer: &Offer, conversion: &Conversion, known: &Known, now: Timestamp) -> Option<Exhausted> {
    let (revenue, at) = (conversion.revenue, conversion.received);
    let counted = if revenue.currency == offer.currency { revenue.micros } else { 0 };
    let open = |limits: &[Limit]| -> Vec<Limit> {
        limits.iter().filter(|limit| limit.period.start(at) == limit.period.start(now)).copied().collect()
    };
    let caps = offer.terms(conversion.event).map(|terms| open(&terms.caps)).unwrap_or_default();
    cap::exhausted(&caps, &known.event_taken, counted, now)
        .or_else(|| cap::exhausted(&open(&offer.rules.budgets), &known.offer_taken, counted, now))
}
