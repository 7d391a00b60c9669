//! Reads one table of the file key by key, notes everything that is wrong with it, and goes on.

use std::fmt::Display;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Faults, Sound, Told};

/// A value with the byte of the file where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At<T> {
    /// The byte.
    pub(crate) at: usize,
    /// The value.
    pub(crate) value: T,
}

/// One table. Every key that is asked for is known; what remains at the end is not.
pub(crate) struct Fields<'d> {
    faults: &'d Faults<'d>,
    table: &'d DeTable<'d>,
    /// Where the table begins; stands for keys that are missing.
    start: usize,
    /// Named at the beginning of every message.
    subject: String,
    known: Vec<&'static str>,
}

impl<'d> Fields<'d> {
    /// The table that begins at byte `start`.
    pub(crate) fn new(faults: &'d Faults<'d>, table: &'d DeTable<'d>, start: usize, subject: String) -> Self {
        Self { faults, table, start, subject, known: Vec::new() }
    }

    /// What this table is about, for messages.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// Gives the table its name, once that could be read.
    pub(crate) fn named(&mut self, subject: String) {
        self.subject = subject;
    }

    /// Where the value of `key` stands, or the table when there is none.
    pub(crate) fn at(&self, key: &str) -> usize {
        self.table.get(key).map_or(self.start, |value| value.span().start)
    }

    /// Whether `key` is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes a fault of this table.
    pub(crate) fn fault(&self, at: usize, message: impl Display) -> Told {
        self.faults.fault(at, format!("{}: {message}", self.subject))
    }

    /// Notes what may be a fault of this table.
    pub(crate) fn warn(&self, at: usize, message: impl Display) {
        self.faults.warn(at, format!("{}: {message}", self.subject));
    }

    /// A value that may be absent.
    pub(crate) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'d>) -> Result<T, String>,
    ) -> Sound<Option<T>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => self.read(key, value, read).map(Some),
        }
    }

    /// A value that must be there.
    pub(crate) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'d>) -> Result<T, String>,
    ) -> Sound<T> {
        match self.get(key) {
            None => Err(self.fault(self.start, format!("`{key}` is missing"))),
            Some(value) => self.read(key, value, read),
        }
    }

    /// The name of another thing, which must be there.
    pub(crate) fn reference(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'d>) -> Result<String, String>,
    ) -> Sound<At<String>> {
        let at = self.at(key);
        self.required(key, read).map(|value| At { at, value })
    }

    /// The name of another thing, which may be absent.
    pub(crate) fn optional_reference(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'d>) -> Result<String, String>,
    ) -> Sound<Option<At<String>>> {
        let at = self.at(key);
        Ok(self.optional(key, read)?.map(|value| At { at, value }))
    }

    /// A list, empty when absent. Every wrong element is noted.
    pub(crate) fn list<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&DeValue<'d>) -> Result<T, String>,
    ) -> Sound<Vec<At<T>>> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let Some(list) = value.get_ref().as_array() else {
            let found = kind(value.get_ref());
            return Err(
                self.fault(value.span().start, format!("{key}: a list in [ ] is needed, not {found}"))
            );
        };
        let mut sound = Ok(());
        let mut all = Vec::with_capacity(list.len());
        for element in list {
            match self.read(key, element, &read) {
                Ok(value) => all.push(At { at: element.span().start, value }),
                Err(told) => sound = Err(told),
            }
        }
        sound.map(|()| all)
    }

    /// The table under `key`, like `like`; none when absent.
    pub(crate) fn table(&mut self, key: &'static str, like: &str) -> Sound<Option<Fields<'d>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let at = value.span().start;
        let Some(table) = value.get_ref().as_table() else {
            let found = kind(value.get_ref());
            return Err(self.fault(at, format!("{key}: a table like {like} is needed, not {found}")));
        };
        Ok(Some(Fields::new(self.faults, table, at, format!("{} {key}", self.subject))))
    }

    /// The tables of a list, which is written like `like`; none when absent. Each is subject to `subject` until it is
    /// named.
    pub(crate) fn tables(
        &mut self,
        key: &'static str,
        like: &str,
        subject: impl Fn(usize) -> String,
    ) -> Sound<Vec<Fields<'d>>> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let wrong = |at| self.faults.fault(at, format!("write {like}"));
        let list = value.get_ref().as_array().ok_or_else(|| wrong(value.span().start))?;
        let mut tables = Vec::with_capacity(list.len());
        for (element, number) in list.iter().zip(1..) {
            let table = element.get_ref().as_table().ok_or_else(|| wrong(element.span().start))?;
            tables.push(Fields::new(self.faults, table, element.span().start, subject(number)));
        }
        Ok(tables)
    }

    /// Makes keys known that are not read now.
    pub(crate) fn know(&mut self, keys: &[&'static str]) {
        self.known.extend(keys);
    }

    /// Notes every key that nobody asked for.
    pub(crate) fn finish(&self) -> Sound<()> {
        let mut sound = Ok(());
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !self.known.contains(&name) {
                let hint = nearest(name, &self.known);
                sound = Err(self.fault(key.span().start, format!("unknown key `{name}`; {hint}")));
            }
        }
        sound
    }

    fn get(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table.get(key)
    }

    fn read<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'d>>,
        read: impl FnOnce(&DeValue<'d>) -> Result<T, String>,
    ) -> Sound<T> {
        read(value.get_ref()).map_err(|why| self.fault(value.span().start, format!("{key}: {why}")))
    }
}

/// What a value is, with its article.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with decimals",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The known name that was probably meant, or all of them.
pub(crate) fn nearest(name: &str, known: &[&str]) -> String {
    let best = known.iter().map(|known| (strsim::damerau_levenshtein(name, known), known)).min();
    match best {
        Some((distance, best)) if distance <= 1 + name.len() / 4 => format!("did you mean `{best}`?"),
        _ => {
            let mut known = known.to_vec();
            known.sort_unstable();
            format!("known are: {}", known.join(", "))
        }
    }
}
