//! One text per migration for both engines.

use std::sync::Arc;

use refinery::error::Kind;
use refinery::{Migrate, Migration, Runner};

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
    let migrations: Vec<Migration> =
        texts.iter().map(|text| parse(text, dialect)).collect::<Result<_, _>>()?;
    let known = migrations.iter().map(|migration| i64::from(migration.version())).max().unwrap_or(0);
    let mut runner = Runner::new(&migrations).set_grouped(true);
    runner.set_migration_table_name(HISTORY);
    let report = runner.run(connection).map_err(|error| match error.kind() {
        Kind::MissingVersion(missing) if i64::from(missing.version()) > known => {
            let last = runner.get_last_applied_migration(connection).ok().flatten();
            let found = last.map_or(i64::from(missing.version()), |last| i64::from(last.version()));
            Error::Refused(Refusal::NewerDatabase { found, known })
        }
        _ => Error::Migration(Arc::new(error)),
    })?;
    for applied in report.applied_migrations() {
        tracing::info!(migration = %applied, "schema brought up to date");
    }
    Ok(())
}

fn parse(text: &MigrationText, dialect: &Dialect) -> Result<Migration, Error> {
    let sql = expand(text.sql, dialect).map_err(|mistake| Error::bug(text.name, mistake))?;
    Migration::unapplied(text.name, &sql).map_err(|error| Error::Migration(Arc::new(error)))
}
