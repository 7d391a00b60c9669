//! Why a measurement could not be made. Nothing here panics: a release build ends at once in a panic, and what was
//! started would not be stopped in order.

use std::error::Error;
use std::fmt;

/// What could not be done, and the cause where there is one.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), cause: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.what)?;
        self.cause.as_ref().map_or(Ok(()), |cause| write!(formatter, ": {cause}"))
    }
}

impl Error for Failure {}

/// Says what was being done when something failed.
pub(crate) trait During<T> {
    /// The value, or a failure that begins with `what`.
    fn during(self, what: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> During<T> for std::result::Result<T, E> {
    fn during(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|cause| Failure { what: what.into(), cause: Some(cause.into()) })
    }
}

impl<T> During<T> for Option<T> {
    fn during(self, what: impl Into<String>) -> Result<T> {
        self.ok_or_else(|| Failure::new(what))
    }
}

/// Fails unless the condition holds.
pub(crate) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Failure::new(otherwise())) }
}
