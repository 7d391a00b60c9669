//! One text per migration for both engines.

use std::sync::Arc;

use refinery::error::Kind;
use refinery::{Migrate, Migration, Runner, SchemaVersion, Target};

use crate::error::{Error, Refusal};
use crate::statement::{Dialect, expand};

/// A schema migration for both engines.
#[derive(Debug, Clone, Copy)]
pub struct MigrationText {
    /// `V<number>__<words>`, such as `V1__networks`; numbers rise.
    pub name: &'static str,
    /// Statements, each ended by a semicolon; the fragments of a [`Statement`](crate::Statement) are known here too.
    pub sql: &'static str,
}

/// The table in which the applied migrations are listed.
pub(crate) const HISTORY: &str = "refinery_schema_history";

/// Applies what is missing, all of it in one transaction. The caller makes sure that it is alone.
pub(crate) fn apply(
    connection: &mut impl Migrate,
    texts: &[MigrationText],
    dialect: &Dialect,
) -> Result<(), Error> {
    apply_until(connection, texts, i64::MAX, dialect)
}

/// Applies what is missing up to `version`.
pub(crate) fn apply_until(
    connection: &mut impl Migrate,
    texts: &[MigrationText],
    version: i64,
    dialect: &Dialect,
) -> Result<(), Error> {
    let migrations: Vec<Migration> =
        texts.iter().map(|text| parse(text, dialect)).collect::<Result<_, _>>()?;
    let until = Target::Version(version.try_into().unwrap_or(SchemaVersion::MAX));
    let mut runner = Runner::new(&migrations).set_grouped(true).set_target(until);
    runner.set_migration_table_name(HISTORY);
    let report = runner.run(connection).map_err(|error| match error.kind() {
        Kind::MissingVersion(missing) => {
            let last = runner.get_last_applied_migration(connection).ok().flatten();
            let found = last.map_or(missing.version(), |last| last.version());
            let refused = check_known(i64::from(found), texts);
            refused.err().unwrap_or_else(|| Error::Migration(Arc::new(error)))
        }
        _ => Error::Migration(Arc::new(error)),
    })?;
    for applied in report.applied_migrations() {
        tracing::info!(migration = %applied, "schema brought up to date");
    }
    Ok(())
}

/// Refuses a schema `version` that is beyond the last of `texts`.
pub(crate) fn check_known(version: i64, texts: &[MigrationText]) -> Result<(), Error> {
    let number = |text: &MigrationText| text.name.strip_prefix('V')?.split_once("__")?.0.parse().ok();
    let known = texts.iter().filter_map(number).max().unwrap_or(0);
    if version > known { Err(Refusal::NewerDatabase { found: version, known }.into()) } else { Ok(()) }
}

fn parse(text: &MigrationText, dialect: &Dialect) -> Result<Migration, Error> {
    let sql = expand(text.sql, dialect).map_err(|mistake| Error::bug(text.name, mistake))?;
    Migration::unapplied(text.name, &sql).map_err(|error| Error::Migration(Arc::new(error)))
}
