//! The only code that knows an engine. An engine takes work from the [`Inbox`] and gives a transaction its verbs.

mod courtesy;
mod postgres;
mod sqlite;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::backup::{Copied, Progress};
use crate::completion::Completion;
use crate::db::{EngineKind, Options, Target};
use crate::error::{Error, Mistake};
use crate::inbox::Inbox;
use crate::migrate::MigrationText;
use crate::statement::{Append, Dialect, Statement, expand, for_rows};
use crate::value::{Row, Value};

/// What an engine can do inside a transaction.
pub(crate) trait Verbs {
    fn query(&mut self, statement: &'static Statement, params: &[Value]) -> Result<Vec<Row>, Error>;
    fn execute(&mut self, statement: &'static Statement, params: &[Value]) -> Result<u64, Error> {
        self.execute_rows(statement, 1, params)
    }
    /// An insert of so many rows, with the parameters of all of them.
    fn execute_rows(
        &mut self,
        statement: &'static Statement,
        rows: usize,
        params: &[Value],
    ) -> Result<u64, Error>;
    fn append(&mut self, append: &'static Append, rows: &[Vec<Value>]) -> Result<(), Error>;
    /// Prepares only; for the test that every statement is valid.
    fn prepare(&mut self, statement: &'static Statement) -> Result<(), Error>;
}

/// Rows that one statement inserts, as many as there are. To begin and to end a statement costs SQLite as much as a row
/// or two, and rows in the order of their keys go to where the one before went; it costs PostgreSQL a round trip.
pub(crate) const ROWS_AT_ONCE: [usize; 3] = [64, 8, 1];

/// The address of the static that names a statement, and how many rows it takes.
type Key = (usize, usize);

/// The text of a statement for so many rows, in the spelling of an engine.
fn text(statement: &'static Statement, rows: usize, dialect: &Dialect) -> Result<String, Error> {
    let one = || Ok(Cow::Borrowed(statement.sql));
    let sql = if rows == 1 { one() } else { for_rows(statement.sql, rows).map(Cow::Owned) };
    sql.and_then(|sql| expand(&sql, dialect)).map_err(|mistake| Error::bug(statement.name, mistake))
}

/// Rows that one query may return; beyond it a caller must page.
const MAX_ROWS: usize = 200_000;

fn too_many_rows(statement: &'static Statement) -> Error {
    Error::bug(statement.name, Mistake::TooManyRows(MAX_ROWS))
}

pub(crate) fn kind(target: &Target) -> EngineKind {
    match target {
        Target::Sqlite { .. } => EngineKind::Sqlite,
        Target::Postgres { .. } => EngineKind::Postgres,
    }
}

/// Opens the database and starts its threads; the completion is that of their end.
pub(crate) fn start(
    target: &Target,
    options: &Options,
    migrations: &'static [MigrationText],
    append: &'static Append,
    inbox: &Arc<Inbox>,
) -> Result<Arc<Completion>, Error> {
    on_own_thread(|| match target {
        Target::Sqlite { dir } => sqlite::start(dir, options, migrations, append, inbox),
        Target::Postgres { url } => postgres::start(url, options, migrations, append, inbox),
    })
}

/// Writes the database into the empty file `part`.
pub(crate) fn dump(
    target: &Target,
    part: &Path,
    migrations: &[MigrationText],
    progress: Progress<'_>,
) -> Result<Vec<Copied>, Error> {
    on_own_thread(|| match target {
        Target::Sqlite { dir } => sqlite::dump(dir, part, migrations, progress),
        Target::Postgres { url } => postgres::dump(url, part, migrations, progress),
    })
}

/// Fills the empty database from a backup.
pub(crate) fn load(
    target: &Target,
    file: &Path,
    migrations: &[MigrationText],
    progress: Progress<'_>,
) -> Result<Vec<Copied>, Error> {
    on_own_thread(|| match target {
        Target::Sqlite { dir } => sqlite::load(dir, file, migrations, progress),
        Target::Postgres { url } => postgres::load(url, file, migrations, progress),
    })
}

/// The PostgreSQL client blocks on a runtime of its own, which is not allowed on a thread of the caller's.
fn on_own_thread<R: Send>(work: impl FnOnce() -> Result<R, Error> + Send) -> Result<R, Error> {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap_or(Err(Error::Closed)))
}

/// The threads of one engine.
#[derive(Default)]
struct Crew {
    ended: Arc<Completion>,
    /// Each thread holds one; dropping the last tells that all have ended.
    pass: Arc<Pass>,
}

#[derive(Default)]
struct Pass {
    ended: Arc<Completion>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.ended.finish(Ok(Vec::new()));
    }
}

impl Crew {
    fn new() -> Self {
        let ended = Arc::<Completion>::default();
        Self { pass: Arc::new(Pass { ended: Arc::clone(&ended) }), ended }
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
        let pass = Arc::clone(&self.pass);
        let run = move || {
            work();
            drop(pass);
        };
        let thread = std::thread::Builder::new().name(format!("store-{name}")).spawn(run);
        thread.map_err(|error| Error::Unavailable(Arc::new(error)))
    }
}
