//! What the server does by itself: the one table of jobs, and what each of them may use.

mod change;
mod count;
mod retention;
mod run;
mod show;
mod sketch;
mod waiting;

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ambient::Ambient;
use store::bell::Bell;
use store::live::Live;
use store::report::Counting;
use store::{Db, Error};
use tokio::sync::watch;

pub(crate) use self::retention::Days;
pub(crate) use self::run::start;
pub(crate) use self::show::Command;

/// Every job.
static TABLE: &[Job] = &[
    Job {
        name: "waiting",
        what: "ends the waiting of pending conversions whose time has come",
        period: Duration::from_secs(5),
        run: |ctx| Box::pin(waiting::run(ctx)),
    },
    Job {
        name: "offer_changes",
        what: "writes to the audit log which planned changes of offers took effect",
        period: Duration::from_secs(5),
        run: |ctx| Box::pin(change::run(ctx)),
    },
    Job {
        name: "count_reports",
        what: "brings the counts of reports up to what was recorded",
        period: Duration::from_secs(5),
        run: |ctx| Box::pin(count::run(ctx)),
    },
    Job {
        name: "sketches",
        what: "saves what links' recent clicks looked like, for the next start",
        period: Duration::from_secs(10),
        run: |ctx| Box::pin(sketch::run(ctx)),
    },
    Job {
        name: "retention",
        what: "removes what is older than the settings keep it",
        period: Duration::from_hours(1),
        run: |ctx| Box::pin(retention::run(ctx)),
    },
];

/// Work that is done again and again. Running it twice, or at two places at once, does no harm.
pub(crate) struct Job {
    /// Its name: in the record, in the metrics and in the log.
    name: &'static str,
    /// What it does, for people.
    what: &'static str,
    /// From its end to its next beginning.
    period: Duration,
    /// Does what there is to do, in bounded steps, until nothing is left or its time is up.
    run: for<'a> fn(&'a Ctx) -> Running<'a>,
}

/// A job at work.
type Running<'a> = Pin<Box<dyn Future<Output = Result<Report, Error>> + Send + 'a>>;

/// What a run did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// How many of what; what did not happen is left out.
    counts: Vec<(&'static str, u64)>,
    /// Whether it ended before its work did.
    more: bool,
}

impl Report {
    fn add(&mut self, what: &'static str, count: u64) {
        match self.counts.iter_mut().find(|(known, _)| *known == what) {
            Some((_, total)) => *total += count,
            None if count > 0 => self.counts.push((what, count)),
            None => {}
        }
    }

    /// A JSON object of counts.
    fn json(&self) -> String {
        let counts = self.counts.iter().map(|(what, count)| ((*what).to_owned(), (*count).into()));
        serde_json::Value::Object(counts.collect()).to_string()
    }
}

/// What jobs work with.
#[derive(Clone)]
pub(crate) struct Ctx {
    /// The record.
    pub(crate) db: Db,
    /// What requests read.
    pub(crate) live: Arc<Live>,
    /// Clock, ids and random bits.
    pub(crate) ambient: Ambient,
    /// Rung when there is something to deliver.
    pub(crate) bell: Bell,
    /// How long what is kept.
    pub(crate) days: Days,
    /// Says when the server ends.
    pub(crate) stopping: watch::Receiver<bool>,
    /// What the counting remembers.
    pub(crate) counting: Arc<Counting>,
    /// When a run has worked long enough.
    pub(crate) until: Instant,
}

/// The shortest rest between two steps.
const REST: Duration = Duration::from_millis(5);

/// How many times as long as a step took is rested after it: clicks have the writer for most of the time.
const REST_FACTOR: u32 = 2;

/// The rest of a job that takes its turn with the clicks.
const BREATH: Duration = Duration::from_millis(1);

impl Ctx {
    /// Rests after a step that began at `began`, so that clicks go first. `false`: end here.
    async fn rest(&self, began: Instant) -> bool {
        self.pause((began.elapsed() * REST_FACTOR).max(REST)).await
    }

    /// Rests for a moment, after a step of what is late. `false`: end here.
    async fn breathe(&self) -> bool {
        self.pause(BREATH).await
    }

    async fn pause(&self, rest: Duration) -> bool {
        !self.stops_within(rest).await && Instant::now() < self.until
    }

    /// Waits, and returns early and with `true` when the server ends.
    async fn stops_within(&self, at_most: Duration) -> bool {
        let mut stopping = self.stopping.clone();
        // A sender that is gone means the same as a word to stop.
        tokio::time::timeout(at_most, stopping.wait_for(|stop| *stop)).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Report, TABLE};

    #[test]
    fn names_are_unique_and_fit_a_metric() {
        let mut names: Vec<&str> = TABLE.iter().map(|job| job.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    }

    #[test]
    fn a_report_adds_up_and_leaves_out_what_did_not_happen() {
        let mut report = Report::default();
        for (what, count) in [("approved", 2), ("rejected", 0), ("approved", 3)] {
            report.add(what, count);
        }
        assert_eq!(report.json(), r#"{"approved":5}"#);
    }
}
