//! The settings: the only place that reads the environment and the configuration file.
//!
//! A setting has one name in three spellings: the flag `--log-level`, the variable `PITLANE_LOG_LEVEL`, the key
//! `log_level` of the file. A flag counts more than the environment, the environment more than the file, the file
//! more than `config.default.toml`, which is compiled in.

mod file;
mod value;

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use delivery::guard::AllowRule;
use ipnet::IpNet;
use store::Target;

pub(crate) use self::value::{Count, DatabaseUrl, FileOrNone, Folder, List, LogFilter, LogFormat, PublicUrl};

/// The defaults and the reference, as the repository has it.
pub(crate) const DEFAULTS: &str = include_str!("../../../config.default.toml");

/// Where a value stands among its sources; what is later counts more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `config.default.toml`.
    Default,
    /// The configuration file, at this place.
    File(String),
    /// This variable.
    Environment(String),
    /// This flag.
    Flag(String),
}

impl Origin {
    /// Two values of one rank contradict each other; otherwise the higher one counts.
    fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File(_) => 1,
            Self::Environment(_) => 2,
            Self::Flag(_) => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(at) | Self::Environment(at) | Self::Flag(at) => f.write_str(at),
        }
    }
}

/// One setting as it counts, for people.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// Its key.
    pub(crate) key: &'static str,
    /// Its value, secrets masked.
    pub(crate) value: String,
    /// Where it came from.
    pub(crate) origin: Origin,
}

/// Declares every setting once: its meaning, its key, its type and how its value is named in the help.
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $key:ident: $type:ty = $value:literal),+ $(,)?) => {
        /// The settings that one source gives.
        #[derive(Debug, Default, Clone, clap::Args, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct Layer {$(
            $(#[doc = $doc])+
            #[arg(long, value_name = $value)]
            pub(crate) $key: Option<$type>,
        )+}

        /// The settings that count.
        #[derive(Debug, Clone)]
        pub(crate) struct Settings {
            $($(#[doc = $doc])+ pub(crate) $key: $type,)+
        }

        /// Every key.
        pub(crate) const KEYS: &[&str] = &[$(stringify!($key)),+];

        impl Layer {
            /// Sets a key from text; none when there is no such key.
            fn set(&mut self, key: &str, text: &str) -> Option<Result<(), String>> {
                match key {
                    $(stringify!($key) => Some(text.parse::<$type>().map(|value| self.$key = Some(value))
                        .map_err(|error| error.to_string())),)+
                    _ => None,
                }
            }
        }

        /// Takes every setting from the first layer that has it.
        fn merge(sources: [Source; 4]) -> Result<Effective, Error> {
            $(let mut $key = None;)+
            for source in sources {
                $(if let (None, Some(value)) = (&$key, source.layer.$key) {
                    $key = Some((value, (source.origin)(stringify!($key))));
                })+
            }
            $(let $key = $key.ok_or(Error::NoDefault(stringify!($key)))?;)+
            let shown = vec![$(Shown {
                key: stringify!($key), value: $key.0.to_string(), origin: $key.1,
            }),+];
            let settings = Settings { $($key: $key.0,)+ };
            Ok(Effective { target: target(&settings, &shown)?, settings, shown })
        }
    };
}

settings! {
    /// Address and port to listen on; port 0 takes a free one
    listen: std::net::SocketAddr = "ADDRESS:PORT",
    /// Address under which the outside world reaches this server, for the links that are printed
    public_url: PublicUrl = "URL",
    /// Address ranges of proxies whose X-Forwarded-For is believed
    trusted_proxies: List<IpNet> = "CIDR,…",
    /// Connections in total
    max_connections: Count<1, 1_000_000> = "COUNT",
    /// Connections of one client address
    max_connections_per_address: Count<1, 1_000_000> = "COUNT",
    /// From a connection to the first byte of a request
    first_byte_timeout_ms: Count<100, 3_600_000> = "MS",
    /// From the first byte of a request to the end of its head
    head_timeout_ms: Count<100, 3_600_000> = "MS",
    /// For the whole body of a request
    body_timeout_ms: Count<100, 3_600_000> = "MS",
    /// From the first byte of a request to its answer
    answer_timeout_ms: Count<100, 3_600_000> = "MS",
    /// Between an answer and the next request
    idle_timeout_ms: Count<100, 3_600_000> = "MS",
    /// Largest head of a request, request line included
    max_head_kib: Count<8, 1024> = "KIB",
    /// Largest body of a postback
    max_body_kib: Count<1, 1024> = "KIB",
    /// For requests that are being answered when the server is told to stop
    drain_timeout_ms: Count<0, 600_000> = "MS",
    /// Folder of the SQLite database
    data: Folder = "DIR",
    /// PostgreSQL server to use instead of SQLite
    database: DatabaseUrl = "URL",
    /// PostgreSQL connections for writes
    database_writers: Count<1, 256> = "COUNT",
    /// Database connections for reads
    database_readers: Count<1, 256> = "COUNT",
    /// Clicks that may wait for the database
    max_queued_clicks: Count<1, 10_000_000> = "COUNT",
    /// Other writes that may wait for the database
    max_queued_writes: Count<1, 1_000_000> = "COUNT",
    /// Reads that may wait for the database
    max_queued_reads: Count<1, 1_000_000> = "COUNT",
    /// Longest time of one read of the database
    read_timeout_ms: Count<100, 3_600_000> = "MS",
    /// Longest time of one write of the database
    write_timeout_ms: Count<100, 60_000> = "MS",
    /// Free disk space under which the server is not ready
    min_free_disk_mib: Count<0, 1_000_000> = "MIB",
    /// Private addresses that partner postbacks may go to
    delivery_allow: List<AllowRule> = "CIDR[:PORT],…",
    /// Ports of public addresses that partner postbacks may go to
    delivery_ports: List<u16> = "PORT,…",
    /// Partner postbacks under way at once
    delivery_in_flight: Count<1, 10_000> = "COUNT",
    /// Partner postbacks under way at once to one endpoint
    delivery_per_endpoint: Count<1, 1_000> = "COUNT",
    /// File in MaxMind DB format that tells countries from addresses
    place_file: FileOrNone = "FILE",
    /// File of address ranges that only bots have
    bot_ranges_file: FileOrNone = "FILE",
    /// How long a visitor who comes again to a link is not a new one
    repeat_window_minutes: Count<0, 10_080> = "MINUTES",
    /// Days that clicks are kept; 0 is for ever
    retention_clicks_days: Count<0, 36_500> = "DAYS",
    /// Days that addresses and user agents are kept
    retention_addresses_days: Count<0, 36_500> = "DAYS",
    /// Days that requests of advertisers are kept
    retention_inbound_days: Count<0, 36_500> = "DAYS",
    /// Days that messages to partners are kept
    retention_deliveries_days: Count<0, 36_500> = "DAYS",
    /// Threads that serve; 0 is one per core
    worker_threads: Count<0, 1024> = "COUNT",
    /// Whether /metrics is served
    metrics: bool = "BOOL",
    /// Which log lines are written
    log_level: LogFilter = "LEVEL",
    /// How log lines are written: auto, json or text
    log_format: LogFormat = "FORMAT",
}

/// The settings, and what to tell a person about them.
#[derive(Debug, Clone)]
pub(crate) struct Effective {
    /// The settings that count.
    pub(crate) settings: Settings,
    /// The database that `data` and `database` name together.
    pub(crate) target: Target,
    /// Every setting with its origin, in the order of `config.default.toml`.
    pub(crate) shown: Vec<Shown>,
}

impl Settings {
    /// The address for links that are printed: the public one, else the one to listen on.
    pub(crate) fn base_url(&self) -> String {
        self.public_url.get().map_or_else(|| format!("http://{}", self.listen), str::to_owned)
    }
}

/// One source of settings.
struct Source {
    layer: Layer,
    origin: Box<dyn Fn(&'static str) -> Origin>,
}

/// Why the settings cannot be used. Never holds a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file holds something that is no setting; the place is `file:line:column`.
    #[error("{place}: {message}")]
    File {
        /// Where.
        place: String,
        /// What is wrong, and what to write instead.
        message: String,
    },
    /// A variable cannot be used.
    #[error("{name}: {message}")]
    Variable {
        /// Its name.
        name: String,
        /// What is wrong, and what to set instead.
        message: String,
    },
    /// Two places for one database.
    #[error("`data` ({data}) and `database` ({database}) each name a database; keep one of them")]
    TwoDatabases {
        /// Where `data` was set.
        data: Origin,
        /// Where `database` was set.
        database: Origin,
    },
    /// A mistake in `config.default.toml`.
    #[error("config.default.toml has no `{0}`")]
    NoDefault(&'static str),
}

/// How the name of every variable of ours begins.
const PREFIX: &str = "PITLANE_";

/// Settings whose variable may be given as a file: `PITLANE_DATABASE_FILE` names a file that holds the value.
const SECRETS: &[&str] = &["database"];

/// Beginnings of variables that are not settings: they steer the project's own tests.
const NOT_SETTINGS: &[&str] = &["PITLANE_TEST_", "PITLANE_CRASH_"];

/// Puts the settings together. `file` is the value of `--config`.
pub(crate) fn load(file: Option<&Path>, flags: Layer) -> Result<Effective, Error> {
    load_from(file, flags, std::env::vars_os())
}

/// The defaults and these flags, whatever else is set: for the demo, which must not touch anybody's database.
pub(crate) fn load_alone(flags: Layer) -> Result<Effective, Error> {
    load_from(None, flags, [])
}

fn load_from(
    file: Option<&Path>,
    flags: Layer,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Effective, Error> {
    let variables = Variables::read(environment)?;
    let file = match file.or(variables.config.as_deref()) {
        Some(path) => file::read(path)?,
        None => Source { layer: Layer::default(), origin: Box::new(|_| Origin::Default) },
    };
    let defaults =
        Source { origin: Box::new(|_| Origin::Default), ..file::parse("config.default.toml", DEFAULTS)? };
    let flags =
        Source { layer: flags, origin: Box::new(|key| Origin::Flag(format!("--{}", key.replace('_', "-")))) };
    merge([flags, variables.source, file, defaults])
}

/// What the environment says.
struct Variables {
    source: Source,
    config: Option<PathBuf>,
}

impl Variables {
    fn read(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, Error> {
        let mut layer = Layer::default();
        let mut config = None;
        let mut names = HashMap::new();
        // In order, so that of several mistakes always the same one is told.
        let variables: BTreeMap<OsString, OsString> = environment.into_iter().collect();
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| is_ours(name)) else { continue };
            let fault = |message: String| Error::Variable { name: name.to_owned(), message };
            let value = value.into_string().map_err(|_| fault("is not UTF-8".to_owned()))?;
            if name == "PITLANE_CONFIG" {
                config = Some(PathBuf::from(value));
                continue;
            }
            let (key, text) = match secret_file(name) {
                Some(key) => (key.to_owned(), read_secret(Path::new(&value))?),
                None => (key_of(name), value),
            };
            if names.contains_key(&key) {
                return Err(fault(format!("{} is set as well; keep one of them", variable_of(&key))));
            }
            match layer.set(&key, &text) {
                Some(set) => set.map_err(fault)?,
                None => return Err(fault(unknown_variable(name))),
            }
            names.insert(key, name.to_owned());
        }
        let origin =
            move |key: &'static str| Origin::Environment(names.get(key).cloned().unwrap_or_default());
        Ok(Self { source: Source { layer, origin: Box::new(origin) }, config })
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) && !NOT_SETTINGS.iter().any(|other| name.starts_with(other))
}

fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase())
}

/// The key that a variable's name spells; not necessarily one that exists. Names in lower case spell none.
fn key_of(name: &str) -> String {
    let rest = name.strip_prefix(PREFIX).unwrap_or_default();
    if rest.bytes().any(|byte| byte.is_ascii_lowercase()) { String::new() } else { rest.to_ascii_lowercase() }
}

fn secret_file(name: &str) -> Option<&'static str> {
    SECRETS.iter().copied().find(|key| name.strip_suffix("_FILE") == Some(&variable_of(key)))
}

/// The file's text without the line end that editors add.
fn read_secret(path: &Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn unknown_variable(name: &str) -> String {
    let mut known: Vec<String> = KEYS.iter().map(|key| variable_of(key)).collect();
    known.extend(SECRETS.iter().map(|key| format!("{}_FILE", variable_of(key))));
    known.push("PITLANE_CONFIG".to_owned());
    let rests = known.iter().filter_map(|name| name.strip_prefix(PREFIX));
    match nearest(&name[PREFIX.len()..].to_ascii_uppercase(), rests) {
        Some(near) => format!("is not a setting; did you mean {PREFIX}{near}?"),
        None => "is not a setting; `pitlane config default` lists them".to_owned(),
    }
}

/// The known name that somebody most likely meant, if one is near.
pub(crate) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let ranked = known.into_iter().map(|name| (strsim::jaro_winkler(given, name), name));
    let best = ranked.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(likeness, _)| *likeness >= 0.8).map(|(_, name)| name)
}

/// `data` and `database` name two places for one thing: the one whose source counts more is meant.
fn target(settings: &Settings, shown: &[Shown]) -> Result<Target, Error> {
    let sqlite = Target::Sqlite { dir: settings.data.path().to_owned() };
    let Some(url) = settings.database.reveal() else { return Ok(sqlite) };
    let origin = |key| {
        let found = shown.iter().find(|shown| shown.key == key);
        found.map_or(Origin::Default, |shown| shown.origin.clone())
    };
    let (data, database) = (origin("data"), origin("database"));
    match data.rank().cmp(&database.rank()) {
        Ordering::Greater => Ok(sqlite),
        Ordering::Less => Ok(Target::Postgres { url: url.to_owned() }),
        Ordering::Equal => Err(Error::TwoDatabases { data, database }),
    }
}

#[cfg(test)]
mod tests;
