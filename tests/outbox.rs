//! Sending again: one delivery, those of a postback, and what a late postback missed.

use std::collections::BTreeSet;

use simulator::partner::{Behaviour, SignatureCheck};
use testkit::{Engine, Ran, eventually, for_each_engine};

use crate::PITLANE;
use crate::world::{AT_MOST, World, apply, conversion_id};

fn run(world: &World<'_>, args: &[&str]) -> Ran {
    PITLANE.run_on(world.engine, args)
}

/// The deliveries to the partner, newest first.
fn list(world: &World<'_>, args: &[&str]) -> Vec<serde_json::Value> {
    let ran = run(world, &[&["delivery", "list", "--partner", "app", "--json"], args].concat()).ok();
    ran.json().as_array().unwrap().clone()
}

/// A conversion of a member on the flat offer.
fn convert(world: &World<'_>, member: &str) -> String {
    let click = world.click("flat", member);
    let answer = world.report(&format!("gk_click_id={click}"));
    assert_eq!(answer.code(), "recorded");
    conversion_id(&answer)
}

/// The webhook ids that the partner has received, with how often each.
fn ids(world: &World<'_>) -> Vec<String> {
    world.partner.received().iter().map(|one| one.webhook_id.clone().unwrap()).collect()
}

fn received(world: &World<'_>, count: usize) {
    eventually("the partner is told", AT_MOST, || world.partner.count() >= count);
    eventually("every delivery has ended", AT_MOST, || world.waiting() == 0);
    assert_eq!(world.partner.count(), count);
}

#[test]
fn a_delivery_that_arrived_is_sent_again_under_its_id() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        convert(&world, "m-1");
        received(&world, 1);
        let id = ids(&world)[0].clone();
        let ran = run(&world, &["delivery", "again", &id]).ok();
        assert!(
            ran.stdout.starts_with(&format!("Delivery {id} to postback `all` of partner app is due now")),
            "{ran:?}"
        );
        received(&world, 2);
        assert_eq!(ids(&world), [id.clone(), id.clone()]);
        assert!(world.partner.received().iter().all(|one| one.signature == SignatureCheck::Valid));
        let story = run(&world, &["why", &id, "--json"]).ok().json();
        let delivery = &story["story"]["conversions"][0]["deliveries"][0];
        assert_eq!(
            (&delivery["state"], delivery["attempts"].as_array().unwrap().len()),
            (&"delivered".into(), 2)
        );
        let absent = run(&world, &["delivery", "again", "0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6"]);
        assert_eq!(absent.code, Some(1));
        assert!(
            absent.stderr.contains("there is no delivery 0198f1c2") && absent.stderr.contains("next: "),
            "{absent:?}"
        );
        assert_eq!(run(&world, &["delivery", "again", "7"]).code, Some(2));
        world.stop();
    });
}

#[test]
fn what_was_given_up_is_replayed_once_the_postback_is_on_again() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        world.partner.set_behaviour(Behaviour::Status(503));
        for member in ["m-1", "m-2", "m-3"] {
            convert(&world, member);
        }
        eventually("each is tried", AT_MOST, || world.partner.count() >= 3);
        // Gone for good: the next attempt switches the postback off, and what waits for it is given up.
        world.partner.set_behaviour(Behaviour::Status(410));
        eventually("all are given up", AT_MOST, || list(&world, &["--state", "dead"]).len() == 3);
        let replay = ["delivery", "replay", "--partner", "app", "--postback", "all"];
        for command in
            [replay.to_vec(), vec!["delivery", "again", list(&world, &[])[0]["id"].as_str().unwrap()]]
        {
            let off = run(&world, &command);
            assert_eq!(off.code, Some(1), "{off:?}");
            assert!(
                off.stderr.contains("is switched off\n  next: switch it on with `enabled = true`"),
                "{off:?}"
            );
        }
        let on = world.declaration().replacen("slug = \"all\"", "slug = \"all\"\nenabled = true", 1);
        apply(engine, &on, &[]);
        world.partner.set_behaviour(Behaviour::Ok);
        let before = world.partner.count();
        let ran = run(&world, &replay).ok();
        assert_eq!(
            ran.stdout,
            "3 deliveries due now: those that were dead, of postback `all` of partner app.\n"
        );
        received(&world, before + 3);
        assert_eq!(list(&world, &["--state", "delivered"]).len(), 3);
        assert!(run(&world, &replay).ok().stdout.starts_with("0 deliveries due now"), "all have arrived");
        world.stop();
    });
}

#[test]
fn what_arrived_is_replayed_when_asked_since_a_time() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        convert(&world, "m-1");
        convert(&world, "m-2");
        received(&world, 2);
        let newest = list(&world, &["--limit", "1"])[0]["at"].as_str().unwrap().to_owned();
        let replay = |since: &str| {
            let command = [
                "delivery",
                "replay",
                "--partner",
                "app",
                "--postback",
                "all",
                "--state",
                "delivered",
                "--since",
                since,
            ];
            run(&world, &command).ok().stdout
        };
        assert!(replay("2090-01-01T00:00:00Z").starts_with("0 deliveries due now"));
        assert!(replay(&newest).starts_with("1 delivery due now: those that were delivered and made since "));
        received(&world, 3);
        assert!(replay("2020-01-01T00:00:00Z").starts_with("2 deliveries due now"));
        received(&world, 5);
        assert_eq!(ids(&world).into_iter().collect::<BTreeSet<_>>().len(), 2);
        world.stop();
    });
}

#[test]
fn a_late_postback_is_told_what_it_missed_once() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let told: Vec<String> = ["m-1", "m-2", "m-3"].map(|member| convert(&world, member)).to_vec();
        received(&world, 3);
        let second = engine.count("select max(received_ms) from conversion");
        let late = world.declaration().replacen(
            "[[postback]]",
            "[[postback]]\npartner = \"app\"\nslug = \"late\"\nmethod = \"POST_JSON\"\n\
             url = \"http://{late}/postback/late\"\n\n[[postback]]",
            1,
        );
        apply(engine, &late.replace("{late}", &world.partner.addr().to_string()), &[]);
        let fill = |since: &str| {
            let command =
                ["postback", "backfill", "--partner", "app", "--postback", "late", "--since", since];
            run(&world, &command).ok().stdout
        };
        assert!(fill("2090-01-01T00:00:00Z").starts_with("0 deliveries made"));
        assert!(
            second > 0
                && fill("2020-01-01T00:00:00Z").starts_with("3 deliveries made: conversions since 2020")
        );
        received(&world, 6);
        assert!(fill("2020-01-01T00:00:00Z").starts_with("0 deliveries made"), "nothing twice");
        let late: Vec<_> = world
            .partner
            .received()
            .into_iter()
            .filter(|one| one.path_and_query == "/postback/late")
            .collect();
        let conversions: BTreeSet<String> =
            late.iter().map(|one| one.parameter("conversion_id").to_owned()).collect();
        assert_eq!(conversions, told.into_iter().collect());
        assert!(late.iter().all(|one| one.signature == SignatureCheck::Valid && one.method == "POST"));
        let listed = list(&world, &[]);
        assert_eq!(listed.iter().filter(|own| own["origin"] == "backfill").count(), 3);
        world.stop();
    });
}

#[test]
fn deliveries_are_listed_newest_first_by_state() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let text = |args: &[&str]| {
            run(&world, &[&["delivery", "list", "--partner", "app"], args].concat()).ok().stdout
        };
        assert_eq!(text(&["--state", "dead"]), "There is no delivery that is dead to partner app.\n");
        let first = convert(&world, "m-1");
        received(&world, 1);
        world.partner.set_behaviour(Behaviour::Status(503));
        let second = convert(&world, "m-2");
        eventually("an attempt has failed", AT_MOST, || list(&world, &[])[0]["attempts"] == 1);
        let conversions: Vec<_> = list(&world, &[]).iter().map(|own| own["conversion"].clone()).collect();
        assert_eq!(conversions, [second.clone(), first]);
        assert_eq!(list(&world, &["--limit", "1"]).len(), 1);
        let pending = list(&world, &["--state", "pending"]);
        assert_eq!((pending.len(), &pending[0]["conversion"]), (1, &second.into()));
        assert_eq!(pending[0]["last_result"], "answered 503");
        let rows = text(&[]);
        assert!(rows.contains("pending, tried once, due ") && rows.contains(": answered 503\n"), "{rows}");
        assert!(rows.contains("delivered, tried once: answered 200\n"), "{rows}");
        world.stop();
    });
}

#[test]
fn names_that_do_not_exist_are_answered_with_those_that_do() {
    let engine = Engine::sqlite();
    let world = World::start(&engine);
    let cases = [
        (
            vec!["delivery", "list", "--partner", "ap"],
            "network acme has no partner `ap`\n  next: use one of: app",
        ),
        (
            vec!["delivery", "replay", "--partner", "app", "--postback", "al"],
            "partner app has no postback `al`\n  next: use one of: all",
        ),
        (
            vec![
                "postback",
                "backfill",
                "--partner",
                "app",
                "--postback",
                "x",
                "--since",
                "2026-01-01T00:00:00Z",
            ],
            "partner app has no postback `x`",
        ),
        (
            vec!["delivery", "replay", "--partner", "app", "--postback", "all", "--state", "pending"],
            "what is pending is sent anyway\n  next: use --state dead or",
        ),
        (vec!["delivery", "list", "--partner", "app", "--network", "x"], "there is no network `x`"),
        (vec!["delivery", "list", "--partner", "app", "--state", "lost"], "pending, delivered, dead"),
        (
            vec!["postback", "backfill", "--partner", "app", "--postback", "all", "--since", "today"],
            "is not a point in time",
        ),
    ];
    for (command, wanted) in cases {
        let ran = run(&world, &command);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.contains(wanted), "{wanted}: {ran:?}");
    }
    apply(&engine, "[[network]]\nlabel = \"rival\"\ncurrency = \"EUR\"\n", &[]);
    let several = run(&world, &["delivery", "list", "--partner", "app"]);
    assert_eq!(several.code, Some(2));
    let wanted = "there are several networks\n  next: use --network acme or --network rival";
    assert!(several.stderr.contains(wanted), "{several:?}");
    run(&world, &["delivery", "list", "--partner", "app", "--network", "acme"]).ok();
    world.stop();
}
