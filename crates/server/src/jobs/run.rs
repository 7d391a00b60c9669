//! Runs the jobs of the table: each when it is due, on one node at a time, until the server ends.

use std::time::{Duration, Instant};

use domain::time::Timestamp;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use store::Error;
use store::job::{self, Recorded, Run};
use tokio::task::JoinHandle;

use super::{Ctx, Job, Report, TABLE};

/// How long a run works before it lets others have a turn.
const AT_ONCE: Duration = Duration::from_secs(20);

/// How long a process holds a job: several times as long as a run works, so that a lease never ends under its run.
const LEASE_MS: i64 = 120_000;

/// The longest time after which a process looks whether a job is due, and after which a failed one is tried again.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// The shortest time between two runs of one job in one process.
const SOON: Duration = Duration::from_millis(100);

const SUCCEEDED: &str = "pitlane_job_last_success_seconds";
const FAILURES: &str = "pitlane_job_failures_total";

/// Starts a task for each job; each ends when the server does.
pub(crate) fn start(ctx: &Ctx) -> Vec<JoinHandle<()>> {
    describe_gauge!(SUCCEEDED, Unit::Seconds, "When a job last ended well on any node, in Unix time");
    describe_counter!(FAILURES, "Runs of a job on this node that failed");
    TABLE.iter().map(|job| tokio::spawn(keep(job, ctx.clone()))).collect()
}

async fn keep(job: &'static Job, ctx: Ctx) {
    let mut failures = 0_u32;
    // The nodes of an installation are often started together.
    let mut pause = jittered(Duration::from_secs(1), &ctx);
    while !ctx.stops_within(pause).await {
        match turn(job, &ctx, failures).await {
            Ok(Turn { next, works }) => {
                if failures > 0 && works {
                    tracing::info!(job = job.name, failures, "works again");
                    failures = 0;
                }
                pause = jittered(next.clamp(SOON, LOOK_AGAIN), &ctx);
            }
            Err(Error::Closed) => return,
            Err(error) => {
                failures = failures.saturating_add(1);
                tell(job, &error, failures);
                pause = jittered(retry(job, failures), &ctx);
            }
        }
    }
}

/// How a look at a job ended.
struct Turn {
    /// When to look again.
    next: Duration,
    /// Whether the job's last run, here or on another node, ended well.
    works: bool,
}

/// The first failure of a streak is told, the others are counted.
fn tell(job: &Job, error: &Error, failures: u32) {
    counter!(FAILURES, "job" => job.name).increment(1);
    let cause = error as &dyn std::error::Error;
    match (failures, error.retryable()) {
        (1, true) => tracing::warn!(job = job.name, error = cause, "failed; it is tried again"),
        (1, false) => tracing::error!(job = job.name, error = cause, "failed; it is tried again"),
        _ => tracing::debug!(job = job.name, error = cause, failures, "failed again"),
    }
}

/// Longer after each failure.
fn retry(job: &Job, failures: u32) -> Duration {
    let first = job.period.min(Duration::from_secs(5));
    first.saturating_mul(1 << failures.min(6)).min(LOOK_AGAIN)
}

/// Between nine and eleven tenths of it.
fn jittered(pause: Duration, ctx: &Ctx) -> Duration {
    let percent = u32::try_from((ctx.ambient.random)() % 21).unwrap_or(10) + 90;
    pause * percent / 100
}

/// Runs the job if it is due and nobody else runs it; returns when to look again.
async fn turn(job: &'static Job, ctx: &Ctx, failures: u32) -> Result<Turn, Error> {
    let now = ctx.ambient.now();
    let recorded = ctx.db.read(move |tx| job::find(tx, job.name)).await?;
    if let Some(recorded) = &recorded {
        show(job, recorded.succeeded);
        if !recorded.is_due(now) {
            return Ok(Turn { next: until(recorded, now), works: recorded.failures == 0 });
        }
    }
    let run = Run { name: job.name, holder: ctx.ambient.new_id(now) };
    let lease = now.plus_ms(LEASE_MS);
    if !ctx.db.write(move |tx| job::claim(tx, run, now, lease)).await? {
        return Ok(Turn { next: job.period, works: false });
    }
    let until = Instant::now() + AT_ONCE;
    let ended = (job.run)(&Ctx { until, ..ctx.clone() }).await;
    let now = ctx.ambient.now();
    match ended {
        Ok(report) => succeed(job, ctx, run, now, &report).await,
        Err(error) => {
            let (due, why) = (now.plus_ms(ms(retry(job, failures + 1))), chain(&error));
            // When the database is away this fails as well; then the lease runs out.
            let _: Result<(), Error> = ctx.db.write(move |tx| job::fail(tx, run, now, due, &why)).await;
            Err(error)
        }
    }
}

async fn succeed(
    job: &'static Job,
    ctx: &Ctx,
    run: Run,
    now: Timestamp,
    report: &Report,
) -> Result<Turn, Error> {
    if !report.counts.is_empty() {
        tracing::info!(job = job.name, report = report.json(), "done");
    }
    let next = if report.more { SOON } else { job.period };
    let (due, json) = (now.plus_ms(ms(next)), report.json());
    ctx.db.write(move |tx| job::succeed(tx, run, now, due, &json)).await?;
    show(job, Some(now));
    Ok(Turn { next, works: true })
}

fn show(job: &Job, succeeded: Option<Timestamp>) {
    if let Some(at) = succeeded {
        let since = u64::try_from(at.ms()).unwrap_or(0);
        gauge!(SUCCEEDED, "job" => job.name).set(Duration::from_millis(since).as_secs_f64());
    }
}

fn until(recorded: &Recorded, now: Timestamp) -> Duration {
    let next = recorded.due.max(recorded.lease_until);
    Duration::from_millis(u64::try_from(next.ms().saturating_sub(now.ms())).unwrap_or(0))
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// An error with its causes, in one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(at) = cause {
        text = format!("{text}: {at}");
        cause = at.source();
    }
    text
}
