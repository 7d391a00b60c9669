//! `pitlane jobs`: what the servers of an installation do by themselves, and how it went.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use store::job::{self, Recorded};

use super::{Job, TABLE};
use crate::cli::{Place, say};
use crate::failure::Failure;
use crate::terminal::line;
use crate::{session, wire};

/// The longest error that is shown, in characters.
const MOST: usize = 300;

/// What `pitlane jobs` is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Command {
    /// Write one JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// A job, as `--json` writes it. Times are `2026-11-22T20:18:00.000Z`.
#[derive(Debug, Serialize)]
struct Shown {
    name: &'static str,
    what: &'static str,
    period_s: u64,
    /// When it is to run next; none before its first run.
    due: Option<String>,
    /// When it last began.
    started: Option<String>,
    /// When it last ended well.
    succeeded: Option<String>,
    /// What it did then.
    report: BTreeMap<String, Value>,
    /// How often it has failed since.
    failures: i64,
    /// When it last failed.
    failed: Option<String>,
    /// Why.
    error: Option<String>,
}

impl Command {
    /// Shows every job of the table.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let effective = self.place.load()?;
        session::run(&effective, async |db| {
            let recorded = db.read(job::all).await;
            let recorded = recorded.map_err(|error| wire::database_failure(error, &effective.target))?;
            let jobs: Vec<Shown> = TABLE.iter().map(|job| shown(job, &recorded)).collect();
            if self.json {
                return say(&format!("{}\n", serde_json::to_string_pretty(&jobs).map_err(Failure::new)?));
            }
            say(&jobs.iter().map(text).collect::<String>())
        })
    }
}

fn shown(job: &Job, recorded: &[Recorded]) -> Shown {
    let own = recorded.iter().find(|recorded| recorded.name == job.name);
    let time =
        |at: fn(&Recorded) -> Option<domain::time::Timestamp>| own.and_then(at).map(|at| at.to_string());
    let report = own.and_then(|own| own.report.as_deref()).and_then(|text| serde_json::from_str(text).ok());
    Shown {
        name: job.name,
        what: job.what,
        period_s: job.period.as_secs(),
        due: time(|own| Some(own.due)),
        started: time(|own| own.started),
        succeeded: time(|own| own.succeeded),
        report: report.unwrap_or_default(),
        failures: own.map_or(0, |own| own.failures),
        failed: time(|own| own.failed),
        error: own.and_then(|own| own.error.clone()),
    }
}

fn text(job: &Shown) -> String {
    let period = period(Duration::from_secs(job.period_s));
    let mut text = format!("{:<24} every {period:<6} {}\n", job.name, job.what);
    let did: Vec<String> = job.report.iter().map(|(what, count)| format!("{what} {count}")).collect();
    let did = if did.is_empty() { "nothing to do".to_owned() } else { did.join(", ") };
    // Writing into a String cannot fail, here and below.
    let _ = match &job.succeeded {
        Some(at) => writeln!(text, "    last done {at}: {did}"),
        None => writeln!(text, "    not done yet; a running server does it"),
    };
    if let (true, Some(at), Some(error)) = (job.failures > 0, &job.failed, &job.error) {
        let _ = writeln!(text, "    FAILED {} times since, last {at}: {}", job.failures, line(error, MOST));
    }
    text
}

fn period(period: Duration) -> String {
    match period.as_secs() {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3_600 => format!("{} min", s / 60),
        s => format!("{} h", s / 3_600),
    }
}
