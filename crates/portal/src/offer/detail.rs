//! `GET /offers/{offer}`: what an offer is, the link, and the link with a tracker's macros filled in.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use domain::id::EventId;
use domain::link::LinkApproval;
use domain::money::Rate;
use domain::offer::{Approval, Results, Terms};
use domain::time::DAY_MS;

use super::words::{self, Left};
use super::{Ask, Found, Show, address, approval_pill, find, stage_pill};
use crate::component::{Tab, UrlParts};
use crate::customise::{Form, Made, Typed, example};
use crate::page::{self, Answer, Shell};
use crate::query::Query;
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::Viewer;

#[derive(Template)]
#[template(path = "offer/details.html")]
struct Page {
    shell: Shell,
    tabs: Vec<Tab>,
    path: String,
    stage: (&'static str, &'static str),
    approval: Option<(&'static str, &'static str)>,
    ask: Ask,
    requested: bool,
    refused: bool,
    link: Option<Link>,
    headline: String,
    description: Vec<String>,
    terms: Vec<String>,
    creatives: Vec<(String, String)>,
    facts: Vec<(&'static str, String)>,
    targeting: Vec<(String, String)>,
    left: Vec<Left>,
}

/// The link with everything about it.
struct Link {
    id: String,
    url: UrlParts,
    form: Form,
    made: Made,
}

/// The part that changes while somebody types.
#[derive(Template)]
#[template(path = "offer/made.html")]
struct Part {
    made: Made,
}

/// Shows the offer.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    headers: HeaderMap,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Answer, Refused> {
    let found = find(&site, &viewer, &id).await?;
    let (network, offer) = (viewer.network.id, found.offer.id);
    let texts = site.app.db.read(move |tx| store::offer::texts_of(tx, network, offer)).await?;
    let texts = texts.ok_or(Refused::Absent)?;
    let typed = Typed::read(&Query::read(raw.as_deref()));
    let approval = found.own.map(|own| own.approval);
    let link = found.own.map(|own| {
        let address = address(&site, &viewer, &headers, own.id);
        Link {
            id: own.id.to_string(),
            url: example(&address),
            form: typed.form(),
            made: typed.made(&address),
        }
    });
    let page = Page {
        shell: found.shell(&viewer),
        tabs: found.tabs(Show::Details),
        path: found.path(),
        stage: stage_pill(&found.offer, viewer.now),
        approval: approval_pill(found.own),
        ask: found.ask(&viewer),
        requested: approval == Some(LinkApproval::Requested),
        refused: approval == Some(LinkApproval::Refused),
        link,
        headline: texts.headline,
        description: paragraphs(&texts.description),
        terms: paragraphs(&texts.terms),
        creatives: texts.creatives.into_iter().map(|own| (own.name, own.url)).collect(),
        facts: facts(&found, &viewer),
        targeting: words::targeting(&found.offer.rules.targeting),
        left: words::left(&found.offer, &site.app.live, viewer.now, &viewer.format),
    };
    Ok(page::html(StatusCode::OK, &page))
}

/// `GET /offers/{offer}/customise`: only the link that the form makes, for the script beside the form.
pub(crate) async fn customise(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    headers: HeaderMap,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Answer, Refused> {
    let own = find(&site, &viewer, &id).await?.own.ok_or(Refused::Absent)?;
    let typed = Typed::read(&Query::read(raw.as_deref()));
    let made = typed.made(&address(&site, &viewer, &headers, own.id));
    Ok(page::html(StatusCode::OK, &Part { made }))
}

fn paragraphs(text: &str) -> Vec<String> {
    text.split('\n').map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// What is fixed about an offer, as facts with their values.
fn facts(found: &Found, viewer: &Viewer) -> Vec<(&'static str, String)> {
    let offer = &found.offer;
    let mut facts = vec![("Payout", words::payout(offer, viewer.now, &viewer.format))];
    if let Results::Single(terms) = &offer.results {
        let terms = offer.terms_at(EventId::NONE, terms, viewer.now);
        facts.push(("Confirmed", confirmed(&terms)));
        if terms.repeats {
            facts.push(("Repeats", "A member may convert more than once.".to_owned()));
        }
        if matches!(terms.payout, Rate::Share(_)) {
            facts.push((
                "Currency",
                "The sale's own; sales that name none are in ".to_owned() + offer.currency.code(),
            ));
        }
    }
    facts.push(("Type", format!("{} · {}", words::kind(offer.kind()), words::money(offer.conversion_kind))));
    if !offer.categories.is_empty() {
        facts.push(("Categories", offer.categories.join(", ")));
    }
    facts.push(("Counts within", length(offer.attribution_window_ms)));
    if offer.rules.min_conversion_ms > 0 {
        facts.push(("Not sooner than", length(offer.rules.min_conversion_ms)));
    }
    let format = &viewer.format;
    facts.extend(offer.launches.map(|at| ("Starts", format.time(at))));
    facts.extend(offer.expires.map(|at| ("Ends", format.time(at))));
    facts
}

/// When a conversion becomes final.
pub(super) fn confirmed(terms: &Terms) -> String {
    match (terms.approval, terms.pending_days) {
        (Approval::Automatic, 0) => "At once".to_owned(),
        (Approval::Automatic, 1) => "By itself after one day".to_owned(),
        (Approval::Automatic, days) => format!("By itself after {days} days"),
        (Approval::Manual, _) => "By the network's decision".to_owned(),
    }
}

/// A length of time behind the click.
fn length(ms: i64) -> String {
    if ms % DAY_MS == 0 {
        return match ms / DAY_MS {
            1 => "one day after the click".to_owned(),
            days => format!("{days} days after the click"),
        };
    }
    format!("{} minutes after the click", (ms + 59_999) / 60_000)
}
