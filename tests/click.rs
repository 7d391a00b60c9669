//! A hit on a tracking link: every verdict, what it says to whom, and what is kept of it.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::click::{Marks, Verdict};
use testkit::http::{self, Answer};
use testkit::{for_each_engine, until};

use crate::stored;
use crate::world::{AT_MOST, World, click_id};

const SOUND: &str = "pub_click_id=c1&pub_member_id=m1";

/// Offers and links that cannot be run now; those whose name begins with `to-` have somewhere else to send visitors.
const CLOSED: &str = r#"
[[partner]]
slug = "blocked"
status = "Blocked"

[[offer]]
slug = "draft"
status = "Draft"
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
[[offer]]
slug = "waiting"
status = "Pending"
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
[[offer]]
slug = "paused"
status = "Paused"
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
[[offer]]
slug = "early"
status = "Pending"
launch = 2126-11-22T00:00:00Z
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
[[offer]]
slug = "launched"
status = "Pending"
launch = 2026-01-01T00:00:00Z
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
[[offer]]
slug = "late"
expiry = 2026-01-01T00:00:00Z
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
[[offer]]
slug = "over"
status = "Expired"
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
[[offer]]
slug = "targeted"
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
targeting = [{ block = "sub", number = 1, equals = ["spam"] }]
[[offer]]
slug = "capped"
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"
caps = { total = 1 }
[[offer]]
slug = "to-spent"
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
fallback_url = "https://elsewhere.example/more?from=acme"
revenue = "1"
payout = "1"
budgets = { total = "1.50" }
[[offer]]
slug = "to-paused"
status = "Paused"
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
fallback_url = "https://elsewhere.example/more?from=acme"
revenue = "1"
payout = "1"
[[offer]]
slug = "to-open"
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
fallback_url = "https://elsewhere.example/more?from=acme"
revenue = "1"
payout = "1"

[[link]]
offer = "draft"
partner = "app"
[[link]]
offer = "waiting"
partner = "app"
[[link]]
offer = "paused"
partner = "app"
[[link]]
offer = "early"
partner = "app"
[[link]]
offer = "launched"
partner = "app"
[[link]]
offer = "late"
partner = "app"
[[link]]
offer = "over"
partner = "app"
[[link]]
offer = "targeted"
partner = "app"
[[link]]
offer = "capped"
partner = "app"
[[link]]
offer = "to-spent"
partner = "app"
[[link]]
offer = "to-paused"
partner = "app"
[[link]]
offer = "to-open"
partner = "app"
[[link]]
offer = "flat"
partner = "blocked"
[[link]]
offer = "draft"
partner = "blocked"
approval = "Requested"
"#;

const FALLBACK: &str = "https://elsewhere.example/more?from=acme";

/// Link, query; then verdict, status and message.
type Hit = (&'static str, &'static str, Verdict, u16, &'static str);

const NOT_ACTIVE: &str = "This offer is not active now";
const ENDED: &str = "This offer has ended";
const NOT_APPROVED: &str = "This link is not approved for this offer; ask the network to approve it";
const NO_MEMBER: &str = "PubMemberId cannot be empty";
const NO_CLICK: &str = "PubClickId cannot be empty";

const HITS: [Hit; 26] = [
    ("flat/app", SOUND, Verdict::Ok, 302, ""),
    ("launched/app", SOUND, Verdict::Ok, 302, ""),
    ("to-open/app", SOUND, Verdict::Ok, 302, ""),
    ("flat/app", "pub_click_id=c1", Verdict::MemberIdEmpty, 400, NO_MEMBER),
    ("flat/app", "pub_click_id=c1&pub_member_id", Verdict::MemberIdEmpty, 400, NO_MEMBER),
    ("flat/app", "pub_click_id=c1&pub_member_id=", Verdict::MemberIdEmpty, 400, NO_MEMBER),
    ("flat/app", "", Verdict::MemberIdEmpty, 400, NO_MEMBER),
    ("flat/app", "pub_member_id=m1", Verdict::ClickIdEmpty, 400, NO_CLICK),
    ("flat/app", "pub_member_id=m1&pub_click_id=", Verdict::ClickIdEmpty, 400, NO_CLICK),
    ("flat/app", "Pub_Click_Id=c1&pub_member_id=m1", Verdict::ClickIdEmpty, 400, NO_CLICK),
    (
        "flat/app",
        "pub_click_id=c1&pub_member_id=PUB_MEMBER_ID",
        Verdict::MemberIdMacro,
        400,
        "pub_member_id is `PUB_MEMBER_ID`, a placeholder that was not replaced by your tracker with a value",
    ),
    (
        "flat/app",
        "pub_click_id=%7Bclickid%7D&pub_member_id=m1",
        Verdict::ClickIdMacro,
        400,
        "pub_click_id is `{clickid}`, a placeholder that was not replaced by your tracker with a value",
    ),
    (
        "flat/app",
        "pub_click_id=c1&pub_member_id=m%zz",
        Verdict::ParameterMalformed,
        400,
        "pub_member_id has a `%` that is not followed by two hexadecimal digits",
    ),
    ("draft/app", SOUND, Verdict::OfferNotActive, 410, NOT_ACTIVE),
    ("waiting/app", SOUND, Verdict::OfferNotActive, 410, NOT_ACTIVE),
    ("paused/app", SOUND, Verdict::OfferNotActive, 410, NOT_ACTIVE),
    ("to-paused/app", SOUND, Verdict::OfferNotActive, 302, NOT_ACTIVE),
    ("early/app", SOUND, Verdict::OfferNotStarted, 410, "This offer starts at 2126-11-22T00:00:00.000Z"),
    ("late/app", SOUND, Verdict::OfferExpired, 410, ENDED),
    ("over/app", SOUND, Verdict::OfferExpired, 410, ENDED),
    ("flat/blocked", SOUND, Verdict::PartnerNotApproved, 410, NOT_APPROVED),
    ("draft/blocked", SOUND, Verdict::PartnerNotApproved, 410, NOT_APPROVED),
    ("targeted/app", SOUND, Verdict::Ok, 302, ""),
    (
        "targeted/app",
        "pub_click_id=c1&pub_member_id=m1&pub_sub_1=spam",
        Verdict::TargetMismatch,
        403,
        "pub_sub_1 `spam` is blocked by this offer's targeting",
    ),
    // Whoever mends a link mends its parameters first.
    ("draft/blocked", "pub_click_id=c1", Verdict::MemberIdEmpty, 400, NO_MEMBER),
    ("over/app", "pub_member_id=m1", Verdict::ClickIdEmpty, 400, NO_CLICK),
];

#[test]
fn every_verdict_is_answered_and_recorded_as_the_contract_says() {
    for_each_engine(|engine| {
        let world = World::with(engine, CLOSED, &[]).expect_errors();
        let mut reached: BTreeSet<Verdict> = BTreeSet::new();
        for hit in &HITS {
            let (link, query, verdict, status, message) = *hit;
            let before = world.count("click");
            let answer = world.visit(link, query);
            check(&answer, verdict, status, message);
            assert_eq!(world.count("click"), before + 1, "{hit:?}");
            check_record(&world, verdict, message);
            reached.insert(verdict);
        }
        reached.insert(completed_already(&world));
        reached.insert(unknown(&world));
        reached.insert(full(&world, "capped", Verdict::OfferCapped, 410, "This offer has reached its cap"));
        let spent = "This offer has spent its budget";
        reached.insert(full(&world, "to-spent", Verdict::OfferOverBudget, 302, spent));
        reached.insert(reused(&world));
        reached.insert(constant(&world));
        reached.insert(not_recorded(&world));
        for verdict in Verdict::ALL {
            assert!(reached.contains(verdict), "{verdict} was not reached");
        }
    });
}

/// Status, headers and body of an answer to a program.
#[track_caller]
fn check(answer: &Answer, verdict: Verdict, status: u16, message: &str) {
    assert_eq!((answer.status, answer.header("x-click-verdict")), (status, verdict.code()), "{answer:?}");
    let kept_by_nobody = (answer.header("cache-control"), answer.header("referrer-policy"));
    assert_eq!(kept_by_nobody, ("no-store", "no-referrer"), "{answer:?}");
    if status == 302 {
        let fell_back = answer.header("location") == FALLBACK;
        assert_ne!(fell_back, verdict.sends_on(), "{answer:?}");
        assert_eq!(answer.body, "");
        return;
    }
    assert_eq!((answer.header("location"), answer.header("content-type")), ("", "application/json"));
    let json = answer.json();
    assert_eq!(json["code"], verdict.code());
    assert_eq!(json["messages"], serde_json::json!([message]));
    assert_eq!((&json["isSuccessful"], &json["data"]), (&false.into(), &serde_json::Value::Null));
}

/// The newest click, as it is kept.
#[track_caller]
fn check_record(world: &World<'_>, verdict: Verdict, message: &str) {
    let newest = stored::clicks(world.engine, "order by k.click_id desc limit 1").remove(0);
    assert_eq!((newest.verdict, newest.facts.message.as_str()), (verdict, message));
    let fell_back = newest.marks.has(Marks::FELL_BACK);
    assert_eq!(fell_back, newest.facts.destination == FALLBACK, "the mark of the fallback: {newest:?}");
}

fn completed_already(world: &World<'_>) -> Verdict {
    let verdict = Verdict::MemberAlreadyCompleted;
    for (offer, status) in [("flat", 409), ("to-open", 302)] {
        let click = world.click(offer, "completes");
        assert_eq!(world.report(&format!("gk_click_id={click}")).code(), "recorded");
        let mut tries = 0;
        let answer = until("the member's completion is known to the links", AT_MOST, || {
            tries += 1;
            let query = format!("pub_click_id=c2-{tries}&pub_member_id=completes");
            let answer = world.visit(&format!("{offer}/app"), &query);
            (answer.header("x-click-verdict") != "ok").then_some(answer)
        });
        let message = "This member already completed this offer, and it can be completed once";
        check(&answer, verdict, status, message);
        check_record(world, verdict, message);
        // Another member, and the same member on another offer, go on.
        click_id(&world.visit(&format!("{offer}/app"), "pub_click_id=c3&pub_member_id=m3"));
        let query = format!("pub_click_id=c2-{offer}&pub_member_id=completes");
        click_id(&world.visit("launched/app", &query));
    }
    verdict
}

/// One conversion fills the offer.
fn full(world: &World<'_>, offer: &str, verdict: Verdict, status: u16, message: &str) -> Verdict {
    let click = world.click(offer, "fills");
    assert_eq!(world.report(&format!("gk_click_id={click}")).code(), "recorded");
    let mut tries = 0;
    let answer = until("the links know that it is full", AT_MOST, || {
        tries += 1;
        let query = format!("pub_click_id=f-{tries}&pub_member_id=f-{tries}");
        let answer = world.visit(&format!("{offer}/app"), &query);
        (answer.header("x-click-verdict") != "ok").then_some(answer)
    });
    check(&answer, verdict, status, message);
    check_record(world, verdict, message);
    verdict
}

fn reused(world: &World<'_>) -> Verdict {
    let verdict = Verdict::ClickIdReused;
    click_id(&world.visit("flat/app", "pub_click_id=twice&pub_member_id=m4"));
    let answer = world.visit("flat/app", "pub_click_id=twice&pub_member_id=m5");
    check(&answer, verdict, 302, "");
    let message = "pub_click_id `twice` was already sent on another click; send a new one each time";
    check_record(world, verdict, message);
    verdict
}

fn constant(world: &World<'_>) -> Verdict {
    let verdict = Verdict::MemberIdStatic;
    let mut tries = 0;
    let answer = until("the constant is found", AT_MOST, || {
        tries += 1;
        let url = format!("{}{}", world.server().url(), world.path("launched/app"));
        let visitor = http::client().get(format!("{url}?pub_click_id=s-{tries}&pub_member_id=site_12"));
        let answer = http::answer(visitor.header("user-agent", format!("Browser/{tries}")));
        (answer.header("x-click-verdict") != "ok").then_some(answer)
    });
    check(&answer, verdict, 302, "");
    let message =
        "pub_member_id `site_12` is on most of this link's clicks; send a value that is unique per user";
    check_record(world, verdict, message);
    verdict
}

fn unknown(world: &World<'_>) -> Verdict {
    let verdict = Verdict::LinkUnknown;
    let before = world.count("click");
    for link in ["0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6", "nonsense", ""] {
        let answer = world.get(&format!("/api/v1/offer-link/redirect/{link}?{SOUND}"));
        check(&answer, verdict, 404, answer.json()["messages"][0].as_str().unwrap());
    }
    assert_eq!(world.count("click"), before);
    verdict
}

/// A click log that takes no rows, as when the database is broken.
fn not_recorded(world: &World<'_>) -> Verdict {
    let verdict = Verdict::NotRecorded;
    world.engine.execute("alter table click rename to click_away");
    for query in [SOUND, "pub_click_id=c1"] {
        let answer = world.visit("flat/app", query);
        check(&answer, verdict, 503, answer.json()["messages"][0].as_str().unwrap());
        assert_eq!(answer.header("retry-after"), "2");
    }
    world.engine.execute("alter table click_away rename to click");
    until("clicks are taken again", AT_MOST, || (world.visit("flat/app", SOUND).status == 302).then_some(()));
    verdict
}

#[test]
fn a_refused_click_is_told_to_programs_in_the_platform_s_envelope_and_to_people_on_a_page() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let url = format!("{}{}?pub_click_id=c1", world.server().url(), world.path("flat/app"));
        let newest = || {
            let row = &engine.sql("select click_id from click order by click_id desc limit 1")[0];
            uuid::Uuid::parse_str(&row[0]).unwrap().to_string()
        };
        for accept in ["*/*", "application/json", "text/plain", "application/json, text/html"] {
            let answer = http::answer(http::client().get(&url).header("accept", accept));
            let id = newest();
            let envelope = format!(
                "{{\"responseId\":\"{id}\",\"isSuccessful\":false,\"responseTitle\":\"Bad Request\",\
                 \"responseType\":\"BadRequest\",\"messages\":[\"PubMemberId cannot be empty\"],\
                 \"code\":\"pub_member_id_empty\",\"data\":null}}"
            );
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.body, envelope, "{accept}");
        }
        let bare = format!(
            "GET {}?pub_click_id=c1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            world.path("flat/app")
        );
        let bare = http::raw(world.server().address(), bare.as_bytes(), Duration::from_secs(10));
        assert!(String::from_utf8_lossy(&bare).ends_with("\"code\":\"pub_member_id_empty\",\"data\":null}"));
        for accept in ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"] {
            let answer = http::answer(http::client().get(&url).header("accept", accept));
            assert_eq!((answer.status, answer.header("content-type")), (400, "text/html; charset=utf-8"));
            assert_eq!(answer.header("x-click-verdict"), "pub_member_id_empty");
            let told = [
                "PubMemberId cannot be empty",
                "pub_member_id",
                "<code>pub_member_id_empty</code>",
                &newest(),
            ];
            for part in told {
                assert!(answer.body.contains(part), "no {part} in {}", answer.body);
            }
            for secret in ["acme", "shop", "flat", "Flat"] {
                assert!(!answer.body.contains(secret), "{secret} is the network's business: {}", answer.body);
            }
        }
        world.stop();
    });
}

#[test]
fn only_get_makes_a_click() {
    for_each_engine(|engine| {
        let world = World::with(engine, CLOSED, &[]);
        for (link, query) in [("flat/app", SOUND), ("flat/app", "pub_click_id=c1"), ("to-paused/app", SOUND)]
        {
            let url = format!("{}{}?{query}", world.server().url(), world.path(link));
            let head = http::answer(http::client().head(&url));
            assert_eq!(world.count("click"), 0);
            let get = http::answer(http::client().get(&url));
            assert_eq!(world.count("click"), 1);
            world.engine.execute("delete from click");
            assert_eq!((head.status, head.body.as_str()), (get.status, ""));
            // The length of no body may go unsaid.
            let names = |answer: &Answer| {
                let said =
                    answer.headers.iter().filter(|(name, value)| *name != "content-length" || *value != "0");
                let mut names: Vec<String> = said.map(|(name, _)| name.to_string()).collect();
                names.sort();
                names
            };
            assert_eq!(names(&head), names(&get));
            for name in ["x-click-verdict", "cache-control", "referrer-policy", "content-type"] {
                assert_eq!(head.header(name), get.header(name), "{name}");
            }
            assert_eq!(head.header("location").is_empty(), get.header("location").is_empty());
            for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
                let target = format!("{}?{query}", world.path(link));
                let request = format!(
                    "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                );
                let back = http::raw(world.server().address(), request.as_bytes(), Duration::from_secs(10));
                assert_eq!(http::raw_status(&back), 405, "{method}");
            }
            assert_eq!(world.count("click"), 0);
        }
        world.stop();
    });
}

#[test]
fn a_fetch_ahead_of_a_visit_is_recorded_with_its_mark() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let url = format!("{}{}?{SOUND}", world.server().url(), world.path("flat/app"));
        let headers = [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;anonymous-client-ip"),
            ("purpose", "prefetch"),
            ("x-moz", "prefetch"),
            ("x-purpose", "preview"),
        ];
        for (name, value) in headers {
            let answer = http::answer(http::client().get(&url).header(name, value));
            let id = click_id(&answer);
            let marked = format!("click where marks = 1 and verdict = 0 and click_id = {}", engine.id(&id));
            assert_eq!(world.count(&marked), 1, "{name}: {value}");
        }
        let plain = http::answer(http::client().get(&url).header("sec-fetch-mode", "navigate"));
        let id = click_id(&plain);
        assert_eq!(world.count(&format!("click where marks = 0 and click_id = {}", engine.id(&id))), 1);
        world.stop();
    });
}
