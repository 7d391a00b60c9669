//! A click: what happens to a visitor who follows a tracking link, decided without a database.

mod destination;
mod names;
mod packed;
mod recall;
mod record;
mod skeleton;
mod survey;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use destination::{Destination, DestinationMacro, Destined};
pub use packed::{Packed, Shared, Texts};
pub use recall::Recalled;
pub use record::{Click, Facts, Hit, Marks};
pub use skeleton::{Keys, Skeleton};
pub use survey::{Survey, survey};

use crate::cap::{Exhausted, Measure};
use crate::link::{Link, LinkApproval};
use crate::offer::{OfferStatus, Treatment};
use crate::partner::PartnerStatus;
use crate::targeting::{Mismatch, Rule};
use crate::time::Timestamp;
use crate::visit::{Param, Visit};
use crate::visitor::Visitor;

codes! {
    /// What was decided about one hit on a link. Exactly one per hit; the code is part of the wire contract.
    Verdict, "verdict" {
        /// Redirected to the advertiser.
        Ok => "ok",
        /// `pub_member_id` missing or empty.
        MemberIdEmpty => "pub_member_id_empty",
        /// `pub_click_id` missing or empty.
        ClickIdEmpty => "pub_click_id_empty",
        /// `pub_member_id` is a placeholder that was never replaced.
        MemberIdMacro => "pub_member_id_macro",
        /// `pub_click_id` is a placeholder that was never replaced.
        ClickIdMacro => "pub_click_id_macro",
        /// A parameter cannot be read.
        ParameterMalformed => "parameter_malformed",
        /// The same member id on most of a link's clicks.
        MemberIdStatic => "pub_member_id_static",
        /// A click id that the partner already sent.
        ClickIdReused => "pub_click_id_reused",
        /// The member already completed the offer.
        MemberAlreadyCompleted => "member_already_completed",
        /// The offer is a draft, pending or paused.
        OfferNotActive => "offer_not_active",
        /// Before the offer's launch.
        OfferNotStarted => "offer_not_started",
        /// After the offer's expiry.
        OfferExpired => "offer_expired",
        /// A cap of the offer is reached.
        OfferCapped => "offer_capped",
        /// A budget of the offer is spent.
        OfferOverBudget => "offer_over_budget",
        /// The partner may not run the offer.
        PartnerNotApproved => "partner_not_approved",
        /// The visitor is outside the offer's targeting.
        TargetMismatch => "target_mismatch",
        /// No such link.
        LinkUnknown => "link_unknown",
        /// The click could not be made durable.
        NotRecorded => "not_recorded",
    }
}

impl Verdict {
    /// The verdict's number in storage. Never reused, never changed.
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// The verdict of a stored number.
    pub fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|at| Self::ALL.get(at)).copied()
    }

    /// Whether the visitor went on to the advertiser.
    pub const fn sends_on(self) -> bool {
        matches!(self, Self::Ok | Self::MemberIdStatic | Self::ClickIdReused)
    }

    /// Whether a visitor with this verdict goes to the fallback URL when there is one.
    pub const fn may_fall_back(self) -> bool {
        matches!(
            self,
            Self::MemberAlreadyCompleted
                | Self::OfferNotActive
                | Self::OfferNotStarted
                | Self::OfferExpired
                | Self::OfferCapped
                | Self::OfferOverBudget
                | Self::PartnerNotApproved
                | Self::TargetMismatch
        )
    }

    /// The HTTP status of the answer when there is no redirect.
    pub const fn status(self) -> u16 {
        match self {
            Self::Ok | Self::MemberIdStatic | Self::ClickIdReused => 302,
            Self::MemberIdEmpty
            | Self::ClickIdEmpty
            | Self::MemberIdMacro
            | Self::ClickIdMacro
            | Self::ParameterMalformed => 400,
            Self::MemberAlreadyCompleted => 409,
            Self::TargetMismatch => 403,
            Self::LinkUnknown => 404,
            Self::NotRecorded => 503,
            Self::OfferNotActive
            | Self::OfferNotStarted
            | Self::OfferExpired
            | Self::OfferCapped
            | Self::OfferOverBudget
            | Self::PartnerNotApproved => 410,
        }
    }
}

/// A verdict with what it says to whoever set the link up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// The message of the wire contract; empty for a redirect.
    pub message: Cow<'static, str>,
    /// Whether the visitor goes on to the advertiser. A broken parameter contract is flagged or refused under the
    /// same verdict, as the offer says.
    pub sends_on: bool,
}

impl Decision {
    /// A verdict with its message.
    pub fn new(verdict: Verdict, message: impl Into<Cow<'static, str>>) -> Self {
        Self { verdict, message: message.into(), sends_on: verdict.sends_on() }
    }

    fn refused(self) -> Self {
        Self { sends_on: false, ..self }
    }

    /// The HTTP status of the answer when there is no redirect.
    pub const fn status(&self) -> u16 {
        if self.sends_on {
            302
        } else if self.verdict.sends_on() {
            400
        } else {
            self.verdict.status()
        }
    }
}

/// Watches a decision, one call per rule. The hot path watches with `()`, which compiles to nothing.
pub trait Watch {
    /// A rule was looked at: its name, whether it let the hit pass, and what it compared.
    fn rule(&mut self, name: &'static str, passed: bool, detail: impl FnOnce() -> String);
}

impl Watch for () {
    #[inline]
    fn rule(&mut self, _: &'static str, _: bool, _: impl FnOnce() -> String) {}
}

/// One rule as it was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The rule.
    pub rule: Cow<'static, str>,
    /// Whether it let the hit pass.
    pub passed: bool,
    /// What was compared.
    pub detail: String,
}

impl Watch for Vec<Step> {
    fn rule(&mut self, rule: &'static str, passed: bool, detail: impl FnOnce() -> String) {
        self.push(Step { rule: rule.into(), passed, detail: detail() });
    }
}

/// What is known beside the link and the visitor, from memory.
pub trait Standing {
    /// Whether this member has nothing left to do on the link's offer.
    fn completed(&self, link: &Link, member: &str) -> bool;
    /// The cap or budget that leaves the link's offer no room.
    fn closed(&self, link: &Link, now: Timestamp) -> Option<Exhausted>;
    /// What is taken of each cap and budget, in words, where somebody has looked it up.
    fn taken(&self, _link: &Link, _now: Timestamp) -> Vec<String> {
        Vec::new()
    }
    /// Whether this member id is a constant on the link.
    fn is_static(&self, link: &Link, member: &str) -> bool;
    /// Whether this click id came before.
    fn is_reused(&self, link: &Link, click: &str) -> bool;
}

/// Decides about one hit.
///
/// The order is the order in which a partner's engineer mends a link: parameters first, then the offer's state, its
/// room and its targeting, then the member. A broken parameter contract that is only flagged comes last: it is said
/// of a click that is sent on.
pub fn decide(
    link: &Link,
    visitor: &Visitor<'_>,
    standing: &impl Standing,
    watch: &mut impl Watch,
) -> Decision {
    let (visit, now) = (visitor.visit, visitor.now);
    if let Some(refused) = check_parameters(visit, watch) {
        return refused;
    }
    let flaw = check_contract(link, visit, standing, watch);
    if let Some((refused, Treatment::Refuse)) = flaw {
        return refused.refused();
    }
    check_offer(link, now, watch)
        .or_else(|| check_room(link, standing, now, watch))
        .or_else(|| check_targeting(link, visitor, watch))
        .or_else(|| check_member(link, visit, standing, watch))
        .or(flaw.map(|(flagged, _)| flagged))
        .unwrap_or_else(|| Decision::new(Verdict::Ok, ""))
}

/// What is wrong with the parameters alone, whatever the link, the visitor and the time; none when they are sound.
pub fn check_parameters(visit: &Visit<'_>, watch: &mut impl Watch) -> Option<Decision> {
    if let Some(fault) = visit.fault() {
        watch.rule("parameters readable", false, || fault.to_string());
        return Some(Decision::new(Verdict::ParameterMalformed, fault.to_string()));
    }
    watch.rule("parameters readable", true, || "every parameter decodes".to_owned());
    let ids = [
        (Param::MemberId, Verdict::MemberIdEmpty, "PubMemberId cannot be empty", Verdict::MemberIdMacro),
        (Param::ClickId, Verdict::ClickIdEmpty, "PubClickId cannot be empty", Verdict::ClickIdMacro),
    ];
    for (param, empty, message, _) in ids {
        let given = visit.given(param).is_some();
        watch.rule("id given", given, || format!("{param} = {:?}", visit.get(param).unwrap_or("")));
        if !given {
            return Some(Decision::new(empty, message));
        }
    }
    for (param, _, _, placeholder) in ids {
        let replaced = !visit.is_placeholder(param);
        let value = visit.given(param).unwrap_or_default();
        watch.rule("id is no placeholder", replaced, || format!("{param} = {value:?}"));
        if !replaced {
            let message = format!(
                "{param} is `{value}`, a placeholder that was not replaced by your tracker with a value"
            );
            return Some(Decision::new(placeholder, message));
        }
    }
    None
}

/// A constant member id, or a click id that came before, with what the offer does about it.
fn check_contract(
    link: &Link,
    visit: &Visit<'_>,
    standing: &impl Standing,
    watch: &mut impl Watch,
) -> Option<(Decision, Treatment)> {
    let member = visit.given(Param::MemberId).unwrap_or_default();
    let click = visit.given(Param::ClickId).unwrap_or_default();
    // A partner without user ids passes its click id for both; then only the click id can be judged.
    let constant = member != click && standing.is_static(link, member);
    watch.rule("member ids vary", !constant, || format!("{} = {member:?}", Param::MemberId));
    if constant {
        let message = format!(
            "pub_member_id `{member}` is on most of this link's clicks; send a value that is unique per user"
        );
        return Some((Decision::new(Verdict::MemberIdStatic, message), link.offer.rules.static_members));
    }
    let reused = standing.is_reused(link, click);
    watch.rule("click id is new", !reused, || format!("{} = {click:?}", Param::ClickId));
    reused.then(|| {
        let message =
            format!("pub_click_id `{click}` was already sent on another click; send a new one each time");
        (Decision::new(Verdict::ClickIdReused, message), link.offer.rules.reused_clicks)
    })
}

fn check_room(
    link: &Link,
    standing: &impl Standing,
    now: Timestamp,
    watch: &mut impl Watch,
) -> Option<Decision> {
    let closed = standing.closed(link, now);
    watch.rule("caps and budgets leave room", closed.is_none(), || {
        let mut all = standing.taken(link, now);
        all.extend(closed.map(|full| format!("no room in {}", full.told(link.offer.currency))));
        if all.is_empty() { "room left".to_owned() } else { all.join("; ") }
    });
    let full = closed?;
    let until = full.until.map(|at| format!("; it opens again at {at}")).unwrap_or_default();
    Some(match full.limit.measure {
        Measure::Conversions => {
            Decision::new(Verdict::OfferCapped, format!("This offer has reached its cap{until}"))
        }
        Measure::Revenue => {
            Decision::new(Verdict::OfferOverBudget, format!("This offer has spent its budget{until}"))
        }
    })
}

fn check_targeting(link: &Link, visitor: &Visitor<'_>, watch: &mut impl Watch) -> Option<Decision> {
    let mut rules = link.offer.rules.targeting.iter();
    let mismatch = rules.find_map(|rule| look_at(rule, visitor, watch))?;
    Some(Decision::new(Verdict::TargetMismatch, mismatch.to_string()))
}

fn look_at(rule: &Rule, visitor: &Visitor<'_>, watch: &mut impl Watch) -> Option<Mismatch> {
    let mismatch = rule.mismatch(visitor);
    watch.rule("targeting", mismatch.is_none(), || {
        let (what, found) = (rule.test.what(), rule.test.found(visitor));
        format!("{what} is `{found}`; the offer {}s {}", rule.mode, rule.test.wanted())
    });
    mismatch
}

fn check_offer(link: &Link, now: Timestamp, watch: &mut impl Watch) -> Option<Decision> {
    let offer = &link.offer;
    let status = offer.status_at(now);
    let approved = link.partner.status == PartnerStatus::Active && link.approval == LinkApproval::Approved;
    watch.rule("partner approved", approved, || {
        format!("partner {}, link {}", link.partner.status, link.approval)
    });
    if !approved {
        return Some(Decision::new(
            Verdict::PartnerNotApproved,
            "This link is not approved for this offer; ask the network to approve it",
        ));
    }
    let expired = status == OfferStatus::Expired || offer.expires.is_some_and(|end| now >= end);
    watch.rule("offer not expired", !expired, || match offer.expires {
        Some(end) => format!("status {status}, expires {end}"),
        None => format!("status {status}, no expiry"),
    });
    if expired {
        return Some(Decision::new(Verdict::OfferExpired, "This offer has ended"));
    }
    let early = offer.launches.is_some_and(|start| now < start);
    let launching = matches!(status, OfferStatus::Active | OfferStatus::Pending);
    if let (Some(start), true, true) = (offer.launches, early, launching) {
        watch.rule("offer started", false, || format!("launches {start}"));
        return Some(Decision::new(Verdict::OfferNotStarted, format!("This offer starts at {start}")));
    }
    // A pending offer with a launch time becomes active by reaching it.
    let active = status == OfferStatus::Active
        || (status == OfferStatus::Pending && offer.launches.is_some() && !early);
    watch.rule("offer active", active, || format!("status {status}"));
    (!active).then(|| Decision::new(Verdict::OfferNotActive, "This offer is not active now"))
}

fn check_member(
    link: &Link,
    visit: &Visit<'_>,
    standing: &impl Standing,
    watch: &mut impl Watch,
) -> Option<Decision> {
    let member = visit.given(Param::MemberId).unwrap_or_default();
    let done = standing.completed(link, member);
    watch.rule("member has not completed the offer", !done, || format!("{} = {member:?}", Param::MemberId));
    done.then(|| {
        Decision::new(
            Verdict::MemberAlreadyCompleted,
            "This member already completed this offer, and it can be completed once",
        )
    })
}
