//! What is removed when it is old, and what stays.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use domain::click::Facts;
use testkit::{Engine, eventually, for_each_engine, http};

use crate::stored::COLUMNS;
use crate::world::{AT_MOST, World, conversion_id};
use crate::{PITLANE, stored};

const DAY_MS: i64 = 86_400_000;

/// Beside the fixture: an offer whose clicks may convert for no longer than a day.
const MORE: &str = r#"
[[offer]]
slug = "short"
advertiser = "shop"
destination = "https://shop.example/short?click={gk_click_id}&ip={ip}"
revenue = "1"
payout = "0.50"
attribution_window = "1d"
[[link]]
offer = "short"
partner = "app"
"#;

/// How long what is kept here.
const KEEP: [&str; 8] = [
    "--retention-clicks-days",
    "100",
    "--retention-addresses-days",
    "30",
    "--retention-inbound-days",
    "60",
    "--retention-deliveries-days",
    "50",
];

/// Nothing is removed while the past is made.
const FOR_EVER: [&str; 8] = [
    "--retention-clicks-days",
    "0",
    "--retention-addresses-days",
    "0",
    "--retention-inbound-days",
    "0",
    "--retention-deliveries-days",
    "0",
];

/// An id of the same kind with another time in it, in hex.
fn moved(id: &str, days: i64) -> String {
    let hex = id.replace('-', "");
    let ms = i64::from_str_radix(&hex[..12], 16).expect("a UUID v7") - days * DAY_MS;
    format!("{ms:012x}{}", &hex[12..])
}

/// An id in hex as it is written.
fn hyphened(hex: &str) -> String {
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

impl World<'_> {
    /// Bytes as a literal of the engine's SQL.
    fn literal(&self, hex: &str) -> String {
        match self.engine {
            Engine::Sqlite(_) => format!("x'{hex}'"),
            Engine::Postgres { .. } => format!("'\\x{hex}'::bytea"),
        }
    }

    /// Makes everything that there is of a click as old as this.
    fn age(&self, click: &str, days: i64) {
        let (old, new) = (self.engine.id(click), self.literal(&moved(click, days)));
        let by_ms = days * DAY_MS;
        for (table, key) in
            [("delivery", "delivery_id"), ("conversion", "conversion_id"), ("inbound", "inbound_id")]
        {
            let of_click = match table {
                "delivery" => {
                    format!("conversion_id in (select conversion_id from conversion where click_id = {old})")
                }
                _ => format!("click_id = {old}"),
            };
            let hexes = self.engine.sql(&format!("select {key} from {table} where {of_click}"));
            for row in hexes {
                let (from, to) = (self.literal(&row[0]), self.literal(&moved(&row[0], days)));
                let time = if table == "delivery" { "finished_ms" } else { "received_ms" };
                self.engine
                    .execute(&format!("update {table} set {time} = {time} - {by_ms} where {key} = {from}"));
                let known: &[&str] = match table {
                    "delivery" => &["delivery_attempt"],
                    "conversion" => &["delivery", "conversion_change", "inbound"],
                    _ => &[],
                };
                for other in known.iter().chain(&[table]) {
                    self.engine.execute(&format!("update {other} set {key} = {to} where {key} = {from}"));
                }
            }
        }
        for table in ["conversion", "inbound", "click"] {
            self.engine.execute(&format!("update {table} set click_id = {new} where click_id = {old}"));
        }
    }

    /// What a click carries; none when it is gone.
    fn facts(&self, click: &str) -> Option<Facts> {
        let found = stored::clicks(self.engine, &format!("where k.click_id = {}", self.literal(click)));
        found.into_iter().next().map(|click| click.facts)
    }

    /// What must never change: everything that is counted and paid.
    fn totals(&self) -> Vec<Vec<Vec<String>>> {
        let each = [
            "select status, count(*), sum(revenue_micros), sum(payout_micros), sum(holds_place) from conversion \
             group by status order by status",
            "select verdict, sum(hits), sum(counted) from click_count group by verdict order by verdict",
            "select status, sum(conversions), sum(revenue_micros), sum(payout_micros) from conversion_count \
             group by status order by status",
            "select count(*) from conversion_change",
        ];
        each.map(|query| self.engine.sql(query)).into()
    }
}

/// Whether a click still tells whose it was; it tells all of it or nothing.
fn tells_who(facts: &Facts) -> bool {
    let told = facts.address.is_some();
    assert_eq!(!facts.destination.is_empty(), told, "{facts:?}");
    assert!(told || facts.user_agent.is_empty(), "{facts:?}");
    told
}

/// Restarts the server with these settings, and waits until retention has run.
fn retain<'e>(world: World<'e>, flags: &[&str]) -> World<'e> {
    let engine = world.engine;
    let due = "update job set due_ms = 0, succeeded_ms = 1 where name = 'retention'";
    let world = world.restart_with(flags, || engine.execute(due));
    eventually("retention has run", AT_MOST, || {
        let ran = "name = 'retention' and succeeded_ms > 1 and due_ms > succeeded_ms + 60000";
        engine.count(&format!("select count(*) from job where {ran}")) == 1
    });
    world
}

#[test]
fn exactly_what_is_older_goes_and_totals_stay() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &FOR_EVER);
        let converted = |member: &str| {
            let click = world.click("flat", member);
            let answer = world
                .report(&format!("gk_click_id={click}&cnv_conversion_ip_address=203.0.113.9&cnv_sub_1=s"));
            (click, conversion_id(&answer))
        };
        let ages = [29, 31, 49, 51, 59, 61, 99, 101];
        let clicks: Vec<(i64, String)> =
            ages.iter().map(|age| (*age, world.click("flat", &format!("c{age}")))).collect();
        let pairs: Vec<(i64, String)> =
            ages.iter().map(|age| (*age, converted(&format!("k{age}")).0)).collect();
        world.received();
        eventually("everything is counted", AT_MOST, || {
            world.count("click_arrival") == 0 && world.count("conversion_change where counted = 0") == 0
        });
        for (age, click) in clicks.iter().chain(&pairs) {
            world.age(click, *age);
        }
        PITLANE.run_on(engine, &["audit", "--rebuild"]).ok();
        let before = world.totals();
        let world = retain(world, &KEEP);
        assert_eq!(world.totals(), before);
        for (age, click) in &clicks {
            let facts = world.facts(&moved(click, *age));
            assert_eq!(facts.is_none(), *age > 100, "a click of {age} days: {facts:?}");
            assert!(facts.is_none_or(|facts| tells_who(&facts) == (*age < 30)), "{age} days");
        }
        for (age, click) in &pairs {
            let id = world.literal(&moved(click, *age));
            let facts = world.facts(&moved(click, *age));
            let facts = facts.expect("a click whose conversion stays");
            assert_eq!(tells_who(&facts), *age < 30, "{age} days: {facts:?}");
            let own = |query: &str| world.engine.count(&format!("select count(*) from {query} {id}"));
            let kept = own("conversion where address <> '' and kept like '%203.0.113.9%' and click_id =");
            assert_eq!(kept, i64::from(*age < 30), "{age} days");
            assert_eq!(own("conversion where kept like '%cnv_sub_1%' and click_id ="), 1);
            assert_eq!(own("inbound where click_id ="), i64::from(*age < 60), "{age} days");
            let deliveries =
                "delivery d join conversion c on c.conversion_id = d.conversion_id where c.click_id =";
            assert_eq!(own(deliveries), i64::from(*age < 50), "{age} days");
            let attempts = "delivery_attempt a join delivery d on d.delivery_id = a.delivery_id \
                            join conversion c on c.conversion_id = d.conversion_id where c.click_id =";
            assert_eq!(own(attempts), i64::from(*age < 50), "{age} days");
        }
        let orphans = "delivery_attempt where delivery_id not in (select delivery_id from delivery)";
        assert_eq!(world.count(orphans), 0);
        // A second run finds nothing.
        let content = kept(engine);
        let world = retain(world, &KEEP);
        assert_eq!(kept(engine), content);
        world.stop();
        PITLANE.run_on(engine, &["audit"]).ok();
        // Asked for, what is gone is said to be gone.
        let (age, gone) = clicks.last().unwrap();
        let why = PITLANE.run_on(engine, &["why", &hyphened(&moved(gone, *age))]);
        assert_eq!(why.code, Some(1));
        assert!(
            why.stderr.contains("clicks from before") && why.stderr.contains("removed by retention on 20"),
            "{why:?}"
        );
    });
}

/// Everything but what jobs and their borders write.
fn kept(engine: &Engine) -> Vec<String> {
    let moving = ["job: ", "retention: ", "sketch: "];
    let stays = |line: &String| !moving.iter().any(|table| line.starts_with(table));
    engine.content().into_iter().filter(stays).collect()
}

#[test]
fn a_click_that_may_still_convert_stays_and_a_member_who_completed_is_known_for_ever() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &FOR_EVER);
        // The fixture's other offers attribute for 30 days.
        let (within, beyond) = (world.click("flat", "m1"), world.click("flat", "m2"));
        let done = world.click("flat", "m3");
        let winner = conversion_id(&world.report(&format!("gk_click_id={done}&cnv_conversion_id=o-1")));
        world.received();
        eventually("everything is counted", AT_MOST, || world.count("click_arrival") == 0);
        world.age(&within, 20);
        world.age(&beyond, 40);
        world.age(&done, 500);
        let world = retain(world, &["--retention-clicks-days", "1", "--retention-deliveries-days", "1"]);
        assert_eq!(world.count("click"), 2);
        let id = hyphened(&moved(&within, 20));
        assert_eq!(world.report(&format!("gk_click_id={id}")).code(), "recorded");
        // The old result still holds its place and its key.
        let hex = moved(&winner, 500);
        let again = world.visit("flat/app", "pub_click_id=c9&pub_member_id=m3");
        assert_eq!(again.header("x-click-verdict"), "member_already_completed");
        assert_eq!(world.count(&format!("conversion where conversion_id = {}", world.literal(&hex))), 1);
        world.stop();
    });
}

/// Ends the senders, also when something else fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn thousands_are_removed_while_clicks_come_and_all_of_those_stay() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &FOR_EVER);
        let click = world.click("flat", "m1");
        eventually("it is counted", AT_MOST, || world.count("click_arrival") == 0);
        let old = moved(&click, 200);
        let prefix = &old[..24];
        // 6,000 copies of one old click, more than a few steps.
        let copies = match engine {
            Engine::Sqlite(_) => format!(
                "with recursive n (i) as (select 0 union all select i + 1 from n where i < 5999) \
                 insert into click (click_id, {COLUMNS}) \
                 select unhex('{prefix}' || printf('%08x', i)), {COLUMNS} from click, n"
            ),
            Engine::Postgres { .. } => format!(
                "insert into click (click_id, {COLUMNS}) \
                 select decode('{prefix}' || lpad(to_hex(i), 8, '0'), 'hex'), {COLUMNS} \
                 from click, generate_series(0, 5999) i"
            ),
        };
        engine.execute(&copies);
        assert_eq!(world.count("click"), 6_001);
        // By what they are found: a line and a list of old clicks alone, and a list with a younger one.
        let (old, young) = (world.literal(&format!("{prefix}00000000")), engine.id(&click));
        let line = "insert into click_key_unsorted (first_id, last_id, clicks, entries)";
        engine.execute(&format!("{line} select {old}, {old}, clicks, entries from click_key_unsorted"));
        let list = "insert into click_key (prefix, first_id, last_id, clicks, entries)";
        for (prefix, last) in [(1, &old), (2, &young)] {
            let as_noted = format!("entries from click_key_unsorted where first_id = {old}");
            engine.execute(&format!("{list} select {prefix}, {old}, {last}, clicks, {as_noted}"));
        }
        assert_eq!(world.count("click_key"), 2);
        let world = world
            .restart_with(&KEEP, || engine.execute("update job set due_ms = 0 where name = 'retention'"));
        let (over, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
        let url = format!("{}{}", world.server().url(), world.path("flat/app"));
        std::thread::scope(|scope| {
            let _end = End(&over);
            for sender in 0..4 {
                let (over, sent, url) = (&over, &sent, &url);
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        let at = sent.fetch_add(1, Ordering::Relaxed);
                        let answer = http::get(&format!(
                            "{url}?pub_click_id=t{sender}-{at}&pub_member_id=t{sender}-{at}"
                        ));
                        assert_eq!(answer.status, 302, "{answer:?}");
                    }
                });
            }
            let border = world.literal(&moved(&click, 150));
            for (table, id) in
                [("click", "click_id"), ("click_key_unsorted", "last_id"), ("click_key", "last_id")]
            {
                let old = format!("{table} where {id} < {border}");
                eventually("the old ones are gone", AT_MOST, || world.count(&old) == 0);
            }
            assert_eq!(world.count(&format!("click_key where first_id < {border}")), 1);
        });
        let all = i64::try_from(sent.load(Ordering::Relaxed)).unwrap();
        assert_eq!(world.count("click"), all + 1, "the first and every one that came meanwhile");
        world.stop();
    });
}
