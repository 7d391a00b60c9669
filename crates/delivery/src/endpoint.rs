//! One endpoint's deliveries: claimed in batches, sent side by side, handed to the ledger, until nothing is due.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::ambient::Ambient;
use domain::delivery::{Admission, Attempted, Breaker, Next, next};
use domain::id::PostbackId;
use domain::postback::Postback;
use domain::signature::Secret;
use domain::time::{SECOND_MS, Timestamp};
use futures_util::StreamExt as _;
use futures_util::future::{Fuse, FusedFuture as _, FutureExt as _};
use futures_util::stream::FuturesUnordered;
use store::delivery::{Batch, Claimed};
use store::{Db, Error};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep};

use crate::client::{Client, Outcome};
use crate::ledger::{Entry, Ledger, Made};
use crate::message;
use crate::pace::Pace;

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
    pub(crate) ledger: Ledger,
    /// Becomes true when nothing more is to be sent.
    pub(crate) stop: watch::Receiver<bool>,
}

impl Shared {
    /// What may be sent to an endpoint now.
    fn admits(&self, id: PostbackId) -> Admission {
        let now = self.ambient.now();
        if *self.stop.borrow() { Admission::Nothing(now) } else { self.breakers.admits(id, now) }
    }
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
    /// The endpoints that nothing is to be sent to at `now`.
    pub(crate) fn open(&self, now: Timestamp) -> HashSet<PostbackId> {
        let breakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = |breaker: &Breaker| matches!(breaker.admits(now), Admission::Nothing(_));
        breakers.iter().filter(|(_, breaker)| is_open(breaker)).map(|(id, _)| *id).collect()
    }

    fn admits(&self, id: PostbackId, now: Timestamp) -> Admission {
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

/// A delivery that is held, with where it goes.
struct Ready {
    to: Arc<Recipient>,
    claimed: Claimed,
}

/// Where deliveries go, and who signs them.
#[derive(Debug)]
pub(crate) struct Recipient {
    pub(crate) postback: Postback,
    pub(crate) secrets: Vec<Secret>,
}

/// What was claimed.
struct Taken {
    ready: Vec<Ready>,
    /// As many as asked for: there may be more.
    is_full: bool,
}

/// What an attempt says about its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It took the request as one that works does.
    Taken,
    /// It did not, or was too slow to be asked.
    Failed,
    /// It wants nothing more.
    Gone,
}

/// Sends what is due at one endpoint until nothing is left, its breaker opens or the worker is to stop. While one batch
/// is being sent the next one is claimed.
pub(crate) async fn drain(shared: &Shared, id: PostbackId) {
    let mut pace = Pace::new(shared.per_endpoint);
    let mut ready = VecDeque::new();
    let mut under_way = FuturesUnordered::new();
    let mut claiming = pin!(Fuse::terminated());
    let mut look_again = pin!(sleep(LOOK_AGAIN));
    let (mut more, mut gone) = (true, false);
    loop {
        let (window, wanted) = match shared.admits(id) {
            Admission::Nothing(_) => (0, 0),
            _ if gone => (0, 0),
            Admission::Probe => (1, usize::from(under_way.is_empty())),
            Admission::All => (pace.window(), pace.window()),
        };
        let room = window.saturating_sub(under_way.len());
        under_way.extend(ready.drain(..room.min(ready.len())).map(|next| deliver(shared, next)));
        if more && ready.len() < wanted && claiming.is_terminated() {
            let count = if wanted > 1 { pace.claim(Instant::now().into_std()) } else { 1 };
            claiming.set(claim(shared, id, count).fuse());
        }
        if under_way.is_empty() && claiming.is_terminated() {
            break;
        }
        tokio::select! {
            Some(end) = under_way.next() => {
                pace.learn(end == End::Taken);
                gone |= end == End::Gone;
            }
            taken = &mut claiming => match taken {
                Ok(taken) => {
                    more = taken.is_full;
                    ready.extend(taken.ready);
                }
                Err(error) => {
                    tracing::warn!(%error, postback = %id, "deliveries could not be claimed; trying again");
                    more = false;
                }
            },
            // A request that hangs must not keep what came meanwhile from being claimed.
            () = &mut look_again => {
                look_again.as_mut().reset(Instant::now() + LOOK_AGAIN);
                more = true;
            }
        }
    }
    for Ready { claimed, .. } in ready {
        shared.ledger.enter(Entry::Unsent(claimed.held)).await;
    }
}

/// Claims up to `count` deliveries. A postback that is gone or switched off has its deliveries buried instead.
async fn claim(shared: &Shared, id: PostbackId, count: usize) -> Result<Taken, Error> {
    let now = shared.ambient.now();
    let lease = now.plus_ms(LEASE_MS);
    let limit = i64::try_from(count).unwrap_or(1);
    let held = shared.db.write(move |tx| store::delivery::claim(tx, id, now, lease, limit)).await?;
    let is_full = held.len() == count;
    // Read beside the writer, which clicks wait for.
    let batch = shared.db.read(move |tx| store::delivery::told(tx, id, &held)).await?;
    let Some(Batch { postback, secrets, deliveries }) = batch.filter(|batch| batch.postback.enabled) else {
        return bury(shared, id).await.map(|()| Taken { ready: Vec::new(), is_full: false });
    };
    let to = Arc::new(Recipient { postback, secrets });
    let ready = deliveries.into_iter().map(|claimed| Ready { to: Arc::clone(&to), claimed });
    Ok(Taken { ready: ready.collect(), is_full })
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

/// Makes one attempt and has it written down.
async fn deliver(shared: &Shared, Ready { to, claimed }: Ready) -> End {
    let Ok(permit) = shared.in_flight.acquire().await else { return End::Failed };
    let started = shared.ambient.now();
    if started >= claimed.held.lease.plus_ms(-LEASE_MS / 2) {
        // Waited too long for a place: the attempt could outlast the lease.
        shared.ledger.enter(Entry::Unsent(claimed.held)).await;
        return End::Failed;
    }
    let (message, outgoing) = message::build(&to.postback, &to.secrets, &claimed, started);
    let outcome = match outgoing {
        Ok(outgoing) => shared.client.send(outgoing, started.ms()).await,
        Err(refused) => Outcome::Refused(refused),
    };
    drop(permit);
    let attempted = message::attempted(&outcome);
    let attempt = message::attempt(message, &outcome, started);
    let now = shared.ambient.now();
    show(shared, to.postback.id, shared.breakers.learn(to.postback.id, attempted, now)).await;
    let next = next(attempted, claimed.held.attempt, now, (shared.ambient.random)());
    metrics::counter!("pitlane_delivery_attempts_total", "result" => result_label(next)).increment(1);
    shared.ledger.enter(Entry::Made(Box::new(Made { to, claimed, attempt, next, now }))).await;
    match next {
        Next::Disable => End::Gone,
        _ if attempted.is_healthy() => End::Taken,
        _ => End::Failed,
    }
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
