//! What the hot path reads instead of the database: the catalog snapshot and the members who completed, kept
//! true by following the database, whichever process changed it.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::catalog::Catalog;
use domain::id::{ConversionId, EventId, OfferId, PartnerId};
use domain::link::Link;
use domain::time::Timestamp;
use uuid::Uuid;

use crate::conversion::{self, Place};
use crate::{Db, Error, catalog};

/// How often the database is looked at.
const PERIOD: Duration = Duration::from_millis(250);

/// Transactions of other nodes may appear in another order than their times. Changes this far behind the
/// newest one are read again.
const OVERLAP_MS: i64 = 3_000;

/// Rows read at once.
const PAGE: i64 = 10_000;

/// The state that requests read.
#[derive(Debug, Default)]
pub struct Live {
    /// The newest catalog that this process has seen.
    pub catalog: ArcSwap<Catalog>,
    /// Members who completed.
    pub completed: Completed,
}

impl Live {
    /// Whether a member has nothing left to do on a link's offer: every result is taken and none repeats.
    pub fn member_completed(&self, link: &Link, member: &str) -> bool {
        let offer = &link.offer;
        offer.each_place(|event, repeats| {
            !repeats && self.completed.contains(offer.id, link.partner.id, event, member)
        })
    }
}

/// The places that members hold, as 64-bit hashes keyed anew in every process: a few bytes a member, and two
/// members share one by chance once in billions of networks.
#[derive(Debug)]
pub struct Completed {
    hasher: RandomState,
    shards: Vec<RwLock<HashSet<u64>>>,
}

const SHARDS: usize = 64;

impl Default for Completed {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }
}

impl Completed {
    /// Whether a conversion holds this member's place. One hash and one read lock that is nearly always free.
    pub fn contains(&self, offer: OfferId, partner: PartnerId, event: EventId, member: &str) -> bool {
        let hash = self.hasher.hash_one((offer, partner, event, member));
        self.shard(hash).read().unwrap_or_else(PoisonError::into_inner).contains(&hash)
    }

    fn set(&self, place: &Place) {
        let hash = self.hasher.hash_one((place.offer, place.partner, place.event, place.member.as_str()));
        let mut shard = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
        if place.taken {
            shard.insert(hash);
        } else {
            shard.remove(&hash);
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "the low bits choose the shard")]
    fn shard(&self, hash: u64) -> &RwLock<HashSet<u64>> {
        &self.shards[hash as usize % SHARDS]
    }
}

/// Keeps a [`Live`] true.
pub struct Follower {
    db: Db,
    live: Arc<Live>,
    position: (Timestamp, ConversionId),
}

impl Follower {
    /// Loads everything once; requests can be served when this returns.
    pub async fn load(db: Db, live: Arc<Live>) -> Result<Self, Error> {
        let position = (Timestamp::from_ms(i64::MIN), ConversionId(Uuid::nil()));
        let mut follower = Self { db, live, position };
        follower.look().await?;
        Ok(follower)
    }

    /// Follows until the task is dropped. A database that is away is tried again at the next look; meanwhile
    /// the last state stands.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.look().await {
                if matches!(error, Error::Closed) {
                    return;
                }
                tracing::warn!(%error, "cannot read changes; the last known catalog stands");
            }
        }
    }

    /// Reads what changed since the last look.
    async fn look(&mut self) -> Result<(), Error> {
        let known = self.live.catalog.load().version;
        let fresh = self
            .db
            .read(
                move |tx| if catalog::version(tx)? == known { Ok(None) } else { catalog::load(tx).map(Some) },
            )
            .await?;
        if let Some(fresh) = fresh {
            tracing::info!(version = fresh.version, links = fresh.links.len(), "catalog loaded");
            self.live.catalog.store(Arc::new(fresh));
        }
        self.follow_places().await
    }

    async fn follow_places(&mut self) -> Result<(), Error> {
        // Behind the newest change seen, so that a slower transaction of another node is not passed over.
        let mut from = (self.position.0.plus_ms(-OVERLAP_MS), ConversionId(Uuid::nil()));
        loop {
            let page = self.db.read(move |tx| conversion::places_since(tx, from, PAGE)).await?;
            for place in &page {
                self.live.completed.set(place);
            }
            let Some(last) = page.last() else { return Ok(()) };
            from = (last.changed, last.conversion);
            self.position = self.position.max(from);
            if i64::try_from(page.len()).unwrap_or(PAGE) < PAGE {
                return Ok(());
            }
        }
    }
}
