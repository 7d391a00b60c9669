//! The Test tab of an offer's page: a test click with values of one's own, a test conversion of it, and what became of
//! both, as it happens. Tests run the whole way and touch no money, cap, member's place or report.

mod fire;
mod live;
mod trace;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use domain::id::ClickId;
use domain::money::parse_micros;
use domain::offer::{ConversionKind, OfferKind};
use domain::visit::Param;

use crate::caller::Caller;
use crate::component::{Choice, Mistakes, Tab};
use crate::offer::{Clicked, Found, Own, Show, clicked, find};
use crate::page::{self, Answer, Shell, see_other};
use crate::query::Query;
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::{Member, Viewer};

pub(crate) use self::live::{Streams, live};
use self::trace::Trace;

/// Earlier tests that are listed.
const EARLIER: i64 = 8;

#[derive(Template)]
#[template(path = "offer/test.html")]
struct Page {
    shell: Shell,
    tabs: Vec<Tab>,
    path: String,
    has_link: bool,
    may: bool,
    mistakes: Mistakes,
    click: String,
    member: String,
    subs: Vec<(&'static str, String)>,
    address: String,
    devices: Vec<Choice>,
    zone: String,
    trace: Option<Trace>,
    /// Where the live trace comes from; empty when nothing more will happen.
    live: String,
    convert: Convert,
    earlier: Vec<Clicked>,
}

/// The form of a test conversion.
struct Convert {
    /// Our id of the click; empty when there is none to convert.
    click: String,
    /// Events to choose from; none on a single-event offer.
    events: Vec<Choice>,
    /// Whether the sale's amount is asked for.
    asks_amount: bool,
    amount: String,
}

/// `GET /offers/{offer}/test`: the form, and the test that the address names.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Answer, Refused> {
    let found = find(&site, &viewer, &id).await?;
    let query = Query::read(raw.as_deref());
    page(&site, &viewer, &found, &query, Mistakes::default()).await
}

/// `POST /offers/{offer}/test/click`: makes a test click.
pub(crate) async fn click(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    caller: Caller,
    Path(id): Path<String>,
    body: String,
) -> Result<Answer, Refused> {
    let found = find(&site, &viewer, &id).await?;
    let own = found.own.ok_or(Refused::Absent)?;
    let typed = Query::read(Some(&body));
    let mut mistakes = Mistakes::default();
    let address = match typed.get("address").map(str::parse) {
        None => caller.address,
        Some(Ok(address)) => address,
        Some(Err(_)) => {
            mistakes.add("address", "That is no IP address; leave it empty for your own.");
            return page(&site, &viewer, &found, &typed, mistakes).await;
        }
    };
    let visit = fire::Visit { typed: &typed, address, agent: fire::agent(&typed, &caller) };
    if let Some(click) = fire::click(&site, &viewer, own, &visit).await? {
        return Ok(see_other(&shown(&found, click)));
    }
    mistakes.add("pub_click_id", "The test click was not recorded. Try again in a moment.");
    page(&site, &viewer, &found, &typed, mistakes).await
}

/// `POST /offers/{offer}/test/conversion`: reports a result of a test click, as the advertiser would.
pub(crate) async fn convert(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    caller: Caller,
    Path(id): Path<String>,
    body: String,
) -> Result<Answer, Refused> {
    let found = find(&site, &viewer, &id).await?;
    let own = found.own.ok_or(Refused::Absent)?;
    let typed = Query::read(Some(&body));
    let click = typed.get("click").and_then(|text| text.parse().ok()).ok_or(Refused::Absent)?;
    let amount = typed.get("amount").map(parse_micros);
    if let Some(Err(why)) = amount {
        let mut mistakes = Mistakes::default();
        mistakes.add("amount", why.to_string());
        return page(&site, &viewer, &found, &typed, mistakes).await;
    }
    let events = found.events();
    let offered = |code: &&str| events.iter().any(|(own, _)| own == code);
    let sale =
        fire::Sale { event: typed.get("event").filter(offered), amount_micros: amount.and_then(Result::ok) };
    fire::conversion(&site, &found, own, click, &sale, caller.address).await?;
    Ok(see_other(&shown(&found, click)))
}

/// The address of one test.
fn shown(found: &Found, click: ClickId) -> String {
    format!("{}/test?click={click}#trace", found.path())
}

async fn page(
    site: &Arc<Site>,
    viewer: &Viewer,
    found: &Found,
    query: &Query,
    mistakes: Mistakes,
) -> Result<Answer, Refused> {
    let asked = query.get("click").and_then(|text| text.parse().ok());
    let trace = match (found.own, asked) {
        (Some(own), Some(click)) => trace::of(site, viewer, own, click).await?,
        _ => None,
    };
    let status = if mistakes.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let path = found.path();
    let running = trace.as_ref().filter(|trace| !trace.done);
    let typed = |param: Param| query.get(param.code()).unwrap_or_default().to_owned();
    let fresh = format!("{:08x}", (site.app.ambient.random)() >> 32);
    let or = |text: String, fresh: String| if text.is_empty() { fresh } else { text };
    let page = Page {
        shell: found.shell(viewer),
        tabs: found.tabs(Show::Test),
        has_link: found.own.is_some(),
        may: viewer.may_change(),
        mistakes,
        click: or(typed(Param::ClickId), format!("test-click-{fresh}")),
        member: or(typed(Param::MemberId), format!("test-member-{fresh}")),
        subs: (1..=3).filter_map(Param::sub).map(|param| (param.code(), typed(param))).collect(),
        address: query.get("address").unwrap_or_default().to_owned(),
        devices: fire::devices(query.get("device").unwrap_or_default()),
        zone: crate::format::zone(&viewer.zone, viewer.now),
        live: running.map_or_else(String::new, |trace| format!("{path}/test/live?click={}", trace.id)),
        convert: convert_form(found, trace.as_ref(), query),
        earlier: earlier(site, viewer, found.own).await?,
        trace,
        path,
    };
    Ok(page::html(status, &page))
}

fn convert_form(found: &Found, trace: Option<&Trace>, query: &Query) -> Convert {
    let offer = &found.offer;
    let chosen = query.get("event").unwrap_or_default();
    let events = found.events().into_iter().map(|(code, name)| {
        let is = code == chosen;
        Choice::new(code, name, is)
    });
    let asks_amount = offer.conversion_kind == ConversionKind::RevShare;
    let fallback = if asks_amount { "100.00" } else { "" };
    Convert {
        click: trace.filter(|trace| trace.sends_on).map(|trace| trace.id.clone()).unwrap_or_default(),
        events: if offer.kind() == OfferKind::MultiEvent { events.collect() } else { Vec::new() },
        asks_amount,
        amount: query.get("amount").unwrap_or(fallback).to_owned(),
    }
}

async fn earlier(site: &Site, viewer: &Viewer, own: Option<Own>) -> Result<Vec<Clicked>, Refused> {
    let Some(own) = own else { return Ok(Vec::new()) };
    let clicks = site.app.db.read(move |tx| store::activity::test_clicks(tx, own.id, EARLIER)).await?;
    Ok(clicks.iter().map(|click| clicked(click, &viewer.format)).collect())
}
