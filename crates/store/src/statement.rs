//! SQL written once: named statements, the fragments in which the engines differ, and the click log's shape.

use crate::error::Mistake;
use crate::value::Value;

/// A named SQL statement, written once for both engines.
///
/// Parameters are `?1`, `?2`, …; a fragment in braces stands for what the engines spell differently:
/// `{blob}` `{without_rowid}` `{skip_locked}` `{for_update}` `{greatest}` `{least}`, and
/// `{bytes_of}(text{in_utf8})`. A line of a migration after `{only_postgres}` is a comment to SQLite.
/// `{greatest}(a, b)` and `{least}(a, b)` must not be given a null: the engines disagree about it.
#[derive(Debug)]
pub struct Statement {
    /// Unique name, `noun.verb`; appears in errors.
    pub name: &'static str,
    /// The text before expansion.
    pub sql: &'static str,
}

impl Statement {
    /// A statement called `name` with the text `sql`.
    pub const fn new(name: &'static str, sql: &'static str) -> Self {
        Self { name, sql }
    }
}

/// What a column of an [`Append`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// `bigint`
    Int,
    /// `text`
    Text,
    /// `{blob}`
    Blob,
}

impl Column {
    fn admits(self, value: &Value) -> bool {
        matches!(
            (self, value),
            (_, Value::Null)
                | (Self::Int, Value::Int(_))
                | (Self::Text, Value::Text(_))
                | (Self::Blob, Value::Blob(_) | Value::Id(_))
        )
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::Int => "an integer",
            Self::Text => "text",
            Self::Blob => "bytes",
        }
    }
}

/// A table that takes rows in bulk: the click log.
#[derive(Debug)]
pub struct Append {
    /// Unique name; appears in errors.
    pub name: &'static str,
    /// The table.
    pub table: &'static str,
    /// Its columns in the order in which rows give them.
    pub columns: &'static [(&'static str, Column)],
    /// What notes down which rows came, in their transaction.
    listing: Option<&'static Statement>,
}

impl Append {
    /// A bulk insert called `name` into `columns` of `table`.
    pub const fn new(
        name: &'static str,
        table: &'static str,
        columns: &'static [(&'static str, Column)],
    ) -> Self {
        Self { name, table, columns, listing: None }
    }

    /// Runs `listing` once for each batch, in its transaction: with the lowest and the highest key, the number of rows,
    /// all keys one behind the other, and what is noted of each; null for all when one has none. The key is the first
    /// column, of 16 bytes; the note is one value more than there are columns.
    #[must_use]
    pub const fn listed_by(self, listing: &'static Statement) -> Self {
        Self { listing: Some(listing), ..self }
    }

    /// The listing of these rows, if there is one to be made.
    pub(crate) fn list<'r>(
        &self,
        rows: impl Iterator<Item = &'r Vec<Value>>,
    ) -> Option<(&'static Statement, [Value; 5])> {
        let listing = self.listing?;
        let mut listed: Vec<(&[u8], Option<&[u8]>)> =
            rows.filter_map(|row| Some((row.first()?.bytes()?, row.last()?.bytes()))).collect();
        listed.sort_unstable();
        let (first, last) = (listed.first()?.0, listed.last()?.0);
        let count = i64::try_from(listed.len()).unwrap_or(i64::MAX);
        let keys: Vec<&[u8]> = listed.iter().map(|(key, _)| *key).collect();
        let notes: Option<Vec<&[u8]>> = listed.iter().map(|(_, note)| *note).collect();
        let notes = notes.map_or(Value::Null, |notes| Value::Blob(notes.concat()));
        Some((listing, [first.into(), last.into(), count.into(), keys.concat().into(), notes]))
    }

    /// The values of a row that go into its columns.
    pub(crate) fn stored<'r>(&self, row: &'r [Value]) -> &'r [Value] {
        row.get(..self.columns.len()).unwrap_or(row)
    }

    /// Checks one row before it joins a batch, because a bad row would fail the whole batch.
    pub(crate) fn check(&self, row: &[Value]) -> Result<(), Mistake> {
        let wanted = self.columns.len() + usize::from(self.listing.is_some());
        if row.len() != wanted {
            return Err(Mistake::Width { found: row.len(), wanted });
        }
        for (index, (value, (_, column))) in row.iter().zip(self.columns).enumerate() {
            if !column.admits(value) {
                return Err(Mistake::ValueType { index, found: value.kind(), wanted: column.wanted() });
            }
            if value.has_nul() {
                return Err(Mistake::Nul(index + 1));
            }
        }
        Ok(())
    }

    pub(crate) fn column_list(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

/// How one engine spells what the shared SQL leaves open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    /// The character before a parameter's number.
    pub(crate) placeholder: char,
    /// Text of a fragment, or none when there is no such fragment.
    pub(crate) fragment: fn(&str) -> Option<&'static str>,
}

/// Translates the shared SQL for one engine; quoted text and comments stay as they are.
pub(crate) fn expand(sql: &str, dialect: &Dialect) -> Result<String, Mistake> {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut rest = sql;
    while let Some(start) = rest.find(['\'', '"', '{', '?', '-']) {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let taken = if rest.starts_with("--") {
            // A comment may hold quotes and braces that mean nothing.
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with('-') {
            out.push('-');
            1
        } else if rest.starts_with('{') {
            let end = rest.find('}').ok_or(Mistake::Unclosed)?;
            let name = &rest[1..end];
            let text = (dialect.fragment)(name).ok_or_else(|| Mistake::Fragment(name.into()))?;
            out.push_str(text);
            end + 1
        } else if let Some(number) = rest.strip_prefix('?') {
            if !number.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(Mistake::Placeholder);
            }
            out.push(dialect.placeholder);
            1
        } else {
            let quote = &rest[..1];
            let end = rest[1..].find(quote).ok_or(Mistake::Unclosed)? + 2;
            out.push_str(&rest[..end]);
            end
        };
        rest = &rest[taken..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The shared SQL of an insert for one row, with its `values (…)` as often as there are rows: each has parameters of
/// its own, behind those of the one before.
pub(crate) fn for_rows(sql: &str, rows: usize) -> Result<String, Mistake> {
    const BEGIN: &str = "values (";
    let start = sql.find(BEGIN).ok_or(Mistake::NoRow)? + BEGIN.len() - 1;
    let end = start + sql[start..].find(')').ok_or(Mistake::NoRow)? + 1;
    if sql[..start].contains('?') || sql[end..].contains('?') {
        return Err(Mistake::NoRow);
    }
    let width = sql[start..end].matches('?').count();
    let row = |row: usize| {
        let params: Vec<String> = (1..=width).map(|param| format!("?{}", row * width + param)).collect();
        format!("({})", params.join(", "))
    };
    let all: Vec<String> = (0..rows).map(row).collect();
    Ok(format!("{}{}{}", &sql[..start], all.join(", "), &sql[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOLLAR: Dialect = Dialect {
        placeholder: '$',
        fragment: |name| match name {
            "blob" => Some("bytea"),
            "nothing" => Some(""),
            _ => None,
        },
    };

    fn expanded(sql: &str) -> String {
        expand(sql, &DOLLAR).unwrap()
    }

    #[test]
    fn placeholders_and_fragments_are_translated() {
        assert_eq!(
            expanded("insert into t (a {blob}) values (?1, ?12){nothing}"),
            "insert into t (a bytea) values ($1, $12)"
        );
        assert_eq!(expanded("select 5 - ?1"), "select 5 - $1");
    }

    #[test]
    fn quoted_text_and_comments_are_left_alone() {
        assert_eq!(
            expanded("select '{blob} ?1 it''s', \"?2\" -- {what '?\n, ?3"),
            "select '{blob} ?1 it''s', \"?2\" \n, $3"
        );
        assert_eq!(expanded("select 'grün', ?1"), "select 'grün', $1");
    }

    #[test]
    fn an_insert_takes_many_rows() {
        let insert =
            "insert into t (a, b) values (?1, ?2) on conflict (a) do update set b = t.b + excluded.b";
        assert_eq!(for_rows(insert, 1).unwrap(), insert);
        assert_eq!(
            for_rows(insert, 3).unwrap(),
            "insert into t (a, b) values (?1, ?2), (?3, ?4), (?5, ?6)
             on conflict (a) do update set b = t.b + excluded.b"
                .replace("\n            ", "")
        );
        for no_row in
            ["delete from t where a = ?1", "insert into t (a) values (?1) on conflict do update set b = ?2"]
        {
            assert_eq!(
                for_rows(no_row, 2).unwrap_err().to_string(),
                "no `values (…)` that holds all parameters"
            );
        }
    }

    #[test]
    fn mistakes_are_named() {
        let failure = |sql| expand(sql, &DOLLAR).unwrap_err().to_string();
        assert_eq!(failure("select {bolb}"), "unknown fragment {bolb}");
        assert_eq!(failure("select ?"), "a placeholder without a number");
        assert_eq!(failure("select 'x"), "an unclosed quote or fragment");
        assert_eq!(failure("select {x"), "an unclosed quote or fragment");
    }

    #[test]
    fn a_row_must_fit_its_table() {
        let log =
            Append::new("log", "log", &[("id", Column::Blob), ("at_ms", Column::Int), ("sub", Column::Text)]);
        assert!(log.check(&[[1_u8; 16].into(), 5.into(), Value::Null]).is_ok());
        let failure = |row: &[Value]| log.check(row).unwrap_err().to_string();
        assert_eq!(failure(&[]), "a row of 0 values for 3 columns");
        assert_eq!(failure(&["x".into(), 5.into(), Value::Null]), "value 0 is text, not bytes");
        assert_eq!(
            failure(&[Value::Null, 5.into(), "a\0b".into()]),
            "text with a NUL character in parameter 3"
        );
    }
}
