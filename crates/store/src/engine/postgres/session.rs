//! The verbs of a transaction on one PostgreSQL connection.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::Arc;

use postgres::Client;
use postgres::binary_copy::BinaryCopyInWriter;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::private::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::{DIALECT, classify};
use crate::engine::{Key, MAX_ROWS, Verbs, text, too_many_rows};
use crate::error::{Error, Mistake};
use crate::statement::{Append, Column, Statement};
use crate::value::{Columns, Row, Value};

/// A prepared statement and the names of its result columns.
#[derive(Clone)]
pub(super) struct Prepared {
    statement: postgres::Statement,
    columns: Arc<Columns>,
}

/// A connection with its prepared statements. They are as many as the program has, so they need no bound.
pub(super) struct Session<'c> {
    client: &'c mut Client,
    prepared: &'c mut HashMap<Key, Prepared>,
}

impl<'c> Session<'c> {
    pub(super) fn new(client: &'c mut Client, prepared: &'c mut HashMap<Key, Prepared>) -> Self {
        Self { client, prepared }
    }

    /// Runs plain SQL without parameters: `begin`, `rollback`.
    pub(super) fn run(&mut self, sql: &'static str) -> Result<(), Error> {
        self.client.batch_execute(sql).map_err(|error| classify(sql, error))
    }

    /// Has the server look at what is in tables, for its plans: those that this query names.
    pub(super) fn analyze(&mut self, tables: &'static str) -> Result<(), Error> {
        let fail = |error| classify("analyze", error);
        for row in self.client.query(tables, &[]).map_err(fail)? {
            let table: String = row.try_get(0).map_err(fail)?;
            self.client.batch_execute(&format!("analyze {table}")).map_err(fail)?;
        }
        Ok(())
    }

    /// The commit. When the connection breaks here, the server may have committed or not.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        self.client.batch_execute("commit").map_err(|error| match classify("commit", error) {
            Error::Unavailable(source) => Error::Unknown(source),
            other => other,
        })
    }

    fn compile(&mut self, name: &'static str, sql: &str) -> Result<Prepared, Error> {
        let statement = self.client.prepare(sql).map_err(|error| classify(name, error))?;
        let names = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        Ok(Prepared { statement, columns: Arc::new(Columns { statement: name, names }) })
    }

    fn cached(
        &mut self,
        key: Key,
        name: &'static str,
        sql: impl FnOnce() -> Result<String, Error>,
    ) -> Result<Prepared, Error> {
        if let Some(prepared) = self.prepared.get(&key) {
            return Ok(prepared.clone());
        }
        let prepared = self.compile(name, &sql()?)?;
        self.prepared.insert(key, prepared.clone());
        Ok(prepared)
    }

    fn ready(
        &mut self,
        statement: &'static Statement,
        rows: usize,
        params: &[Value],
    ) -> Result<Prepared, Error> {
        let key = (std::ptr::from_ref(statement).addr(), rows);
        let prepared = self.cached(key, statement.name, || text(statement, rows, &DIALECT))?;
        let wanted = prepared.statement.params().len();
        if wanted != params.len() {
            return Err(Error::bug(statement.name, Mistake::Width { found: params.len(), wanted }));
        }
        Ok(prepared)
    }

    /// Sends rows as one binary `COPY`, inside a transaction that the caller commits. Outside of one it would not be
    /// safe: the driver reports its end when the server has read the rows, which is before they are committed.
    fn copy(&mut self, append: &'static Append, rows: &[Vec<Value>]) -> Result<(), Error> {
        let fail = |error| classify(append.name, error);
        let key = (std::ptr::from_ref(append).addr(), 1);
        let copy = || Ok(format!("copy {} ({}) from stdin binary", append.table, append.column_list()));
        let prepared = self.cached(key, append.name, copy)?;
        let types: Vec<Type> = append.columns.iter().map(|(_, column)| sql_type(*column)).collect();
        let out = self.client.copy_in(&prepared.statement).map_err(fail)?;
        let mut writer = BinaryCopyInWriter::new(out, &types);
        for row in rows {
            writer.write_raw(append.stored(row).iter()).map_err(fail)?;
        }
        writer.finish().map(drop).map_err(fail)
    }
}

fn sql_type(column: Column) -> Type {
    match column {
        Column::Int => Type::INT8,
        Column::Text => Type::TEXT,
        Column::Blob => Type::BYTEA,
    }
}

impl Verbs for Session<'_> {
    fn query(&mut self, statement: &'static Statement, params: &[Value]) -> Result<Vec<Row>, Error> {
        let fail = |error| classify(statement.name, error);
        let prepared = self.ready(statement, 1, params)?;
        let mut rows = self.client.query_raw(&prepared.statement, params).map_err(fail)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(fail)? {
            if found.len() == MAX_ROWS {
                return Err(too_many_rows(statement));
            }
            let values = (0..row.len()).map(|index| row.try_get::<_, Value>(index).map_err(fail));
            found.push(Row::new(Arc::clone(&prepared.columns), values.collect::<Result<_, _>>()?));
        }
        Ok(found)
    }

    fn execute_rows(
        &mut self,
        statement: &'static Statement,
        rows: usize,
        params: &[Value],
    ) -> Result<u64, Error> {
        let prepared = self.ready(statement, rows, params)?;
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|value| value as _).collect();
        self.client.execute(&prepared.statement, &params).map_err(|error| classify(statement.name, error))
    }

    fn append(&mut self, append: &'static Append, rows: &[Vec<Value>]) -> Result<(), Error> {
        self.copy(append, rows)?;
        match append.list(rows.iter()) {
            Some((listing, params)) => self.execute(listing, &params).map(drop),
            None => Ok(()),
        }
    }

    fn prepare(&mut self, statement: &'static Statement) -> Result<(), Error> {
        let sql = text(statement, 1, &DIALECT)?;
        self.run("savepoint prepare")?;
        let compiled = self.compile(statement.name, &sql).map(drop);
        self.run("rollback to prepare")?;
        compiled
    }
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match (self, ty) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Int(int), &Type::INT8) => int.to_sql(ty, out),
            (Self::Int(int), &Type::INT4) => i32::try_from(*int)?.to_sql(ty, out),
            (Self::Int(int), &Type::INT2) => i16::try_from(*int)?.to_sql(ty, out),
            (Self::Int(int), &Type::BOOL) => (*int != 0).to_sql(ty, out),
            (Self::Text(text), ty) if <&str as ToSql>::accepts(ty) => text.as_str().to_sql(ty, out),
            (Self::Blob(bytes), &Type::BYTEA) => bytes.as_slice().to_sql(ty, out),
            (Self::Id(bytes), &Type::BYTEA) => bytes.as_slice().to_sql(ty, out),
            (value, ty) => Err(format!("{} for a parameter of type {ty}", value.kind()).into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Decided with the value at hand, in `to_sql`.
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(match *ty {
            Type::INT8 => Self::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Self::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Self::Int(i16::from_sql(ty, raw)?.into()),
            Type::BOOL => Self::Int(bool::from_sql(ty, raw)?.into()),
            Type::BYTEA => Self::of_bytes(raw),
            _ => Self::Text(<&str>::from_sql(ty, raw)?.to_owned()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4 | Type::INT2 | Type::BOOL | Type::BYTEA)
            || <&str as FromSql>::accepts(ty)
    }
}
