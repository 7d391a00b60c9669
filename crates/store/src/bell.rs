//! Tells the parts of one process that something was written, so that they need not wait for their next look.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Rung after a write that made deliveries or changed the catalog or a member's place. Missing a ring loses
/// time, never work: everybody who waits also looks by itself.
#[derive(Debug, Clone)]
pub struct Bell(Arc<watch::Sender<u64>>);

impl Default for Bell {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Bell {
    /// Wakes everybody who listens.
    pub fn ring(&self) {
        self.0.send_modify(|rings| *rings = rings.wrapping_add(1));
    }

    /// Starts to listen: rings from now on are heard.
    pub fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

/// Hears a [`Bell`].
#[derive(Debug)]
pub struct Listener(watch::Receiver<u64>);

impl Listener {
    /// Returns at the next ring, at once when there was one since the last call, or after `at_most`.
    pub async fn heard(&mut self, at_most: Duration) {
        // Both a time-out and a bell that is gone mean: look now.
        let _ = tokio::time::timeout(at_most, self.0.changed()).await;
    }
}
