//! Puts one server together: the record, what follows it, what sends from it, and what answers from it.

use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use delivery::client::Client;
use delivery::guard::Guard;
use delivery::worker::{self, Worker};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use store::bell::Bell;
use store::live::{Follower, Live};
use store::{Db, Options, Target};
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use visitor::Lookup;

use crate::clock;
use crate::config::{Effective, Settings};
use crate::failure::Failure;
use crate::{doors, jobs, visitors};

/// How often the counts of histograms are put into their buckets when nobody asks for the metrics.
const UPKEEP: Duration = Duration::from_secs(5);

/// Seconds: from a commit without waiting to one that is given up.
const BUCKETS: [f64; 12] = [0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// How often it is looked whether a state of the catalog has arrived.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

const KIB: usize = 1024;
const MIB: u64 = 1024 * 1024;

/// Opens the database that the settings name and brings its schema up to date. Blocks meanwhile.
pub(crate) fn open(effective: &Effective) -> Result<Db, Failure> {
    let settings = &effective.settings;
    let options = Options {
        writers: settings.database_writers.size(),
        readers: settings.database_readers.size(),
        max_queued_writes: settings.max_queued_writes.size(),
        max_queued_rows: settings.max_queued_clicks.size(),
        max_queued_reads: settings.max_queued_reads.size(),
        read_timeout: settings.read_timeout_ms.ms(),
        write_timeout: settings.write_timeout_ms.ms(),
        ..Options::default()
    };
    let opened = Db::open(&effective.target, &options, store::schema::MIGRATIONS, &store::click::LOG);
    opened.map_err(|error| database_failure(error, &effective.target))
}

/// An error of the database, with what to do about it.
pub(crate) fn database_failure(error: store::Error, target: &Target) -> Failure {
    let next = match (&error, target) {
        (store::Error::Unavailable(_), Target::Postgres { .. }) => {
            Some("check that the PostgreSQL server runs, and its address: `pitlane config check` shows it")
        }
        (store::Error::Unavailable(_) | store::Error::File { .. }, Target::Sqlite { .. }) => {
            Some("let this user read and write the data folder, or name another one with --data")
        }
        (store::Error::Full(_), _) => Some("free some disk space; nothing that was acknowledged is lost"),
        (store::Error::Overloaded, _) => {
            Some("another process holds the database; wait for it and try again")
        }
        (store::Error::Corrupt(_), _) => {
            Some("restore the last backup into an empty folder: `pitlane restore`")
        }
        (store::Error::Migration(_), _) => {
            Some("keep the database as it is and report this with the lines above")
        }
        _ => None,
    };
    let failure = Failure::new(error);
    match next {
        Some(next) => failure.next(next),
        None => failure,
    }
}

/// A server that answers.
pub(crate) struct Running {
    address: SocketAddr,
    db: Db,
    live: Arc<Live>,
    visitors: Arc<Lookup>,
    stop: watch::Sender<bool>,
    parts: Vec<JoinHandle<()>>,
    background: Vec<JoinHandle<()>>,
    /// Held as long as the server runs; the lock goes with the process, however it ends.
    _lock: Option<File>,
}

/// Starts a server: when this returns, it answers.
pub(crate) async fn start(effective: &Effective) -> Result<Running, Failure> {
    let settings = &effective.settings;
    let lock = match &effective.target {
        Target::Sqlite { dir } => Some(claim_folder(dir, settings)?),
        Target::Postgres { .. } => None,
    };
    let db = open_elsewhere(effective).await?;
    // A database that can be read but not written must not be found out by the first click.
    db.health().await.map_err(|error| database_failure(error, &effective.target))?;
    let live = Arc::new(Live::default());
    let bell = Bell::default();
    let loaded = Follower::load(db.clone(), Arc::clone(&live)).await;
    let follower = loaded.map_err(|error| database_failure(error, &effective.target))?;
    let visitors = Arc::new(visitors::load(settings)?);
    let worker = worker(settings, &db, &bell)?;
    let listener = listen(settings.listen)?;
    let address = listener.local_addr().map_err(Failure::new)?;
    let metrics = if settings.metrics { Some(recorder()?) } else { None };
    let app = web::App {
        db: db.clone(),
        live: Arc::clone(&live),
        visitors: Arc::clone(&visitors),
        ambient: clock::ambient(),
        bell: bell.clone(),
        settings: web_settings(effective),
        pages: portal::none(),
        metrics: metrics.clone().map(|handle| Arc::new(move || handle.render()) as Arc<_>),
    };
    let pages = portal::routes(Arc::new(app.clone()));
    let app = Arc::new(web::App { pages, ..app });
    let (stop, stopping) = watch::channel(false);
    let kept = visitors::keep(Arc::clone(&visitors), Arc::clone(&live));
    let mut background = vec![tokio::spawn(follower.run()), tokio::spawn(kept)];
    background.extend(metrics.map(|handle| tokio::spawn(keep_up(handle))));
    let mut parts = jobs::start(&jobs::Ctx {
        db: db.clone(),
        live: Arc::clone(&live),
        ambient: clock::ambient(),
        bell,
        days: jobs::Days::of(settings),
        counting: Arc::default(),
        stopping: stopping.clone(),
        until: Instant::now(),
    });
    parts.push(tokio::spawn(worker.run(stopping.clone())));
    let gate = web::Gate::from(limits(settings));
    parts.extend(doors::open(&listener, settings.worker_threads.size(), &app, &gate, &stopping)?);
    Ok(Running { address, db, live, visitors, stop, parts, background, _lock: lock })
}

impl Running {
    /// The address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its database.
    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    /// Who its visitors are.
    pub(crate) fn visitors(&self) -> &Arc<Lookup> {
        &self.visitors
    }

    /// Returns when it answers by this state of the catalog, or a later one.
    pub(crate) async fn knows(&self, catalog_version: i64) {
        while self.live.catalog.load().version < catalog_version {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Takes no new work, finishes what it has, and closes the database.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        for part in self.parts {
            if let Err(error) = part.await {
                tracing::error!(%error, "a part of the server ended by itself");
            }
        }
        for task in self.background {
            task.abort();
        }
        self.db.close().await;
    }
}

fn limits(settings: &Settings) -> web::Limits {
    web::Limits {
        max_connections: settings.max_connections.size(),
        max_connections_per_address: settings.max_connections_per_address.size(),
        first_byte_timeout: settings.first_byte_timeout_ms.ms(),
        head_timeout: settings.head_timeout_ms.ms(),
        answer_timeout: settings.answer_timeout_ms.ms(),
        idle_timeout: settings.idle_timeout_ms.ms(),
        max_head_bytes: settings.max_head_kib.size() * KIB,
        max_body_bytes: settings.max_body_kib.size() * KIB,
        body_timeout: settings.body_timeout_ms.ms(),
        drain_timeout: settings.drain_timeout_ms.ms(),
    }
}

async fn open_elsewhere(effective: &Effective) -> Result<Db, Failure> {
    let effective = effective.clone();
    let opened = tokio::task::spawn_blocking(move || open(&effective)).await;
    opened.unwrap_or_else(|error| Err(Failure::new(error)))
}

/// Connections that the system completes before they are accepted; it may have a lower bound of its own. A crowd that
/// comes at once finds a place here: whoever finds none tries again after a second.
const BACKLOG: u32 = 4_096;

/// A socket for any runtime to wait at.
fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // The port of a server that has just ended is free at once.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    bound().map_err(|error| {
        let next = match error.kind() {
            io::ErrorKind::AddrInUse => "end the program that has this port, or choose another with --listen",
            io::ErrorKind::PermissionDenied => {
                "choose a port above 1023 with --listen, or allow this user this one"
            }
            _ => "choose an address of this machine with --listen",
        };
        Failure::new(CannotListen { address, source: error }).next(next)
    })
}

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
struct CannotListen {
    address: SocketAddr,
    source: io::Error,
}

fn worker(settings: &Settings, db: &Db, bell: &Bell) -> Result<Worker, Failure> {
    let guard = Guard::public().on_ports(settings.delivery_ports.0.iter().copied());
    let guard = guard.allowing(settings.delivery_allow.0.iter().copied());
    let client = Client::new(guard, delivery::client::Settings::default()).map_err(Failure::new)?;
    if client.trusted_roots() == 0 {
        tracing::warn!(
            "no certificate authority is trusted, so no partner can be told by https; install ca-certificates"
        );
    }
    let limits = worker::Limits {
        in_flight: settings.delivery_in_flight.size(),
        per_endpoint: settings.delivery_per_endpoint.size(),
    };
    Ok(Worker::new(db.clone(), client, clock::ambient(), bell, limits))
}

fn web_settings(effective: &Effective) -> web::Settings {
    let folder = match &effective.target {
        Target::Sqlite { dir } => Some(dir.clone()),
        // The disk that fills up is the database server's.
        Target::Postgres { .. } => None,
    };
    let min_free_bytes = effective.settings.min_free_disk_mib.get() * MIB;
    web::Settings {
        proxies: effective.settings.trusted_proxies.0.clone(),
        public_url: effective.settings.public_url.get().map(str::to_owned),
        repeat_window_s: repeat_window_s(effective.settings.repeat_window_minutes.get()),
        min_free_bytes: if folder.is_some() { min_free_bytes } else { 0 },
        ..web::Settings::new(move || folder.as_deref().map_or(Ok(u64::MAX), free_bytes))
    }
}

fn repeat_window_s(minutes: u64) -> u32 {
    u32::try_from(minutes * 60).unwrap_or(u32::MAX)
}

/// One recorder for the process; counters are found by name and cost one atomic addition.
fn recorder() -> Result<PrometheusHandle, Failure> {
    let builder = PrometheusBuilder::new().set_buckets(&BUCKETS).map_err(Failure::new)?;
    builder.install_recorder().map_err(Failure::new)
}

/// Without this, what histograms recorded would pile up until somebody asks.
async fn keep_up(handle: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}

/// Makes the data folder this server's own: it can be written, has space, and no other server uses it.
fn claim_folder(dir: &Path, settings: &Settings) -> Result<File, Failure> {
    let next = "let this user write there, or name another folder with --data";
    let unusable = |source| Failure::new(CannotWrite { dir: dir.display().to_string(), source }).next(next);
    std::fs::create_dir_all(dir).map_err(unusable)?;
    let free_mib = free_bytes(dir).map_err(unusable)? / MIB;
    let wanted_mib = settings.min_free_disk_mib.get();
    if free_mib < wanted_mib {
        let error =
            format!("{} has {free_mib} MiB of free disk space, {wanted_mib} MiB are needed", dir.display());
        return Err(Failure::new(error).next("free some space, or lower `min_free_disk_mib`"));
    }
    let path = dir.join("server.lock");
    let mut lock =
        File::options().create(true).truncate(false).read(true).write(true).open(path).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let error = format!("another Pitlane server uses {}{}", dir.display(), holder(&lock));
            let next = "stop that server, or name another folder with --data; several servers can share a PostgreSQL";
            return Err(Failure::new(error).next(next));
        }
        Err(TryLockError::Error(error)) => return Err(unusable(error)),
    }
    let written = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
    written.map_err(unusable)?;
    Ok(lock)
}

/// Which process holds the lock, as far as it said.
fn holder(lock: &File) -> String {
    let text = io::read_to_string(lock).unwrap_or_default();
    text.trim().parse::<u32>().map(|id| format!(" (process {id})")).unwrap_or_default()
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write in {dir}")]
struct CannotWrite {
    dir: String,
    source: io::Error,
}

/// What this user may still write on the folder's disk.
fn free_bytes(dir: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(dir)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
