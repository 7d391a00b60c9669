//! The hot path: one hit on a tracking link, wire contract §1.
//!
//! The order is the promise: look the link up, decide, record, wait until the record is durable, answer. A visitor is
//! never sent on by a click that could still be lost. Up to the record everything is read from memory; the only wait
//! is for the disk, shared with every other click of the moment. What is allocated is what is kept: the destination,
//! the partner's values and the user agent go into the record.

mod asked;
#[cfg(test)]
mod cost;

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Instant;

use axum::http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;
use domain::catalog::Catalog;
use domain::click::{self, Click, Facts, Marks, Verdict};
use domain::id::{ClickId, LinkId};
use domain::link::Link;
use domain::sketch::{Recent, Seen};
use domain::test_mode;
use domain::time::Timestamp;
use domain::visit::{Param, Visit};
use domain::visitor::Visitor;
use http_body_util::Full;
use store::Ticket;
use store::live::Known;
use uuid::Uuid;

use crate::app::App;
use crate::error::{self, Fault};
use crate::meter::Meter;

pub(crate) use self::asked::{Asked, Ordinary};

/// Where tracking links live; the link's id follows.
pub(crate) const PREFIX: &str = "/api/v1/offer-link/redirect/";

const CLICK_VERDICT: HeaderName = HeaderName::from_static("x-click-verdict");

/// Goes with every redirect. The advertiser does not learn the page that the visitor came from: it may carry the
/// partner's ids.
const PRIVATE: [(HeaderName, &str); 2] = [(CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer")];

/// Headers of a redirect, and room for those that others add.
const HEADERS: usize = 6;

/// Answers a request for a tracking link, whatever it looks like. Most come as [`Ordinary::read`] expects them and are
/// answered before there is a request: see `listen::lane`.
pub(crate) async fn answer(app: &App, meter: &Meter, peer: IpAddr, head: &Parts) -> Response<Full<Bytes>> {
    let recording = match head.method {
        Method::GET => true,
        // Answers what a GET would, and makes no click.
        Method::HEAD => false,
        _ => return error::wrong_method("GET, HEAD", &app.ambient, &head.headers),
    };
    let asked = Asked::of(head, peer, &app.settings.proxies);
    follow(app, meter, &asked, recording).await.answer(&head.headers)
}

/// Follows one hit on a tracking link, and records it if that is wanted.
pub(crate) async fn follow(app: &App, meter: &Meter, asked: &Asked<'_>, recording: bool) -> Reply {
    let Some(hit) = look(app, asked) else {
        meter.click(Verdict::LinkUnknown);
        return unrecorded(app, Verdict::LinkUnknown);
    };
    let began = Instant::now();
    let ticket = recording.then(|| store::click::append(&app.db, &app.live.texts, &hit.click));
    // Hundreds of hits wait at once. What the record has taken is let go of before, and used again by the next.
    let (link, seen, reply) = (hit.click.link, hit.seen, hit.reply());
    if let Some(ticket) = ticket {
        if let Err(why) = durable(ticket).await {
            meter.not_recorded("click", &why, reply.at);
            meter.click(Verdict::NotRecorded);
            return unrecorded(app, Verdict::NotRecorded);
        }
        meter.click_durable(began.elapsed());
        if let Some(seen) = seen {
            app.live.sketches.learn_seen(link, seen);
        }
        meter.click(reply.verdict);
    }
    reply
}

/// A hit on a known link, decided and not yet recorded.
struct Hit {
    click: Click,
    /// How the link's sketch learns it, when it does.
    seen: Option<Seen>,
    /// The parameter to mend, when one is at fault.
    parameter: Option<Cow<'static, str>>,
}

/// Decides about a hit from memory alone; `None` when there is no such link.
fn look(app: &App, asked: &Asked<'_>) -> Option<Hit> {
    let now = app.ambient.now();
    // The snapshot is borrowed, not locked, and let go of before anything waits.
    let catalog = app.live.catalog.load();
    let link = link(&catalog, asked)?;
    let mut visit = Visit::read(asked.query);
    let is_test = test_mode::enter(&catalog, link, asked.query, now, &mut visit);

    let (address, user_agent) = (asked.address, &*asked.user_agent);
    let agent = app.visitors.agent(user_agent);
    let whereabouts = app.visitors.whereabouts(address);
    let visitor = Visitor {
        visit: &visit,
        address,
        whereabouts: &whereabouts,
        agent: &agent,
        languages: asked.languages,
        now,
        trusts_partner: link.offer.rules.trusts_partner_place,
    };
    let seen = seen(&visitor, user_agent);
    let window_s = app.settings.repeat_window_s;
    let recent = seen.map_or_else(Recent::default, |seen| app.live.sketches.recent(link.id, seen, window_s));
    let known = Known { live: &app.live, catalog: &catalog, recent };
    let decision = click::decide(link, &visitor, &known, &mut ());

    let mut marks = Marks::default();
    for (holds, mark) in [
        (is_test, Marks::TEST),
        (asked.fetches_ahead, Marks::PREFETCH),
        (app.visitors.is_bot(address, &agent), Marks::BOT),
    ] {
        marks = if holds { marks.with(mark) } else { marks };
    }
    let (id, random) = (ClickId(app.ambient.new_id(now)), (app.ambient.random)());
    let hit = click::Hit { id, link, visitor: &visitor, user_agent, random, marks };
    let mut click = hit.decided(decision);
    let seen = seen.filter(|_| click.is_learnt());
    if seen.is_some() && recent.is_repeat {
        click.marks = click.marks.with(Marks::REPEAT);
    }
    if !is_sendable(link, &click.facts.destination) {
        return None;
    }
    let parameter = parameter(click.verdict, &visit);
    Some(Hit { click, seen, parameter })
}

/// A hit with both ids, in short.
fn seen(visitor: &Visitor<'_>, user_agent: &str) -> Option<Seen> {
    let (click, member) = (visitor.visit.given(Param::ClickId)?, visitor.visit.given(Param::MemberId)?);
    Some(Seen::of(click, member, Some(visitor.address), user_agent, visitor.now))
}

/// The link that the path names, if it is one of the network that the host names.
fn link<'c>(catalog: &'c Catalog, asked: &Asked<'_>) -> Option<&'c Link> {
    let id: LinkId = asked.path.strip_prefix(PREFIX)?.parse().ok()?;
    let link = catalog.links.get(&id)?;
    let network = catalog.network_of_host(asked.host)?;
    (link.offer.network.id == network.id).then_some(link)
}

/// Whether the destination fits into a header. Saving an offer makes sure that it does; a link that still leads nowhere
/// sendable is no link.
fn is_sendable(link: &Link, destination: &str) -> bool {
    let sendable = destination.bytes().all(|byte| byte >= 0x20 && byte != 0x7f);
    if !sendable {
        tracing::error!(link = %link.id, "the stored destination does not fit into a header");
    }
    sendable
}

/// The parameter that whoever set the link up has to mend.
fn parameter(verdict: Verdict, visit: &Visit<'_>) -> Option<Cow<'static, str>> {
    match verdict {
        Verdict::MemberIdEmpty | Verdict::MemberIdMacro => Some(Param::MemberId.code().into()),
        Verdict::ClickIdEmpty | Verdict::ClickIdMacro => Some(Param::ClickId.code().into()),
        Verdict::ParameterMalformed => visit.fault().map(|fault| fault.parameter.clone().into()),
        _ => None,
    }
}

/// Returns when the click is durable. The record goes its way even if the visitor has gone.
async fn durable(ticket: Result<Ticket, store::Error>) -> Result<(), store::Error> {
    ticket?.durable().await
}

impl Hit {
    fn reply(self) -> Reply {
        let Click { id, verdict, facts, .. } = self.click;
        let Facts { destination, message, .. } = facts;
        let (at, message, parameter) = (id.at(), message.into(), self.parameter);
        Reply { id: id.uuid(), at, verdict, destination, message, parameter }
    }
}

/// Nothing was recorded: there is nothing that the hit could be recorded under, or it could not be done.
fn unrecorded(app: &App, verdict: Verdict) -> Reply {
    let message = if verdict == Verdict::LinkUnknown {
        "No such tracking link; copy the whole link again from where you were given it"
    } else {
        "The click could not be recorded; try again in a moment"
    };
    let (at, destination) = (app.ambient.now(), String::new());
    Reply { id: app.ambient.new_id(at), at, verdict, destination, message: message.into(), parameter: None }
}

/// What is left of a hit while its record is on the way to the disk, and what the visitor is told then.
pub(crate) struct Reply {
    /// The click's, or the answer's own where there is no click.
    id: Uuid,
    pub(crate) at: Timestamp,
    verdict: Verdict,
    /// Where the visitor is sent; empty when nowhere.
    destination: String,
    message: Cow<'static, str>,
    parameter: Option<Cow<'static, str>>,
}

impl Reply {
    /// Whether the visitor is sent on.
    pub(crate) fn is_redirect(&self) -> bool {
        !self.destination.is_empty()
    }

    /// The headers of a redirect.
    pub(crate) fn headers(&self) -> [(HeaderName, &str); 4] {
        let [kept, referred] = PRIVATE;
        [(LOCATION, &*self.destination), kept, referred, (CLICK_VERDICT, self.verdict.code())]
    }

    /// The answer, as a page if it is none but a word and the client prefers that.
    pub(crate) fn answer(self, request: &HeaderMap) -> Response<Full<Bytes>> {
        let mut answer = if self.is_redirect() {
            redirect(self.destination)
        } else {
            let parameter = self.parameter.as_deref();
            Fault::of_click(self.verdict, &self.message, parameter, self.id, self.at).answer(request)
        };
        answer.headers_mut().insert(CLICK_VERDICT, HeaderValue::from_static(self.verdict.code()));
        answer
    }
}

fn redirect(destination: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::FOUND;
    let headers = answer.headers_mut();
    *headers = HeaderMap::with_capacity(HEADERS);
    // Sendable by what was looked at before the click was recorded.
    headers.extend(HeaderValue::from_maybe_shared(Bytes::from(destination)).ok().map(|to| (LOCATION, to)));
    headers.extend(PRIVATE.map(|(name, value)| (name, HeaderValue::from_static(value))));
    answer
}
