//! Moves what the write-ahead log holds into the database, on a thread and a connection of its own: the writer goes on
//! meanwhile, and no commit waits behind it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use rusqlite::{Connection, ErrorCode};

use super::{classify, stop};

/// Asks for a checkpoint. When all of these are gone, the thread ends.
pub(super) struct Checkpoints(SyncSender<()>);

impl Checkpoints {
    /// The asking side and what [`run`] takes.
    pub(super) fn new() -> (Self, Receiver<()>) {
        let (ask, asked) = sync_channel(1);
        (Self(ask), asked)
    }

    /// Asks for one; one that is asked for already will do.
    pub(super) fn ask(&self) {
        match self.0.try_send(()) {
            // A thread that is gone has said why; the log then grows until the writer moves it.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }
}

/// Checkpoints whenever asked.
pub(super) fn run(connection: &Connection, asked: &Receiver<()>) {
    while asked.recv().is_ok() {
        checkpoint(connection);
    }
}

/// Whether the last checkpoint failed, so that a lasting failure is said once.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Moves what it can without waiting for readers. With a full disk the log just stays longer. An I/O error ends the
/// process: after a failed fsync of the database file the kernel calls its pages clean, a second attempt would succeed
/// without having written them, and the log that still holds them would be reused.
pub(super) fn checkpoint(connection: &Connection) {
    let done = connection.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(())).inspect_err(|error| {
        if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
            stop(error);
        }
    });
    let failed = done.map_err(|error| classify("checkpoint", error)).err();
    let failed_before = FAILED.swap(failed.is_some(), Ordering::Relaxed);
    if let Some(error) = failed.filter(|_| !failed_before) {
        tracing::warn!(%error, "the write-ahead log cannot be moved into the database");
    }
}
