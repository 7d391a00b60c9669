//! The partner's page and its postback endpoint.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;

use super::App;
use super::received::{self, Received};
use super::signature;
use crate::clock;
use crate::page::{self, Missing, ShownUrl};
use crate::serve::Cut;

/// How many postbacks the page shows, however many are kept.
const SHOWN: usize = 200;

/// Where in its app the partner shows an offer, sent as `pub_sub_1`.
const PLACEMENTS: [&str; 4] = ["offerwall", "rewards-tab", "home-banner", "newsletter"];

#[derive(Template)]
#[template(path = "partner/index.html")]
struct Index<'a> {
    role: &'static str,
    name: &'a str,
    users: Vec<User<'a>>,
    /// How many postbacks came in all.
    count: usize,
    /// Newest first.
    postbacks: Vec<Arc<Received>>,
}

struct User<'a> {
    member_id: &'a str,
    placement: &'static str,
    links: Vec<UserLink<'a>>,
}

struct UserLink<'a> {
    offer_title: &'a str,
    url: ShownUrl,
}

pub(super) async fn index(State(app): State<Arc<App>>) -> Response {
    let mut postbacks = app.inbox.all();
    postbacks.reverse();
    postbacks.truncate(SHOWN);
    let users = app.settings.users.iter().zip(PLACEMENTS.iter().cycle());
    let index = Index {
        role: "partner",
        name: &app.settings.name,
        users: users.map(|(member_id, placement)| user(&app, member_id, placement)).collect(),
        count: app.inbox.count(),
        postbacks,
    };
    page::answer(StatusCode::OK, &index)
}

/// The user with a link per offer, each with a click id that was never used before.
fn user<'a>(app: &'a App, member_id: &'a str, placement: &'static str) -> User<'a> {
    let links = app.settings.links.iter().map(|link| {
        let pairs = [
            ("pub_click_id", format!("ck-{:016x}", rand::random::<u64>())),
            ("pub_member_id", member_id.to_owned()),
            ("pub_sub_1", placement.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let url = ShownUrl::new(&link.url, &pairs, |name| match name {
            "pub_click_id" | "pub_member_id" => "required",
            _ => "optional",
        });
        UserLink { offer_title: &link.offer_title, url }
    });
    User { member_id, placement, links: links.collect() }
}

/// Receives a postback: checks it, keeps it, and only then answers as told.
pub(super) async fn postback(
    State(app): State<Arc<App>>,
    Extension(cut): Extension<Cut>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path_and_query = uri.path_and_query().map_or("/", |at| at.as_str()).to_owned();
    let payload: &[u8] = if method == Method::POST { &body } else { path_and_query.as_bytes() };
    let at_ms = clock::now_ms();
    let signature = signature::check(&app.settings.secrets, &headers, payload, at_ms.div_euclid(1000));
    let content_type = signature::text(&headers, "content-type").unwrap_or_default().to_owned();
    let behaviour = app.behaviour();
    app.inbox.put(Received {
        number: 0,
        at_ms,
        method: method.to_string(),
        parameters: received::parameters(uri.query().unwrap_or_default(), &content_type, &body),
        path_and_query,
        content_type,
        body: body.to_vec(),
        webhook_id: signature::text(&headers, "webhook-id").map(str::to_owned),
        is_test: signature::text(&headers, "x-pitlane-test") == Some("1"),
        signature,
        answer: behaviour.word(),
        accepted: behaviour.is_good(),
    });
    behaviour.answer(cut).await
}

pub(super) async fn missing(State(app): State<Arc<App>>) -> Response {
    let what = "There is nothing at this address. Postbacks go to /postback.";
    Missing { role: "partner", name: &app.settings.name, what }.answer()
}

impl Index<'_> {
    /// Which time this delivery came: one more than the kept postbacks before it with the same webhook id.
    fn attempt(&self, at: &Received) -> usize {
        let earlier = |other: &&Arc<Received>| other.webhook_id == at.webhook_id && other.number < at.number;
        if at.webhook_id.is_some() { 1 + self.postbacks.iter().filter(earlier).count() } else { 1 }
    }
}
