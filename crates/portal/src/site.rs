//! What every page may look at.

use std::sync::Arc;

use domain::id::NetworkId;
use store::audit::Entry;
use uuid::Uuid;

use crate::password::Passwords;
use crate::test_tab::Streams;
use crate::throttle::Throttle;

/// The server as pages see it.
pub(crate) struct Site {
    /// The record, the catalog, the clock.
    pub(crate) app: Arc<web::App>,
    /// Passwords are compared here.
    pub(crate) passwords: Passwords,
    /// How often strangers may try.
    pub(crate) throttle: Throttle,
    /// Live traces that are being watched.
    pub(crate) streams: Arc<Streams>,
}

impl Site {
    pub(crate) fn new(app: Arc<web::App>) -> Self {
        Self { app, passwords: Passwords::new(), throttle: Throttle::new(), streams: Arc::default() }
    }

    /// A fresh secret of 256 bits behind `prefix`, in characters that need no coding in a URL.
    pub(crate) fn secret(&self, prefix: &str) -> String {
        use base64::Engine as _;
        let random = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(self.app.ambient.random_bytes());
        format!("{prefix}{random}")
    }

    /// A fresh id for now.
    pub(crate) fn new_id(&self) -> Uuid {
        self.app.ambient.new_id(self.app.ambient.now())
    }

    /// An entry of the audit log: `actor` did `change` to `subject`, such as `user/ada@app.example`.
    pub(crate) fn entry(
        &self,
        network: NetworkId,
        actor: &str,
        subject: String,
        change: &serde_json::Value,
    ) -> Entry {
        let at = self.app.ambient.now();
        let (id, actor) = (self.app.ambient.new_id(at), actor.to_owned());
        Entry { id, network, at, actor, subject, change: change.to_string() }
    }
}
