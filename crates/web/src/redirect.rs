//! The hot path: one hit on a tracking link, wire contract §1.
//!
//! The order is the promise: look the link up, decide, record, wait until the record is durable, answer. A visitor is
//! never sent on by a click that could still be lost. Up to the record everything is read from memory; the only wait
//! is for the disk, shared with every other click of the moment. What is allocated is what is kept: the destination,
//! the partner's values and the user agent go into the record.

#[cfg(test)]
mod cost;

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Instant;

use axum::http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, LOCATION, REFERRER_POLICY, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;
use domain::catalog::Catalog;
use domain::click::{self, Click, Facts, Marks, Verdict};
use domain::id::{ClickId, LinkId};
use domain::link::Link;
use domain::sketch::{Recent, Seen};
use domain::test_mode;
use domain::visit::{Param, Visit};
use domain::visitor::Visitor;
use http_body_util::Full;
use store::Ticket;
use store::live::Known;

use crate::app::App;
use crate::error::{self, Fault};
use crate::meter::Meter;
use crate::origin;

/// Where tracking links live; the link's id follows.
pub(crate) const PREFIX: &str = "/api/v1/offer-link/redirect/";

const CLICK_VERDICT: HeaderName = HeaderName::from_static("x-click-verdict");

/// How browsers say that they fetch ahead of a visit that may never come.
const FETCH_AHEAD: [HeaderName; 4] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-moz"),
    HeaderName::from_static("x-purpose"),
];

/// Headers of a redirect, and room for those that others add.
const HEADERS: usize = 6;

const MAX_USER_AGENT_BYTES: usize = 512;

/// Answers one hit on a tracking link.
pub(crate) async fn follow(app: &App, meter: &Meter, peer: IpAddr, head: &Parts) -> Response<Full<Bytes>> {
    let recording = match head.method {
        Method::GET => true,
        // Answers what a GET would, and makes no click.
        Method::HEAD => false,
        _ => return error::wrong_method("GET, HEAD", &app.ambient, &head.headers),
    };
    let Some(hit) = look(app, peer, head) else {
        meter.click(Verdict::LinkUnknown);
        return unknown(app, head);
    };
    let asked = Instant::now();
    let ticket = recording.then(|| store::click::append(&app.db, &app.live.texts, &hit.click));
    // Hundreds of hits wait at once. What the record has taken is let go of before, and used again by the next.
    let reply = hit.reply();
    if let Some(ticket) = ticket {
        if let Err(why) = durable(ticket).await {
            meter.not_recorded("click", &why, reply.id.at());
            meter.click(Verdict::NotRecorded);
            return not_recorded(app, head);
        }
        meter.click_durable(asked.elapsed());
        if let Some(seen) = reply.seen {
            app.live.sketches.learn_seen(reply.link, seen);
        }
        meter.click(reply.verdict);
    }
    reply.answer(&head.headers)
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
fn look(app: &App, peer: IpAddr, head: &Parts) -> Option<Hit> {
    let now = app.ambient.now();
    // The snapshot is borrowed, not locked, and let go of before anything waits.
    let catalog = app.live.catalog.load();
    let link = link(&catalog, head)?;
    let query = head.uri.query().unwrap_or_default();
    let mut visit = Visit::read(query);
    let is_test = test_mode::enter(&catalog, link, query, now, &mut visit);

    let address = origin::client(peer, &head.headers, &app.settings.proxies);
    let user_agent = user_agent(&head.headers);
    let agent = app.visitors.agent(&user_agent);
    let whereabouts = app.visitors.whereabouts(address);
    let visitor = Visitor {
        visit: &visit,
        address,
        whereabouts: &whereabouts,
        agent: &agent,
        languages: text(&head.headers, &ACCEPT_LANGUAGE),
        now,
        trusts_partner: link.offer.rules.trusts_partner_place,
    };
    let seen = seen(&visitor, &user_agent);
    let window_s = app.settings.repeat_window_s;
    let recent = seen.map_or_else(Recent::default, |seen| app.live.sketches.recent(link.id, seen, window_s));
    let known = Known { live: &app.live, catalog: &catalog, recent };
    let decision = click::decide(link, &visitor, &known, &mut ());

    let mut marks = Marks::default();
    for (holds, mark) in [
        (is_test, Marks::TEST),
        (is_fetch_ahead(&head.headers), Marks::PREFETCH),
        (app.visitors.is_bot(address, &agent), Marks::BOT),
    ] {
        marks = if holds { marks.with(mark) } else { marks };
    }
    let (id, random) = (ClickId(app.ambient.new_id(now)), (app.ambient.random)());
    let hit = click::Hit { id, link, visitor: &visitor, user_agent: &user_agent, random, marks };
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
fn link<'c>(catalog: &'c Catalog, head: &Parts) -> Option<&'c Link> {
    let id: LinkId = head.uri.path().strip_prefix(PREFIX)?.parse().ok()?;
    let link = catalog.links.get(&id)?;
    let network = catalog.network_of_host(origin::host(head))?;
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
        let Click { id, link, verdict, facts, .. } = self.click;
        let Facts { destination, message, .. } = facts;
        Reply { id, link, verdict, destination, message, parameter: self.parameter, seen: self.seen }
    }
}

/// What is left of a hit while its record is on the way to the disk.
struct Reply {
    id: ClickId,
    link: LinkId,
    verdict: Verdict,
    destination: String,
    message: String,
    parameter: Option<Cow<'static, str>>,
    seen: Option<Seen>,
}

impl Reply {
    fn answer(self, request: &HeaderMap) -> Response<Full<Bytes>> {
        let mut answer = if self.destination.is_empty() {
            let (parameter, id) = (self.parameter.as_deref(), self.id);
            Fault::of_click(self.verdict, &self.message, parameter, id.uuid(), id.at()).answer(request)
        } else {
            redirect(self.destination)
        };
        answer.headers_mut().insert(CLICK_VERDICT, HeaderValue::from_static(self.verdict.code()));
        answer
    }
}

/// The advertiser does not learn the page that the visitor came from: it may carry the partner's ids.
fn redirect(destination: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::FOUND;
    let headers = answer.headers_mut();
    *headers = HeaderMap::with_capacity(HEADERS);
    // Sendable by what was looked at before the click was recorded.
    headers.extend(HeaderValue::from_maybe_shared(Bytes::from(destination)).ok().map(|to| (LOCATION, to)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

/// Nothing is known that the hit could be recorded under; it is only counted.
fn unknown(app: &App, head: &Parts) -> Response<Full<Bytes>> {
    let message = "No such tracking link; copy the whole link again from where you were given it";
    unrecorded(app, head, Verdict::LinkUnknown, message)
}

fn not_recorded(app: &App, head: &Parts) -> Response<Full<Bytes>> {
    unrecorded(app, head, Verdict::NotRecorded, "The click could not be recorded; try again in a moment")
}

fn unrecorded(app: &App, head: &Parts, verdict: Verdict, message: &str) -> Response<Full<Bytes>> {
    let at = app.ambient.now();
    let fault = Fault::of_click(verdict, message, None, app.ambient.new_id(at), at);
    let mut answer = fault.answer(&head.headers);
    answer.headers_mut().insert(CLICK_VERDICT, HeaderValue::from_static(verdict.code()));
    answer
}

/// A header as text; empty when it is not there or is no text.
fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The user agent as text, cut to what is kept.
fn user_agent(headers: &HeaderMap) -> Cow<'_, str> {
    let Some(value) = headers.get(USER_AGENT) else { return Cow::Borrowed("") };
    let text = std::str::from_utf8(value.as_bytes())
        .map_or_else(|_| String::from_utf8_lossy(value.as_bytes()), Cow::Borrowed);
    if text.len() <= MAX_USER_AGENT_BYTES {
        return text;
    }
    let end = text.floor_char_boundary(MAX_USER_AGENT_BYTES);
    Cow::Owned(text[..end].to_owned())
}

fn is_fetch_ahead(headers: &HeaderMap) -> bool {
    let says_so = |value: &HeaderValue| {
        let purpose = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        purpose.contains("prefetch") || purpose.contains("preview")
    };
    FETCH_AHEAD.iter().any(|name| headers.get_all(name).iter().any(says_so))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value).unwrap());
        headers
    }

    #[test]
    fn fetches_ahead_are_recognised() {
        let ahead: [(&'static str, &[u8]); 5] = [
            ("sec-purpose", b"prefetch;prerender"),
            ("purpose", b"Prefetch"),
            ("x-moz", b"prefetch"),
            ("x-purpose", b"preview"),
            ("x-purpose", b"\xff prefetch"),
        ];
        for (name, value) in ahead {
            assert!(is_fetch_ahead(&headers(name, value)), "{name}");
        }
        assert!(!is_fetch_ahead(&headers("purpose", b"visit")));
        assert!(!is_fetch_ahead(&headers("sec-fetch-mode", b"prefetch")));
        assert!(!is_fetch_ahead(&HeaderMap::new()));
    }

    #[test]
    fn a_user_agent_is_cut_between_characters() {
        assert_eq!(user_agent(&HeaderMap::new()), "");
        assert_eq!(user_agent(&headers("user-agent", b"curl/8.5")), "curl/8.5");
        let long = "é".repeat(300);
        let cut = headers("user-agent", format!("x{long}").as_bytes());
        assert_eq!(user_agent(&cut).len(), 511);
        // Bytes that are no text grow when they are replaced; the limit holds all the same.
        assert!(user_agent(&headers("user-agent", &[0xff; 512])).len() <= MAX_USER_AGENT_BYTES);
    }
}
