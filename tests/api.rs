//! The JSON API: who may ask, and that nobody learns of what belongs to somebody else.

use serde_json::{Value, json};
use testkit::http::{self, Answer};
use testkit::{Engine, for_each_engine};

use crate::PITLANE;
use crate::world::World;

const MORE: &str = r#"
[[partner]]
slug = "web"
[[link]]
offer = "flat"
partner = "web"

[[offer]]
slug = "limited"
advertiser = "shop"
destination = "https://shop.example/limited?click={gk_click_id}"
revenue = "2.00"
payout = "1.00"
budgets = { day = "100.00" }
[[link]]
offer = "limited"
partner = "app"
"#;

const IDS: &str = "pub_click_id=c-1&pub_member_id=m-1";

#[track_caller]
fn token(engine: &Engine, args: &[&str]) -> String {
    let made = PITLANE.run_on(engine, &[&["token", "new", "a test", "--json"], args].concat()).ok().json();
    made["token"].as_str().unwrap().to_owned()
}

impl World<'_> {
    fn asks(&self, token: Option<&str>, body: &Value) -> Answer {
        let request = http::client().post(format!("{}/api/v1/link-check", self.server().url()));
        let request = request.header("content-type", "application/json").body(body.to_string());
        http::answer(match token {
            Some(token) => request.header("authorization", format!("ApiToken {token}")),
            None => request,
        })
    }

    fn link(&self, link: &str) -> String {
        format!("{}{}?{IDS}", self.server().url(), self.path(link))
    }
}

/// An answer without what is new in every one.
fn same(answer: &Answer, id: &str) -> (u16, String) {
    let mut body = answer.json();
    body["responseId"] = Value::Null;
    (answer.status, body.to_string().replace(id, "ID"))
}

#[test]
fn only_live_tokens_are_answered() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let own = token(engine, &[]);
        let body = json!({ "url": world.link("flat/app"), "at": "2026-12-01T00:00:00Z" });
        assert_eq!(world.asks(Some(&own), &body).code(), "ok");
        let longer = format!("{own}x");
        for wrong in [None, Some(""), Some("plt_"), Some(longer.as_str())] {
            let answer = world.asks(wrong, &body);
            assert_eq!((answer.status, answer.code().as_str()), (401, "not_authorized"), "{wrong:?}");
            assert_eq!(answer.header("www-authenticate"), "ApiToken");
            assert_eq!(answer.json()["data"], Value::Null);
        }
        assert_eq!(world.asks(Some(&own), &json!({})).status, 400, "the token goes first");
        let get = http::get(&format!("{}/api/v1/link-check", world.server().url()));
        assert_eq!((get.status, get.header("allow")), (405, "POST"));

        let listed = PITLANE.run_on(engine, &["token", "list", "--json"]).ok().json();
        assert_eq!(listed[0]["shown"], own[..12]);
        assert!(listed[0]["used_day"].as_str().unwrap().starts_with("20"), "{listed}");
        let hex = own.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let content = engine.content().join("\n");
        assert!(!content.contains(&own) && !content.contains(&hex), "only the hash is kept");
        PITLANE.run_on(engine, &["token", "revoke", &own[..12]]).ok();
        assert_eq!(world.asks(Some(&own), &body).status, 401);
        let again = PITLANE.run_on(engine, &["token", "revoke", &own[..12]]);
        assert_eq!(again.code, Some(1), "{again:?}");
        assert!(world.server().log().iter().all(|line| !line.contains(&own)));
        world.stop();
    });
}

#[test]
fn it_says_what_the_command_says() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let own = token(engine, &[]);
        let url = world.link("limited/app");
        let at = "2026-12-01T00:00:00.000Z";
        let answer =
            world.asks(Some(&own), &json!({ "url": url, "at": at, "country": "DE", "device": "IOS" }));
        let envelope = answer.json();
        assert_eq!((answer.status, &envelope["isSuccessful"]), (200, &true.into()));
        let args = ["link", "check", &url, "--at", at, "--country", "DE", "--device", "IOS", "--json"];
        let said = PITLANE.run_on(engine, &args).ok().json();
        let data = &envelope["data"];
        for (own, theirs) in
            [("at", "at"), ("verdict", "verdict"), ("steps", "steps"), ("location", "location")]
        {
            assert_eq!(data[own], said[theirs], "{own}");
        }
        assert_eq!(data["httpStatus"], said["http_status"]);
        assert_eq!(data["exampleClickId"], said["example_click_id"]);
        assert_eq!(world.count("click"), 0);
        world.stop();
    });
}

#[test]
fn another_partner_s_link_answers_like_an_absent_one() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let app = token(engine, &["--partner", "app"]);
        let at = "2026-12-01T00:00:00Z";
        let ask = |link: &str| world.asks(Some(&app), &json!({ "url": link, "at": at }));
        assert_eq!(ask(&world.link("flat/app")).json()["data"]["verdict"], "ok");
        let absent = "0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6";
        let other = world.applied.id("link", "flat/web");
        let of = |id: &str| format!("{}/api/v1/offer-link/redirect/{id}?{IDS}", world.server().url());
        let unknown = same(&ask(&of(absent)), absent);
        assert!(unknown.1.contains("link_unknown"), "{unknown:?}");
        assert_eq!(same(&ask(&of(&other)), &other), unknown);
        // With parameters that are wrong, and at another time, too.
        let odd = |id: &str| format!("{}&pub_member_id=x&pub_sub1=y", of(id));
        assert_eq!(same(&ask(&odd(&other)), &other), same(&ask(&odd(absent)), absent));
        world.stop();
    });
}

#[test]
fn a_partner_does_not_learn_what_the_advertiser_pays() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let (own, partner) = (token(engine, &[]), token(engine, &["--partner", "app"]));
        let body = json!({ "url": world.link("limited/app") });
        assert!(world.asks(Some(&own), &body).body.contains("0.00 of 100.00 USD revenue a day"));
        let told = world.asks(Some(&partner), &body);
        assert_eq!(told.json()["data"]["verdict"], "ok");
        assert!(!told.body.contains("100") && !told.body.contains("revenue"), "{}", told.body);
        world.stop();
    });
}

#[test]
fn what_cannot_be_read_is_named() {
    let engine = Engine::sqlite();
    let world = World::with(&engine, MORE, &[]);
    let own = token(&engine, &[]);
    let link = world.link("flat/app");
    for (body, named) in [
        (json!({}), "missing field `url`"),
        (json!([]), "the body is no JSON object"),
        (json!({ "url": "nonsense" }), "url: `nonsense` is not a whole URL"),
        (json!({ "url": link, "country": "Atlantis" }), "country: "),
        (json!({ "url": link, "device": "Fridge" }), "device: `Fridge` is no device; it is one of: IOS"),
        (json!({ "url": link, "address": "999.1.1.1" }), "address: "),
        (json!({ "url": link, "at": "soon" }), "at: `soon` is not a point in time"),
        (json!({ "url": link, "colour": "red" }), "unknown field `colour`"),
    ] {
        let answer = world.asks(Some(&own), &body);
        assert_eq!((answer.status, answer.code().as_str()), (400, "parameter_malformed"), "{answer:?}");
        let message = answer.json()["messages"][0].as_str().unwrap().to_owned();
        assert!(message.contains(named), "{message}");
    }
    let large = world.asks(Some(&own), &json!({ "url": "x".repeat(100_000) }));
    assert_eq!((large.status, large.code().as_str()), (413, "parameter_malformed"));
    world.stop();
}

#[test]
fn a_token_works_on_its_network_s_hosts_only() {
    let engine = Engine::sqlite();
    let own = |text: &str| {
        ["[[advertiser]]", "[[partner]]", "[[offer]]", "[[link]]", "[[postback]]"]
            .iter()
            .fold(text.to_owned(), |text, noun| text.replace(noun, &format!("{noun}\nnetwork = \"acme\"")))
    };
    let declaration =
        format!("{}[[network]]\nlabel = \"rival\"\ncurrency = \"EUR\"\n", own(crate::world::NETWORK));
    let world = World::declared(&engine, &declaration, &[]);
    let acme = token(&engine, &["--network", "acme"]);
    let url = format!("http://api.acme.test{}?{IDS}", world.path("flat/app"));
    let ask = |host: &str| {
        let request = http::client().post(format!("{}/api/v1/link-check", world.server().url()));
        let request = request.header("host", host).header("authorization", format!("ApiToken {acme}"));
        http::answer(request.body(json!({ "url": url }).to_string()))
    };
    assert_eq!(ask("api.acme.test").json()["data"]["verdict"], "ok");
    for host in ["api.rival.test", "127.0.0.1"] {
        assert_eq!(ask(host).status, 401, "{host}");
    }
    world.stop();
}
