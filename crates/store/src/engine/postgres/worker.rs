//! A thread that runs closures as transactions, and runs them again when that is safe.

use std::time::{Duration, Instant};

use super::PATIENCE;
use super::link::Link;
use crate::db::{End, Job};
use crate::error::Error;
use crate::inbox::Inbox;

/// Runs of one closure against concurrent transactions before its caller is told.
const MAX_RERUNS: u32 = 5;

/// Between two attempts to reach the server for one closure.
const PAUSE: Duration = Duration::from_millis(50);

/// Which queue a worker serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Write,
    Read,
}

impl Kind {
    fn begin(self) -> &'static str {
        match self {
            Self::Write => "begin isolation level read committed read write",
            // One snapshot for the whole closure, as SQLite has it.
            Self::Read => "begin isolation level repeatable read read only",
        }
    }
}

pub(super) fn run(kind: Kind, mut link: Link, inbox: &Inbox) {
    loop {
        let next = match kind {
            Kind::Write => inbox.next_write(),
            Kind::Read => inbox.next_read(),
        };
        let Some(mut batch) = next else { return };
        let started = Instant::now();
        let deadline = batch.queued_at + PATIENCE;
        let mut outcome = Ok(());
        // One closure: this engine's batches have no more, because each is a transaction.
        for job in &mut batch.items {
            let ended = settle(kind, &mut link, &mut **job, deadline);
            match (&ended, kind) {
                (Ok(Ended::Committed), Kind::Write) => inbox.meter.committed(0, started.elapsed()),
                (Err(error), Kind::Write) => inbox.meter.failed(error),
                _ => {}
            }
            outcome = outcome.and(ended.map(drop));
        }
        batch.finish(outcome.map(|()| Vec::new()));
    }
}

/// Runs one closure to its end. An error means that its own result does not count.
fn settle(kind: Kind, link: &mut Link, job: &mut dyn Job, deadline: Instant) -> Result<Ended, Error> {
    let mut reruns = 0;
    loop {
        match attempt(kind, link, job) {
            Err(Error::Contended(_)) if reruns < MAX_RERUNS => {
                reruns += 1;
                let most_ms = 4_u64 << reruns;
                std::thread::sleep(Duration::from_millis(rand::random_range(1..=most_ms)));
            }
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

/// How a transaction ended when its closure had the last word.
enum Ended {
    Committed,
    Undone,
}

fn attempt(kind: Kind, link: &mut Link, job: &mut dyn Job) -> Result<Ended, Error> {
    let mut session = link.session()?;
    session.run(kind.begin())?;
    match job.run(&mut session) {
        End::Keep => session.commit().map(|()| Ended::Committed),
        End::Undo => {
            link.roll_back();
            Ok(Ended::Undone)
        }
        End::Fault(error) => {
            link.roll_back();
            match error {
                Error::Contended(_) | Error::Unavailable(_) => Err(error),
                // The closure has had its say about the others.
                _ => Ok(Ended::Undone),
            }
        }
    }
}
