//! Test mode: only the network can ask for it, everything runs, and nothing is counted.

use domain::id::LinkId;
use domain::test_mode::{Key, sign};
use domain::time::Timestamp;
use serde_json::Value;
use testkit::http::{self, Answer};
use testkit::{Engine, eventually, for_each_engine};

use crate::PITLANE;
use crate::world::{AT_MOST, World, click_id, conversion_id};

const IDS: &str = "pub_click_id=c-1&pub_member_id=m-1";

/// An offer that takes one conversion, ever, and counts money.
const LIMITED: &str = r#"
[[offer]]
slug = "limited"
advertiser = "shop"
destination = "https://shop.example/limited?click={gk_click_id}"
revenue = "2.00"
payout = "1.00"
caps = { total = 2 }
budgets = { total = "100.00" }
[[link]]
offer = "limited"
partner = "app"
"#;

/// What the command makes of a link.
#[track_caller]
fn test_link(engine: &Engine, link: &str, args: &[&str]) -> String {
    let made = PITLANE.run_on(engine, &[&["link", "test", link, "--json"], args].concat()).ok().json();
    made["url"].as_str().unwrap().to_owned()
}

impl World<'_> {
    /// The parameter of a test link, with its value.
    fn marker(&self, link: &str) -> String {
        let url = test_link(self.engine, &self.applied.id("link", link), &[]);
        url[url.find("gk_test=").unwrap()..].to_owned()
    }

    /// Waits until the server knows the network's key, which the first test link made.
    fn learns(&self, link: &str, marker: &str) {
        eventually("the server knows the key", AT_MOST, || {
            let query = format!("{IDS}&{marker}");
            let head = http::client().head(format!("{}{}?{query}", self.server().url(), self.path(link)));
            http::answer(head).status != 400
        });
    }

    /// What is taken of caps and budgets.
    fn taken(&self) -> Vec<String> {
        self.engine.content().into_iter().filter(|line| line.starts_with("tally:")).collect()
    }

    fn figures(&self) -> Value {
        let mut report = PITLANE.run_on(self.engine, &["report", "--by", "offer", "--json"]).ok().json();
        for key in ["as_of", "as_of_ms", "until", "to"] {
            report[key] = Value::Null;
        }
        report["lines"].clone()
    }
}

#[track_caller]
fn refused(answer: &Answer, why: &str) {
    let verdict = answer.header("x-click-verdict");
    assert_eq!((answer.status, verdict), (400, "parameter_malformed"), "{answer:?}");
    let message = answer.json()["messages"][0].as_str().unwrap().to_owned();
    assert_eq!(message.strip_prefix("gk_test ").unwrap_or(&message).split(';').next().unwrap(), why);
}

#[test]
fn outsiders_cannot_ask_for_it() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        // Nobody has asked for a test link: there is no key that anything could fit.
        let made_up = format!("gk_test=1999999999.{}", "A".repeat(43));
        refused(&world.visit("flat/app", &format!("{IDS}&{made_up}")), "does not belong to this link");
        let (own, other) = (world.marker("flat/app"), world.marker("share/app"));
        world.learns("flat/app", &own);
        let key = key(engine);
        let link: LinkId = world.applied.id("link", "flat/app").parse().unwrap();
        let ended = Timestamp::from_ms(1_700_000_000_000);
        let expired = format!("gk_test={}", sign(&key, link, ended));
        let longer = own.replacen("gk_test=1", "gk_test=2", 1);
        let (absent, broken) = ("does not belong to this link", "is not complete");
        let cases = [
            (made_up.clone(), absent),
            (other, absent),
            (longer, absent),
            (expired, "ended at 2023-11-14T22:13:20.000Z"),
            ("gk_test=".to_owned(), broken),
            ("gk_test=1".to_owned(), broken),
            ("gk_test=%zz".to_owned(), broken),
            ("gk%5Ftest=on".to_owned(), broken),
            (format!("{own}&{own}"), broken),
        ];
        for (marker, why) in &cases {
            refused(&world.visit("flat/app", &format!("{IDS}&{marker}")), why);
        }
        // Each is a click that was refused, and none is a test.
        let refusals = i64::try_from(cases.len()).unwrap() + 1;
        assert_eq!(world.count("click where verdict = 5 and marks = 0"), refusals);
        assert_eq!(world.count("click"), refusals);
        world.stop();
    });
}

/// The network's key, out of the database.
fn key(engine: &Engine) -> Key {
    let hex = engine.sql("select test_key from test_key")[0][0].clone();
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    Key::from_bytes(&bytes).unwrap()
}

#[test]
fn a_test_runs_the_whole_way_and_counts_nowhere() {
    for_each_engine(|engine| {
        let world = World::with(engine, LIMITED, &[]);
        let marker = world.marker("limited/app");
        world.learns("limited/app", &marker);
        // One that counts, so that there is something to stay as it is.
        let real = click_id(&world.visit("limited/app", "pub_click_id=r-1&pub_member_id=r-1"));
        world.report(&format!("gk_click_id={real}&cnv_conversion_id=order-1"));
        world.received();
        let (taken, figures) = (world.taken(), world.figures());
        assert!(!taken.is_empty() && figures != serde_json::json!([]));

        // The same member and the same id of the advertiser's, again and again.
        for number in 0..3 {
            let query = format!("pub_click_id=t-{number}&pub_member_id=m-1&{marker}");
            let click = click_id(&world.visit("limited/app", &query));
            let answer = world.report(&format!("gk_click_id={click}&cnv_conversion_id=order-{number}"));
            assert_eq!(
                (answer.code().as_str(), &answer.json()["data"]["status"]),
                ("recorded", &"Success".into())
            );
            let again = world.report(&format!("gk_click_id={click}&cnv_conversion_id=order-{number}"));
            assert_eq!(
                (again.code(), conversion_id(&again)),
                ("duplicate".to_owned(), conversion_id(&answer))
            );
            let row = format!(
                "conversion where conversion_id = {} and test = 1",
                engine.id(&conversion_id(&answer))
            );
            assert_eq!(world.count(&format!("{row} and holds_place = 0 and status = 'Success'")), 1);
        }
        assert_eq!(world.figures(), figures);
        assert_eq!(world.taken(), taken);
        let told = world.received();
        let tests: Vec<bool> = told.iter().map(|told| told.is_test).collect();
        assert_eq!(tests, [false, true, true, true]);
        assert!(told.iter().all(|told| told.signature.word() == "valid"), "{told:?}");

        // The member's first real conversion is its first, the advertiser's id is still free, and the cap has room.
        let click = click_id(&world.visit("limited/app", "pub_click_id=r-2&pub_member_id=m-1"));
        let first = world.report(&format!("gk_click_id={click}&cnv_conversion_id=order-2"));
        assert_eq!(first.code(), "recorded");
        assert_eq!(world.count("conversion where holds_place = 1 and test = 0"), 2);
        world.stop();
    });
}

#[test]
fn a_test_meets_the_same_rules() {
    for_each_engine(|engine| {
        let world = World::with(engine, LIMITED, &[]);
        let marker = world.marker("limited/app");
        world.learns("limited/app", &marker);
        let query = |ids: &str| format!("{ids}&{marker}");
        let empty = world.visit("limited/app", &query("pub_click_id=x&pub_member_id="));
        assert_eq!(empty.header("x-click-verdict"), "pub_member_id_empty");
        for member in ["a", "b"] {
            let click = click_id(
                &world.visit("limited/app", &format!("pub_click_id={member}&pub_member_id={member}")),
            );
            assert_eq!(world.report(&format!("gk_click_id={click}")).code(), "recorded");
        }
        eventually("the cap closes the offer to tests, too", AT_MOST, || {
            let visit = world.visit("limited/app", &query("pub_click_id=t&pub_member_id=t"));
            visit.header("x-click-verdict") == "offer_capped"
        });
        assert_eq!(world.count("conversion where test = 1"), 0);
        world.stop();
    });
}

#[test]
fn the_command_completes_a_link_and_keeps_what_it_has() {
    let engine = Engine::sqlite();
    let world = World::start(&engine);
    let id = world.applied.id("link", "flat/app");
    let made = test_link(&engine, &id, &[]);
    let start = format!("/api/v1/offer-link/redirect/{id}?pub_click_id=test-");
    assert!(made.contains(&start) && made.contains("&pub_member_id=test-"), "{made}");
    let given = format!(
        "https://api.acme.example.com:8443{}?pub_sub_1=a%20b&gk_test=old&pub_member_id=m",
        world.path("flat/app")
    );
    let made = test_link(&engine, &given, &["--hours", "1"]);
    let (before, marker) = made.split_once("&gk_test=").unwrap();
    assert!(before.starts_with(&given.replace("&gk_test=old", "")), "{made}");
    assert!(!marker.contains("old") && before.contains("&pub_click_id=test-"), "{made}");
    for wrong in ["nonsense", "https://shop.example/", "0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6"] {
        let ran = PITLANE.run_on(&engine, &["link", "test", wrong]);
        assert!(ran.code != Some(0) && ran.stderr.contains("next: "), "{ran:?}");
    }
    let ran = PITLANE.run_on(&engine, &["link", "test", &id]).ok();
    assert!(ran.stdout.contains("x-pitlane-test: 1"), "{ran:?}");
    // No log and no answer shows the key.
    let key = engine.sql("select test_key from test_key")[0][0].clone();
    assert_eq!(key.len(), 64);
    assert!(world.server().log().iter().all(|line| !line.contains(&key)));
    world.stop();
}
