//! The whole loop: a click, the visitor at the advertiser, its postback, the partner told.

use simulator::partner::{Received, SignatureCheck};
use testkit::for_each_engine;

use crate::world::{World, click_id, conversion_id, encoded};

/// Everything that breaks a URL when it is not encoded, and a plus sign that must stay one.
const NASTY: &str = "a b+c&d=e/f?g#h%41\"j<k>{l}'é漢;,@:\\";

/// An offer whose destination uses every macro, and a postback that does.
const EVERY_MACRO: &str = r#"
[[offer]]
slug = "every"
name = "All & everything"
advertiser = "shop"
destination = """https://shop.example/in/{pub_member_id}/x?click={gk_click_id}&offer={gk_offer_id}\
    &name={gk_offer_name}&partner={gk_partner_id}&network={gk_network}&pc={pub_click_id}&s1={pub_sub_1}\
    &s2={pub_sub_2}&s3={pub_sub_3}&s4={pub_sub_4}&s5={pub_sub_5}&s6={pub_sub_6}&s7={pub_sub_7}&s8={pub_sub_8}\
    &s9={pub_sub_9}&s10={pub_sub_10}&s11={pub_sub_11}&s12={pub_sub_12}&s13={pub_sub_13}&s14={pub_sub_14}\
    &s15={pub_sub_15}&country={country}&device={device}&ip={ip}&ua={user_agent}&at={timestamp}&r={random}"""
revenue = "2"
payout = "1"

[[link]]
offer = "every"
partner = "app"

[[postback]]
partner = "app"
slug = "every"
offer = "every"
url = """http://{partner}/postback/every/{pub_click_id}?m={pub_member_id}&s1={pub_sub_1}&s2={pub_sub_2}\
    &s3={pub_sub_3}&s4={pub_sub_4}&s5={pub_sub_5}&s6={pub_sub_6}&s7={pub_sub_7}&s8={pub_sub_8}&s9={pub_sub_9}\
    &s10={pub_sub_10}&s11={pub_sub_11}&s12={pub_sub_12}&s13={pub_sub_13}&s14={pub_sub_14}&s15={pub_sub_15}\
    &click={gk_click_id}&offer={gk_offer_id}&name={gk_offer_name}&event={cnv_event_id}&amount={cnv_amount}\
    &currency={cnv_currency}&payout={payout}&pc={payout_currency}&status={cnv_status}\
    &conversion={conversion_id}&at={timestamp}"""
"#;

/// `&s1=…&s15=…`: each sub parameter has a nasty value of its own.
fn subs(name: &str) -> String {
    let subs: Vec<String> =
        (1..=15).map(|n| format!("&{name}{n}={}", encoded(&format!("{n}{NASTY}")))).collect();
    subs.concat()
}

#[test]
fn every_macro_arrives_encoded_at_the_advertiser_and_at_the_partner() {
    for_each_engine(|engine| {
        let world = World::with(engine, EVERY_MACRO, &[]);
        let (click, member) = (encoded(NASTY), encoded(&format!("m{NASTY}")));
        let facts = "pub_geo_country=de&pub_device=IOS";
        let query =
            format!("pub_click_id={click}&pub_member_id={member}&{facts}&unknown=1{}", subs("pub_sub_"));
        let sent_on = world.visit("every/app", &query);
        let ours = click_id(&sent_on);
        let offer = world.applied.id("offer", "every");
        let partner = world.applied.id("partner", "app");
        let (url, rest) = sent_on.header("location").split_once("&at=").unwrap();
        let expected = format!(
            "https://shop.example/in/{member}/x?click={ours}&offer={offer}&name=All%20%26%20everything\
             &partner={partner}&network=acme&pc={click}{}&country=DE&device=IOS&ip=127.0.0.1&ua=",
            subs("s")
        );
        assert_eq!(url, expected);
        let (at, random) = rest.split_once("&r=").unwrap();
        assert_eq!(at, second_of(&ours));
        assert!(!random.is_empty() && random.bytes().all(|byte| byte.is_ascii_digit()), "{rest}");

        let answer = world.report(&format!("gk_click_id={ours}&cnv_amount=12.50&cnv_currency=EUR"));
        assert_eq!((answer.status, answer.code().as_str()), (200, "recorded"), "{answer:?}");
        let told = told(&world, "/postback/every");
        assert_eq!((told.method.as_str(), told.signature), ("GET", SignatureCheck::Valid));
        let conversion = conversion_id(&answer);
        let (url, at) = told.path_and_query.split_once("&at=").unwrap();
        let expected = format!(
            "/postback/every/{click}?m={member}{}&click={ours}&offer={offer}&name=All%20%26%20everything&event=\
             &amount=12.50&currency=EUR&payout=1.00&pc=USD&status=Success&conversion={conversion}",
            subs("s")
        );
        assert_eq!(url, expected);
        assert_eq!(at, second_of(&conversion));
        assert_eq!(told.parameter("m"), format!("m{NASTY}"), "and decodes to what was sent");
        world.stop();
    });
}

/// The Unix second inside a UUID v7.
fn second_of(id: &str) -> String {
    let ms = u64::from_str_radix(&id.replace('-', "")[..12], 16).unwrap();
    (ms / 1_000).to_string()
}

/// The only postback that the partner received below a path.
fn told(world: &World<'_>, path: &str) -> Received {
    let received = world.received();
    let below: Vec<_> = received.iter().filter(|one| one.path_and_query.starts_with(path)).collect();
    assert_eq!(below.len(), 1, "{below:#?}");
    Received::clone(below[0])
}

/// Postbacks of every scope and method, told also of what does not pay.
const SCOPES: &str = r#"
[[postback]]
partner = "app"
slug = "levels"
offer = "levels"
method = "POST_FORM"
url = "http://{partner}/postback/levels?from=pitlane"

[[postback]]
partner = "app"
slug = "level-10"
offer = "levels"
event = "Level 10"
method = "POST_JSON"
url = "http://{partner}/postback/level-10"

[[postback]]
partner = "app"
slug = "off"
url = "http://{partner}/postback/off"
enabled = false
"#;

#[test]
fn every_postback_whose_scope_holds_the_conversion_fires() {
    for_each_engine(|engine| {
        let world = World::with(engine, SCOPES, &[]);
        let fired = |query: &str, click: &str| {
            let before = world.received().len();
            let answer = world.report(&format!("gk_click_id={click}&{query}"));
            assert_eq!(answer.code(), "recorded", "{answer:?}");
            let all = world.received();
            let mut paths: Vec<String> = all[before..].iter().map(|one| path_of(one).to_owned()).collect();
            assert!(all[before..].iter().all(|one| one.signature == SignatureCheck::Valid), "{all:#?}");
            paths.sort();
            paths
        };
        assert_eq!(fired("", &world.click("flat", "m1")), ["/postback/all"]);
        let click = world.click("levels", "m1");
        assert_eq!(fired("cnv_event_id=install", &click), ["/postback/all", "/postback/levels"]);
        let every = ["/postback/all", "/postback/level-10", "/postback/levels"];
        assert_eq!(fired("event_id=Level%2010", &click), every);
        world.stop();
    });
}

fn path_of(received: &Received) -> &str {
    received.path_and_query.split('?').next().unwrap()
}

#[test]
fn a_form_and_a_json_body_carry_every_field_that_has_a_value() {
    for_each_engine(|engine| {
        let world = World::with(engine, SCOPES, &[]);
        let click = encoded(NASTY);
        let query = format!("pub_click_id={click}&pub_member_id=m1&pub_sub_15={click}");
        let ours = click_id(&world.visit("levels/app", &query));
        let answer = world.report(&format!("gk_click_id={ours}&cnv_event_id=Level%2010"));
        let (form, json) = (told(&world, "/postback/levels"), told(&world, "/postback/level-10"));
        assert_eq!(form.path_and_query, "/postback/levels?from=pitlane");
        assert_eq!(form.content_type, "application/x-www-form-urlencoded");
        assert_eq!(json.content_type, "application/json");
        for received in [&form, &json] {
            assert_eq!((received.method.as_str(), received.signature), ("POST", SignatureCheck::Valid));
            let conversion = conversion_id(&answer);
            let expected = [
                ("pub_click_id", NASTY),
                ("pub_member_id", "m1"),
                ("pub_sub_15", NASTY),
                ("pub_sub_1", ""),
                ("gk_click_id", &ours),
                ("gk_offer_id", &world.applied.id("offer", "levels")),
                ("gk_offer_name", "levels"),
                ("cnv_event_id", "Level 10"),
                ("cnv_amount", ""),
                ("payout", "4.00"),
                ("payout_currency", "USD"),
                ("cnv_status", "Success"),
                ("conversion_id", &conversion),
                ("timestamp", &second_of(&conversion)),
            ];
            for (name, value) in expected {
                assert_eq!(received.parameter(name), value, "{name} in {received:#?}");
            }
        }
        world.stop();
    });
}

#[test]
fn what_a_click_and_its_conversion_are_is_in_the_record() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let click = world.click("flat", "m1");
        let conversion = conversion_id(&world.report(&format!(
            "gk_click_id={click}&cnv_conversion_id=order-7&cnv_email=a%40b.example&cnv_sub_5=x"
        )));
        let row = format!(
            "select status, reason, pub_click_id, pub_member_id, advertiser_key, revenue_micros, payout_micros, \
             currency, address, kept from conversion where conversion_id = {} and click_id = {}",
            engine.id(&conversion),
            engine.id(&click)
        );
        let kept = r#"{"cnv_email":"a@b.example","cnv_sub_5":"x"}"#;
        let expected =
            ["Success", "NULL", "click-m1", "m1", "order-7", "2500000", "1200000", "USD", "127.0.0.1", kept];
        assert_eq!(engine.sql(&row), [expected]);
        let history = "select version, status, actor from conversion_change order by version";
        assert_eq!(engine.sql(history), [["0", "Success", "advertiser"]]);
        assert_eq!(world.received().len(), 1);
        let delivered =
            "delivery where state = 'delivered' and attempts = 1 and version = 0 and origin = 'live'";
        assert_eq!(world.count(delivered), 1);
        world.stop();
    });
}
