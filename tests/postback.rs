//! An advertiser's postback: every way to send it, every answer, and what is kept of it.

use std::collections::BTreeSet;

use domain::conversion::Reason;
use domain::inbound::Answer as Code;
use testkit::http::{self, Answer};
use testkit::{for_each_engine, until};

use crate::world::{AT_MOST, TOKEN, World, apply, conversion_id};
use crate::{PITLANE, stored};

/// The token of an advertiser who may report from one address only, and not from this machine.
const FAR: &str = "far-token-0123456789abcdef";

/// Offers for what the fixture's do not show: a short window, a closed offer, an advertiser from far away.
const MORE: &str = r#"
[[advertiser]]
slug = "far"
allowed_addresses = ["203.0.113.9"]
postback_tokens = ["far-token-0123456789abcdef"]

[[offer]]
slug = "far"
advertiser = "far"
destination = "https://far.example/?click={gk_click_id}"
revenue = "1"
payout = "1"

[[offer]]
slug = "brief"
advertiser = "shop"
attribution_window = "1m"
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"

[[offer]]
slug = "slow"
advertiser = "shop"
min_conversion_time = "30s"
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"

[[offer]]
slug = "capped"
advertiser = "shop"
caps = { total = 1 }
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"

[[offer]]
slug = "spent"
advertiser = "shop"
budgets = { total = "1.50" }
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"

[[offer]]
slug = "strict"
advertiser = "shop"
reused_clicks = "refuse"
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"

[[offer]]
slug = "ends"
advertiser = "shop"
late_conversions = false
destination = "https://shop.example/?click={gk_click_id}"
revenue = "1"
payout = "1"

[[offer]]
slug = "steps"
type = "MultiEvent"
advertiser = "shop"
destination = "https://shop.example/?click={gk_click_id}"
[[offer.event]]
code = "one"
sequence = 1
revenue = "1"
payout = "1"
[[offer.event]]
code = "two"
sequence = 2
revenue = "1"
payout = "1"

[[link]]
offer = "slow"
partner = "app"
[[link]]
offer = "capped"
partner = "app"
[[link]]
offer = "spent"
partner = "app"
[[link]]
offer = "strict"
partner = "app"
[[link]]
offer = "ends"
partner = "app"
[[link]]
offer = "steps"
partner = "app"
[[link]]
offer = "far"
partner = "app"
[[link]]
offer = "brief"
partner = "app"
"#;

/// What was reached so far.
#[derive(Default)]
struct Reached {
    codes: BTreeSet<Code>,
    reasons: BTreeSet<Reason>,
}

impl Reached {
    /// Checks an answer whole: status, envelope, and its line in the inbound log.
    #[track_caller]
    fn check(&mut self, world: &World<'_>, answer: &Answer, code: Code, reason: Option<Reason>) {
        let json = answer.json();
        let text = match (code, reason) {
            (Code::Rejected, Some(reason)) => format!("rejected:{reason}"),
            _ => code.to_string(),
        };
        assert_eq!((answer.status, answer.code()), (code.status(), text.clone()), "{answer:?}");
        assert_eq!(json["isSuccessful"], code.status() == 200);
        assert_eq!(answer.header("cache-control"), "no-store");
        let named = matches!(code.status(), 200 | 409);
        assert_eq!(json["data"].is_object(), named, "{json}");
        let reason_told = json["data"]["reason"].as_str();
        assert_eq!(reason_told, reason.map(Reason::code), "{json}");
        let quiet = matches!(code, Code::Recorded | Code::Updated);
        assert_eq!(json["messages"].as_array().map(Vec::is_empty), Some(quiet), "{json}");
        self.codes.insert(code);
        self.reasons.extend(reason);
        if code == Code::NotRecorded {
            return;
        }
        let logged = world.engine.sql(&format!(
            "select code, conversion_id from inbound where inbound_id = {}",
            world.engine.id(json["responseId"].as_str().unwrap())
        ));
        let conversion = if named { conversion_id(answer).replace('-', "") } else { "NULL".to_owned() };
        assert_eq!(logged, [[text, conversion]]);
    }
}

#[test]
fn every_answer_is_given_and_logged_as_the_contract_says() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]).expect_errors();
        let mut reached = Reached::default();
        conversions(&world, &mut reached);
        rejections(&world, &mut reached);
        rejections_by_rules(&world, &mut reached);
        rejections_later(&world, &mut reached);
        refusals(&world, &mut reached);
        not_recorded(&world, &mut reached);
        for code in Code::ALL {
            assert!(reached.codes.contains(code), "{code} was not reached");
        }
        for reason in Reason::ALL {
            assert!(reached.reasons.contains(reason), "{reason} was not reached");
        }
    });
}

fn conversions(world: &World<'_>, reached: &mut Reached) {
    let (first, second) = (world.click("flat", "m1"), world.click("flat", "m1"));
    let recorded = world.report(&format!("gk_click_id={first}&cnv_conversion_id=a&cnv_status=Pending"));
    reached.check(world, &recorded, Code::Recorded, None);
    assert_eq!(recorded.json()["data"]["status"], "Pending");
    let copy = world.report(&format!("gk_click_id={first}&cnv_conversion_id=a&cnv_status=Pending"));
    reached.check(world, &copy, Code::Duplicate, None);
    let updated = world.report(&format!("gk_click_id={first}&cnv_conversion_id=a&cnv_status=Success"));
    reached.check(world, &updated, Code::Updated, None);
    assert_eq!(updated.json()["data"]["status"], "Success");
    let conflict = world.report(&format!("gk_click_id={second}&cnv_conversion_id=a"));
    reached.check(world, &conflict, Code::Conflict, None);
    for answer in [&copy, &updated, &conflict] {
        assert_eq!(conversion_id(answer), conversion_id(&recorded));
    }
    let lost = world.report(&format!("gk_click_id={second}"));
    let reason = Some(Reason::MemberAlreadyCompleted);
    reached.check(world, &lost, Code::MemberAlreadyCompleted, reason);
    assert_eq!(lost.json()["data"]["winnerId"], conversion_id(&recorded));
    assert_ne!(conversion_id(&lost), conversion_id(&recorded), "it is kept as evidence of its own");
}

fn rejections(world: &World<'_>, reached: &mut Reached) {
    let forged = world.get(&format!("/postback?token={FAR}&gk_click_id={}", world.click("far", "m2")));
    reached.check(world, &forged, Code::Rejected, Some(Reason::IpNotAllowed));
    let said = world.report(&format!("gk_click_id={}&cnv_status=Rejected", world.click("flat", "m2")));
    reached.check(world, &said, Code::Rejected, Some(Reason::AdvertiserRejected));
    let refused = world.visit("flat/app", "pub_click_id={x}&pub_member_id=m3").json();
    let refused = world.report(&format!("gk_click_id={}", refused["responseId"].as_str().unwrap()));
    reached.check(world, &refused, Code::Rejected, Some(Reason::ClickRefused));
    let late = older(world, &world.click("brief", "m4"), 61);
    reached.check(
        world,
        &world.report(&format!("gk_click_id={late}")),
        Code::Rejected,
        Some(Reason::TooLate),
    );
    let in_time = older(world, &world.click("brief", "m5"), 20);
    reached.check(world, &world.report(&format!("gk_click_id={in_time}")), Code::Recorded, None);
}

fn rejections_by_rules(world: &World<'_>, reached: &mut Reached) {
    let report =
        |offer: &str, member: &str| world.report(&format!("gk_click_id={}", world.click(offer, member)));
    reached.check(world, &report("slow", "m1"), Code::Rejected, Some(Reason::TooFast));
    for (offer, reason) in [("capped", Reason::Capped), ("spent", Reason::OverBudget)] {
        let late = world.click(offer, "m2");
        reached.check(world, &report(offer, "m1"), Code::Recorded, None);
        let answer = world.report(&format!("gk_click_id={late}"));
        reached.check(world, &answer, Code::Rejected, Some(reason));
    }
    world.click("strict", "only");
    let again = world.visit("strict/app", "pub_click_id=click-only&pub_member_id=m2").json();
    let again = world.report(&format!("gk_click_id={}", again["responseId"].as_str().unwrap()));
    reached.check(world, &again, Code::Rejected, Some(Reason::PubClickIdReused));

    let click = world.click("ends", "m1");
    let ended = world.declaration().replacen("slug = \"ends\"", "slug = \"ends\"\nstatus = \"Expired\"", 1);
    apply(world.engine, &ended, &[]);
    until("the offer's end is known", AT_MOST, || {
        let answer = world.visit("ends/app", "pub_click_id=e&pub_member_id=e");
        (answer.header("x-click-verdict") == "offer_expired").then_some(())
    });
    let answer = world.report(&format!("gk_click_id={click}"));
    reached.check(world, &answer, Code::Rejected, Some(Reason::OfferEnded));
}

/// What becomes of a conversion after it was recorded is told to whoever sends the postback again.
fn rejections_later(world: &World<'_>, reached: &mut Reached) {
    let (second, first) = (world.click("steps", "m1"), world.click("flat", "m8"));
    let second = format!("gk_click_id={second}&cnv_event_id=two");
    let waits = world.report(&second);
    reached.check(world, &waits, Code::Recorded, None);
    assert_eq!(waits.json()["data"]["status"], "Pending");
    world.engine.execute("update conversion set wait_until_ms = 0 where wait_for = 'predecessor'");
    until("the event's waiting is over", AT_MOST, || {
        (world.count("conversion where reason = 'out_of_sequence'") == 1).then_some(())
    });
    reached.check(world, &world.report(&second), Code::Duplicate, Some(Reason::OutOfSequence));

    let first = format!("gk_click_id={first}");
    let recorded = world.report(&first);
    reached.check(world, &recorded, Code::Recorded, None);
    let id = conversion_id(&recorded);
    PITLANE.run_on(world.engine, &["conversion", "set", &id, "--status", "Rejected"]).ok();
    reached.check(world, &world.report(&first), Code::Duplicate, Some(Reason::StaffRejected));
}

/// A copy of a click that happened so many seconds before it: a click's time is in its id.
fn older(world: &World<'_>, click: &str, by_s: u64) -> String {
    let hex = click.replace('-', "");
    let ms = u64::from_str_radix(&hex[..12], 16).unwrap() - by_s * 1_000;
    let id = uuid::Uuid::parse_str(&format!("{ms:012x}{}", &hex[12..])).unwrap().to_string();
    let columns = stored::COLUMNS;
    let (new, old) = (world.engine.id(&id), world.engine.id(click));
    world.engine.execute(&format!(
        "insert into click (click_id, {columns}) select {new}, {columns} from click where click_id = {old}"
    ));
    id
}

fn refusals(world: &World<'_>, reached: &mut Reached) {
    let click = world.click("levels", "m6");
    let absent = "0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6";
    let conversions = world.count("conversion");
    let refused = [
        (String::new(), Code::ClickIdEmpty),
        ("gk_click_id=".to_owned(), Code::ClickIdEmpty),
        ("gk_click_id=%7Bclick_id%7D".to_owned(), Code::ClickIdMacro),
        ("gk_click_id=nonsense".to_owned(), Code::ClickIdMalformed),
        (format!("gk_click_id={}", click.replace('-', "")), Code::ClickIdMalformed),
        (format!("gk_click_id={click}%20"), Code::ClickIdMalformed),
        (format!("gk_click_id={click}"), Code::EventUnknown),
        (format!("gk_click_id={click}&cnv_event_id="), Code::EventUnknown),
        (format!("gk_click_id={click}&cnv_event_id=level%2010"), Code::EventUnknown),
        (format!("gk_click_id={click}&cnv_event_id=Level+10"), Code::EventUnknown),
        (format!("gk_click_id={click}&cnv_event_id=install&cnv_amount=ten"), Code::AmountMalformed),
        (format!("gk_click_id={}", world.click("share", "m6")), Code::AmountMalformed),
        (format!("gk_click_id={click}&cnv_event_id=install&cnv_status=maybe"), Code::ParameterMalformed),
        (format!("gk_click_id={click}&cnv_event_id=install&event_id=install"), Code::ParameterMalformed),
        (format!("gk_click_id={click}&gk_click_id={click}&cnv_event_id=install"), Code::ParameterMalformed),
        (format!("gk_click_id={click}&cnv_event_id=install&token={TOKEN}"), Code::ParameterMalformed),
        (format!("gk_click_id={click}&cnv_event_id=install&cnv_sub_1=%00"), Code::ParameterMalformed),
        (format!("gk_click_id={absent}&cnv_event_id=install"), Code::ClickUnknown),
    ];
    for (query, code) in refused {
        reached.check(world, &world.report(&query), code, None);
    }
    for target in [
        format!("/postback?gk_click_id={click}&cnv_event_id=install"),
        format!("/postback?gk_click_id={click}&cnv_event_id=install&token="),
        format!("/postback?gk_click_id={click}&cnv_event_id=install&token={TOKEN}x"),
        format!("/postback?gk_click_id={click}&cnv_event_id=install&Token={TOKEN}"),
        format!("/api/v1/postback/wrong?gk_click_id={click}&cnv_event_id=install"),
        // What is wrong with a request is told to those who may know.
        "/postback?gk_click_id=%zz".to_owned(),
    ] {
        reached.check(world, &world.get(&target), Code::NotAuthorized, None);
    }
    assert_eq!(world.count("conversion"), conversions);
}

/// An inbound log that takes no rows, as when the database is broken.
fn not_recorded(world: &World<'_>, reached: &mut Reached) {
    let click = world.click("flat", "m7");
    let (conversions, deliveries) = (world.count("conversion"), world.count("delivery"));
    world.engine.execute("alter table inbound rename to inbound_away");
    let answer = world.report(&format!("gk_click_id={click}"));
    reached.check(world, &answer, Code::NotRecorded, None);
    assert_eq!(answer.header("retry-after"), "2");
    assert_eq!((world.count("conversion"), world.count("delivery")), (conversions, deliveries));
    world.engine.execute("alter table inbound_away rename to inbound");
    let again = until("postbacks are taken again", AT_MOST, || {
        let answer = world.report(&format!("gk_click_id={click}"));
        (answer.code() != "not_recorded").then_some(answer)
    });
    assert_eq!(again.code(), "recorded", "what was answered with 503 has left nothing behind");
}

/// Sends one postback in one way.
fn send(world: &World<'_>, way: &str, click: &str) -> Answer {
    let base = world.server().url();
    let (plain, by_path) = (format!("{base}/postback"), format!("{base}/api/v1/postback/{TOKEN}"));
    let client = http::client();
    let form = |url: &str, body: String| {
        client.post(url).header("content-type", "application/x-www-form-urlencoded").body(body)
    };
    let json =
        |url: &str, body: String| client.post(url).header("content-type", "application/json").body(body);
    http::answer(match way {
        "query" => client.get(format!("{plain}?gk_click_id={click}&token={TOKEN}&cnv_sub_1=a%20b")),
        "path" => client.get(format!("{by_path}?gk_click_id={click}&cnv_sub_1=a%20b")),
        "form" => form(&plain, format!("gk_click_id={click}&token={TOKEN}&cnv_sub_1=a+b")),
        "form, token in the query" => {
            form(&format!("{plain}?token={TOKEN}"), format!("gk_click_id={click}&cnv_sub_1=a%20b"))
        }
        "form, token in the path" => form(&by_path, format!("gk_click_id={click}&cnv_sub_1=a+b")),
        "json" => json(
            &plain,
            format!(r#"{{"gk_click_id":"{click}","token":"{TOKEN}","cnv_sub_1":"a b","more":[1]}}"#),
        ),
        "json, token in the query" => json(
            &format!("{plain}?token={TOKEN}"),
            format!(r#"{{"gk_click_id":"{click}","cnv_sub_1":"a b"}}"#),
        ),
        "json, token in the path" => {
            json(&by_path, format!(r#"{{"gk_click_id":"{click}","cnv_sub_1":"a b"}}"#))
        }
        "everything in the query of a POST" => {
            client.post(format!("{plain}?gk_click_id={click}&token={TOKEN}&cnv_sub_1=a%20b"))
        }
        _ => panic!("no such way: {way}"),
    })
}

const WAYS: [&str; 9] = [
    "query",
    "path",
    "form",
    "form, token in the query",
    "form, token in the path",
    "json",
    "json, token in the query",
    "json, token in the path",
    "everything in the query of a POST",
];

#[test]
fn a_postback_may_be_sent_in_every_way_and_its_copy_in_any_other() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        for (at, way) in WAYS.iter().enumerate() {
            let click = world.click("flat", &format!("m{at}"));
            let first = send(&world, way, &click);
            assert_eq!((first.status, first.code().as_str()), (200, "recorded"), "{way}: {first:?}");
            for other in WAYS {
                let copy = send(&world, other, &click);
                assert_eq!(copy.code(), "duplicate", "{way}, then {other}");
                assert_eq!(copy.json()["data"], first.json()["data"]);
            }
            let kept = format!("select kept from conversion where click_id = {}", engine.id(&click));
            assert_eq!(engine.sql(&kept), [[r#"{"cnv_sub_1":"a b"}"#]], "{way}");
        }
        assert_eq!(world.received().len(), WAYS.len());
        world.stop();
    });
}

#[test]
fn no_token_is_kept_or_logged() {
    for_each_engine(|engine| {
        let world = World::with(engine, "", &["--log-level", "trace"]);
        let click = world.click("flat", "m1");
        for way in WAYS {
            assert_eq!(send(&world, way, &click).status, 200, "{way}");
        }
        for broken in
            [format!("cnv_sub_1=%zz&x={TOKEN}"), format!("token={TOKEN}"), format!("gk_click_id={TOKEN}")]
        {
            assert_eq!(world.report(&broken).status, 400, "{broken}");
        }
        let lines = engine.sql("select target, body, message from inbound");
        assert_eq!(lines.len(), WAYS.len() + 3);
        for line in &lines {
            let line = line.join(" ");
            assert!(!line.contains(TOKEN) && line.contains("***"), "{line}");
        }
        let log = world.server().log().join("\n");
        assert!(!log.contains(TOKEN), "{log}");
        let stored = engine.count(&format!("select count(*) from inbound where target like '%{click}%'"));
        assert_eq!(stored, 3, "what is no secret is kept as it came");
        world.stop();
    });
}

#[test]
fn other_methods_report_nothing() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let click = world.click("flat", "m1");
        for target in ["/postback?".to_owned() + "token=" + TOKEN, format!("/api/v1/postback/{TOKEN}?a=1")] {
            for method in ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
                let head = format!(
                    "{method} {target}&gk_click_id={click} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                );
                let back = http::raw(world.server().address(), head.as_bytes(), AT_MOST);
                assert_eq!(http::raw_status(&back), 405, "{method}");
                assert!(String::from_utf8_lossy(&back).to_lowercase().contains("\r\nallow: get, post\r\n"));
            }
        }
        assert_eq!((world.count("conversion"), world.count("inbound")), (0, 0));
        world.stop();
    });
}
