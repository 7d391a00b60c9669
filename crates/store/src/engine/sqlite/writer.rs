//! The one writer: everything that waits goes into one transaction and one fsync.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Instant;

use rusqlite::{Connection, ErrorCode};

use super::session::Session;
use super::{classify, stop};
use crate::completion::Refused;
use crate::db::{End, Job};
use crate::error::Error;
use crate::inbox::{Batch, Inbox};
use crate::statement::Append;
use crate::value::Value;

/// Pages in the WAL beyond which the writer moves them into the database, between two commits. The next commit
/// waits behind it; a thread of its own would take that tail away.
const CHECKPOINT_PAGES: i32 = 2000;

pub(super) fn run(connection: &mut Connection, inbox: &Inbox, append: &'static Append) {
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
    let mut checkpoints_fail = false;
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
        if wal_pages.load(Ordering::Relaxed) >= CHECKPOINT_PAGES {
            wal_pages.store(0, Ordering::Relaxed);
            checkpoints_fail = checkpoint(connection, checkpoints_fail);
        }
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

/// Moves what it can without waiting for readers; true when that failed. With a full disk the log just stays longer. An
/// I/O error ends the process: after a failed fsync of the database file the kernel calls its pages clean, a second
/// attempt would succeed without having written them, and the log that still holds them would be reused.
fn checkpoint(connection: &Connection, failed_before: bool) -> bool {
    let done = connection.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(())).inspect_err(|error| {
        if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
            stop(error);
        }
    });
    let failed = done.map_err(|error| classify("checkpoint", error)).err();
    if let Some(error) = failed.as_ref().filter(|_| !failed_before) {
        tracing::warn!(%error, "the write-ahead log cannot be moved into the database");
    }
    failed.is_some()
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
        for job in jobs {
            self.run_one(&mut **job)?;
        }
        let mut refused = Refused::new();
        for (place, row) in rows.iter().enumerate() {
            match self.session.insert(self.append, row) {
                Ok(()) => {}
                Err(error @ (Error::Conflict { .. } | Error::Bug { .. })) => refused.push((place, error)),
                Err(error) => return Err(error),
            }
        }
        let is_in = |place| !refused.iter().any(|(other, _)| *other == place);
        let added = rows.iter().enumerate().filter(|(place, _)| is_in(*place)).map(|(_, row)| row);
        self.session.list(self.append, added)?;
        Ok(refused)
    }

    /// One closure in its own savepoint. An error is one that undoes the whole transaction.
    fn run_one(&mut self, job: &mut dyn Job) -> Result<(), Error> {
        self.run("savepoint closure")?;
        let end = job.run(&mut self.session);
        if let End::Fault(error) = &end {
            let everybody = matches!(error, Error::Full(_) | Error::Unavailable(_) | Error::Overloaded);
            // SQLite has already undone all of it after some errors.
            if everybody || self.session.connection().is_autocommit() {
                return Err(error.clone());
            }
        }
        if !matches!(end, End::Keep) {
            self.run("rollback to closure")?;
        }
        self.run("release closure")
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
