//! Somebody in front of a browser. What has to be true of every page is looked at on each that they open.

use std::cell::RefCell;

use serde_json::Value;

use super::driver::{Driver, Setup, Tab};
use crate::portal::login::PASSWORD;
use crate::world::{AT_MOST, World, encoded};

/// Where axe-core is: fetched by `test.sh`, or by hand with `npm pack axe-core@4.14.1`.
const AXE: &str = "PITLANE_TEST_AXE";

/// The script that finds what keeps people from using a page.
#[expect(clippy::disallowed_methods, reason = "where axe lies is no setting of the product")]
pub(super) fn axe() -> String {
    let file = std::env::var(AXE).unwrap_or_else(|_| {
        panic!("{AXE} names no axe.min.js: test.sh fetches it, or `npm pack axe-core@4.14.1` and unpack it")
    });
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{AXE}, {file}: {error}"))
}

/// What moved by itself since the page was opened, and which parts: a page that jumps is clicked wrong.
const SHIFTS: &str = "
    const done = arguments[0];
    const found = [];
    const note = (entries) => {
        for (const entry of entries) {
            if (entry.hadRecentInput) continue;
            const parts = entry.sources.map((own) => own.node?.outerHTML?.slice(0, 80) ?? own.node?.nodeName);
            found.push([entry.value, ...parts]);
        }
    };
    const observer = new PerformanceObserver((list) => note(list.getEntries()));
    observer.observe({ type: 'layout-shift', buffered: true });
    requestAnimationFrame(() => setTimeout(() => { note(observer.takeRecords()); done(found); }));";

/// Serious and critical findings of axe.
const FINDINGS: &str = "
    const done = arguments[0];
    axe.run(document, { resultTypes: ['violations'] }).then(
        (r) => done(r.violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')
            .map((v) => [v.id, v.help, v.nodes.map((n) => n.html.slice(0, 200)).slice(0, 5)])),
        (e) => done(String(e)))";

/// Somebody with a browser of their own.
pub(super) struct Story<'t> {
    /// What was wrong, page by page: all of it is told at the end.
    wrong: RefCell<Vec<String>>,
    /// The browser.
    pub(super) tab: Tab,
    base: &'t str,
    setup: Setup,
    /// Axe, where it is asked.
    axe: Option<&'t str>,
}

impl<'t> Story<'t> {
    /// Opens a browser. Axe is a script of the page: where none may run, it is silent.
    pub(super) fn begin(driver: &Driver, setup: Setup, base: &'t str, axe: Option<&'t str>) -> Self {
        let axe = axe.filter(|_| setup.scripts);
        Self { wrong: RefCell::default(), tab: driver.open(setup), base, setup, axe }
    }

    /// Notes that something is wrong with the page that is open.
    pub(super) fn is_wrong(&self, what: &str) {
        self.wrong.borrow_mut().push(format!("{} at {:?}: {what}", self.tab.url(), self.setup));
    }

    /// What has to be true of every page: a quiet console, no sideways scrolling, nothing that moves by itself, nothing
    /// serious from axe.
    pub(super) fn looks_right(&self) {
        self.tab.console().into_iter().for_each(|line| self.is_wrong(&format!("the console says {line}")));
        let wide = self.tab.run("return document.documentElement.scrollWidth - innerWidth");
        if wide.as_i64().is_none_or(|wide| wide > 0) {
            self.is_wrong(&format!("{wide} px too wide"));
        }
        if !self.setup.scripts {
            return;
        }
        let empty = Value::Array(Vec::new());
        let moved = self.tab.run_async(SHIFTS);
        if moved != empty {
            self.is_wrong(&format!("moves by itself: {moved}"));
        }
        let Some(axe) = self.axe else { return };
        self.tab.run(axe);
        let found = self.tab.run_async(FINDINGS);
        if found != empty {
            self.is_wrong(&format!("axe says {found:#}"));
        }
    }

    /// Closes the browser.
    #[track_caller]
    pub(super) fn ends(self) {
        let wrong = self.wrong.into_inner();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// Opens a page and looks at it.
    pub(super) fn open(&self, page: &str) {
        self.tab.go(&format!("{}{page}", self.base));
        self.looks_right();
    }

    /// Somebody who has been here before.
    pub(super) fn logs_in(&self, email: &str) {
        self.open(&format!("/login?next={}", encoded("/home")));
        // What is an address is the server's to say here, not the browser's.
        self.tab.run("for (const form of document.forms) form.noValidate = true");
        self.tab.type_into("email", email);
        self.tab.type_into("password", PASSWORD);
        self.tab.click("//button[contains(@class, 'btn-primary')]");
        self.tab.is_at("/home");
    }

    /// Somebody who was invited.
    pub(super) fn accepts(&self, world: &World<'_>, email: &str) {
        self.open(&format!("/invitation/{}", world.applied.setup_token(email)));
        self.tab.type_into("password", PASSWORD);
        self.tab.click("//button[@type='submit']");
        self.tab.is_at("/home");
    }

    /// The whole way of a newcomer with the mouse: log-in, offer, link, test click, test conversion, postback,
    /// checklist, report.
    pub(super) fn newcomer(&self, world: &World<'_>, email: &str, offer: &str) {
        let tab = &self.tab;
        self.accepts(world, email);
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
        self.copies();

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
        tab.shows(&format!("by {email}"));
        self.looks_right();
        tab.click("//nav[@aria-label='Sections']//a[@href='/reports']");
        tab.is_at("/reports");
    }

    /// Copies the link: with scripts by its button, without by saying so.
    fn copies(&self) {
        let tab = &self.tab;
        if self.setup.scripts {
            tab.click("//*[@id='made']//button[@data-copy]");
            tab.shows("Copied: your link");
        } else {
            let offer = tab.url().split(['?', '#']).next().unwrap_or_default().to_owned();
            tab.click("//button[.='I copied it']");
            tab.is_at("/checklist");
            tab.shows("1 of 9 done");
            tab.go(&offer);
        }
    }

    /// With scripts the page shows the answer by itself; without, it has a link to look again.
    pub(super) fn postback_seen(&self) {
        let answered = "Attempt 1: answered 200";
        if self.setup.scripts {
            return self.tab.shows(answered);
        }
        testkit::eventually(answered, AT_MOST, || {
            let seen = self.tab.source().contains(answered);
            if !seen {
                let url = self.tab.url();
                self.tab.go(url.split('#').next().unwrap_or_default());
            }
            seen
        });
    }
}
