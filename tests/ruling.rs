//! Staff sets statuses: any to any, with everything that follows.

use serde_json::Value;
use testkit::{Ran, eventually, for_each_engine};

use crate::PITLANE;
use crate::world::{AT_MOST, World, conversion_id};

/// An offer with room for two, one that waits, and a postback that is told everything.
const MORE: &str = r#"
[[offer]]
slug = "two"
advertiser = "shop"
destination = "https://shop.example/two?click={gk_click_id}"
revenue = "2.00"
payout = "1.00"
caps = { day = 2 }
[[link]]
offer = "two"
partner = "app"

[[offer]]
slug = "waits"
advertiser = "shop"
destination = "https://shop.example/waits?click={gk_click_id}"
revenue = "1"
payout = "1"
pending_days = 3
[[link]]
offer = "waits"
partner = "app"

[[postback]]
partner = "app"
slug = "news"
on = ["Success", "Pending", "Rejected", "changes"]
url = "http://{partner}/postback/news?member={pub_member_id}&status={cnv_status}&payout={payout}"
"#;

fn set(world: &World<'_>, id: &str, status: &str, more: &[&str]) -> Ran {
    PITLANE.run_on(world.engine, &[&["conversion", "set", id, "--status", status], more].concat())
}

/// The code and message of a ruling.
fn ruled(world: &World<'_>, id: &str, status: &str) -> (String, String) {
    let json = set(world, id, status, &["--json"]).json();
    let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
    (text("code"), text("message"))
}

fn convert(world: &World<'_>, offer: &str, member: &str, more: &str) -> String {
    let click = world.click(offer, member);
    conversion_id(&world.report(&format!("gk_click_id={click}{more}")))
}

/// Status, reason and version of a conversion, and whether it holds its place.
fn stands(world: &World<'_>, id: &str) -> String {
    let id = world.engine.id(id);
    let query =
        "select status, coalesce(reason, ''), version, holds_place, wait_until_ms, winner_id from conversion";
    world.engine.sql(&format!("{query} where conversion_id = {id}"))[0].join(" ")
}

/// What the postback `slug` heard of a member, sorted: messages that follow each other closely may overtake.
fn heard(world: &World<'_>, slug: &str, parameter: &str, member: &str) -> Vec<String> {
    let received = world.received();
    let path = format!("/postback/{slug}?");
    let own = received
        .iter()
        .filter(|one| one.path_and_query.starts_with(&path) && one.parameter(parameter) == member);
    let mut told: Vec<String> = own.map(|one| one.parameter("status").to_owned()).collect();
    told.sort();
    told
}

#[test]
fn every_status_follows_every_other_and_the_partner_hears_where_it_asked() {
    const ALL: [&str; 3] = ["Pending", "Rejected", "Success"];
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        for (from, to) in ALL.iter().flat_map(|from| ALL.iter().map(move |to| (*from, *to))) {
            let member = format!("{from}-{to}");
            let id = convert(&world, "flat", &member, &format!("&cnv_status={from}"));
            let ran = set(&world, &id, to, &["--reason", "seen twice", "--by", "anna"]).ok();
            let initial = if from == "Rejected" { "advertiser_rejected" } else { "" };
            if from == to {
                assert_eq!(ran.stdout, format!("conversion {id}: is {to} already\n"));
                assert!(stands(&world, &id).starts_with(&format!("{from} {initial} 0 ")));
            } else {
                assert_eq!(ran.stdout, format!("conversion {id}: {from} → {to}\n"));
                let reason = if to == "Rejected" { "staff_rejected" } else { "" };
                let holds = i32::from(to != "Rejected");
                assert_eq!(stands(&world, &id), format!("{to} {reason} 1 {holds} NULL NULL"));
                let key = engine.id(&id);
                let history = engine.sql(&format!(
                    "select status, actor, note from conversion_change where conversion_id = {key} order by version"
                ));
                assert_eq!(history[1], [to, "staff:anna", "seen twice"]);
                assert_eq!(world.count(&format!("audit where subject = 'conversion/{id}'")), 1);
            }
            let mut news = vec![from.to_owned()];
            news.extend((from != to).then(|| to.to_owned()));
            news.sort();
            assert_eq!(heard(&world, "news", "member", &member), news, "{from} {to}");
            let paid = usize::from(from == "Success") + usize::from(to == "Success" && from != to);
            assert_eq!(heard(&world, "all", "click", &format!("click-{member}")).len(), paid, "{from} {to}");
        }
        world.stop();
    });
}

#[test]
fn a_taken_place_is_refused_with_its_holder_and_a_freed_one_is_given() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let (first, second) = (world.click("flat", "m"), world.click("flat", "m"));
        let winner = conversion_id(&world.report(&format!("gk_click_id={first}")));
        let loser = conversion_id(&world.report(&format!("gk_click_id={second}")));
        let refused = set(&world, &loser, "Success", &[]);
        assert_eq!(refused.code, Some(1));
        let told = format!("member's place is taken by conversion {winner}; reject that one first\n  next: ");
        assert!(refused.stderr.contains(&told), "{refused:?}");
        let verdict = || {
            let answer = world.visit("flat/app", "pub_click_id=c&pub_member_id=m");
            answer.header("x-click-verdict").to_owned()
        };
        eventually("the member is known to have completed", AT_MOST, || {
            verdict() == "member_already_completed"
        });
        assert_eq!(ruled(&world, &winner, "Rejected").0, "changed");
        eventually("the link is open to the member again", AT_MOST, || {
            verdict() != "member_already_completed"
        });
        assert_eq!(ruled(&world, &loser, "Pending"), ("changed".into(), "Rejected → Pending".into()));
        assert_eq!(stands(&world, &loser), "Pending  1 1 NULL NULL", "it has lost to nobody any more");
        eventually("the place is taken again", AT_MOST, || verdict() == "member_already_completed");
        assert_eq!(ruled(&world, &winner, "Success").0, "place_taken");
        assert_eq!(heard(&world, "news", "member", "m"), ["Pending", "Rejected", "Success"]);
        world.stop();
    });
}

#[test]
fn one_of_many_who_approve_at_once_gets_the_place() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let clicks: Vec<String> = (0..6).map(|_| world.click("flat", "m")).collect();
        let reported =
            clicks.iter().map(|click| conversion_id(&world.report(&format!("gk_click_id={click}"))));
        let all: Vec<String> = reported.collect();
        set(&world, &all[0], "Rejected", &[]).ok();
        let codes: Vec<String> = std::thread::scope(|scope| {
            let world = &world;
            let runs: Vec<_> =
                all[1..].iter().map(|id| scope.spawn(move || ruled(world, id, "Success").0)).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        let count = |code: &str| codes.iter().filter(|own| *own == code).count();
        assert_eq!((count("changed"), count("place_taken")), (1, 4), "{codes:?}");
        assert_eq!(world.count("conversion where holds_place = 1 and status = 'Success'"), 1);
        world.stop();
    });
}

#[test]
fn a_rejected_conversion_gives_its_place_in_the_cap_back() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let late = world.click("two", "late");
        let first = convert(&world, "two", "a", "");
        convert(&world, "two", "b", "");
        let capped = world.report(&format!("gk_click_id={late}"));
        assert_eq!(capped.code(), "rejected:capped");
        let mut hit = 0;
        let mut verdict = || {
            hit += 1;
            let answer = world.visit("two/app", &format!("pub_click_id=c{hit}&pub_member_id=v{hit}"));
            answer.header("x-click-verdict").to_owned()
        };
        eventually("clicks stop", AT_MOST, || verdict() == "offer_capped");
        set(&world, &first, "Rejected", &[]).ok();
        eventually("clicks go on", AT_MOST, || verdict() == "ok");
        let next = world.click("two", "next");
        assert_eq!(world.report(&format!("gk_click_id={next}")).code(), "recorded");
        eventually("clicks stop again", AT_MOST, || verdict() == "offer_capped");
        let over = ruled(&world, &conversion_id(&capped), "Success");
        let told = "Rejected → Success; now over the cap of 2 conversions a day";
        assert_eq!(over, ("changed".into(), told.into()));
        let tallies = engine.sql("select conversions, revenue_micros from tally");
        assert!(tallies.iter().all(|row| row[..] == ["3", "6000000"]), "{tallies:?}");
        world.stop();
    });
}

#[test]
fn what_waits_for_its_time_waits_no_more() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let id = convert(&world, "waits", "m", "");
        assert!(!stands(&world, &id).contains("NULL NULL"), "it waits");
        set(&world, &id, "Success", &[]).ok();
        assert_eq!(stands(&world, &id), "Success  1 1 NULL NULL");
        set(&world, &id, "Pending", &[]).ok();
        assert_eq!(stands(&world, &id), "Pending  2 1 NULL NULL", "now only staff decides");
        world.stop();
    });
}

#[test]
fn a_conversion_is_named_by_its_click_as_well() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let click = world.click("levels", "m");
        for event in ["install", "Level%2010"] {
            world.report(&format!("gk_click_id={click}&cnv_event_id={event}"));
        }
        let ambiguous = set(&world, &click, "Rejected", &[]);
        assert!(ambiguous.code == Some(1) && ambiguous.stderr.contains("has 2 conversions"), "{ambiguous:?}");
        set(&world, &click, "Rejected", &["--event", "Level 10"]).ok();
        let left = engine.sql("select event_code from conversion where status = 'Success'");
        assert_eq!(left, [["install"]]);
        let unknown = set(&world, "0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6", "Rejected", &["--json"]);
        assert_eq!((unknown.code, unknown.json()["conversion"].clone()), (Some(1), Value::Null));
        assert!(unknown.stderr.contains("next: copy the id exactly"), "{unknown:?}");
        assert_eq!(set(&world, "7", "Rejected", &[]).code, Some(2));
        assert_eq!(set(&world, &click, "Fine", &[]).code, Some(2));
        world.stop();
    });
}
