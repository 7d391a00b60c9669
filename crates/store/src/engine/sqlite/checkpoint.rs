//! Moves what the write-ahead log holds into the database, on a thread and a connection of its own: the writer goes on
//! meanwhile, and no commit waits behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use rusqlite::{Connection, ErrorCode};

use super::{classify, stop};

/// Asks for a checkpoint. When all of these are gone, the thread ends.
pub(super) struct Checkpoints {
    ask: SyncSender<()>,
    moved: Arc<AtomicI32>,
}

/// What [`run`] takes.
pub(super) struct Asked {
    asked: Receiver<()>,
    moved: Arc<AtomicI32>,
}

impl Checkpoints {
    /// Both sides.
    pub(super) fn new() -> (Self, Asked) {
        let ((ask, asked), moved) = (sync_channel(1), Arc::<AtomicI32>::default());
        (Self { ask, moved: Arc::clone(&moved) }, Asked { asked, moved })
    }

    /// How many of a log's pages are known to be moved.
    pub(super) fn moved(&self, of: i32) -> i32 {
        // More than there are were those of a log that has begun anew since.
        Some(self.moved.load(Ordering::Relaxed)).filter(|moved| *moved <= of).unwrap_or(0)
    }

    /// Asks for one; one that is asked for already will do.
    pub(super) fn ask(&self) {
        match self.ask.try_send(()) {
            // A thread that is gone has said why; the log then grows until the writer moves it.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }
}

/// Checkpoints whenever asked.
pub(super) fn run(connection: &Connection, asked: &Asked) {
    while asked.asked.recv().is_ok() {
        if let Some(pages) = checkpoint(connection) {
            asked.moved.store(pages, Ordering::Relaxed);
        }
    }
}

/// Whether the last checkpoint failed, so that a lasting failure is said once.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Moves what it can without waiting for readers. With a full disk the log just stays longer. An I/O error ends the
/// process: after a failed fsync of the database file the kernel calls its pages clean, a second attempt would
/// succeed without having written them, and the log that still holds them would be reused. Returns how many of the
/// log's pages are moved, unless it failed or somebody else is at it.
pub(super) fn checkpoint(connection: &Connection) -> Option<i32> {
    let moved = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i32>(0)? == 0).then_some(row.get(2)?));
    let done = connection.query_row("pragma wal_checkpoint(passive)", [], moved).inspect_err(|error| {
        if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
            stop(error);
        }
    });
    let done = done.map_err(|error| classify("checkpoint", error));
    let failed = done.as_ref().err();
    let failed_before = FAILED.swap(failed.is_some(), Ordering::Relaxed);
    if let Some(error) = failed.filter(|_| !failed_before) {
        tracing::warn!(%error, "the write-ahead log cannot be moved into the database");
    }
    done.ok().flatten()
}
