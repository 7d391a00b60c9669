//! `pitlane link check`: says beforehand exactly what the server then does, and records nothing.

use serde_json::Value;
use testkit::{Engine, Ran, eventually, for_each_engine, http};

use crate::PITLANE;
use crate::world::{AT_MOST, World, apply};

/// Offers in every state, some with a fallback, and a link that is not approved.
const STATES: &str = r#"
[[partner]]
slug = "stopped"
status = "Blocked"

[[offer]]
slug = "paused"
status = "Paused"
advertiser = "shop"
destination = "https://shop.example/paused?click={gk_click_id}"
revenue = "1"
payout = "1"
[[offer]]
slug = "over"
expiry = 2026-01-01T00:00:00Z
fallback_url = "https://shop.example/others"
advertiser = "shop"
destination = "https://shop.example/over?click={gk_click_id}"
revenue = "1"
payout = "1"
[[offer]]
slug = "soon"
launch = 2090-01-01T00:00:00Z
advertiser = "shop"
destination = "https://shop.example/soon?click={gk_click_id}&at={timestamp}&sub={pub_sub_1}"
revenue = "1"
payout = "1"
[[offer]]
slug = "draft"
status = "Draft"
fallback_url = "https://shop.example/others"
advertiser = "shop"
destination = "https://shop.example/draft?click={gk_click_id}"
revenue = "1"
payout = "1"

[[link]]
offer = "paused"
partner = "app"
[[link]]
offer = "over"
partner = "app"
[[link]]
offer = "soon"
partner = "app"
[[link]]
offer = "draft"
partner = "app"
[[link]]
offer = "flat"
partner = "stopped"
[[link]]
offer = "share"
partner = "stopped"
approval = "Requested"
"#;

const IDS: &str = "pub_click_id=c-1&pub_member_id=m-1";

fn check(engine: &Engine, url: &str, args: &[&str]) -> Ran {
    PITLANE.run_on(engine, &[&["link", "check", url], args].concat())
}

#[track_caller]
fn checked(engine: &Engine, url: &str, args: &[&str]) -> Value {
    check(engine, url, &[&["--json"], args].concat()).json()
}

/// How many rows there are in the tables of the traffic.
fn recorded(engine: &Engine) -> [i64; 4] {
    ["click", "conversion", "inbound", "delivery"]
        .map(|table| engine.count(&format!("select count(*) from {table}")))
}

#[test]
fn what_it_says_is_what_the_server_then_does() {
    for_each_engine(|engine| {
        let world = World::with(engine, STATES, &[]);
        let done = world.click("flat", "done");
        world.report(&format!("gk_click_id={done}"));
        eventually("the server knows that the member completed", AT_MOST, || {
            world.visit("flat/app", "pub_click_id=x&pub_member_id=done").status == 409
        });
        let too_long = format!("pub_click_id={}&pub_member_id=m", "c".repeat(256));
        let cases = [
            ("flat/app", IDS, "ok"),
            ("flat/app", "pub_click_id=a%20b%2B&pub_member_id=%C3%A9&pub_sub_1=x", "ok"),
            ("flat/app", "", "pub_member_id_empty"),
            ("flat/app", "pub_member_id=m", "pub_click_id_empty"),
            ("flat/app", "pub_click_id=c&pub_member_id={user}", "pub_member_id_macro"),
            ("flat/app", "pub_click_id=%5Bx%5D&pub_member_id=m", "pub_click_id_macro"),
            ("flat/app", "pub_click_id=c&pub_member_id=m&pub_age=%ff", "parameter_malformed"),
            ("flat/app", "pub_click_id=c&pub_member_id=m&pub_member_id=m", "parameter_malformed"),
            ("flat/app", &too_long, "parameter_malformed"),
            ("flat/app", "pub_click_id=c&pub_member_id=done", "member_already_completed"),
            ("levels/app", "pub_click_id=c&pub_member_id=done", "ok"),
            ("paused/app", IDS, "offer_not_active"),
            ("over/app", IDS, "offer_expired"),
            ("soon/app", IDS, "offer_not_started"),
            ("draft/app", IDS, "offer_not_active"),
            ("flat/stopped", IDS, "partner_not_approved"),
            ("share/stopped", IDS, "partner_not_approved"),
        ];
        for (link, query, verdict) in cases {
            let url = format!("{}{}?{query}", world.server().url(), world.path(link));
            let before = recorded(engine);
            let ran = check(engine, &url, &["--json"]);
            assert_eq!(recorded(engine), before, "nothing is recorded");
            assert_eq!(ran.code, Some(i32::from(verdict != "ok")), "{ran:?}");
            agrees(&ran.json(), &url, verdict);
        }
        world.stop();
    });
}

/// The server answers a link as it was said.
#[track_caller]
fn agrees(said: &Value, url: &str, verdict: &str) {
    let answer = http::answer(http::client().get(url));
    assert_eq!((answer.header("x-click-verdict"), &said["verdict"]), (verdict, &verdict.into()), "{url}");
    assert_eq!(said["http_status"], answer.status, "{url}: {said:#}");
    let Some(location) = said["location"].as_str() else {
        assert_eq!(said["message"], answer.json()["messages"][0], "{url}");
        return;
    };
    assert_eq!(said["falls_back"], verdict != "ok");
    let example = said["example_click_id"].as_str().unwrap();
    let (before, _) = location.split_once(example).unwrap_or((location, ""));
    assert!(answer.header("location").starts_with(before), "{location} is not {answer:?}");
    assert_eq!(answer.header("location").len(), location.len());
}

#[test]
fn every_rule_is_shown_up_to_the_one_that_refuses() {
    let engine = Engine::sqlite();
    let world = World::with(&engine, STATES, &[]);
    let url = |link: &str, query: &str| format!("http://any.example{}?{query}", world.path(link));
    let good = check(&engine, &url("flat/app", IDS), &[]).ok().stdout;
    let wanted = [
        "Link ",
        " of network acme",
        "offer   flat (Flat & fair)",
        "passed  link known",
        "passed  parameters readable",
        "passed  member has not completed the offer: pub_member_id = \"m-1\"",
        "a visitor gets 302: ok",
        "goes to the advertiser: https://shop.example/flat?click=",
        "(an example: the click id is nobody's",
        "Nothing was recorded.",
    ];
    let mut rest = good.as_str();
    for part in wanted {
        let (_, behind) = rest.split_once(part).unwrap_or_else(|| panic!("no {part:?} in {good}"));
        rest = behind;
    }
    assert!(!good.contains("FAILED") && !good.contains("warning"), "{good}");

    let refused = check(&engine, &url("paused/app", IDS), &[]);
    assert_eq!(refused.code, Some(1));
    let (met, beyond) = refused.stdout.split_once("With that mended, a visitor would meet").unwrap();
    assert!(met.contains("FAILED  offer active: status Paused"), "{refused:?}");
    assert!(!met.contains("member has not") && beyond.contains("passed  member has not"), "{refused:?}");
    assert_eq!(refused.stderr, "error: this link does not lead to the advertiser: offer_not_active\n");
    world.stop();
}

#[test]
fn another_time_can_be_asked_for() {
    let engine = Engine::sqlite();
    let world = World::with(&engine, STATES, &[]);
    let url = format!("http://any.example{}?{IDS}&pub_sub_1=s", world.path("soon/app"));
    let at = |time: &str| checked(&engine, &url, &["--at", time]);
    assert_eq!(at("2089-12-31T23:59:59Z")["verdict"], "offer_not_started");
    let started = at("2090-01-01T00:00:00Z");
    assert_eq!(started["verdict"], "ok", "{started:#}");
    let location = started["location"].as_str().unwrap();
    assert!(location.ends_with("-7000-8000-000000000000&at=3786912000&sub=s"), "{location}");
    assert_eq!(check(&engine, &url, &["--at", "soon"]).code, Some(2));
    world.stop();
}

#[test]
fn links_that_are_not_known_are_explained() {
    let engine = Engine::sqlite();
    let rival = "[[network]]\nlabel = \"rival\"\ncurrency = \"EUR\"\n";
    let own = ["[[advertiser]]", "[[partner]]", "[[offer]]", "[[link]]", "[[postback]]"];
    let network = own.iter().fold(crate::world::NETWORK.to_owned(), |text, noun| {
        text.replace(noun, &format!("{noun}\nnetwork = \"acme\""))
    });
    let applied = apply(&engine, &format!("{network}{rival}").replace("{partner}", "127.0.0.1:9"), &[]);
    let path = format!("/api/v1/offer-link/redirect/{}?{IDS}", applied.id("link", "flat/app"));
    let check = |url: &str| check(&engine, url, &[]);
    assert_eq!(check(&format!("https://API.acme.example.com:8443{path}")).code, Some(0));
    let stranger = "/api/v1/offer-link/redirect/0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6";
    for (url, why) in [
        (
            format!("http://api.rival.example{path}"),
            "host api.rival.example is that of network rival, the link belongs",
        ),
        (format!("http://shop.example{path}"), "names no network, the link belongs to network acme"),
        (format!("http://api.acme.example{stranger}"), "there is no link 0198f1c2"),
        ("http://api.acme.example/api/v1/offer-link/redirect/7".to_owned(), "`7` is not an id"),
    ] {
        let ran = check(&url);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(
            ran.stdout.contains(&format!("FAILED  link known: {why}")) || ran.stdout.contains(why),
            "{ran:?}"
        );
        assert!(ran.stdout.contains("a visitor gets 404: link_unknown"), "{ran:?}");
    }
}

#[test]
fn what_is_no_tracking_link_is_refused() {
    let engine = Engine::sqlite();
    let world = World::start(&engine);
    let path = world.path("flat/app");
    for url in ["", "nonsense", &path, "http://any.example/", &format!("ftp://any.example{path}")] {
        let ran = check(&engine, url, &[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.contains("\n  next: give the whole link in quotes"), "{ran:?}");
    }
    world.stop();
}

#[test]
fn what_the_rules_let_pass_may_still_be_odd() {
    let engine = Engine::sqlite();
    let world = World::start(&engine);
    world.click("flat", "m-1");
    let url = |query: &str| format!("http://any.example{}?{query}", world.path("flat/app"));
    let warnings = |query: &str| checked(&engine, &url(query), &[])["warnings"].to_string();
    assert_eq!(warnings(IDS), "[]");
    for (query, warning) in [
        ("pub_click_id=x&pub_member_id=x", "pub_click_id and pub_member_id are the same"),
        ("pub_click_id=click-m-1&pub_member_id=y", "pub_click_id was sent before, on click "),
        ("pub_click_id=x&pub_member_id=y&pub_sub1=z", "`pub_sub1` is not read; did you mean `pub_sub_1`?"),
        ("pub_click_id=x&pub_member_id=y&utm_source=z", "not read, and not passed on: `utm_source`"),
        ("pub_click_id=x&pub_member_id=y&pub_sub_1=%7Bs%7D", "looks like a placeholder"),
        ("pub_member_id=y&pub_click_id=#click#", "`#click#` never arrives"),
    ] {
        let warnings = warnings(query);
        assert!(warnings.contains(warning), "{query}: {warnings}");
    }
    world.stop();
}

const RULES: &str = r#"
[[offer]]
slug = "choosy"
advertiser = "shop"
destination = "https://shop.example/choosy?click={gk_click_id}"
revenue = "1"
payout = "1"
trusts_partner_place = true
caps = { day = 3 }
targeting = [
    { allow = "country", of = ["DE", "AT"] },
    { block = "region", of = ["BE"] },
    { allow = "device", of = ["IOS", "Android"] },
    { allow = "language", of = ["de"] },
]
[[link]]
offer = "choosy"
partner = "app"
"#;

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
                      Gecko) Version/18.0 Mobile/15E148 Safari/604.1";
const BOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

#[test]
fn for_every_kind_of_visitor_it_says_what_the_server_then_does() {
    for_each_engine(|engine| {
        let world = World::with(engine, &format!("{STATES}{RULES}"), &[]);
        let mut verdicts = std::collections::BTreeMap::new();
        for country in ["", "aut", "FR"] {
            for region in ["", "BE"] {
                for (agent, language) in
                    [(IPHONE, "de-AT, en;q=0.5"), (IPHONE, "fr"), (BOT, "de"), ("", "de")]
                {
                    let query = format!("{IDS}&pub_geo_country={country}&pub_geo_state={region}");
                    let url = format!("{}{}?{query}", world.server().url(), world.path("choosy/app"));
                    let args = ["--user-agent", agent, "--language", language, "--json"];
                    let said = check(engine, &url, &args).json();
                    let visit = http::client().get(&url);
                    let visit = visit.header("user-agent", agent).header("accept-language", language);
                    let met = http::answer(visit);
                    let verdict = met.header("x-click-verdict");
                    assert_eq!(said["verdict"], verdict, "{query} {agent} {language}: {said:#}");
                    assert_eq!(said["http_status"], met.status, "{query}");
                    *verdicts.entry(verdict.to_owned()).or_insert(0) += 1;
                }
            }
        }
        // 24 visitors; the click id of all is the same, so whoever passes is flagged from the second on.
        assert_eq!(
            verdicts.keys().collect::<Vec<_>>(),
            ["pub_click_id_reused", "target_mismatch"],
            "{verdicts:?}"
        );
        assert_eq!(verdicts.values().sum::<i32>(), 24);
        world.stop();
    });
}

#[test]
fn a_supposed_visitor_is_taken_for_one_and_every_rule_is_told() {
    let engine = Engine::sqlite();
    let world = World::with(&engine, RULES, &[]);
    let url = format!("http://any.example{}?{IDS}", world.path("choosy/app"));
    let own = [
        "--country",
        "DE",
        "--region",
        "BY",
        "--device",
        "IOS",
        "--language",
        "de",
        "--address",
        "192.0.2.9",
    ];
    let good = check(&engine, &url, &own).ok().stdout;
    for told in [
        "passed  caps and budgets leave room: 0 of 3 conversions a day",
        "passed  targeting: country is `DE`; the offer allows DE, AT",
        "passed  targeting: region is `BY`; the offer blocks BE",
        "passed  targeting: device is `IOS`; the offer allows IOS, Android",
        "passed  targeting: language is `de`; the offer allows de",
    ] {
        assert!(good.contains(told), "no {told:?} in {good}");
    }
    let nobody = checked(&engine, &url, &[]);
    assert_eq!((&nobody["verdict"], &nobody["http_status"]), (&"target_mismatch".into(), &403.into()));
    let steps = nobody["steps"].as_array().unwrap();
    let failed = |beyond: bool| {
        steps.iter().filter(|step| step["passed"] == false && step["beyond"] == beyond).count()
    };
    assert_eq!((failed(false), failed(true)), (1, 2), "{nobody:#}");
    assert!(check(&engine, &url, &["--device", "Fridge"]).stderr.contains("is no device"));
    let bot = checked(&engine, &url, &[&own[..], &["--user-agent", BOT]].concat());
    assert_eq!((&bot["verdict"], &bot["marks"]), (&"ok".into(), &serde_json::json!(["bot"])));
    world.stop();
}

#[test]
fn caps_are_those_of_the_record() {
    for_each_engine(|engine| {
        let world = World::with(engine, &crate::life::offer("choosy", "caps = { day = 3 }"), &[]);
        for member in ["a", "b", "c"] {
            let query = format!("pub_click_id={member}&pub_member_id={member}");
            let click = crate::world::click_id(&world.visit("choosy/app", &query));
            assert_eq!(world.report(&format!("gk_click_id={click}")).code(), "recorded");
        }
        let url = format!("http://any.example{}?{IDS}", world.path("choosy/app"));
        let said = checked(engine, &url, &[]);
        assert_eq!(said["verdict"], "offer_capped", "{said:#}");
        assert!(said.to_string().contains("3 of 3 conversions a day"), "{said:#}");
        eventually("the server knows", AT_MOST, || {
            world.visit("choosy/app", IDS).header("x-click-verdict") == "offer_capped"
        });
        world.stop();
    });
}
