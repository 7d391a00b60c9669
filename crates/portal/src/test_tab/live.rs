//! The trace of a test as it grows: server-sent events, bounded in time and number. Without them the page is loaded
//! again.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use domain::id::{ClickId, UserId};
use futures_util::stream;

use super::trace;
use crate::offer::{Own, find};
use crate::page;
use crate::query::Query;
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::Viewer;

/// How often the record is looked at.
const LOOK: Duration = Duration::from_millis(400);
/// Looks of one stream: 40 seconds.
const MOST_LOOKS: usize = 100;
/// Streams that one user may have open, and all users together.
const PER_USER: usize = 3;
const IN_ALL: usize = 100;

/// Who has streams open.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<HashMap<UserId, usize>>);

/// A place among the streams, given back when the stream ends, however it ends.
struct Place {
    streams: Arc<Streams>,
    user: UserId,
}

impl Streams {
    fn enter(streams: &Arc<Self>, user: UserId) -> Option<Place> {
        let mut open = streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= IN_ALL || open.get(&user).is_some_and(|own| *own >= PER_USER) {
            return None;
        }
        *open.entry(user).or_default() += 1;
        Some(Place { streams: Arc::clone(streams), user })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.user) {
            *own -= 1;
        }
        open.retain(|_, own| *own > 0);
    }
}

/// What a stream remembers.
struct Watched {
    site: Arc<Site>,
    viewer: Viewer,
    own: Own,
    click: ClickId,
    /// The state that was sent last.
    sent: Option<String>,
    looks: usize,
    over: bool,
    _place: Place,
}

/// `GET /offers/{offer}/test/live`: the trace of one test whenever it has changed, until nothing more comes by itself.
pub(crate) async fn live(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Refused> {
    let own = find(&site, &viewer, &id).await?.own.ok_or(Refused::Absent)?;
    let query = Query::read(raw.as_deref());
    let click = query.get("click").and_then(|text| text.parse().ok()).ok_or(Refused::Absent)?;
    trace::of(&site, &viewer, own, click).await?.ok_or(Refused::Absent)?;
    let Some(place) = Streams::enter(&site.streams, viewer.user.id) else {
        // Tells a browser not to ask again; the page says how to go on without.
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let watched = Watched { site, viewer, own, click, sent: None, looks: 0, over: false, _place: place };
    let mut answer = Sse::new(stream::unfold(watched, next)).into_response();
    page::secure(answer.headers_mut());
    Ok(answer)
}

/// Waits for the next change; ends with an `end`, so that the browser does not ask again.
async fn next(mut watched: Watched) -> Option<(Result<Event, Infallible>, Watched)> {
    if watched.over {
        return None;
    }
    while watched.looks < MOST_LOOKS {
        watched.looks += 1;
        let Watched { site, viewer, own, click, .. } = &watched;
        let state = trace::state(site, *click).await.ok();
        if state == watched.sent {
            tokio::time::sleep(LOOK).await;
            continue;
        }
        let Some(trace) = trace::of(site, viewer, *own, *click).await.ok().flatten() else { break };
        let Some(html) = trace.html() else { break };
        watched.sent = state;
        watched.looks = if trace.done { MOST_LOOKS } else { watched.looks };
        return Some((Ok(Event::default().event("trace").data(html)), watched));
    }
    watched.over = true;
    Some((Ok(Event::default().event("end").data("end")), watched))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::id::UserId;
    use uuid::Uuid;

    use super::{IN_ALL, PER_USER, Streams};

    fn user(number: usize) -> UserId {
        UserId(Uuid::from_u128(number as u128))
    }

    #[test]
    fn streams_are_few_for_each_and_for_all_and_places_come_back() {
        let streams = Arc::new(Streams::default());
        let own: Vec<_> = (0..PER_USER).map(|_| Streams::enter(&streams, user(1)).unwrap()).collect();
        assert!(Streams::enter(&streams, user(1)).is_none());
        drop(own);
        let all: Vec<_> = (0..IN_ALL).map(|at| Streams::enter(&streams, user(at)).unwrap()).collect();
        assert!(Streams::enter(&streams, user(IN_ALL)).is_none());
        drop(all);
        assert!(streams.0.lock().unwrap().is_empty());
    }
}
