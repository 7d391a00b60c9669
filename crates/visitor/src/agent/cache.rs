//! The user agents of the last while. Bounded in number and bytes, in shards, so that threads seldom meet.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

use domain::visitor::Agent;

const SHARDS: usize = 16;

/// Of one generation of one shard; there are two generations.
const MAX_ENTRIES: usize = 1_024;

/// Of one generation of one shard, so 8 MiB in all.
const MAX_BYTES: usize = 256 * 1_024;

/// What an entry takes beside its texts: the map's slot, the two allocations and the `Agent`.
const ENTRY_BYTES: usize = 160;

type Map = HashMap<Box<str>, Arc<Agent>>;

/// Two generations: what is asked for moves to the young one, and when that is full the old one is forgotten. So a
/// flood of user agents that never come again pushes out none that is in use.
#[derive(Default)]
struct Shard {
    young: Map,
    old: Map,
    young_bytes: usize,
}

impl Shard {
    fn get(&mut self, text: &str) -> Option<Arc<Agent>> {
        if let Some(agent) = self.young.get(text) {
            return Some(Arc::clone(agent));
        }
        let (text, agent) = self.old.remove_entry(text)?;
        self.put(text, Arc::clone(&agent));
        Some(agent)
    }

    fn put(&mut self, text: Box<str>, agent: Arc<Agent>) {
        let bytes = ENTRY_BYTES + text.len() + agent.os.len() + agent.browser.len();
        if self.young.len() >= MAX_ENTRIES || self.young_bytes + bytes > MAX_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young.insert(text, agent);
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Cache {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

impl Cache {
    /// The agent of this text; read, outside any lock, when it is not known.
    pub(super) fn get_or(&self, text: &str, read: impl FnOnce() -> Agent) -> Arc<Agent> {
        let [any, ..] = self.hasher.hash_one(text).to_le_bytes();
        let shard = &self.shards[usize::from(any) % SHARDS];
        let lock = || shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = lock().get(text) {
            return agent;
        }
        let agent = Arc::new(read());
        lock().put(text.into(), Arc::clone(&agent));
        agent
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::visitor::Agent;

    use super::{Cache, ENTRY_BYTES, MAX_BYTES, MAX_ENTRIES, SHARDS};

    fn agent() -> Agent {
        Agent { os: "Linux".to_owned(), ..Agent::default() }
    }

    fn known() -> Agent {
        panic!("asked again for what was in use all the time")
    }

    /// Entries and bytes, old ones included.
    fn size(cache: &Cache) -> (usize, usize) {
        let sizes = cache.shards.iter().map(|shard| {
            let shard = shard.lock().unwrap();
            let entries = shard.young.iter().chain(shard.old.iter());
            let bytes = entries.map(|(text, agent)| ENTRY_BYTES + text.len() + agent.os.len());
            (shard.young.len() + shard.old.len(), bytes.sum::<usize>())
        });
        sizes.fold((0, 0), |sum, own| (sum.0 + own.0, sum.1 + own.1))
    }

    #[test]
    fn a_text_is_read_once() {
        let cache = Cache::default();
        let first = cache.get_or("a", agent);
        assert!(Arc::ptr_eq(&first, &cache.get_or("a", known)));
    }

    #[test]
    fn a_flood_of_short_ones_is_bounded_in_number_and_leaves_what_is_in_use() {
        let cache = Cache::default();
        cache.get_or("in use", agent);
        let most = 2 * SHARDS * MAX_ENTRIES;
        for number in 0..3 * most {
            cache.get_or(&number.to_string(), agent);
            if number % 500 == 0 {
                cache.get_or("in use", known);
            }
        }
        let (entries, bytes) = size(&cache);
        assert!((most / 4..=most).contains(&entries), "{entries}");
        assert!(bytes <= 2 * SHARDS * MAX_BYTES, "{bytes}");
    }

    #[test]
    fn a_flood_of_long_ones_is_bounded_in_bytes() {
        let cache = Cache::default();
        let most = 2 * SHARDS * MAX_BYTES;
        for number in 0..2 * most / 1_024 {
            cache.get_or(&format!("{number:01024}"), agent);
        }
        let (_, bytes) = size(&cache);
        assert!((most / 4..=most).contains(&bytes), "{bytes}");
    }
}
