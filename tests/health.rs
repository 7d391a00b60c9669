//! `pitlane link health`: what a link's clicks say about how it is set up, days before the money is missing.

use serde_json::{Value, json};
use testkit::{Engine, for_each_engine};

use crate::PITLANE;
use crate::report::{Planted, plant};
use crate::world::World;

fn health(engine: &Engine, args: &[&str]) -> Value {
    PITLANE.run_on(engine, &[&["link", "health", "--json"], args].concat()).ok().json()
}

fn text(engine: &Engine, args: &[&str]) -> String {
    PITLANE.run_on(engine, &[&["link", "health"], args].concat()).ok().stdout
}

#[test]
fn a_constant_member_id_is_told_with_what_to_do() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        for number in 0..25 {
            let member = if number % 5 == 0 { format!("m{number}") } else { "site_12".to_owned() };
            world.visit("flat/app", &format!("pub_click_id=c{number}&pub_member_id={member}"));
        }
        let link = world.applied.id("link", "flat/app");
        let told = text(engine, &[&link]);
        let warned = "  ! 80 % of the last 25 clicks carry the same pub_member_id `site_12`; only its first conversion \
                      will count\n    next: let the partner send a value that is another one for each of its users";
        assert!(told.contains(warned), "{told}");
        assert!(told.contains("The last 25 clicks carry 6 member ids, most often `site_12` 20\n"), "{told}");
        assert!(told.contains("and 25 click ids, each once\n"), "{told}");
        world.stop();
    });
}

#[test]
fn every_verdict_has_its_count_times_and_examples() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        for number in 0..3 {
            world.click("flat", &format!("m{number}"));
        }
        world.visit("flat/app", "pub_click_id={click_id}&pub_member_id=m");
        world.visit("flat/app", "pub_click_id=c&pub_member_id=");
        let all = health(engine, &["--partner", "app"]);
        assert_eq!(all.as_array().unwrap().len(), 3);
        let flat = all.as_array().unwrap().iter().find(|link| link["name"] == "flat/app").unwrap();
        let verdicts = flat["verdicts"].as_array().unwrap().iter();
        let verdicts: Vec<(String, i64, usize)> = verdicts
            .map(|judged| {
                let examples = judged["examples"].as_array().unwrap().len();
                let verdict = judged["verdict"].as_str().unwrap().to_owned();
                (verdict, judged["figures"]["hits"].as_i64().unwrap(), examples)
            })
            .collect();
        let expected = [("ok", 3, 3), ("pub_member_id_empty", 1, 1), ("pub_click_id_macro", 1, 1)];
        assert_eq!(verdicts, expected.map(|(verdict, hits, examples)| (verdict.to_owned(), hits, examples)));
        let times = engine.sql("select click_id from click order by click_id");
        let first = uuid::Uuid::parse_str(&times[0][0]).unwrap().get_timestamp().unwrap().to_unix();
        let shown: jiff::Timestamp = flat["verdicts"][0]["first"].as_str().unwrap().parse().unwrap();
        assert_eq!(u64::try_from(shown.as_second()).unwrap(), first.0);
        let warnings = flat["warnings"].as_array().unwrap();
        let told: Vec<&str> = warnings.iter().map(|one| one["what"].as_str().unwrap()).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told[0].starts_with("20 % of the hits of 7 days came without pub_member_id; the last one at 2")
        );
        assert!(told[1].starts_with("20 % of the hits of 7 days carried a placeholder"));
        let unused = all.as_array().unwrap().iter().find(|link| link["name"] == "share/app").unwrap();
        assert_eq!(unused["warnings"][0]["what"], "nobody followed this link in 7 days");
        world.stop();
    });
}

#[test]
fn ninety_days_are_looked_back() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let link = world.applied.id("link", "flat/app");
        let now_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
        let days = [0, 8, 89, 91].map(|days| now_ms - days * 86_400_000);
        let planted = days.map(|at_ms| Planted { link: &link, at_ms, facts: json!({}) });
        plant(engine, &planted);
        for (days, quarters) in [("7", 1), ("30", 2), ("90", 3)] {
            let seen = health(engine, &[&link, "--days", days]);
            assert_eq!(seen[0]["quarters"].as_array().unwrap().len(), quarters, "{days} days");
        }
        let ran = PITLANE.run_on(engine, &["link", "health", &link, "--days", "91"]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        world.stop();
    });
}

#[test]
fn an_unknown_link_or_partner_is_said() {
    let engine = Engine::sqlite();
    let world = World::start(&engine);
    let absent = PITLANE.run_on(&engine, &["link", "health", "0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6"]);
    assert_eq!(absent.code, Some(1));
    assert!(absent.stderr.contains("there is no link 0198f1c2"), "{}", absent.stderr);
    let nobody = PITLANE.run_on(&engine, &["link", "health", "--partner", "nobody"]);
    assert_eq!(nobody.code, Some(2));
    assert!(nobody.stderr.contains("no partner `nobody` with a link"), "{}", nobody.stderr);
    world.stop();
}
