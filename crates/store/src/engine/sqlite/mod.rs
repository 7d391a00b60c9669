//! SQLite: one writer thread with group commit, several readers, one file.

mod archive;
mod checkpoint;
mod reader;
mod session;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

pub(super) use self::archive::{Archive, Table, dump, load};
use self::checkpoint::Checkpoints;
use super::Crew;
use crate::completion::Completion;
use crate::db::Options;
use crate::error::{Error, Refusal};
use crate::inbox::Inbox;
use crate::migrate::{self, MigrationText};
use crate::statement::{Append, Dialect};

const FILE: &str = "pitlane.db";

/// The first version without the WAL-reset bug, which could damage a database.
const MIN_VERSION: (i32, &str) = (3_051_003, "3.51.3");

/// How long another process may take to bring the schema up to date.
const START_WAIT: Duration = Duration::from_mins(1);

/// Size to which the WAL file is cut after a checkpoint that emptied it, in bytes.
const WAL_KEPT: i64 = 64 << 20;

/// Pages that the writer keeps at hand, in KiB: conversions have indexes in the order of members, orders and clicks,
/// and would fetch the same pages again for every batch.
const WRITER_CACHE_KIB: i64 = 16 * 1024;

pub(super) const DIALECT: Dialect = Dialect {
    placeholder: '?',
    fragment: |name| match name {
        "blob" => Some("blob"),
        "without_rowid" => Some("without rowid"),
        "greatest" => Some("max"),
        "least" => Some("min"),
        "bytes_of" => Some("cast"),
        "in_utf8" => Some(" as blob"),
        // The rest of the line is a comment.
        "only_postgres" => Some("--"),
        // With one writer nothing needs locking.
        "skip_locked" | "for_update" => Some(""),
        _ => None,
    },
};

pub(super) fn start(
    dir: &Path,
    options: &Options,
    migrations: &'static [MigrationText],
    append: &'static Append,
    inbox: &Arc<Inbox>,
) -> Result<Arc<Completion>, Error> {
    let file = make_folder(dir)?;
    if ffi::SQLITE_VERSION_NUMBER < MIN_VERSION.0 {
        return Err(Refusal::SqliteVersion { found: rusqlite::version(), wanted: MIN_VERSION.1 }.into());
    }
    // Other processes that start at the same moment wait until the file has its mode and its schema.
    let alone = lock(dir)?;
    make_file(&file)?;
    let mut connection = connect(&file, options)?;
    migrate::apply(&mut connection, migrations, &DIALECT)?;
    drop(alone);
    // What a savepoint may have to undo is a few pages; in a file it would cost writes, and fail with a full /tmp.
    let in_memory = connection.pragma_update(None, "temp_store", "memory");
    in_memory.map_err(|error| classify("open", error))?;
    let cached = connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB);
    cached.map_err(|error| classify("open", error))?;

    let crew = Crew::new();
    let mut others = Vec::new();
    for number in 0..options.readers.max(1) {
        let connection = connect(&file, options)?;
        let (inbox, timeout) = (Arc::clone(inbox), options.read_timeout);
        others
            .push(crew.spawn(&format!("reader-{number}"), move || reader::run(connection, &inbox, timeout))?);
    }
    let (checkpoints, asked) = Checkpoints::new();
    let own = connect(&file, options)?;
    others.push(crew.spawn("checkpoint", move || checkpoint::run(&own, &asked))?);
    let inbox = Arc::clone(inbox);
    crew.spawn("writer", move || {
        writer::run(&mut connection, &inbox, append, &checkpoints);
        drop(checkpoints);
        // Whoever closes last moves the log into the file. Two that close at once would each see the other, and
        // leave it.
        for other in others {
            // One that panicked is gone too.
            let _ = other.join();
        }
        drop(connection);
    })?;
    Ok(Arc::clone(&crew.ended))
}

/// Holds the data folder for this process until the result is dropped.
fn lock(dir: &Path) -> Result<File, Error> {
    let folder = File::open(dir).map_err(|error| Error::file(dir, error))?;
    let until = Instant::now() + START_WAIT;
    while let Err(error) = folder.try_lock() {
        match error {
            TryLockError::Error(error) => return Err(Error::file(dir, error)),
            TryLockError::WouldBlock if Instant::now() > until => return Err(Error::Overloaded),
            TryLockError::WouldBlock => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    Ok(folder)
}

/// Makes the data folder, readable by nobody else because the file holds secrets.
fn make_folder(dir: &Path) -> Result<PathBuf, Error> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| Error::file(dir, error))?;
    Ok(dir.join(FILE))
}

/// Makes the file with the same right; SQLite gives its log the right of the file.
fn make_file(file: &Path) -> Result<(), Error> {
    let made = OpenOptions::new().append(true).create(true).mode(0o600).open(file);
    made.map(drop).map_err(|error| Error::file(file, error))
}

/// Opens the file and makes sure that what is acknowledged is durable.
fn connect(file: &Path, options: &Options) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(|error| classify("open", error))?;
    configure(&connection, options).map_err(|error| classify("open", error))?;
    verify(&connection)?;
    // The folder's entry for a new file must be as durable as the file.
    let dir = file.parent().unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| Error::file(dir, error))?;
    Ok(connection)
}

fn configure(connection: &Connection, options: &Options) -> rusqlite::Result<()> {
    // Another process, such as `apply` or `backup`, may write for a moment.
    connection.busy_timeout(options.write_timeout)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    // The writer checkpoints by itself, after it has answered, and sees the errors.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    if let Some(pages) = options.max_pages {
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    Ok(())
}

/// Reads the settings back: a pragma that does not take is silent.
fn verify(connection: &Connection) -> Result<(), Error> {
    for (name, wanted) in [("journal_mode", "wal"), ("synchronous", "2"), ("mmap_size", "0")] {
        let found = connection.pragma_query_value(None, name, |row| {
            Ok(match row.get_ref(0)? {
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                rusqlite::types::ValueRef::Integer(int) => int.to_string(),
                other => format!("{:?}", other.data_type()),
            })
        });
        let found = found.map_err(|error| classify("open", error))?;
        if found != wanted {
            return Err(Refusal::Pragma { name, found, wanted }.into());
        }
    }
    Ok(())
}

/// What an error of the library means for a caller. Does not return from a failed fsync.
fn classify(statement: &'static str, error: rusqlite::Error) -> Error {
    let Some(code) = error.sqlite_error().copied() else {
        return Error::bug(statement, error);
    };
    if matches!(code.extended_code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) {
        stop(&error);
    }
    let cause = Arc::new(error);
    match (code.code, code.extended_code) {
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Error::Overloaded,
        (ErrorCode::DiskFull, _) => Error::Full(cause),
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => Error::Corrupt(cause),
        (ErrorCode::OperationInterrupted, _) => Error::TooSlow { statement, source: cause },
        (_, ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
            Error::Conflict { statement, source: cause }
        }
        (
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied,
            _,
        ) => Error::Unavailable(cause),
        _ => Error::Bug { statement, source: cause },
    }
}

/// After a failed fsync the kernel holds the pages for clean, and a second fsync would lie. Only a restart, which
/// replays the log as the disk has it, tells what is durable.
fn stop(error: &rusqlite::Error) -> ! {
    tracing::error!(%error, "the disk did not confirm a write; stopping, because only a restart shows what is durable");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_did_not_take_is_refused() {
        let dir = std::env::temp_dir().join(format!("pitlane_pragma_{}", uuid::Uuid::new_v4().simple()));
        let file = make_folder(&dir).unwrap();
        make_file(&file).unwrap();
        let connection = connect(&file, &Options::default()).unwrap();
        for (pragma, value, shown) in [
            (
                "synchronous",
                "normal",
                "SQLite has synchronous = 1, but acknowledged data is only safe with 2",
            ),
            ("mmap_size", "4096", "SQLite has mmap_size = 4096, but acknowledged data is only safe with 0"),
            (
                "journal_mode",
                "delete",
                "SQLite has journal_mode = delete, but acknowledged data is only safe with wal",
            ),
        ] {
            configure(&connection, &Options::default()).unwrap();
            verify(&connection).unwrap();
            connection.pragma_update(None, pragma, value).unwrap();
            assert_eq!(verify(&connection).unwrap_err().to_string(), shown);
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
