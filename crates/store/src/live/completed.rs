//! Members who completed, as hashes in memory.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{PoisonError, RwLock};

use domain::id::{EventId, OfferId, PartnerId};

use crate::conversion::Place;

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

    pub(super) fn set(&self, place: &Place) {
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
