//! The kinds of values that settings have, each read from text (flags and environment) and from TOML, and shown
//! without secrets.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use tracing_subscriber::EnvFilter;
use url::Url;

/// A whole number from `MIN` to `MAX`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Count<MIN, MAX> {
    fn new(number: u64) -> Result<Self, String> {
        if (MIN..=MAX).contains(&number) {
            return Ok(Self(number));
        }
        Err(format!("{number} is not from {MIN} to {MAX}"))
    }

    /// The number.
    pub(crate) fn get(self) -> u64 {
        self.0
    }

    /// The number as milliseconds.
    pub(crate) fn ms(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// The number as a size of something in memory.
    pub(crate) fn size(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Count<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number =
            text.parse().map_err(|_| format!("`{text}` is not a whole number from {MIN} to {MAX}"))?;
        Self::new(number)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Count<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        let unsigned = u64::try_from(number).map_err(|_| format!("{number} is not from {MIN} to {MAX}"));
        unsigned.and_then(Self::new).map_err(D::Error::custom)
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Display for Count<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A list: an array in TOML, separated by commas in a flag or variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T: FromStr<Err: fmt::Display>> FromStr for List<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let items = items.map(|item| item.parse().map_err(|error| format!("`{item}`: {error}")));
        items.collect::<Result<_, _>>().map(Self)
    }
}

impl<T: fmt::Display> fmt::Display for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items: Vec<String> = self.0.iter().map(T::to_string).collect();
        f.write_str(&items.join(","))
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(PhantomData<T>);
        impl<'de, T: FromStr<Err: fmt::Display>> Visitor<'de> for Items<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(Item(item)) = seq.next_element()? {
                    items.push(item);
                }
                Ok(List(items))
            }
        }
        deserializer.deserialize_seq(Items(PhantomData))
    }
}

/// An item of a list: text or a whole number. Parsed inside the visitor, so that an error is told by its own place.
struct Item<T>(T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Plain<T>(PhantomData<T>);
        impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Plain<T> {
            type Value = Item<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a whole number")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Item<T>, E> {
                text.parse().map(Item).map_err(|error| E::custom(format!("`{text}`: {error}")))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Item<T>, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Plain(PhantomData))
    }
}

/// Makes TOML read a value as its text is read.
macro_rules! from_text {
    ($($name:ident),+) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )+};
}

from_text!(Folder, FileOrNone, DatabaseUrl, PublicUrl, LogFilter, LogFormat);

/// A folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Its path, relative to the working folder unless absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for Folder {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() { Err("the name of a folder cannot be empty") } else { Ok(Self(text.into())) }
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// A file, or empty for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileOrNone(Option<PathBuf>);

impl FileOrNone {
    /// Its path, relative to the working folder unless absolute; none when empty.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.0.as_deref()
    }
}

impl FromStr for FileOrNone {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self((!text.is_empty()).then(|| text.into())))
    }
}

impl fmt::Display for FileOrNone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_deref().unwrap_or(Path::new("")).display().fmt(f)
    }
}

/// A PostgreSQL address, or empty for none. Never shown with its password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DatabaseUrl {
    secret: String,
    shown: String,
}

impl DatabaseUrl {
    /// The whole address, password included; none when empty.
    pub(crate) fn reveal(&self) -> Option<&str> {
        (!self.secret.is_empty()).then_some(self.secret.as_str())
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
        if !known && !text.is_empty() {
            // The text may hold a password, so the message does not repeat it.
            return Err("not a PostgreSQL address; write it as postgres://user:password@host:5432/database"
                .to_owned());
        }
        Ok(Self { secret: text.to_owned(), shown: without_password(text) })
    }
}

/// An address that cannot be parsed may hold its password anywhere, so nothing of it is shown.
fn without_password(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let Ok(mut url) = Url::parse(text) else { return "postgres://***".to_owned() };
    if url.password().is_some() {
        // Fails only for an address without a host, which has no password either.
        let _ = url.set_password(Some("***"));
    }
    if url.query_pairs().any(|(name, _)| name == "password") {
        url.set_query(Some("***"));
    }
    url.into()
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The address under which the outside world reaches this server, without a slash at its end; or empty for none.
/// `{network}` in it stands for a network's label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicUrl(String);

impl PublicUrl {
    /// The address; none when empty.
    pub(crate) fn get(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(self.0.as_str())
    }
}

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let own = text.trim_end_matches('/');
        if own.is_empty() {
            return Ok(Self(String::new()));
        }
        let shape = "write it as https://track.example.com or https://api.{network}.example.com";
        let named = own.replace("{network}", "network");
        let url = Url::parse(&named).map_err(|error| format!("`{text}` is not a URL ({error}); {shape}"))?;
        // What the parser would write differently has a path, a user name or worse in it.
        let plain = url.as_str().strip_suffix('/') == Some(named.as_str());
        if !matches!(url.scheme(), "http" | "https") || !plain || !url.username().is_empty() {
            return Err(format!("`{text}` is not a plain http or https address; {shape}"));
        }
        Ok(Self(own.to_owned()))
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which log lines are written: a level, or levels by part of the program (`info,delivery=debug`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    /// The filter itself.
    pub(crate) fn filter(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = |why: &str| {
            format!("`{text}` {why}; write error, warn, info, debug or trace, or info,delivery=debug")
        };
        if text.trim().is_empty() {
            return Err(fault("is no log level"));
        }
        // A word alone would be read as the name of a part of the program, and silence everything else.
        let levels = ["off", "error", "warn", "info", "debug", "trace"];
        let lone = text.split(',').map(str::trim).filter(|part| !part.contains('='));
        for part in lone {
            if !levels.contains(&part.to_ascii_lowercase().as_str()) {
                return Err(fault("is no log level"));
            }
        }
        match EnvFilter::builder().parse(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(fault(&format!("is no log level ({error})"))),
        }
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// One JSON object a line.
    Json,
    /// One line for people.
    Text,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(format!("`{text}` is not a log format; write auto, json or text")),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Text => "text",
        })
    }
}
