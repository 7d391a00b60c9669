//! The advertiser's pages and the forms on them.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::log::{Sent, Visit};
use super::postback::{self, Postback};
use super::{Kind, Offer, Shop};
use crate::clock;
use crate::page::{self, Missing};
use crate::query::{self, Pair};

/// The parameter in which the destination link carries Pitlane's click id.
const CLICK_ID: &str = "click_id";

#[derive(Template)]
#[template(path = "advertiser/index.html")]
struct Index<'a> {
    role: &'static str,
    name: &'a str,
    offers: &'a [Offer],
    visits: Vec<ShownVisit>,
    postbacks: Vec<Arc<Postback>>,
}

struct ShownVisit {
    at: String,
    href: String,
    offer: String,
    click_id: String,
    times: u64,
}

#[derive(Template)]
#[template(path = "advertiser/landing.html")]
struct Landing<'a> {
    role: &'static str,
    name: &'a str,
    offer: &'a Offer,
    query: &'a str,
    click_id: &'a str,
    /// Everything that arrived beside the click id.
    others: Vec<&'a Pair>,
    postbacks: Vec<Arc<Postback>>,
}

impl Landing<'_> {
    fn has_amount(&self) -> bool {
        self.offer.kind == Kind::RevShare
    }
}

/// The form under the buttons; an empty field is not sent on.
#[derive(Deserialize)]
pub(super) struct Completion {
    #[serde(default)]
    landing_query: String,
    #[serde(default)]
    event_id: String,
    #[serde(default)]
    amount: String,
    #[serde(default)]
    conversion_id: String,
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
pub(super) struct Again {
    number: u64,
}

pub(super) async fn index(State(shop): State<Arc<Shop>>) -> Response {
    let index = Index {
        role: "advertiser",
        name: &shop.settings.name,
        offers: &shop.settings.offers,
        visits: shop.log.visits().into_iter().map(shown).collect(),
        postbacks: shop.log.postbacks(),
    };
    page::answer(StatusCode::OK, &index)
}

fn shown(visit: Visit) -> ShownVisit {
    let click_id = query::first(&query::decode(visit.query.as_bytes()), CLICK_ID).to_owned();
    ShownVisit {
        at: clock::show(visit.last_at_ms),
        href: landing_url(&visit.offer, &visit.query),
        offer: visit.offer,
        click_id,
        times: visit.times,
    }
}

pub(super) async fn landing(
    State(shop): State<Arc<Shop>>,
    Path(slug): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let Some(offer) = shop.offer(&slug) else { return no_offer(&shop) };
    let query = query.unwrap_or_default();
    shop.log.visit(&slug, &query);
    let pairs = query::decode(query.as_bytes());
    let mut postbacks = shop.log.postbacks();
    postbacks.retain(|at| at.offer == slug && at.landing_query == query);
    let landing = Landing {
        role: "advertiser",
        name: &shop.settings.name,
        offer,
        query: &query,
        click_id: query::first(&pairs, CLICK_ID),
        others: pairs.iter().filter(|(name, _)| name != CLICK_ID).collect(),
        postbacks,
    };
    page::answer(StatusCode::OK, &landing)
}

pub(super) async fn complete(
    State(shop): State<Arc<Shop>>,
    Path(slug): Path<String>,
    Form(completion): Form<Completion>,
) -> Response {
    let Some(offer) = shop.offer(&slug) else { return no_offer(&shop) };
    let parameters = completion.parameters(offer);
    // It comes back from a form, and goes into a header.
    let landing_query = query::visible(&completion.landing_query);
    fire(&shop, slug, landing_query, parameters, None).await
}

/// Sends a postback again, byte for byte.
pub(super) async fn again(
    State(shop): State<Arc<Shop>>,
    Path(slug): Path<String>,
    Form(again): Form<Again>,
) -> Response {
    let kept = shop.log.postbacks().into_iter().find(|at| at.number == again.number && at.offer == slug);
    let Some(first) = kept else {
        let what = "That postback is no longer kept. Complete the action again for a new one.";
        return Missing { role: "advertiser", name: &shop.settings.name, what }.answer();
    };
    fire(&shop, slug, first.landing_query.clone(), first.parameters.clone(), Some(first.number)).await
}

impl Completion {
    /// The postback's parameters in the wire contract's order, without the token.
    fn parameters(&self, offer: &Offer) -> Vec<Pair> {
        let landing = query::decode(self.landing_query.as_bytes());
        let mut parameters = vec![("gk_click_id".to_owned(), query::first(&landing, CLICK_ID).to_owned())];
        let currency = if self.amount.is_empty() { "" } else { offer.currency.as_str() };
        for (name, value) in [
            ("cnv_event_id", self.event_id.as_str()),
            ("cnv_amount", self.amount.as_str()),
            ("cnv_currency", currency),
            ("cnv_conversion_id", self.conversion_id.as_str()),
            ("cnv_status", self.status.as_str()),
        ] {
            if !value.is_empty() {
                parameters.push((name.to_owned(), value.to_owned()));
            }
        }
        parameters
    }
}

async fn fire(
    shop: &Shop,
    offer: String,
    landing_query: String,
    parameters: Vec<Pair>,
    repeats: Option<u64>,
) -> Response {
    let base = shop.settings.postback_base.clone();
    let at_ms = clock::now_ms();
    let answer = postback::send(&shop.client, &base, &shop.settings.token, &parameters).await;
    let url = landing_url(&offer, &landing_query);
    let number = shop.log.postback(Sent { offer, landing_query, base, parameters, repeats, at_ms, answer });
    (StatusCode::SEE_OTHER, [(header::LOCATION, format!("{url}#postback-{number}"))]).into_response()
}

/// The landing page's path with its query.
fn landing_url(slug: &str, landing_query: &str) -> String {
    let path = format!("/{}", query::encode_value(slug));
    if landing_query.is_empty() { path } else { query::append(&path, landing_query) }
}

fn no_offer(shop: &Shop) -> Response {
    let what = "There is no offer at this address. The list of offers is on the first page.";
    Missing { role: "advertiser", name: &shop.settings.name, what }.answer()
}
