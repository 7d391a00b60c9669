//! Sending what was once sent: a postback's deliveries of one state, and a postback's conversions since a date. Both
//! show how many before they do anything.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use domain::delivery::DeliveryState;
use domain::time::{DAY_MS, Timestamp};
use serde::Deserialize;
use serde_json::json;
use store::audit;
use store::delivery::log::{COUNTED, count_backfill, count_replay};
use store::delivery::{Run, backfill_all, replay_all};
use store::postback::Kept;

use super::{BAD_SINCE, own, shell, words};
use crate::component::Choice;
use crate::format::Format;
use crate::page::{self, Answer, Shell};
use crate::query::Query;
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::{Member, Viewer};

/// Writes of one request, each of at most 500 rows: what is left is one more press of the button.
const WRITES: usize = 20;

/// What is asked for, in an address or a form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Given {
    since: String,
    state: String,
}

impl Given {
    fn read(raw: Option<&str>) -> Self {
        let query = Query::read(raw);
        let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
        Self { since: text("since"), state: text("state") }
    }

    /// What is pending is sent anyway.
    fn state(&self) -> DeliveryState {
        let asked = self.state.parse().ok();
        asked.filter(|state| *state != DeliveryState::Pending).unwrap_or(DeliveryState::Dead)
    }

    fn since(&self, viewer: &Viewer) -> Option<Timestamp> {
        words::moment(&self.since, &viewer.zone)
    }
}

#[derive(Template)]
#[template(path = "postback/again.html")]
struct Page {
    shell: Shell,
    /// `replay` or `backfill`.
    kind: &'static str,
    action: String,
    since: String,
    since_wrong: &'static str,
    state: &'static str,
    states: Vec<Choice>,
    /// How many, in words; empty until a time is given.
    preview: String,
    /// Whether there is anything to do.
    any: bool,
    enabled: bool,
}

fn page(viewer: &Viewer, kept: &Kept, kind: &'static str, given: &Given, preview: (String, bool)) -> Page {
    let postback = &kept.postback;
    let home = format!("/postbacks/{}", postback.id);
    let title = if kind == "replay" { "Send again" } else { "Fill in since a date" };
    let wrong = !given.since.is_empty() && given.since(viewer).is_none();
    let states = [DeliveryState::Dead, DeliveryState::Delivered];
    let word = |state| {
        if state == DeliveryState::Dead { "Those that were given up" } else { "Those that were delivered" }
    };
    let choice = |state: DeliveryState| Choice::new(state.code(), word(state), state == given.state());
    Page {
        shell: shell(viewer, title, &postback.slug, &Query::default()).below(&home, &postback.slug),
        kind,
        action: format!("{home}/{kind}"),
        since: given.since.clone(),
        since_wrong: if wrong { BAD_SINCE } else { "" },
        state: given.state().code(),
        states: states.map(choice).to_vec(),
        preview: preview.0,
        any: preview.1,
        enabled: postback.enabled,
    }
}

/// How many, in words: a count that stopped says so.
fn many(count: i64, stopped: bool, format: &Format) -> String {
    let at_least = if stopped { "at least " } else { "" };
    match count {
        1 if !stopped => "1 delivery".to_owned(),
        count => format!("{at_least}{} deliveries", format.count(count)),
    }
}

/// What a replay would send.
pub(crate) async fn replay_preview(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Answer, Refused> {
    let kept = own(&site, &viewer, &id).await?;
    let mut given = Given::read(raw.as_deref());
    if given.since.is_empty() {
        given.since = viewer.format.in_files().day(viewer.now.plus_ms(-7 * DAY_MS));
    }
    let mut preview = (String::new(), false);
    if let Some(since) = given.since(&viewer) {
        let (own, state) = (kept.postback.clone(), given.state());
        let count = site.app.db.read(move |tx| count_replay(tx, &own, state, since)).await?;
        preview = (format!("This sends {} again.", many(count, count >= COUNTED, &viewer.format)), count > 0);
    }
    Ok(page::html(StatusCode::OK, &page(&viewer, &kept, "replay", &given, preview)))
}

/// What a back-fill would make.
pub(crate) async fn backfill_preview(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Answer, Refused> {
    let kept = own(&site, &viewer, &id).await?;
    let given = Given::read(raw.as_deref());
    let mut preview = (String::new(), false);
    if let Some(since) = given.since(&viewer) {
        let own = kept.postback.clone();
        let (count, more) = site.app.db.read(move |tx| count_backfill(tx, &own, since)).await?;
        let words = format!(
            "This makes {}. What the postback was told of is not told again.",
            many(count, more, &viewer.format)
        );
        preview = (words, count > 0 || more);
    }
    Ok(page::html(StatusCode::OK, &page(&viewer, &kept, "backfill", &given, preview)))
}

/// Sends again.
pub(crate) async fn replay(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    Path(id): Path<String>,
    Form(given): Form<Given>,
) -> Result<Answer, Refused> {
    let (kept, since) = ready(&site, &viewer, &id, &given).await?;
    let Some(since) = since else {
        return Ok(page::html(
            StatusCode::UNPROCESSABLE_ENTITY,
            &page(&viewer, &kept, "replay", &given, none()),
        ));
    };
    let (db, ambient, what) = (&site.app.db, site.app.ambient, (given.state(), since));
    let ran = replay_all(db, ambient, &kept.postback, what, WRITES, |_| ()).await;
    ended(&site, &viewer, &kept, "replay", &given, ran.map_err(|broken| broken.error)?).await
}

/// Fills in.
pub(crate) async fn backfill(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    Path(id): Path<String>,
    Form(given): Form<Given>,
) -> Result<Answer, Refused> {
    let (kept, since) = ready(&site, &viewer, &id, &given).await?;
    let Some(since) = since else {
        return Ok(page::html(
            StatusCode::UNPROCESSABLE_ENTITY,
            &page(&viewer, &kept, "backfill", &given, none()),
        ));
    };
    let (db, ambient) = (&site.app.db, site.app.ambient);
    let ran = backfill_all(db, ambient, &kept.postback, since, WRITES, |_| ()).await;
    ended(&site, &viewer, &kept, "backfill", &given, ran.map_err(|broken| broken.error)?).await
}

fn none() -> (String, bool) {
    (String::new(), false)
}

/// The postback, and since when if it can be done: a postback that is switched off would bury everything again.
async fn ready(
    site: &Site,
    viewer: &Viewer,
    id: &str,
    given: &Given,
) -> Result<(Kept, Option<Timestamp>), Refused> {
    let kept = own(site, viewer, id).await?;
    let since = given.since(viewer).filter(|_| kept.postback.enabled);
    Ok((kept, since))
}

/// Notes a run, wakes the worker, and shows what is left to do or where it can be watched.
async fn ended(
    site: &Site,
    viewer: &Viewer,
    kept: &Kept,
    kind: &'static str,
    given: &Given,
    ran: Run,
) -> Result<Answer, Refused> {
    site.app.bell.ring();
    let subject = format!("postback/{}/{}", viewer.partner.slug, kept.postback.slug);
    let change = json!({ "result": kind, "since": given.since, "deliveries": ran.done });
    let entry = site.entry(viewer.network.id, &viewer.user.email, subject, &change);
    site.app.db.write(move |tx| audit::record(tx, &entry)).await?;
    let Some(rest) = ran.rest else {
        let said = if kind == "replay" { "replayed" } else { "filled" };
        return Ok(page::see_other(&format!(
            "/postbacks/{}?said={said}&done={}",
            kept.postback.id, ran.done
        )));
    };
    let done = many(i64::try_from(ran.done).unwrap_or(i64::MAX), false, &viewer.format);
    let given = Given { since: rest.to_string(), state: given.state.clone() };
    let words = format!("{done} so far, and there are more. Go on to do the rest.");
    Ok(page::html(StatusCode::OK, &page(viewer, kept, kind, &given, (words, true))))
}
