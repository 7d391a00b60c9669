//! Pending conversions that come to their end by themselves.

use testkit::{Engine, eventually, for_each_engine};

use crate::PITLANE;
use crate::crowd::Crowd;
use crate::world::{AT_MOST, World, conversion_id};

/// One offer that waits, one that somebody decides about, one with events in order; and a partner who hears everything.
const MORE: &str = r#"
[[offer]]
slug = "waits"
advertiser = "shop"
destination = "https://shop.example/waits?click={gk_click_id}"
revenue = "3"
payout = "2"
pending_days = 7
[[offer]]
slug = "manual"
advertiser = "shop"
destination = "https://shop.example/manual?click={gk_click_id}"
revenue = "3"
payout = "2"
approval = "Manual"
[[offer]]
slug = "steps"
type = "MultiEvent"
advertiser = "shop"
destination = "https://shop.example/steps?click={gk_click_id}"
[[offer.event]]
code = "first"
revenue = "1"
payout = "1"
sequence = 1
[[offer.event]]
code = "second"
revenue = "1"
payout = "1"
sequence = 2
[[link]]
offer = "waits"
partner = "app"
[[link]]
offer = "manual"
partner = "app"
[[link]]
offer = "steps"
partner = "app"
[[postback]]
partner = "app"
slug = "news"
on = ["Success", "Pending", "Rejected", "changes"]
url = "http://{partner}/postback/news?conversion={conversion_id}&status={cnv_status}"
"#;

const WEEK_MS: i64 = 7 * 86_400_000;

impl World<'_> {
    /// Lets the time pass for which everything waits.
    fn pass_time(&self) {
        self.engine.execute("update conversion set wait_until_ms = 1 where wait_until_ms is not null");
    }

    /// Status, reason, version and last actor of a conversion.
    fn stands(&self, id: &str) -> Vec<String> {
        let id = self.engine.id(id);
        let rows = self.engine.sql(&format!(
            "select c.status, c.reason, c.version, h.actor from conversion c join conversion_change h \
             on h.conversion_id = c.conversion_id and h.version = c.version where c.conversion_id = {id}"
        ));
        rows.into_iter().next().unwrap_or_default()
    }

    /// What the partner was told about a conversion, by postback.
    fn told(&self, postback: &str, id: &str) -> Vec<String> {
        let all = self.received();
        let path = format!("/postback/{postback}");
        let own = all.iter().filter(|one| one.path_and_query.starts_with(&path));
        own.filter(|one| one.parameter("conversion") == id)
            .map(|one| one.parameter("status").to_owned())
            .collect()
    }
}

#[test]
fn the_end_of_the_pending_time_is_a_success_that_the_partner_hears_of_once() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let click = world.click("waits", "m1");
        let answer = world.report(&format!("gk_click_id={click}"));
        assert_eq!(answer.json()["data"]["status"], "Pending");
        let id = conversion_id(&answer);
        let waits = world.engine.count("select wait_until_ms - received_ms from conversion");
        assert_eq!(waits, WEEK_MS);
        // The advertiser's own word does not shorten it.
        let again = world.report(&format!("gk_click_id={click}&cnv_status=approved"));
        assert_eq!(
            (again.code().as_str(), again.json()["data"]["status"].as_str()),
            ("duplicate", Some("Pending"))
        );
        assert_eq!(world.told("all", &id), Vec::<String>::new(), "nothing before it is sure");
        world.pass_time();
        eventually("it is a success", AT_MOST, || world.stands(&id) == ["Success", "NULL", "1", "rule"]);
        assert_eq!(world.told("all", &id), ["Success"]);
        assert_eq!(world.told("news", &id), ["Pending", "Success"]);
        assert_eq!(world.count("conversion where wait_until_ms is not null"), 0);
        world.stop();
    });
}

#[test]
fn what_waits_for_a_person_waits_for_ever() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let click = world.click("manual", "m1");
        let id = conversion_id(&world.report(&format!("gk_click_id={click}")));
        assert_eq!(world.count("conversion where wait_until_ms is not null"), 0);
        // Another one's end shows that the job has run meanwhile.
        let other = world.click("waits", "m2");
        let other = conversion_id(&world.report(&format!("gk_click_id={other}")));
        world.pass_time();
        eventually("the other one is a success", AT_MOST, || world.stands(&other)[0] == "Success");
        assert_eq!(world.stands(&id), ["Pending", "NULL", "0", "advertiser"]);
        world.stop();
    });
}

#[test]
fn an_event_whose_predecessor_never_came_is_rejected_after_its_grace() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let click = world.click("steps", "m1");
        let answer = world.report(&format!("gk_click_id={click}&cnv_event_id=second"));
        assert_eq!(answer.json()["data"]["status"], "Pending");
        let id = conversion_id(&answer);
        assert_eq!(world.count("conversion where holds_place = 1"), 1);
        world.pass_time();
        let rejected = ["Rejected", "out_of_sequence", "1", "rule"];
        eventually("it is rejected", AT_MOST, || world.stands(&id) == rejected);
        assert_eq!(world.told("news", &id), ["Pending", "Rejected"]);
        assert_eq!(world.count("conversion where holds_place = 1"), 0, "its place is free again");
        let first = world.report(&format!("gk_click_id={click}&cnv_event_id=first"));
        assert_eq!(first.code(), "recorded", "too late for the second, not for itself");
        assert_eq!(world.stands(&id), rejected);
        world.stop();
    });
}

#[test]
fn two_servers_end_each_waiting_once() {
    let engine = Engine::postgres();
    let crowd = Crowd::start(&engine, MORE, 2);
    let members: Vec<String> = (0..300).map(|at| format!("m{at}")).collect();
    let clicks = crowd.clicks(members.iter().map(|member| ("waits", member.clone())));
    crowd.report(&clicks.iter().map(|click| format!("gk_click_id={click}")).collect::<Vec<_>>());
    let world = &crowd.world;
    assert_eq!(world.count("conversion where status = 'Pending'"), 300);
    world.pass_time();
    // Whoever holds the lease: without it, both servers work at once and each conversion still ends once.
    eventually("each is a success", AT_MOST, || {
        world.engine.execute("update job set due_ms = 0, lease_until_ms = 0 where name = 'waiting'");
        world.count("conversion where status = 'Success'") == 300
    });
    assert_eq!(world.count("conversion where version = 1"), 300);
    assert_eq!(world.count("conversion_change"), 600);
    let told = world.received();
    let sure = told.iter().filter(|one| one.path_and_query.starts_with("/postback/all")).count();
    assert_eq!((sure, told.len()), (300, 900), "once for the success, twice for the news");
    let jobs = PITLANE.run_on(&engine, &["jobs", "--json"]).ok().json();
    assert_eq!(jobs[0]["name"], "waiting");
    assert_eq!(jobs[0]["failures"], 0);
    crowd.stop();
}
