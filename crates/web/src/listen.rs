//! Listening: an accept loop with a bound on everything that a stranger can take up: connections, bytes and time.

pub(crate) mod answer;
mod connection;
mod gate;
mod guest;
mod lane;
mod watch;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::Sender;
use tokio::task::JoinSet;

use crate::app::App;
use crate::meter;
use crate::router::Front;

use self::connection::Reception;
pub use self::gate::Gate;
use self::gate::{Place, Turned};

/// The pause after an accept that failed for everybody (no file descriptors, no memory), so that the loop does not
/// spin while connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What somebody is told who finds no place. Nothing of the request has been read.
const NO_PLACE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nConnection: close\r\n\
      Content-Length: 0\r\n\r\n";

/// How much of the outside world is let in. A request has at most 100 header lines as well: more are answered 431.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections in total; one more is answered 503 at once. Default 16 384.
    pub max_connections: usize,
    /// Connections of one client address, or of one /64 of IPv6. Loopback and the configured proxies may hold as many
    /// as there are: load balancers come from there. Default 512.
    pub max_connections_per_address: usize,
    /// From the connection to the first byte of a request. Default 10 s.
    pub first_byte_timeout: Duration,
    /// From the first byte of a request to the end of its head. Default 10 s, kept to at most twice that.
    pub head_timeout: Duration,
    /// From the first byte of a request to its answer. Default 60 s.
    pub answer_timeout: Duration,
    /// Between an answer and the first byte of the next request. Default 75 s: longer than the load balancers keep
    /// theirs, so that it is not we who close a connection that they are about to use.
    pub idle_timeout: Duration,
    /// Bytes of a request's head, request line included; at least 8 192. More are answered 431. Default 64 KiB.
    pub max_head_bytes: usize,
    /// Bytes of a postback's body; more are answered 413. Default 64 KiB.
    pub max_body_bytes: usize,
    /// For the whole body of a postback; slower ones are answered 408. Default 15 s.
    pub body_timeout: Duration,
    /// After the shutdown signal, for the requests that are being answered. Default 10 s.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 16_384,
            max_connections_per_address: 512,
            first_byte_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_mins(1),
            idle_timeout: Duration::from_secs(75),
            max_head_bytes: 64 * 1024,
            max_body_bytes: 64 * 1024,
            body_timeout: Duration::from_secs(15),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// Serves every connection of `listener` on the runtime that this runs on, until `shutdown` ends; then lets running
/// requests end, for [`Limits::drain_timeout`], and cuts the rest.
///
/// `gate` is [`Limits`], or a [`Gate`] made of them. Several calls may share one gate, each with a listener of its
/// own on the same port and a runtime of its own: their connections are counted together.
///
/// Fails only when the listener cannot even tell its address. An accept that fails is tried again.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    gate: impl Into<Gate>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let mut door = Door::new(app, gate.into());
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = door.open.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => door.let_in(stream, peer),
            Err(error) if is_one_connection_s(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // From here on the system refuses new connections, so that a balancer goes elsewhere at once.
    drop(listener);
    let cut = door.drain().await;
    tracing::info!(%address, cut, "stopped listening");
    Ok(())
}

/// Whether only the connection that was about to be accepted is gone.
fn is_one_connection_s(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// The connections of one listener.
struct Door {
    app: Arc<App>,
    reception: Arc<Reception>,
    gate: Gate,
    stopping: Sender<bool>,
    open: JoinSet<()>,
}

impl Door {
    fn new(app: Arc<App>, gate: Gate) -> Self {
        let front = Front::new(Arc::clone(&app), gate.limits().clone());
        let reception = Arc::new(Reception::new(front));
        Self { app, reception, gate, stopping: Sender::default(), open: JoinSet::new() }
    }

    fn let_in(&mut self, stream: TcpStream, peer: SocketAddr) {
        let trusted = peer.ip().to_canonical().is_loopback()
            || domain::address::contains(&self.app.settings.proxies, peer.ip());
        match self.gate.admit(peer.ip(), trusted) {
            Ok(place) => self.attend(stream, peer, place),
            Err(turned) => turn_away(stream, turned),
        }
    }

    fn attend(&mut self, stream: TcpStream, peer: SocketAddr, place: Place) {
        // Only a matter of speed; a socket that is gone already fails at its first read.
        let _ = stream.set_nodelay(true);
        let reception = Arc::clone(&self.reception);
        let stopping = self.stopping.subscribe();
        self.open.spawn(async move {
            reception.attend(stream, peer.ip(), stopping).await;
            drop(place);
        });
    }

    /// How many connections had to be cut.
    async fn drain(mut self) -> usize {
        let limit = self.gate.limits().drain_timeout;
        self.stopping.send_replace(true);
        let ended = async { while self.open.join_next().await.is_some() {} };
        // Whoever has not ended by then is counted, and cut.
        let _ = tokio::time::timeout(limit, ended).await;
        let cut = self.open.len();
        self.open.shutdown().await;
        cut
    }
}

/// Says so if that takes no wait, and closes.
fn turn_away(stream: TcpStream, turned: Turned) {
    meter::connection_refused(turned.why());
    if let Ok(mut stream) = stream.into_std() {
        // The socket's buffer is empty, so this does not wait; whoever is gone already misses nothing.
        let _ = stream.write(NO_PLACE);
    }
}
