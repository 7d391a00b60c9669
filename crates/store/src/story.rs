//! The whole story of a click, from the record alone: an id leads to clicks ([`find`]), and a click to everything that
//! is stored about it. It is in the shape that `pitlane why --json` writes; whoever shows it to a partner leaves out
//! what is not a partner's to see.

mod find;

use std::collections::BTreeMap;

use domain::catalog::Catalog;
use domain::click::{self as rule, Click, Marks, Recalled, Step, Verdict};
use domain::conversion::{Reason, Status, Waiting};
use domain::delivery::{DeliveryState, Origin};
use domain::id::{ClickId, ConversionId, DeliveryId, InboundId, LinkId, OfferId};
use domain::inbound::Answer;
use domain::link::Link;
use domain::money::Money;
use domain::time::Timestamp;
use domain::visit::Visit;
use domain::visitor::{Country, Device};
use serde::{Serialize, Serializer};

pub use self::find::{Brief, Found, Kind, LISTED, Whose, brief, find};
use crate::inbound::Logged;
use crate::standing::Recorded;
use crate::{Error, Tx, conversion, delivery, inbound};

/// The most requests that are told of one click.
const MAX_REQUESTS: i64 = 200;

/// A point in time, written as `2026-11-22T20:18:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub Timestamp);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// An amount as text, so that no reader makes a float of it.
#[derive(Debug, Serialize)]
pub struct Sum {
    amount: String,
    currency: String,
}

impl Sum {
    /// The amount as a plain decimal.
    pub fn amount(&self) -> &str {
        &self.amount
    }

    /// The code of its currency.
    pub fn currency(&self) -> &str {
        &self.currency
    }
}

impl From<Money> for Sum {
    fn from(money: Money) -> Self {
        Self { amount: money.plain(), currency: money.currency.to_string() }
    }
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

/// Everything about one click.
#[derive(Debug, Serialize)]
pub struct Story {
    /// The click; none when advertisers reported on one that is not known.
    pub click: Option<Visited>,
    /// The rules, looked at again.
    pub rules: Option<Rules>,
    /// What advertisers sent about it, oldest first.
    pub requests: Vec<Request>,
    /// Whether they sent more.
    pub more_requests: bool,
    /// What came of it, oldest first.
    pub conversions: Vec<Converted>,
}

/// A click as it was recorded.
#[derive(Debug, Serialize)]
pub struct Visited {
    /// Our id of it.
    pub id: ClickId,
    /// When.
    pub at: At,
    /// The link that was followed.
    pub link: LinkId,
    /// What the link belongs to; none when it is gone.
    pub owner: Option<Owner>,
    /// The partner's click id.
    pub pub_click_id: Option<String>,
    /// The partner's member id.
    pub pub_member_id: Option<String>,
    /// The other parameters, by name.
    pub parameters: BTreeMap<&'static str, String>,
    /// The visitor's address; none when it was not kept.
    pub address: Option<String>,
    /// The visitor's user agent.
    pub user_agent: String,
    /// ISO 3166-1, as it was found then, like the others.
    pub country: Option<Country>,
    /// The ISO 3166-2 part behind the country.
    pub region: Option<String>,
    /// The device.
    pub device: Option<Device>,
    /// The operating system's family; empty when unknown.
    pub os: String,
    /// The browser's family; empty when unknown.
    pub browser: String,
    /// `prefetch`, `test`, `bot`, `fell_back`, `refused`, `repeat`.
    pub marks: Vec<&'static str>,
    /// What was decided.
    pub verdict: Verdict,
    /// What was answered.
    pub http_status: u16,
    /// What the visitor's page or the JSON answer said; empty for a redirect.
    pub message: String,
    /// The `Location`; none when there was no redirect.
    pub sent_to: Option<String>,
}

/// Whose link it was.
#[derive(Debug, Serialize)]
pub struct Owner {
    /// The network's label.
    pub network: String,
    /// The offer.
    pub offer: OfferId,
    /// The offer's slug.
    pub offer_slug: String,
    /// The offer's name.
    pub offer_name: String,
    /// The advertiser's slug.
    pub advertiser: String,
    /// The partner's slug.
    pub partner: String,
    /// The partner's name.
    pub partner_name: String,
}

/// The rules as they decide over the recorded click with the settings of now and the members who had
/// completed then.
#[derive(Debug, Serialize)]
pub struct Rules {
    /// What they come to.
    pub verdict: Verdict,
    /// Whether that is what was decided then; if not, the settings have changed.
    pub agrees: bool,
    /// Each rule that was looked at.
    pub steps: Vec<Step>,
}

/// An advertiser's request.
#[derive(Debug, Serialize)]
pub struct Request {
    /// Its id: the `responseId` of its answer.
    pub id: InboundId,
    /// When.
    pub at: At,
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
    /// The status of the answer.
    pub http_status: Option<u16>,
    /// What was said with it; mostly nothing.
    pub message: String,
    /// The conversion that was named.
    pub conversion: Option<ConversionId>,
    /// Each rule that was looked at then, up to the one that decided.
    pub steps: Vec<Step>,
}

/// A conversion.
#[derive(Debug, Serialize)]
pub struct Converted {
    /// Its id.
    pub id: ConversionId,
    /// When it was recorded.
    pub at: At,
    /// The event's code; none on single-event offers.
    pub event: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// Why it is rejected.
    pub reason: Option<Reason>,
    /// Whether it holds its member's place.
    pub holds_place: bool,
    /// Whether it is of a test click, and counts nowhere.
    pub test: bool,
    /// What it waits for by itself; none when it does not.
    pub waits: Option<Waits>,
    /// The conversion that it lost the place to.
    pub winner: Option<Winner>,
    /// The advertiser's own id of it.
    pub advertiser_id: Option<String>,
    /// The sale's amount.
    pub amount: Option<Sum>,
    /// What it is worth to the network.
    pub revenue: Sum,
    /// What it is worth to the partner.
    pub payout: Sum,
    /// The address that reported it.
    pub address: String,
    /// The advertiser's other parameters.
    pub parameters: BTreeMap<String, String>,
    /// Every status that it had, oldest first.
    pub history: Vec<Changed>,
    /// What the partner was told, oldest first.
    pub deliveries: Vec<Told>,
}

/// What a pending conversion waits for by itself.
#[derive(Debug, Serialize)]
pub struct Waits {
    /// `approval` or `predecessor`: the event before it.
    pub what: Waiting,
    /// Until when.
    pub until: At,
}

/// The conversion that holds a member's place.
#[derive(Debug, Serialize)]
pub struct Winner {
    /// Its id.
    pub id: ConversionId,
    /// When it was recorded.
    pub at: Option<At>,
    /// The click that it came from.
    pub click: Option<ClickId>,
    /// Where it stands.
    pub status: Option<Status>,
}

/// A status that a conversion had.
#[derive(Debug, Serialize)]
pub struct Changed {
    /// When.
    pub at: At,
    /// The status.
    pub status: Status,
    /// Why it is rejected.
    pub reason: Option<Reason>,
    /// `advertiser`, or whoever else changed it.
    pub actor: String,
    /// What they said about it; empty mostly.
    pub note: String,
}

/// A message to a partner's postback.
#[derive(Debug, Serialize)]
pub struct Told {
    /// Also the `webhook-id`.
    pub id: DeliveryId,
    /// When it was made.
    pub at: At,
    /// The postback's slug; empty when it is gone.
    pub postback: String,
    /// The status that it tells.
    pub status: Status,
    /// `live` or `backfill`.
    pub origin: &'static str,
    /// `pending`, `delivered` or `dead`.
    pub state: &'static str,
    /// When it is tried next; none when it is over.
    pub next_attempt: Option<At>,
    /// Oldest first.
    pub attempts: Vec<Attempted>,
}

/// One attempt at it.
#[derive(Debug, Serialize)]
pub struct Attempted {
    /// When it began.
    pub at: At,
    /// How long it took, in milliseconds.
    pub elapsed_ms: i64,
    /// `GET` or `POST`.
    pub method: String,
    /// Where it went.
    pub url: String,
    /// What was sent; empty with `GET`.
    pub body: String,
    /// How it ended, in words.
    pub result: String,
    /// The status of the answer; none without one.
    pub http_status: Option<u16>,
    /// The first 4 KiB of the answer.
    pub answer: String,
}

/// The story of a click.
pub fn of_click(tx: &mut Tx<'_>, catalog: &Catalog, click: &Click) -> Result<Story, Error> {
    let link = catalog.links.get(&click.link);
    let rules = link.map(|link| rules(tx, link, click)).transpose()?;
    let (requests, more_requests) = requests(tx, click.id)?;
    let conversions = conversion::by_click(tx, click.id)?;
    let conversions = conversions.into_iter().map(|own| converted(tx, own)).collect::<Result<_, _>>()?;
    Ok(Story {
        click: Some(visited(click, link.map(AsRef::as_ref))),
        rules,
        requests,
        more_requests,
        conversions,
    })
}

/// The story of a request that is about no click of ours, with every other request about the same.
pub fn without_click(tx: &mut Tx<'_>, one: Logged) -> Result<Story, Error> {
    let (requests, more_requests) = match one.click {
        Some(click) => requests(tx, click)?,
        None => (vec![request(one)], false),
    };
    Ok(Story { click: None, rules: None, requests, more_requests, conversions: Vec::new() })
}

fn requests(tx: &mut Tx<'_>, click: ClickId) -> Result<(Vec<Request>, bool), Error> {
    let logged = inbound::by_click(tx, click, MAX_REQUESTS + 1)?;
    let most = usize::try_from(MAX_REQUESTS).unwrap_or(usize::MAX);
    let more = logged.len() > most;
    Ok((logged.into_iter().take(most).map(request).collect(), more))
}

fn request(logged: Logged) -> Request {
    // `rejected:<reason>` carries its reason behind the code.
    let code = logged.code.split(':').next().unwrap_or_default();
    Request {
        id: logged.id,
        at: At(logged.at),
        address: logged.address,
        method: logged.method,
        target: logged.target,
        body: logged.body,
        http_status: code.parse::<Answer>().ok().map(Answer::status),
        code: logged.code,
        message: logged.message,
        conversion: logged.conversion,
        steps: logged.steps,
    }
}

fn visited(click: &Click, link: Option<&Link>) -> Visited {
    let facts = &click.facts;
    let marks = [
        (Marks::PREFETCH, "prefetch"),
        (Marks::TEST, "test"),
        (Marks::BOT, "bot"),
        (Marks::FELL_BACK, "fell_back"),
        (Marks::REFUSED, "refused"),
        (Marks::REPEAT, "repeat"),
    ];
    let redirected = !facts.destination.is_empty();
    Visited {
        id: click.id,
        at: At(click.id.at()),
        link: click.link,
        owner: link.map(owner),
        pub_click_id: click.pub_click_id.clone(),
        pub_member_id: click.pub_member_id.clone(),
        parameters: facts.parameters.iter().map(|(param, value)| (param.code(), value.clone())).collect(),
        address: facts.address.map(|address| address.to_string()),
        user_agent: facts.user_agent.clone(),
        country: facts.country,
        region: facts.region.clone(),
        device: facts.device,
        os: facts.os.clone(),
        browser: facts.browser.clone(),
        marks: marks.iter().filter(|(mark, _)| click.marks.has(*mark)).map(|(_, name)| *name).collect(),
        verdict: click.verdict,
        http_status: http_status(click),
        message: facts.message.clone(),
        sent_to: redirected.then(|| facts.destination.clone()),
    }
}

/// The status that was answered: a flagged verdict redirects, unless the offer refuses it.
fn http_status(click: &Click) -> u16 {
    match click.verdict.status() {
        _ if !click.facts.destination.is_empty() => 302,
        302 => 400,
        status => status,
    }
}

fn owner(link: &Link) -> Owner {
    let offer = &link.offer;
    Owner {
        network: offer.network.label.clone(),
        offer: offer.id,
        offer_slug: offer.slug.clone(),
        offer_name: offer.name.clone(),
        advertiser: offer.advertiser.slug.clone(),
        partner: link.partner.slug.clone(),
        partner_name: link.partner.name.clone(),
    }
}

/// Decides again over what was recorded. A parameter that could not be read was not kept; of such a click
/// only the message is left.
fn rules(tx: &mut Tx<'_>, link: &Link, click: &Click) -> Result<Rules, Error> {
    if click.verdict == Verdict::ParameterMalformed {
        let detail = click.facts.message.clone();
        let steps = vec![Step { rule: "parameters readable".into(), passed: false, detail }];
        return Ok(Rules { verdict: click.verdict, agrees: true, steps });
    }
    let member = click.pub_member_id.as_deref().unwrap_or_default();
    let standing = Recorded::read(tx, link, member, click.id.at(), Some(click.id))?;
    let recalled = Recalled::of(click);
    let visit = Visit::read(&recalled.query);
    let visitor = recalled.visitor(&visit, link);
    let mut steps = Vec::new();
    let decision = rule::decide(link, &visitor, &standing, &mut steps);
    Ok(Rules { verdict: decision.verdict, agrees: decision.verdict == click.verdict, steps })
}

fn converted(tx: &mut Tx<'_>, own: domain::conversion::Conversion) -> Result<Converted, Error> {
    let history = conversion::changes(tx, own.id)?;
    let deliveries = delivery::by_conversion(tx, own.id)?;
    Ok(Converted {
        id: own.id,
        at: At(own.received),
        event: (!own.event_code.is_empty()).then_some(own.event_code),
        status: own.status,
        reason: own.reason,
        holds_place: own.holds_place,
        test: own.test,
        waits: own.waits.map(|wait| Waits { what: wait.what, until: At(wait.until) }),
        winner: own.winner.map(|id| winner(tx, id)).transpose()?,
        advertiser_id: own.advertiser_key,
        amount: own.amount.map(Sum::from),
        revenue: own.revenue.into(),
        payout: own.payout.into(),
        address: own.address,
        parameters: own.kept,
        history: history
            .into_iter()
            .map(|changed| Changed {
                at: At(changed.at),
                status: changed.status,
                reason: changed.reason,
                actor: changed.actor,
                note: changed.note,
            })
            .collect(),
        deliveries: deliveries.into_iter().map(told).collect(),
    })
}

fn winner(tx: &mut Tx<'_>, id: ConversionId) -> Result<Winner, Error> {
    let found = conversion::find(tx, id)?;
    Ok(Winner {
        id,
        at: found.as_ref().map(|own| At(own.received)),
        click: found.as_ref().map(|own| own.click),
        status: found.as_ref().map(|own| own.status),
    })
}

fn told(shown: delivery::Shown) -> Told {
    Told {
        id: shown.id,
        at: At(shown.created),
        postback: shown.postback,
        status: shown.status,
        origin: Origin::code(shown.origin),
        state: DeliveryState::code(shown.state),
        next_attempt: (shown.state == DeliveryState::Pending).then_some(At(shown.next_attempt)),
        attempts: shown
            .attempts
            .into_iter()
            .map(|attempt| Attempted {
                at: At(attempt.started),
                elapsed_ms: attempt.elapsed_ms,
                method: attempt.method,
                url: attempt.url,
                body: attempt.body,
                result: attempt.result,
                http_status: attempt.http_status,
                answer: attempt.answer,
            })
            .collect(),
    }
}
