//! A conversion: what an advertiser's postback becomes. Once per member per offer and event; the same
//! postback any number of times is one conversion.

use std::collections::BTreeMap;

use crate::id::{ClickId, ConversionId, EventId, LinkId, NetworkId, OfferId, PartnerId};
use crate::inbound::{Answer, Postback, Refusal};
use crate::money::Money;
use crate::offer::{Approval, Offer, Results, Terms};
use crate::time::Timestamp;

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
    Ok(Target { event, event_code, terms, amount })
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
}

/// A change of status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The new status.
    pub to: Status,
    /// Why it is rejected.
    pub reason: Option<Reason>,
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
        (Status::Pending, Status::Success) if initial(terms, None) == Status::Success => {
            Some(Change { to: Status::Success, reason: None })
        }
        (Status::Pending | Status::Success, Status::Rejected) => {
            Some(Change { to: Status::Rejected, reason: Some(Reason::AdvertiserRejected) })
        }
        _ => None,
    }
}

fn fresh(offer: &Offer, target: &Target<'_>, postback: &Postback, arrival: &Arrival, known: &Known) -> Fresh {
    let age_ms = arrival.at.ms().saturating_sub(postback.click.at().ms());
    let (reason, winner) = if !arrival.address_allowed {
        (Some(Reason::IpNotAllowed), None)
    } else if !arrival.click_sent_on {
        (Some(Reason::ClickRefused), None)
    } else if age_ms > offer.attribution_window_ms {
        (Some(Reason::TooLate), None)
    } else if postback.status == Some(Status::Rejected) {
        (Some(Reason::AdvertiserRejected), None)
    } else if !target.terms.repeats && known.holder.is_some() {
        (Some(Reason::MemberAlreadyCompleted), known.holder)
    } else {
        (None, None)
    };
    let status = if reason.is_some() { Status::Rejected } else { initial(target.terms, postback.status) };
    let paid = status != Status::Rejected;
    Fresh {
        status,
        reason,
        winner,
        revenue: target.terms.revenue.of(target.amount, offer.currency),
        payout: target.terms.payout.of(target.amount, offer.currency),
        holds_place: paid && !target.terms.repeats,
    }
}

/// The first status of an accepted conversion: the offer's rule, unless the advertiser itself says `Pending`.
fn initial(terms: &Terms, asked: Option<Status>) -> Status {
    let at_once = terms.approval == Approval::Automatic && terms.pending_days == 0;
    if at_once && asked != Some(Status::Pending) { Status::Success } else { Status::Pending }
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
