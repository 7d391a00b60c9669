//! The two databases, empty and of one's own for every test, and SQL beside the product to count independently.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use postgres::{Client, NoTls, SimpleQueryMessage};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use url::Url;
use uuid::Uuid;

use crate::Folder;

/// The variable that names a PostgreSQL server on which this user may create databases.
const POSTGRES: &str = "PITLANE_TEST_POSTGRES";

/// An empty database. It is removed when dropped.
#[derive(Debug)]
pub enum Engine {
    /// In a folder of its own.
    Sqlite(Folder),
    /// A database of its own on the server that `PITLANE_TEST_POSTGRES` names.
    Postgres {
        /// Where the database is.
        url: Url,
    },
}

/// Runs a test on both engines, each time on an empty database.
pub fn for_each_engine(test: impl Fn(&Engine)) {
    for engine in [Engine::sqlite as fn() -> Engine, Engine::postgres] {
        let engine = engine();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(&engine))) {
            say(&format!("the test failed on {}", engine.name()));
            resume_unwind(panic);
        }
    }
}

#[expect(clippy::print_stderr, reason = "the test runner keeps it for failed tests")]
fn say(text: &str) {
    eprintln!("{text}");
}

impl Engine {
    /// An empty SQLite database.
    pub fn sqlite() -> Self {
        Self::Sqlite(Folder::new())
    }

    /// An empty PostgreSQL database.
    pub fn postgres() -> Self {
        Self::postgres_on(&server())
    }

    /// An empty PostgreSQL database on this server, which must be there until the end.
    pub fn postgres_on(server: &Url) -> Self {
        let name = format!("pitlane_test_{}", Uuid::new_v4().simple());
        run_on_server(server, &format!("create database {name}"))
            .unwrap_or_else(|error| panic!("create database: {error}"));
        let mut url = server.clone();
        url.set_path(&name);
        Self::Postgres { url }
    }

    /// Its name, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres { .. } => "PostgreSQL",
        }
    }

    /// The arguments that make the binary use it.
    pub fn database_args(&self) -> [String; 2] {
        match self {
            Self::Sqlite(folder) => ["--data".to_owned(), folder.path().display().to_string()],
            Self::Postgres { url } => ["--database".to_owned(), url.to_string()],
        }
    }

    /// The rows of a query, as text: numbers in decimal, bytes in lower-case hex, nothing as `NULL`.
    pub fn sql(&self, query: &str) -> Vec<Vec<String>> {
        match self {
            Self::Sqlite(folder) => sqlite_rows(&folder.join("pitlane.db"), query),
            Self::Postgres { url } => on_own_thread(|| postgres_rows(url, query)),
        }
    }

    /// Runs one statement that changes something, beside the product.
    pub fn execute(&self, statement: &str) {
        self.sql(statement);
    }

    /// The one number that a query gives.
    pub fn count(&self, query: &str) -> i64 {
        let rows = self.sql(query);
        assert!(rows.len() == 1 && rows[0].len() == 1, "`{query}` gave {rows:?}");
        rows[0][0].parse().unwrap_or_else(|_| panic!("`{query}` gave {rows:?}"))
    }

    /// Every row of every table, each row as one line, sorted: equal texts are equal databases, whichever engine.
    /// Of the migrations only their names: their texts differ by engine.
    pub fn content(&self) -> Vec<String> {
        let tables = match self {
            Self::Sqlite(_) => {
                "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
            }
            Self::Postgres { .. } => "select tablename from pg_tables where schemaname = 'public'",
        };
        let tables = self.sql(tables).into_iter().map(|row| row[0].clone());
        let mut lines = Vec::new();
        for table in tables {
            let columns = if table == "refinery_schema_history" { "version, name" } else { "*" };
            let rows = self.sql(&format!("select {columns} from {table}"));
            lines.extend(rows.iter().map(|row| format!("{table}: {}", row.join(" | "))));
        }
        lines.sort_unstable();
        lines
    }

    /// Locks the clicks against every writer, beside the product, until the result is dropped.
    pub fn hold(&self) -> Hold {
        match self {
            Self::Sqlite(folder) => Hold::Sqlite(hold_sqlite(&folder.join("pitlane.db"))),
            Self::Postgres { url } => Hold::Postgres(Some(on_own_thread(|| hold_postgres(url)))),
        }
    }

    /// An id as a literal of this engine's SQL.
    pub fn id(&self, id: &str) -> String {
        self.bytes(Uuid::parse_str(id).expect("an id").as_bytes())
    }

    /// Bytes as they are written in SQL.
    pub fn bytes(&self, bytes: &[u8]) -> String {
        let hex = hex(bytes);
        match self {
            Self::Sqlite(_) => format!("x'{hex}'"),
            Self::Postgres { .. } => format!("'\\x{hex}'::bytea"),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Self::Postgres { url } = self {
            let command =
                format!("drop database if exists {} with (force)", url.path().trim_start_matches('/'));
            let mut server = url.clone();
            server.set_path("postgres");
            let dropped = run_on_server(&server, &command);
            // A test that failed may have stopped the server itself.
            assert!(dropped.is_ok() || std::thread::panicking(), "{command}: {dropped:?}");
        }
    }
}

/// A lock that a test holds.
pub enum Hold {
    /// A transaction that writes.
    Sqlite(Connection),
    /// A transaction that has the table to itself.
    Postgres(Option<Client>),
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Self::Postgres(client) = self {
            // The connection's end is the transaction's.
            let client = client.take();
            on_own_thread(|| drop(client));
        }
    }
}

fn hold_sqlite(file: &str) -> Connection {
    let connection =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("a database");
    connection.busy_timeout(Duration::from_secs(10)).expect("a time-out");
    connection.execute_batch("begin immediate").expect("a lock");
    connection
}

fn hold_postgres(url: &Url) -> Client {
    let mut client = connect(url).unwrap_or_else(|error| panic!("PostgreSQL at {url}: {error}"));
    client.batch_execute("begin; lock table click in access exclusive mode").expect("a lock");
    client
}

#[expect(clippy::disallowed_methods, reason = "which server the tests use is no setting of the product")]
fn server() -> Url {
    let url = std::env::var(POSTGRES).unwrap_or_else(|_| {
        panic!("{POSTGRES} is not set; run ./test.sh, or set it to postgres://user@host:port/postgres of a server \
                on which that user may create databases")
    });
    Url::parse(&url).unwrap_or_else(|error| panic!("{POSTGRES} is not a URL: {error}"))
}

fn run_on_server(server: &Url, command: &str) -> Result<(), postgres::Error> {
    on_own_thread(|| connect(server)?.batch_execute(command))
}

/// The PostgreSQL client blocks, which it refuses to do on a thread of an async runtime.
fn on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

fn connect(url: &Url) -> Result<Client, postgres::Error> {
    Client::connect(url.as_str(), NoTls)
}

fn postgres_rows(url: &Url, query: &str) -> Vec<Vec<String>> {
    let messages = connect(url).and_then(|mut client| client.simple_query(query));
    let messages = messages.unwrap_or_else(|error| panic!("{query}: {error}"));
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| {
        let cell =
            |at| row.get(at).map_or("NULL", |text: &str| text.strip_prefix("\\x").unwrap_or(text)).to_owned();
        (0..row.len()).map(cell).collect()
    })
    .collect()
}

fn sqlite_rows(file: &str, query: &str) -> Vec<Vec<String>> {
    let read = || -> rusqlite::Result<Vec<Vec<String>>> {
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        let mut statement = connection.prepare(query)?;
        let width = statement.column_count();
        let rows = statement.query_map([], |row| (0..width).map(|at| row.get_ref(at).map(text)).collect())?;
        rows.collect()
    };
    read().unwrap_or_else(|error| panic!("{query}: {error}"))
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Blob(bytes) => hex(bytes),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::for_each_engine;

    #[test]
    fn both_engines_answer_alike() {
        for_each_engine(|engine| {
            if let super::Engine::Sqlite(folder) = engine {
                rusqlite::Connection::open(folder.join("pitlane.db")).unwrap();
            }
            let id = engine.id("0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6");
            let rows = engine.sql(&format!("select 7, 'a', {id}, null"));
            assert_eq!(rows, [["7", "a", "0198f1c27a3b7c4d8e5fa1b2c3d4e5f6", "NULL"]]);
            assert_eq!(engine.count("select 41 + 1"), 42);
        });
    }
}
