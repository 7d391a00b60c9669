//! One delivery: every attempt with its request and answer, when it is tried next, and *send again*.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use domain::delivery::{DeliveryState, RETRY_MS};
use domain::id::DeliveryId;
use serde_json::json;
use store::delivery::{Attempt, Listed, log};
use store::{Error, audit};

use crate::format;
use crate::page::{self, Answer, Shell};
use crate::postback::{self, Sent};
use crate::query::Query;
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::{Member, Viewer};

/// One attempt as a page shows it.
struct Tried {
    number: usize,
    at: String,
    took: String,
    kind: &'static str,
    icon: &'static str,
    result: String,
    request: String,
    curl: String,
    answer: String,
    status: String,
}

#[allow(clippy::struct_excessive_bools, reason = "a template asks each by its name")]
#[derive(Template)]
#[template(path = "delivery/show.html")]
struct Page {
    shell: Shell,
    id: String,
    is_test: bool,
    sent: Sent,
    postback: Option<(String, String)>,
    tried: Vec<Tried>,
    /// When it is tried next: how long until then, and the exact time; empty when it has ended.
    next: (String, String),
    /// Whether an answer is soon to come: the page is worth a reload.
    soon: bool,
    enabled: bool,
    may_change: bool,
    most: usize,
}

/// A delivery with its attempts.
struct Own {
    listed: Listed,
    attempts: Vec<Attempt>,
    /// Whether it tells of a test, for which nobody is paid.
    is_test: bool,
}

/// A delivery of the viewer's own; another partner's is not there.
async fn own(site: &Site, viewer: &Viewer, id: &str) -> Result<Own, Refused> {
    let id: DeliveryId = id.parse().map_err(|_| Refused::Absent)?;
    let (network, partner) = (viewer.network.id, viewer.partner.id);
    let found = site.app.db.read(move |tx| {
        let Some((listed, attempts)) = log::own(tx, network, partner, id)? else { return Ok(None) };
        let told = store::conversion::find(tx, listed.conversion)?;
        Ok::<_, Error>(Some(Own { is_test: told.is_some_and(|told| told.test), listed, attempts }))
    });
    found.await?.ok_or(Refused::Absent)
}

/// The delivery.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Answer, Refused> {
    let Own { listed, attempts, is_test } = own(&site, &viewer, &id).await?;
    let kept = match postback::own(&site, &viewer, &listed.postback.to_string()).await {
        Ok(kept) => Some(kept),
        Err(Refused::Absent) => None,
        Err(other) => return Err(other),
    };
    let query = Query::read(raw.as_deref());
    let waits = listed.state == DeliveryState::Pending;
    let enabled = kept.as_ref().is_some_and(|kept| kept.postback.enabled);
    let subtitle = match listed.slug.as_str() {
        "" => "to a postback that was removed".to_owned(),
        slug => format!("to {slug}"),
    };
    let shell = postback::shell(&viewer, "Delivery", &subtitle, &query);
    let home =
        kept.as_ref().map(|kept| (format!("/postbacks/{}", kept.postback.id), kept.postback.slug.clone()));
    let shell = match &home {
        Some((href, slug)) => shell.below(href, slug),
        None => shell.below("/postbacks", "Postbacks"),
    };
    let page = Page {
        shell,
        id: listed.id.to_string(),
        is_test,
        sent: postback::sent(&viewer, &listed),
        postback: home,
        tried: attempts.iter().enumerate().map(|(n, attempt)| tried(&viewer, n + 1, attempt)).collect(),
        next: if waits {
            (format::ago(listed.next_attempt, viewer.now), viewer.format.time(listed.next_attempt))
        } else {
            (String::new(), String::new())
        },
        soon: waits && listed.next_attempt <= viewer.now,
        enabled,
        may_change: viewer.may_change(),
        most: RETRY_MS.len() + 1,
    };
    Ok(page::html(StatusCode::OK, &page))
}

fn tried(viewer: &Viewer, number: usize, attempt: &Attempt) -> Tried {
    let arrived = attempt.http_status.is_some_and(|status| (200..300).contains(&status));
    let (kind, icon) = if arrived { ("good", "check") } else { ("bad", "cross") };
    let mut request = format!("{} {}", attempt.method, attempt.url);
    if !attempt.body.is_empty() {
        request.push_str("\n\n");
        request.push_str(&attempt.body);
    }
    Tried {
        number,
        at: viewer.format.time_ms(attempt.started),
        took: format!("{} ms", viewer.format.count(attempt.elapsed_ms)),
        kind,
        icon,
        result: attempt.result.clone(),
        // What was sent is kept no longer once the click was erased.
        request: if attempt.url.is_empty() { String::new() } else { request },
        curl: curl(attempt),
        answer: attempt.answer.clone(),
        status: attempt.http_status.map(|status| status.to_string()).unwrap_or_default(),
    }
}

/// The same request for a shell, without the signature, which is of its moment.
fn curl(attempt: &Attempt) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    if attempt.body.is_empty() {
        return format!("curl -i {}", quoted(&attempt.url));
    }
    let json = attempt.body.starts_with('{');
    let kind = if json { "application/json" } else { "application/x-www-form-urlencoded" };
    format!("curl -i -H 'content-type: {kind}' --data-raw {} {}", quoted(&attempt.body), quoted(&attempt.url))
}

/// Sends it again, whatever became of it.
pub(crate) async fn again(
    State(site): State<Arc<Site>>,
    Member(viewer): Member,
    Path(id): Path<String>,
) -> Result<Answer, Refused> {
    let Own { listed, .. } = own(&site, &viewer, &id).await?;
    let kept = postback::own(&site, &viewer, &listed.postback.to_string()).await?;
    let to = format!("/deliveries/{}", listed.id);
    if !kept.postback.enabled {
        // The page says that the postback is to be switched on first.
        return Ok(page::see_other(&to));
    }
    let subject = format!("delivery/{}", listed.id);
    let entry =
        site.entry(viewer.network.id, &viewer.user.email, subject, &json!({ "result": "sent again" }));
    let (network, id, now) = (viewer.network.id, listed.id, viewer.now);
    let sent = site.app.db.write(move |tx| {
        let sent = store::delivery::send_again(tx, network, id, now)?;
        audit::record(tx, &entry)?;
        Ok::<_, Error>(sent)
    });
    if !sent.await? {
        return Err(Refused::Absent);
    }
    site.app.bell.ring();
    Ok(page::see_other(&format!("{to}?said=again")))
}

#[cfg(test)]
mod tests {
    use domain::time::Timestamp;

    use super::*;

    fn attempt(url: &str, body: &str) -> Attempt {
        Attempt {
            started: Timestamp::from_ms(0),
            elapsed_ms: 1,
            method: "GET".to_owned(),
            url: url.to_owned(),
            body: body.to_owned(),
            result: String::new(),
            http_status: None,
            answer: String::new(),
        }
    }

    #[test]
    fn a_request_for_a_shell_is_quoted() {
        assert_eq!(
            curl(&attempt("https://t.example/?a='$(id)'", "")),
            "curl -i 'https://t.example/?a='\\''$(id)'\\'''"
        );
        let posted = curl(&attempt("https://t.example/", "{\"a\":1}"));
        assert_eq!(
            posted,
            "curl -i -H 'content-type: application/json' --data-raw '{\"a\":1}' 'https://t.example/'"
        );
    }
}
