//! What each link's recent clicks looked like, in memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::click::Click;
use domain::id::LinkId;
use domain::sketch::{Seen, Sketch, click_hash, member_hash};

/// The sketch of every link that was clicked. A click takes one lock that it shares with the clicks of a sixty-fourth
/// of all links; what is done under it takes less than a microsecond.
#[derive(Debug)]
pub struct Sketches {
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<LinkId, Known>>>,
}

/// A link's sketch.
#[derive(Debug, Default)]
struct Known {
    sketch: Sketch,
    /// Whether it has learnt something since it was saved.
    changed: bool,
}

/// Parts that are locked apart.
pub(crate) const SHARDS: usize = 64;

impl Default for Sketches {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Sketches {
    /// Learns a click that is recorded.
    pub fn learn(&self, click: &Click) {
        if let Some(seen) = click.seen() {
            self.learn_seen(click.link, seen);
        }
    }

    fn learn_seen(&self, link: LinkId, seen: Seen) {
        let mut shard = self.shard(link);
        let known = shard.entry(link).or_default();
        known.sketch.learn(seen);
        known.changed = true;
    }

    /// Learns what was saved of a link.
    pub(super) fn recall(&self, link: LinkId, saved: &[Seen]) {
        let mut shard = self.shard(link);
        let known = shard.entry(link).or_default();
        for seen in saved {
            known.sketch.learn(*seen);
        }
    }

    /// The links of one shard that have learnt something since this was last asked, with what they remember, oldest
    /// first.
    pub(crate) fn take_changed(&self, shard: usize) -> Vec<(LinkId, Vec<Seen>)> {
        let mut shard = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let changed = shard.iter_mut().filter(|(_, known)| known.changed);
        let take = |(link, known): (&LinkId, &mut Known)| {
            known.changed = false;
            (*link, known.sketch.seen().collect())
        };
        changed.map(take).collect()
    }

    /// These links are to be saved, because saving them failed.
    pub(crate) fn mark_changed(&self, links: impl Iterator<Item = LinkId>) {
        for link in links {
            if let Some(known) = self.shard(link).get_mut(&link) {
                known.changed = true;
            }
        }
    }

    /// What is remembered of a link's newest clicks, oldest first; nothing of a link that was never clicked.
    pub fn of(&self, link: LinkId) -> Vec<Seen> {
        self.shard(link).get(&link).map(|known| known.sketch.seen().collect()).unwrap_or_default()
    }

    /// Whether this member id is on most of the link's recent clicks.
    pub fn is_static(&self, link: LinkId, member: &str) -> bool {
        self.shard(link).get(&link).is_some_and(|known| known.sketch.is_static(member_hash(member)))
    }

    /// Whether this click id came before on the link.
    pub fn is_reused(&self, link: LinkId, click: &str) -> bool {
        self.shard(link).get(&link).is_some_and(|known| known.sketch.is_reused(click_hash(click)))
    }

    /// Whether a click's visitor came to the link as the same member within the `window_s` seconds before.
    pub fn has_seen(&self, click: &Click, window_s: u32) -> bool {
        let known = |seen| {
            self.shard(click.link)
                .get(&click.link)
                .is_some_and(|known| known.sketch.is_repeat(seen, window_s))
        };
        click.seen().is_some_and(known)
    }

    #[allow(clippy::cast_possible_truncation, reason = "the low bits choose the shard")]
    fn shard(&self, link: LinkId) -> MutexGuard<'_, HashMap<LinkId, Known>> {
        let at = self.hasher.hash_one(link) as usize % SHARDS;
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
