//! A backup: a SQLite file that no server works on.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};

use super::session::value;
use super::{DIALECT, FILE, classify, connect, lock, make_folder};
use crate::backup::{Copied, Part, Progress};
use crate::db::Options;
use crate::error::{Error, Mistake, Refusal};
use crate::migrate::{self, HISTORY, MigrationText};
use crate::value::{Columns, Value};

/// Rows between two words of progress.
const STEP: u64 = 10_000;

/// An archive that is being written or read.
pub(in crate::engine) struct Archive {
    connection: Connection,
}

/// One of its tables.
pub(in crate::engine) struct Table {
    pub(in crate::engine) name: String,
    pub(in crate::engine) columns: Vec<String>,
}

impl Table {
    pub(in crate::engine) fn column_list(&self) -> String {
        self.columns.join(", ")
    }
}

/// Copies the live file. `vacuum into` reads one snapshot while the writer goes on, writes a compact file, and
/// leaves behind what deleted rows left in free pages, so that the erased stay erased.
pub(in crate::engine) fn dump(
    dir: &Path,
    part: &Path,
    migrations: &[MigrationText],
    progress: Progress<'_>,
) -> Result<Vec<Copied>, Error> {
    let file = dir.join(FILE);
    std::fs::metadata(&file).map_err(|error| Error::file(&file, error))?;
    let live = connect(&file, &Options::default())?;
    vacuum_into(&live, part)?;
    Archive::open(part, migrations)?.count(progress)
}

/// Copies a backup to where the server will look for it.
pub(in crate::engine) fn load(
    dir: &Path,
    file: &Path,
    migrations: &[MigrationText],
    progress: Progress<'_>,
) -> Result<Vec<Copied>, Error> {
    let archive = Archive::open(file, migrations)?;
    make_folder(dir)?;
    let _alone = lock(dir)?;
    let part = Part::new(&dir.join(FILE))?;
    vacuum_into(&archive.connection, &part.path)?;
    let copied = Archive::open(&part.path, migrations)?.count(progress)?;
    part.keep()?;
    Ok(copied)
}

fn vacuum_into(from: &Connection, to: &Path) -> Result<(), Error> {
    let to = to.as_os_str().to_str().ok_or_else(|| {
        Error::file(to, std::io::Error::new(std::io::ErrorKind::InvalidFilename, "the name is not UTF-8"))
    })?;
    from.execute("vacuum into ?1", [to]).map(drop).map_err(|error| classify("backup", error))
}

impl Archive {
    /// Makes the empty file at `path` an archive with the schema of `version`.
    pub(in crate::engine) fn create(
        path: &Path,
        migrations: &[MigrationText],
        version: i64,
    ) -> Result<Self, Error> {
        let fail = |error| classify("backup", error);
        let mut connection = Connection::open(path).map_err(fail)?;
        // Nobody reads the file before it is whole and synced; a failure throws it away.
        connection.pragma_update(None, "journal_mode", "off").map_err(fail)?;
        connection.pragma_update(None, "synchronous", "off").map_err(fail)?;
        migrate::apply_until(&mut connection, migrations, version, &DIALECT)?;
        Ok(Self { connection })
    }

    /// Opens a complete archive, and refuses one that is damaged or newer than this program.
    pub(in crate::engine) fn open(path: &Path, migrations: &[MigrationText]) -> Result<Self, Error> {
        std::fs::metadata(path).map_err(|error| Error::file(path, error))?;
        let refuse = |why| Error::from(Refusal::NotABackup { path: path.to_owned(), why });
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
            let sound = "pragma integrity_check(1)";
            let found: String = connection.query_one(sound, [], |row| row.get(0))?;
            Ok((Self { connection }, found))
        });
        let (archive, found) = opened.map_err(|error| refuse(Arc::new(error)))?;
        if found != "ok" {
            return Err(refuse(Arc::new(Mistake::Damaged(found))));
        }
        let version = archive.version().map_err(|error| refuse(Arc::new(error)))?;
        migrate::check_known(version, migrations)?;
        Ok(archive)
    }

    /// The version of its schema.
    pub(in crate::engine) fn version(&self) -> Result<i64, rusqlite::Error> {
        self.connection.query_one(&format!("select max(version) from {HISTORY}"), [], |row| row.get(0))
    }

    /// Its tables but for the schema's history, which each engine keeps for itself.
    pub(in crate::engine) fn tables(&self) -> Result<Vec<Table>, Error> {
        let sql =
            "select name from sqlite_schema where type = 'table' and name not like 'sqlite\\_%' escape '\\'
                   and name <> ?1 order by name";
        let columns = "select name from pragma_table_info(?1) order by cid";
        let tables = self.names(sql, HISTORY)?.into_iter().map(|name| {
            let columns = self.names(columns, &name)?;
            Ok(Table { name, columns })
        });
        tables.collect()
    }

    fn names(&self, sql: &str, param: &str) -> Result<Vec<String>, Error> {
        let names = self.connection.prepare(sql).and_then(|mut statement| {
            let names = statement.query_map([param], |row| row.get(0))?;
            names.collect()
        });
        names.map_err(|error| classify("backup", error))
    }

    fn count(&self, progress: Progress<'_>) -> Result<Vec<Copied>, Error> {
        let tables = self.tables()?.into_iter().map(|table| {
            let sql = format!("select count(*) from {}", table.name);
            let rows = self.connection.query_one(&sql, [], |row| row.get::<_, i64>(0));
            let rows = rows.map_err(|error| classify("backup", error))?.unsigned_abs();
            progress(&table.name, rows);
            Ok(Copied { table: table.name, rows })
        });
        tables.collect()
    }

    /// Replaces the rows of `table` by those that `next` gives until it has no more.
    pub(in crate::engine) fn fill(
        &self,
        table: &Table,
        progress: Progress<'_>,
        mut next: impl FnMut() -> Result<Option<Vec<Value>>, Error>,
    ) -> Result<Copied, Error> {
        let fail = |error| classify("backup", error);
        let all = self.connection.unchecked_transaction().map_err(fail)?;
        // What a migration put there came along from the source as well.
        all.execute(&format!("delete from {}", table.name), []).map_err(fail)?;
        let marks = vec!["?"; table.columns.len()].join(", ");
        let insert = format!("insert into {} ({}) values ({marks})", table.name, table.column_list());
        let mut insert = all.prepare(&insert).map_err(fail)?;
        let mut rows = 0;
        while let Some(row) = next()? {
            insert.execute(rusqlite::params_from_iter(&row)).map_err(fail)?;
            rows += 1;
            if rows % STEP == 0 {
                progress(&table.name, rows);
            }
        }
        drop(insert);
        all.commit().map_err(fail)?;
        progress(&table.name, rows);
        Ok(Copied { table: table.name.clone(), rows })
    }

    /// Gives every row of `table` to `take`.
    pub(in crate::engine) fn each_row(
        &self,
        table: &Table,
        progress: Progress<'_>,
        mut take: impl FnMut(Vec<Value>) -> Result<(), Error>,
    ) -> Result<Copied, Error> {
        let fail = |error| classify("restore", error);
        let columns = Columns { statement: "restore", names: table.columns.clone() };
        let select = format!("select {} from {}", table.column_list(), table.name);
        let mut select = self.connection.prepare(&select).map_err(fail)?;
        let mut found = select.query([]).map_err(fail)?;
        let mut rows = 0;
        while let Some(row) = found.next().map_err(fail)? {
            let values = (0..columns.names.len())
                .map(|index| value(row.get_ref(index).map_err(fail)?, &columns, index));
            take(values.collect::<Result<_, _>>()?)?;
            rows += 1;
            if rows % STEP == 0 {
                progress(&table.name, rows);
            }
        }
        progress(&table.name, rows);
        Ok(Copied { table: table.name.clone(), rows })
    }

    /// Checks what was written before anybody relies on it.
    pub(in crate::engine) fn check(self, path: &Path, migrations: &[MigrationText]) -> Result<(), Error> {
        drop(self.connection);
        Self::open(path, migrations).map(drop)
    }
}
