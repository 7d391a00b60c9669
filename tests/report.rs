//! `pitlane report`: what was counted is what happened, in the days of any zone, and money keeps its currency.

use std::fmt::Write as _;

use domain::click::Facts;
use serde_json::{Value, json};
use testkit::http::{self, Answer};
use testkit::{Engine, for_each_engine};

use crate::PITLANE;
use crate::world::{World, click_id};

/// A second partner, and a second network with an offer of the same slug.
const MORE: &str = r#"
[[partner]]
slug = "web"
[[link]]
offer = "flat"
partner = "web"
"#;

/// The report that these arguments ask for.
pub(crate) fn report(engine: &Engine, args: &[&str]) -> Value {
    PITLANE.run_on(engine, &[&["report", "--json"], args].concat()).ok().json()
}

/// The lines of a report, each as the values of its groups and these figures.
fn lines(report: &Value, figures: &[&str]) -> Vec<String> {
    let by: Vec<&str> = report["by"].as_array().unwrap().iter().map(|by| by.as_str().unwrap()).collect();
    let lines = report["lines"].as_array().unwrap().iter();
    let line = |line: &Value| {
        let values = by.iter().map(|by| line[by].as_str().unwrap().to_owned());
        let figures = figures.iter().map(|figure| line["clicks"][figure].to_string());
        values.chain(figures).collect::<Vec<_>>().join(" ")
    };
    lines.map(line).collect()
}

/// A click that came at some time, as a server records it: its row and its place in the list.
pub(crate) struct Planted<'a> {
    pub(crate) link: &'a str,
    pub(crate) at_ms: u64,
    pub(crate) facts: Value,
}

/// Writes clicks of other times beside the product, as a server does: some hundred in a batch, with its place in the
/// list.
pub(crate) fn plant(engine: &Engine, clicks: &[Planted<'_>]) {
    for some in clicks.chunks(500) {
        let ids = plant_unlisted(engine, some);
        let blob = |hex: &str| match engine {
            Engine::Sqlite(_) => format!("x'{hex}'"),
            Engine::Postgres { .. } => format!("'\\x{hex}'::bytea"),
        };
        engine.execute(&format!(
            "insert into click_arrival (first_id, last_id, clicks, click_ids) values ({}, {}, {}, {})",
            blob(&ids[0]),
            blob(&ids[ids.len() - 1]),
            ids.len(),
            blob(&ids.concat())
        ));
    }
}

/// Writes clicks that nothing lists, and gives their ids in order, as hex.
pub(crate) fn plant_unlisted(engine: &Engine, clicks: &[Planted<'_>]) -> Vec<String> {
    let (mut ids, mut rows) = (Vec::new(), String::new());
    for (number, click) in clicks.iter().enumerate() {
        let random: [u8; 10] = uuid::Uuid::new_v4().as_bytes()[..10].try_into().unwrap();
        let id = uuid::Builder::from_unix_timestamp_millis(click.at_ms, &random).into_uuid();
        let comma = if number == 0 { "" } else { "," };
        let (key, link) = (engine.id(&id.to_string()), engine.id(click.link));
        let facts: Facts = serde_json::from_value(click.facts.clone()).unwrap();
        let facts = engine.bytes(&facts.pack_own());
        write!(rows, "{comma} ({key}, {link}, 0, 0, 'c{number}', 'm{number}', {facts})").unwrap();
        ids.push(id.simple().to_string());
    }
    engine.execute(&format!(
        "insert into click (click_id, link_id, verdict, marks, pub_click_id, pub_member_id, facts) values {rows}"
    ));
    ids.sort_unstable();
    ids
}

fn at(text: &str) -> u64 {
    let at: jiff::Timestamp = text.parse().unwrap();
    at.as_millisecond().try_into().unwrap()
}

/// A hit with these headers.
fn visit_with(world: &World<'_>, query: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request =
        http::client().get(format!("{}{}?{query}", world.server().url(), world.path("flat/app")));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    http::answer(request)
}

#[test]
fn every_hit_is_in_the_figures_that_it_belongs_to() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        for member in ["m1", "m2", "m3"] {
            world.click("flat", member);
        }
        world.visit("flat/app", "pub_click_id=c&pub_member_id=");
        visit_with(&world, "pub_click_id=c9&pub_member_id=m9", &[("sec-purpose", "prefetch")]);
        click_id(&world.visit("flat/web", "pub_click_id=w&pub_member_id=w"));
        let flat = report(engine, &["--by", "partner"]);
        let figures = ["hits", "clicks", "sent_on", "refused", "prefetches"];
        assert_eq!(lines(&flat, &figures), ["app 5 4 3 1 1", "web 1 1 1 0 0"]);
        let verdicts = report(engine, &["--by", "verdict", "--by", "link", "--partner", "app"]);
        let expected = ["ok flat/app 4 3 3 0 1", "pub_member_id_empty flat/app 1 1 0 1 0"];
        assert_eq!(lines(&verdicts, &figures), expected);
        let one = report(engine, &["--where", "verdict=pub_member_id_empty"]);
        assert_eq!((&one["total"]["clicks"]["hits"], &one["total"]["money"]), (&json!(1), &json!([])));
        world.stop();
    });
}

#[test]
fn money_follows_every_change_of_a_status() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let clicks = ["m1", "m2", "m3"].map(|member| world.click("flat", member));
        for click in &clicks {
            assert_eq!(world.report(&format!("gk_click_id={click}")).code(), "recorded");
        }
        let money = || report(engine, &["--by", "offer"])["lines"][0]["money"].clone();
        let worth = |success: i64, rejected: i64, revenue: &str, payout: &str, margin: &str, epc: &str| {
            json!([{
                "currency": "USD", "pending": 0, "success": success, "rejected": rejected, "revenue": revenue,
                "payout": payout, "margin": margin, "epc": epc,
            }])
        };
        assert_eq!(money(), worth(3, 0, "7.50", "3.60", "3.90", "1.20"));
        // Asked between two changes or after both, the sums are those of the status of now.
        assert_eq!(world.report(&format!("gk_click_id={}&cnv_status=3", clicks[0])).code(), "updated");
        assert_eq!(money(), worth(2, 1, "5.00", "2.40", "2.60", "0.80"));
        assert_eq!(world.report(&format!("gk_click_id={}&cnv_status=3", clicks[1])).code(), "updated");
        assert_eq!(money(), worth(1, 2, "2.50", "1.20", "1.30", "0.40"));
        let by_status = report(engine, &["--by", "status"]);
        let statuses = by_status["lines"].as_array().unwrap().iter();
        let statuses: Vec<&str> = statuses.map(|line| line["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, ["Rejected", "Success"]);
        assert!(by_status["total"]["clicks"].is_null(), "clicks have no status");
        world.stop();
    });
}

#[test]
fn currencies_are_never_added_and_shares_agree_to_the_micro_unit() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        for (member, amount, currency) in
            [("m1", "0.05", "USD"), ("m2", "0.15", "USD"), ("m3", "10.01", "EUR"), ("m4", "1000", "JPY")]
        {
            let click = world.click("share", member);
            let query = format!("gk_click_id={click}&cnv_amount={amount}&cnv_currency={currency}");
            assert_eq!(world.report(&query).code(), "recorded");
        }
        let whole = report(engine, &[]);
        let money = whole["total"]["money"].as_array().unwrap().iter();
        let told: Vec<String> = money
            .map(|sum| {
                let text = |key: &str| sum[key].as_str().unwrap().to_owned();
                format!("{} {} {} {}", text("currency"), text("revenue"), text("payout"), text("margin"))
            })
            .collect();
        // 10 % and 7.5 % of each sale: 0.005 + 0.015 and 0.00375 + 0.01125.
        assert_eq!(told, ["EUR 1.001 0.75075 0.25025", "JPY 100 75 25", "USD 0.02 0.015 0.005"]);
        let csv = PITLANE.run_on(engine, &["report", "--by", "offer", "--csv"]).ok().stdout;
        let rows: Vec<&str> = csv.lines().skip(1).collect();
        assert_eq!(rows.len(), 3, "{csv}");
        assert!(rows[0].starts_with("share,4,4,4,4,0,0,0,EUR,0,1,0,1.001,"), "{csv}");
        assert!(rows[1].starts_with("share,,,,,,,,JPY,"), "clicks stand once: {csv}");
        let table = PITLANE.run_on(engine, &["report"]).ok().stdout;
        assert!(table.contains("Days of UTC. Everything recorded before "), "{table}");
        world.stop();
    });
}

#[test]
fn days_are_those_of_the_zone() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let link = world.applied.id("link", "flat/app");
        let times = [
            "2026-10-31T18:14:59.999Z",
            "2026-10-31T18:15:00Z",
            "2026-11-01T05:30:00Z",
            "2026-11-01T06:30:00Z",
            "2026-11-01T18:14:59.999Z",
            "2026-11-01T18:15:00Z",
            "2026-11-02T04:59:59.999Z",
            "2026-11-02T05:00:00Z",
        ];
        let planted = times.map(|time| Planted { link: &link, at_ms: at(time), facts: json!({}) });
        plant(engine, &planted);
        let days = |zone: &str, by: &str, from: &str, to: &str| {
            let args = ["--by", by, "--zone", zone, "--from", from, "--to", to];
            lines(&report(engine, &args), &["clicks"])
        };
        // 00:00 in Kathmandu is 18:15 the day before in UTC.
        let kathmandu = days("Asia/Kathmandu", "day", "2026-11-01", "2026-11-02");
        assert_eq!(kathmandu, ["2026-11-01 4", "2026-11-02 3"]);
        // Clocks go back in New York: the day has 25 hours, and one hour comes twice.
        let new_york = days("America/New_York", "day", "2026-11-01", "2026-11-02");
        assert_eq!(new_york, ["2026-11-01 5", "2026-11-02 1"]);
        let hours = days("America/New_York", "hour", "2026-11-01", "2026-11-01");
        let expected = [
            "2026-11-01 01:00-04:00 1",
            "2026-11-01 01:00-05:00 1",
            "2026-11-01 13:00-05:00 2",
            "2026-11-01 23:00-05:00 1",
        ];
        assert_eq!(hours, expected);
        let weeks = days("UTC", "week", "2026-10-26", "2026-11-08");
        assert_eq!(weeks, ["2026-10-26 6", "2026-11-02 2"]);
        assert_eq!(days("Asia/Kathmandu", "month", "2026-10-01", "2026-11-30"), ["2026-10 1", "2026-11 7"]);
        world.stop();
    });
}

#[test]
fn clicks_are_divided_by_what_they_carry() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let link = world.applied.id("link", "flat/app");
        let facts = |country: &str, os: &str, sub: &str| {
            let subs = json!([["pub_sub_1", sub], ["pub_sub_15", "x"]]);
            match country {
                "" => json!({ "p": subs }),
                known => json!({ "cc": known, "os": os, "dv": "Android", "p": subs }),
            }
        };
        let seen = [("DE", "Android", "a"), ("DE", "Windows", "=1+1"), ("FR", "Android", "a"), ("", "", "a")];
        let planted: Vec<Planted<'_>> = seen
            .iter()
            .zip(at("2026-11-01T10:00:00Z")..)
            .map(|((country, os, sub), at_ms)| Planted { link: &link, at_ms, facts: facts(country, os, sub) })
            .collect();
        plant(engine, &planted);
        let range = ["--from", "2026-11-01", "--to", "2026-11-01"];
        let by = |args: &[&str]| lines(&report(engine, &[args, &range].concat()), &["clicks"]);
        let countries = by(&["--by", "country", "--by", "os"]);
        assert_eq!(countries, ["  1", "DE Android 1", "DE Windows 1", "FR Android 1"]);
        assert_eq!(by(&["--by", "country", "--where", "os=Android"]), ["DE 1", "FR 1"]);
        assert_eq!(
            by(&["--by", "os", "--where", "country=DE", "--where", "country=FR"]),
            ["Android 2", "Windows 1"]
        );
        assert_eq!(by(&["--by", "pub_sub_1", "--by", "country"]), ["=1+1 DE 1", "a  1", "a DE 1", "a FR 1"]);
        assert_eq!(by(&["--by", "pub_sub_15", "--partner", "app", "--where", "pub_sub_1=a"]), ["x 3"]);
        let csv = ["report", "--csv", "--by", "pub_sub_1"];
        let csv = PITLANE.run_on(engine, &[&csv[..], &range[..]].concat()).ok().stdout;
        assert!(csv.contains("\n'=1+1,1,"), "{csv}");
        // A conversion has the country and the sub parameters of its click.
        let click = engine.sql("select click_id from click order by click_id limit 1")[0][0].clone();
        let click = uuid::Uuid::parse_str(&click).unwrap();
        assert_eq!(world.report(&format!("gk_click_id={click}")).code(), "recorded");
        let today = report(engine, &["--by", "pub_sub_1", "--by", "country"]);
        let only = &today["lines"][0];
        assert_eq!((&only["pub_sub_1"], &only["country"]), (&json!("a"), &json!("DE")));
        assert_eq!(only["money"][0]["revenue"], "2.50");
        world.stop();
    });
}

#[test]
fn what_cannot_be_asked_is_said() {
    let engine = Engine::sqlite();
    let world = World::start(&engine);
    for (args, told) in [
        (&["--by", "day", "--by", "hour"][..], "of which one may be time"),
        (&["--by", "offer", "--by", "offer"], "at most 2 different things"),
        (&["--from", "2026-11-02", "--to", "2026-11-01"], "is empty"),
        (&["--from", "2020-01-01", "--to", "2026-01-01"], "at most 400 days"),
        (&["--by", "hour", "--from", "2026-01-01", "--to", "2026-06-01"], "1500 lines"),
        (&["--zone", "Mars/Olympus"], "no time zone"),
        (&["--from", "yesterday"], "neither a day"),
        (&["--from", "2026-11-01T00:01:00Z"], "inside a quarter of an hour"),
        (&["--where", "day=2026-11-01"], "give the range instead"),
        (&["--partner", "nobody"], "has no partner `nobody`"),
        (&["--by", "moon"], "is no dimension"),
        (&["--where", "country"], "write it as WHAT=VALUE"),
    ] {
        let ran = PITLANE.run_on(&engine, &[&["report"], args].concat());
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(told), "{args:?}: {}", ran.stderr);
    }
    world.stop();
}
