//! What is wrong in a file, and where: lines and columns as an editor counts them.

use std::cell::{Cell, RefCell};

use serde::Serialize;

/// Faults beyond this many are counted, not told.
pub(crate) const MAX_FAULTS: usize = 50;

/// A fault, or something that may be one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    /// The file's line, from 1.
    pub(crate) line: usize,
    /// The character in the line, from 1.
    pub(crate) column: usize,
    /// What is wrong, and what would be right.
    pub(crate) message: String,
}

/// Stands for a value that could not be had; the reason is among the [`Faults`] already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told;

/// A value, unless its fault was told.
pub(crate) type Sound<T> = Result<T, Told>;

/// Gathers everything that is wrong with one text, so that it can be told at once.
pub(crate) struct Faults<'t> {
    text: &'t str,
    line_starts: Vec<usize>,
    found: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<Fault>>,
    more: Cell<usize>,
}

impl<'t> Faults<'t> {
    /// Nothing is wrong with `text` so far.
    pub(crate) fn new(text: &'t str) -> Self {
        let behind_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            line_starts: std::iter::once(0).chain(behind_breaks).collect(),
            found: RefCell::default(),
            warnings: RefCell::default(),
            more: Cell::new(0),
        }
    }

    /// Notes a fault at a byte of the text.
    pub(crate) fn fault(&self, at: usize, message: impl Into<String>) -> Told {
        let mut found = self.found.borrow_mut();
        if found.len() < MAX_FAULTS {
            found.push(self.located(at, message.into()));
        } else {
            self.more.set(self.more.get() + 1);
        }
        Told
    }

    /// Notes what may be a fault and hinders nothing.
    pub(crate) fn warn(&self, at: usize, message: impl Into<String>) {
        let mut warnings = self.warnings.borrow_mut();
        if warnings.len() < MAX_FAULTS {
            warnings.push(self.located(at, message.into()));
        }
    }

    /// The line that holds a byte of the text, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// Whether nothing is wrong.
    pub(crate) fn none(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// The faults in the order of the text, and how many more there are.
    pub(crate) fn into_faults(self) -> (Vec<Fault>, usize) {
        (sorted(self.found.into_inner()), self.more.get())
    }

    /// The warnings in the order of the text.
    pub(crate) fn into_warnings(self) -> Vec<Fault> {
        sorted(self.warnings.into_inner())
    }

    fn located(&self, at: usize, message: String) -> Fault {
        let line = self.line(at);
        let start = self.line_starts[line - 1];
        let before = self.text.get(start..at).unwrap_or_default();
        Fault { line, column: before.chars().count() + 1, message }
    }
}

fn sorted(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort_by_key(|fault| (fault.line, fault.column));
    faults
}

#[cfg(test)]
mod tests {
    use super::{Faults, MAX_FAULTS};

    #[test]
    fn a_place_is_counted_in_lines_and_characters() {
        let text = "a = 1\r\nö = \"ü\" # x\n\nz";
        let faults = Faults::new(text);
        for wanted in ["a", "1", "ö", "\"ü\"", "x", "z"] {
            faults.fault(text.find(wanted).unwrap(), wanted);
        }
        faults.fault(text.len(), "the end");
        faults.fault(text.len() + 10, "beyond");
        let (faults, more) = faults.into_faults();
        let places: Vec<_> = faults.iter().map(|fault| (fault.line, fault.column)).collect();
        assert_eq!(places, [(1, 1), (1, 5), (2, 1), (2, 5), (2, 11), (4, 1), (4, 1), (4, 2)]);
        assert_eq!(more, 0);
    }

    #[test]
    fn only_so_many_are_told_and_the_rest_is_counted() {
        let faults = Faults::new("x");
        assert!(faults.none());
        for _ in 0..MAX_FAULTS + 7 {
            faults.fault(0, "again");
        }
        assert!(!faults.none());
        let (told, more) = faults.into_faults();
        assert_eq!((told.len(), more), (MAX_FAULTS, 7));
    }
}
