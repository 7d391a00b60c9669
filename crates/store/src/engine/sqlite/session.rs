//! The verbs of a transaction on one SQLite connection.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql};

use super::{DIALECT, classify};
use crate::completion::Refused;
use crate::engine::{Key, MAX_ROWS, ROWS_AT_ONCE, Verbs, text, too_many_rows};
use crate::error::{Error, Mistake};
use crate::statement::{Append, Statement};
use crate::value::{Columns, Row, Value};

/// A connection with its prepared statements. They are as many as the program has, so they need no bound.
pub(super) struct Session<'c> {
    connection: &'c Connection,
    prepared: HashMap<Key, Prepared<'c>>,
}

struct Prepared<'c> {
    statement: rusqlite::Statement<'c>,
    columns: Arc<Columns>,
}

impl<'c> Session<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, prepared: HashMap::new() }
    }

    pub(super) fn connection(&self) -> &'c Connection {
        self.connection
    }

    fn compile(&self, name: &'static str, sql: &str) -> Result<Prepared<'c>, Error> {
        let statement = self.connection.prepare(sql).map_err(|error| classify(name, error))?;
        let names = statement.column_names().map(str::to_owned).collect();
        Ok(Prepared { statement, columns: Arc::new(Columns { statement: name, names }) })
    }

    fn bound(
        &mut self,
        statement: &'static Statement,
        rows: usize,
        params: &[Value],
    ) -> Result<&mut Prepared<'c>, Error> {
        let key = (std::ptr::from_ref(statement).addr(), rows);
        if !self.prepared.contains_key(&key) {
            let prepared = self.compile(statement.name, &text(statement, rows, &DIALECT)?)?;
            self.prepared.insert(key, prepared);
        }
        self.bind(key, statement.name, params.iter())
    }

    fn bind<'v>(
        &mut self,
        key: Key,
        name: &'static str,
        params: impl Iterator<Item = &'v Value>,
    ) -> Result<&mut Prepared<'c>, Error> {
        let missing = || Error::bug(name, Mistake::Abandoned);
        let prepared = self.prepared.get_mut(&key).ok_or_else(missing)?;
        let wanted = prepared.statement.parameter_count();
        let mut found = 0;
        for value in params {
            found += 1;
            if found <= wanted {
                let bound = prepared.statement.raw_bind_parameter(found, value);
                bound.map_err(|error| classify(name, error))?;
            }
        }
        if wanted != found {
            return Err(Error::bug(name, Mistake::Width { found, wanted }));
        }
        Ok(prepared)
    }

    /// Adds rows to the table of `append`, in the order of their keys. One that is refused leaves the others in place.
    pub(super) fn insert(&mut self, append: &'static Append, rows: &[Vec<Value>]) -> Result<Refused, Error> {
        let mut places: Vec<usize> = (0..rows.len()).collect();
        places.sort_by_key(|place| rows[*place].first().and_then(Value::bytes));
        let (mut refused, mut rest) = (Refused::new(), &places[..]);
        for at_once in ROWS_AT_ONCE {
            while let Some((some, others)) = rest.split_at_checked(at_once) {
                self.insert_or_refuse(append, rows, some, &mut refused)?;
                rest = others;
            }
        }
        Ok(refused)
    }

    /// Some rows in one statement; when it is refused, each in its own.
    fn insert_or_refuse(
        &mut self,
        append: &'static Append,
        rows: &[Vec<Value>],
        places: &[usize],
        refused: &mut Refused,
    ) -> Result<(), Error> {
        match (self.insert_some(append, rows, places), places) {
            (Ok(()), _) => Ok(()),
            (Err(error @ (Error::Conflict { .. } | Error::Bug { .. })), [place]) => {
                refused.push((*place, error));
                Ok(())
            }
            (Err(Error::Conflict { .. } | Error::Bug { .. }), several) => {
                several.iter().try_for_each(|place| self.insert_or_refuse(append, rows, &[*place], refused))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// All of some rows in one statement, or none of them.
    fn insert_some(
        &mut self,
        append: &'static Append,
        rows: &[Vec<Value>],
        places: &[usize],
    ) -> Result<(), Error> {
        let key = (std::ptr::from_ref(append).addr(), places.len());
        if !self.prepared.contains_key(&key) {
            let row = format!("({})", vec!["?"; append.columns.len()].join(", "));
            let all = vec![row; places.len()].join(", ");
            let sql = format!("insert into {} ({}) values {all}", append.table, append.column_list());
            let prepared = self.compile(append.name, &sql)?;
            self.prepared.insert(key, prepared);
        }
        let params = places.iter().flat_map(|place| append.stored(&rows[*place]));
        let prepared = self.bind(key, append.name, params)?;
        prepared.statement.raw_execute().map(drop).map_err(|error| classify(append.name, error))
    }

    /// Notes down which rows were added.
    pub(super) fn list<'r>(
        &mut self,
        append: &'static Append,
        rows: impl Iterator<Item = &'r Vec<Value>>,
    ) -> Result<(), Error> {
        match append.list(rows) {
            Some((listing, params)) => self.execute(listing, &params).map(drop),
            None => Ok(()),
        }
    }
}

impl Verbs for Session<'_> {
    fn query(&mut self, statement: &'static Statement, params: &[Value]) -> Result<Vec<Row>, Error> {
        let fail = |error| classify(statement.name, error);
        let prepared = self.bound(statement, 1, params)?;
        let columns = Arc::clone(&prepared.columns);
        let mut rows = prepared.statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(fail)? {
            if found.len() == MAX_ROWS {
                return Err(too_many_rows(statement));
            }
            let mut values = Vec::with_capacity(columns.names.len());
            for index in 0..columns.names.len() {
                values.push(value(row.get_ref(index).map_err(fail)?, &columns, index)?);
            }
            found.push(Row::new(Arc::clone(&columns), values));
        }
        Ok(found)
    }

    fn execute_rows(
        &mut self,
        statement: &'static Statement,
        rows: usize,
        params: &[Value],
    ) -> Result<u64, Error> {
        let prepared = self.bound(statement, rows, params)?;
        let changed = prepared.statement.raw_execute().map_err(|error| classify(statement.name, error))?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    fn append(&mut self, append: &'static Append, rows: &[Vec<Value>]) -> Result<(), Error> {
        match self.insert(append, rows)?.pop() {
            Some((_, error)) => Err(error),
            None => self.list(append, rows.iter()),
        }
    }

    fn prepare(&mut self, statement: &'static Statement) -> Result<(), Error> {
        self.compile(statement.name, &text(statement, 1, &DIALECT)?).map(drop)
    }
}

pub(super) fn value(found: ValueRef<'_>, columns: &Columns, index: usize) -> Result<Value, Error> {
    let odd = |found| {
        let column = columns.names.get(index).cloned().unwrap_or_default();
        Error::bug(
            columns.statement,
            Mistake::ColumnType { column, found, wanted: "an integer, text or bytes" },
        )
    };
    Ok(match found {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(int) => Value::Int(int),
        ValueRef::Text(text) => {
            Value::Text(std::str::from_utf8(text).map_err(|_| odd("text that is not UTF-8"))?.to_owned())
        }
        ValueRef::Blob(bytes) => Value::of_bytes(bytes),
        ValueRef::Real(_) => return Err(odd("a floating-point number")),
    })
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(int) => ValueRef::Integer(*int),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
            Self::Id(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
