//! Everything that is stored about one click, in the shape that `--json` writes.

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
use store::inbound::Logged;
use store::standing::Recorded;
use store::{Error, Tx, conversion, delivery, inbound};

/// The most requests that are told of one click.
const MAX_REQUESTS: i64 = 200;

/// A point in time, written as `2026-11-22T20:18:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At(pub(super) Timestamp);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// An amount as text, so that no reader makes a float of it.
#[derive(Debug, Serialize)]
pub(super) struct Sum {
    amount: String,
    currency: String,
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
pub(super) struct Story {
    /// The click; none when advertisers reported on one that is not known.
    pub(super) click: Option<Visited>,
    /// The rules, looked at again.
    pub(super) rules: Option<Rules>,
    /// What advertisers sent about it, oldest first.
    pub(super) requests: Vec<Request>,
    /// Whether they sent more.
    pub(super) more_requests: bool,
    /// What came of it, oldest first.
    pub(super) conversions: Vec<Converted>,
}

/// A click as it was recorded.
#[derive(Debug, Serialize)]
pub(super) struct Visited {
    pub(super) id: ClickId,
    pub(super) at: At,
    pub(super) link: LinkId,
    /// What the link belongs to; none when it is gone.
    pub(super) owner: Option<Owner>,
    pub(super) pub_click_id: Option<String>,
    pub(super) pub_member_id: Option<String>,
    /// The other parameters, by name.
    pub(super) parameters: BTreeMap<&'static str, String>,
    pub(super) address: Option<String>,
    pub(super) user_agent: String,
    /// ISO 3166-1, as it was found then, like the others.
    pub(super) country: Option<Country>,
    pub(super) region: Option<String>,
    pub(super) device: Option<Device>,
    pub(super) os: String,
    pub(super) browser: String,
    /// `prefetch`, `test`, `bot`, `fell_back`, `refused`, `repeat`.
    pub(super) marks: Vec<&'static str>,
    pub(super) verdict: Verdict,
    pub(super) http_status: u16,
    /// What the visitor's page or the JSON answer said; empty for a redirect.
    pub(super) message: String,
    /// The `Location`; none when there was no redirect.
    pub(super) sent_to: Option<String>,
}

/// Whose link it was.
#[derive(Debug, Serialize)]
pub(super) struct Owner {
    pub(super) network: String,
    pub(super) offer: OfferId,
    pub(super) offer_slug: String,
    pub(super) offer_name: String,
    pub(super) advertiser: String,
    pub(super) partner: String,
    pub(super) partner_name: String,
}

/// The rules as they decide over the recorded click with the settings of now and the members who had
/// completed then.
#[derive(Debug, Serialize)]
pub(super) struct Rules {
    /// What they come to.
    pub(super) verdict: Verdict,
    /// Whether that is what was decided then; if not, the settings have changed.
    pub(super) agrees: bool,
    /// Each rule that was looked at.
    pub(super) steps: Vec<Step>,
}

/// An advertiser's request.
#[derive(Debug, Serialize)]
pub(super) struct Request {
    pub(super) id: InboundId,
    pub(super) at: At,
    pub(super) address: String,
    pub(super) method: String,
    /// Path and query, secrets redacted.
    pub(super) target: String,
    /// The body, secrets redacted.
    pub(super) body: String,
    /// What was answered.
    pub(super) code: String,
    pub(super) http_status: Option<u16>,
    pub(super) message: String,
    pub(super) conversion: Option<ConversionId>,
    /// Each rule that was looked at then, up to the one that decided.
    pub(super) steps: Vec<Step>,
}

/// A conversion.
#[derive(Debug, Serialize)]
pub(super) struct Converted {
    pub(super) id: ConversionId,
    pub(super) at: At,
    /// The event's code; none on single-event offers.
    pub(super) event: Option<String>,
    pub(super) status: Status,
    pub(super) reason: Option<Reason>,
    /// Whether it holds its member's place.
    pub(super) holds_place: bool,
    /// Whether it is of a test click, and counts nowhere.
    pub(super) test: bool,
    /// What it waits for by itself; none when it does not.
    pub(super) waits: Option<Waits>,
    /// The conversion that it lost the place to.
    pub(super) winner: Option<Winner>,
    pub(super) advertiser_id: Option<String>,
    pub(super) amount: Option<Sum>,
    pub(super) revenue: Sum,
    pub(super) payout: Sum,
    pub(super) address: String,
    /// The advertiser's other parameters.
    pub(super) parameters: BTreeMap<String, String>,
    /// Every status that it had, oldest first.
    pub(super) history: Vec<Changed>,
    /// What the partner was told, oldest first.
    pub(super) deliveries: Vec<Told>,
}

/// What a pending conversion waits for by itself.
#[derive(Debug, Serialize)]
pub(super) struct Waits {
    /// `approval` or `predecessor`: the event before it.
    pub(super) what: Waiting,
    /// Until when.
    pub(super) until: At,
}

/// The conversion that holds a member's place.
#[derive(Debug, Serialize)]
pub(super) struct Winner {
    pub(super) id: ConversionId,
    pub(super) at: Option<At>,
    pub(super) click: Option<ClickId>,
    pub(super) status: Option<Status>,
}

/// A status that a conversion had.
#[derive(Debug, Serialize)]
pub(super) struct Changed {
    pub(super) at: At,
    pub(super) status: Status,
    pub(super) reason: Option<Reason>,
    /// `advertiser`, or whoever else changed it.
    pub(super) actor: String,
    /// What they said about it; empty mostly.
    pub(super) note: String,
}

/// A message to a partner's postback.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    /// Also the `webhook-id`.
    pub(super) id: DeliveryId,
    pub(super) at: At,
    /// The postback's slug; empty when it is gone.
    pub(super) postback: String,
    /// The status that it tells.
    pub(super) status: Status,
    pub(super) origin: &'static str,
    pub(super) state: &'static str,
    /// When it is tried next; none when it is over.
    pub(super) next_attempt: Option<At>,
    pub(super) attempts: Vec<Attempted>,
}

/// One attempt at it.
#[derive(Debug, Serialize)]
pub(super) struct Attempted {
    pub(super) at: At,
    pub(super) elapsed_ms: i64,
    pub(super) method: String,
    pub(super) url: String,
    pub(super) body: String,
    /// How it ended, in words.
    pub(super) result: String,
    pub(super) http_status: Option<u16>,
    /// The first 4 KiB of the answer.
    pub(super) answer: String,
}

/// The story of a click.
pub(super) fn of_click(tx: &mut Tx<'_>, catalog: &Catalog, click: &Click) -> Result<Story, Error> {
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
pub(super) fn without_click(tx: &mut Tx<'_>, one: Logged) -> Result<Story, Error> {
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
