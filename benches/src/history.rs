//! A month of clicks, decided by the product's rules and written by its store, so that reports have days to show. The
//! load cannot do this: what comes over HTTP comes now.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use domain::catalog::Catalog;
use domain::click::{self, Click, Hit, Marks};
use domain::id::{ClickId, LinkId};
use domain::sketch::Sketch;
use domain::time::{DAY_MS, Timestamp};
use domain::visit::Visit;
use domain::visitor::{Agent, Device, Visitor, Whereabouts};
use store::live::Texts;
use store::standing::Recorded;
use store::{Db, Options, Target};
use uuid::{NoContext, Uuid};

use crate::failure::{During as _, Result};
use crate::record::Record;
use crate::statistic::float;
use crate::visit::{Chance, Mix};

/// Days before today that have clicks.
pub(crate) const DAYS: i64 = 29;
const SLICE: u64 = 5_000;
const COUNTRIES: [&str; 8] = ["DE", "DE", "DE", "AT", "CH", "US", "FR", "PL"];
const AGENTS: [(Device, &str, &str); 4] = [
    (Device::Android, "Android", "Chrome Mobile"),
    (Device::Android, "Android", "Chrome Mobile"),
    (Device::Ios, "iOS", "Mobile Safari"),
    (Device::Browser, "Windows", "Firefox"),
];

/// The time now.
#[expect(clippy::disallowed_methods, reason = "the harness has no ambient of the product's")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Writes so many clicks, evenly over the days before today, in the order of their times.
pub(crate) async fn write(record: &Record, mix: Mix, clicks: u64) -> Result<()> {
    let target = match record {
        Record::Sqlite(dir) => Target::Sqlite { dir: dir.clone() },
        Record::Postgres(url) => Target::Postgres { url: url.clone() },
    };
    let options = Options::default();
    let db = Db::open(&target, &options, store::schema::MIGRATIONS, &store::click::LOG)
        .during("open the store")?;
    let catalog = db.read(store::catalog::load).await.during("read the catalog")?;
    let texts = Texts::default();
    let past = Arc::new(Past { mix, catalog, texts, from: now().plus_ms(-DAYS * DAY_MS), clicks });
    let mut from = 0;
    while from < clicks {
        past.texts.follow(&db, &past.catalog).await.during("store what clicks share")?;
        let (own, to) = (Arc::clone(&past), clicks.min(from + SLICE));
        let slice = move |tx: &mut store::Tx<'_>| {
            let clicks: Vec<Click> = (from..to).filter_map(|number| own.click(number)).collect();
            store::click::append_many(tx, &own.texts, &clicks)
        };
        db.write(slice).await.during("write history")?;
        from = to;
    }
    db.close().await;
    Ok(())
}

/// A past to be written.
struct Past {
    mix: Mix,
    catalog: Catalog,
    texts: Texts,
    from: Timestamp,
    clicks: u64,
}

impl Past {
    /// The `number`-th click of all.
    fn click(&self, number: u64) -> Option<Click> {
        #[allow(clippy::cast_possible_truncation, reason = "milliseconds of a month")]
        let since_ms = (float(number) / float(self.clicks) * float((DAYS * DAY_MS).unsigned_abs())) as i64;
        let at = self.from.plus_ms(since_ms);
        let request = self.mix.request("past", usize::try_from(number).ok()?);
        let (path, rest) = request.split_once('?')?;
        let link: LinkId = path.rsplit('/').next()?.parse().ok()?;
        let link = self.catalog.links.get(&link)?;
        let visit = Visit::read(rest.split_once(' ')?.0);
        let mut chance = Chance(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let country = COUNTRIES.get(chance.below(COUNTRIES.len())).and_then(|code| code.parse().ok());
        let (device, os, browser) = AGENTS.get(chance.below(AGENTS.len())).copied()?;
        let agent =
            Agent { device: Some(device), os: os.to_owned(), browser: browser.to_owned(), bot: false };
        let visitor = Visitor {
            visit: &visit,
            address: IpAddr::V4(Ipv4Addr::new(198, 51, 100, u8::try_from(chance.below(250)).ok()?)),
            whereabouts: &Whereabouts { country, region: None },
            agent: &agent,
            languages: "de",
            now: at,
            trusts_partner: false,
        };
        let nothing =
            Recorded { completed: false, closed: None, taken: Vec::new(), sketch: Sketch::default() };
        let decision = click::decide(link, &visitor, &nothing, &mut ());
        let ms = at.ms().unsigned_abs();
        let nanos = u32::try_from(ms % 1_000 * 1_000_000).ok()?;
        let id = ClickId(Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, ms / 1_000, nanos)));
        let hit =
            Hit { id, link, visitor: &visitor, user_agent: browser, random: number, marks: Marks::default() };
        Some(hit.decided(decision))
    }
}
