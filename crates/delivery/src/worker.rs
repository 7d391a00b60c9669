//! The worker: looks for endpoints with something due and drains each in a task of its own, so that a slow
//! endpoint holds up nobody else.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::ambient::Ambient;
use domain::delivery::Admission;
use domain::id::PostbackId;
use store::bell::{Bell, Listener};
use store::{Db, Error};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::endpoint::{Breakers, Shared, drain};

/// How often the worker looks when nobody rings.
const PERIOD: Duration = Duration::from_millis(200);

/// The pause before each look.
const PAUSE: Duration = Duration::from_millis(5);

/// Endpoints looked at in one round.
const ENDPOINTS_PER_ROUND: i64 = 1_000;

/// The bounds of a worker.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests under way in all. Default 512.
    pub in_flight: usize,
    /// Requests under way to one endpoint. Default 32.
    pub per_endpoint: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { in_flight: 512, per_endpoint: 32 }
    }
}

/// Sends what is due, on this node.
pub struct Worker {
    shared: Shared,
    bell: Listener,
    busy: HashSet<PostbackId>,
    tasks: JoinSet<PostbackId>,
}

impl Worker {
    /// A worker that sends with `client` and wakes at the `bell`.
    pub fn new(db: Db, client: Client, ambient: Ambient, bell: &Bell, limits: Limits) -> Self {
        let shared = Shared {
            db,
            client: Arc::new(client),
            ambient,
            per_endpoint: limits.per_endpoint.max(1),
            in_flight: Arc::new(Semaphore::new(limits.in_flight.max(1))),
            breakers: Arc::new(Breakers::default()),
        };
        Self { shared, bell: bell.listen(), busy: HashSet::new(), tasks: JoinSet::new() }
    }

    /// Works until `stop` becomes true, then lets the requests under way end: each lasts seconds at most, and
    /// what was claimed and not sent is sent by the next worker when its lease has run out.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                // A sender that is gone means the same as a word to stop.
                _ = stop.wait_for(|stop| *stop) => break,
                () = self.bell.heard(PERIOD) => {}
                Some(ended) = self.tasks.join_next() => self.ended(ended.ok()),
            }
            // However often the bell rings, one look in a few milliseconds is enough.
            tokio::time::sleep(PAUSE).await;
            while let Some(ended) = self.tasks.try_join_next() {
                self.ended(ended.ok());
            }
            match self.round().await {
                Ok(()) => {}
                Err(Error::Closed) => break,
                Err(error) => {
                    tracing::warn!(%error, "cannot read due deliveries; trying again");
                    tokio::time::sleep(PERIOD).await;
                }
            }
        }
        while self.tasks.join_next().await.is_some() {}
    }

    /// A task has ended; `None` when it panicked, and which endpoint it was is not known. Then all may be looked at
    /// again; claims keep that safe.
    fn ended(&mut self, endpoint: Option<PostbackId>) {
        match endpoint {
            Some(id) => {
                self.busy.remove(&id);
            }
            None => self.busy.clear(),
        }
    }

    /// Starts a task for every endpoint that has something due and none yet.
    async fn round(&mut self) -> Result<(), Error> {
        let now = self.shared.ambient.now();
        let due = self
            .shared
            .db
            .read(move |tx| store::delivery::due_postbacks(tx, now, ENDPOINTS_PER_ROUND))
            .await?;
        for id in due {
            let open = matches!(self.shared.breakers.admits(id, now), Admission::Nothing(_));
            if open || !self.busy.insert(id) {
                continue;
            }
            let shared = self.shared.clone();
            self.tasks.spawn(async move {
                if let Err(error) = drain(shared, id).await {
                    tracing::warn!(%error, postback = %id, "attempts were not written down; sent again later");
                }
                id
            });
        }
        Ok(())
    }
}
