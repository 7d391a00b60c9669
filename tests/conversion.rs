//! A conversion's life: once per member, one for all copies of a postback, and its changes of status.

use std::cell::Cell;
use testkit::{for_each_engine, until};

use crate::world::{AT_MOST, World, conversion_id};

/// Offers that pay again, wait, or need somebody's decision; a postback that is told everything.
const MORE: &str = r#"
[[offer]]
slug = "again"
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
repeats = true

[[offer]]
slug = "waits"
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
pending_days = 3

[[offer]]
slug = "asks"
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
approval = "Manual"

[[link]]
offer = "again"
partner = "app"
[[link]]
offer = "waits"
partner = "app"
[[link]]
offer = "asks"
partner = "app"
[[link]]
offer = "flat"
partner = "web"

[[partner]]
slug = "web"

[[postback]]
partner = "app"
slug = "news"
on = ["Success", "Pending", "Rejected", "changes"]
url = "http://{partner}/postback/news?member={pub_member_id}&status={cnv_status}&payout={payout}"
"#;

impl World<'_> {
    /// Reports a click with more parameters: the code, and the conversion that it names.
    fn reported(&self, click: &str, more: &str) -> (String, String) {
        let answer = self.report(&format!("gk_click_id={click}{more}"));
        assert_eq!(answer.status, if answer.code() == "conflict" { 409 } else { 200 }, "{answer:?}");
        (answer.code(), conversion_id(&answer))
    }

    /// What the postback `news` heard of a member, sorted: messages that follow each other closely may overtake.
    fn news(&self, member: &str) -> Vec<String> {
        let received = self.received();
        let own = received.iter().filter(|one| {
            one.path_and_query.starts_with("/postback/news") && one.parameter("member") == member
        });
        let told = own.map(|one| format!("{} {}", one.parameter("status"), one.parameter("payout")));
        let mut told: Vec<String> = told.collect();
        told.sort();
        told
    }

    /// How much the other postback, which wants only what pays, heard of a member's clicks.
    fn pays(&self, member: &str) -> usize {
        let click = format!("click-{member}");
        let received = self.received();
        let own = received
            .iter()
            .filter(|one| one.path_and_query.starts_with("/postback/all"))
            .filter(|one| one.parameter("click").strip_prefix(&click).is_some_and(is_number));
        own.count()
    }
}

/// What stands behind the member in the partner's click ids, see [`World::click`].
fn is_number(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('-')
}

#[test]
fn a_member_completes_an_offer_once_and_later_ones_are_evidence() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let clicks: Vec<String> = (0..3).map(|_| world.click("flat", "m1")).collect();
        let (code, winner) = world.reported(&clicks[0], "");
        assert_eq!(code, "recorded");
        for (at, click) in clicks[1..].iter().enumerate() {
            let own_id = if at == 0 { "" } else { "&cnv_conversion_id=order-2" };
            let answer = world.report(&format!("gk_click_id={click}{own_id}"));
            assert_eq!(answer.code(), "member_already_completed");
            assert_eq!(answer.json()["data"]["winnerId"], winner);
            let copy = world.reported(click, own_id);
            assert_eq!(copy, ("duplicate".to_owned(), conversion_id(&answer)), "copies name the evidence");
        }
        assert_eq!((world.news("m1"), world.pays("m1")), (vec!["Success 1.20".to_owned()], 1));
        assert_eq!(world.count("conversion where holds_place = 1"), 1);
        assert_eq!(world.count("conversion where status = 'Rejected' and winner_id is not null"), 2);
        // Another partner's member of the same name is somebody else.
        let other = world.visit("flat/web", "pub_click_id=c&pub_member_id=m1");
        let other = other.header("location").split_once("click=").unwrap().1.to_owned();
        assert_eq!(world.reported(&other, "").0, "recorded");
        world.stop();
    });
}

#[test]
fn evidence_does_not_open_the_links_to_the_member_again() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let (first, second) = (world.click("flat", "m1"), world.click("flat", "m1"));
        let visits = Cell::new(0);
        let verdict = |member: &str| {
            visits.set(visits.get() + 1);
            let query = format!("pub_click_id=c{}&pub_member_id={member}", visits.get());
            world.visit("flat/app", &query).header("x-click-verdict").to_owned()
        };
        let known =
            |what: &str, wanted: &str| until(what, AT_MOST, || (verdict("m1") == wanted).then_some(()));
        assert_eq!(world.reported(&first, "").0, "recorded");
        known("the completion is known", "member_already_completed");
        assert_eq!(world.reported(&second, "").0, "member_already_completed");
        // Something that the links hear of later than of the evidence.
        let marker = world.click("flat", "marker");
        assert_eq!(world.reported(&marker, "").0, "recorded");
        until("what came after the evidence is known", AT_MOST, || {
            (verdict("marker") == "member_already_completed").then_some(())
        });
        assert_eq!(verdict("m1"), "member_already_completed");
        assert_eq!(world.reported(&first, "&cnv_status=Rejected").0, "updated");
        known("rejecting the winner frees the place", "ok");
        world.stop();
    });
}

#[test]
fn rejecting_the_winner_frees_its_place_and_a_rejected_one_holds_none() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let clicks: Vec<String> = (0..4).map(|_| world.click("flat", "m1")).collect();
        assert_eq!(world.reported(&clicks[0], "&cnv_status=Rejected").0, "rejected:advertiser_rejected");
        let (code, first) = world.reported(&clicks[1], "");
        assert_eq!(code, "recorded");
        assert_eq!(world.reported(&clicks[2], "").0, "member_already_completed");
        assert_eq!(world.reported(&clicks[1], "&cnv_status=reversed"), ("updated".to_owned(), first));
        assert_eq!(world.reported(&clicks[3], "").0, "recorded");
        assert_eq!(world.count("conversion where holds_place = 1"), 1);
        let heard = ["Rejected 0.00", "Rejected 0.00", "Success 1.20", "Success 1.20"];
        assert_eq!(world.news("m1"), heard);
        assert_eq!(world.pays("m1"), 2);
        world.stop();
    });
}

#[test]
fn events_are_completed_each_by_itself() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let (first, second) = (world.click("levels", "m1"), world.click("levels", "m1"));
        let (code, install) = world.reported(&first, "&cnv_event_id=install");
        assert_eq!(code, "recorded");
        assert_eq!(world.reported(&second, "&cnv_event_id=install").0, "member_already_completed");
        let (code, level) = world.reported(&second, "&cnv_event_id=Level%2010&cnv_conversion_id=x");
        assert_eq!(code, "recorded");
        assert_ne!(install, level);
        // An advertiser's id names one conversion within an event.
        let third = world.click("levels", "m2");
        assert_eq!(world.reported(&third, "&cnv_event_id=install&cnv_conversion_id=x").0, "recorded");
        assert_eq!(
            world.reported(&third, "&cnv_event_id=Level%2010&cnv_conversion_id=x"),
            ("conflict".to_owned(), level)
        );
        let paid = "select event_code, payout_micros from conversion where status = 'Success' order by conversion_id";
        assert_eq!(engine.sql(paid), [["install", "600000"], ["Level 10", "4000000"], ["install", "600000"]]);
        // On an offer without events the advertiser's event id is its own business.
        let single = world.click("flat", "m1");
        assert_eq!(world.reported(&single, "&cnv_event_id=whatever").0, "recorded");
        assert_eq!(world.reported(&single, "&cnv_event_id=other").0, "duplicate");
        world.stop();
    });
}

#[test]
fn the_advertiser_s_own_id_makes_copies_one_for_ever() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let (click, other) = (world.click("share", "m1"), world.click("share", "m2"));
        let sale = "&cnv_conversion_id=order-1&cnv_amount=10";
        let (code, first) = world.reported(&click, sale);
        assert_eq!(code, "recorded");
        let first_as = |code: &str| (code.to_owned(), first.clone());
        assert_eq!(world.reported(&click, sale), first_as("duplicate"));
        assert_eq!(
            world.reported(&click, "&cnv_conversion_id=order-1&cnv_amount=10.000"),
            first_as("duplicate")
        );
        let other_facts = [
            "&cnv_conversion_id=order-1&cnv_amount=11",
            "&cnv_conversion_id=order-1&cnv_amount=10&cnv_currency=EUR",
            "&cnv_conversion_id=order-1&cnv_amount=11&cnv_status=Rejected",
        ];
        for facts in other_facts {
            assert_eq!(world.reported(&click, facts), first_as("conflict"), "{facts}");
        }
        assert_eq!(world.reported(&other, sale), first_as("conflict"), "another click");
        // Without the id, it is a copy by its click.
        assert_eq!(world.reported(&click, "&cnv_amount=10"), first_as("duplicate"));
        assert_eq!(world.reported(&other, "&cnv_conversion_id=order-2&cnv_amount=10").0, "recorded");
        assert_eq!(world.count("conversion where status = 'Success'"), 2);
        assert_eq!(world.pays("m1"), 1);
        world.stop();
    });
}

#[test]
fn a_repeat_needs_a_new_click_or_a_new_id_of_the_advertiser() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let (first, second) = (world.click("again", "m1"), world.click("again", "m1"));
        let (code, one) = world.reported(&first, "");
        assert_eq!(code, "recorded");
        assert_eq!(world.reported(&first, ""), ("duplicate".to_owned(), one));
        assert_eq!(world.reported(&first, "&cnv_conversion_id=a").0, "recorded");
        assert_eq!(world.reported(&first, "&cnv_conversion_id=b").0, "recorded");
        assert_eq!(world.reported(&first, "&cnv_conversion_id=a").0, "duplicate");
        assert_eq!(world.reported(&second, "").0, "recorded");
        assert_eq!(world.pays("m1"), 4);
        assert_eq!(world.count("conversion where status = 'Success'"), 4);
        // And the links stay open.
        world.click("again", "m1");
        world.stop();
    });
}

#[test]
fn every_word_for_a_status_is_understood_and_moves_it_only_forwards() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        // Offer, the words in their order, then what was answered and where it ended.
        let cases = [
            ("flat", "", "recorded", "Success"),
            ("flat", "Success", "recorded", "Success"),
            ("flat", "approved", "recorded", "Success"),
            ("flat", "1", "recorded", "Success"),
            ("flat", "SUCCESS", "recorded", "Success"),
            ("flat", "Pending", "recorded", "Pending"),
            ("flat", "2", "recorded", "Pending"),
            ("flat", "rejected", "rejected:advertiser_rejected", "Rejected"),
            ("flat", "3 1", "rejected:advertiser_rejected duplicate", "Rejected"),
            ("flat", "2 1 3", "recorded updated updated", "Rejected"),
            ("flat", "2 reversed", "recorded updated", "Rejected"),
            ("flat", "1 2", "recorded duplicate", "Success"),
            ("flat", "2 1 2 1", "recorded updated duplicate duplicate", "Success"),
            ("flat", "1 3 2 1 3", "recorded updated duplicate duplicate duplicate", "Rejected"),
            ("waits", "1", "recorded", "Pending"),
            ("waits", "1 1 3", "recorded duplicate updated", "Rejected"),
            ("asks", "Success", "recorded", "Pending"),
            ("asks", "2 1", "recorded duplicate", "Pending"),
        ];
        for (at, (offer, words, answers, end)) in cases.into_iter().enumerate() {
            let click = world.click(offer, &format!("m{at}"));
            let answered: Vec<_> =
                words.split(' ').map(|word| world.reported(&click, &format!("&cnv_status={word}"))).collect();
            let codes: Vec<&str> = answered.iter().map(|(code, _)| code.as_str()).collect();
            assert_eq!(codes.join(" "), answers, "{offer}: {words}");
            assert!(answered.iter().all(|(_, id)| *id == answered[0].1), "{offer}: {words}");
            let status = format!(
                "select status, (select count(*) - 1 from conversion_change h where h.conversion_id = c.conversion_id) \
                 = version from conversion c where click_id = {}",
                engine.id(&click)
            );
            assert_eq!(engine.sql(&status)[0][0], end, "{offer}: {words}");
            let version = engine.sql(&status)[0][1].clone();
            assert!(["1", "t"].contains(&version.as_str()), "each change has its line: {version}");
        }
        // The partner hears of every change that it asked for, and of money once.
        assert_eq!(world.news("m9"), ["Pending 1.20", "Rejected 0.00", "Success 1.20"]);
        assert_eq!(world.pays("m9"), 1);
        assert_eq!((world.news("m5"), world.pays("m5")), (vec!["Pending 1.20".to_owned()], 0));
        assert_eq!((world.news("m8"), world.pays("m8")), (vec!["Rejected 0.00".to_owned()], 0));
        world.stop();
    });
}
