//! A newcomer in a real browser: from the invitation to a link that is proven, with scripts and without, on a wide
//! screen and on a phone. No page may make the console speak, and axe finds nothing serious on any.

mod driver;

use std::cell::RefCell;

use serde_json::Value;
use testkit::Engine;

use self::driver::{Driver, Setup, Tab};
use super::{login::PASSWORD, start_with};
use crate::world::{World, encoded};

/// An offer for the second newcomer, so that each has a checklist of its own.
const SECOND: &str = r#"
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
"#;

/// Everything that a partner's newcomer may open without an id.
const PAGES: [&str; 16] = [
    "/home",
    "/offers",
    "/postbacks",
    "/postbacks/new",
    "/postbacks/builder?url=https%3A%2F%2Ft.example%2F%3Fcid%3D%5BCLICK%5D%26z%3D%7Bz%7D",
    "/postbacks/secret",
    "/clicks?kind=test",
    "/conversions?kind=test",
    "/reports",
    "/tokens",
    "/team",
    "/profile",
    "/profile/sessions",
    "/profile/totp",
    "/search?q=nothing",
    "/help",
];

/// Where axe-core is: fetched by `test.sh`, or by hand with `npm pack axe-core`.
const AXE: &str = "PITLANE_TEST_AXE";

struct Story<'t> {
    /// What was wrong, page by page: all of it is told at the end.
    wrong: RefCell<Vec<String>>,
    tab: Tab,
    base: &'t str,
    setup: Setup,
    axe: Option<&'t str>,
}

impl Story<'_> {
    /// What has to be true of every page: a quiet console, no sideways scrolling, nothing serious from axe.
    fn looks_right(&self) {
        let url = self.tab.url();
        let wrong = |what: String| self.wrong.borrow_mut().push(format!("{url} at {:?}: {what}", self.setup));
        self.tab.console().into_iter().for_each(|line| wrong(format!("the console says {line}")));
        let wide = self.tab.run("return document.documentElement.scrollWidth - innerWidth");
        if wide.as_i64().is_none_or(|wide| wide > 0) {
            wrong(format!("{wide} px too wide"));
        }
        let Some(axe) = self.axe else { return };
        self.tab.run(axe);
        let found = self.tab.run_async(
            "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] }).then(r => done(
                 r.violations.filter(v => v.impact === 'serious' || v.impact === 'critical')
                     .map(v => [v.id, v.help, v.nodes.map(n => n.html.slice(0, 200)).slice(0, 5)])),
                 e => done(String(e)))",
        );
        if found != Value::Array(Vec::new()) {
            wrong(format!("axe says {found:#}"));
        }
    }

    /// Closes the browser.
    #[track_caller]
    fn ends(self) {
        let wrong = self.wrong.into_inner();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    fn open(&self, page: &str) {
        self.tab.go(&format!("{}{page}", self.base));
        self.looks_right();
    }

    /// Somebody who has been here before.
    fn logs_in(&self, email: &str) {
        self.open(&format!("/login?next={}", encoded("/home")));
        self.tab.type_into("email", email);
        self.tab.type_into("password", PASSWORD);
        self.tab.click("//button[contains(@class, 'btn-primary')]");
        self.tab.is_at("/home");
    }

    /// The whole way of a newcomer: log-in, offer, link, test click, test conversion, postback, checklist, report.
    fn newcomer(&self, world: &World<'_>, email: &str, offer: &str) {
        let tab = &self.tab;
        self.open(&format!("/invitation/{}", world.applied.setup_token(email)));
        tab.type_into("password", PASSWORD);
        tab.click("//button[@type='submit']");
        tab.is_at("/home");
        self.looks_right();
        tab.click("//nav[@aria-label='Sections']//a[@href='/offers']");
        tab.is_at("/offers");
        self.looks_right();
        tab.click(&format!("//a[contains(@class, 'rowlink')][.='{offer}']"));
        tab.shows("Customize URL");
        self.looks_right();
        tab.type_into("pub_click_id", "{clickid}");
        tab.type_into("pub_member_id", "{userid}");
        if !self.setup.scripts {
            tab.click("//button[.='Build the link']");
        }
        tab.shows("No mistakes found");
        assert!(tab.source().contains("pub_click_id={clickid}&amp;pub_member_id={userid}"), "{}", tab.url());
        self.looks_right();

        tab.click("//nav[@aria-label='Offer']//a[contains(@href, '/test')]");
        for number in 1..=2 {
            tab.type_into("pub_click_id", &format!("{email}-{number}"));
            tab.type_into("pub_member_id", &format!("member-{number}"));
            tab.click("//button[contains(., 'Fire test click')]");
            tab.shows("Fire test conversion");
            self.looks_right();
        }
        tab.click("//button[contains(., 'Fire test conversion')]");
        self.postback_seen();
        self.looks_right();
        tab.click("//nav[@aria-label='Offer']//a[contains(@href, '/checklist')]");
        tab.shows("9 of 9 done");
        self.looks_right();
        tab.click("//nav[@aria-label='Sections']//a[@href='/reports']");
        tab.is_at("/reports");
    }

    /// With scripts the page shows the answer by itself; without, it has a link to look again.
    fn postback_seen(&self) {
        let answered = "Attempt 1: answered 200";
        if self.setup.scripts {
            return self.tab.shows(answered);
        }
        testkit::eventually(answered, crate::world::AT_MOST, || {
            let seen = self.tab.source().contains(answered);
            if !seen {
                let url = self.tab.url();
                self.tab.go(url.split('#').next().unwrap_or_default());
            }
            seen
        });
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "where axe lies is no setting of the product")]
fn a_newcomer_comes_to_a_proven_link_in_a_real_browser() {
    let axe = std::env::var(AXE).ok().map(|file| std::fs::read_to_string(file).expect("axe-core"));
    let engine = Engine::sqlite();
    let world = start_with(&engine, SECOND);
    let base = world.server().url();
    let driver = Driver::start();
    let story = |width, scripts, dark| {
        let setup = Setup { width, scripts, dark };
        // Axe is a script of the page: where none may run, it is silent.
        let axe = axe.as_deref().filter(|_| scripts);
        Story { wrong: RefCell::default(), tab: driver.open(setup), base, setup, axe }
    };
    std::thread::scope(|scope| {
        let wide = scope.spawn(|| {
            let wide = story(1440, true, false);
            wide.newcomer(&world, "owner@app.example", "Flat & fair");
            for page in PAGES {
                wide.open(page);
            }
            for page in own_pages(&world) {
                wide.open(&page);
            }
            keys(&wide);
            wide.ends();
        });
        let narrow = story(360, false, false);
        narrow.newcomer(&world, "member@app.example", "Second wind");
        narrow.ends();
        let phone = story(360, true, true);
        phone.logs_in("member@app.example");
        for page in PAGES {
            phone.open(page);
        }
        for page in own_pages(&world) {
            phone.open(&page);
        }
        phone.ends();
        wide.join().expect("the wide story");
    });
    world.stop();
}

/// The pages of what the second newcomer made: a postback, a delivery, a conversion, an offer.
fn own_pages(world: &World<'_>) -> Vec<String> {
    let postback = world.applied.id("postback", "app/all");
    let offer = world.applied.id("offer", "second");
    let made =
        world.engine.sql("select delivery_id, conversion_id from delivery order by delivery_id limit 1");
    let id = |hex: &str| uuid::Uuid::parse_str(hex).expect("an id").to_string();
    let made =
        made.first().map(|row| [format!("/deliveries/{}", id(&row[0])), format!("/trace/{}", id(&row[1]))]);
    let of_postback = ["", "/edit", "/replay", "/backfill?since=2020-01-01"];
    let of_offer = ["", "/checklist", "/test", "/events", "/postbacks", "/activity"];
    let postbacks = of_postback.iter().map(|page| format!("/postbacks/{postback}{page}"));
    let offers = of_offer.iter().map(|page| format!("/offers/{offer}{page}"));
    postbacks.chain(offers).chain(made.into_iter().flatten()).collect()
}

/// A page is found, and a search begun, without the mouse.
fn keys(story: &Story<'_>) {
    let tab = &story.tab;
    tab.go(&format!("{}/help", story.base));
    tab.press("go");
    tab.is_at("/offers");
    tab.press("/");
    assert_eq!(tab.run("return document.activeElement.id"), "q", "the search field has the focus");
    tab.press("site_12\u{e007}");
    tab.shows("site_12");
    assert!(tab.url().contains("/search?q=site_12"), "{}", tab.url());
}
