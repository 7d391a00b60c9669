//! A partner's postbacks: which there are, how they do, and each with its log.

pub(crate) mod again;
pub(crate) mod form;
pub(crate) mod secret;
pub(crate) mod trial;
mod words;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use domain::delivery::DeliveryState;
use domain::id::{DeliveryId, PostbackId};
use domain::offer::Results;
use domain::postback::{Scope, Wanted};
use domain::time::Timestamp;
use store::delivery::Listed;
use store::delivery::log::{self, Ended};
use store::postback::Kept;

pub(crate) use self::words::{method, scope, state, statuses};
use crate::component::{Choice, UrlParts};
use crate::format;
use crate::page::{self, Answer, Section, Shell};
use crate::query::Query;
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::Viewer;

/// Deliveries on one page.
const ROWS: usize = 50;

/// One postback in the list.
pub(crate) struct Line {
    pub(crate) href: String,
    pub(crate) slug: String,
    pub(crate) scope: String,
    pub(crate) method: &'static str,
    pub(crate) host: String,
    pub(crate) told: String,
    /// Pill, word, and why.
    pub(crate) state: (&'static str, &'static str, String),
    /// The last delivery: its page, how long ago, the exact time, pill and word; none before the first.
    pub(crate) last: Option<LastSent>,
    /// The share of the newest deliveries that arrived, of those that ended.
    pub(crate) share: String,
    /// Of how many.
    pub(crate) of: String,
}

/// The newest delivery of a postback.
pub(crate) struct LastSent {
    pub(crate) href: String,
    pub(crate) ago: String,
    pub(crate) at: String,
    pub(crate) pill: (&'static str, &'static str),
    pub(crate) result: String,
}

#[derive(Template)]
#[template(path = "postback/index.html")]
struct Index {
    shell: Shell,
    lines: Vec<Line>,
    /// Deliveries that are looked at for how many arrived.
    newest: String,
    may_change: bool,
}

/// What was just done, by the word in the address.
fn told(said: &str) -> Option<(&'static str, &'static str)> {
    Some(match said {
        "created" => (
            "good",
            "The postback is there. It fires from the next conversion on; send a test to see it work.",
        ),
        "updated" => ("good", "The change is kept. It holds for every attempt from now on."),
        "on" => ("good", "The postback is switched on."),
        "off" => {
            ("info", "The postback is switched off. What waited for it is given up and can be replayed.")
        }
        "removed" => {
            ("info", "The postback is removed. Its deliveries stay in the log until they are too old.")
        }
        "again" => ("good", "The delivery is due now, with a schedule that begins anew."),
        _ => return None,
    })
}

/// The frame of a page of this section, with what was just done.
pub(crate) fn shell(viewer: &Viewer, title: &str, subtitle: &str, query: &Query) -> Shell {
    let shell = Shell::new(viewer, Section::Postbacks, title, subtitle);
    let count =
        query.get("done").and_then(|done| done.parse::<u32>().ok()).map(i64::from).unwrap_or_default();
    match (query.get("said"), query.get("said").and_then(told)) {
        (_, Some((kind, words))) => shell.noting(kind, words),
        (Some("replayed"), _) => shell.noting("good", format!("Due again: {}.", viewer.format.count(count))),
        (Some("filled"), _) => {
            shell.noting("good", format!("Deliveries made: {}.", viewer.format.count(count)))
        }
        _ => shell,
    }
}

/// One of the viewer's own postbacks; another partner's is not there.
pub(crate) async fn own(site: &Site, viewer: &Viewer, id: &str) -> Result<Kept, Refused> {
    let id: PostbackId = id.parse().map_err(|_| Refused::Absent)?;
    let (network, partner) = (viewer.network.id, viewer.partner.id);
    let found = site.app.db.read(move |tx| store::postback::own(tx, network, partner, id)).await;
    found?.ok_or(Refused::Absent)
}

/// The viewer's postbacks for another page, such as an offer's: those that hold conversions of one offer, and the
/// global ones, because both fire.
pub(crate) async fn lines(site: &Site, viewer: &Viewer) -> Result<Vec<(Scope, Line)>, store::Error> {
    let (network, partner) = (viewer.network.id, viewer.partner.id);
    let all = site.app.db.read(move |tx| {
        let all = store::postback::of_partner(tx, network, partner)?;
        let each = all.into_iter().map(|kept| {
            let ended = log::ended(tx, kept.postback.id)?;
            Ok((kept, ended))
        });
        each.collect::<Result<Vec<_>, store::Error>>()
    });
    let all = all.await?;
    Ok(all.iter().map(|(kept, ended)| (kept.postback.scope, line(viewer, kept, ended))).collect())
}

fn line(viewer: &Viewer, kept: &Kept, ended: &Ended) -> Line {
    let postback = &kept.postback;
    let over = ended.delivered + ended.dead;
    let share = match over {
        0 => "–".to_owned(),
        over => viewer.format.percent(ended.delivered, over),
    };
    Line {
        href: format!("/postbacks/{}", postback.id),
        slug: postback.slug.clone(),
        scope: scope(viewer, postback.scope),
        method: method(postback.method),
        host: host(postback.url.text()),
        told: statuses(postback.wanted),
        state: words::standing(viewer, kept, ended),
        last: ended.last.as_ref().map(|last| last_sent(viewer, last)),
        share,
        of: if over == 0 {
            "none has ended yet".to_owned()
        } else {
            format!("of the last {}", viewer.format.count(over))
        },
    }
}

fn last_sent(viewer: &Viewer, last: &Listed) -> LastSent {
    LastSent {
        href: format!("/deliveries/{}", last.id),
        ago: format::ago(last.created, viewer.now),
        at: viewer.format.time(last.created),
        pill: state(last.state, last.attempts),
        result: last.result.clone(),
    }
}

/// Where a URL leads to, without what it tells.
fn host(url: &str) -> String {
    url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// The list.
pub(crate) async fn index(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    RawQuery(raw): RawQuery,
) -> Result<Answer, Refused> {
    let lines: Vec<Line> = lines(&site, &viewer).await?.into_iter().map(|(_, line)| line).collect();
    let subtitle = match lines.len() {
        0 => "none yet".to_owned(),
        1 => "one postback tells you of conversions".to_owned(),
        many => format!("{many} postbacks tell you of conversions"),
    };
    let shell = shell(&viewer, "Postbacks", &subtitle, &Query::read(raw.as_deref()));
    Ok(page::html(
        StatusCode::OK,
        &Index { shell, lines, newest: viewer.format.count(log::NEWEST), may_change: viewer.may_change() },
    ))
}

/// One delivery in a log.
pub(crate) struct Sent {
    pub(crate) href: String,
    pub(crate) at: String,
    pub(crate) status: &'static str,
    pub(crate) backfilled: bool,
    pub(crate) pill: (&'static str, &'static str),
    pub(crate) attempts: i64,
    pub(crate) result: String,
    pub(crate) next: String,
    pub(crate) conversion: String,
}

pub(crate) fn sent(viewer: &Viewer, own: &Listed) -> Sent {
    let waits = own.state == DeliveryState::Pending;
    Sent {
        href: format!("/deliveries/{}", own.id),
        at: viewer.format.time(own.created),
        status: own.status.code(),
        backfilled: own.origin == domain::delivery::Origin::Backfill,
        pill: state(own.state, own.attempts),
        attempts: own.attempts,
        result: own.result.clone(),
        next: if waits { viewer.format.time(own.next_attempt) } else { String::new() },
        conversion: own.conversion.to_string(),
    }
}

#[derive(Template)]
#[template(path = "postback/show.html")]
struct Show {
    shell: Shell,
    id: String,
    line: Line,
    url: UrlParts,
    enabled: bool,
    created: String,
    rows: Vec<Sent>,
    states: Vec<Choice>,
    since: String,
    since_wrong: &'static str,
    filtered: bool,
    newer: String,
    older: String,
    trial: trial::Draft,
    may_change: bool,
}

/// One postback with its log: filters and page in the address.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Answer, Refused> {
    let kept = own(&site, &viewer, &id).await?;
    render(&site, &viewer, &kept, &Query::read(raw.as_deref()), trial::Draft::default()).await
}

/// The page of a postback, perhaps with a test that could not be sent.
pub(crate) async fn render(
    site: &Site,
    viewer: &Viewer,
    kept: &Kept,
    query: &Query,
    trial: trial::Draft,
) -> Result<Answer, Refused> {
    let postback = &kept.postback;
    let path = format!("/postbacks/{}", postback.id);
    let state = query.get("state").and_then(|state| state.parse::<DeliveryState>().ok());
    let since = since(query, viewer);
    let ask = log::Page {
        state,
        since: since.unwrap_or(Timestamp::from_ms(0)),
        before: query.get("before").and_then(position),
        limit: i64::try_from(ROWS + 1).unwrap_or(i64::MAX),
    };
    let whose = (postback.network, postback.partner, postback.id);
    let id = postback.id;
    let read = site
        .app
        .db
        .read(move |tx| Ok::<_, store::Error>((log::ended(tx, id)?, log::of_postback(tx, whose, &ask)?)));
    let (ended, mut found) = read.await?;
    let more = found.len() > ROWS;
    found.truncate(ROWS);
    let older = found.last().filter(|_| more).map(|last| format!("{}.{}", last.created.ms(), last.id));
    let line = line(viewer, kept, &ended);
    let subtitle = format!("{}, {}", line.scope, line.state.1.to_lowercase());
    let page = Show {
        shell: shell(viewer, &postback.slug, &subtitle, query).below("/postbacks", "Postbacks"),
        id: postback.id.to_string(),
        url: UrlParts::new(postback.url.text()),
        enabled: postback.enabled,
        created: viewer.format.time(kept.created),
        rows: found.iter().map(|own| sent(viewer, own)).collect(),
        states: states(state),
        since: query.get("since").unwrap_or_default().to_owned(),
        since_wrong: if query.get("since").is_some() && since.is_none() { BAD_SINCE } else { "" },
        filtered: state.is_some() || since.is_some(),
        newer: if query.get("before").is_some() { query.at_start().url(&path) } else { String::new() },
        older: older.map(|older| query.without("said").with("before", &older).url(&path)).unwrap_or_default(),
        may_change: viewer.may_change(),
        trial,
        line,
    };
    Ok(page::html(StatusCode::OK, &page))
}

/// What a date that cannot be read is answered with.
pub(crate) const BAD_SINCE: &str =
    "Write a day such as 2026-11-22, or a day and time such as 2026-11-22 20:00.";

/// The time from which on: a day or a time of the viewer's zone; none when it was not given or cannot be read.
pub(crate) fn since(query: &Query, viewer: &Viewer) -> Option<Timestamp> {
    words::moment(query.get("since")?, &viewer.zone)
}

fn position(text: &str) -> Option<(Timestamp, DeliveryId)> {
    let (at, id) = text.split_once('.')?;
    Some((Timestamp::from_ms(at.parse().ok()?), id.parse().ok()?))
}

fn states(chosen: Option<DeliveryState>) -> Vec<Choice> {
    let all = [
        ("", "Any state"),
        ("pending", "Waiting or retrying"),
        ("delivered", "Delivered"),
        ("dead", "Given up"),
    ];
    let code = chosen.map_or("", DeliveryState::code);
    all.map(|(value, word)| Choice::new(value, word, value == code)).to_vec()
}

/// Every scope that the viewer may choose: value and word.
pub(crate) fn scopes(viewer: &Viewer, chosen: &str) -> Vec<Choice> {
    let mut links: Vec<_> = viewer.links().collect();
    links.sort_by(|a, b| a.offer.name.cmp(&b.offer.name));
    let mut all = vec![Choice::new("", "Every conversion of every offer", chosen.is_empty())];
    for link in links.into_iter().take(MOST_CHOICES) {
        let (id, name) = (link.offer.id.to_string(), &link.offer.name);
        all.push(Choice::new(id.clone(), name.clone(), chosen == id));
        if let Results::Multi(events) = &link.offer.results {
            for event in events.iter().filter(|event| event.visible) {
                let value = format!("{id}/{}", event.code);
                let fits = chosen == value;
                all.push(Choice::new(value, format!("{name}: only {}", event.name), fits));
            }
        }
    }
    all
}

/// Offers that a list offers.
const MOST_CHOICES: usize = 300;

/// Whether something is wanted, for the boxes of a form.
pub(crate) const fn wanted_boxes(wanted: Wanted) -> [(&'static str, &'static str, bool, &'static str); 4] {
    [
        ("on_success", "New conversions that pay", wanted.success, "Also when one that waited is approved."),
        ("on_pending", "New conversions that wait", wanted.pending, "Status Pending; nothing is paid yet."),
        (
            "on_rejected",
            "New conversions that are rejected",
            wanted.rejected,
            "Status Rejected; the payout is 0.",
        ),
        ("on_changes", "Later changes of status", wanted.changes, "Such as a conversion that is taken back."),
    ]
}
