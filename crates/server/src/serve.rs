//! `pitlane serve`: one server from its start to its orderly end.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use store::Target;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::say;
use crate::config::Effective;
use crate::failure::Failure;
use crate::{log, wire};

/// What an orderly end may take besides `drain_timeout_ms`: a delivery under way is given 15 seconds, the database
/// finishes what is queued.
const END: Duration = Duration::from_secs(20);

/// Serves until `SIGTERM` or `SIGINT`.
pub(crate) fn run(effective: &Effective) -> Result<(), Failure> {
    log::start(&effective.settings.log_level, effective.settings.log_format);
    allow_files(effective.settings.max_connections.get());
    let runtime = runtime(effective.settings.worker_threads.size())?;
    let ended = runtime.block_on(serve(effective));
    // A blocking call that hangs must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// Files besides one for each connection: the database's, those of deliveries under way, the log.
const OTHER_FILES: u64 = 2_048;

/// A shell's usual limit of 1024 open files is far below `max_connections`; the process may raise it by itself up to
/// what the system allows.
fn allow_files(connections: u64) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = connections + OTHER_FILES;
    let allowed = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if limit.current.is_some_and(|current| current < allowed)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), ..limit })
    {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    if allowed < wanted {
        tracing::warn!(
            allowed,
            wanted,
            "the system allows fewer open files than max_connections may need; raise its limit (LimitNOFILE), or \
             lower max_connections"
        );
    }
}

/// The threads that serve; 0 is one per core.
pub(crate) fn runtime(threads: usize) -> Result<Runtime, Failure> {
    let mut builder = Builder::new_multi_thread();
    if threads > 0 {
        builder.worker_threads(threads);
    }
    builder.enable_all().thread_name("serve").build().map_err(Failure::new)
}

async fn serve(effective: &Effective) -> Result<(), Failure> {
    // Before anything is printed: whoever reads the first line may send a signal at once.
    let stop = stop_signal()?;
    let server = wire::start(effective).await?;
    let database = database(effective);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %server.address(),
        database,
        process = std::process::id(),
        "started"
    );
    say(&format!("Pitlane is listening on http://{}\nDatabase: {database}\n", server.address()))?;
    let signal = stop.await;
    tracing::info!(signal, "stopping");
    let at_most = effective.settings.drain_timeout_ms.ms() + END;
    match tokio::time::timeout(at_most, server.stop()).await {
        Ok(()) => {
            tracing::info!("stopped");
            Ok(())
        }
        Err(_) => Err(Failure::new(format!("the server did not end within {} s", at_most.as_secs()))
            .next("nothing that was acknowledged is lost; start it again")),
    }
}

/// Which database, for people; never its password.
pub(crate) fn database(effective: &Effective) -> String {
    match &effective.target {
        Target::Sqlite { dir } => format!("SQLite, {}", dir.join("pitlane.db").display()),
        Target::Postgres { .. } => format!("PostgreSQL, {}", effective.settings.database),
    }
}

/// Waits for the first `SIGTERM` or `SIGINT` from now on, and names it.
pub(crate) fn stop_signal() -> Result<impl Future<Output = &'static str>, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::new)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::new)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}
