//! `pitlane serve`: one server from its start to its orderly end.

use std::time::Duration;

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
    let runtime = runtime(effective.settings.worker_threads.size())?;
    let ended = runtime.block_on(serve(effective));
    // A blocking call that hangs must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
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
fn stop_signal() -> Result<impl Future<Output = &'static str>, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::new)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::new)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}
