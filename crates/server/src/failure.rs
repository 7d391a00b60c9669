//! Why a command failed, what caused it, and what to do next, as it is told to the person at the terminal.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use crate::config;

/// The command failed.
const FAILED: u8 = 1;
/// Nothing was tried: the arguments or the settings cannot be used. The same code that a wrong flag gives.
const USAGE: u8 = 2;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    cause: Box<dyn Error + Send + Sync>,
    next: Option<String>,
    code: u8,
}

impl Failure {
    /// The command failed because of this.
    pub(crate) fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), next: None, code: FAILED }
    }

    /// Nothing was tried, because what was given cannot be used.
    pub(crate) fn usage(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code: USAGE, ..Self::new(cause) }
    }

    /// What the person can do about it, as an imperative without a full stop.
    pub(crate) fn next(self, step: impl Into<String>) -> Self {
        Self { next: Some(step.into()), ..self }
    }

    /// Tells the person on standard error, and gives the process its exit code.
    pub(crate) fn report(&self) -> ExitCode {
        // Nobody is left to be told when standard error is gone.
        let _ = std::io::stderr().write_all(self.text().as_bytes());
        ExitCode::from(self.code)
    }

    /// Everything that is told.
    pub(crate) fn text(&self) -> String {
        let mut told = self.cause.to_string();
        let mut text = format!("error: {told}\n");
        let mut cause = self.cause.source();
        while let Some(at) = cause {
            let why = at.to_string();
            // Some errors already end with what caused them.
            if !told.contains(&why) {
                let _ = writeln!(text, "  because: {why}");
            }
            told = why;
            cause = at.source();
        }
        if let Some(next) = &self.next {
            let _ = writeln!(text, "  next: {next}");
        }
        text
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        Self::usage(error)
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open {0}")]
    struct Outer(&'static str, #[source] std::io::Error);

    #[test]
    fn it_tells_what_why_and_what_next() {
        let failure = Failure::new(Outer("x.db", std::io::Error::other("it is gone"))).next("bring it back");
        assert_eq!(failure.text(), "error: cannot open x.db\n  because: it is gone\n  next: bring it back\n");
    }

    #[test]
    fn a_cause_that_was_told_is_not_told_twice() {
        let failure = Failure::new(Outer("it is gone", std::io::Error::other("it is gone")));
        assert_eq!(failure.text(), "error: cannot open it is gone\n");
    }
}
