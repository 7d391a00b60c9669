//! A hostile text in every field that takes free text, and every page then opened on a phone: nothing of it runs, and
//! none of it breaks a page. The same sweep renders every template.

use serde_json::json;
use testkit::http::{self, Answer};
use testkit::{Engine, eventually};
use uuid::Uuid;

use super::driver::{Driver, Setup};
use super::every_page;
use super::story::Story;
use crate::PITLANE;
use crate::portal::Browser;
use crate::portal::login::PASSWORD;
use crate::portal::template::unrendered;
use crate::world::{AT_MOST, TOKEN, World, encoded};

/// It ends an attribute, an element, a script and a template's text, turns the direction of writing, has a character of
/// four bytes, and a word that no line holds.
const HOSTILE: &str = "\"><img src=x onerror=canary=1>'</script><script>canary=1</script>{{7919*7919}}\u{202e}\u{1f980}\
    WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW";
/// As much of it as an address of an e-mail has room for, and a browser's name.
const ADDRESS: &str =
    "\"><img/src=x/onerror=canary=1>{{7919*7919}}wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww@app.example";
/// As much as the name of a token, and as the code of an event.
const TOKEN_NAME: &str = "\"><img src=x onerror=canary=1>{{7919*7919}}";
const EVENT: &str = "\"><img src=x onerror=canary=1></script><script>canary=1</script>{{7919*7919}}WWWWWWWW";
const AGENT: &str = "\"><img src=x onerror=canary=1></script><script>canary=1</script>{{7919*7919}}";
/// What of them must be in no page as it is: an element, a script, the product.
const NEVER: [&str; 4] = ["<img src=x", "<img/src", "<script>canary", "62710561"];

/// A network whose every name is the text.
const NETWORK: &str = r#"
[[network]]
label = "acme"
name = TEXT
currency = "USD"
[[advertiser]]
slug = "shop"
name = TEXT
postback_tokens = ["TOKEN"]
[[partner]]
slug = "app"
name = TEXT
[[offer]]
slug = "levels"
name = TEXT
headline = TEXT
description = TEXT
terms = TEXT
categories = [TEXT, "Plain"]
creatives = [{ name = TEXT, url = "https://shop.example/x.png" }]
type = "MultiEvent"
advertiser = "shop"
destination = "https://shop.example/levels?click={gk_click_id}&n={gk_offer_name}&m={pub_member_id}"
[[offer.event]]
code = CODE
name = TEXT
revenue = "1.00"
payout = "0.60"
caps = { total = 40 }
[[offer]]
slug = "other"
name = "Other {{7919*7919}}"
advertiser = "shop"
destination = "https://shop.example/other?click={gk_click_id}"
revenue = "1.00"
payout = "0.60"
link_approval = "on_request"
[[offer]]
slug = "third"
name = TEXT
advertiser = "shop"
destination = "https://shop.example/third?click={gk_click_id}"
revenue = "1.00"
payout = "0.60"
[[link]]
offer = "levels"
partner = "app"
[[link]]
offer = "third"
partner = "app"
[[postback]]
partner = "app"
slug = "all"
url = "http://{partner}/postback/all?click={pub_click_id}&member={pub_member_id}&sub={pub_sub_1}&event={cnv_event_id}"
[[user]]
email = EMAIL
role = "partner"
partner = "app"
[[user]]
email = "staff@acme.example"
role = "viewer"
[[user]]
email = "payer@acme.example"
role = "advertiser"
advertiser = "shop"
"#;

/// The same with the texts in their places.
fn network() -> String {
    let filled = [("TEXT", HOSTILE), ("EMAIL", ADDRESS), ("CODE", EVENT)];
    let quoted = |text: &str| json!(text).to_string();
    let network =
        filled.iter().fold(NETWORK.to_owned(), |all, (name, text)| all.replace(name, &quoted(text)));
    network.replace("TOKEN", TOKEN)
}

/// Every page that was answered.
#[derive(Default)]
struct Seen {
    bodies: Vec<String>,
    wrong: Vec<String>,
}

impl Seen {
    /// Looks at an answer, and keeps it.
    fn add(&mut self, what: &str, answer: &Answer) {
        let found = NEVER.iter().filter(|never| answer.body.contains(**never));
        self.wrong.extend(found.map(|never| format!("{what} has {never} in it")));
        if answer.status >= 500 {
            self.wrong.push(format!("{what}: {answer:?}"));
        }
        self.bodies.push(answer.body.clone());
    }
}

/// What a hostile visitor and a hostile tracker leave behind: our id of the click.
fn traffic(world: &World<'_>) -> String {
    let value = encoded(HOSTILE);
    let ids = format!("pub_click_id={value}&pub_member_id={value}");
    let rest = (1..=15).map(|number| format!("&pub_sub_{number}={value}")).collect::<Vec<_>>().concat();
    let facts =
        format!("&pub_session_id={value}&pub_gender={value}&pub_geo_state={value}&pub_postal_code={value}");
    let visit = |query: &str| {
        let url = format!("{}{}?{query}", world.server().url(), world.path("levels/app"));
        http::answer(
            http::client().get(url).header("user-agent", AGENT).header("referer", "https://x.example/%22%3E"),
        )
    };
    let sent_on = visit(&format!("{ids}{rest}{facts}"));
    let (_, click) = sent_on.header("location").split_once("click=").unwrap_or_else(|| panic!("{sent_on:?}"));
    let click: String = click.chars().take(36).collect();
    // The id again, and a macro that was never replaced.
    assert_eq!(visit(&ids).header("x-click-verdict"), "pub_click_id_reused");
    visit(&format!("pub_click_id={}&pub_member_id={value}", encoded("{{7919*7919}}")));
    let event = encoded(EVENT);
    let report = |more: &str| world.report(&format!("gk_click_id={click}&cnv_event_id={event}{more}")).code();
    let more = format!("&cnv_conversion_id={value}&cnv_user_id={value}&cnv_sub_1={value}&cnv_email={value}");
    assert_eq!(report(&more), "recorded");
    assert_eq!(world.report(&format!("gk_click_id={click}&cnv_event_id=no{value}")).code(), "event_unknown");
    let conversion = one(world, "select conversion_id from conversion where test = 0");
    let reject = ["conversion", "set", &conversion, "--status", "Rejected", "--reason", HOSTILE];
    PITLANE.run_on(world.engine, &reject).ok();
    click
}

fn one(world: &World<'_>, query: &str) -> String {
    let rows = world.engine.sql(query);
    Uuid::parse_str(&rows.first().unwrap_or_else(|| panic!("{query}: nothing"))[0])
        .expect("an id")
        .to_string()
}

/// Sends every form with the text in each of its fields; what is answered is looked at.
fn forms(world: &World<'_>, own: &Browser, seen: &mut Seen) {
    let h = HOSTILE;
    let offer = format!("/offers/{}", world.applied.id("offer", "levels"));
    let postback = format!("/postbacks/{}", world.applied.id("postback", "app/all"));
    let url = format!(
        "http://{}/postback/own?x={}&c={{pub_click_id}}",
        world.partner.addr(),
        h.replace(['{', '}'], "")
    );
    let ids =
        [("pub_click_id", h), ("pub_member_id", h), ("pub_sub_1", h), ("pub_sub_2", h), ("pub_sub_3", h)];
    let with = |more: &[(&'static str, &'static str)]| [&ids[..], more].concat();
    let text = |names: &[&'static str]| names.iter().map(|name| (*name, h)).collect::<Vec<_>>();
    let mine: Vec<(&str, &str)> =
        vec![("name", "own"), ("url", &url), ("method", "GET"), ("scope", ""), ("on_success", "1")];
    // What is taken is then in the pages, and what is not in the answer.
    for (status, path, fields) in [
        (422, "/profile", text(&["zone", "numbers", "dates"])),
        (422, "/profile/password", text(&["current", "password"])),
        (422, "/profile/totp", text(&["secret", "code"])),
        (422, "/profile/totp/end", text(&["password"])),
        (422, "/team/invite", vec![("email", h), ("role", "member")]),
        (422, "/tokens", text(&["name"])),
        (200, "/tokens", vec![("name", TOKEN_NAME)]),
        (303, "/reports/views", text(&["name", "query"])),
        (422, "/postbacks", text(&["name", "url", "method", "scope"])),
        (303, "/postbacks", mine),
        (303, &format!("{postback}/test"), with(&[("status", "Success")])),
        (422, &format!("{postback}/remove"), text(&["name"])),
        (422, &format!("{postback}/replay"), text(&["since", "state"])),
        (422, &format!("{postback}/backfill"), text(&["since"])),
        (303, &format!("{offer}/copied"), vec![]),
        (422, &format!("{offer}/test/click"), with(&[("address", h), ("device", h)])),
        (303, &format!("{offer}/test/click"), ids.to_vec()),
    ] {
        let answer = own.post(path, &fields);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        seen.add(&format!("the answer of {path}"), &answer);
    }
    let click =
        one(world, "select click_id from click where (marks & 2) <> 0 order by click_id desc limit 1");
    seen.add(
        "a test conversion",
        &own.post(&format!("{offer}/test/conversion"), &[("click", &click), ("event", EVENT)]),
    );
    eventually("every delivery has ended", AT_MOST, || world.waiting() == 0);
    let answer = HOSTILE.replace('\'', "''");
    world.engine.execute(&format!("update delivery_attempt set answer = '{answer}', result = '{answer}'"));
    own.submit(&format!("{postback}/switch"), &[("on", "0")]);
}

/// What strangers and those who begin type, and what staff and advertisers are shown.
fn strangers(world: &World<'_>, seen: &mut Seen) {
    let stranger = Browser::new(world);
    for (path, fields) in [
        ("/login", vec![("email", HOSTILE), ("password", HOSTILE), ("next", HOSTILE)]),
        ("/forgotten", vec![("email", HOSTILE)]),
    ] {
        seen.add(path, &stranger.post(path, &fields));
    }
    for path in ["/", "/login", "/forgotten", "/invitation/none", "/login?next=%22%3E%3Cscript%3Ecanary%3D1"]
    {
        seen.add(path, &stranger.get(path));
    }
    for (email, told) in [("staff@acme.example", "pitlane why"), ("payer@acme.example", "no pages here yet")]
    {
        let page = Browser::log_in(world, email).get("/home");
        assert!(page.status == 403 && page.body.contains(told) && page.body.contains("Log out"), "{page:?}");
        seen.add(email, &page);
    }
}

/// The pages behind the log-in, and those whose query is free text.
fn pages(world: &World<'_>, click: &str) -> Vec<String> {
    let ids = [
        ("{offer}", world.applied.id("offer", "levels")),
        ("{postback}", world.applied.id("postback", "app/all")),
        ("{delivery}", one(world, "select delivery_id from delivery order by delivery_id limit 1")),
        ("{id}", click.to_owned()),
    ];
    let value = encoded(HOSTILE);
    let offer = &ids[0].1;
    let test = one(world, "select click_id from click where (marks & 2) <> 0 order by click_id desc limit 1");
    let more = [
        format!("/offers?q={value}&country={value}&category={value}"),
        format!(
            "/offers/{offer}?pub_click_id={value}&pub_member_id={value}&pub_sub_1={value}&pub_sub_9={value}"
        ),
        format!("/offers/{offer}/test?click={test}"),
        format!("/search?q={value}"),
        format!("/search?q=no-{value}"),
        format!("/search?q={}", encoded("7919")),
        format!("/trace/{value}"),
        format!("/clicks?range={value}&id={value}&country={value}&offer={value}"),
        "/clicks?range=today&column=at&column=pub_click_id&column=pub_sub_1&column=pub_sub_15&column=browser"
            .to_owned(),
        "/clicks?kind=test".to_owned(),
        format!("/conversions?range={value}&id={value}"),
        "/conversions?kind=test".to_owned(),
        "/conversions?range=today&column=event&column=pub_sub_2&column=pub_member_id".to_owned(),
        "/reports?by=event&by2=pub_sub_1&chart=conversions".to_owned(),
        "/reports?by=pub_sub_2&compare=previous".to_owned(),
        format!("/reports?range={value}&by={value}&pub_sub_3={value}&country={value}"),
        format!("/postbacks/builder?url={value}&scope={value}&method={value}"),
        format!(
            "/postbacks/builder?url={}",
            encoded(&format!("https://x.example/{HOSTILE}?a={HOSTILE}&b={{zone}}"))
        ),
        format!("/postbacks/new?name={value}&url={value}&scope={value}"),
        format!("/postbacks/{}?since={value}&state={value}", ids[1].1),
        format!("/postbacks/{}/backfill?since={value}", ids[1].1),
    ];
    every_page(&ids).into_iter().chain(more).collect()
}

#[test]
fn a_hostile_text_runs_nowhere_and_breaks_no_page_and_every_template_is_rendered() {
    let engine = Engine::sqlite();
    let world = World::declared(&engine, &network(), &[]);
    let mut seen = Seen::default();
    let invitation = format!("/invitation/{}", world.applied.setup_token(ADDRESS));
    seen.add("the invitation", &Browser::new(&world).get(&invitation));
    let own = Browser::new(&world).called(AGENT).logged_in(&world, ADDRESS);
    let click = traffic(&world);
    forms(&world, &own, &mut seen);
    strangers(&world, &mut seen);
    second_factor(&world, &mut seen);

    let pages = pages(&world, &click);
    for page in &pages {
        let answer = own.get(page);
        assert!(matches!(answer.status, 200 | 303 | 404), "{page}: {answer:?}");
        seen.add(page, &answer);
    }
    assert!(seen.wrong.is_empty(), "{}", seen.wrong.join("\n"));
    assert_eq!(unrendered(&seen.bodies), [""; 0], "no page of the sweep shows these templates");

    let driver = Driver::start();
    let setup = Setup { width: 360, scripts: true, dark: false };
    let story = Story::begin(&driver, setup, world.server().url(), None);
    story.logs_in(ADDRESS);
    for page in &pages {
        story.open(page);
        if story.tab.run("return typeof canary") != "undefined" {
            story.is_wrong("the text ran");
        }
    }
    story.ends();
    world.stop();
}

/// The second factor's pages, which come only once.
fn second_factor(world: &World<'_>, seen: &mut Seen) {
    let own = Browser::log_in(world, ADDRESS);
    let invited = own.post("/team/invite", &[("email", "new@app.example"), ("role", "member")]);
    seen.add("an invitation's link", &invited);
    let (_, token) = invited.body.split_once("/invitation/").unwrap_or_else(|| panic!("{invited:?}"));
    let token: String =
        token.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    let new = Browser::new(world);
    new.submit(&format!("/invitation/{token}"), &[("password", PASSWORD)]);
    let page = new.page("/profile/totp");
    let (_, rest) = page.split_once("name=\"secret\" value=\"").expect("a secret");
    let secret = rest.split_once('"').expect("its end").0;
    let code = crate::portal::profile::code(secret, 0);
    seen.add("the recovery codes", &new.post("/profile/totp", &[("secret", secret), ("code", &code)]));
    seen.add("the second factor that is on", &new.get("/profile/totp"));
    let again = Browser::new(world);
    again.submit("/login", &[("email", "new@app.example"), ("password", PASSWORD)]);
    seen.add("a wrong code", &again.post("/totp", &[("code", HOSTILE)]));
}
