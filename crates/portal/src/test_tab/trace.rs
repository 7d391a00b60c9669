//! What became of a test: the click with each rule that looked at it, the conversions, and what the partner was told.

use askama::Template;
use domain::click::{Click, Marks, Verdict};
use domain::id::ClickId;
use jiff::tz::TimeZone;
use store::story::{Attempted, Converted, Request, Story, Told};
use web::link_check;

use crate::click_word::{self, Words};
use crate::component::UrlParts;
use crate::conversion_word;
use crate::format;
use crate::offer::Own;
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::Viewer;

/// A test as its partner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trace {
    /// Our id of the click.
    pub(super) id: String,
    /// When it was made.
    pub(super) at: String,
    /// What it carried: names and values.
    pub(super) given: Vec<(String, String)>,
    /// The verdict in words.
    pub(super) verdict: Words,
    /// Its code.
    pub(super) code: &'static str,
    /// What a visitor was answered.
    pub(super) message: String,
    /// The HTTP status of that.
    pub(super) status: u16,
    /// Each rule: whether it let the click pass, its name and what it compared.
    pub(super) steps: Vec<(bool, String, String)>,
    /// Where the visitor was sent.
    pub(super) sent_to: Option<UrlParts>,
    /// Whether that was the advertiser.
    pub(super) sends_on: bool,
    /// What was reported about it, oldest first.
    pub(super) reports: Vec<Report>,
    /// What came of it.
    pub(super) conversions: Vec<Conv>,
    /// Whether there is nothing more to come by itself.
    pub(super) done: bool,
}

/// A report of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// When.
    pub(super) at: String,
    /// The answer: kind and code.
    pub(super) answer: (&'static str, String),
    /// What was said with it.
    pub(super) message: String,
}

/// A conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conv {
    /// Its id.
    pub(super) id: String,
    /// When it was recorded.
    pub(super) at: String,
    /// The event's code; empty on single-event offers.
    pub(super) event: String,
    /// Its status: kind and word.
    pub(super) status: (&'static str, &'static str),
    /// Why it is rejected, and what that means; empty when it is not.
    pub(super) reason: (&'static str, &'static str),
    /// What it would pay.
    pub(super) payout: String,
    /// What the partner was told of it.
    pub(super) deliveries: Vec<Delivery>,
}

/// A message to one postback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    /// The postback's name.
    pub(super) postback: String,
    /// Where it stands: kind and word.
    pub(super) state: (&'static str, &'static str),
    /// When it is tried next; empty when it is over.
    pub(super) next: String,
    /// Its attempts, oldest first.
    pub(super) attempts: Vec<Attempt>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    /// When.
    pub(super) at: String,
    /// How long it took.
    pub(super) elapsed_ms: i64,
    /// `GET` or `POST`, and where to.
    pub(super) request: String,
    /// What was sent; empty with `GET`.
    pub(super) body: String,
    /// How it ended.
    pub(super) result: String,
    /// The answer's status; empty without one.
    pub(super) status: String,
    /// The answer's beginning.
    pub(super) answer: String,
}

/// The trace alone, as the live stream sends it.
#[derive(Template)]
#[template(path = "offer/trace.html")]
struct Part<'t> {
    trace: &'t Trace,
}

impl Trace {
    /// The trace as it stands in the page.
    pub(super) fn html(&self) -> Option<String> {
        Part { trace: self }.render().ok()
    }
}

/// The trace of a test click on the partner's own link; none for any other id.
pub(super) async fn of(
    site: &Site,
    viewer: &Viewer,
    own: Own,
    click: ClickId,
) -> Result<Option<Trace>, Refused> {
    let catalog = site.app.live.catalog.load_full();
    let read = site.app.db.read(move |tx| {
        let found = store::click::find(tx, click)?;
        let found = found.filter(|click| click.link == own.id && click.marks.has(Marks::TEST));
        let Some(click) = found else { return Ok(None) };
        let story = store::story::of_click(tx, &catalog, &click)?;
        Ok::<_, store::Error>(Some((click, story)))
    });
    Ok(read.await?.map(|(click, story)| told(&click, story, &viewer.zone)))
}

fn told(click: &Click, story: Story, zone: &TimeZone) -> Trace {
    let given = [("pub_click_id", &click.pub_click_id), ("pub_member_id", &click.pub_member_id)];
    let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
    let others = click.facts.parameters.iter().map(|(param, value)| (param.to_string(), value.clone()));
    let steps = story.rules.into_iter().flat_map(|rules| rules.steps).map(|mut step| {
        link_check::for_partner(&mut step);
        (step.passed, step.rule.into_owned(), step.detail)
    });
    let sends_on = click.verdict.sends_on() && !click.marks.has(Marks::REFUSED);
    let conversions: Vec<Conv> = story.conversions.into_iter().map(|own| conv(own, zone)).collect();
    let delivered = |own: &Conv| own.deliveries.iter().all(|delivery| delivery.next.is_empty());
    let destination = &click.facts.destination;
    Trace {
        id: click.id.to_string(),
        at: format::time_ms(click.id.at(), zone),
        given: given.chain(others).collect(),
        verdict: click_word::click(click),
        code: click.verdict.code(),
        message: click.facts.message.clone(),
        status: if destination.is_empty() { refusal(click.verdict) } else { 302 },
        steps: steps.collect(),
        sent_to: (!destination.is_empty()).then(|| UrlParts::new(destination)),
        sends_on,
        reports: story.requests.into_iter().map(|own| report(own, zone)).collect(),
        done: !sends_on || (!conversions.is_empty() && conversions.iter().all(delivered)),
        conversions,
    }
}

fn refusal(verdict: Verdict) -> u16 {
    if verdict.sends_on() { 400 } else { verdict.status() }
}

fn report(own: Request, zone: &TimeZone) -> Report {
    let kind = match (own.http_status, own.code.as_str()) {
        (Some(200), "recorded" | "updated") => "good",
        (Some(200), _) => "attention",
        _ => "bad",
    };
    Report { at: format::time_ms(own.at.0, zone), answer: (kind, own.code), message: own.message }
}

fn conv(own: Converted, zone: &TimeZone) -> Conv {
    Conv {
        id: own.id.to_string(),
        at: format::time_ms(own.at.0, zone),
        event: own.event.unwrap_or_default(),
        status: conversion_word::status(own.status),
        reason: own.reason.map_or(("", ""), conversion_word::reason),
        payout: own.payout.to_string(),
        deliveries: own.deliveries.into_iter().map(|told| delivery(told, zone)).collect(),
    }
}

fn delivery(told: Told, zone: &TimeZone) -> Delivery {
    let state = match told.state {
        "delivered" => ("good", "Delivered"),
        "dead" => ("bad", "Given up"),
        _ if told.attempts.is_empty() => ("info", "On its way"),
        _ => ("attention", "Tried, will be tried again"),
    };
    Delivery {
        postback: told.postback,
        state,
        next: told.next_attempt.map(|at| format::time(at.0, zone)).unwrap_or_default(),
        attempts: told.attempts.into_iter().map(|own| attempt(own, zone)).collect(),
    }
}

fn attempt(own: Attempted, zone: &TimeZone) -> Attempt {
    Attempt {
        at: format::time_ms(own.at.0, zone),
        elapsed_ms: own.elapsed_ms,
        request: format!("{} {}", own.method, own.url),
        body: own.body,
        result: own.result,
        status: own.http_status.map(|status| status.to_string()).unwrap_or_default(),
        answer: own.answer,
    }
}
