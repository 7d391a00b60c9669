//! The tabs of an offer's page that only show: events, postbacks, activity.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::conversion::Conversion;
use domain::id::EventId;
use domain::offer::{Event, Offer, Results};
use domain::postback::{Postback, Scope};
use domain::time::DAY_MS;

use super::detail::confirmed;
use super::{Clicked, Show, clicked, find, words};
use crate::component::{Tab, UrlParts};
use crate::conversion_word;
use crate::format::{self, Format};
use crate::page::{self, Answer, Shell};
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::{HIDDEN, Viewer};

/// Clicks and conversions in the lists.
const NEWEST: usize = 20;
/// Postbacks that are shown.
const MOST_POSTBACKS: i64 = 100;

#[derive(Template)]
#[template(path = "offer/event.html")]
struct Events {
    shell: Shell,
    tabs: Vec<Tab>,
    rows: Vec<EventRow>,
}

/// One event.
struct EventRow {
    name: String,
    code: String,
    payout: String,
    confirmed: String,
    order: String,
    repeats: bool,
}

/// `GET /offers/{offer}/events`
pub(crate) async fn events(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Answer, Refused> {
    let found = find(&site, &viewer, &id).await?;
    let offer = &found.offer;
    let rows = words::visible(offer).map(|event| {
        let terms = offer.terms_at(event.id, &event.terms, viewer.now);
        EventRow {
            name: event.name.clone(),
            code: event.code.clone(),
            payout: words::rate(terms.payout, offer.currency, &viewer.format),
            confirmed: confirmed(&terms),
            order: order(offer, event),
            repeats: terms.repeats,
        }
    });
    let page = Events { shell: found.shell(&viewer), tabs: found.tabs(Show::Events), rows: rows.collect() };
    Ok(page::html(StatusCode::OK, &page))
}

/// What an event asks of those before it. An event that partners are not shown has no name here.
fn order(offer: &Offer, event: &Event) -> String {
    let before = offer.predecessor(&event.terms);
    let named = before.map(|before| {
        if before.visible {
            format!("after {}", before.name)
        } else {
            "after a step of the advertiser's".to_owned()
        }
    });
    let deadline = event.terms.order.deadline_ms.map(|ms| match ms / DAY_MS {
        1 => "within one day of the click".to_owned(),
        days => format!("within {days} days of the click"),
    });
    let told: Vec<String> = named.into_iter().chain(deadline).collect();
    if told.is_empty() { "any time".to_owned() } else { told.join(", ") }
}

#[derive(Template)]
#[template(path = "offer/postback.html")]
struct Postbacks {
    shell: Shell,
    tabs: Vec<Tab>,
    own: Vec<PostbackRow>,
    global: Vec<PostbackRow>,
    add: String,
}

/// One postback.
struct PostbackRow {
    href: String,
    slug: String,
    scope: String,
    method: &'static str,
    url: UrlParts,
    tells: String,
    enabled: bool,
}

/// `GET /offers/{offer}/postbacks`
pub(crate) async fn postbacks(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Answer, Refused> {
    let found = find(&site, &viewer, &id).await?;
    let (partner, offer) = (Arc::clone(&viewer.partner), found.offer.id);
    let all = site.app.db.read(move |tx| store::activity::postbacks(tx, &partner, offer, MOST_POSTBACKS));
    let all = all.await?;
    let (global, own): (Vec<&Postback>, Vec<&Postback>) =
        all.iter().partition(|postback| postback.scope == Scope::Global);
    let rows = |some: Vec<&Postback>| some.into_iter().map(|own| postback_row(own, &found.offer)).collect();
    let page = Postbacks {
        shell: found.shell(&viewer),
        tabs: found.tabs(Show::Postbacks),
        own: rows(own),
        global: rows(global),
        add: if viewer.may_change() { format!("/postbacks/new?offer={offer}") } else { String::new() },
    };
    Ok(page::html(StatusCode::OK, &page))
}

fn postback_row(postback: &Postback, offer: &Offer) -> PostbackRow {
    let scope = match postback.scope {
        Scope::Global => "Every conversion of every offer".to_owned(),
        Scope::Offer(_) => "Every conversion of this offer".to_owned(),
        Scope::Event(_, event) => format!("Event {}", event_name(offer, event)),
    };
    let wanted = postback.wanted;
    let tells = [
        (wanted.success, "Success"),
        (wanted.pending, "Pending"),
        (wanted.rejected, "Rejected"),
        (wanted.changes, "changes of status"),
    ];
    let tells: Vec<&str> = tells.iter().filter(|(told, _)| *told).map(|(_, word)| *word).collect();
    PostbackRow {
        href: format!("/postbacks/{}", postback.id),
        slug: postback.slug.clone(),
        scope,
        method: postback.method.code(),
        url: UrlParts::new(postback.url.text()),
        tells: if tells.is_empty() { "nothing".to_owned() } else { tells.join(", ") },
        enabled: postback.enabled,
    }
}

fn event_name(offer: &Offer, id: EventId) -> String {
    let Results::Multi(events) = &offer.results else { return String::new() };
    let event = events.iter().find(|event| event.id == id && event.visible);
    event.map_or_else(|| HIDDEN.to_owned(), |event| event.name.clone())
}

#[derive(Template)]
#[template(path = "offer/activity.html")]
struct Activity {
    shell: Shell,
    tabs: Vec<Tab>,
    test: String,
    zone: String,
    clicks: Vec<Clicked>,
    conversions: Vec<ConversionRow>,
    all_clicks: String,
    all_conversions: String,
}

/// One conversion.
struct ConversionRow {
    id: String,
    at: String,
    event: String,
    status: (&'static str, &'static str),
    reason: (&'static str, &'static str),
    payout: String,
    pub_click_id: String,
    test: bool,
}

/// `GET /offers/{offer}/activity`
pub(crate) async fn activity(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Answer, Refused> {
    let found = find(&site, &viewer, &id).await?;
    let (own, now) = (found.own, viewer.now);
    let read = site.app.db.read(move |tx| {
        let Some(own) = own else { return Ok((Vec::new(), Vec::new())) };
        let clicks = store::activity::clicks(tx, own.id, now, NEWEST)?;
        let most = i64::try_from(NEWEST).unwrap_or(i64::MAX);
        Ok::<_, store::Error>((clicks, store::activity::conversions(tx, own.id, most)?))
    });
    let (clicks, conversions) = read.await?;
    let offer = &found.offer.slug;
    let page = Activity {
        shell: found.shell(&viewer),
        tabs: found.tabs(Show::Activity),
        test: format!("{}/test", found.path()),
        zone: format::zone(&viewer.zone, viewer.now),
        clicks: clicks.iter().map(|click| clicked(click, &viewer.format)).collect(),
        conversions: conversions
            .iter()
            .map(|own| conversion_row(own, &found.offer, &viewer.format))
            .collect(),
        all_clicks: format!("/clicks?offer={offer}"),
        all_conversions: format!("/conversions?offer={offer}"),
    };
    Ok(page::html(StatusCode::OK, &page))
}

fn conversion_row(own: &Conversion, offer: &Offer, format: &Format) -> ConversionRow {
    ConversionRow {
        id: own.id.to_string(),
        at: format.time(own.received),
        event: if own.event == EventId::NONE { String::new() } else { event_name(offer, own.event) },
        status: conversion_word::status(own.status),
        reason: own.reason.map_or(("", ""), conversion_word::reason),
        payout: format.money(own.payout),
        pub_click_id: own.pub_click_id.clone(),
        test: own.test,
    }
}
