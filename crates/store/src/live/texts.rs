//! Texts that many clicks share, in memory: those that are known to be stored, so that a click may name them, and those
//! that may become so.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use domain::catalog::Catalog;
use domain::click::{Click, Marks, Packed, Shared, Skeleton};
use domain::id::LinkId;
use domain::link::Link;

use crate::text::{Keyed, keep, recent_agents};
use crate::{Db, Error};

/// User agents that a process knows, and as many skeletons.
const MAX: usize = 10_000;

/// Members from whom the same user agent must come before it is stored beside its clicks. A rare one may tell who
/// somebody is; it stands in its click alone, and goes with it.
const MEMBERS: usize = 8;

/// User agents that wait for more members.
const STRANGERS: usize = 4_096;

/// Newest clicks whose user agents are known at a start.
const RECENT: i64 = 20_000;

/// The texts that clicks share. A click takes no lock, unless its user agent is not known.
#[derive(Debug, Default)]
pub struct Texts {
    agents: ArcSwap<HashMap<Arc<str>, i64>>,
    skeletons: ArcSwap<Skeletons>,
    strangers: Mutex<Strangers>,
}

/// What the destinations of each link's clicks follow from.
#[derive(Debug, Default)]
struct Skeletons {
    /// The state of the catalog that they are made of.
    version: i64,
    links: HashMap<LinkId, OfLink>,
}

type Stored = Option<(i64, Arc<Skeleton>)>;

#[derive(Debug)]
struct OfLink {
    sent_on: Stored,
    fell_back: Stored,
}

/// User agents that are stored in clicks only.
#[derive(Debug, Default)]
struct Strangers {
    hasher: RandomState,
    /// The members of each, as hashes.
    met: HashMap<Arc<str>, Vec<u64>>,
    /// Those with enough members.
    common: Vec<Arc<str>>,
}

impl Texts {
    /// The facts of a click as they are stored, with the texts left out that are stored beside it.
    pub(crate) fn pack(&self, click: &Click) -> Packed {
        let (agent, skeletons) = (click.facts.user_agent.as_str(), self.skeletons.load());
        let known = self.agents.load().get(agent).copied();
        if known.is_none() && !agent.is_empty() {
            self.strangers().meet(agent, click.pub_member_id.as_deref());
        }
        let of_link = skeletons.links.get(&click.link);
        let skeleton = of_link.and_then(|of| {
            if click.marks.has(Marks::FELL_BACK) { of.fell_back.as_ref() } else { of.sent_on.as_ref() }
        });
        click.pack(Shared { agent: known, skeleton: skeleton.map(|(key, skeleton)| (*key, &**skeleton)) })
    }

    /// Knows the user agents of the newest clicks.
    pub(super) async fn recall(&self, db: &Db) -> Result<(), Error> {
        let limit = i64::try_from(MAX).unwrap_or(i64::MAX);
        let recent = db.read(move |tx| recent_agents(tx, RECENT, limit)).await?;
        self.know(recent);
        Ok(())
    }

    /// Stores the texts that have become common, and the skeletons of a catalog that is new; clicks name them from
    /// then on.
    pub async fn follow(&self, db: &Db, catalog: &Catalog) -> Result<(), Error> {
        if self.skeletons.load().version != catalog.version {
            let skeletons = skeletons(db, catalog).await?;
            self.skeletons.store(Arc::new(skeletons));
        }
        let common = self.strangers().common.clone();
        if !common.is_empty() {
            let count = common.len();
            let kept = keep(db, common).await?;
            self.know(kept);
            self.strangers().forget(count);
        }
        Ok(())
    }

    /// With too many, all are forgotten: those that still come are soon known again.
    fn know(&self, new: Vec<Keyed>) {
        let known = self.agents.load();
        let room = known.len() + new.len() <= MAX;
        let mut agents = if room { HashMap::clone(&known) } else { HashMap::default() };
        agents.extend(new.into_iter().take(MAX));
        self.agents.store(Arc::new(agents));
    }

    fn strangers(&self) -> MutexGuard<'_, Strangers> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Strangers {
    fn meet(&mut self, agent: &str, member: Option<&str>) {
        let Some(member) = member.map(|member| self.hasher.hash_one(member)) else { return };
        let Some(met) = self.met.get_mut(agent) else {
            if self.met.len() >= STRANGERS {
                self.met.clear();
            }
            self.met.insert(agent.into(), vec![member]);
            return;
        };
        if met.len() >= MEMBERS || met.contains(&member) {
            return;
        }
        met.push(member);
        if met.len() >= MEMBERS && self.common.len() < STRANGERS {
            self.common.push(agent.into());
        }
    }

    /// The first of those that were common are stored, or cannot be.
    fn forget(&mut self, count: usize) {
        for agent in self.common.drain(..count) {
            self.met.remove(&agent);
        }
    }
}

/// The skeletons of a catalog's links, stored. Of too many, some are left out.
async fn skeletons(db: &Db, catalog: &Catalog) -> Result<Skeletons, Error> {
    let mut texts = HashSet::new();
    let mut links = Vec::with_capacity(catalog.links.len());
    for link in catalog.links.values() {
        let own = of_link(link);
        for skeleton in own.iter().flatten() {
            if texts.len() < MAX {
                texts.insert(Arc::<str>::from(skeleton.text()));
            }
        }
        links.push((link.id, own));
    }
    let kept: HashMap<Arc<str>, i64> = keep(db, texts.into_iter().collect()).await?.into_iter().collect();
    let mut shared = HashMap::<i64, Arc<Skeleton>>::new();
    let mut stored = |own: Option<Skeleton>| -> Stored {
        let own = own?;
        let key = *kept.get(own.text())?;
        Some((key, Arc::clone(shared.entry(key).or_insert_with(|| Arc::new(own)))))
    };
    let mut of = |[sent_on, fell_back]: [Option<Skeleton>; 2]| OfLink {
        sent_on: stored(sent_on),
        fell_back: stored(fell_back),
    };
    let links = links.into_iter().map(|(id, own)| (id, of(own))).collect();
    Ok(Skeletons { version: catalog.version, links })
}

fn of_link(link: &Link) -> [Option<Skeleton>; 2] {
    [Skeleton::of(link), Skeleton::of_fallback(link)]
}
