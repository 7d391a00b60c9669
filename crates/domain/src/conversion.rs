//! A conversion: what an advertiser's postback becomes. Once per member per offer and event; the same
//! postback any number of times is one conversion.

use std::collections::BTreeMap;

use crate::cap::{self, Exhausted, Taken};
use crate::click::Watch;
use crate::id::{ClickId, ConversionId, EventId, LinkId, NetworkId, OfferId, PartnerId};
use crate::inbound::{Answer, Postback, Refusal};
use crate::money::{Money, Rate};
use crate::offer::{Approval, Offer, OfferStatus, Results, Terms};
use crate::sequence::{self, Turn};
use crate::time::{DAY_MS, Span, Timestamp};

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
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Arrival {
    /// When.
    pub at: Timestamp,
    /// Whether the sender's address is allowed.
    pub address_allowed: bool,
    /// Whether the click had been sent on to the advertiser.
    pub click_sent_on: bool,
    /// Whether the click's `pub_click_id` had come before, on an offer that refuses that.
    pub click_reused: bool,
    /// Whether the click is a test: everything is decided, nothing is counted.
    pub test: bool,
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
    let stated = postback.stated.revenue_micros.is_some() && postback.stated.payout_micros.is_some();
    if amount.is_none() && !stated && offer.conversion_kind == crate::offer::ConversionKind::RevShare {
        let message = "cnv_amount is required, because this offer pays a share of the sale";
        return Err(Refusal::new(Answer::AmountMalformed, message));
    }
    let first = offer.predecessor(terms).is_none();
    Ok(Target { event, event_code, terms, first, amount })
}

/// The key under which copies of one postback find each other, within its offer and event.
///
/// The advertiser's own id when it sends one, else the click. A postback from an address that is not allowed
/// lives under a key of its own, so that a forged one never stands in the way of the true one; so does that of a test.
pub fn idempotency_key(postback: &Postback, arrival: &Arrival, sender: &str) -> String {
    let key = match &postback.advertiser_key {
        Some(id) => format!("id:{id}"),
        None => format!("click:{}", postback.click),
    };
    let key = if arrival.test { format!("test|{key}") } else { key };
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

/// Decides what a postback becomes, telling `watch` of each rule up to the one that decides.
pub fn decide(
    offer: &Offer,
    target: &Target<'_>,
    postback: &Postback,
    arrival: &Arrival,
    known: &Known,
    watch: &mut impl Watch,
) -> Decision {
    // Without an id of its own, a postback of a click that already converted for this event is a copy of
    // that.
    let same_click =
        known.same_click.as_ref().filter(|_| postback.advertiser_key.is_none() && arrival.address_allowed);
    let copied = known.same_key.as_ref().or(same_click);
    watch.rule("postback is new", copied.is_none(), || match copied {
        Some(existing) => format!("it is conversion {}, {}", existing.id, existing.status),
        None => "no conversion has its key".to_owned(),
    });
    match copied {
        Some(existing) => meet(existing, target, postback),
        None => Decision::Record(fresh(offer, target, postback, arrival, known, watch)),
    }
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

fn fresh(
    offer: &Offer,
    target: &Target<'_>,
    postback: &Postback,
    arrival: &Arrival,
    known: &Known,
    watch: &mut impl Watch,
) -> Fresh {
    let terms = offer.terms_at(target.event, target.terms, postback.click.at());
    let worth = |stated: Option<i64>, rate: Rate| match stated {
        Some(micros) => Money { micros, currency: offer.currency },
        None => rate.of(target.amount, offer.currency),
    };
    let revenue = worth(postback.stated.revenue_micros, terms.revenue);
    let payout = worth(postback.stated.payout_micros, terms.payout);
    let turn = sequence::turn(terms.order, target.first, known.previous, postback.click.at(), arrival.at);
    let reason = unacceptable(offer, postback, arrival, watch)
        .or_else(|| out_of_turn(&terms, target, known, turn, watch))
        .or_else(|| place_taken(&terms, known, watch))
        .or_else(|| no_room(offer, &terms, known, revenue, arrival, watch));
    let lost = reason == Some(Reason::MemberAlreadyCompleted);
    let (status, waits) = match (reason, turn) {
        (Some(_), _) => (Status::Rejected, None),
        (None, Turn::Waits(until)) => (Status::Pending, Some(Wait { until, what: Waiting::Predecessor })),
        (None, _) => initial(&terms, postback.status, arrival.at),
    };
    if reason.is_none() {
        watch.rule("approval", true, || approval(&terms, status, waits));
    }
    let counts = reason.is_none() && !arrival.test;
    Fresh {
        status,
        reason,
        winner: known.holder.filter(|_| lost),
        revenue,
        payout,
        holds_place: counts && !terms.repeats,
        counts,
        waits,
    }
}

/// What a rule says of itself.
type Detail<'a> = &'a dyn Fn() -> String;

/// What rules a postback out whatever else is known, in the order in which an advertiser would ask.
fn unacceptable(
    offer: &Offer,
    postback: &Postback,
    arrival: &Arrival,
    watch: &mut impl Watch,
) -> Option<Reason> {
    let age_ms = arrival.at.ms().saturating_sub(postback.click.at().ms());
    let (least_ms, most_ms) = (offer.rules.min_conversion_ms, offer.attribution_window_ms);
    let status = offer.status_at(arrival.at);
    let over = status == OfferStatus::Expired || offer.expires.is_some_and(|end| arrival.at >= end);
    let ended = over && !offer.rules.late_conversions;
    let rejects = postback.status == Some(Status::Rejected);
    let (age, least, most) = (Span(age_ms), Span(least_ms), Span(most_ms));
    let after = || format!("{age} after the click, {least} to {most} allowed");
    let asked = || postback.status.map_or_else(|| "not given".to_owned(), |asked| asked.to_string());
    let rules: [(&'static str, bool, Reason, Detail<'_>); 7] = [
        ("sender's address allowed", !arrival.address_allowed, Reason::IpNotAllowed, &|| {
            let verdict = if arrival.address_allowed { "takes" } else { "does not take" };
            format!("the advertiser's list {verdict} it")
        }),
        ("click id was new", arrival.click_reused, Reason::PubClickIdReused, &|| {
            (if arrival.click_reused { "it had come before" } else { "new, or the offer does not mind" })
                .to_owned()
        }),
        ("click was sent on", !arrival.click_sent_on, Reason::ClickRefused, &|| {
            let went = if arrival.click_sent_on { "went" } else { "did not go" };
            format!("its visitor {went} to the advertiser")
        }),
        ("not too fast", age_ms < least_ms, Reason::TooFast, &after),
        ("not too late", age_ms > most_ms, Reason::TooLate, &after),
        ("offer not over", ended, Reason::OfferEnded, &|| {
            let ends = offer.expires.map_or_else(|| "never".to_owned(), |end| end.to_string());
            let late = if offer.rules.late_conversions { "count" } else { "do not count" };
            format!("status {status}, expires {ends}; later conversions {late}")
        }),
        ("advertiser does not reject it", rejects, Reason::AdvertiserRejected, &|| {
            format!("cnv_status {}", asked())
        }),
    ];
    for (name, broken, reason, detail) in rules {
        watch.rule(name, !broken, detail);
        if broken {
            return Some(reason);
        }
    }
    None
}

/// An event that comes before the one that it follows, too soon behind it, or after its deadline.
fn out_of_turn(
    terms: &Terms,
    target: &Target<'_>,
    known: &Known,
    turn: Turn,
    watch: &mut impl Watch,
) -> Option<Reason> {
    let refused = match turn {
        Turn::Not(reason) => Some(reason),
        Turn::Now | Turn::Waits(_) => None,
    };
    if terms.order != sequence::Order::default() {
        watch.rule("event in sequence", refused.is_none(), || {
            sequence::told(terms.order, target.first, known.previous, turn)
        });
    }
    refused
}

fn place_taken(terms: &Terms, known: &Known, watch: &mut impl Watch) -> Option<Reason> {
    let taken = known.holder.filter(|_| !terms.repeats);
    watch.rule("member has not completed it", taken.is_none(), || match (taken, terms.repeats) {
        (Some(holder), _) => format!("conversion {holder} holds the place"),
        (None, true) => "repeats are allowed".to_owned(),
        (None, false) => "the place is free".to_owned(),
    });
    taken.map(|_| Reason::MemberAlreadyCompleted)
}

/// The cap or budget that leaves no room. A sale in another currency than the offer's is not added to its budget.
fn no_room(
    offer: &Offer,
    terms: &Terms,
    known: &Known,
    revenue: Money,
    arrival: &Arrival,
    watch: &mut impl Watch,
) -> Option<Reason> {
    if arrival.test {
        watch.rule("caps and budgets leave room", true, || "a test is not counted".to_owned());
        return None;
    }
    let counted = if revenue.currency == offer.currency { revenue.micros } else { 0 };
    let full = cap::exhausted(&terms.caps, &known.event_taken, counted, arrival.at)
        .or_else(|| cap::exhausted(&offer.rules.budgets, &known.offer_taken, counted, arrival.at));
    watch.rule("caps and budgets leave room", full.is_none(), || {
        let mut all = cap::told(&terms.caps, &known.event_taken, offer.currency);
        all.extend(cap::told(&offer.rules.budgets, &known.offer_taken, offer.currency));
        if all.is_empty() { "none are set".to_owned() } else { format!("taken: {}", all.join(", ")) }
    });
    full.as_ref().map(Exhausted::reason)
}

/// How an accepted conversion becomes final, in words.
fn approval(terms: &Terms, status: Status, waits: Option<Wait>) -> String {
    match waits {
        Some(Wait { until, what: Waiting::Approval }) => {
            format!("{status}; {} after {} days: Success at {until}", terms.approval, terms.pending_days)
        }
        Some(Wait { until, what: Waiting::Predecessor }) => {
            format!("{status} for the event before it, until {until}")
        }
        None if status == Status::Pending => format!("{status}: somebody decides"),
        None => format!("{status}: {} at once", terms.approval),
    }
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
        // It came first, so by any clock it was not late enough behind the other.
        (Waiting::Predecessor, true) if terms.order.after_previous_ms > 0 => {
            Change { to: Status::Rejected, reason: Some(Reason::TooFast), waits: None }
        }
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
    /// When the member completed it: what the network's staff says, else when it was received.
    pub completed: Timestamp,
    /// When it was recorded.
    pub received: Timestamp,
    /// When it came to its status.
    pub changed: Timestamp,
    /// How often its status has changed.
    pub version: i64,
    /// What it waits for by itself.
    pub waits: Option<Wait>,
    /// Whether its click was a test: it holds no place and is in no cap, sum or report.
    pub test: bool,
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
