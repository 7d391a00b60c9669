//! A PostgreSQL database into a backup, and back.

use std::path::Path;
use std::sync::Arc;

use postgres::binary_copy::BinaryCopyInWriter;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::Type;
use postgres::{Client, Transaction};

use super::{DIALECT, address, alone, classify, connect};
use crate::backup::{Copied, Progress};
use crate::engine::sqlite::{Archive, Table};
use crate::error::{Error, Refusal};
use crate::migrate::{self, HISTORY, MigrationText};
use crate::value::Value;

/// Copies every table inside one snapshot.
pub(in crate::engine) fn dump(
    url: &str,
    part: &Path,
    migrations: &[MigrationText],
    progress: Progress<'_>,
) -> Result<Vec<Copied>, Error> {
    let fail = |error| classify("backup", error);
    let mut client = connect(&address(url)?)?;
    client
        .batch_execute("set statement_timeout = 0; set idle_in_transaction_session_timeout = 0")
        .map_err(fail)?;
    let mut snapshot = client
        .build_transaction()
        .isolation_level(postgres::IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .map_err(fail)?;
    let version = version(&mut snapshot)?;
    migrate::check_known(version, migrations)?;
    let archive = Archive::create(part, migrations, version)?;
    let mut copied = Vec::new();
    for table in archive.tables()? {
        copied.push(dump_table(&mut snapshot, &archive, &table, progress)?);
    }
    archive.check(part, migrations)?;
    Ok(copied)
}

fn version(snapshot: &mut Transaction<'_>) -> Result<i64, Error> {
    let fail = |error| classify("backup", error);
    let known = snapshot.query_one("select to_regclass($1) is not null", &[&HISTORY]).map_err(fail)?;
    if !known.try_get::<_, bool>(0).map_err(fail)? {
        return Err(Refusal::NothingToBackUp.into());
    }
    let sql = format!("select coalesce(max(version), 0)::bigint from {HISTORY}");
    snapshot.query_one(&sql, &[]).and_then(|row| row.try_get(0)).map_err(fail)
}

fn dump_table(
    snapshot: &mut Transaction<'_>,
    archive: &Archive,
    table: &Table,
    progress: Progress<'_>,
) -> Result<Copied, Error> {
    let fail = |error| classify("backup", error);
    let select = format!("select {} from {}", table.column_list(), table.name);
    // Rows come as they are asked for; the table is never in memory.
    let mut rows = snapshot.query_raw(&select, Vec::<Value>::new()).map_err(fail)?;
    archive.fill(table, progress, || {
        let Some(row) = rows.next().map_err(fail)? else { return Ok(None) };
        let values = (0..row.len()).map(|index| row.try_get(index).map_err(fail));
        values.collect::<Result<_, _>>().map(Some)
    })
}

/// Makes the schema and fills it; undoes all of it when that fails.
pub(in crate::engine) fn load(
    url: &str,
    file: &Path,
    migrations: &[MigrationText],
    progress: Progress<'_>,
) -> Result<Vec<Copied>, Error> {
    let archive = Archive::open(file, migrations)?;
    let version = archive.version().map_err(|error| Error::Corrupt(Arc::new(error)))?;
    let tables = archive.tables()?;
    let mut client = alone(&address(url)?)?;
    refuse_used(&mut client)?;
    let loaded = migrate::apply_until(&mut client, migrations, version, &DIALECT)
        .and_then(|()| load_tables(&mut client, &archive, &tables, progress));
    if loaded.is_err() {
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).chain([HISTORY]).collect();
        // They were not there before, so nobody misses them.
        if let Err(error) = client.batch_execute(&format!("drop table if exists {}", names.join(", "))) {
            tracing::warn!(%error, "what was restored before the failure could not be removed");
        }
    }
    loaded
}

fn refuse_used(client: &mut Client) -> Result<(), Error> {
    let sql = "select c.relname::text from pg_class c where c.relnamespace = current_schema()::regnamespace
               and c.relkind in ('r', 'p') order by c.relname limit 1";
    let found = client.query_opt(sql, &[]).map_err(|error| classify("restore", error))?;
    match found.map(|row| row.try_get(0)).transpose().map_err(|error| classify("restore", error))? {
        Some(table) => Err(Refusal::NotEmpty { table }.into()),
        None => Ok(()),
    }
}

fn load_tables(
    client: &mut Client,
    archive: &Archive,
    tables: &[Table],
    progress: Progress<'_>,
) -> Result<Vec<Copied>, Error> {
    let fail = |error| classify("restore", error);
    let mut all = client.transaction().map_err(fail)?;
    let mut copied = Vec::new();
    for table in tables {
        copied.push(load_table(&mut all, archive, table, progress)?);
    }
    all.commit().map_err(fail)?;
    client.batch_execute("analyze").map_err(fail)?;
    Ok(copied)
}

fn load_table(
    all: &mut Transaction<'_>,
    archive: &Archive,
    table: &Table,
    progress: Progress<'_>,
) -> Result<Copied, Error> {
    let fail = |error| classify("restore", error);
    let columns = table.column_list();
    // What a migration put there is in the backup as well.
    all.execute(&format!("delete from {}", table.name), &[]).map_err(fail)?;
    let select = all.prepare(&format!("select {columns} from {}", table.name)).map_err(fail)?;
    let types: Vec<Type> = select.columns().iter().map(|column| column.type_().clone()).collect();
    let copy = format!("copy {} ({columns}) from stdin binary", table.name);
    let mut writer = BinaryCopyInWriter::new(all.copy_in(&copy).map_err(fail)?, &types);
    let copied = archive.each_row(table, progress, |row| writer.write_raw(row.iter()).map_err(fail))?;
    writer.finish().map_err(fail)?;
    Ok(copied)
}
