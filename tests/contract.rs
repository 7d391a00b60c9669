//! The parameter contract: constants and reused click ids are found while they happen.

use std::time::Duration;

use testkit::http::{self, Answer};
use testkit::{Engine, Server, block_on, eventually, for_each_engine};
use uuid::Uuid;

use crate::PITLANE;
use crate::world::{TO_THIS_MACHINE, World};

/// The product promises a minute to the other node.
const TO_OTHERS: Duration = Duration::from_mins(1);

/// The fixture's offer `share`, with a partner whose mistakes are refused.
const STRICT: &str = r#"
[[offer]]
slug = "strict"
advertiser = "shop"
destination = "https://shop.example/strict?click={gk_click_id}"
revenue = "1"
payout = "1"
static_members = "refuse"
reused_clicks = "refuse"
[[link]]
offer = "strict"
partner = "app"
"#;

/// A click of a visitor, whose browser is known by its number.
fn visit(server: &Server, path: &str, click: &str, member: &str, visitor: usize) -> Answer {
    let url = format!("{}{path}?pub_click_id={click}&pub_member_id={member}", server.url());
    let browser = format!("Browser/{visitor}");
    block_on(http::send(http::client().get(url).header("user-agent", browser))).expect("an answer")
}

fn verdict(answer: &Answer) -> &str {
    answer.header("x-click-verdict")
}

/// Sends one member id from many visitors until it is found; how many clicks that took.
fn send_constant(server: &Server, path: &str, member: &str) -> usize {
    for click in 0..200 {
        let answer = visit(server, path, &format!("{member}-{click}"), member, click);
        if verdict(&answer) == "pub_member_id_static" {
            return click;
        }
        assert_eq!(verdict(&answer), "ok", "{answer:?}");
    }
    panic!("200 clicks with member {member} and nothing was said");
}

#[test]
fn a_constant_member_id_is_found_within_200_clicks_and_known_after_a_restart() {
    for_each_engine(|engine| {
        let world = World::with(engine, STRICT, &[]);
        let (flagged, refused) = (world.path("flat/app"), world.path("strict/app"));
        let took = send_constant(world.server(), &flagged, "site_12");
        assert!(took > 50, "a few clicks of one member are no constant");
        send_constant(world.server(), &refused, "site_12");
        let world = world.restart(|| ());
        let answer = visit(world.server(), &flagged, "again", "site_12", 7);
        assert_eq!((answer.status, verdict(&answer)), (302, "pub_member_id_static"), "{answer:?}");
        assert!(answer.header("location").starts_with("https://shop.example/flat?click="), "{answer:?}");
        let answer = visit(world.server(), &refused, "again", "site_12", 7);
        assert_eq!((answer.status, answer.code().as_str()), (400, "pub_member_id_static"), "{answer:?}");
        assert!(
            answer.body.contains("pub_member_id `site_12` is on most of this link's clicks"),
            "{answer:?}"
        );
        // Another member on the same link is nobody's mistake.
        let answer = visit(world.server(), &refused, "other", "member-1", 7);
        assert_eq!(verdict(&answer), "ok", "{answer:?}");
        world.stop();
    });
}

#[test]
fn what_was_saved_outlives_a_kill() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let path = world.path("flat/app");
        let took = send_constant(world.server(), &path, "site_12");
        // 20 bytes a click; a save may have come while they were still being sent.
        let whole = format!("sketch where length(seen) > {}", 20 * took);
        eventually("the whole sketch is saved", TO_OTHERS, || world.count(&whole) == 1);
        // On a busy network the clicks of a quiet link are soon far behind the newest.
        let world = world.crash(|| engine.execute("delete from click"));
        let answer = visit(world.server(), &path, "again", "site_12", 7);
        assert_eq!(verdict(&answer), "pub_member_id_static", "{answer:?}");
        world.stop();
    });
}

#[test]
fn what_one_server_finds_the_other_knows() {
    let engine = Engine::postgres();
    let world = World::start(&engine);
    let second = PITLANE.serve(&engine, &TO_THIS_MACHINE);
    let path = world.path("flat/app");
    send_constant(world.server(), &path, "site_12");
    let mut click = 0;
    eventually("the other server knows the constant", TO_OTHERS, || {
        click += 1;
        let answer = visit(&second, &path, &format!("other-{click}"), "site_12", click);
        verdict(&answer) == "pub_member_id_static"
    });
    let first = visit(world.server(), &path, "once", "m1", 1);
    assert_eq!(verdict(&first), "ok");
    eventually("the other server knows the click id", TO_OTHERS, || {
        verdict(&visit(&second, &path, "once", "m1", 1)) == "pub_click_id_reused"
    });
    second.stop();
    world.stop();
}

#[test]
fn honest_members_are_left_alone() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let path = world.path("flat/app");
        for click in 0..300 {
            // Every fourth click is the same busy member's, on three devices.
            let member = if click % 4 == 0 { "m0".to_owned() } else { format!("m{click}") };
            let visitor = if click % 4 == 0 { click % 3 } else { click };
            let answer = visit(world.server(), &path, &format!("c{click}"), &member, visitor);
            assert_eq!(verdict(&answer), "ok", "click {click}: {answer:?}");
        }
        // A partner without user ids sends its click id for both.
        for click in 0..300 {
            let id = format!("both-{click}");
            assert_eq!(verdict(&visit(world.server(), &path, &id, &id, click)), "ok");
        }
        world.stop();
    });
}

#[test]
fn a_click_id_that_comes_again_is_flagged_or_refused() {
    for_each_engine(|engine| {
        let world = World::with(engine, STRICT, &[]);
        let (flagged, refused) = (world.path("flat/app"), world.path("strict/app"));
        for path in [&flagged, &refused] {
            assert_eq!(verdict(&visit(world.server(), path, "c1", "m1", 1)), "ok");
        }
        let answer = visit(world.server(), &flagged, "c1", "m2", 2);
        assert_eq!((answer.status, verdict(&answer)), (302, "pub_click_id_reused"), "{answer:?}");
        let answer = visit(world.server(), &refused, "c1", "m2", 2);
        assert_eq!((answer.status, answer.code().as_str()), (400, "pub_click_id_reused"), "{answer:?}");
        assert!(answer.body.contains("pub_click_id `c1` was already sent on another click"), "{answer:?}");

        // An advertiser that reports it all the same is told why it does not count.
        let click = engine.sql("select click_id from click where verdict = 7 and marks >= 16");
        assert_eq!(click.len(), 1, "{click:?}");
        let click = Uuid::parse_str(&click[0][0]).unwrap();
        let answer = world.report(&format!("gk_click_id={click}"));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (200, "rejected:pub_click_id_reused"),
            "{answer:?}"
        );
        world.stop();
    });
}

#[test]
fn a_visitor_who_comes_again_is_marked_and_not_dropped() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let path = world.path("flat/app");
        for click in ["c1", "c2", "c3"] {
            assert_eq!(verdict(&visit(world.server(), &path, click, "m1", 1)), "ok");
        }
        assert_eq!(verdict(&visit(world.server(), &path, "c4", "m1", 2)), "ok");
        let marks = engine.sql("select marks from click order by pub_click_id");
        assert_eq!(marks, [["0"], ["32"], ["32"], ["0"]]);
        world.stop();
    });
}
