//! A file that is read whole, and again when it is another one.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use domain::time::{SECOND_MS, Timestamp};

use crate::Error;

/// No file of countries or ranges is larger; one that is was named by mistake.
const MAX_BYTES: u64 = 1 << 30;

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    bytes: u64,
    inode: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            bytes: metadata.size(),
            inode: metadata.ino(),
        }
    }
}

/// A file's bytes.
pub(crate) struct Content<'a> {
    /// Where it lies.
    pub(crate) path: &'a Path,
    /// All of it.
    pub(crate) bytes: Vec<u8>,
    /// When it was changed last.
    pub(crate) modified: Timestamp,
}

/// What happened to a file that is another one than before.
#[derive(Debug)]
pub enum Reloaded {
    /// It was read and counts from now on.
    Read {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be used, so what was read before counts on. Said once for each state of the file.
    Kept {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: Error,
    },
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path } => write!(f, "{} was read again", path.display()),
            Self::Kept { error, .. } => write!(f, "{error}; what was read before still counts"),
        }
    }
}

/// A watched file and what it held when it could be used last.
pub(crate) struct Watched<T> {
    path: PathBuf,
    parse: fn(Content<'_>) -> Result<T, Error>,
    value: ArcSwapOption<T>,
    /// The state that was looked at last, usable or not; none when there was no file.
    seen: Mutex<Option<Stamp>>,
}

impl<T> Watched<T> {
    /// Reads a file that must be there.
    pub(crate) fn required(path: PathBuf, parse: fn(Content<'_>) -> Result<T, Error>) -> Result<Self, Error> {
        let (stamp, content) = read(&path)?;
        let value = ArcSwapOption::from_pointee(parse(content)?);
        Ok(Self { path, parse, value, seen: Mutex::new(Some(stamp)) })
    }

    /// Reads a file that may be absent.
    pub(crate) fn optional(path: PathBuf, parse: fn(Content<'_>) -> Result<T, Error>) -> Result<Self, Error> {
        match Self::required(path.clone(), parse) {
            Err(Error::Unreadable { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Ok(Self { path, parse, value: ArcSwapOption::empty(), seen: Mutex::new(None) })
            }
            other => other,
        }
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks something up in what the file holds; none without a file.
    pub(crate) fn ask<R>(&self, question: impl FnOnce(&T) -> Option<R>) -> Option<R> {
        let value = self.value.load();
        question(value.as_deref()?)
    }

    /// Reads the file if it is another one than at the last look.
    pub(crate) fn reload_if_changed(&self) -> Option<Reloaded> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = std::fs::metadata(&self.path).ok().map(|metadata| Stamp::of(&metadata));
        if *seen == stamp {
            return None;
        }
        *seen = stamp;
        let path = self.path.clone();
        let value = read(&self.path).and_then(|(stamp, content)| {
            *seen = Some(stamp);
            (self.parse)(content)
        });
        match value {
            Ok(value) => {
                self.value.store(Some(Arc::new(value)));
                Some(Reloaded::Read { path })
            }
            Err(error) => Some(Reloaded::Kept { path, error }),
        }
    }
}

/// The file's bytes with the state they were read in: a file that is written meanwhile is another one afterwards.
fn read(path: &Path) -> Result<(Stamp, Content<'_>), Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::TooLarge { path: path.to_owned(), max_mib: MAX_BYTES >> 20 });
    }
    let modified = Timestamp::from_ms(metadata.mtime().saturating_mul(SECOND_MS));
    Ok((Stamp::of(&metadata), Content { path, bytes, modified }))
}
