//! The one writer: everything that waits goes into one transaction and one fsync.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Instant;

use rusqlite::{Connection, ErrorCode};

use super::checkpoint::{Checkpoints, checkpoint};
use super::session::Session;
use super::{classify, stop};
use crate::completion::Refused;
use crate::db::{End, Job};
use crate::engine::courtesy::let_others_finish;
use crate::error::Error;
use crate::inbox::{Batch, Inbox};
use crate::statement::Append;
use crate::value::Value;

/// Pages more in the WAL after which they are moved into the database, beside the commits.
const CHECKPOINT_PAGES: i32 = 2_000;

/// Pages in the WAL from which on it is to begin anew, which it does only when all of it is moved and nobody writes.
/// The writer moves the last [`FEW_PAGES`] itself, between two commits.
const MAX_PAGES: i32 = 12_000;

/// Moved in a millisecond or two.
const FEW_PAGES: i32 = 256;

/// Pages in the WAL beyond which the writer moves them itself, however many are left: it is filled faster than it is
/// moved beside the commits. They fit into the part of its file that is kept, so that no commit waits for the file to
/// grow again.
const TOO_MANY_PAGES: i32 = 15_000;

pub(super) fn run(
    connection: &mut Connection,
    inbox: &Inbox,
    append: &'static Append,
    checkpoints: &Checkpoints,
) {
    let_others_finish();
    let wal_pages = Arc::new(AtomicI32::new(0));
    let seen = Arc::clone(&wal_pages);
    let hook = move |_: &mut rusqlite::hooks::Wal, pages| {
        seen.store(pages, Ordering::Relaxed);
        Ok(())
    };
    if let Err(error) = connection.wal_hook(Some(hook)) {
        tracing::error!(%error, "the writer cannot watch its log");
        return;
    }
    let mut log = Log::default();
    let mut writer = Writer { session: Session::new(connection), append };
    while let Some((mut writes, rows)) = inbox.next_commit() {
        let started = Instant::now();
        let jobs = writes.as_mut().map_or(&mut [][..], |batch| &mut batch.items);
        let new_rows = rows.as_ref().map_or(&[][..], |batch| &batch.items);
        match writer.commit(jobs, new_rows) {
            Ok(refused) => {
                inbox.meter.committed(new_rows.len() - refused.len(), started.elapsed());
                finish(writes, rows, Ok(refused));
            }
            Err(error) => {
                inbox.meter.failed(&error);
                finish(writes, rows, Err(error));
            }
        }
        match log.wants(wal_pages.load(Ordering::Relaxed), checkpoints) {
            Some(Wants::Thread) => checkpoints.ask(),
            Some(Wants::Writer) => {
                checkpoint(connection);
            }
            None => {}
        }
    }
}

/// What was done about the log's pages.
#[derive(Default)]
struct Log {
    /// How many there were when the thread was last asked.
    asked: i32,
    /// And when the writer last moved them itself.
    own: i32,
}

/// Who is to move pages of the log.
enum Wants {
    Thread,
    Writer,
}

impl Log {
    fn wants(&mut self, pages: i32, checkpoints: &Checkpoints) -> Option<Wants> {
        // A log that is shorter than before has begun anew.
        if pages < self.asked.max(self.own) {
            *self = Self::default();
        }
        let left = pages - checkpoints.moved(pages);
        // A log of which somebody still reads does not begin anew, however often its end is moved.
        let again = pages - self.own > 2 * FEW_PAGES;
        if again && (pages >= MAX_PAGES && left <= FEW_PAGES || pages >= TOO_MANY_PAGES) {
            self.own = pages;
            return Some(Wants::Writer);
        }
        let due = if pages < MAX_PAGES { CHECKPOINT_PAGES } else { FEW_PAGES };
        if pages - self.asked < due {
            return None;
        }
        self.asked = pages;
        Some(Wants::Thread)
    }
}

fn finish(
    writes: Option<Batch<Box<dyn Job>>>,
    rows: Option<Batch<Vec<Value>>>,
    outcome: Result<Refused, Error>,
) {
    if let Some(batch) = writes {
        batch.finish(outcome.clone().map(|_| Refused::new()));
    }
    if let Some(batch) = rows {
        batch.finish(outcome);
    }
}

struct Writer<'c> {
    session: Session<'c>,
    append: &'static Append,
}

impl Writer<'_> {
    /// All closures and rows in one transaction. On an error nothing of it was written.
    fn commit(&mut self, jobs: &mut [Box<dyn Job>], rows: &[Vec<Value>]) -> Result<Refused, Error> {
        // Not deferred: the lock is taken now, where waiting for another process is still harmless.
        self.run("begin immediate")?;
        let filled = self.fill(jobs, rows);
        let done = filled.and_then(|refused| self.seal().map(|()| refused));
        if done.is_err() && !self.session.connection().is_autocommit() {
            self.run("rollback")?;
        }
        done
    }

    fn fill(&mut self, jobs: &mut [Box<dyn Job>], rows: &[Vec<Value>]) -> Result<Refused, Error> {
        if !self.run_plain(jobs)? {
            // Closures may run more than once, so all of it is begun anew, with something to go back to.
            self.run("rollback")?;
            self.run("begin immediate")?;
            jobs.iter_mut().try_for_each(|job| self.run_guarded(&mut **job))?;
        }
        let refused = self.session.insert(self.append, rows)?;
        let is_in = |place| !refused.iter().any(|(other, _)| *other == place);
        let added = rows.iter().enumerate().filter(|(place, _)| is_in(*place)).map(|(_, row)| row);
        self.session.list(self.append, added)?;
        Ok(refused)
    }

    /// All closures without savepoints, for which SQLite would copy every page that a closure touches. `false` when one
    /// has to be undone and had written something already, which hardly ever happens.
    fn run_plain(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<bool, Error> {
        for job in jobs {
            let before = self.session.connection().total_changes();
            let end = job.run(&mut self.session);
            self.check(&end)?;
            if !matches!(end, End::Keep) && self.session.connection().total_changes() != before {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One closure in its own savepoint. An error is one that undoes the whole transaction.
    fn run_guarded(&mut self, job: &mut dyn Job) -> Result<(), Error> {
        self.run("savepoint closure")?;
        let end = job.run(&mut self.session);
        self.check(&end)?;
        if !matches!(end, End::Keep) {
            self.run("rollback to closure")?;
        }
        self.run("release closure")
    }

    /// An error when a closure ended in a way that undoes the whole transaction.
    fn check(&self, end: &End) -> Result<(), Error> {
        let End::Fault(error) = end else { return Ok(()) };
        let everybody = matches!(error, Error::Full(_) | Error::Unavailable(_) | Error::Overloaded);
        // SQLite has already undone all of it after some errors.
        if everybody || self.session.connection().is_autocommit() { Err(error.clone()) } else { Ok(()) }
    }

    /// The commit, with its fsync. An I/O error here leaves unknown what the disk holds.
    fn seal(&self) -> Result<(), Error> {
        let done =
            self.session.connection().prepare_cached("commit").and_then(|mut commit| commit.execute([]));
        done.map(drop).map_err(|error| {
            if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
                stop(&error);
            }
            classify("commit", error)
        })
    }

    fn run(&self, sql: &'static str) -> Result<(), Error> {
        let done = self.session.connection().prepare_cached(sql).and_then(|mut step| step.execute([]));
        done.map(drop).map_err(|error| classify(sql, error))
    }
}
