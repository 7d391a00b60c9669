//! `pitlane demo`: a network that runs, with a past, an advertiser and partners. Nothing in it is faked: the
//! network is declared like any other, its past is written by the code that writes real traffic, and the
//! simulators are listeners of their own that talk HTTP to the server like strangers.

mod campaign;
mod cast;
mod declare;
mod folder;
mod history;
mod login;
mod report;
mod visitor;
mod welcome;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::visitor::Lookup;
use domain::catalog::Catalog;
use domain::time::DAY_MS;
use indicatif::ProgressBar;
use store::Db;

use self::cast::{Cast, Playing};
use self::declare::Declared;
use self::folder::Folder;
use self::history::{Past, Setting};
use crate::cli::say;
use crate::config::{self, Effective, Layer, LogFormat};
use crate::failure::Failure;
use crate::wire::Running;
use crate::{clock, log, serve, wire};

/// The network, with `.invalid` hosts for the simulators.
const NETWORK: &str = include_str!("demo/network.toml");
/// Where its partners are told.
const POSTBACKS: &str = include_str!("demo/postback.toml");
/// The expiry in [`NETWORK`], and how long ago it is in the demo.
const EXPIRY: &str = "2030-01-01T00:00:00Z";
const EXPIRED_MS: i64 = 7 * DAY_MS;

/// What `pitlane demo` is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Command {
    /// Address and port to listen on; port 0 takes a free one. The simulators take free ports
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Folder for the database, which must have none; kept afterwards. Without it: a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Days of history
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=90))]
    days: u16,
    /// Begin with an empty past
    #[arg(long)]
    no_history: bool,
    /// Another number is another history; the same number the same visitors, amounts and accidents
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

impl Command {
    /// Runs the demo until `SIGTERM` or `SIGINT`.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let filter = "warn".parse().map_err(Failure::new)?;
        log::start(&filter, LogFormat::Text);
        let folder = Folder::new(self.data.as_deref())?;
        let runtime = serve::runtime(0)?;
        let ended = runtime.block_on(self.play(&folder));
        runtime.shutdown_timeout(Duration::from_secs(1));
        ended
    }

    async fn play(&self, folder: &Folder) -> Result<(), Failure> {
        let stop = serve::stop_signal()?;
        tokio::pin!(stop);
        let cast = Cast::bind().await?;
        let effective = self.settings(folder, &cast)?;
        // The server comes first: a port that is taken is told before any work.
        let server = wire::start(&effective).await?;
        let ready = tokio::select! {
            ready = self.set_up(&server, cast) => Some(ready),
            _ = &mut stop => None,
        };
        // Kept until the server has ended: a partner that is gone would be a failed delivery.
        let playing = match ready {
            Some(Ok((playing, past, password))) => {
                say(&welcome::text(server.address(), folder, &playing, &past, &password))?;
                stop.await;
                Ok(Some(playing))
            }
            Some(Err(failure)) => Err(failure),
            None => Ok(None),
        };
        server.stop().await;
        playing.map(drop)
    }

    /// Every setting has its default but these; a demo takes nothing from the environment.
    fn settings(&self, folder: &Folder, cast: &Cast) -> Result<Effective, Failure> {
        let data = folder.path().to_string_lossy();
        let flags = Layer {
            listen: Some(self.listen),
            data: Some(data.parse().map_err(Failure::usage)?),
            delivery_allow: Some(cast.allowed().parse().map_err(Failure::new)?),
            ..Layer::default()
        };
        Ok(config::load_alone(flags)?)
    }

    async fn set_up(&self, server: &Running, cast: Cast) -> Result<(Playing, Past, String), Failure> {
        let (db, now) = (server.db(), clock::ambient().now());
        let base = welcome::url(server.address());
        let network = NETWORK.replace(EXPIRY, &now.plus_ms(-EXPIRED_MS).to_string());
        let declared = declare::apply(db, &cast.place(&network), "demo/network.toml", &base).await?;
        let catalog = db.read(store::catalog::load).await.map_err(Failure::new)?;
        let past = if self.no_history {
            Past::default()
        } else {
            let setting = Setting::new(catalog, &declared, Arc::clone(server.visitors()))?;
            let bar = ProgressBar::new_spinner().with_prefix("Writing the past");
            bar.enable_steady_tick(Duration::from_millis(100));
            let past = history::write(db, setting, self.seed, i64::from(self.days), now).await;
            bar.finish_and_clear();
            past.map_err(Failure::new)?
        };
        let postbacks = cast.place(POSTBACKS);
        let playing = cast.start(db, &declared, &base).await?;
        let told = declare::apply(db, &postbacks, "demo/postback.toml", &base).await?;
        server.knows(told.catalog_version()).await;
        fill_in(db, now.plus_ms(-DAY_MS)).await?;
        let password = login::open(db).await?;
        Ok((playing, past, password))
    }
}

/// Tells the partners of the last day, as `pitlane postback backfill` would.
async fn fill_in(db: &Db, since: domain::time::Timestamp) -> Result<(), Failure> {
    for postback in db.read(store::postback::all).await.map_err(Failure::new)? {
        let ambient = clock::ambient();
        let made = store::delivery::backfill_all(db, ambient, &postback, since, usize::MAX, |_| ()).await;
        made.map_err(|broken| Failure::new(broken.error))?;
    }
    Ok(())
}

/// A thing of the demo's own file, which has it.
fn known<T>(found: Option<T>, what: &str) -> Result<T, Failure> {
    found.ok_or_else(|| Failure::new(format!("the demo's own network has no {what}")))
}

impl Setting {
    fn new(catalog: Catalog, declared: &Declared, visitors: Arc<Lookup>) -> Result<Self, Failure> {
        let network = known(catalog.networks.keys().next().copied(), "network")?;
        let token = declared.secret("advertiser", "northwind", "postback_token")?;
        Ok(Self { campaigns: campaign::all(&catalog), catalog, network, token, visitors })
    }
}
