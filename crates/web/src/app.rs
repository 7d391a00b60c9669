//! What the web needs from the rest of the server, handed over once by the binary.

use std::fmt;
use std::io;
use std::sync::Arc;

use axum::Router;
use domain::ambient::Ambient;
use ipnet::IpNet;
use store::Db;
use store::bell::Bell;
use store::live::Live;
use visitor::Lookup;

/// The server as requests see it.
#[derive(Clone)]
pub struct App {
    /// The record.
    pub db: Db,
    /// The catalog and the members who completed, followed from the record.
    pub live: Arc<Live>,
    /// Who visitors are, by their address and user agent.
    pub visitors: Arc<Lookup>,
    /// The clock, fresh ids and random bits.
    pub ambient: Ambient,
    /// Rung after a write that makes deliveries.
    pub bell: Bell,
    /// What the operator chose.
    pub settings: Settings,
    /// Pages that other crates add to those of this one.
    pub pages: Router,
    /// Renders every metric as Prometheus text; none: `/metrics` is not served. Histograms of some exporters grow
    /// until somebody asks or runs their upkeep: that is the owner's part.
    pub metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What the operator chose.
#[derive(Clone)]
pub struct Settings {
    /// Proxies whose `X-Forwarded-For` is believed. None: the peer is the client.
    pub proxies: Vec<IpNet>,
    /// Where partners and advertisers reach this server, `{network}` standing for a network's label. None: where
    /// the request at hand came to.
    pub public_url: Option<String>,
    /// Within how many seconds a visitor who comes again to a link is not a new one.
    pub repeat_window_s: u32,
    /// Free bytes of the disk that the record is on. May block for a moment: it is called off the async threads.
    pub free_bytes: Arc<dyn Fn() -> io::Result<u64> + Send + Sync>,
    /// With fewer free bytes the server says that it is not ready. 0 switches the check off.
    pub min_free_bytes: u64,
    /// With a write that has waited longer than this, in milliseconds, the server says that it is not ready.
    pub max_lag_ms: u64,
}

impl Settings {
    /// No proxies, visitors known for a day, 256 MiB of free disk, a lag of at most five seconds.
    pub fn new(free_bytes: impl Fn() -> io::Result<u64> + Send + Sync + 'static) -> Self {
        Self {
            proxies: Vec::new(),
            public_url: None,
            repeat_window_s: 24 * 60 * 60,
            free_bytes: Arc::new(free_bytes),
            min_free_bytes: 256 * 1024 * 1024,
            max_lag_ms: 5_000,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("proxies", &self.proxies)
            .field("public_url", &self.public_url)
            .field("min_free_bytes", &self.min_free_bytes)
            .field("max_lag_ms", &self.max_lag_ms)
            .finish_non_exhaustive()
    }
}
