//! One advertiser postback, from arrival to answer, in one transaction: the inbound log, the conversion, its
//! history and what the partner is to be told. All of it is durable, or none.

mod trail;

use std::net::IpAddr;
use std::sync::Arc;

use domain::ambient::Ambient;
use domain::catalog::Catalog;
use domain::click::{Click, Marks, Step, Verdict, Watch as _};
use domain::conversion::{
    self as rule, Arrival, Conversion, Decision, Existing, Fresh, Known, Reason, Status, Target, Waiting,
};
use domain::id::{AdvertiserId, ClickId, ConversionId, InboundId, NetworkId};
use domain::inbound::{Answer, Named, Outcome, Postback, Refusal};
use domain::link::Link;
use domain::offer::Treatment;
use domain::time::Timestamp;

use crate::conversion::Asked;
use crate::erase::{self, Names};
use crate::error::Mistake;
use crate::{Error, Row, Statement, Tx, click, conversion, delivery, tally, waiting};

pub(crate) const ALL: &[&Statement] = &[&LOG, &FIND, &BY_CLICK];

static LOG: Statement = Statement::new(
    "inbound.log",
    "insert into inbound (inbound_id, network_id, advertiser_id, received_ms, address, method, target, body, code,
         message, click_id, conversion_id, steps)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
);

static FIND: Statement = Statement::new(
    "inbound.find",
    "select inbound_id, network_id, received_ms, address, method, target, body, code, message, click_id,
         conversion_id, steps
     from inbound where inbound_id = ?1",
);

static BY_CLICK: Statement = Statement::new(
    "inbound.by_click",
    "select inbound_id, network_id, received_ms, address, method, target, body, code, message, click_id,
         conversion_id, steps
     from inbound where click_id = ?1 order by inbound_id limit ?2",
);

/// How often a postback looks again when another transaction was first.
const LOOKS: usize = 8;

/// A postback as it arrived, with what was found out about it before the database was asked.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its id in the inbound log.
    pub id: InboundId,
    /// The network of its host; `None` when the host belongs to none.
    pub network: Option<NetworkId>,
    /// The advertisers that it proves to come from; none means that it is not authorized.
    pub proven: Vec<AdvertiserId>,
    /// When it arrived.
    pub at: Timestamp,
    /// Who sent it.
    pub address: IpAddr,
    /// `GET` or `POST`.
    pub method: String,
    /// Path and query, secrets redacted.
    pub target: String,
    /// The body, secrets redacted.
    pub body: String,
    /// Its parameters, or what is wrong with them.
    pub postback: Result<Postback, Refusal>,
}

/// A line of the inbound log.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Its id.
    pub id: InboundId,
    /// The network of its host; `None` when the host belongs to none.
    pub network: Option<NetworkId>,
    /// When it arrived.
    pub at: Timestamp,
    /// Who sent it.
    pub address: String,
    /// `GET` or `POST`.
    pub method: String,
    /// Path and query, secrets redacted.
    pub target: String,
    /// The body, secrets redacted.
    pub body: String,
    /// What was answered.
    pub code: String,
    /// What was said with it.
    pub message: String,
    /// The click that it names, whether there is one or not.
    pub click: Option<ClickId>,
    /// The conversion that was named.
    pub conversion: Option<ConversionId>,
    /// Each rule that was looked at, up to the one that decided.
    pub steps: Vec<Step>,
}

/// Records a postback and everything that follows from it; what it returns is what the advertiser is
/// answered.
pub fn receive(
    tx: &mut Tx<'_>,
    catalog: &Catalog,
    ambient: Ambient,
    received: &Received,
) -> Result<Outcome, Error> {
    let mut steps = Vec::new();
    let outcome = match convert(tx, catalog, ambient, received, &mut steps)? {
        Ok(outcome) => outcome,
        Err(refusal) => Outcome::refused(refusal),
    };
    log(tx, received, &outcome, &steps)?;
    Ok(outcome)
}

/// A request by its id, whatever its network: the caller checks whose it is.
pub fn find(tx: &mut Tx<'_>, id: InboundId) -> Result<Option<Logged>, Error> {
    tx.query_one(&FIND, &[id.uuid().into()])?.map(|row| read(&row)).transpose()
}

/// The requests about a click, oldest first, at most `limit`.
pub fn by_click(tx: &mut Tx<'_>, click: ClickId, limit: i64) -> Result<Vec<Logged>, Error> {
    tx.query(&BY_CLICK, &[click.uuid().into(), limit.into()])?.iter().map(read).collect()
}

/// What a postback becomes: the outer error is the store's, the inner one the advertiser's.
fn convert(
    tx: &mut Tx<'_>,
    catalog: &Catalog,
    ambient: Ambient,
    received: &Received,
    steps: &mut Vec<Step>,
) -> Result<Result<Outcome, Refusal>, Error> {
    let sound = match sound(tx, catalog, received)? {
        Ok(sound) => sound,
        Err((rule, refusal)) => {
            steps.rule(rule, false, || refusal.message.clone());
            return Ok(Err(refusal));
        }
    };
    settle(tx, ambient, &sound, steps).map(Ok)
}

/// A refusal with the rule that it comes from.
type Unsound = (&'static str, Refusal);

/// A postback of the advertiser about a click of its own, complete; or the first thing that it lacks.
fn sound<'a>(
    tx: &mut Tx<'_>,
    catalog: &'a Catalog,
    received: &'a Received,
) -> Result<Result<Case<'a>, Unsound>, Error> {
    if received.proven.is_empty() {
        let message =
            "token missing or wrong, or signature not valid; check the postback URL that you were given";
        return Ok(Err(("advertiser proven", Refusal::new(Answer::NotAuthorized, message))));
    }
    let postback = match &received.postback {
        Ok(postback) => postback,
        Err(refusal) => return Ok(Err(("parameters readable", refusal.clone()))),
    };
    let unknown = || {
        let message = format!("no click {} in this network", postback.click);
        ("click known", Refusal::new(Answer::ClickUnknown, message))
    };
    let Some(click) = click::lock(tx, postback.click)? else { return Ok(Err(unknown())) };
    // A click is only made on a link that some server knows; this one will know it in a moment.
    let Some(link) = catalog.links.get(&click.link) else { return Err(Error::Stale) };
    // Another network's click, or another advertiser's, answers exactly like one that does not exist.
    if !is_theirs(link, received) {
        return Ok(Err(unknown()));
    }
    let target = match rule::target(&link.offer, postback) {
        Ok(target) => target,
        Err(refusal) => return Ok(Err(("event and amount given", refusal))),
    };
    let arrival = Arrival {
        at: received.at,
        address_allowed: address_is_allowed(link, received.address),
        click_sent_on: click.verdict.sends_on() && !click.marks.has(Marks::REFUSED),
        click_reused: click.verdict == Verdict::ClickIdReused
            && link.offer.rules.reused_clicks == Treatment::Refuse,
        test: click.marks.has(Marks::TEST),
    };
    let sender = Sender { at: received.at, address: received.address.to_string(), actor: "advertiser" };
    Ok(Ok(Case { sender, postback, click, link, target, arrival }))
}

fn is_theirs(link: &Link, received: &Received) -> bool {
    received.network == Some(link.offer.network.id) && received.proven.contains(&link.offer.advertiser.id)
}

fn address_is_allowed(link: &Link, address: IpAddr) -> bool {
    let allowed = &link.offer.advertiser.allowed_addresses;
    allowed.is_empty() || domain::address::contains(allowed, address)
}

/// Who reports a result.
pub(crate) struct Sender<'a> {
    /// When the report came; the result's own time is the arrival's.
    pub(crate) at: Timestamp,
    /// From where.
    pub(crate) address: String,
    /// Who, as the history has it.
    pub(crate) actor: &'a str,
}

/// A sound report about a click of ours.
pub(crate) struct Case<'a> {
    pub(crate) sender: Sender<'a>,
    pub(crate) postback: &'a Postback,
    pub(crate) click: Click,
    pub(crate) link: &'a Link,
    pub(crate) target: Target<'a>,
    pub(crate) arrival: Arrival,
}

impl Case<'_> {
    fn member(&self) -> &str {
        self.click.pub_member_id.as_deref().unwrap_or_default()
    }

    fn known(&self, tx: &mut Tx<'_>, key: &str, names: &Names) -> Result<Known, Error> {
        let offer = &self.link.offer;
        let asked = Asked {
            network: offer.network.id,
            place: (offer.id, self.target.event, self.link.partner.id),
            click: self.click.id,
            key,
            names: [&names.recorded, &names.other],
        };
        let mut known = conversion::known(tx, &asked)?;
        if known.same_key.is_none() {
            known.previous = self.previous(tx)?;
            if !self.arrival.test {
                let (event, whole) = tally::of_result(tx, offer, self.target.event, self.sender.at)?;
                (known.event_taken, known.offer_taken) = (event, whole);
            }
        }
        Ok(known)
    }

    /// When the event before this one came for the click, if there is one and it stands.
    fn previous(&self, tx: &mut Tx<'_>) -> Result<Option<Timestamp>, Error> {
        let Some(before) = self.link.offer.predecessor(self.target.terms) else { return Ok(None) };
        let found = conversion::by_click_and_event(tx, self.click.id, before.id)?;
        let stands = found.filter(|found| {
            found.status.holds_place() && found.waits.is_none_or(|wait| wait.what != Waiting::Predecessor)
        });
        Ok(stands.map(|found| found.completed))
    }

    fn conversion(&self, id: ConversionId, key: String, names: &Names, fresh: &Fresh) -> Conversion {
        Conversion {
            id,
            network: self.link.offer.network.id,
            offer: self.link.offer.id,
            event: self.target.event,
            event_code: self.target.event_code.to_owned(),
            partner: self.link.partner.id,
            link: self.link.id,
            click: self.click.id,
            pub_click_id: self.click.pub_click_id.clone().unwrap_or_default(),
            pub_member_id: names.recorded.clone(),
            idempotency_key: key,
            advertiser_key: self.postback.advertiser_key.clone(),
            status: fresh.status,
            reason: fresh.reason,
            winner: fresh.winner,
            holds_place: fresh.holds_place,
            revenue: fresh.revenue,
            payout: fresh.payout,
            amount: self.target.amount,
            address: self.sender.address.clone(),
            kept: self.postback.kept.clone(),
            completed: self.arrival.at,
            received: self.sender.at,
            changed: self.sender.at,
            version: 0,
            waits: fresh.waits,
            test: self.arrival.test,
        }
    }
}

/// Decides and writes, looking again whenever another transaction was first: then its row is there to be
/// seen.
pub(crate) fn settle(
    tx: &mut Tx<'_>,
    ambient: Ambient,
    case: &Case<'_>,
    steps: &mut Vec<Step>,
) -> Result<Outcome, Error> {
    let names = erase::names(tx, case.link, case.member())?;
    for _ in 0..LOOKS {
        let key = rule::idempotency_key(case.postback, &case.arrival, &case.sender.address);
        let known = case.known(tx, &key, &names)?;
        steps.clear();
        match rule::decide(&case.link.offer, &case.target, case.postback, &case.arrival, &known, steps) {
            Decision::Duplicate(existing) => return Ok(duplicate(&existing)),
            Decision::Conflict(existing, what) => return Ok(conflict(&existing, what)),
            Decision::Record(fresh) => {
                let id = ConversionId(ambient.new_id(case.sender.at));
                let conversion = case.conversion(id, key, &names, &fresh);
                if conversion::insert(tx, &conversion, case.sender.actor)? {
                    tally::recorded(tx, &case.link.offer, &conversion)?;
                    delivery::enqueue(tx, ambient, &conversion)?;
                    waiting::release(tx, ambient, &case.link.offer, &conversion)?;
                    return Ok(recorded(&conversion));
                }
            }
            Decision::Update(existing, change) => {
                let changed = conversion::update(tx, &existing, change, case.sender.at, case.sender.actor)?;
                if let Some(conversion) = changed {
                    tally::changed(tx, &case.link.offer, existing.status, &conversion)?;
                    delivery::enqueue(tx, ambient, &conversion)?;
                    return Ok(outcome(Answer::Updated, Answer::Updated.code(), named(&conversion), ""));
                }
            }
        }
    }
    Err(Error::Contended(Arc::new(Mistake::Overtaken)))
}

fn named(conversion: &Conversion) -> Named {
    Named {
        id: conversion.id,
        status: conversion.status,
        reason: conversion.reason,
        winner: conversion.winner,
    }
}

fn outcome(answer: Answer, code: &str, named: Named, message: &str) -> Outcome {
    Outcome { answer, code: code.to_owned(), conversion: Some(named), message: message.to_owned() }
}

fn recorded(conversion: &Conversion) -> Outcome {
    let named = named(conversion);
    match (conversion.status, conversion.reason) {
        (Status::Rejected, Some(Reason::MemberAlreadyCompleted)) => {
            let answer = Answer::MemberAlreadyCompleted;
            let message = "this member already completed this offer; the first conversion stands";
            outcome(answer, answer.code(), named, message)
        }
        (Status::Rejected, reason) => {
            let code = format!("rejected:{}", reason.map_or("", Reason::code));
            outcome(Answer::Rejected, &code, named, "recorded as rejected")
        }
        _ => outcome(Answer::Recorded, Answer::Recorded.code(), named, ""),
    }
}

fn duplicate(existing: &Existing) -> Outcome {
    let named =
        Named { id: existing.id, status: existing.status, reason: existing.reason, winner: existing.winner };
    outcome(Answer::Duplicate, Answer::Duplicate.code(), named, "already recorded; the first one stands")
}

fn conflict(existing: &Existing, what: &str) -> Outcome {
    let message = format!(
        "this cnv_conversion_id was already used with another {what}; use a new one for a new conversion"
    );
    Outcome {
        message,
        ..Outcome {
            answer: Answer::Conflict,
            code: Answer::Conflict.code().to_owned(),
            ..duplicate(existing)
        }
    }
}

fn log(tx: &mut Tx<'_>, received: &Received, outcome: &Outcome, steps: &[Step]) -> Result<(), Error> {
    let click = received.postback.as_ref().ok().map(|postback| postback.click.uuid());
    tx.execute(
        &LOG,
        &[
            received.id.uuid().into(),
            received.network.map(NetworkId::uuid).into(),
            received.proven.first().map(|advertiser| advertiser.uuid()).into(),
            received.at.ms().into(),
            received.address.to_string().into(),
            received.method.as_str().into(),
            received.target.as_str().into(),
            received.body.as_str().into(),
            outcome.code.as_str().into(),
            outcome.message.as_str().into(),
            click.into(),
            outcome.conversion.as_ref().map(|named| named.id.uuid()).into(),
            trail::pack(steps).into(),
        ],
    )?;
    Ok(())
}

fn read(row: &Row) -> Result<Logged, Error> {
    Ok(Logged {
        id: InboundId(row.uuid("inbound_id")?),
        network: row.opt_uuid("network_id")?.map(NetworkId),
        at: Timestamp::from_ms(row.int("received_ms")?),
        address: row.text("address")?,
        method: row.text("method")?,
        target: row.text("target")?,
        body: row.text("body")?,
        code: row.text("code")?,
        message: row.text("message")?,
        click: row.opt_uuid("click_id")?.map(ClickId),
        conversion: row.opt_uuid("conversion_id")?.map(ConversionId),
        steps: trail::unpack(&row.opt_blob("steps")?.unwrap_or_default())
            .map_err(|why| Error::bug("inbound.steps", why))?,
    })
}
