//! What is counted. The labels are bounded: codes of the wire contract and classes of answers, never a network, a
//! link or anything that a stranger chooses.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use domain::click::Verdict;
use domain::time::Timestamp;
use metrics::{Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, histogram};
use metrics::{Unit, gauge};
use store::Stats;

const CLICKS: &str = "pitlane_clicks_total";
const CLICK_DURABLE: &str = "pitlane_click_durable_seconds";
const POSTBACKS: &str = "pitlane_postbacks_total";
const POSTBACK_DURABLE: &str = "pitlane_postback_durable_seconds";
const ANSWERS: &str = "pitlane_http_answers_total";
const CONNECTIONS: &str = "pitlane_connections";
const CONNECTIONS_REFUSED: &str = "pitlane_connections_refused_total";
const QUEUED: &str = "pitlane_queued";
const LAG: &str = "pitlane_queue_lag_seconds";
const COMMITS: &str = "pitlane_commits_total";
const COMMIT_FAILURES: &str = "pitlane_commit_failures_total";

/// The counters of the hot path, looked up once: a look-up by name costs more than the click's own decision.
pub(crate) struct Meter {
    /// The second of the last line about something that was not recorded.
    last_loss_s: AtomicI64,
    clicks: Vec<Counter>,
    click_durable: Histogram,
    postback_durable: Histogram,
    answers: [Counter; 5],
}

impl Meter {
    /// Registers everything at the recorder that is installed now.
    pub(crate) fn new() -> Self {
        describe();
        Self {
            last_loss_s: AtomicI64::new(i64::MIN),
            clicks: Verdict::ALL
                .iter()
                .map(|verdict| counter!(CLICKS, "verdict" => verdict.code()))
                .collect(),
            click_durable: histogram!(CLICK_DURABLE),
            postback_durable: histogram!(POSTBACK_DURABLE),
            answers: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| counter!(ANSWERS, "class" => class)),
        }
    }

    /// A click was answered with this verdict.
    pub(crate) fn click(&self, verdict: Verdict) {
        if let Some(counter) = self.clicks.get(verdict as usize) {
            counter.increment(1);
        }
    }

    /// How long a click waited until it was durable.
    pub(crate) fn click_durable(&self, waited: Duration) {
        self.click_durable.record(waited);
    }

    /// A postback was answered with this code, which is one of the contract's.
    pub(crate) fn postback(&self, code: &str, waited: Duration) {
        counter!(POSTBACKS, "code" => code.to_owned()).increment(1);
        self.postback_durable.record(waited);
    }

    /// A click or postback was not recorded. It is logged, once a second at most: an overload must not become a flood
    /// of lines as well.
    pub(crate) fn not_recorded(&self, what: &'static str, error: &store::Error, at: Timestamp) {
        if self.last_loss_s.swap(at.seconds(), Ordering::Relaxed) != at.seconds() {
            tracing::warn!(
                what,
                error = error as &dyn std::error::Error,
                "not recorded; the sender is asked to try again"
            );
        }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, status: StatusCode) {
        if let Some(counter) = self.answers.get(usize::from(status.as_u16() / 100).saturating_sub(1)) {
            counter.increment(1);
        }
    }
}

/// How many connections are open now.
pub(crate) fn connections(open: usize) {
    gauge!(CONNECTIONS).set(float(open));
}

/// A connection was turned away: too many in total, or of one address.
pub(crate) fn connection_refused(why: &'static str) {
    counter!(CONNECTIONS_REFUSED, "why" => why).increment(1);
}

/// Takes over the store's figures, just before they are rendered.
pub(crate) fn store(stats: &Stats) {
    let waiting =
        [("writes", stats.queued_writes), ("clicks", stats.queued_rows), ("reads", stats.queued_reads)];
    for (lane, count) in waiting {
        gauge!(QUEUED, "lane" => lane).set(float(count));
    }
    gauge!(LAG).set(Duration::from_millis(stats.lag_ms).as_secs_f64());
    counter!(COMMITS).absolute(stats.commits);
    counter!(COMMIT_FAILURES).absolute(stats.failures);
}

#[allow(
    clippy::cast_precision_loss,
    reason = "gauges are floats; a count of things in memory is far below 2^52"
)]
fn float(count: usize) -> f64 {
    count as f64
}

fn describe() {
    describe_counter!(CLICKS, "Hits on tracking links, by verdict");
    describe_histogram!(CLICK_DURABLE, Unit::Seconds, "Time until a click was durable");
    describe_counter!(POSTBACKS, "Advertiser postbacks, by answer code");
    describe_histogram!(POSTBACK_DURABLE, Unit::Seconds, "Time until a postback was durable");
    describe_counter!(ANSWERS, "HTTP answers, by class of status");
    describe_gauge!(CONNECTIONS, "Open connections");
    describe_counter!(CONNECTIONS_REFUSED, "Connections turned away, by the limit that was reached");
    describe_gauge!(QUEUED, "What waits for the database, by lane");
    describe_gauge!(LAG, Unit::Seconds, "How long the oldest waiting write has waited");
    describe_counter!(COMMITS, "Commits that became durable");
    describe_counter!(COMMIT_FAILURES, "Commits that failed as a whole");
}
