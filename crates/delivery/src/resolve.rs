//! The resolver inside the HTTP client: the only place where a host name becomes the address of a socket.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use crate::guard::{Guard, Refused};

/// Asks DNS: a host name in, its addresses out (their ports are ignored). It is a value so that a test can
/// play a DNS server that lies; everybody else uses [`system_lookup`].
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Look-ups at once. Each holds a blocking thread, and a partner chooses how long its DNS server makes us
/// wait.
const MAX_LOOKUPS: usize = 64;

tokio::task_local! {
    /// The port of the request that is being connected. The resolver hook is told the name only, and an
    /// allow-list entry may open one port of an address and not the next.
    pub(crate) static PORT: u16;
}

/// The machine's own resolver (`getaddrinfo`: hosts file, then DNS), at most 64 look-ups at once.
pub fn system_lookup() -> Lookup {
    let places = Arc::new(Semaphore::new(MAX_LOOKUPS));
    Arc::new(move |host| {
        let places = Arc::clone(&places);
        Box::pin(async move {
            let place = places.acquire_owned().await.map_err(io::Error::other)?;
            // A task of its own: getaddrinfo cannot be interrupted, and its place must stay taken until it
            // returns even if nobody waits for it any more.
            let lookup = tokio::spawn(async move {
                let found = tokio::net::lookup_host((host, 0)).await.map(Iterator::collect);
                drop(place);
                found
            });
            lookup.await.map_err(io::Error::other)?
        })
    })
}

/// A look-up that gave no address, whatever the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct LookupFailed(String);

/// Looks a name up once, drops every address that the guard refuses, and hands the rest to the connector.
///
/// A name with good and bad addresses is called at the good ones: one stale private record among public ones
/// is a common mistake, and a bad address is harmless once nobody connects to it. If none is left the name is
/// refused.
pub(crate) struct GuardedResolver {
    pub(crate) guard: Arc<Guard>,
    pub(crate) lookup: Lookup,
    pub(crate) timeout: Duration,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.guard);
        let answer = tokio::time::timeout(self.timeout, (self.lookup)(name.as_str().to_owned()));
        // No port means that the connector no longer polls us inside the request's task; then nothing is
        // connected.
        let port = PORT.try_with(|port| *port);
        Box::pin(async move {
            let port = port?;
            let found = answer
                .await
                .map_err(|_| LookupFailed("DNS did not answer in time".to_owned()))?
                .map_err(|error| LookupFailed(error.to_string()))?;
            let found = found.into_iter().map(|mut address| {
                address.set_port(port);
                address
            });
            Ok(Box::new(only_allowed(&guard, found)?.into_iter()) as Addrs)
        })
    }
}

fn only_allowed(
    guard: &Guard,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let mut allowed = Vec::new();
    let mut first_refusal: Option<Refused> = None;
    for address in found {
        match guard.check_addr(address) {
            Ok(()) => allowed.push(address),
            Err(refused) => first_refusal = first_refusal.or(Some(refused)),
        }
    }
    match first_refusal {
        _ if !allowed.is_empty() => Ok(allowed),
        Some(refused) => Err(refused.into()),
        None => Err(LookupFailed("the name has no address".to_owned()).into()),
    }
}
