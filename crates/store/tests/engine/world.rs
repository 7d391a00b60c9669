//! A fresh database for each test, on each engine, and the small schema that these tests use.

use std::path::{Path, PathBuf};
use std::sync::mpsc;

use postgres::NoTls;
use store::{Append, Column, Db, Error, MigrationText, Options, Statement, Target, Value};
use uuid::Uuid;

pub(crate) static MIGRATIONS: &[MigrationText] = &[
    MigrationText {
        name: "V1__counters",
        sql:
            "create table counter (name text not null primary key, value bigint not null check (value >= 0));
              insert into counter (name, value) values ('hits', 0); -- {not a fragment}",
    },
    MigrationText {
        name: "V2__log",
        sql:
            "create table log (id {blob} not null primary key, seq bigint not null check (seq >= 0), sub text)
              {without_rowid};",
    },
];

pub(crate) static LOG: Append =
    Append::new("log.append", "log", &[("id", Column::Blob), ("seq", Column::Int), ("sub", Column::Text)]);

pub(crate) static BUMP: Statement = Statement::new(
    "counter.bump",
    "update counter set value = {greatest}(value, 0) + ?1 where name = 'hits'",
);
pub(crate) static NEW: Statement =
    Statement::new("counter.new", "insert into counter (name, value) values (?1, ?2)");
pub(crate) static GET: Statement =
    Statement::new("counter.get", "select value from counter where name = ?1 {for_update}");
pub(crate) static READ: Statement =
    Statement::new("counter.read", "select value from counter where name = ?1");
pub(crate) static COUNT: Statement = Statement::new("log.count", "select count(*) as n from log");
pub(crate) static ROWS: Statement = Statement::new("log.rows", "select id, seq, sub from log order by seq");
pub(crate) static EMPTY: Statement = Statement::new("log.empty", "delete from log");

/// One database of one engine; gone when dropped.
pub(crate) struct World {
    pub(crate) target: Target,
    dir: PathBuf,
    name: String,
}

/// Runs `test` on a fresh database of each engine.
pub(crate) async fn on_each_engine(test: impl AsyncFn(&World)) {
    test(&World::sqlite()).await;
    test(&World::postgres()).await;
}

impl World {
    pub(crate) fn sqlite() -> Self {
        let name = format!("pitlane_test_{}", Uuid::new_v4().simple());
        let dir = std::env::temp_dir().join(&name);
        Self { target: Target::Sqlite { dir: dir.clone() }, dir, name }
    }

    pub(crate) fn postgres() -> Self {
        let mut world = Self::sqlite();
        admin(format!("create database {}", world.name));
        let (server, _) = server_url().rsplit_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        world.target = Target::Postgres { url: format!("{server}/{}", world.name) };
        world
    }

    pub(crate) fn open(&self) -> Db {
        self.open_with(&Options::default())
    }

    pub(crate) fn open_with(&self, options: &Options) -> Db {
        Db::open(&self.target, options, MIGRATIONS, &LOG).unwrap()
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.target, Target::Sqlite { .. })
    }

    /// A folder that no other test uses; made by SQLite only.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The SQLite file.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.join("pitlane.db")
    }

    /// Runs SQL on the database behind the store's back.
    pub(crate) fn behind(&self, sql: &str) {
        match &self.target {
            Target::Sqlite { .. } => {
                rusqlite::Connection::open(self.file()).unwrap().execute_batch(sql).unwrap();
            }
            Target::Postgres { url } => execute(url.clone(), sql.to_owned()),
        }
    }

    /// Keeps the log from taking rows until the sender is dropped.
    pub(crate) fn lock_log(&self) -> mpsc::Sender<()> {
        let ((release, wait), (locked, ready)) = (mpsc::channel::<()>(), mpsc::channel::<()>());
        let (target, file) = (self.target.clone(), self.file());
        std::thread::spawn(move || match target {
            Target::Sqlite { .. } => {
                let other = rusqlite::Connection::open(file).unwrap();
                other.execute_batch("begin immediate").unwrap();
                locked.send(()).unwrap();
                let _ = wait.recv();
            }
            Target::Postgres { url } => {
                let mut other = postgres::Client::connect(&url, NoTls).unwrap();
                other.batch_execute("begin; lock table log in exclusive mode").unwrap();
                locked.send(()).unwrap();
                let _ = wait.recv();
            }
        });
        ready.recv().unwrap();
        release
    }

    /// Ends every connection to this PostgreSQL database, as a restart of the server does.
    pub(crate) fn terminate(&self) {
        let all = "select pg_terminate_backend(pid) from pg_stat_activity where datname";
        admin(format!("{all} = '{}'", self.name));
    }

    /// Lets nobody connect to this PostgreSQL database, or everybody again.
    pub(crate) fn allow(&self, connections: bool) {
        admin(format!("alter database {} allow_connections {connections}", self.name));
    }

    /// Sets a PostgreSQL setting for this database.
    pub(crate) fn set(&self, setting: &str) {
        admin(format!("alter database {} set {setting}", self.name));
    }

    /// The single bigint that `sql` finds, behind the store's back.
    pub(crate) fn look(&self, sql: &str) -> i64 {
        match &self.target {
            Target::Sqlite { .. } => {
                rusqlite::Connection::open(self.file()).unwrap().query_one(sql, [], |row| row.get(0)).unwrap()
            }
            Target::Postgres { url } => {
                let (url, sql) = (url.clone(), sql.to_owned());
                let run = move || {
                    let mut client = postgres::Client::connect(&url, NoTls).unwrap();
                    client.query_one(&sql, &[]).unwrap().get(0)
                };
                std::thread::spawn(run).join().unwrap()
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.is_sqlite() {
            drop(std::fs::remove_dir_all(&self.dir));
        } else {
            admin(format!("drop database {} with (force)", self.name));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "where the test server is comes from outside")]
fn server_url() -> String {
    std::env::var("PITLANE_TEST_POSTGRES").expect(
        "set PITLANE_TEST_POSTGRES to a superuser's URL, such as postgres://postgres@127.0.0.1:5432/postgres",
    )
}

/// Runs SQL as the superuser of the test server.
pub(crate) fn admin(sql: String) {
    execute(server_url(), sql);
}

fn execute(url: String, sql: String) {
    // The blocking client may not run on a thread of the test's runtime.
    let run = move || postgres::Client::connect(&url, NoTls).unwrap().batch_execute(&sql).unwrap();
    std::thread::spawn(run).join().unwrap();
}

pub(crate) fn row(seq: i64) -> Vec<Value> {
    vec![Uuid::new_v4().into(), seq.into(), Value::Null]
}

pub(crate) async fn hits(db: &Db) -> i64 {
    db.read(|tx| tx.query_one(&READ, &["hits".into()])?.unwrap().int("value")).await.unwrap()
}

pub(crate) async fn logged(db: &Db) -> i64 {
    db.read(|tx| tx.query_one(&COUNT, &[])?.unwrap().int("n")).await.unwrap()
}

pub(crate) async fn bump(db: &Db, by: i64) -> Result<u64, Error> {
    db.write(move |tx| tx.execute(&BUMP, &[by.into()])).await
}
