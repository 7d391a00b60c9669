//! A read connection: one snapshot per closure, bounded in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::classify;
use super::session::Session;
use crate::db::Job;
use crate::error::Error;
use crate::inbox::Inbox;

/// Steps of SQLite's machine between two looks at the clock.
const STEPS: i32 = 10_000;

pub(super) fn run(mut connection: Connection, inbox: &Inbox, timeout: Duration) {
    let deadline = match watch(&mut connection, timeout) {
        Ok(deadline) => deadline,
        Err(error) => return tracing::error!(%error, "a reader cannot start"),
    };
    let mut session = Session::new(&connection);
    while let Some(mut batch) = inbox.next_read() {
        deadline.start();
        let outcome = batch.items.iter_mut().try_for_each(|job| read(&mut session, &mut **job));
        deadline.stop();
        batch.finish(outcome.map(|()| Vec::new()));
    }
}

fn read(session: &mut Session<'_>, job: &mut dyn Job) -> Result<(), Error> {
    let connection = session.connection();
    connection.execute_batch("begin").map_err(|error| classify("begin", error))?;
    job.run(session);
    if connection.is_autocommit() {
        return Ok(());
    }
    connection.execute_batch("rollback").map_err(|error| classify("rollback", error))
}

/// When the closure that runs now must end, in milliseconds since `origin`.
struct Deadline {
    origin: Instant,
    timeout: Duration,
    at_ms: Arc<AtomicU64>,
}

impl Deadline {
    fn now_ms(origin: Instant) -> u64 {
        u64::try_from(origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn start(&self) {
        let timeout_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        self.at_ms.store(Self::now_ms(self.origin).saturating_add(timeout_ms), Ordering::Relaxed);
    }

    fn stop(&self) {
        self.at_ms.store(u64::MAX, Ordering::Relaxed);
    }
}

/// Interrupts a statement that runs beyond the deadline, so that no report pins the log for ever.
fn watch(connection: &mut Connection, timeout: Duration) -> rusqlite::Result<Deadline> {
    connection.pragma_update(None, "query_only", true)?;
    let (origin, at_ms) = (Instant::now(), Arc::new(AtomicU64::new(u64::MAX)));
    let seen = Arc::clone(&at_ms);
    let late = move || Deadline::now_ms(origin) > seen.load(Ordering::Relaxed);
    connection.progress_handler(STEPS, Some(late))?;
    Ok(Deadline { origin, timeout, at_ms })
}
