//! Sums of counts: a report says the same whatever is summed up, whatever comes late and whatever is counted anew.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use testkit::{Engine, eventually, for_each_engine};

use crate::PITLANE;
use crate::report::{Planted, plant, report};
use crate::world::{AT_MOST, World};

/// Another partner on both offers.
const MORE: &str = r#"
[[partner]]
slug = "web"
[[link]]
offer = "flat"
partner = "web"
[[link]]
offer = "share"
partner = "web"
"#;

const LINKS: [&str; 4] = ["flat/app", "share/app", "flat/web", "share/web"];
const COUNTRIES: [&str; 3] = ["DE", "FR", ""];
const SYSTEMS: [&str; 2] = ["Android", "Windows"];
const HOUR_MS: u64 = 3_600_000;
/// 2026-10-23T20:00:00Z. On the 25th clocks go back in Berlin.
const START_MS: u64 = 1_792_785_600_000;
const HOURS: u64 = 52;

/// A click as the test knows it.
#[derive(Debug, Clone, Copy)]
struct Known {
    at_ms: u64,
    link: &'static str,
    country: &'static str,
    system: &'static str,
}

/// Clicks of the first of those hours.
fn clicks(random: &mut StdRng, count: usize, hours: u64) -> Vec<Known> {
    let mut click = || Known {
        at_ms: START_MS + random.random_range(0..hours * HOUR_MS),
        link: LINKS[random.random_range(0..LINKS.len())],
        country: COUNTRIES[random.random_range(0..COUNTRIES.len())],
        system: SYSTEMS[random.random_range(0..SYSTEMS.len())],
    };
    (0..count).map(|_| click()).collect()
}

fn record(world: &World<'_>, clicks: &[Known]) {
    let links: Vec<String> = LINKS.iter().map(|link| world.applied.id("link", link)).collect();
    let planted = clicks.iter().map(|click| Planted {
        link: &links[LINKS.iter().position(|link| *link == click.link).unwrap()],
        at_ms: click.at_ms,
        facts: match click.country {
            "" => json!({ "os": click.system }),
            country => json!({ "cc": country, "os": click.system }),
        },
    });
    plant(world.engine, &planted.collect::<Vec<_>>());
}

/// A question.
#[derive(Debug)]
struct Ask {
    zone: &'static str,
    by: Vec<&'static str>,
    partner: bool,
    only: Option<(&'static str, &'static str)>,
    days: [&'static str; 2],
}

impl Ask {
    fn any(random: &mut StdRng) -> Self {
        const BY: [&[&str]; 14] = [
            &[],
            &["day"],
            &["hour"],
            &["week"],
            &["offer"],
            &["partner"],
            &["link"],
            &["country"],
            &["country", "os"],
            &["day", "offer"],
            &["day", "country"],
            &["partner", "verdict"],
            &["offer", "os"],
            &["hour", "link"],
        ];
        let only =
            [None, None, Some(("country", "DE")), Some(("offer", "flat")), Some(("link", "share/web"))];
        let days = [["2026-10-24", "2026-10-25"], ["2026-10-23", "2026-10-26"], ["2026-10-25", "2026-10-25"]];
        Self {
            zone: ["UTC", "Europe/Berlin", "Asia/Kathmandu"][random.random_range(0..3)],
            by: BY[random.random_range(0..BY.len())].to_vec(),
            partner: random.random_range(0..3) == 0,
            only: only[random.random_range(0..only.len())],
            days: days[random.random_range(0..days.len())],
        }
    }

    /// What the product answers: the clicks by the values of the groups.
    fn answer(&self, engine: &Engine) -> BTreeMap<Vec<String>, i64> {
        let only = self.only.map(|(what, value)| format!("{what}={value}"));
        let mut args = vec!["--zone", self.zone, "--from", self.days[0], "--to", self.days[1]];
        args.extend(self.by.iter().flat_map(|by| ["--by", by]));
        args.extend(only.iter().flat_map(|only| ["--where", only]));
        args.extend(if self.partner { &["--partner", "app"][..] } else { &[] });
        let told = report(engine, &args);
        let line = |line: &Value| {
            let values = self.by.iter().map(|by| line[by].as_str().unwrap().to_owned()).collect();
            (values, line["clicks"]["unique"].as_i64().unwrap())
        };
        let lines = told["lines"].as_array().unwrap().iter().map(line);
        lines.filter(|(_, clicks)| *clicks > 0).collect()
    }

    /// What it must answer.
    fn truth(&self, clicks: &[Known]) -> BTreeMap<Vec<String>, i64> {
        let zone = TimeZone::get(self.zone).unwrap();
        let mut lines = BTreeMap::new();
        for click in clicks {
            let at = jiff::Timestamp::from_millisecond(click.at_ms.try_into().unwrap()).unwrap();
            let at = at.to_zoned(zone.clone());
            let day = at.date().to_string();
            let (offer, partner) = click.link.split_once('/').unwrap();
            let value = |what: &str| match what {
                "day" => day.clone(),
                "hour" => at.strftime("%Y-%m-%d %H:00%:z").to_string(),
                "week" => {
                    let behind = i64::from(at.weekday().to_monday_zero_offset());
                    at.date().checked_sub(jiff::Span::new().days(behind)).unwrap().to_string()
                }
                "offer" => offer.to_owned(),
                "partner" => partner.to_owned(),
                "link" => click.link.to_owned(),
                "country" => click.country.to_owned(),
                "os" => click.system.to_owned(),
                "verdict" => "ok".to_owned(),
                other => panic!("{other}"),
            };
            let asked = (self.days[0]..=self.days[1]).contains(&day.as_str())
                && (!self.partner || partner == "app")
                && self.only.is_none_or(|(what, only)| value(what) == only);
            if asked {
                *lines.entry(self.by.iter().map(|by| value(by)).collect()).or_default() += 1;
            }
        }
        lines
    }
}

/// Every quarter that is over is summed up, and everything is as it was recorded.
fn agrees(world: &World<'_>, clicks: &[Known], random: &mut StdRng, asks: usize) {
    let engine = world.engine;
    for _ in 0..asks {
        let ask = Ask::any(random);
        assert_eq!(ask.answer(engine), ask.truth(clicks), "{ask:?}");
    }
    let last_ms = START_MS + HOURS * HOUR_MS;
    let waiting = format!("count_quarter where summed = 0 and start_ms < {last_ms}");
    assert_eq!(world.count(&waiting), 0);
    assert!(world.count("click_sum where span_ms = 86400000") > 0);
    let audit = PITLANE.run_on(engine, &["audit"]);
    assert_eq!(audit.code, Some(0), "{audit:?}");
}

#[test]
fn reports_say_what_was_recorded_whatever_is_summed_up() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let mut random = StdRng::seed_from_u64(15);
        let mut all = clicks(&mut random, 200, HOURS);
        record(&world, &all);
        agrees(&world, &all, &mut random, 8);
        // Late ones go to the counts and to the sums; a quarter that had none waits for its sum.
        for _ in 0..2 {
            let late = clicks(&mut random, 40, HOURS);
            record(&world, &late);
            all.extend(late);
            agrees(&world, &all, &mut random, 8);
        }
        let day = ["audit", "--rebuild", "--from", "2026-10-24", "--to", "2026-10-25"];
        PITLANE.run_on(engine, &day).ok();
        agrees(&world, &all, &mut random, 8);
        world.stop();
    });
}

#[test]
fn a_status_that_changes_later_is_in_the_sums_of_its_day() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let clicks = ["m1", "m2", "m3", "m4"].map(|member| world.click("flat", member));
        for click in &clicks {
            assert_eq!(world.report(&format!("gk_click_id={click}")).code(), "recorded");
        }
        let counted = || world.count("conversion_change where counted = 0") == 0;
        eventually("everything is counted", AT_MOST, counted);
        // All of it was two days ago.
        engine.execute("update conversion set received_ms = received_ms - 172800000");
        engine.execute("update conversion_count set start_ms = start_ms - 172800000");
        engine.execute(
            "insert into count_quarter (network_id, start_ms, changes, summed)
             select distinct network_id, start_ms, 0, 0 from conversion_count",
        );
        let money = |args: &[&str]| -> Vec<String> {
            let told = report(engine, args);
            let money = told["total"]["money"].as_array().unwrap().iter();
            money.map(|sum| format!("{} {} {}", sum["success"], sum["rejected"], sum["payout"])).collect()
        };
        let asked: [&[&str]; 5] = [
            &["--by", "day"],
            &["--by", "offer", "--zone", "Asia/Kathmandu"],
            &["--by", "partner"],
            &["--by", "link", "--partner", "app"],
            &["--by", "event"],
        ];
        let all = |expected: &str| {
            for args in asked {
                assert_eq!(money(args), [expected], "{args:?}");
            }
            assert_eq!(PITLANE.run_on(engine, &["audit"]).code, Some(0));
        };
        all("4 0 \"4.80\"");
        assert_eq!(
            world.count(
                "count_quarter where summed = 0 and start_ms in (select start_ms from conversion_count)"
            ),
            0
        );
        assert_eq!(world.report(&format!("gk_click_id={}&cnv_status=3", clicks[0])).code(), "updated");
        all("3 1 \"3.60\"");
        assert_eq!(world.report(&format!("gk_click_id={}&cnv_status=3", clicks[1])).code(), "updated");
        PITLANE.run_on(engine, &["audit", "--rebuild"]).ok();
        all("2 2 \"2.40\"");
        world.stop();
    });
}

#[test]
fn a_sum_that_differs_is_found_and_mended() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let mut random = StdRng::seed_from_u64(16);
        let all = clicks(&mut random, 30, 3);
        record(&world, &all);
        agrees(&world, &all, &mut random, 1);
        for damage in [
            "update click_sum set hits = hits + 1 where span_ms = 86400000",
            "update click_sum set counted = counted - 1 where by_visitor = 1",
            "delete from click_sum where span_ms = 900000",
            "update count_quarter set summed = 0",
            "update click_count set hits = hits + 1",
            "delete from click_count",
        ] {
            engine.execute(damage);
            if !damage.contains("count_quarter") {
                assert_eq!(PITLANE.run_on(engine, &["audit"]).code, Some(1), "{damage}");
            }
            let mended = PITLANE.run_on(engine, &["audit", "--rebuild"]);
            assert_eq!(mended.code, Some(0), "{damage}: {mended:?}");
            agrees(&world, &all, &mut random, 1);
        }
        world.stop();
    });
}
