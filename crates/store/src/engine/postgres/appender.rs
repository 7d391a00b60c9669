//! The thread that writes the click log: one `COPY` in flight while the next batch gathers.

use std::time::{Duration, Instant};

use super::PATIENCE;
use super::link::Link;
use crate::completion::Refused;
use crate::engine::Verbs;
use crate::engine::courtesy::let_others_finish;
use crate::error::Error;
use crate::inbox::Inbox;
use crate::statement::Append;
use crate::value::Value;

const PAUSE: Duration = Duration::from_millis(50);

pub(super) fn run(mut link: Link, inbox: &Inbox, append: &'static Append) {
    let_others_finish();
    while let Some(batch) = inbox.next_rows() {
        let started = Instant::now();
        let deadline = batch.queued_at + PATIENCE;
        let mut refused = Refused::new();
        let outcome = place(&mut link, append, &batch.items, 0, deadline, &mut refused);
        match &outcome {
            Ok(()) => inbox.meter.committed(batch.items.len() - refused.len(), started.elapsed()),
            Err(error) => inbox.meter.failed(error),
        }
        batch.finish(outcome.map(|()| refused));
    }
}

/// Writes the rows. A row that the table refuses fails the whole `COPY`, so the batch is halved until it stands
/// alone and the others are in.
fn place(
    link: &mut Link,
    append: &'static Append,
    rows: &[Vec<Value>],
    first: usize,
    deadline: Instant,
    refused: &mut Refused,
) -> Result<(), Error> {
    match copy(link, append, rows, deadline) {
        Err(error @ (Error::Conflict { .. } | Error::Bug { .. })) => {
            if rows.len() == 1 {
                refused.push((first, error));
                return Ok(());
            }
            let (left, right) = rows.split_at(rows.len() / 2);
            place(link, append, left, first, deadline, refused)?;
            place(link, append, right, first + left.len(), deadline, refused)
        }
        other => other,
    }
}

/// One transaction with one `COPY`, again while nothing of it can have been committed.
fn copy(
    link: &mut Link,
    append: &'static Append,
    rows: &[Vec<Value>],
    deadline: Instant,
) -> Result<(), Error> {
    loop {
        match attempt(link, append, rows) {
            Err(error @ Error::Unavailable(_)) => {
                link.drop_connection();
                if Instant::now() + PAUSE > deadline {
                    return Err(error);
                }
                std::thread::sleep(PAUSE);
            }
            Err(error @ Error::Unknown(_)) => {
                link.drop_connection();
                return Err(error);
            }
            ended => return ended,
        }
    }
}

fn attempt(link: &mut Link, append: &'static Append, rows: &[Vec<Value>]) -> Result<(), Error> {
    let mut session = link.session()?;
    session.run("begin")?;
    match session.append(append, rows) {
        Ok(()) => session.commit(),
        Err(error) => {
            link.roll_back();
            Err(error)
        }
    }
}
