//! One endpoint's deliveries: claimed a few at a time, sent side by side, written down, until nothing is due.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::ambient::Ambient;
use domain::delivery::{Admission, Attempted, Breaker, DeliveryState, Next, next};
use domain::id::PostbackId;
use domain::postback::Postback;
use domain::signature::Secret;
use domain::time::{SECOND_MS, Timestamp};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use store::delivery::{Attempt, Batch, Claimed, Fate};
use store::{Db, Error};
use tokio::sync::Semaphore;

use crate::client::{Client, Outcome};
use crate::message;

/// How long a worker holds what it claimed: longer than an attempt can last, so that nothing is sent by two
/// workers while both live, and short, so that what a dead worker held is sent soon.
const LEASE_MS: i64 = 40 * SECOND_MS;

/// How often an endpoint with requests under way is asked for more.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Rows buried in one write when an endpoint is switched off.
const BURY_AT_ONCE: i64 = 500;

/// What every endpoint's task shares.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) db: Db,
    pub(crate) client: Arc<Client>,
    pub(crate) ambient: Ambient,
    /// Requests under way to one endpoint at most.
    pub(crate) per_endpoint: usize,
    /// Requests under way in all.
    pub(crate) in_flight: Arc<Semaphore>,
    pub(crate) breakers: Arc<Breakers>,
}

/// The breaker of every endpoint that has failed lately.
#[derive(Debug, Default)]
pub(crate) struct Breakers(Mutex<HashMap<PostbackId, Breaker>>);

/// What an attempt did to its endpoint's breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    /// Nothing.
    Not,
    /// Nothing is sent until then.
    Opened(Timestamp),
    /// Everything is sent again.
    Closed,
}

impl Breakers {
    pub(crate) fn admits(&self, id: PostbackId, now: Timestamp) -> Admission {
        let breakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        breakers.get(&id).map_or(Admission::All, |breaker| breaker.admits(now))
    }

    /// Learns how an attempt ended, and says whether the breaker moved with it.
    fn learn(&self, id: PostbackId, attempted: Attempted, now: Timestamp) -> Moved {
        let mut breakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let breaker = breakers.entry(id).or_default();
        let before = breaker.open_until();
        breaker.learn(attempted, now);
        let after = breaker.open_until();
        if *breaker == Breaker::default() {
            breakers.remove(&id);
        }
        match after {
            _ if after == before => Moved::Not,
            Some(until) => Moved::Opened(until),
            None => Moved::Closed,
        }
    }
}

/// Sends what is due at one endpoint until nothing is left or its breaker opens.
pub(crate) async fn drain(shared: Shared, id: PostbackId) -> Result<(), Error> {
    let mut under_way = FuturesUnordered::new();
    let mut more = true;
    loop {
        let room = match shared.breakers.admits(id, shared.ambient.now()) {
            Admission::All => shared.per_endpoint.saturating_sub(under_way.len()),
            Admission::Probe => usize::from(under_way.is_empty()),
            Admission::Nothing(_) => 0,
        };
        // Claiming for half the room at once keeps the writes few and the endpoint busy.
        if more && room > 0 && (room >= shared.per_endpoint / 2 || under_way.is_empty()) {
            let Some(batch) = claim(&shared, id, room).await? else { return Ok(()) };
            more = batch.deliveries.len() == room;
            let (postback, secrets) = (Arc::new(batch.postback), Arc::new(batch.secrets));
            for claimed in batch.deliveries {
                under_way.push(deliver(shared.clone(), Arc::clone(&postback), Arc::clone(&secrets), claimed));
            }
        }
        tokio::select! {
            ended = under_way.next() => match ended {
                Some(result) => result?,
                None => return Ok(()),
            },
            // A request that hangs must not keep what came meanwhile from being claimed.
            () = tokio::time::sleep(LOOK_AGAIN), if !under_way.is_empty() => more = true,
        }
    }
}

/// Claims up to `room` deliveries. A postback that is gone or switched off has its deliveries buried instead.
async fn claim(shared: &Shared, id: PostbackId, room: usize) -> Result<Option<Batch>, Error> {
    let now = shared.ambient.now();
    let lease = now.plus_ms(LEASE_MS);
    let limit = i64::try_from(room).unwrap_or(1);
    let batch = shared.db.write(move |tx| store::delivery::claim(tx, id, now, lease, limit)).await?;
    match batch {
        Some(batch) if batch.postback.enabled => Ok(Some(batch)),
        _ => bury(shared, id).await.map(|()| None),
    }
}

async fn bury(shared: &Shared, id: PostbackId) -> Result<(), Error> {
    loop {
        let now = shared.ambient.now();
        let buried = shared.db.write(move |tx| store::delivery::bury(tx, id, now, BURY_AT_ONCE)).await?;
        if buried == 0 {
            return Ok(());
        }
    }
}

/// Makes one attempt and writes down what came of it.
async fn deliver(
    shared: Shared,
    postback: Arc<Postback>,
    secrets: Arc<Vec<Secret>>,
    claimed: Claimed,
) -> Result<(), Error> {
    let Ok(_permit) = shared.in_flight.acquire().await else { return Ok(()) };
    let started = shared.ambient.now();
    if started >= claimed.lease.plus_ms(-LEASE_MS / 2) {
        // Waited too long for a place: the attempt could outlast the lease. It is claimed anew when that
        // ends.
        return Ok(());
    }
    let (message, outgoing) = message::build(&postback, &secrets, &claimed, started);
    let outcome = match outgoing {
        Ok(outgoing) => shared.client.send(outgoing, started.ms()).await,
        Err(refused) => Outcome::Refused(refused),
    };
    let attempted = message::attempted(&outcome);
    let attempt = message::attempt(&message, &outcome, started);
    let now = shared.ambient.now();
    show(&shared, postback.id, shared.breakers.learn(postback.id, attempted, now)).await;
    let fate = next(attempted, claimed.attempt, now, (shared.ambient.random)());
    metrics::counter!("pitlane_delivery_attempts_total", "result" => result_label(fate)).increment(1);
    record(&shared, postback, claimed, attempt, fate, now).await
}

const fn result_label(next: Next) -> &'static str {
    match next {
        Next::Delivered => "delivered",
        Next::Retry(_) => "retry",
        Next::Dead => "dead",
        Next::Disable => "disabled",
    }
}

/// Tells whoever looks at the postback what its breaker does; that it is not told stops nothing.
async fn show(shared: &Shared, id: PostbackId, moved: Moved) {
    let until = match moved {
        Moved::Not => return,
        Moved::Opened(until) => Some(until),
        Moved::Closed => None,
    };
    let shown: Result<(), Error> = shared.db.write(move |tx| store::postback::pause(tx, id, until)).await;
    if let Err(error) = shown {
        tracing::warn!(postback = %id, %error, "cannot note whether an endpoint is paused");
    }
}

async fn record(
    shared: &Shared,
    postback: Arc<Postback>,
    claimed: Claimed,
    attempt: Attempt,
    next: Next,
    now: Timestamp,
) -> Result<(), Error> {
    let fate = match next {
        Next::Delivered => Fate::Ended(DeliveryState::Delivered),
        Next::Retry(at) => Fate::Again(at),
        Next::Dead | Next::Disable => Fate::Ended(DeliveryState::Dead),
    };
    let id = postback.id;
    let held = shared
        .db
        .write(move |tx| {
            let held = store::delivery::finish(tx, postback.network, &claimed, &attempt, fate, now)?;
            if next == Next::Disable {
                store::postback::disable(tx, postback.id, "the endpoint answered 410 Gone")?;
            }
            Ok::<_, Error>(held)
        })
        .await?;
    if !held {
        tracing::warn!(postback = %id, "an attempt outlasted its lease");
    }
    Ok(())
}
