//! Whether the process lives, whether it can do its work, and its figures.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use http_body_util::Full;
use serde::Serialize;

use crate::app::App;
use crate::envelope;
use crate::error::{self, Fault};
use crate::meter;
use crate::router::Site;

/// A check that takes longer has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// The process lives: always 200.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// 200 when every check passes, else 503; either way each check says what it found.
pub(crate) async fn ready(State(site): State<Arc<Site>>) -> Response<Full<Bytes>> {
    let (database, disk) = tokio::join!(database(&site.app), disk(&site.app));
    let readiness = Readiness::of(vec![database, disk, queue(&site.app), catalog(&site.app)]);
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut answer = envelope::json(status, &readiness);
    if !readiness.ready {
        error::retry_later(answer.headers_mut());
    }
    answer
}

/// Every figure, as Prometheus text.
pub(crate) async fn metrics(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response<Full<Bytes>> {
    let Some(render) = &site.app.metrics else {
        let (status, message) = (StatusCode::NOT_FOUND, "Metrics are switched off");
        return Fault::of_request(status, "not_found", message, &site.app.ambient).answer(&headers);
    };
    meter::store(&site.app.db.stats());
    let mut answer = Response::new(Full::new(Bytes::from(render())));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    checks: Vec<Check>,
}

impl Readiness {
    fn of(checks: Vec<Check>) -> Self {
        Self { ready: checks.iter().all(|check| check.ok), checks }
    }
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    detail: String,
}

impl Check {
    /// A check that ran: whether it passed, and what it saw.
    fn new(name: &'static str, ok: bool, detail: impl Into<String>) -> Self {
        Self { name, ok, detail: detail.into() }
    }
}

/// Goes through the write queue, with a real write, and the read queue like any request.
async fn database(app: &App) -> Check {
    match tokio::time::timeout(CHECK_TIMEOUT, app.db.health()).await {
        Ok(Ok(())) => Check::new("database", true, "reads and writes"),
        Ok(Err(error)) => Check::new("database", false, error.to_string()),
        Err(_) => Check::new("database", false, "no answer within 2 s"),
    }
}

async fn disk(app: &App) -> Check {
    let floor = app.settings.min_free_bytes;
    if floor == 0 {
        return Check::new("disk", true, "not checked");
    }
    let free_bytes = Arc::clone(&app.settings.free_bytes);
    let probe = tokio::task::spawn_blocking(move || free_bytes());
    match tokio::time::timeout(CHECK_TIMEOUT, probe).await {
        Ok(Ok(Ok(free))) => {
            let detail = format!("{} MiB free, at least {} MiB needed", free >> 20, floor >> 20);
            Check::new("disk", free >= floor, detail)
        }
        Ok(Ok(Err(error))) => Check::new("disk", false, error.to_string()),
        Ok(Err(_)) => Check::new("disk", false, "the check ended early"),
        Err(_) => Check::new("disk", false, "no answer within 2 s"),
    }
}

fn queue(app: &App) -> Check {
    let stats = app.db.stats();
    let detail = format!(
        "{} clicks, {} writes and {} reads wait; the oldest write for {} ms",
        stats.queued_rows, stats.queued_writes, stats.queued_reads, stats.lag_ms
    );
    Check::new("queue", stats.lag_ms <= app.settings.max_lag_ms, detail)
}

/// A catalog that was never loaded has version 0; the first one stored has 1.
fn catalog(app: &App) -> Check {
    let catalog = app.live.catalog.load();
    let detail = format!("version {}, {} links", catalog.version, catalog.links.len());
    Check::new("catalog", catalog.version > 0, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failing_check_is_named_and_decides() {
        let checks =
            vec![Check::new("database", true, "reads and writes"), Check::new("disk", false, "3 MiB free")];
        let readiness = Readiness::of(checks);
        assert!(!readiness.ready);
        let text = serde_json::to_string(&readiness).unwrap();
        assert!(text.contains(r#"{"name":"disk","ok":false,"detail":"3 MiB free"}"#), "{text}");
        assert!(Readiness::of(vec![Check::new("disk", true, "")]).ready);
    }
}
