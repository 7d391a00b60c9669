//! Values that go into statements and the rows that come back.

use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

use crate::error::{Error, Mistake};

/// One SQL value. The schema knows 64-bit integers, text and bytes, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// SQL `null`.
    Null,
    /// `bigint`: counts, `*_ms`, `*_micros`, flags as 0 and 1.
    Int(i64),
    /// `text`, UTF-8 without NUL.
    Text(String),
    /// `{blob}`.
    Blob(Vec<u8>),
    /// A `{blob}` of 16 bytes, as ids are: without memory of its own.
    Id([u8; 16]),
}

impl Value {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Int(_) => "an integer",
            Self::Text(_) => "text",
            Self::Blob(_) | Self::Id(_) => "bytes",
        }
    }

    /// Bytes as the engine gave them.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        bytes.try_into().map_or_else(|_| Self::Blob(bytes.to_vec()), Self::Id)
    }

    /// The bytes of a `{blob}`.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Blob(bytes) => Some(bytes),
            Self::Id(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// PostgreSQL cannot store NUL in text; refusing it everywhere keeps the engines alike.
    pub(crate) fn has_nul(&self) -> bool {
        matches!(self, Self::Text(text) if text.as_bytes().contains(&0))
    }
}

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl From<$int> for Value {
            fn from(value: $int) -> Self {
                Self::Int(i64::from(value))
            }
        }
    )*};
}
integers!(i64, i32, u32, u16, u8, bool);

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Blob(value)
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Blob(value.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(value: [u8; N]) -> Self {
        Self::Blob(value.to_vec())
    }
}

impl From<Uuid> for Value {
    fn from(value: Uuid) -> Self {
        Self::Id(value.into_bytes())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The names of a statement's result columns, shared by its rows.
#[derive(Debug)]
pub(crate) struct Columns {
    pub(crate) statement: &'static str,
    pub(crate) names: Vec<String>,
}

/// One result row. A getter fails with [`Error::Bug`] when the column is absent or has another type.
#[derive(Debug, Clone)]
pub struct Row {
    columns: Arc<Columns>,
    values: Vec<Value>,
}

impl Row {
    pub(crate) fn new(columns: Arc<Columns>, values: Vec<Value>) -> Self {
        Self { columns, values }
    }

    /// The value of column `name`.
    pub fn value(&self, name: &str) -> Result<&Value, Error> {
        let found = self.columns.names.iter().position(|column| column == name);
        found.and_then(|index| self.values.get(index)).ok_or_else(|| self.bug(Mistake::NoColumn(name.into())))
    }

    /// A `bigint` that is not null.
    pub fn int(&self, name: &str) -> Result<i64, Error> {
        self.opt_int(name)?.ok_or_else(|| self.mismatch(name, "null", "an integer"))
    }

    /// A `bigint` or null.
    pub fn opt_int(&self, name: &str) -> Result<Option<i64>, Error> {
        match self.value(name)? {
            Value::Null => Ok(None),
            Value::Int(int) => Ok(Some(*int)),
            other => Err(self.mismatch(name, other.kind(), "an integer")),
        }
    }

    /// A `text` that is not null.
    pub fn text(&self, name: &str) -> Result<String, Error> {
        self.opt_text(name)?.ok_or_else(|| self.mismatch(name, "null", "text"))
    }

    /// A `text` or null.
    pub fn opt_text(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(self.opt_str(name)?.map(str::to_owned))
    }

    /// A `text` or null, as it lies in the row.
    pub fn opt_str(&self, name: &str) -> Result<Option<&str>, Error> {
        match self.value(name)? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            other => Err(self.mismatch(name, other.kind(), "text")),
        }
    }

    /// Bytes that are not null.
    pub fn blob(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.opt_blob(name)?.ok_or_else(|| self.mismatch(name, "null", "bytes"))
    }

    /// Bytes or null.
    pub fn opt_blob(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.value(name)? {
            Value::Null => Ok(None),
            other => match other.bytes() {
                Some(bytes) => Ok(Some(bytes.to_vec())),
                None => Err(self.mismatch(name, other.kind(), "bytes")),
            },
        }
    }

    /// An id of 16 bytes that is not null.
    pub fn uuid(&self, name: &str) -> Result<Uuid, Error> {
        self.opt_uuid(name)?.ok_or_else(|| self.mismatch(name, "null", "an id"))
    }

    /// An id of 16 bytes or null.
    pub fn opt_uuid(&self, name: &str) -> Result<Option<Uuid>, Error> {
        match self.value(name)? {
            Value::Null => Ok(None),
            Value::Id(bytes) => Ok(Some(Uuid::from_bytes(*bytes))),
            Value::Blob(_) => Err(self.mismatch(name, "bytes", "an id of 16 bytes")),
            other => Err(self.mismatch(name, other.kind(), "an id")),
        }
    }

    /// A `bigint` read as yes (not 0) or no (0).
    pub fn flag(&self, name: &str) -> Result<bool, Error> {
        Ok(self.int(name)? != 0)
    }

    /// A text that is one of an enum's codes, or another value that is written as text.
    pub fn code<T>(&self, name: &str) -> Result<T, Error>
    where
        T: FromStr,
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        self.opt_code(name)?.ok_or_else(|| self.mismatch(name, "null", "text"))
    }

    /// Like [`Row::code`], or null.
    pub fn opt_code<T>(&self, name: &str) -> Result<Option<T>, Error>
    where
        T: FromStr,
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let parse = |text: String| text.parse().map_err(|why| Error::bug(self.columns.statement, why));
        self.opt_text(name)?.map(parse).transpose()
    }

    /// The error for a stored value that means nothing to this program.
    pub(crate) fn unreadable(&self, column: &str, found: &str) -> Error {
        self.bug(Mistake::Unreadable { column: column.into(), found: found.into() })
    }

    fn mismatch(&self, column: &str, found: &'static str, wanted: &'static str) -> Error {
        self.bug(Mistake::ColumnType { column: column.into(), found, wanted })
    }

    fn bug(&self, mistake: Mistake) -> Error {
        Error::bug(self.columns.statement, mistake)
    }
}
