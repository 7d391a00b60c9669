//! PostgreSQL: threads with a connection each; closures are transactions, clicks go in by binary `COPY`.

mod appender;
mod link;
mod session;
mod worker;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use postgres::config::Host;
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};

use self::link::Link;
use self::worker::Kind;
use super::Crew;
use crate::db::Options;
use crate::error::{Error, Refusal};
use crate::inbox::{Completion, Inbox};
use crate::migrate::{self, MigrationText};
use crate::statement::{Append, Dialect};

/// How long a lost connection is tried again before the callers are told.
const PATIENCE: Duration = Duration::from_secs(2);

/// A server that answers nothing for this long is lost.
const SILENCE: Duration = Duration::from_secs(5);

/// The number of the advisory lock around migrations: "pitlane" in ASCII.
const MIGRATION_LOCK: i64 = 0x70_69_74_6c_61_6e_65;

pub(super) const DIALECT: Dialect = Dialect {
    placeholder: '$',
    fragment: |name| match name {
        "blob" => Some("bytea"),
        "without_rowid" => Some(""),
        "greatest" => Some("greatest"),
        "least" => Some("least"),
        "skip_locked" => Some("for update skip locked"),
        "for_update" => Some("for update"),
        _ => None,
    },
};

pub(super) fn start(
    url: &str,
    options: &Options,
    migrations: &'static [MigrationText],
    append: &'static Append,
    inbox: &Arc<Inbox>,
) -> Result<Arc<Completion>, Error> {
    let config = Arc::new(address(url)?);
    // The client blocks on a runtime of its own, which is not allowed inside the caller's.
    std::thread::scope(|scope| {
        let first = scope.spawn(|| migrate(&config, migrations));
        first.join().unwrap_or_else(|_| Err(Error::Closed))
    })?;
    let crew = Crew::new();
    for (kind, name, count, timeout) in [
        (Kind::Write, "writer", options.writers.max(1), options.write_timeout),
        (Kind::Read, "reader", options.readers.max(1), options.read_timeout),
    ] {
        for number in 0..count {
            let (link, inbox) = (Link::new(&config, timeout), Arc::clone(inbox));
            crew.spawn(&format!("{name}-{number}"), move || worker::run(kind, link, &inbox))?;
        }
    }
    let (link, inbox) = (Link::new(&config, options.write_timeout), Arc::clone(inbox));
    crew.spawn("appender", move || appender::run(link, &inbox, append))?;
    Ok(Arc::clone(&crew.ended))
}

/// The address with the time-outs that it leaves open.
fn address(url: &str) -> Result<Config, Error> {
    let mut config = Config::from_str(url).map_err(|error| Refusal::Address(Arc::new(error)))?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(PATIENCE);
    }
    if config.get_tcp_user_timeout().is_none()
        && config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)))
    {
        config.tcp_user_timeout(SILENCE);
    }
    if config.get_application_name().is_none() {
        config.application_name("pitlane");
    }
    Ok(config)
}

/// A connection to a server whose commits are durable. Unencrypted: use a socket or a trusted network.
fn connect(config: &Config) -> Result<Client, Error> {
    let mut client = config.connect(NoTls).map_err(|error| classify("connect", error))?;
    for (name, wanted) in [("synchronous_commit", "on, remote_write or remote_apply"), ("fsync", "on")] {
        let row =
            client.query_one(&format!("show {name}"), &[]).map_err(|error| classify("connect", error))?;
        let found: String = row.try_get(0).map_err(|error| classify("connect", error))?;
        if !wanted.split([',', ' ']).any(|accepted| accepted == found) {
            return Err(Refusal::Setting { name, found, wanted }.into());
        }
    }
    Ok(client)
}

/// Brings the schema up to date. The lock lets several nodes start at once; it goes with the connection.
fn migrate(config: &Config, migrations: &[MigrationText]) -> Result<(), Error> {
    let mut client = connect(config)?;
    let lock = format!("set lock_timeout = '60s'; select pg_advisory_lock({MIGRATION_LOCK})");
    client.batch_execute(&lock).map_err(|error| classify("connect", error))?;
    migrate::apply(&mut client, migrations, &DIALECT)
}

/// True when the connection is of no more use, whatever else the error says.
fn is_lost(error: &postgres::Error) -> bool {
    match error.code() {
        // 08: connection, 57P: shutdown; a standby after a failover refuses writes.
        Some(code) => {
            code.code().starts_with("08")
                || code.code().starts_with("57P")
                || *code == SqlState::READ_ONLY_SQL_TRANSACTION
                || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        }
        None => {
            let source = std::error::Error::source(error);
            error.is_closed() || source.is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
        }
    }
}

/// What an error of the server or the driver means for a caller.
fn classify(statement: &'static str, error: postgres::Error) -> Error {
    if is_lost(&error) {
        return Error::Unavailable(Arc::new(error));
    }
    let code = error.code().cloned();
    let source = Arc::new(error);
    let Some(code) = code else {
        return match statement {
            "connect" => Error::Unavailable(source),
            _ => Error::Bug { statement, source },
        };
    };
    match code.code() {
        "40001" | "40P01" => Error::Contended(source),
        "23505" => Error::Conflict { statement, source },
        "53100" => Error::Full(source),
        "57014" => Error::TooSlow { statement, source },
        "XX001" | "XX002" => Error::Corrupt(source),
        // Out of memory, of connections or of something else that comes back; an unreadable file.
        code if code.starts_with("53") || code.starts_with("58") => Error::Unavailable(source),
        _ => Error::Bug { statement, source },
    }
}
