//! What the hot path reads instead of the database: the catalog snapshot, the members who completed, what is taken of
//! caps and budgets, and the recent clicks of each link. Kept true by following the database, whichever process
//! changed it.

mod completed;
mod sketches;
mod tallies;
mod texts;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::cap::Exhausted;
use domain::catalog::Catalog;
use domain::click::{Click, Standing};
use domain::id::{ClickId, ConversionId, LinkId};
use domain::link::Link;
use domain::sketch::Recent;
use domain::time::Timestamp;
use uuid::Uuid;

pub use completed::Completed;
pub(crate) use sketches::SHARDS;
pub use sketches::Sketches;
pub use tallies::Tallies;
pub use texts::Texts;

use crate::{Db, EngineKind, Error, Tx, catalog, click, conversion, sketch, tally};

/// How often the database is looked at.
const PERIOD: Duration = Duration::from_millis(250);

/// Transactions may appear in another order than their times. Changes this far behind the newest one are read again.
const OVERLAP_MS: i64 = 250;

/// Those of other nodes may be later, up to this much. They are looked for at every so many looks, as far back as the
/// last time.
const LATE_MS: i64 = 3_000;
const LATE_EVERY: u64 = 12;
const LATE_OVERLAP_MS: i64 = 2 * LATE_MS;

/// Those who wait for the same tally may write it in another order than they came, and there are few tallies.
const TALLY_OVERLAP_MS: i64 = 60_000;

/// Rows read at once.
const PAGE: i64 = 10_000;

/// Saved sketches read at once, 4 KB each.
const SKETCHES: i64 = 1_000;

/// Clicks are followed at every twentieth look, every five seconds.
const CLICKS_EVERY: u64 = 20;

/// The newest clicks that sketches are made of.
const CLICKS: i64 = 20_000;
const CLICKS_AT_ONCE: i64 = 500;

/// The state that requests read.
#[derive(Debug, Default)]
pub struct Live {
    /// The newest catalog that this process has seen.
    pub catalog: ArcSwap<Catalog>,
    /// Members who completed.
    pub completed: Completed,
    /// What is taken of caps and budgets.
    pub tallies: Tallies,
    /// What each link's recent clicks looked like.
    pub sketches: Sketches,
    /// The texts that clicks share.
    pub texts: Texts,
}

/// What is known about one hit: of its offer and member from everything, of its link from the recent clicks.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Everything.
    pub live: &'a Live,
    /// The catalog that the hit is decided by.
    pub catalog: &'a Catalog,
    /// What the link's recent clicks say about this one, looked up once.
    pub recent: Recent,
}

impl Standing for Known<'_> {
    /// Every result is taken and none repeats.
    fn completed(&self, link: &Link, member: &str) -> bool {
        let (offer, partner) = (&link.offer, link.partner.id);
        let key = self.catalog.erase_keys.get(&offer.network.id);
        let pseudonym = key.map(|key| key.pseudonym(partner, member));
        let holds = |event, name: &str| self.live.completed.contains(offer.id, partner, event, name);
        offer.each_place(|event, repeats| {
            !repeats && (holds(event, member) || pseudonym.as_deref().is_some_and(|name| holds(event, name)))
        })
    }

    fn closed(&self, link: &Link, now: Timestamp) -> Option<Exhausted> {
        self.live.tallies.closed(&link.offer, now)
    }

    fn is_static(&self, _: &Link, _: &str) -> bool {
        self.recent.is_static
    }

    fn is_reused(&self, _: &Link, _: &str) -> bool {
        self.recent.is_reused
    }
}

/// Keeps a [`Live`] true.
pub struct Follower {
    db: Db,
    live: Arc<Live>,
    /// The newest conversion that changed.
    position: (Timestamp, ConversionId),
    /// The newest tally that changed.
    tallied: Timestamp,
    /// The newest click that a sketch has learnt.
    learnt: Option<ClickId>,
    looks: u64,
}

impl Follower {
    /// Loads everything once; requests can be served when this returns.
    pub async fn load(db: Db, live: Arc<Live>) -> Result<Self, Error> {
        let start = Timestamp::from_ms(i64::MIN);
        let position = (start, ConversionId(Uuid::nil()));
        let mut follower = Self { db, live, position, tallied: start, learnt: None, looks: 0 };
        follower.recall().await?;
        follower.live.texts.recall(&follower.db).await?;
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
        self.follow_places().await?;
        self.follow_tallies().await?;
        if self.looks.is_multiple_of(CLICKS_EVERY) {
            self.follow_clicks().await?;
        }
        // Last, because it may write, and nothing waits for it: until they are stored, clicks keep these texts.
        if let Err(error) = self.live.texts.follow(&self.db, &self.live.catalog.load_full()).await {
            tracing::debug!(%error, "cannot store texts that clicks share");
        }
        self.looks += 1;
        Ok(())
    }

    async fn follow_places(&mut self) -> Result<(), Error> {
        // Behind the newest change seen, so that a slower transaction is not passed over.
        let late = self.looks.is_multiple_of(LATE_EVERY);
        let overlap_ms = if late { LATE_OVERLAP_MS } else { OVERLAP_MS };
        let mut from = (self.position.0.plus_ms(-overlap_ms), ConversionId(Uuid::nil()));
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

    async fn follow_tallies(&mut self) -> Result<(), Error> {
        let mut after = self.tallied.plus_ms(-TALLY_OVERLAP_MS);
        loop {
            let page = self.db.read(move |tx| tally::since(tx, after, PAGE)).await?;
            for written in &page {
                self.live.tallies.set(written);
            }
            let Some(last) = page.last() else { return Ok(()) };
            self.tallied = self.tallied.max(last.changed);
            if i64::try_from(page.len()).unwrap_or(PAGE) < PAGE {
                return Ok(());
            }
            after = last.changed;
        }
    }

    /// Takes up what was saved of each link's clicks.
    async fn recall(&self) -> Result<(), Error> {
        let mut after = LinkId(Uuid::nil());
        loop {
            let page = self.db.read(move |tx| sketch::page(tx, after, SKETCHES)).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = *last;
            for (link, seen) in &page {
                self.live.sketches.recall(*link, seen);
            }
        }
    }

    /// Learns the newest clicks: all that is needed after a start, and later what other nodes recorded. A SQLite file
    /// has one server, which learns its own clicks when it records them.
    async fn follow_clicks(&mut self) -> Result<(), Error> {
        if self.learnt.is_some() && self.db.engine() == EngineKind::Sqlite {
            return Ok(());
        }
        // Learning a click twice changes nothing, so what other nodes recorded late is read again.
        let from = self.learnt.map_or(Timestamp::from_ms(0), |learnt| learnt.at().plus_ms(-LATE_MS));
        let newest = self.db.read(move |tx| newest_clicks(tx, from)).await?;
        for click in newest.iter().rev() {
            self.live.sketches.learn(click);
        }
        self.learnt = newest.first().map(|click| click.id).or(self.learnt).or(Some(ClickId(Uuid::nil())));
        Ok(())
    }
}

/// The newest clicks since `from`, newest first. A page at a time: for many at once PostgreSQL sorts them all.
fn newest_clicks(tx: &mut Tx<'_>, from: Timestamp) -> Result<Vec<Click>, Error> {
    let mut clicks: Vec<Click> = Vec::new();
    for _ in 0..CLICKS / CLICKS_AT_ONCE {
        let page = click::newest(tx, from, clicks.last().map(|click| click.id), CLICKS_AT_ONCE)?;
        let ended = page.is_empty();
        clicks.extend(page);
        if ended {
            break;
        }
    }
    Ok(clicks)
}
