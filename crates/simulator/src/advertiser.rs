//! The simulated advertiser: a landing page per offer, and buttons that fire real postbacks.

mod log;
mod pages;
mod postback;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use tokio::net::TcpListener;

use crate::page;
use crate::serve::Server;

pub use self::postback::{Answer, Postback};

const MAX_FORM_BYTES: usize = 64 * 1024;

/// What an advertiser is started with.
#[derive(Clone)]
pub struct Settings {
    /// The shop's name, shown on every page.
    pub name: String,
    /// Where its postbacks go, without parameters, such as `http://127.0.0.1:8080/postback`. Plain HTTP only.
    pub postback_base: String,
    /// The advertiser's postback token at Pitlane. It is sent and never shown.
    pub token: String,
    /// What the shop offers; one landing page each.
    pub offers: Vec<Offer>,
}

/// An offer with a landing page at `/{slug}`.
#[derive(Clone, Debug)]
pub struct Offer {
    /// One path segment of the landing page's URL.
    pub slug: String,
    /// The page's title.
    pub title: String,
    /// A sentence or two under the title.
    pub blurb: String,
    /// Whether a completion has an amount.
    pub kind: Kind,
    /// ISO 4217, of the amount.
    pub currency: String,
    /// The events in their order; none for a single-event offer.
    pub events: Vec<Event>,
}

/// How an offer pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A fixed sum per completion: the postback carries no amount.
    FlatRate,
    /// A share of the sale: the postback carries the sale's amount.
    RevShare,
}

/// An event of a multi-event offer.
#[derive(Clone, Debug)]
pub struct Event {
    /// The exact string that the postback carries as `cnv_event_id`.
    pub event_id: String,
    /// The button's text.
    pub name: String,
}

/// A running advertiser. It stops when it is dropped.
pub struct Advertiser {
    server: Server,
    shop: Arc<Shop>,
}

/// What all handlers share.
struct Shop {
    settings: Settings,
    client: reqwest::Client,
    log: log::Log,
}

impl Advertiser {
    /// Serves on the listener until stopped. Must be called inside a tokio runtime. Fails when the listener
    /// has no address or the HTTP client cannot be built.
    pub fn start(listener: TcpListener, settings: Settings) -> io::Result<Self> {
        let client = postback::client().map_err(io::Error::other)?;
        let shop = Arc::new(Shop { settings, client, log: log::Log::default() });
        let router = Router::new()
            .route("/", get(pages::index))
            .route("/style.css", get(page::style))
            .route("/{slug}", get(pages::landing))
            .route("/{slug}/complete", post(pages::complete))
            .route("/{slug}/again", post(pages::again))
            .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
            .with_state(Arc::clone(&shop));
        Ok(Self { server: Server::start(listener, router)?, shop })
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// The last 200 postbacks, oldest first.
    pub fn postbacks(&self) -> Vec<Arc<Postback>> {
        let mut newest_first = self.shop.log.postbacks();
        newest_first.reverse();
        newest_first
    }

    /// Answers what is being asked and stops; what still runs after half a second is cut.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl Shop {
    fn offer(&self, slug: &str) -> Option<&Offer> {
        self.settings.offers.iter().find(|at| at.slug == slug)
    }
}
