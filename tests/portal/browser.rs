//! A newcomer in a real browser: from the invitation to a link that is proven, with scripts and without, with the mouse
//! and without, on a wide screen and on a phone. No page may make the console speak or jump, and axe finds nothing
//! serious on any.

mod driver;
mod hostile;
mod keyboard;
mod story;

use ::portal::{ROUTES, Route, Rule};
use testkit::Engine;
use uuid::Uuid;

use self::driver::{Driver, Setup};
use self::story::Story;
use super::start_with;
use crate::world::World;

/// Offers for the other newcomers, so that each has a checklist of its own, and one more of them.
const MORE: &str = r#"
[[offer]]
slug = "second"
name = "Second wind"
advertiser = "shop"
destination = "https://shop.example/second?click={gk_click_id}"
revenue = "3.00"
payout = "2.00"
[[link]]
offer = "second"
partner = "app"
[[offer]]
slug = "third"
name = "Third time"
advertiser = "shop"
destination = "https://shop.example/third?click={gk_click_id}"
revenue = "3.00"
payout = "2.00"
[[link]]
offer = "third"
partner = "app"
[[user]]
email = "staff@acme.example"
role = "manager"
[[user]]
email = "keys@app.example"
role = "partner"
partner = "app"
team_role = "member"
"#;

/// Pages beside those behind the log-in as they are: one of strangers, and some with something in their query.
const ASKED: [&str; 6] = [
    "/forgotten",
    "/postbacks/builder?url=https%3A%2F%2Ft.example%2F%3Fcid%3D%5BCLICK%5D%26z%3D%7Bz%7D",
    "/clicks?kind=test",
    "/conversions?kind=test",
    "/search?q=nothing",
    "/search?q=t",
];

/// Every page behind the log-in, with these ids in the places of the parameters of the same names.
fn every_page(ids: &[(&str, String)]) -> Vec<String> {
    let shown = |route: &&Route| {
        // Streams, files, and what a script puts into a page.
        let odd = ["/live", ".csv", "/customise"].iter().any(|end| route.path.ends_with(end));
        route.method == "GET" && route.rule != Rule::Public && !odd
    };
    let path = |route: &Route| {
        let path = ids.iter().fold(route.path.to_owned(), |path, (name, id)| path.replace(name, id));
        assert!(!path.contains('{'), "no id for {path}");
        path
    };
    ROUTES.iter().filter(shown).map(path).collect()
}

#[test]
fn a_newcomer_comes_to_a_proven_link_in_a_real_browser() {
    let axe = story::axe();
    let engine = Engine::sqlite();
    let world = start_with(&engine, MORE);
    let base = world.server().url();
    let driver = Driver::start();
    let story = |width, scripts, dark| {
        Story::begin(&driver, Setup { width, scripts, dark }, base, Some(axe.as_str()))
    };
    std::thread::scope(|scope| {
        let wide = scope.spawn(|| {
            let wide = story(1440, true, false);
            wide.newcomer(&world, "owner@app.example", "Flat & fair");
            for page in own_pages(&world) {
                wide.open(&page);
            }
            keys(&wide);
            wide.ends();
        });
        let keys = scope.spawn(|| {
            let keys = story(1440, true, true);
            keys.newcomer_without_a_mouse(&world, "keys@app.example", "Third time");
            keys.ends();
        });
        let narrow = story(360, false, false);
        narrow.newcomer(&world, "member@app.example", "Second wind");
        narrow.ends();
        let phone = story(360, true, true);
        phone.logs_in("member@app.example");
        for page in own_pages(&world) {
            phone.open(&page);
        }
        phone.ends();
        let staff = story(360, true, false);
        staff.accepts(&world, "staff@acme.example");
        staff.tab.shows("pitlane link health");
        // That the page is refused is said there as well.
        assert_eq!(staff.tab.console().len(), 1);
        staff.looks_right();
        staff.tab.click("//button[.='Log out']");
        staff.tab.is_at("/login?said=bye");
        staff.ends();
        wide.join().expect("the wide story");
        keys.join().expect("the story without a mouse");
    });
    world.stop();
}

/// Every page, of what the second newcomer made where it is about something.
fn own_pages(world: &World<'_>) -> Vec<String> {
    let made =
        world.engine.sql("select delivery_id, conversion_id from delivery order by delivery_id limit 1");
    let made = |column: usize| Uuid::parse_str(&made[0][column]).expect("an id").to_string();
    let postback = world.applied.id("postback", "app/all");
    let backfill = format!("/postbacks/{postback}/backfill?since=2020-01-01");
    let ids = [
        ("{offer}", world.applied.id("offer", "second")),
        ("{postback}", postback),
        ("{delivery}", made(0)),
        ("{id}", made(1)),
    ];
    every_page(&ids).into_iter().chain(ASKED.map(str::to_owned)).chain([backfill]).collect()
}

/// A page is found, and a search begun, without the mouse.
fn keys(story: &Story<'_>) {
    let tab = &story.tab;
    story.open("/help");
    tab.press("go");
    tab.is_at("/offers");
    tab.press("/");
    assert_eq!(tab.run("return document.activeElement.id"), "q", "the search field has the focus");
    tab.press("site_12\u{e007}");
    tab.shows("site_12");
    assert!(tab.url().contains("/search?q=site_12"), "{}", tab.url());
}
