//! The past of the demo: weeks of traffic, decided by the rules and written by the code that serve real
//! traffic. Only the clock differs.

use std::sync::Arc;

use domain::ambient::Ambient;
use domain::catalog::Catalog;
use domain::click::{self, Click, Hit, Marks};
use domain::id::{ClickId, NetworkId};
use domain::sketch::Sketch;
use domain::time::{DAY_MS, HOUR_MS, Timestamp};
use domain::visit::{Param, Visit};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use store::live::Texts;
use store::{Db, Error, Tx, conversion};

use super::campaign::{Campaign, rhythm};
use super::report::Outbox;
use super::visitor::{Crowd, Visitor};
use crate::clock;

/// How much of the past is written at once: some hundred clicks.
const SLICE_MS: i64 = 6 * HOUR_MS;

/// The network whose past is written.
pub(super) struct Setting {
    pub(super) campaigns: Vec<Campaign>,
    pub(super) catalog: Catalog,
    pub(super) network: NetworkId,
    /// Who visitors are.
    pub(super) visitors: Arc<visitor::Lookup>,
    /// The advertiser's postback token.
    pub(super) token: String,
}

/// What was written.
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    pub(super) clicks: u64,
    pub(super) reports: u64,
    /// The newest click that led to a conversion which pays, with its member.
    pub(super) example: Option<(ClickId, String)>,
}

/// The history as far as it is written. A copy of it is carried through a write, which may run again.
#[derive(Clone)]
struct Pen {
    rng: SmallRng,
    outbox: Outbox,
    past: Past,
    /// The day on which a partner's tracker forgets to fill in the member.
    accident: i64,
    texts: Arc<Texts>,
}

/// Writes `days` days of history up to `now`.
pub(super) async fn write(
    db: &Db,
    setting: Setting,
    seed: u64,
    days: i64,
    now: Timestamp,
) -> Result<Past, Error> {
    let (setting, texts) = (Arc::new(setting), Arc::new(Texts::default()));
    let mut pen = Pen {
        rng: SmallRng::seed_from_u64(seed),
        outbox: Outbox::default(),
        past: Past::default(),
        accident: day(now) - 9,
        texts: Arc::clone(&texts),
    };
    let mut from = now.plus_ms(-days * DAY_MS);
    while from < now {
        let to = from.plus_ms(SLICE_MS).min(now);
        texts.follow(db, &setting.catalog).await?;
        let (before, own) = (pen, Arc::clone(&setting));
        pen = db
            .write(move |tx| {
                let mut pen = before.clone();
                pen.slice(tx, &own, from, to).map(|()| pen)
            })
            .await?;
        from = to;
    }
    Ok(pen.past)
}

fn day(at: Timestamp) -> i64 {
    at.ms().div_euclid(DAY_MS)
}

impl Pen {
    /// Writes what happened in a slice of time, in its order.
    fn slice(
        &mut self,
        tx: &mut Tx<'_>,
        setting: &Setting,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<(), Error> {
        let mut waiting = Vec::new();
        for (at, campaign) in self.visits(setting, from, to) {
            self.report_until(tx, setting, at, &mut waiting)?;
            let click = self.visit(tx, setting, campaign, at)?;
            if click.verdict.sends_on() {
                self.outbox.plan(&mut self.rng, campaign, &click);
            }
            waiting.push(click);
        }
        self.report_until(tx, setting, to, &mut waiting)?;
        self.append(tx, &mut waiting)
    }

    fn append(&mut self, tx: &mut Tx<'_>, waiting: &mut Vec<Click>) -> Result<(), Error> {
        store::click::append_many(tx, &self.texts, waiting)?;
        self.past.clicks += waiting.len() as u64;
        waiting.clear();
        Ok(())
    }

    /// Receives what advertisers report before `until`; the clicks that wait are written first, as they were.
    fn report_until(
        &mut self,
        tx: &mut Tx<'_>,
        setting: &Setting,
        until: Timestamp,
        waiting: &mut Vec<Click>,
    ) -> Result<(), Error> {
        while let Some((at, report)) = self.outbox.due(until) {
            self.append(tx, waiting)?;
            self.past.reports += 1;
            if report.send(tx, setting, at)? && report.crowd == Crowd::PocketPoints {
                self.past.example = Some((report.click, report.member));
            }
        }
        Ok(())
    }

    /// Who comes when, in order.
    fn visits<'s>(
        &mut self,
        setting: &'s Setting,
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<(Timestamp, &'s Campaign)> {
        let mut visits = Vec::new();
        let mut hour = from;
        while hour < to {
            let length_ms = (to.ms() - hour.ms()).min(HOUR_MS);
            for campaign in &setting.campaigns {
                #[allow(clippy::cast_precision_loss, reason = "at most an hour")]
                let expected = campaign.per_day * rhythm(hour) * length_ms as f64 / DAY_MS as f64;
                for _ in 0..self.count(expected) {
                    visits.push((hour.plus_ms(self.rng.random_range(0..length_ms)), campaign));
                }
            }
            hour = hour.plus_ms(length_ms);
        }
        visits.sort_by_key(|(at, _)| *at);
        visits
    }

    /// A whole number around `expected`.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and not negative")]
    fn count(&mut self, expected: f64) -> u32 {
        (expected * self.rng.random_range(0.7..1.3) + self.rng.random::<f64>()) as u32
    }

    /// One hit, as the server takes it.
    fn visit(
        &mut self,
        tx: &mut Tx<'_>,
        setting: &Setting,
        campaign: &Campaign,
        at: Timestamp,
    ) -> Result<Click, Error> {
        let visitor = campaign.crowd.somebody(&mut self.rng);
        let query = self.query(campaign.crowd, &visitor, at);
        let (visit, link) = (Visit::read(&query), &campaign.link);
        let member = visit.given(Param::MemberId).unwrap_or_default();
        let standing = store::standing::Recorded {
            completed: conversion::member_completed(tx, link, member, at)?,
            // The demo's offers have room, and its partners' mistakes are others.
            closed: None,
            taken: Vec::new(),
            sketch: Sketch::default(),
        };
        let address = visitor.address;
        let agent = setting.visitors.agent(visitor.user_agent);
        let seen = domain::visitor::Visitor {
            visit: &visit,
            address,
            whereabouts: &setting.visitors.whereabouts(address),
            agent: &agent,
            languages: "",
            now: at,
            trusts_partner: link.offer.rules.trusts_partner_place,
        };
        let decision = click::decide(link, &seen, &standing, &mut ());
        let hit = Hit {
            id: ClickId(past().new_id(at)),
            link,
            visitor: &seen,
            user_agent: visitor.user_agent,
            random: self.rng.random(),
            marks: Marks::default(),
        };
        Ok(hit.decided(decision))
    }

    /// The parameters of a hit; now and then with one of the mistakes that real trackers make.
    fn query(&mut self, crowd: Crowd, visitor: &Visitor, at: Timestamp) -> String {
        let Visitor { member, parameters, .. } = visitor;
        let click = crowd.click_id(&mut self.rng);
        let accident = crowd == Crowd::DailyQuests && day(at) == self.accident;
        match self.rng.random_range(0..1_000) {
            0..250 if accident => format!("pub_click_id={click}&pub_member_id={{user_id}}{parameters}"),
            0..4 => format!("pub_click_id={click}&pub_member_id={parameters}"),
            4..7 => format!("pub_click_id={{click_id}}&pub_member_id={member}{parameters}"),
            7..9 => format!("pub_click_id={click}&pub_member_id={member}{parameters}&pub_sub_3=50%"),
            _ => format!("pub_click_id={click}&pub_member_id={member}{parameters}"),
        }
    }
}

/// The clock and ids of the past.
pub(super) fn past() -> Ambient {
    clock::past()
}

#[cfg(test)]
mod tests {
    use domain::time::Timestamp;
    use store::{Db, Options, Target};

    use super::{Past, write};
    use crate::demo::{NETWORK, Setting, declare};
    use crate::serve;

    /// Two days of history in a database of its own.
    fn past(seed: u64) -> (Past, Vec<String>) {
        let name = format!("pitlane-history-{seed}-{}", uuid::Uuid::new_v4());
        let dir = std::env::temp_dir().join(name);
        let now: Timestamp = "2026-11-22T20:30:00Z".parse().unwrap();
        let written = serve::runtime(1).unwrap().block_on(async {
            let target = Target::Sqlite { dir: dir.clone() };
            let db = Db::open(&target, &Options::default(), store::schema::MIGRATIONS, &store::click::LOG)
                .unwrap();
            let declared = declare::apply(&db, NETWORK, "network.toml", "http://any.example").await.unwrap();
            let catalog = db.read(store::catalog::load).await.unwrap();
            let visitors = ::visitor::Lookup::load(::visitor::Sources::default()).unwrap().into();
            let setting = Setting::new(catalog, &declared, visitors).unwrap();
            let past = write(&db, setting, seed, 2, now).await.unwrap();
            let member = past.example.clone().unwrap().1;
            let clicks = db.read(move |tx| store::click::by_pub_member_id(tx, &member, 100)).await.unwrap();
            let shown = clicks.into_iter().map(|click| {
                format!(
                    "{} {} {:?} {}",
                    click.id.at(),
                    click.verdict,
                    click.pub_click_id,
                    click.facts.user_agent
                )
            });
            let shown = shown.collect();
            db.close().await;
            (past, shown)
        });
        std::fs::remove_dir_all(dir).unwrap();
        written
    }

    #[test]
    fn a_seed_always_gives_the_same_history_and_another_one_another() {
        let ((first, clicks), (same, same_clicks), (other, other_clicks)) = (past(1), past(1), past(2));
        assert_eq!((first.clicks, first.reports), (same.clicks, same.reports));
        assert_eq!(clicks, same_clicks);
        assert!(first.clicks > 1_000 && first.reports > 50, "{first:?}");
        assert_ne!((first.clicks, clicks), (other.clicks, other_clicks));
    }
}
