//! The simulated partner: its users with their tracking links, and every postback it receives, checked.

mod behaviour;
mod pages;
mod received;
mod signature;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::page;
use crate::serve::Server;

pub use self::behaviour::Behaviour;
pub use self::received::Received;
pub use self::signature::SignatureCheck;

const MAX_BODY_BYTES: usize = 64 * 1024;
const DEFAULT_KEEP: usize = 200;
const DEFAULT_USERS: [u32; 12] =
    [10482, 10517, 10533, 10608, 10664, 10729, 10791, 10850, 10902, 10977, 11046, 11103];

/// What a partner is started with. `..Settings::default()` gives twelve users and room for 200 postbacks.
#[derive(Clone)]
pub struct Settings {
    /// The app's name, shown on every page.
    pub name: String,
    /// The tracking links that Pitlane gave it.
    pub links: Vec<Link>,
    /// Its signing secrets at Pitlane, `whsec_` and base64. Never shown.
    pub secrets: Vec<String>,
    /// The member ids of its users, sent as `pub_member_id`.
    pub users: Vec<String>,
    /// How many postbacks are kept; at least one.
    pub keep: usize,
}

/// A tracking link.
#[derive(Clone, Debug)]
pub struct Link {
    /// The offer's title.
    pub offer_title: String,
    /// The link as Pitlane gave it, without parameters.
    pub url: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "Simulated partner".to_owned(),
            links: Vec::new(),
            secrets: Vec::new(),
            users: DEFAULT_USERS.iter().map(|number| format!("m-{number}")).collect(),
            keep: DEFAULT_KEEP,
        }
    }
}

/// A running partner. Its postback URL is `http://{addr}/postback` or anything below it. It stops when it is
/// dropped.
pub struct Partner {
    server: Server,
    app: Arc<App>,
}

/// What all handlers share.
struct App {
    settings: Settings,
    behaviour: Mutex<Behaviour>,
    inbox: received::Inbox,
}

impl Partner {
    /// Serves on the listener until stopped. Must be called inside a tokio runtime. Fails when the listener
    /// has no address.
    pub fn start(listener: TcpListener, settings: Settings) -> io::Result<Self> {
        let inbox = received::Inbox::new(settings.keep);
        let app = Arc::new(App { settings, behaviour: Mutex::default(), inbox });
        let router = Router::new()
            .route("/", get(pages::index))
            .route("/style.css", get(page::style))
            .route("/postback", get(pages::postback).post(pages::postback))
            .route("/postback/{*rest}", get(pages::postback).post(pages::postback))
            .fallback(pages::missing)
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(Arc::clone(&app));
        Ok(Self { server: Server::start(listener, router)?, app })
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Answers postbacks in this way from now on; those that hang already go on hanging.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        *self.app.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// The postbacks that are kept, oldest first. One is here before it is answered.
    pub fn received(&self) -> Vec<Arc<Received>> {
        self.app.inbox.all()
    }

    /// How many postbacks came in all, kept or not.
    pub fn count(&self) -> usize {
        self.app.inbox.count()
    }

    /// Waits until so many postbacks came in all, and answers those that are kept, oldest first. Waits for
    /// ever when they do not come: put a limit around it.
    pub async fn wait_for(&self, count: usize) -> Vec<Arc<Received>> {
        self.app.inbox.wait_for(count).await;
        self.received()
    }

    /// Answers what is being asked and stops; what still runs after half a second is cut.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl App {
    fn behaviour(&self) -> Behaviour {
        self.behaviour.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
