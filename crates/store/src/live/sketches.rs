//! What each link's recent clicks looked like, in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::click::Click;
use domain::id::LinkId;
use domain::sketch::{Recent, Seen, Sketch};

/// The sketch of every link that was clicked. A click takes one lock that it shares with the clicks of a sixty-fourth
/// of all links; what is done under it takes less than a microsecond.
#[derive(Debug)]
pub struct Sketches {
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
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Sketches {
    /// Learns a click that is recorded.
    pub fn learn(&self, click: &Click) {
        if let Some(seen) = click.seen() {
            self.learn_seen(click.link, seen);
        }
    }

    /// The same, of a click whose hashes are known.
    pub fn learn_seen(&self, link: LinkId, seen: Seen) {
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

    /// What the link's recent clicks say about this one; a repeat is one within `window_s` seconds.
    pub fn recent(&self, link: LinkId, seen: Seen, window_s: u32) -> Recent {
        let shard = self.shard(link);
        shard.get(&link).map_or_else(Recent::default, |known| known.sketch.recent(seen, window_s))
    }

    #[allow(clippy::cast_possible_truncation, reason = "the low bits choose the shard")]
    fn shard(&self, link: LinkId) -> MutexGuard<'_, HashMap<LinkId, Known>> {
        // The last bits of an id are random, and nobody but us chooses the id of a link.
        let at = link.uuid().as_u128() as usize % SHARDS;
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
