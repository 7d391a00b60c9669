//! `pitlane offer replay`: finds exactly the clicks that a draft of an offer's rules would change.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use testkit::{Engine, Folder, Ran, for_each_engine};

use crate::life::offer;
use crate::report::{Planted, plant};
use crate::world::{World, click_id};
use crate::{PITLANE, stored};

const HOUR_MS: u64 = 3_600_000;

#[expect(clippy::disallowed_methods, reason = "the clicks that are planted lie behind the real clock")]
fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn replay(engine: &Engine, slug: &str, draft: &str, args: &[&str]) -> Ran {
    let folder = Folder::new();
    let file = folder.file("draft.toml", draft);
    PITLANE.run_on(engine, &[&["offer", "replay", slug, "--draft", &file], args].concat())
}

/// What it finds: how many clicks, how many the same, and what changes for how many.
#[track_caller]
fn found(engine: &Engine, slug: &str, draft: &str) -> (Value, Value, Vec<String>) {
    let found = replay(engine, slug, draft, &["--json"]).ok().json();
    let transitions = found["transitions"].as_array().unwrap().iter();
    let told = transitions.map(|one| {
        let word = |key: &str| one[key].as_str().unwrap().to_owned();
        format!("{} -> {} {} {}", word("now"), word("then"), one["clicks"], one["members"])
    });
    (found["replayed"].clone(), found["unchanged"].clone(), told.collect())
}

/// The draft of an offer alone: what it refers to is stored.
fn draft(slug: &str, more: &str) -> String {
    let whole = offer(slug, more);
    whole.split("[[link]]").next().unwrap().to_owned()
}

#[test]
fn a_country_rule_changes_the_clicks_of_other_countries() {
    for_each_engine(|engine| {
        let world = World::with(engine, &offer("open", ""), &[]);
        let (open, flat) = (world.applied.id("link", "open/app"), world.applied.id("link", "flat/app"));
        let now = now_ms();
        let click = |link, hours: u64, country: &str| Planted {
            link,
            at_ms: now - hours * HOUR_MS,
            facts: json!({ "ip": "192.0.2.1", "cc": country, "dv": "IOS" }),
        };
        let mut clicks = Vec::new();
        for hours in 1..=60 {
            clicks.push(click(&open, hours, if hours % 3 == 0 { "FR" } else { "DE" }));
            clicks.push(click(&flat, hours, "FR"));
        }
        clicks.push(click(&open, 9 * 24, "FR"));
        plant(engine, &clicks);
        // A server counts what it finds.
        world.stop();
        let before = engine.content();
        let rule = draft("open", "targeting = [{ allow = \"country\", of = [\"DE\"] }]");
        let (replayed, unchanged, told) = found(engine, "open", &rule);
        assert_eq!((replayed, unchanged), (60.into(), 40.into()));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("ok -> target_mismatch 20 "), "{told:?}");
        // The older click comes in with more days; a draft like the offer changes nothing.
        let more = replay(engine, "open", &rule, &["--days", "10", "--json"]).ok().json();
        assert_eq!(more["transitions"][0]["clicks"], 21);
        let same = found(engine, "open", &draft("open", ""));
        assert_eq!(same, (60.into(), 60.into(), Vec::new()));
        assert_eq!(engine.content(), before, "nothing is written");
        examples_are_of(engine, &rule, "FR");
    });
}

/// Every click that is named is one of those that would change.
fn examples_are_of(engine: &Engine, rule: &str, country: &str) {
    let found = replay(engine, "open", rule, &["--json"]).ok().json();
    let examples = found["transitions"][0]["examples"].as_array().unwrap().clone();
    assert_eq!(examples.len(), 5);
    for example in examples {
        let id = engine.id(example.as_str().unwrap());
        let click = stored::clicks(engine, &format!("where k.click_id = {id}")).remove(0);
        assert_eq!(click.facts.country.map(|own| own.to_string()).as_deref(), Some(country));
    }
}

#[test]
fn a_cap_is_counted_over_the_recorded_conversions() {
    for_each_engine(|engine| {
        let world = World::with(engine, &offer("open", ""), &[]);
        // Conversions of three members, then more clicks: a cap of 3 would have let the first ones through.
        for member in ["a", "b", "c"] {
            let click =
                click_id(&world.visit("open/app", &format!("pub_click_id={member}&pub_member_id={member}")));
            assert_eq!(world.report(&format!("gk_click_id={click}")).code(), "recorded");
            testkit::eventually("the clock has moved", crate::world::AT_MOST, || {
                now_ms() > u64::try_from(world.count_of("max(received_ms)", "conversion")).unwrap()
            });
        }
        for member in ["d", "e"] {
            click_id(&world.visit("open/app", &format!("pub_click_id={member}&pub_member_id={member}")));
        }
        let told = |cap: u32| found(engine, "open", &draft("open", &format!("caps = {{ total = {cap} }}")));
        assert_eq!(told(4), (5.into(), 5.into(), vec![]));
        assert_eq!(told(3), (5.into(), 3.into(), vec!["ok -> offer_capped 2 2".to_owned()]));
        assert_eq!(told(1), (5.into(), 1.into(), vec!["ok -> offer_capped 4 4".to_owned()]));
        world.stop();
    });
}

impl World<'_> {
    fn count_of(&self, what: &str, table: &str) -> i64 {
        self.engine.count(&format!("select {what} from {table}"))
    }
}

#[test]
fn members_flags_and_status_are_decided_again() {
    for_each_engine(|engine| {
        let world = World::with(engine, &offer("open", ""), &[]);
        let visit = |query: &str| world.visit("open/app", query);
        let first = click_id(&visit("pub_click_id=a&pub_member_id=m"));
        world.report(&format!("gk_click_id={first}"));
        testkit::eventually("the server knows that the member completed", crate::world::AT_MOST, || {
            visit("pub_click_id=b&pub_member_id=m").status == 409
        });
        visit("pub_click_id=&pub_member_id=n");
        visit("pub_click_id=a&pub_member_id=n");
        let total = world.count("click");
        let repeats = found(engine, "open", &draft("open", "repeats = true"));
        assert_eq!(repeats.0, total);
        assert!(repeats.2[0].starts_with("member_already_completed -> "), "{repeats:?}");
        let refuse = found(engine, "open", &draft("open", "reused_clicks = \"refuse\""));
        assert!(
            refuse.2.iter().any(|told| told == "pub_click_id_reused -> pub_click_id_reused 1 1"),
            "{refuse:?}"
        );
        let paused = found(engine, "open", &draft("open", "status = \"Paused\""));
        // Whatever got as far as the offer; the empty id did not.
        assert_eq!(paused.1, 1, "{paused:?}");
        assert!(paused.2.iter().all(|told| told.contains(" -> offer_not_active ")), "{paused:?}");
        world.stop();
    });
}

#[test]
fn the_text_names_what_the_draft_changes() {
    let engine = Engine::sqlite();
    let world = World::with(&engine, &offer("open", ""), &[]);
    click_id(&world.visit("open/app", "pub_click_id=a&pub_member_id=m"));
    let ran =
        replay(&engine, "open", &draft("open", "targeting = [{ allow = \"device\", of = [\"IOS\"] }]"), &[])
            .ok();
    for part in [
        "Offer open of network acme, clicks since 20",
        "  targeting: nothing -> ",
        "ok -> target_mismatch: 1 clicks of 1 members",
        "1 of 1 clicks would get something else, 0 the same.",
        "Nothing was written.",
    ] {
        assert!(ran.stdout.contains(part), "no {part:?} in {}", ran.stdout);
    }
    world.stop();
}

#[test]
fn what_cannot_be_replayed_is_told() {
    let engine = Engine::sqlite();
    let world = World::with(&engine, &offer("open", ""), &[]);
    let wrong = |slug: &str, draft: &str| {
        let ran = replay(&engine, slug, draft, &[]);
        assert!(ran.code != Some(0) && ran.stdout.is_empty(), "{ran:?}");
        ran.stderr
    };
    assert!(wrong("other", &draft("open", "")).contains("declares no offer `other`"));
    assert!(wrong("new", &draft("new", "")).contains("is not stored yet"));
    assert!(wrong("open", &draft("open", "caps = { day = 0 }")).contains("draft.toml:"));
    assert!(wrong("open", "nonsense").contains("draft.toml:1:"));
    world.stop();
}
