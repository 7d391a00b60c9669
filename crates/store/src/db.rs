//! The door to the database: write closures, read closures, and the click log.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::completion::Completion;
use crate::engine::{self, ROWS_AT_ONCE, Verbs};
use crate::error::{Error, Mistake};
use crate::inbox::{Bounds, Inbox, Stats};
use crate::migrate::MigrationText;
use crate::statement::{Append, Statement};
use crate::value::{Row, Value};

/// Which database, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `<dir>/pitlane.db`; the folder is made when absent.
    Sqlite {
        /// The data folder.
        dir: PathBuf,
    },
    /// A PostgreSQL server, `postgres://user@host/database`.
    Postgres {
        /// Its address.
        url: String,
    },
}

/// Which engine runs, for messages and metrics; statements never ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// The bundled SQLite.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

/// The bounds of the store.
#[derive(Debug, Clone)]
pub struct Options {
    /// PostgreSQL connections for write closures. SQLite has one writer.
    pub writers: usize,
    /// Connections for read closures.
    pub readers: usize,
    /// Write closures that may wait.
    pub max_queued_writes: usize,
    /// Click-log rows that may wait.
    pub max_queued_rows: usize,
    /// Read closures that may wait.
    pub max_queued_reads: usize,
    /// How long one read closure may run.
    pub read_timeout: Duration,
    /// How long one statement of a write closure may run (PostgreSQL), and how long a commit may wait for another
    /// process (SQLite).
    pub write_timeout: Duration,
    /// Upper bound of the SQLite file in pages of 4096 bytes; none: the disk is the bound.
    pub max_pages: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            writers: 8,
            readers: 4,
            max_queued_writes: 10_000,
            max_queued_rows: 200_000,
            max_queued_reads: 1_000,
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(5),
            max_pages: None,
        }
    }
}

/// Write closures that share one SQLite commit; PostgreSQL commits each by itself.
const WRITES_PER_COMMIT: usize = 256;
/// Click-log rows that share one commit, so that one commit stays within some ten milliseconds.
const ROWS_PER_COMMIT: usize = 4096;

/// The database. Clones share it; it closes when the last one is dropped.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    inbox: Arc<Inbox>,
    kind: EngineKind,
    append: &'static Append,
    /// Finishes when the last of the engine's threads has ended.
    ended: Arc<Completion>,
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("engine", &self.inner.kind).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

impl Db {
    /// Opens the database, brings its schema up to date and starts the engine's threads. Blocks meanwhile.
    ///
    /// `append` is the table that [`Db::append`] fills.
    pub fn open(
        target: &Target,
        options: &Options,
        migrations: &'static [MigrationText],
        append: &'static Append,
    ) -> Result<Self, Error> {
        let kind = engine::kind(target);
        let one_writer = kind == EngineKind::Sqlite;
        let inbox = Arc::new(Inbox::new(Bounds {
            queued_writes: options.max_queued_writes,
            queued_rows: options.max_queued_rows,
            queued_reads: options.max_queued_reads,
            writes_per_commit: if one_writer { WRITES_PER_COMMIT } else { 1 },
            rows_per_commit: ROWS_PER_COMMIT,
            one_writer,
        }));
        let started = engine::start(target, options, migrations, append, &inbox);
        // Threads that have started before a failure must not wait for ever.
        let ended = started.inspect_err(|_| inbox.close())?;
        Ok(Self { inner: Arc::new(Inner { inbox, kind, append, ended }) })
    }

    /// Runs `closure` in a write transaction and answers when its commit is durable.
    ///
    /// The closure must be short and plain: no I/O, no waiting, at most about a thousand rows. It may run more
    /// than once, so it must not consume what it captured. When it fails, only its own changes are undone. After
    /// an error of a statement it cannot go on: every further verb fails, and nothing is written.
    /// It is finished even if the caller stops waiting.
    pub async fn write<T, E, F>(&self, closure: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (task, slot) = Task::new(closure);
        let done = self.inner.inbox.push_write(Box::new(task))?;
        collect(&slot, &done).await
    }

    /// Runs `closure` in a read-only transaction that sees one state of the database throughout.
    pub async fn read<T, E, F>(&self, closure: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (task, slot) = Task::new(closure);
        let done = self.inner.inbox.push_read(Box::new(task))?;
        collect(&slot, &done).await
    }

    /// Adds one row to the click log's current batch. Does not wait; the ticket does.
    ///
    /// `row` has one value per column of the [`Append`] given to [`Db::open`], in its order.
    pub fn append(&self, row: Vec<Value>) -> Result<Ticket, Error> {
        self.inner.append.check(&row).map_err(|mistake| Error::bug(self.inner.append.name, mistake))?;
        let (done, place) = self.inner.inbox.push_row(row)?;
        Ok(Ticket { done, place })
    }

    /// Which engine this is.
    pub fn engine(&self) -> EngineKind {
        self.inner.kind
    }

    /// Queue depths, lag and commit figures.
    pub fn stats(&self) -> Stats {
        self.inner.inbox.stats()
    }

    /// Goes once through the write queue and once through the read queue. The write is a real one, for a disk that
    /// takes nothing still lets transactions end that changed nothing; it leaves nothing behind.
    pub async fn health(&self) -> Result<(), Error> {
        self.write(|tx| {
            tx.execute(&PROBE, &[])?;
            tx.execute(&UNDO_PROBE, &[]).map(drop)
        })
        .await?;
        self.read(|tx| tx.query(&LOOK, &[]).map(drop)).await
    }

    /// Prepares every statement on this engine; returns the names and errors of those that fail.
    pub async fn prepare_all(
        &self,
        statements: &[&'static Statement],
    ) -> Result<Vec<(&'static str, Error)>, Error> {
        let statements = statements.to_vec();
        self.read(move |tx| {
            let failures = statements.iter().filter_map(|statement| {
                tx.verbs.prepare(statement).err().map(|error| (statement.name, error))
            });
            Ok(failures.collect())
        })
        .await
    }

    /// Refuses new work, finishes what is queued and waits until the engine's threads have ended.
    pub async fn close(&self) {
        self.inner.inbox.close();
        // The outcome says only that the threads are gone.
        let _ = self.inner.ended.wait().await;
    }
}

/// The one table that every database has, whatever its schema.
static PROBE: Statement = Statement::new(
    "db.probe",
    "insert into refinery_schema_history (version, name, applied_on, checksum) values (-1, 'probe', '', '')",
);
static UNDO_PROBE: Statement =
    Statement::new("db.undo_probe", "delete from refinery_schema_history where version = -1");
static LOOK: Statement = Statement::new("db.look", "select 1 as one");

/// A row on its way into the click log.
#[derive(Debug)]
#[must_use = "a click may be answered only when its row is durable"]
pub struct Ticket {
    done: Arc<Completion>,
    place: usize,
}

impl Ticket {
    /// Waits until the row is durable. [`Error::Unknown`] means that it may or may not be.
    pub async fn durable(self) -> Result<(), Error> {
        match self.done.wait().await {
            Ok(refused) => match refused.iter().find(|(place, _)| *place == self.place) {
                Some((_, error)) => Err(error.clone()),
                None => Ok(()),
            },
            Err(error) => Err(error.clone()),
        }
    }
}

/// A transaction, as a closure sees it.
pub struct Tx<'a> {
    verbs: &'a mut dyn Verbs,
    fault: Option<Error>,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(verbs: &'a mut dyn Verbs) -> Self {
        Self { verbs, fault: None }
    }

    /// All result rows of `statement`.
    pub fn query(&mut self, statement: &'static Statement, params: &[Value]) -> Result<Vec<Row>, Error> {
        self.step(statement.name, |verbs| {
            check_params(statement, params)?;
            verbs.query(statement, params)
        })
    }

    /// The first result row, or none.
    pub fn query_one(
        &mut self,
        statement: &'static Statement,
        params: &[Value],
    ) -> Result<Option<Row>, Error> {
        Ok(self.query(statement, params)?.into_iter().next())
    }

    /// Runs a statement without result rows and returns how many rows it changed.
    pub fn execute(&mut self, statement: &'static Statement, params: &[Value]) -> Result<u64, Error> {
        self.step(statement.name, |verbs| {
            check_params(statement, params)?;
            verbs.execute(statement, params)
        })
    }

    /// Runs an insert of one row, `… values (?1, ?2, …) …`, for many of them in few statements, and returns how many
    /// rows it changed. No two of them may be the same to its `on conflict`.
    pub fn execute_each<const N: usize>(
        &mut self,
        statement: &'static Statement,
        rows: &[[Value; N]],
    ) -> Result<u64, Error> {
        let (mut changed, mut rest) = (0, rows);
        for at_once in ROWS_AT_ONCE {
            while let Some((some, others)) = rest.split_at_checked(at_once) {
                let params = some.as_flattened();
                changed += self.step(statement.name, |verbs| {
                    check_params(statement, params)?;
                    verbs.execute_rows(statement, at_once, params)
                })?;
                rest = others;
            }
        }
        Ok(changed)
    }

    /// Adds many rows to a table in one go.
    pub fn append(&mut self, append: &'static Append, rows: &[Vec<Value>]) -> Result<(), Error> {
        self.step(append.name, |verbs| {
            for row in rows {
                append.check(row).map_err(|mistake| Error::bug(append.name, mistake))?;
            }
            verbs.append(append, rows)
        })
    }

    /// PostgreSQL allows nothing after a failed statement; making that the rule keeps the engines alike.
    fn step<R>(
        &mut self,
        name: &'static str,
        verb: impl FnOnce(&mut dyn Verbs) -> Result<R, Error>,
    ) -> Result<R, Error> {
        if self.fault.is_some() {
            return Err(Error::bug(name, Mistake::Poisoned));
        }
        let result = verb(self.verbs);
        self.fault = result.as_ref().err().cloned();
        result
    }
}

fn check_params(statement: &'static Statement, params: &[Value]) -> Result<(), Error> {
    match params.iter().position(Value::has_nul) {
        Some(index) => Err(Error::bug(statement.name, Mistake::Nul(index + 1))),
        None => Ok(()),
    }
}

/// How a closure ended, for the engine.
pub(crate) enum End {
    /// Commit its changes.
    Keep,
    /// Undo its changes; it refused by itself.
    Undo,
    /// Undo its changes; a statement failed with this.
    Fault(Error),
}

/// A closure in a queue.
pub(crate) trait Job: Send {
    /// Runs the closure once; its result waits for the commit.
    fn run(&mut self, verbs: &mut dyn Verbs) -> End;
}

/// Where a closure leaves its result until the commit is known.
type Slot<T, E> = Arc<Mutex<Option<Result<T, E>>>>;

async fn collect<T, E: From<Error>>(slot: &Slot<T, E>, done: &Completion) -> Result<T, E> {
    if let Err(error) = done.wait().await {
        return Err(error.clone().into());
    }
    let result = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    result.unwrap_or_else(|| Err(Error::bug("closure", Mistake::Abandoned).into()))
}

struct Task<F, T, E> {
    closure: F,
    slot: Slot<T, E>,
}

impl<F, T, E> Task<F, T, E> {
    fn new(closure: F) -> (Self, Slot<T, E>) {
        let slot = Slot::default();
        (Self { closure, slot: Arc::clone(&slot) }, slot)
    }
}

impl<F, T, E> Job for Task<F, T, E>
where
    F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&mut self, verbs: &mut dyn Verbs) -> End {
        let mut tx = Tx::new(verbs);
        // Release builds abort on a panic and replay at the next start; where panics unwind (tests), the writer
        // must outlive one bad closure.
        let result = catch_unwind(AssertUnwindSafe(|| (self.closure)(&mut tx)))
            .unwrap_or_else(|panic| Err(Error::bug("closure", Mistake::Panic(message(&*panic))).into()));
        let (result, end) = match (result, tx.fault) {
            (Ok(_), Some(fault)) => (Err(fault.clone().into()), End::Fault(fault)),
            (result, Some(fault)) => (result, End::Fault(fault)),
            (result @ Ok(_), None) => (result, End::Keep),
            (result @ Err(_), None) => (result, End::Undo),
        };
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        end
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
