//! `pitlane why`: from any id to the whole story, out of the database alone.

use std::collections::BTreeSet;

use serde_json::Value;
use testkit::{Engine, Folder, Ran, eventually, for_each_engine, http};

use crate::PITLANE;
use crate::world::{AT_MOST, TOKEN, World, apply, click_id, conversion_id};

/// Where the JSON is described.
const GUIDE: &str = concat!(include_str!("../docs/guide/why.md"), include_str!("../docs/guide/dry-run.md"));

/// What is known of an id, as JSON.
#[track_caller]
fn known(engine: &Engine, id: &str) -> Value {
    PITLANE.run_on(engine, &["why", id, "--json"]).ok().json()
}

/// The story of an id that leads to one click.
#[track_caller]
fn story(engine: &Engine, id: &str) -> Value {
    let known = known(engine, id);
    assert_eq!(known["total"], 1, "{known:#}");
    known["story"].clone()
}

/// The story as people read it.
#[track_caller]
fn told(engine: &Engine, id: &str) -> String {
    PITLANE.run_on(engine, &["why", id]).ok().stdout
}

/// The parts stand in the text in this order.
#[track_caller]
fn in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("no {part:?} behind the others in\n{text}"));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn every_id_of_the_loop_leads_to_the_same_story_beside_a_server_and_without_one() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let query = "pub_click_id=ck-1&pub_member_id=m-1&pub_sub_2=banner";
        let click = click_id(&world.visit("flat/app", query));
        let answer = world.report(&format!("gk_click_id={click}&cnv_sub_1=x"));
        let conversion = conversion_id(&answer);
        let answered = answer.json()["responseId"].as_str().unwrap().to_owned();
        let delivery = world.received()[0].webhook_id.clone().unwrap();
        let ids = [
            ("click_id", &click),
            ("conversion_id", &conversion),
            ("delivery_id", &delivery),
            ("answer_id", &answered),
            ("pub_click_id", &"ck-1".to_owned()),
            ("pub_member_id", &"m-1".to_owned()),
        ];
        let all = || ids.map(|(_, id)| story(engine, id));
        for (kind, id) in ids {
            assert_eq!(known(engine, id)["found_as"], serde_json::json!([kind]));
        }
        let beside = all();
        world.stop();
        assert_eq!(beside, all(), "the same without a server");
        for one in &beside {
            assert_eq!(one, &beside[0]);
        }
        whole(&beside[0], &click, &conversion, &delivery);
    });
}

/// The keys of every object, but of those whose keys are names of parameters.
fn keys(value: &Value, all: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                all.insert(key.clone());
                if key != "parameters" {
                    keys(value, all);
                }
            }
        }
        Value::Array(array) => array.iter().for_each(|value| keys(value, all)),
        _ => {}
    }
}

#[test]
fn every_key_of_the_json_stands_in_the_guide() {
    let engine = Engine::sqlite();
    let world = World::start(&engine);
    let visit = |n| click_id(&world.visit("share/app", &format!("pub_click_id=c-{n}&pub_member_id=m-1")));
    let clicks = (visit(1), visit(2));
    for click in [&clicks.0, &clicks.1] {
        world.report(&format!("gk_click_id={click}&cnv_amount=10"));
    }
    world.received();
    let url = format!("http://any.example{}?pub_click_id=c-9&pub_member_id=m-9", world.path("flat/app"));
    let checked = PITLANE.run_on(&engine, &["link", "check", &url, "--json"]).ok().json();
    let mut all = BTreeSet::new();
    for known in [known(&engine, &clicks.0), known(&engine, &clicks.1), known(&engine, "m-1"), checked] {
        keys(&known, &mut all);
    }
    let absent: Vec<&String> = all.iter().filter(|key| !GUIDE.contains(&format!("`{key}`"))).collect();
    assert!(all.len() > 60 && absent.is_empty(), "{absent:?} of {all:?}");
    world.stop();
}

/// Everything about the one click of the loop.
#[track_caller]
fn whole(story: &Value, click: &str, conversion: &str, delivery: &str) {
    let visited = &story["click"];
    assert_eq!((&visited["id"], &visited["verdict"]), (&click.into(), &"ok".into()), "{story:#}");
    assert_eq!(visited["owner"]["offer_slug"], "flat");
    assert_eq!(visited["parameters"]["pub_sub_2"], "banner");
    assert_eq!(visited["sent_to"], format!("https://shop.example/flat?click={click}"));
    assert_eq!((&story["rules"]["agrees"], &story["rules"]["verdict"]), (&true.into(), &"ok".into()));
    assert!(story["rules"]["steps"].as_array().unwrap().iter().all(|step| step["passed"] == true));
    let request = &story["requests"][0];
    assert_eq!((&request["code"], &request["http_status"]), (&"recorded".into(), &200.into()));
    assert!(request["target"].as_str().unwrap().contains("token=***"), "{request}");
    let converted = &story["conversions"][0];
    assert_eq!((&converted["id"], &converted["status"]), (&conversion.into(), &"Success".into()));
    assert_eq!(converted["payout"], serde_json::json!({ "amount": "1.20", "currency": "USD" }));
    assert_eq!(converted["parameters"]["cnv_sub_1"], "x");
    assert_eq!(converted["history"][0]["actor"], "advertiser");
    let told = &converted["deliveries"][0];
    assert_eq!((&told["id"], &told["state"]), (&delivery.into(), &"delivered".into()));
    assert_eq!(told["next_attempt"], Value::Null);
    let attempt = &told["attempts"][0];
    assert_eq!((&attempt["http_status"], &attempt["answer"]), (&200.into(), &"ok".into()));
    assert!(attempt["url"].as_str().unwrap().contains("click=ck-1"), "{attempt}");
}

#[test]
fn the_text_is_in_order_of_time_and_holds_no_secret() {
    let engine = Engine::sqlite();
    let world = World::start(&engine);
    let click = world.click("flat", "m-1");
    world.report(&format!("gk_click_id={click}"));
    world.received();
    let text = told(&engine, &click);
    world.stop();
    in_order(
        &text,
        &[
            &format!("Click {click} on link "),
            "network acme, advertiser shop",
            "+0.000 s  a visitor came from 127.0.0.1",
            "pub_member_id = m-1",
            "decided: ok",
            "passed  partner approved: partner Active, link Approved",
            "sent on to the advertiser (302)",
            "127.0.0.1 reported: answered recorded (200)",
            "passed  postback is new: no conversion has its key",
            "passed  not too late: ",
            "after the click, 0 s to 30 d allowed",
            "passed  member has not completed it: the place is free",
            "passed  approval: Success: Automatic at once",
            "recorded: Success",
            "revenue 2.50 USD, payout 1.20 USD",
            "made: tells postback all of Success",
            "attempt 1 answered 200 in ",
            "answer: ok",
            "Comes to: conversion ",
            "holds the member's place; deliveries: 1 delivered, 0 waiting, 0 dead.",
        ],
    );
    assert!(!text.contains(TOKEN), "{text}");
    let moments: Vec<&str> =
        text.lines().filter(|line| line.starts_with("20")).map(|line| &line[..24]).collect();
    assert!(moments.len() >= 7 && moments.is_sorted(), "{moments:?}");
}

#[test]
fn what_lost_the_place_names_what_holds_it() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let visit = |n| click_id(&world.visit("flat/app", &format!("pub_click_id=c-{n}&pub_member_id=m-1")));
        let (first, second) = (visit(1), visit(2));
        let winner = conversion_id(&world.report(&format!("gk_click_id={first}")));
        let answer = world.report(&format!("gk_click_id={second}"));
        assert_eq!(answer.code(), "member_already_completed");
        let lost = story(engine, &conversion_id(&answer))["conversions"][0].clone();
        assert_eq!(
            (&lost["reason"], &lost["holds_place"]),
            (&"member_already_completed".into(), &false.into())
        );
        assert_eq!(
            (&lost["winner"]["id"], &lost["winner"]["click"]),
            (&winner.into(), &first.clone().into())
        );
        assert_eq!(lost["deliveries"], serde_json::json!([]));
        let text = told(engine, &second);
        in_order(&text, &["recorded: Rejected (member_already_completed)", "the member's place is held by"]);
        in_order(&text, &[&format!("from click {first}"), "the partner is not told"]);
        world.stop();
    });
}

#[test]
fn each_refused_click_says_which_rule_refused_it() {
    let engine = Engine::sqlite();
    let world = World::start(&engine);
    let cases = [
        ("pub_click_id=c1&pub_member_id=", "pub_member_id_empty", "FAILED  id given: pub_member_id = \"\""),
        (
            "pub_click_id=%7Bx%7D&pub_member_id=m2",
            "pub_click_id_macro",
            "FAILED  id is no placeholder: pub_click_id",
        ),
        ("pub_click_id=%257Bx%257D&pub_member_id=m3", "pub_click_id_macro", "FAILED  id is no placeholder"),
        (
            "pub_click_id=c4&pub_member_id=m4&pub_sub_1=%zz",
            "parameter_malformed",
            "FAILED  parameters readable: pub_sub_1 has a `%`",
        ),
    ];
    for (query, verdict, failed) in cases {
        let answer = world.visit("flat/app", query);
        assert_eq!((answer.status, answer.header("x-click-verdict")), (400, verdict));
        // A refused click's answer carries its id.
        let id = answer.json()["responseId"].as_str().unwrap().to_owned();
        let story = story(&engine, &id);
        assert_eq!(
            (&story["click"]["verdict"], &story["rules"]["verdict"]),
            (&verdict.into(), &verdict.into())
        );
        assert_eq!(story["rules"]["agrees"], true, "{story:#}");
        let text = told(&engine, &id);
        in_order(
            &text,
            &["decided: ", "said: ", failed, "sent nowhere: answered 400", "the visitor never left"],
        );
    }
    world.stop();
}

#[test]
fn settings_that_have_changed_since_are_told() {
    let engine = Engine::sqlite();
    let world = World::start(&engine);
    let click = world.click("flat", "m-1");
    let rule = "slug = \"flat\"\ntargeting = [{ allow = \"country\", of = [\"DE\"] }]";
    apply(&engine, &world.declaration().replacen("slug = \"flat\"", rule, 1), &[]);
    let rules = &story(&engine, &click)["rules"];
    assert_eq!((&rules["verdict"], &rules["agrees"]), (&"target_mismatch".into(), &false.into()));
    in_order(
        &told(&engine, &click),
        &[
            "decided: ok",
            "FAILED  targeting: country is `unknown`; the offer allows DE",
            "With the settings of now it would be target_mismatch",
        ],
    );
    world.stop();
}

#[test]
fn what_the_member_completed_later_does_not_change_why_it_was_let_through() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let before = world.click("flat", "m-1");
        world.report(&format!("gk_click_id={before}"));
        eventually("the server knows that the member completed", AT_MOST, || {
            world.visit("flat/app", "pub_click_id=c-2&pub_member_id=m-1").status == 409
        });
        assert_eq!(story(engine, &before)["rules"]["agrees"], true);
        let newest = known(engine, "c-2")["clicks"][0].clone();
        let after = story(engine, newest["id"].as_str().unwrap());
        assert_eq!(after["rules"]["verdict"], "member_already_completed");
        assert_eq!(after["rules"]["agrees"], true, "{after:#}");
        world.stop();
    });
}

#[test]
fn an_id_of_many_clicks_lists_the_newest_and_says_how_to_narrow() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let visit = |n| {
            let answer = world.visit("share/app", &format!("pub_click_id=same&pub_member_id=m-{n}"));
            // From the second on the click id is flagged.
            answer.header("location").split_once("click=").unwrap().1.to_owned()
        };
        let clicks: Vec<String> = (0..25).map(visit).collect();
        world.report(&format!("gk_click_id={}&cnv_amount=10", clicks[24]));
        let known = known(engine, "same");
        assert_eq!((&known["total"], &known["more"]), (&25.into(), &false.into()));
        assert_eq!(known["story"], Value::Null);
        let listed: Vec<&str> =
            known["clicks"].as_array().unwrap().iter().map(|click| click["id"].as_str().unwrap()).collect();
        let newest: Vec<&str> = clicks.iter().rev().take(20).map(String::as_str).collect();
        assert_eq!(listed, newest);
        let text = told(engine, "same");
        in_order(
            &text,
            &[
                "`same` is the pub_click_id of 25 clicks. Newest first:",
                &clicks[24],
                "share/app",
                "Success",
                &clicks[23],
                "no conversion",
                "… and 5 older",
                &format!("pitlane why {}", clicks[24]),
            ],
        );
        world.stop();
    });
}

#[test]
fn an_id_may_be_a_click_s_and_a_member_s_at_once() {
    let engine = Engine::sqlite();
    let world = World::start(&engine);
    let one = click_id(&world.visit("flat/app", "pub_click_id=both&pub_member_id=both"));
    let known = known(&engine, "both");
    assert_eq!(known["found_as"], serde_json::json!(["pub_click_id", "pub_member_id"]));
    assert_eq!((&known["total"], &known["story"]["click"]["id"]), (&1.into(), &one.into()));
    world.stop();
}

#[test]
fn a_change_of_status_is_told_with_who_made_it() {
    let engine = Engine::sqlite();
    let world = World::start(&engine);
    let click = world.click("flat", "m-1");
    world.report(&format!("gk_click_id={click}&cnv_status=Pending"));
    let answer = world.report(&format!("gk_click_id={click}&cnv_status=Success"));
    assert_eq!(answer.code(), "updated");
    world.received();
    let text = told(&engine, &click);
    let id = conversion_id(&answer);
    in_order(
        &text,
        &[
            "answered recorded (200)",
            &format!("conversion {id} recorded: Pending"),
            "answered updated (200)",
            &format!("conversion {id} became Success, by advertiser"),
            "tells postback all of Success",
        ],
    );
    world.stop();
}

#[test]
fn a_delivery_that_waits_says_when_it_is_tried_next() {
    let engine = Engine::sqlite();
    let world = World::start(&engine);
    world.partner.set_behaviour(simulator::partner::Behaviour::Status(503));
    let click = world.click("flat", "m-1");
    world.report(&format!("gk_click_id={click}"));
    let told_once =
        || story(&engine, &click)["conversions"][0]["deliveries"][0]["attempts"] != serde_json::json!([]);
    eventually("an attempt is made", AT_MOST, told_once);
    let delivery = story(&engine, &click)["conversions"][0]["deliveries"][0].clone();
    assert_eq!(
        (&delivery["state"], &delivery["attempts"][0]["http_status"]),
        (&"pending".into(), &503.into())
    );
    assert!(delivery["next_attempt"].as_str().unwrap() > delivery["attempts"][0]["at"].as_str().unwrap());
    let text = told(&engine, &click);
    in_order(&text, &["attempt 1 answered 503", "is due: attempt ", "0 delivered, 1 waiting, 0 dead"]);
    world.stop();
}

#[test]
fn reports_that_are_about_no_click_are_found_by_their_answer_and_their_click_id() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let stranger = "0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6";
        let unknown = world.report(&format!("gk_click_id={stranger}"));
        assert_eq!(unknown.code(), "click_unknown");
        let broken = world.report("gk_click_id={click}");
        assert_eq!(broken.code(), "click_id_macro");
        for (id, kind, code) in [
            (stranger, "unknown_click_id", "click_unknown"),
            (unknown.json()["responseId"].as_str().unwrap(), "answer_id", "click_unknown"),
            (broken.json()["responseId"].as_str().unwrap(), "answer_id", "click_id_macro"),
        ] {
            let known = known(engine, id);
            assert_eq!((&known["found_as"][0], &known["total"]), (&kind.into(), &0.into()), "{known:#}");
            assert_eq!(known["story"]["requests"][0]["code"], code);
            assert_eq!(known["story"]["click"], Value::Null);
            in_order(&told(engine, id), &["No click of ours", &format!("answered {code}"), "said: "]);
        }
        world.stop();
    });
}

#[track_caller]
fn unknown(ran: &Ran, searched: &str) {
    assert_eq!(ran.code, Some(1), "{ran:?}");
    in_order(&ran.stderr, &["nothing is known of `", searched, "\n  next: "]);
}

#[test]
fn an_unknown_id_fails_and_says_what_was_searched() {
    let engine = Engine::sqlite();
    let world = World::start(&engine);
    let why = |args: &[&str]| PITLANE.run_on(&engine, &[&["why"], args].concat());
    let nobody = why(&["nobody"]);
    assert_eq!(nobody.stdout, "");
    unknown(&nobody, "searched as pub_click_id and pub_member_id");
    let id = "0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6";
    unknown(&why(&[id]), "searched as click id, conversion id, delivery id, answer id, pub_click_id");
    let json = why(&["nobody", "--json"]);
    unknown(&json, "searched as");
    assert_eq!((&json.json()["total"], &json.json()["found_as"]), (&0.into(), &serde_json::json!([])));
    world.stop();
}

#[test]
fn networks_are_told_apart() {
    let engine = Engine::sqlite();
    let more = "[[network]]\nlabel = \"rival\"\ncurrency = \"EUR\"\n";
    let network = "label = \"acme\"";
    let declaration = crate::world::NETWORK.replace("[[advertiser]]", "[[advertiser]]\nnetwork = \"acme\"");
    let declaration = declaration.replace("[[partner]]", "[[partner]]\nnetwork = \"acme\"");
    let declaration = declaration.replace("[[offer]]", "[[offer]]\nnetwork = \"acme\"");
    let declaration = declaration.replace("[[link]]", "[[link]]\nnetwork = \"acme\"");
    let declaration = declaration.replace("[[postback]]", "[[postback]]\nnetwork = \"acme\"");
    assert!(declaration.contains(network));
    let world = World::declared(&engine, &format!("{more}{declaration}"), &[]);
    let url = format!("{}{}?pub_click_id=c&pub_member_id=m", world.server().url(), world.path("flat/app"));
    let answer = http::answer(http::client().get(url).header("host", "api.acme.test"));
    let click = click_id(&answer);
    let why = |network: &str| PITLANE.run_on(&engine, &["why", "m", "--json", "--network", network]);
    let own = why("acme").ok().json();
    assert_eq!((&own["network"], &own["story"]["click"]["id"]), (&"acme".into(), &click.into()));
    let other = why("rival");
    assert_eq!((other.code, &other.json()["total"]), (Some(1), &0.into()));
    let absent = why("nowhere");
    assert_eq!(absent.code, Some(2), "{absent:?}");
    in_order(&absent.stderr, &["there is no network `nowhere`", "--network acme or --network rival"]);
    world.stop();
}

#[test]
fn a_stranger_s_text_cannot_steer_the_terminal() {
    let engine = Engine::sqlite();
    let world = World::start(&engine);
    let url =
        format!("{}{}?pub_click_id=c&pub_member_id=%E2%80%AEx", world.server().url(), world.path("flat/app"));
    // A control sequence introducer of the C1 set, in UTF-8, which a header may carry.
    let request = http::client().get(url).header("user-agent", &b"evil \xc2\x9b31m"[..]);
    let click = click_id(&http::answer(request));
    let text = told(&engine, &click);
    assert!(text.contains("user agent: evil \\u{9b}31m"), "{text}");
    assert!(text.contains("pub_member_id = \\u{202e}x"), "{text}");
    assert!(!text.contains(['\u{9b}', '\u{202e}']), "{text}");
    world.stop();
}

#[test]
fn a_folder_without_a_database_is_refused_and_stays_as_it_is() {
    let folder = Folder::new();
    let nowhere = folder.join("nowhere");
    for command in [vec!["why", "x"], vec!["delivery", "list", "--partner", "x"]] {
        let ran = PITLANE.run(&[command, vec!["--data", &nowhere]].concat());
        assert_eq!(ran.code, Some(1), "{ran:?}");
        in_order(&ran.stderr, &["there is no database in", "next: name its folder with --data"]);
    }
    assert!(!std::path::Path::new(&nowhere).exists());
}

#[test]
fn every_request_tells_the_rules_that_it_met_then() {
    for_each_engine(|engine| {
        let more = crate::life::offer("capped", "caps = { total = 1 }\npending_days = 3");
        let world = World::with(engine, &more, &[]);
        let visit =
            |n| click_id(&world.visit("capped/app", &format!("pub_click_id=c-{n}&pub_member_id=m-{n}")));
        let (first, second) = (visit(1), visit(2));
        world.report(&format!("gk_click_id={first}"));
        world.report(&format!("gk_click_id={first}"));
        assert_eq!(world.report(&format!("gk_click_id={second}")).code(), "rejected:capped");
        let text = told(engine, &first);
        in_order(
            &text,
            &[
                "answered recorded (200)",
                "passed  caps and budgets leave room: taken: 0 of 1 conversions in total",
                "passed  approval: Pending; Automatic after 3 days: Success at 20",
                "recorded: Pending",
                "answered duplicate (200)",
                "FAILED  postback is new: it is conversion ",
                "becomes Success by itself",
            ],
        );
        in_order(
            &told(engine, &second),
            &[
                "answered rejected:capped",
                "FAILED  caps and budgets leave room: taken: 1 of 1 conversions in total",
            ],
        );
        // The offer's rules change; what the request met then stays.
        apply(engine, &world.declaration().replace("caps = { total = 1 }", ""), &[]);
        in_order(&told(engine, &second), &["FAILED  caps and budgets leave room: taken: 1 of 1"]);
        let waits = &story(engine, &first)["conversions"][0]["waits"];
        assert_eq!(waits["what"], "approval");
        let unknown = "0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6";
        world.report(&format!("gk_click_id={unknown}"));
        in_order(&told(engine, unknown), &["answered click_unknown", "FAILED  click known: no click "]);
        world.stop();
    });
}

#[test]
fn a_test_is_told_as_one() {
    let engine = Engine::sqlite();
    let world = World::start(&engine);
    let made =
        PITLANE.run_on(&engine, &["link", "test", &world.applied.id("link", "flat/app"), "--json"]).ok();
    let url = made.json()["url"].as_str().unwrap().to_owned();
    let query = url.split_once('?').unwrap().1.to_owned();
    eventually("the server knows the key", AT_MOST, || world.visit("flat/app", &query).status == 302);
    let newest = engine.sql("select click_id from click order by click_id desc limit 1")[0][0].clone();
    let click = uuid::Uuid::parse_str(&newest).unwrap().to_string();
    world.report(&format!("gk_click_id={click}"));
    world.received();
    let story = story(&engine, &click);
    assert_eq!(story["click"]["marks"], serde_json::json!(["test"]), "{story:#}");
    assert_eq!(
        (&story["conversions"][0]["test"], &story["conversions"][0]["holds_place"]),
        (&true.into(), &false.into())
    );
    in_order(
        &told(&engine, &click),
        &[
            "marked: test",
            "caps and budgets leave room: a test is not counted",
            "a test: it holds no place",
            "Success, a test;",
        ],
    );
    world.stop();
}
