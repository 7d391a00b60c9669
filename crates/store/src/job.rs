//! Jobs: which is due, which process runs it, and how it ended last. A lease lets one process at a time run a job; it
//! saves work and makes nothing true, for every job may run twice.

use domain::time::{DAY_MS, Timestamp};
use uuid::Uuid;

use crate::{Error, Row, Statement, Tx};

pub(crate) const ALL: &[&Statement] = &[&EVERY, &FIND, &ENTER, &CLAIM, &SUCCEED, &FAIL];

static EVERY: Statement = Statement::new("job.all", "select * from job order by name limit 1000");

static FIND: Statement = Statement::new("job.find", "select * from job where name = ?1");

static ENTER: Statement = Statement::new(
    "job.enter",
    "insert into job (name, due_ms, holder, lease_until_ms, started_ms, succeeded_ms, report, failures, failed_ms,
         error)
     values (?1, 0, null, 0, null, null, null, 0, null, null)
     on conflict do nothing",
);

/// What lies far ahead was written by a clock that has been put back since.
static CLAIM: Statement = Statement::new(
    "job.claim",
    "update job set holder = ?2, lease_until_ms = ?3, started_ms = ?4
     where name = ?1 and (due_ms <= ?4 or due_ms > ?5) and (lease_until_ms <= ?4 or lease_until_ms > ?5)",
);

static SUCCEED: Statement = Statement::new(
    "job.succeed",
    "update job set holder = null, lease_until_ms = 0, due_ms = ?3, succeeded_ms = ?4, report = ?5, failures = 0
     where name = ?1 and holder = ?2",
);

static FAIL: Statement = Statement::new(
    "job.fail",
    "update job set holder = null, lease_until_ms = 0, due_ms = ?3, failed_ms = ?4, error = ?5,
         failures = failures + 1
     where name = ?1 and holder = ?2",
);

/// No job's period or lease is this long.
const FAR_AHEAD_MS: i64 = 2 * DAY_MS;

/// A job as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its name.
    pub name: String,
    /// When it is to run next.
    pub due: Timestamp,
    /// Until when a process holds it; past when none does.
    pub lease_until: Timestamp,
    /// When it began last.
    pub started: Option<Timestamp>,
    /// When it last ended well.
    pub succeeded: Option<Timestamp>,
    /// What it did then: a JSON object of counts.
    pub report: Option<String>,
    /// How often it has failed since.
    pub failures: i64,
    /// When it last failed.
    pub failed: Option<Timestamp>,
    /// Why.
    pub error: Option<String>,
}

impl Recorded {
    /// Whether it should run now, as far as nobody else runs it.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let open = |at: Timestamp| at <= now || at > now.plus_ms(FAR_AHEAD_MS);
        open(self.due) && open(self.lease_until)
    }
}

/// A run of a job by one process.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The job.
    pub name: &'static str,
    /// An id of this run alone.
    pub holder: Uuid,
}

/// Every job that ever ran, by name.
pub fn all(tx: &mut Tx<'_>) -> Result<Vec<Recorded>, Error> {
    tx.query(&EVERY, &[])?.iter().map(read).collect()
}

/// A job by its name; `None` before its first run.
pub fn find(tx: &mut Tx<'_>, name: &str) -> Result<Option<Recorded>, Error> {
    tx.query_one(&FIND, &[name.into()])?.map(|row| read(&row)).transpose()
}

/// Takes a job that is due until `lease_until`. `false` when it is not due, or another process has it.
pub fn claim(tx: &mut Tx<'_>, run: Run, now: Timestamp, lease_until: Timestamp) -> Result<bool, Error> {
    tx.execute(&ENTER, &[run.name.into()])?;
    let params = [
        run.name.into(),
        run.holder.into(),
        lease_until.ms().into(),
        now.ms().into(),
        now.plus_ms(FAR_AHEAD_MS).ms().into(),
    ];
    Ok(tx.execute(&CLAIM, &params)? == 1)
}

/// Writes down that a run ended well with this report, a JSON object, and when the job is due again.
pub fn succeed(tx: &mut Tx<'_>, run: Run, now: Timestamp, due: Timestamp, report: &str) -> Result<(), Error> {
    let params = [run.name.into(), run.holder.into(), due.ms().into(), now.ms().into(), report.into()];
    tx.execute(&SUCCEED, &params).map(drop)
}

/// Writes down why a run failed, and when the job is tried again.
pub fn fail(tx: &mut Tx<'_>, run: Run, now: Timestamp, due: Timestamp, error: &str) -> Result<(), Error> {
    let params = [run.name.into(), run.holder.into(), due.ms().into(), now.ms().into(), error.into()];
    tx.execute(&FAIL, &params).map(drop)
}

fn read(row: &Row) -> Result<Recorded, Error> {
    let time = |name| row.opt_int(name).map(|ms| ms.map(Timestamp::from_ms));
    Ok(Recorded {
        name: row.text("name")?,
        due: Timestamp::from_ms(row.int("due_ms")?),
        lease_until: Timestamp::from_ms(row.int("lease_until_ms")?),
        started: time("started_ms")?,
        succeeded: time("succeeded_ms")?,
        report: row.opt_text("report")?,
        failures: row.int("failures")?,
        failed: time("failed_ms")?,
        error: row.opt_text("error")?,
    })
}
