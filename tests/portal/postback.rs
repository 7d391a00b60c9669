//! Postbacks, deliveries and tokens as a partner meets them.

use serde_json::Value;
use simulator::partner::{Behaviour, SignatureCheck};
use testkit::http::{self, Answer};
use testkit::{eventually, for_each_engine};

use super::{Browser, start, start_with};
use crate::world::{AT_MOST, World, click_id, encoded};

const CANARY: &str = "\"><script>alert(1)</script>";

/// Another partner of the same network, with a postback of its own.
const OTHER: &str = r#"
[[partner]]
slug = "rival"
[[postback]]
partner = "rival"
slug = "secret-plan"
url = "https://rival.example/pb?c={pub_click_id}"
"#;

/// The id in an address such as `/postbacks/ID?said=created`.
#[track_caller]
fn id(address: &str) -> String {
    let last = address.rsplit('/').next().unwrap_or_default();
    let id: String = last.chars().take(36).collect();
    assert_eq!(id.len(), 36, "{address}");
    id
}

/// A form's fields for a postback to the partner's listener.
fn fields<'a>(name: &'a str, url: &'a str, scope: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![("name", name), ("url", url), ("method", "GET"), ("scope", scope), ("on_success", "1")]
}

fn listener(world: &World<'_>, query: &str) -> String {
    format!("http://{}/postback/portal?{query}", world.partner.addr())
}

/// Waits until a page shows a text.
#[track_caller]
fn shows(browser: &Browser, page: &str, text: &str) {
    eventually(text, AT_MOST, || browser.page(page).contains(text));
}

#[test]
fn a_postback_is_made_tried_changed_and_removed() {
    for_each_engine(|engine| {
        let world = start(engine);
        let member = Browser::log_in(&world, "member@app.example");
        let url = listener(&world, "cid={pub_click_id}&sub={pub_sub_1}&paid={payout}&is={cnv_status}");
        let made = member.submit("/postbacks", &fields("mine", &url, ""));
        let (page, id) = (made.split('?').next().unwrap().to_owned(), id(&made));
        assert!(member.page(&made).contains("The postback is there"), "{made}");

        let sent =
            [("pub_click_id", "try-1"), ("pub_member_id", "m"), ("pub_sub_1", CANARY), ("status", "Success")];
        let delivery = member.submit(&format!("{page}/test"), &sent);
        shows(&member, &delivery, "Attempt 1: answered 200");
        assert!(member.page(&delivery).contains("Test</span>"), "it is marked as a test");
        let received = world.received();
        assert_eq!(received.len(), 1, "only this postback is told: {received:?}");
        assert_eq!((received[0].parameter("cid"), received[0].parameter("sub")), ("try-1", CANARY));
        assert_eq!((received[0].parameter("paid"), received[0].parameter("is")), ("1.20", "Success"));
        assert!(!member.page(&delivery).contains(CANARY));
        assert_eq!(world.count("conversion where test = 1 and holds_place = 0"), 1);

        let share = world.applied.id("offer", "share");
        let mut changed = fields("ignored", &url, &share);
        changed[4] = ("on_rejected", "1");
        member.submit(&page, &changed);
        let stored = engine
            .sql("select on_success, on_rejected from postback where slug = 'mine' and offer_id is not null");
        assert_eq!(stored, [["0", "1"]]);
        assert!(member.page(&page).contains("share"), "{id}");

        member.submit(&format!("{page}/switch"), &[("on", "0")]);
        assert!(member.page(&page).contains("switched off by member@app.example"));
        assert_eq!(member.post(&format!("{page}/remove"), &[("name", "all")]).status, 422);
        assert_eq!(member.submit(&format!("{page}/remove"), &[("name", "mine")]), "/postbacks?said=removed");
        assert_eq!(member.get(&page).status, 404);
        let audit =
            engine.sql("select change from audit where subject = 'postback/app/mine' order by audit_id");
        let results: Vec<Value> = audit
            .iter()
            .map(|row| serde_json::from_str::<Value>(&row[0]).unwrap()["result"].clone())
            .collect();
        assert_eq!(results, ["created", "updated", "updated", "removed"]);
        world.stop();
    });
}

#[test]
fn what_is_wrong_is_said_beside_what_was_typed() {
    for_each_engine(|engine| {
        let world = start_with(engine, OTHER);
        let member = Browser::log_in(&world, "member@app.example");
        let refused = |form: &[(&str, &str)]| -> Answer {
            let answer = member.post("/postbacks", form);
            assert_eq!(answer.status, 422, "{answer:?}");
            answer
        };
        let bad = refused(&[
            ("name", "Not a slug"),
            ("url", &format!("https://x.example/?a={{nope}}{CANARY}")),
            ("method", "PUT"),
        ]);
        for told in [
            "The name `Not a slug`",
            "unknown macro `{nope}`",
            "how the request is sent",
            "at least one thing",
        ] {
            assert!(bad.body.replace("&#39;", "'").contains(told), "{told}: {}", bad.body);
        }
        assert!(bad.body.contains("Not a slug") && !bad.body.contains("<script>alert"));
        assert!(
            refused(&fields("all", "https://x.example/", ""))
                .body
                .contains("You have a postback of this name")
        );
        let gone = refused(&fields("up", "https://x.example/{pub_click_id}/../done", "")).body;
        assert!(gone.contains("write the path as it is to be sent"), "{gone}");
        let levels = world.applied.id("offer", "levels");
        let event = format!("{levels}/no such");
        assert!(refused(&fields("e", "https://x.example/", &event)).body.contains("no event"));
        assert_eq!(world.count("postback"), 2);

        let reader = Browser::log_in(&world, "reader@app.example");
        assert_eq!(reader.post("/postbacks", &fields("x", "https://x.example/", "")).status, 403);
        assert!(!reader.page("/postbacks").contains("New postback"));
        let rival = world.applied.id("postback", "rival/secret-plan");
        for page in ["", "/edit", "/replay", "/backfill"] {
            let theirs = member.get(&format!("/postbacks/{rival}{page}"));
            let absent = member.get(&format!("/postbacks/0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6{page}"));
            assert_eq!((theirs.status, &theirs.body), (404, &absent.body), "{page}");
        }
        assert_eq!(
            member.post(&format!("/postbacks/{rival}/remove"), &[("name", "secret-plan")]).status,
            404
        );
        assert!(!member.page("/postbacks").contains("secret-plan"));
        world.stop();
    });
}

#[test]
fn the_builder_translates_and_previews_what_the_worker_sends() {
    for_each_engine(|engine| {
        let world = start(engine);
        let reader = Browser::log_in(&world, "reader@app.example");
        let foreign = listener(&world, "cid=[CLICK]&usd=${PAYOUT}&zone={zone_id}");
        let builder = format!("/postbacks/builder?url={}", encoded(&foreign));
        let page = reader.page(&builder);
        assert!(
            page.contains("sample values")
                && page.contains("cid=your-click-id&#38;usd=1.25&#38;zone= HTTP/1.1"),
            "{page}"
        );
        assert!(page.contains("zone={zone_id}</span> is nothing that we know"));

        let click = world.click("flat", "ada");
        assert_eq!(world.report(&format!("gk_click_id={click}")).status, 200);
        let page = reader.page(&builder);
        assert!(
            page.contains("your newest conversion") && page.contains("cid=click-ada&#38;usd=1.20&#38;zone="),
            "{page}"
        );

        let owner = Browser::log_in(&world, "owner@app.example");
        let ours = listener(&world, "cid={pub_click_id}&usd={payout}&zone=");
        owner.submit("/postbacks", &fields("built", &ours, ""));
        let click = world.click("flat", "bob");
        world.report(&format!("gk_click_id={click}"));
        let received = world.received();
        let told = received.iter().find(|one| one.parameter("cid") == "click-bob").expect("told");
        assert_eq!((told.parameter("usd"), told.parameter("zone")), ("1.20", ""));
        world.stop();
    });
}

#[test]
fn deliveries_are_looked_at_sent_again_and_filled_in() {
    for_each_engine(|engine| {
        let world = start_with(engine, OTHER);
        let member = Browser::log_in(&world, "member@app.example");
        let page = format!("/postbacks/{}", world.applied.id("postback", "app/all"));
        world.partner.set_behaviour(Behaviour::Status(410));
        let click = world.click("flat", "ada");
        world.report(&format!("gk_click_id={click}"));
        world.received();
        let log = member.page(&page);
        assert!(log.contains("the endpoint answered 410 Gone") && log.contains("Given up"), "{log}");
        let delivery = engine.sql("select delivery_id from delivery")[0][0].clone();
        let delivery = format!("/deliveries/{}", uuid::Uuid::parse_str(&delivery).unwrap());
        assert!(member.page(&delivery).contains("Answer 410"));
        assert_eq!(
            member.submit(&format!("{delivery}/again"), &[]),
            delivery,
            "switched off: nothing is sent"
        );
        assert_eq!(world.count("delivery where state = 'dead'"), 1);

        world.partner.set_behaviour(Behaviour::Ok);
        member.submit(&format!("{page}/switch"), &[("on", "1")]);
        member.submit(&format!("{delivery}/again"), &[]);
        shows(&member, &delivery, "Attempt 2: answered 200");
        assert!(member.page(&format!("{page}?state=dead")).contains("None of this postback"));

        let replay = format!("{page}/replay");
        let preview = member.page(&format!("{replay}?state=delivered&since=2020-01-01"));
        assert!(preview.contains("This sends 1 delivery again."), "{preview}");
        let said = member.submit(&replay, &[("state", "delivered"), ("since", "2020-01-01")]);
        assert!(said.ends_with("?said=replayed&done=1"), "{said}");
        shows(&member, &delivery, "Attempt 3: answered 200");

        let late =
            member.submit("/postbacks", &fields("late", &listener(&world, "late={conversion_id}"), ""));
        let late = late.split('?').next().unwrap().to_owned();
        let preview = member.page(&format!("{late}/backfill?since=2020-01-01"));
        assert!(preview.contains("This makes 1 delivery."), "{preview}");
        assert!(member.submit(&format!("{late}/backfill"), &[("since", "2020-01-01")]).ends_with("done=1"));
        assert!(member.submit(&format!("{late}/backfill"), &[("since", "2020-01-01")]).ends_with("done=0"));
        assert_eq!(member.post(&format!("{late}/backfill"), &[("since", "soon")]).status, 422);
        world.received();
        assert!(member.page(&late).contains("filled in"));
        let absent = member.get("/deliveries/0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6");
        engine.execute("update delivery set partner_id = network_id");
        let theirs = member.get(&delivery);
        assert_eq!((theirs.status, &theirs.body), (404, &absent.body));
        world.stop();
    });
}

#[test]
fn an_endpoint_that_fails_is_shown_as_paused_until_it_is_back() {
    for_each_engine(|engine| {
        let world = start(engine);
        let reader = Browser::log_in(&world, "reader@app.example");
        let page = format!("/postbacks/{}", world.applied.id("postback", "app/all"));
        world.partner.set_behaviour(Behaviour::Status(500));
        for number in 0..8 {
            let click = world.click("flat", &format!("m{number}"));
            world.report(&format!("gk_click_id={click}"));
        }
        shows(&reader, &page, "<strong>Paused:</strong>");
        let shown = reader.page(&page);
        assert!(shown.contains("5 times in a row") && shown.contains("Nothing is sent until 20"), "{shown}");
        assert!(reader.page("/postbacks").contains("Paused"));
        world.partner.set_behaviour(Behaviour::Ok);
        world.received();
        assert_eq!(world.count("postback where paused_until_ms is not null"), 0);
        assert!(!reader.page(&page).contains("Paused"));
        world.stop();
    });
}

#[test]
fn a_secret_is_shown_once_and_two_of_them_sign_until_the_old_one_is_ended() {
    for_each_engine(|engine| {
        let world = start(engine);
        let owner = Browser::log_in(&world, "owner@app.example");
        let old = world.applied.signing_secret("partner", "app");
        let newest: String = old.chars().take(10).collect();
        let page = owner.page("/postbacks/secret");
        assert!(page.contains(&newest) && !page.contains(&old));
        let made = owner.post("/postbacks/secret/rotate", &[("newest", &newest)]);
        assert_eq!(made.status, 200);
        let fresh = made
            .body
            .split("<code>")
            .nth(1)
            .and_then(|rest| rest.split("</code>").next())
            .unwrap()
            .to_owned();
        assert!(fresh.starts_with("whsec_") && fresh != old, "{fresh}");
        assert!(!owner.page("/postbacks/secret").contains(&fresh), "it is shown once");
        assert!(
            owner.submit("/postbacks/secret/rotate", &[("newest", &newest)]).ends_with("said=moved"),
            "a form sent twice"
        );

        // The partner's server knows only the old secret.
        let knows = |member: &str| {
            let click = world.click("flat", member);
            world.report(&format!("gk_click_id={click}"));
            let received = world.received();
            let told = received.iter().find(|one| one.parameter("click") == format!("click-{member}"));
            told.expect("told").signature == SignatureCheck::Valid
        };
        assert!(knows("ada"), "both sign");
        let newest: String = fresh.chars().take(10).collect();
        assert!(owner.submit("/postbacks/secret/end", &[("newest", &newest)]).ends_with("said=ended"));
        assert!(!knows("bob"), "only the new one signs");
        let changes = engine
            .sql("select change from audit where subject = 'partner/app' and actor = 'owner@app.example'");
        assert!(changes.len() == 2 && !format!("{changes:?}").contains("whsec_"), "{changes:?}");
        world.stop();
    });
}

#[test]
fn a_token_is_shown_once_works_and_is_revoked() {
    for_each_engine(|engine| {
        let world = start(engine);
        let owner = Browser::log_in(&world, "owner@app.example");
        let made = owner.post("/tokens", &[("name", CANARY)]);
        assert_eq!(made.status, 200, "{made:?}");
        assert!(!made.body.contains("<script>alert"));
        let token = made
            .body
            .split("<code>")
            .nth(1)
            .and_then(|rest| rest.split("</code>").next())
            .unwrap()
            .to_owned();
        let ask = || {
            let url = format!("{}/api/v1/link-check", world.server().url());
            http::answer(http::client().post(url).header("authorization", format!("ApiToken {token}"))).status
        };
        assert_ne!(ask(), 401);
        assert_eq!(owner.post("/tokens", &[("name", CANARY)]).status, 422, "a form sent twice makes one");
        assert_eq!(owner.post("/tokens", &[("name", "")]).status, 422);
        let page = owner.page("/tokens");
        assert!(page.contains(&token[..12]) && !page.contains(&token), "{page}");
        let member = Browser::log_in(&world, "member@app.example");
        assert_eq!(member.post("/tokens/revoke", &[("shown", &token[..12])]).status, 403);
        assert_eq!(owner.submit("/tokens/revoke", &[("shown", &token[..12])]), "/tokens?said=revoked");
        assert_eq!(ask(), 401);
        assert_eq!(owner.submit("/tokens/revoke", &[("shown", &token[..12])]), "/tokens?said=gone");
        world.stop();
    });
}

#[test]
fn home_and_the_offer_say_what_the_command_says_of_a_link() {
    for_each_engine(|engine| {
        let world = start(engine);
        for number in 0..25 {
            let member = if number % 5 == 0 { format!("m{number}") } else { "site_12".to_owned() };
            click_id(&world.visit("flat/app", &format!("pub_click_id=c{number}&pub_member_id={member}")));
        }
        let told = "80 % of the last 25 clicks carry the same pub_member_id `site_12`; only its first conversion \
                    will count";
        let link = world.applied.id("link", "flat/app");
        let command = crate::PITLANE.run_on(engine, &["link", "health", &link]).ok().stdout;
        assert!(command.contains(told), "{command}");
        let reader = Browser::log_in(&world, "reader@app.example");
        shows(&reader, "/home", told);
        world.stop();
    });
}
