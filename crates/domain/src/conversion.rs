//! A conversion: what an advertiser's postback becomes. Once per member per offer and event; the same
//! postback any number of times is one conversion.

use std::collections::BTreeMap;

use crate::cap::{self, Exhausted, Taken};
use crate::id::{ClickId, ConversionId, EventId, LinkId, NetworkId, OfferId, PartnerId};
use crate::inbound::{Answer, Postback, Refusal};
use crate::money::Money;
use crate::offer::{Approval, Offer, OfferStatus, Results, Terms};
use crate::sequence::{self, Turn};
use crate::time::{DAY_MS, Timestamp};

codes! {
    /// Where a conversion stands.
    Status, "conversion status" {
        /// Waits.
        Pending => "Pending",
        /// Counts and pays.
        Success => "Success",
        /// Does not count.
        Rejected => "Rejected",
    }
}

impl Status {
    /// The status that an advertiser's `cnv_status` means.
    pub fn from_wire(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "success" | "approved" | "1" => Some(Self::Success),
            "pending" | "2" => Some(Self::Pending),
            "rejected" | "reversed" | "3" => Some(Self::Rejected),
            _ => None,
        }
    }

    /// Whether a conversion in this status holds its member's place.
    pub const fn holds_place(self) -> bool {
        matches!(self, Self::Pending | Self::Success)
    }
}

codes! {
    /// Why a conversion is rejected.
    Reason, "rejection reason" {
        /// The postback came from an address that is not on the advertiser's list.
        IpNotAllowed => "ip_not_allowed",
        /// The advertiser said so.
        AdvertiserRejected => "advertiser_rejected",
        /// Another conversion holds the member's place.
        MemberAlreadyCompleted => "member_already_completed",
        /// The click was refused, so it led nobody to the advertiser.
        ClickRefused => "click_refused",
        /// Later than the attribution window.
        TooLate => "too_late",
        /// Sooner than the offer allows.
        TooFast => "too_fast",
        /// A cap is reached.
        Capped => "capped",
        /// A budget is spent.
        OverBudget => "over_budget",
        /// An event came before the one that it follows.
        OutOfSequence => "out_of_sequence",
        /// The click's `pub_click_id` was already used by another click.
        PubClickIdReused => "pub_click_id_reused",
        /// The offer is over.
        OfferEnded => "offer_ended",
        /// The network's staff said so.
        StaffRejected => "staff_rejected",
    }
}

/// A conversion that is already stored, as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// Its id.
    pub id: ConversionId,
    /// The click that it came from.
    pub click: ClickId,
    /// Its status.
    pub status: Status,
    /// Why it is rejected.
    pub reason: Option<Reason>,
    /// The conversion that it lost its place to.
    pub winner: Option<ConversionId>,
    /// The sale's amount.
    pub amount: Option<Money>,
    /// How often its status has changed; 0 for a fresh one.
    pub version: i64,
}

/// What is already stored that a postback may be a copy of, or lose to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// The conversion with the same idempotency key.
    pub same_key: Option<Existing>,
    /// The first conversion of the same click and event that was not refused for its sender's address.
    pub same_click: Option<Existing>,
    /// The conversion that holds the member's place.
    pub holder: Option<ConversionId>,
    /// What the event has taken of its caps.
    pub event_taken: Taken,
    /// What the whole offer has taken of its budgets.
    pub offer_taken: Taken,
    /// When the event before this one came for this click; on an event that has one.
    pub previous: Option<Timestamp>,
}

/// Facts about the arrival of a postback that its parameters do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: Timestamp,
    /// Whether the sender's address is allowed.
    pub address_allowed: bool,
    /// Whether the click had been sent on to the advertiser.
    pub click_sent_on: bool,
    /// Whether the click's `pub_click_id` had come before, on an offer that refuses that.
    pub click_reused: bool,
}

/// The event and terms that a postback is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'o> {
    /// The event; [`EventId::NONE`] on single-event offers.
    pub event: EventId,
    /// Its code; empty on single-event offers.
    pub event_code: &'o str,
    /// Its terms.
    pub terms: &'o Terms,
    /// Whether no event of the offer comes before it.
    pub first: bool,
    /// The sale's amount.
    pub amount: Option<Money>,
}

/// Finds the event and amount of a postback, or says what is missing.
pub fn target<'o>(offer: &'o Offer, postback: &Postback) -> Result<Target<'o>, Refusal> {
    let (event, event_code, terms) = match (&offer.results, postback.event_code.as_deref()) {
        // An event id on a single-event offer is the advertiser's own business: its tracker sends it
        // everywhere.
        (Results::Single(terms), _) => (EventId::NONE, "", terms),
        (Results::Multi(_), None) => {
            let message = "cnv_event_id is required, because this offer has several events";
            return Err(Refusal::new(Answer::EventUnknown, message));
        }
        (Results::Multi(_), Some(code)) => {
            let Some(event) = offer.event(code) else {
                let message =
                    format!("cnv_event_id `{code}` is not an event of this offer; events are case-sensitive");
                return Err(Refusal::new(Answer::EventUnknown, message));
            };
            (event.id, event.code.as_str(), &event.terms)
        }
    };
    let amount = postback.amount(offer.currency);
    if amount.is_none() && offer.conversion_kind == crate::offer::ConversionKind::RevShare {
        let message = "cnv_amount is required, because this offer pays a share of the sale";
        return Err(Refusal::new(Answer::AmountMalformed, message));
    }
    let first = offer.predecessor(terms).is_none();
    Ok(Target { event, event_code, terms, first, amount })
}

/// The key under which copies of one postback find each other, within its offer and event.
///
/// The advertiser's own id when it sends one, else the click. A postback from an address that is not allowed
/// lives under a key of its own, so that a forged one never stands in the way of the true one.
pub fn idempotency_key(postback: &Postback, arrival: &Arrival, sender: &str) -> String {
    let key = match &postback.advertiser_key {
        Some(id) => format!("id:{id}"),
        None => format!("click:{}", postback.click),
    };
    if arrival.address_allowed { key } else { format!("from:{sender}|{key}") }
}

/// What to do with a postback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Record a new conversion.
    Record(Fresh),
    /// Nothing: it is already there.
    Duplicate(Existing),
    /// Change the status of one that is there.
    Update(Existing, Change),
    /// Refuse: the same key with other facts.
    Conflict(Existing, &'static str),
}

/// A conversion to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// Its status.
    pub status: Status,
    /// Why it is rejected.
    pub reason: Option<Reason>,
    /// The conversion that it lost its place to.
    pub winner: Option<ConversionId>,
    /// What it is worth to the network. Only a conversion in `Success` is paid for; a rejected one keeps its
    /// worth so that approving it later needs no guess.
    pub revenue: Money,
    /// What it is worth to the partner, under the same rule.
    pub payout: Money,
    /// Whether it holds its member's place.
    pub holds_place: bool,
    /// Whether it counts towards caps and budgets.
    pub counts: bool,
    /// What it waits for by itself.
    pub waits: Option<Wait>,
}

/// A change of status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The new status.
    pub to: Status,
    /// Why it is rejected.
    pub reason: Option<Reason>,
    /// What it waits for by itself from now on.
    pub waits: Option<Wait>,
}

/// Decides what a postback becomes.
pub fn decide(
    offer: &Offer,
    target: &Target<'_>,
    postback: &Postback,
    arrival: &Arrival,
    known: &Known,
) -> Decision {
    if let Some(existing) = &known.same_key {
        return meet(existing, target, postback);
    }
    // Without an id of its own, a postback of a click that already converted for this event is a copy of
    // that.
    if let (None, Some(existing), true) =
        (&postback.advertiser_key, &known.same_click, arrival.address_allowed)
    {
        return meet(existing, target, postback);
    }
    Decision::Record(fresh(offer, target, postback, arrival, known))
}

/// A postback meets the conversion that it is a copy of.
fn meet(existing: &Existing, target: &Target<'_>, postback: &Postback) -> Decision {
    if existing.click != postback.click {
        return Decision::Conflict(existing.clone(), "gk_click_id");
    }
    let keyed = postback.advertiser_key.is_some();
    if keyed && target.amount.is_some() && existing.amount.is_some() && target.amount != existing.amount {
        return Decision::Conflict(existing.clone(), "cnv_amount");
    }
    match advance(existing, postback.status, target.terms) {
        Some(change) => Decision::Update(existing.clone(), change),
        None => Decision::Duplicate(existing.clone()),
    }
}

/// An advertiser's word moves a status only forwards: Pending, Success, Rejected. So the copies of a sequence
/// of postbacks end in the same status whatever their order; going back is the network's decision.
fn advance(existing: &Existing, asked: Option<Status>, terms: &Terms) -> Option<Change> {
    match (existing.status, asked?) {
        (Status::Pending, Status::Success)
            if initial(terms, None, existing.click.at()).0 == Status::Success =>
        {
            Some(Change { to: Status::Success, reason: None, waits: None })
        }
        (Status::Pending | Status::Success, Status::Rejected) => {
            Some(Change { to: Status::Rejected, reason: Some(Reason::AdvertiserRejected), waits: None })
        }
        _ => None,
    }
}

fn fresh(offer: &Offer, target: &Target<'_>, postback: &Postback, arrival: &Arrival, known: &Known) -> Fresh {
    let terms = offer.terms_at(target.event, target.terms, postback.click.at());
    let revenue = terms.revenue.of(target.amount, offer.currency);
    let payout = terms.payout.of(target.amount, offer.currency);
    let turn = sequence::turn(terms.order, target.first, known.previous, postback.click.at(), arrival.at);
    let reason = unacceptable(offer, postback, arrival)
        .or(match turn {
            Turn::Not(reason) => Some(reason),
            Turn::Now | Turn::Waits(_) => None,
        })
        .or_else(|| (!terms.repeats && known.holder.is_some()).then_some(Reason::MemberAlreadyCompleted))
        .or_else(|| room(offer, &terms, known, revenue, arrival.at).map(|full| full.reason()));
    let lost = reason == Some(Reason::MemberAlreadyCompleted);
    let (status, waits) = match (reason, turn) {
        (Some(_), _) => (Status::Rejected, None),
        (None, Turn::Waits(until)) => (Status::Pending, Some(Wait { until, what: Waiting::Predecessor })),
        (None, _) => initial(&terms, postback.status, arrival.at),
    };
    let accepted = reason.is_none();
    Fresh {
        status,
        reason,
        winner: known.holder.filter(|_| lost),
        revenue,
        payout,
        holds_place: accepted && !terms.repeats,
        counts: accepted,
        waits,
    }
}

/// What rules a postback out whatever else is known, in the order in which an advertiser would ask.
fn unacceptable(offer: &Offer, postback: &Postback, arrival: &Arrival) -> Option<Reason> {
    let age_ms = arrival.at.ms().saturating_sub(postback.click.at().ms());
    let over = offer.status_at(arrival.at) == OfferStatus::Expired
        || offer.expires.is_some_and(|end| arrival.at >= end);
    let rules = [
        (!arrival.address_allowed, Reason::IpNotAllowed),
        (!arrival.click_sent_on, Reason::ClickRefused),
        (arrival.click_reused, Reason::PubClickIdReused),
        (age_ms < offer.rules.min_conversion_ms, Reason::TooFast),
        (age_ms > offer.attribution_window_ms, Reason::TooLate),
        (over && !offer.rules.late_conversions, Reason::OfferEnded),
        (postback.status == Some(Status::Rejected), Reason::AdvertiserRejected),
    ];
    rules.into_iter().find_map(|(broken, reason)| broken.then_some(reason))
}

/// The cap or budget that leaves no room. A sale in another currency than the offer's is not added to its budget.
fn room(offer: &Offer, terms: &Terms, known: &Known, revenue: Money, at: Timestamp) -> Option<Exhausted> {
    let counted = if revenue.currency == offer.currency { revenue.micros } else { 0 };
    cap::exhausted(&terms.caps, &known.event_taken, counted, at)
        .or_else(|| cap::exhausted(&offer.rules.budgets, &known.offer_taken, counted, at))
}

/// The first status of an accepted conversion: the offer's rule, unless the advertiser itself says `Pending`.
fn initial(terms: &Terms, asked: Option<Status>, at: Timestamp) -> (Status, Option<Wait>) {
    let days_ms = terms.pending_days * DAY_MS;
    match (terms.approval, asked) {
        (Approval::Automatic, Some(Status::Pending)) | (Approval::Manual, _) => (Status::Pending, None),
        (Approval::Automatic, _) if days_ms == 0 => (Status::Success, None),
        (Approval::Automatic, _) => {
            (Status::Pending, Some(Wait { until: at.plus_ms(days_ms), what: Waiting::Approval }))
        }
    }
}

/// What becomes of a conversion whose waiting is over at `at`: it is approved, or its predecessor came (`came`) and
/// its own terms decide, or it never came.
pub fn waited(wait: Wait, came: bool, terms: &Terms, at: Timestamp) -> Change {
    match (wait.what, came) {
        (Waiting::Approval, _) => Change { to: Status::Success, reason: None, waits: None },
        (Waiting::Predecessor, true) => {
            let (to, waits) = initial(terms, None, at);
            Change { to, reason: None, waits }
        }
        (Waiting::Predecessor, false) => {
            Change { to: Status::Rejected, reason: Some(Reason::OutOfSequence), waits: None }
        }
    }
}

codes! {
    /// What a pending conversion waits for.
    Waiting, "wait" {
        /// The end of its pending time; then it is a success.
        Approval => "approval",
        /// The event before it; without it, it is rejected.
        Predecessor => "predecessor",
    }
}

/// Until when a pending conversion waits by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Until when.
    pub until: Timestamp,
    /// For what.
    pub what: Waiting,
}

/// A conversion as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// Its id.
    pub id: ConversionId,
    /// Its network.
    pub network: NetworkId,
    /// Its offer.
    pub offer: OfferId,
    /// Its event; [`EventId::NONE`] on single-event offers.
    pub event: EventId,
    /// The event's code; empty on single-event offers.
    pub event_code: String,
    /// The partner that sent the member.
    pub partner: PartnerId,
    /// The link that was followed.
    pub link: LinkId,
    /// The click that it came from.
    pub click: ClickId,
    /// The partner's click id.
    pub pub_click_id: String,
    /// The partner's member id.
    pub pub_member_id: String,
    /// The key under which copies find it, see [`idempotency_key`].
    pub idempotency_key: String,
    /// The advertiser's own id of it.
    pub advertiser_key: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// Why it is rejected.
    pub reason: Option<Reason>,
    /// The conversion that it lost its place to.
    pub winner: Option<ConversionId>,
    /// Whether it holds its member's place.
    pub holds_place: bool,
    /// What it is worth to the network.
    pub revenue: Money,
    /// What it is worth to the partner.
    pub payout: Money,
    /// The sale's amount.
    pub amount: Option<Money>,
    /// The address that reported it.
    pub address: String,
    /// The advertiser's other parameters.
    pub kept: BTreeMap<String, String>,
    /// When it was recorded.
    pub received: Timestamp,
    /// When it came to its status.
    pub changed: Timestamp,
    /// How often its status has changed.
    pub version: i64,
    /// What it waits for by itself.
    pub waits: Option<Wait>,
}

impl Conversion {
    /// What the partner is told that it gets: nothing for a rejected one.
    pub fn told_payout(&self) -> Money {
        if self.status == Status::Rejected { Money::zero(self.payout.currency) } else { self.payout }
    }

    /// The part of it that the rules look at when another postback meets it.
    pub fn existing(&self) -> Existing {
        Existing {
            id: self.id,
            click: self.click,
            status: self.status,
            reason: self.reason,
            winner: self.winner,
            amount: self.amount,
            version: self.version,
        }
    }
}
