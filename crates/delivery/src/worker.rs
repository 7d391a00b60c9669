//! The worker: looks for endpoints with something due and drains each in a task of its own, so that a slow
//! endpoint holds up nobody else.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::ambient::Ambient;
use domain::id::PostbackId;
use store::bell::{Bell, Listener};
use store::{Db, Error, Tx};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::Client;
use crate::endpoint::{Breakers, Shared, drain};
use crate::ledger::Ledger;

/// How often the worker looks when nobody rings.
const PERIOD: Duration = Duration::from_millis(200);

/// The least pause before each look.
const PAUSE: Duration = Duration::from_millis(5);

/// The most of it. In between it is twice as long as the last look took: many endpoints wait, and looking at them all
/// again and again would take the time that sending needs.
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

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
    db: Db,
    client: Client,
    ambient: Ambient,
    bell: Listener,
    limits: Limits,
}

impl Worker {
    /// A worker that sends with `client` and wakes at the `bell`.
    pub fn new(db: Db, client: Client, ambient: Ambient, bell: &Bell, limits: Limits) -> Self {
        Self { db, client, ambient, bell: bell.listen(), limits }
    }

    /// Works until `stop` becomes true, then lets the requests under way end: each lasts seconds at most, and
    /// what was claimed and not sent is given back.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let Self { db, client, ambient, bell, limits } = self;
        let (ledger, writing) = Ledger::open(db.clone());
        let shared = Shared {
            db,
            client: Arc::new(client),
            ambient,
            per_endpoint: limits.per_endpoint.max(1),
            in_flight: Arc::new(Semaphore::new(limits.in_flight.max(1))),
            breakers: Arc::new(Breakers::default()),
            ledger,
            stop,
        };
        let look = Look { shared, bell, busy: HashSet::new(), tasks: JoinSet::new(), after: None };
        look.run().await;
        // It ends behind the last entry, for nobody is left who could make another.
        let _ = writing.await;
    }
}

/// Looks for what is due, and starts who sends it.
struct Look {
    shared: Shared,
    bell: Listener,
    busy: HashSet<PostbackId>,
    tasks: JoinSet<PostbackId>,
    /// Behind whom the next look begins: one look does not see all, when very many wait.
    after: Option<PostbackId>,
}

impl Look {
    async fn run(mut self) {
        let mut stop = self.shared.stop.clone();
        let mut pause = PAUSE;
        loop {
            tokio::select! {
                // A sender that is gone means the same as a word to stop.
                _ = stop.wait_for(|stop| *stop) => break,
                () = self.bell.heard(PERIOD) => {}
                Some(ended) = self.tasks.join_next() => self.ended(ended.ok()),
            }
            // However often the bell rings, one look in a few milliseconds is enough.
            tokio::time::sleep(pause).await;
            while let Some(ended) = self.tasks.try_join_next() {
                self.ended(ended.ok());
            }
            let began = Instant::now();
            match self.round().await {
                Ok(()) => {}
                Err(Error::Closed) => break,
                Err(error) => {
                    tracing::warn!(%error, "cannot read due deliveries; trying again");
                    tokio::time::sleep(PERIOD).await;
                }
            }
            pause = (2 * began.elapsed()).clamp(PAUSE, LONGEST_PAUSE);
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
        let (now, after) = (self.shared.ambient.now(), self.after);
        let mut skip = self.shared.breakers.open(now);
        skip.extend(&self.busy);
        let look =
            move |tx: &mut Tx<'_>| store::delivery::due_postbacks(tx, after, &skip, now, ENDPOINTS_PER_ROUND);
        let looked = self.shared.db.read(look).await?;
        self.after = looked.rest;
        for id in looked.due {
            self.busy.insert(id);
            let shared = self.shared.clone();
            self.tasks.spawn(async move {
                drain(&shared, id).await;
                id
            });
        }
        Ok(())
    }
}
