//! PostgreSQL: threads with a connection each; closures are transactions, clicks go in by binary `COPY`.

mod analyst;
mod appender;
mod archive;
mod link;
mod session;
mod worker;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use postgres::config::Host;
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};

pub(super) use self::archive::{dump, load};
use self::link::Link;
use self::worker::Kind;
use super::Crew;
use crate::completion::Completion;
use crate::db::Options;
use crate::error::{Error, Refusal};
use crate::inbox::Inbox;
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
        "without_rowid" | "only_postgres" => Some(""),
        "greatest" => Some("greatest"),
        "least" => Some("least"),
        "bytes_of" => Some("convert_to"),
        "in_utf8" => Some(", 'UTF8'"),
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
    migrate(&config, migrations)?;
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
    let watched = Arc::clone(inbox);
    let (link, inbox) = (Link::new(&config, options.write_timeout), Arc::clone(inbox));
    crew.spawn("appender", move || appender::run(link, &inbox, append))?;
    let (link, inbox) = (Link::new(&config, options.write_timeout), watched);
    crew.spawn("analyst", move || analyst::run(link, &inbox))?;
    Ok(Arc::clone(&crew.ended))
}

/// The address with the time-outs that it leaves open.
fn address(url: &str) -> Result<Config, Error> {
    let mut config = Config::from_str(url).map_err(|error| Refusal::Address(Arc::new(error)))?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(PATIENCE);
    }
    if config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_))) {
        // A server that vanished without a word must not hold a caller for the system's two hours.
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE);
        }
        if config.get_keepalives_interval().is_none() {
            config.keepalives_idle(SILENCE).keepalives_interval(SILENCE / 5);
        }
    }
    if config.get_application_name().is_none() {
        config.application_name("pitlane");
    }
    Ok(config)
}

/// What the server must have: acknowledged means durable, and text is UTF-8.
const SETTINGS: [(&str, &[&str], &str); 3] = [
    (
        "synchronous_commit",
        &["on", "remote_write", "remote_apply"],
        "otherwise acknowledged clicks could be lost",
    ),
    ("fsync", &["on"], "otherwise acknowledged clicks could be lost"),
    ("server_encoding", &["UTF8"], "otherwise names could not be stored"),
];

/// A connection to a server whose commits are durable. Unencrypted: use a socket or a trusted network.
fn connect(config: &Config) -> Result<Client, Error> {
    let unreachable = |error| Error::Unavailable(Arc::new(error));
    let mut client = config.connect(NoTls).map_err(unreachable)?;
    for (name, wanted, why) in SETTINGS {
        let row = client.query_one(&format!("show {name}"), &[]).map_err(unreachable)?;
        let found: String = row.try_get(0).map_err(unreachable)?;
        if !wanted.contains(&found.as_str()) {
            return Err(Refusal::Setting { name, found, wanted: wanted.join(" or "), why }.into());
        }
        if name == "synchronous_commit" {
            // The server's file may say otherwise tomorrow, and running sessions would obey it.
            client.batch_execute(&format!("set {name} = '{found}'")).map_err(unreachable)?;
        }
    }
    Ok(client)
}

fn migrate(config: &Config, migrations: &[MigrationText]) -> Result<(), Error> {
    migrate::apply(&mut alone(config)?, migrations, &DIALECT)
}

/// A connection with the right to change the schema, one node at a time; the lock goes with the connection.
fn alone(config: &Config) -> Result<Client, Error> {
    let mut client = connect(config)?;
    let lock = format!("set lock_timeout = '60s'; select pg_advisory_lock({MIGRATION_LOCK})");
    client.batch_execute(&lock).map_err(|error| classify("migrate", error))?;
    Ok(client)
}

/// True when the connection is of no more use, whatever else the error says.
fn is_lost(error: &postgres::Error) -> bool {
    let Some(answer) = error.as_db_error() else {
        let source = std::error::Error::source(error);
        return error.is_closed() || source.is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
    };
    let code = answer.code();
    // 08: connection, 57P: shutdown; a standby after a failover refuses writes.
    code.code().starts_with("08")
        || code.code().starts_with("57P")
        || *code == SqlState::READ_ONLY_SQL_TRANSACTION
        || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        // A newer node changed the schema under a prepared statement; a new connection prepares it again.
        || answer.routine() == Some("RevalidateCachedQuery")
}

/// What an error of the server or the driver means for a caller.
fn classify(statement: &'static str, error: postgres::Error) -> Error {
    let lost = is_lost(&error);
    let code = error.code().cloned();
    let source = Arc::new(error);
    if lost {
        return Error::Unavailable(source);
    }
    match code.as_ref().map_or("", SqlState::code) {
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
