//! Writes down what came of attempts: everything that ended while the last write was under way goes into the next one.

use std::sync::Arc;

use domain::delivery::{DeliveryState, Next};
use domain::time::Timestamp;
use store::delivery::{Attempt, Claimed, Fate, Held};
use store::{Db, Error, Tx};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::endpoint::Recipient;

/// Entries in one write at most.
const AT_ONCE: usize = 256;

/// Entries that may wait; beyond it endpoints wait for the database.
const WAITING: usize = 2 * AT_ONCE;

/// What is written down.
#[derive(Debug)]
pub(crate) enum Entry {
    /// An attempt was made.
    Made(Box<Made>),
    /// None was made: somebody else may.
    Unsent(Held),
}

/// An attempt that was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) to: Arc<Recipient>,
    pub(crate) claimed: Claimed,
    pub(crate) attempt: Attempt,
    pub(crate) next: Next,
    /// When it ended.
    pub(crate) now: Timestamp,
}

/// Takes entries; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Ledger(mpsc::Sender<Entry>);

impl Ledger {
    /// A ledger, and the task that writes it, which ends behind the last entry when all clones are gone.
    pub(crate) fn open(db: Db) -> (Self, JoinHandle<()>) {
        let (sender, entries) = mpsc::channel(WAITING);
        (Self(sender), tokio::spawn(keep(db, entries)))
    }

    /// Hands an entry over, when there is room.
    pub(crate) async fn enter(&self, entry: Entry) {
        // The writer outlives every sender.
        let _ = self.0.send(entry).await;
    }
}

async fn keep(db: Db, mut entries: mpsc::Receiver<Entry>) {
    loop {
        let mut batch = Vec::with_capacity(AT_ONCE);
        if entries.recv_many(&mut batch, AT_ONCE).await == 0 {
            return;
        }
        // In one order everywhere, so that two servers seldom wait for each other's rows.
        batch.sort_unstable_by_key(|entry| entry.held().id.uuid());
        let batch = Arc::new(batch);
        let Err(error) = write(&db, Arc::clone(&batch), 0..batch.len()).await else { continue };
        // One entry that cannot be written must not take the others along.
        let alone = matches!(error, Error::Bug { .. } | Error::Conflict { .. }) && batch.len() > 1;
        if !alone {
            not_written(&error, batch.len());
            continue;
        }
        for at in 0..batch.len() {
            if let Err(error) = write(&db, Arc::clone(&batch), at..at + 1).await {
                not_written(&error, 1);
            }
        }
    }
}

fn not_written(error: &Error, attempts: usize) {
    tracing::warn!(%error, attempts, "attempts were not written down; sent again when their leases have run out");
}

async fn write(db: &Db, batch: Arc<Vec<Entry>>, part: std::ops::Range<usize>) -> Result<(), Error> {
    db.write(move |tx| batch[part.clone()].iter().try_for_each(|entry| entry.write(tx))).await
}

impl Entry {
    fn held(&self) -> &Held {
        match self {
            Self::Made(made) => &made.claimed.held,
            Self::Unsent(held) => held,
        }
    }

    fn write(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        match self {
            Self::Made(made) => made.write(tx),
            Self::Unsent(held) => store::delivery::release(tx, held),
        }
    }
}

impl Made {
    fn write(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let Self { to, claimed, attempt, next, now } = self;
        let postback = &to.postback;
        let fate = match next {
            Next::Delivered => Fate::Ended(DeliveryState::Delivered),
            Next::Retry(at) => Fate::Again(*at),
            Next::Dead | Next::Disable => Fate::Ended(DeliveryState::Dead),
        };
        if !store::delivery::finish(tx, postback.network, claimed, attempt, fate, *now)? {
            tracing::warn!(postback = %postback.id, "an attempt outlasted its lease");
        }
        if *next == Next::Disable {
            store::postback::disable(tx, postback.id, "the endpoint answered 410 Gone")?;
        }
        Ok(())
    }
}
