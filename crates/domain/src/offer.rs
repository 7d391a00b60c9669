//! An offer: what is advertised, under which terms, and where its visitors go.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::advertiser::Advertiser;
use crate::cap::Limit;
use crate::click::Destination;
use crate::id::{EventId, OfferId};
use crate::money::{Currency, Rate};
use crate::network::Network;
use crate::sequence::Order;
use crate::targeting::{Rule, Test};
use crate::time::Timestamp;

codes! {
    /// Whether an offer pays for one result or for several.
    OfferKind, "offer type" {
        /// One conversion per member.
        SingleEvent => "SingleEvent",
        /// One conversion per member and event.
        MultiEvent => "MultiEvent",
    }
}

codes! {
    /// How an offer's money is computed.
    ConversionKind, "conversion type" {
        /// Fixed revenue and payout.
        FlatRate => "FlatRate",
        /// A share of the sale's amount.
        RevShare => "RevShare",
    }
}

codes! {
    /// The life of an offer.
    OfferStatus, "offer status" {
        /// Being written.
        Draft => "Draft",
        /// Waits for its launch.
        Pending => "Pending",
        /// Runs.
        Active => "Active",
        /// Stopped for now.
        Paused => "Paused",
        /// Over.
        Expired => "Expired",
    }
}

codes! {
    /// How a conversion of an offer becomes final.
    Approval, "approval" {
        /// By itself, after the pending time.
        Automatic => "Automatic",
        /// By somebody's decision.
        Manual => "Manual",
    }
}

/// The terms of one result: of a single-event offer, or of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// What the advertiser pays.
    pub revenue: Rate,
    /// What the partner gets.
    pub payout: Rate,
    /// Reward points for the member.
    pub reward_points: i64,
    /// How it becomes final.
    pub approval: Approval,
    /// Days that an automatically approved conversion stays `Pending`.
    pub pending_days: i64,
    /// Whether a member may convert again.
    pub repeats: bool,
    /// How many conversions it takes in a period.
    pub caps: Vec<Limit>,
    /// What it asks of the events before it.
    pub order: Order,
}

/// One event of a multi-event offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Our id of it.
    pub id: EventId,
    /// The string that the advertiser sends as `cnv_event_id`.
    pub code: String,
    /// Its name for people.
    pub name: String,
    /// Its terms.
    pub terms: Terms,
    /// Whether partners are shown it.
    pub visible: bool,
}

/// What an offer pays for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Results {
    /// One result.
    Single(Terms),
    /// Several, each by its event code, in display order.
    Multi(Vec<Event>),
}

/// An offer, as every rule sees it.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Its id.
    pub id: OfferId,
    /// Its network.
    pub network: Arc<Network>,
    /// Who pays for it.
    pub advertiser: Arc<Advertiser>,
    /// Its slug, unique in the network.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// What it is about, in the network's words; partners choose offers by them.
    pub categories: Vec<String>,
    /// Where it is in its life.
    pub status: OfferStatus,
    /// First moment at which it runs.
    pub launches: Option<Timestamp>,
    /// First moment at which it no longer runs.
    pub expires: Option<Timestamp>,
    /// Its currency.
    pub currency: Currency,
    /// How its money is computed.
    pub conversion_kind: ConversionKind,
    /// What it pays for.
    pub results: Results,
    /// The advertiser's link, with our macros.
    pub destination: Destination,
    /// Where visitors go whom it cannot take.
    pub fallback_url: Option<String>,
    /// How long after the click a conversion still counts, in milliseconds.
    pub attribution_window_ms: i64,
    /// What it asks of visitors, clicks and conversions beyond its terms.
    pub rules: Rules,
    /// Changes of terms and status since it was made, oldest first; those ahead have not happened yet.
    pub changes: Vec<ScheduledChange>,
}

/// What an offer asks of visitors, clicks and conversions beyond its terms. The default asks nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Least time from the click to a conversion, in milliseconds.
    pub min_conversion_ms: i64,
    /// Whether conversions of earlier clicks still count when the offer is over.
    pub late_conversions: bool,
    /// How much revenue it takes in a period, over all its events.
    pub budgets: Vec<Limit>,
    /// Whom it is for.
    pub targeting: Vec<Rule>,
    /// Whether it believes `pub_geo_country` and `pub_geo_state`.
    pub trusts_partner_place: bool,
    /// How partners come to run it.
    pub link_approval: Admission,
    /// What happens to a click whose member id is a constant.
    pub static_members: Treatment,
    /// What happens to a click whose click id came before.
    pub reused_clicks: Treatment,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            min_conversion_ms: 0,
            late_conversions: true,
            budgets: Vec::new(),
            targeting: Vec::new(),
            trusts_partner_place: false,
            link_approval: Admission::Automatic,
            static_members: Treatment::Flag,
            reused_clicks: Treatment::Flag,
        }
    }
}

codes! {
    /// How a partner's new link comes to be approved.
    Admission, "link approval" {
        /// At once.
        Automatic => "automatic",
        /// When the network approves the partner's request.
        OnRequest => "on_request",
    }
}

codes! {
    /// What a network does about a broken parameter contract.
    Treatment, "treatment" {
        /// Send the visitor on and say so.
        Flag => "flag",
        /// Refuse the click.
        Refuse => "refuse",
    }
}

codes! {
    /// What a scheduled change changes.
    ChangedField, "changeable field" {
        /// What the advertiser pays.
        Revenue => "revenue",
        /// What the partner gets.
        Payout => "payout",
        /// Reward points.
        Reward => "reward",
        /// Where the offer is in its life.
        Status => "status",
    }
}

/// The new value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewValue {
    /// Revenue or payout.
    Rate(Rate),
    /// Reward points.
    Points(i64),
    /// Status.
    Status(OfferStatus),
}

/// A change of one field at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduledChange {
    /// When it takes effect.
    pub at: Timestamp,
    /// The event; [`EventId::NONE`] for a single-event offer's terms and for the status.
    pub event: EventId,
    /// What changes.
    pub field: ChangedField,
    /// Into what.
    pub value: NewValue,
}

impl Offer {
    /// Single- or multi-event.
    pub fn kind(&self) -> OfferKind {
        match self.results {
            Results::Single(_) => OfferKind::SingleEvent,
            Results::Multi(_) => OfferKind::MultiEvent,
        }
    }

    /// The event of this code; `None` on single-event offers and for unknown codes.
    pub fn event(&self, code: &str) -> Option<&Event> {
        match &self.results {
            Results::Single(_) => None,
            Results::Multi(events) => events.iter().find(|event| event.code == code),
        }
    }

    /// Its status at a time.
    pub fn status_at(&self, at: Timestamp) -> OfferStatus {
        let passed = self.changes.iter().rev().filter(|change| change.at <= at);
        let status = |change: &ScheduledChange| match change.value {
            NewValue::Status(status) => Some(status),
            _ => None,
        };
        passed.into_iter().find_map(status).unwrap_or(self.status)
    }

    /// Its status at a time, with launch and expiry: a pending offer runs from its launch on, and none beyond its
    /// expiry.
    pub fn stage_at(&self, at: Timestamp) -> OfferStatus {
        let status = self.status_at(at);
        if self.expires.is_some_and(|end| at >= end) {
            return OfferStatus::Expired;
        }
        let launched = self.launches.is_some_and(|start| at >= start);
        if status == OfferStatus::Pending && launched { OfferStatus::Active } else { status }
    }

    /// Whether partners who do not run it are shown it: not while it is written or waits for its launch.
    pub fn is_offered(&self, at: Timestamp) -> bool {
        matches!(self.stage_at(at), OfferStatus::Active | OfferStatus::Paused | OfferStatus::Expired)
    }

    /// The terms of a result as they were at a time. Money is decided by the terms at the click's time: they are what
    /// the partner was promised when it sent the visitor.
    pub fn terms_at<'t>(&self, event: EventId, terms: &'t Terms, at: Timestamp) -> Cow<'t, Terms> {
        let mut then = Cow::Borrowed(terms);
        for change in self.changes.iter().filter(|change| change.at <= at && change.event == event) {
            match (change.field, change.value) {
                (ChangedField::Revenue, NewValue::Rate(rate)) => then.to_mut().revenue = rate,
                (ChangedField::Payout, NewValue::Rate(rate)) => then.to_mut().payout = rate,
                (ChangedField::Reward, NewValue::Points(points)) => then.to_mut().reward_points = points,
                _ => {}
            }
        }
        then
    }

    /// The terms of a result by its event; [`EventId::NONE`] on single-event offers.
    pub fn terms(&self, event: EventId) -> Option<&Terms> {
        match &self.results {
            Results::Single(terms) => (event == EventId::NONE).then_some(terms),
            Results::Multi(events) => events.iter().find(|own| own.id == event).map(|own| &own.terms),
        }
    }

    /// The event that must come before one of these terms: the one with the next smaller sequence number.
    pub fn predecessor(&self, terms: &Terms) -> Option<&Event> {
        let Results::Multi(events) = &self.results else { return None };
        let own = terms.order.number?;
        let earlier =
            events.iter().filter(|event| event.terms.order.number.is_some_and(|number| number < own));
        earlier.max_by_key(|event| event.terms.order.number)
    }

    /// Whether `holds` is true for every place that a member can hold on this offer; it is given the event
    /// and whether the place may be taken again.
    pub fn each_place(&self, mut holds: impl FnMut(EventId, bool) -> bool) -> bool {
        match &self.results {
            Results::Single(terms) => holds(EventId::NONE, terms.repeats),
            Results::Multi(events) => {
                !events.is_empty() && events.iter().all(|event| holds(event.id, event.terms.repeats))
            }
        }
    }

    /// Whether one of its rules asks where an address is.
    pub fn asks_for_place(&self) -> bool {
        let places = |rule: &Rule| matches!(rule.test, Test::Country(_) | Test::Region(_));
        !self.rules.trusts_partner_place && self.rules.targeting.iter().any(places)
    }

    /// The fallback of the offer, else of its network.
    pub fn fallback(&self) -> Option<&str> {
        self.fallback_url.as_deref().or(self.network.fallback_url.as_deref())
    }
}
