//! What can go wrong in the store, as its callers need to tell it apart.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Arc;

/// The cause of an error, shared by everybody whose write was in the same commit.
pub type Cause = Arc<dyn StdError + Send + Sync>;

/// Every error of the store. Cheap to clone: one failed commit answers many callers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A queue is full, or another process held the database for too long. Nothing was written.
    #[error("the database is busy; try again")]
    Overloaded,
    /// The disk or the allowed size is used up. Nothing was written.
    #[error("no space left for the database")]
    Full(#[source] Cause),
    /// The database cannot be reached. Nothing was written.
    #[error("the database cannot be reached")]
    Unavailable(#[source] Cause),
    /// The connection broke while committing: the write may or may not have happened. Send it again.
    #[error("the database went away during the commit; the outcome is unknown")]
    Unknown(#[source] Cause),
    /// Gave up after several re-runs against concurrent transactions. Nothing was written.
    #[error("too many concurrent changes of the same rows; try again")]
    Contended(#[source] Cause),
    /// This process has not yet read the catalog that the work needs. Nothing was written.
    #[error("this server is about to learn of a change that this needs; try again")]
    Stale,
    /// A statement exceeded its time. Nothing was written.
    #[error("statement `{statement}` took too long")]
    TooSlow {
        /// Name of the statement.
        statement: &'static str,
        /// What the engine said.
        source: Cause,
    },
    /// A unique key already holds this value. The transaction was rolled back.
    #[error("statement `{statement}` met a row with the same key")]
    Conflict {
        /// Name of the statement.
        statement: &'static str,
        /// What the engine said, with the name of the key.
        source: Cause,
    },
    /// The store is shutting down. Nothing was written.
    #[error("the store is closed")]
    Closed,
    /// The database file is damaged; restore a backup.
    #[error("the database is damaged")]
    Corrupt(#[source] Cause),
    /// A mistake in this program: bad SQL, a wrong column type, a panic in a closure.
    #[error("statement `{statement}` failed")]
    Bug {
        /// Name of the statement, or of the step when there was none.
        statement: &'static str,
        /// What the engine or the check said.
        source: Cause,
    },
    /// The store refuses to work like this; the message says what to change.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A schema migration failed; the schema is as before.
    #[error("the schema could not be brought up to date")]
    Migration(#[source] Cause),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
}

impl Error {
    /// True when sending the same thing again later can succeed (HTTP: 503 with `Retry-After`).
    pub fn retryable(&self) -> bool {
        matches!(
            self,
            Self::Overloaded
                | Self::Full(_)
                | Self::Unavailable(_)
                | Self::Unknown(_)
                | Self::Contended(_)
                | Self::Stale
                | Self::TooSlow { .. }
                | Self::Closed
        )
    }

    pub(crate) fn bug(statement: &'static str, cause: impl StdError + Send + Sync + 'static) -> Self {
        Self::Bug { statement, source: Arc::new(cause) }
    }

    pub(crate) fn file(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::File { path: path.into(), source: Arc::new(source) }
    }
}

/// Why the store will not start, back up or restore as asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// A durability setting of SQLite did not take.
    #[error("SQLite has {name} = {found}, but acknowledged data is only safe with {wanted}")]
    Pragma {
        /// The pragma.
        name: &'static str,
        /// Its value as found.
        found: String,
        /// The value needed.
        wanted: &'static str,
    },
    /// The SQLite library has a known bug that can lose data.
    #[error("SQLite {found} can damage a WAL database; at least {wanted} is needed")]
    SqliteVersion {
        /// Version as linked.
        found: &'static str,
        /// Lowest accepted version.
        wanted: &'static str,
    },
    /// A setting of the PostgreSQL server is not as needed.
    #[error("the PostgreSQL server has {name} = {found}; set it to {wanted}, {why}")]
    Setting {
        /// The server's setting.
        name: &'static str,
        /// Its value as found.
        found: String,
        /// The values accepted.
        wanted: String,
        /// What would happen.
        why: &'static str,
    },
    /// A newer version of this program has changed the schema.
    #[error(
        "the database has schema version {found}, this program knows up to {known}: \
         use a newer program, or restore a backup made by this one"
    )]
    NewerDatabase {
        /// Version in the database.
        found: i64,
        /// Highest version this program knows.
        known: i64,
    },
    /// The database address cannot be understood.
    #[error("the database address is not valid")]
    Address(#[source] Cause),
    /// A backup never overwrites.
    #[error("{} already exists; choose another name", .0.display())]
    FileExists(PathBuf),
    /// The file to restore is not a complete backup.
    #[error("{} is not an intact backup", path.display())]
    NotABackup {
        /// The file.
        path: PathBuf,
        /// What the check found.
        #[source]
        why: Cause,
    },
    /// The database to back up was never used.
    #[error("there is nothing to back up: the database has no tables of this program")]
    NothingToBackUp,
    /// A restore never overwrites.
    #[error("the target already has a table {table}; restore into a new database")]
    NotEmpty {
        /// The first table found.
        table: String,
    },
}

/// A check of our own that failed; always the cause inside an [`Error::Bug`].
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Mistake {
    #[error("the closure panicked: {0}")]
    Panic(String),
    #[error("the closure went on after a failed statement")]
    Poisoned,
    #[error("column `{column}` is {found}, not {wanted}")]
    ColumnType { column: String, found: &'static str, wanted: &'static str },
    #[error("column `{column}` holds `{found}`, which this program does not know")]
    Unreadable { column: String, found: String },
    #[error("another transaction was first, several times")]
    Overtaken,
    #[error("no column `{0}` in the row")]
    NoColumn(String),
    #[error("text with a NUL character in parameter {0}")]
    Nul(usize),
    #[error("a row of {found} values for {wanted} columns")]
    Width { found: usize, wanted: usize },
    #[error("value {index} is {found}, not {wanted}")]
    ValueType { index: usize, found: &'static str, wanted: &'static str },
    #[error("more than {0} rows; page through them")]
    TooManyRows(usize),
    #[error("unknown fragment {{{0}}}")]
    Fragment(String),
    #[error("a placeholder without a number")]
    Placeholder,
    #[error("an unclosed quote or fragment")]
    Unclosed,
    #[error("no `values (…)` that holds all parameters")]
    NoRow,
    #[error("the check of the file found: {0}")]
    Damaged(String),
    #[error("a worker thread ended before its work")]
    Abandoned,
}
