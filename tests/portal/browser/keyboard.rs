//! The newcomer's story without a mouse: Tab, Enter, letters. Wherever the focus goes it can be seen, and nothing that
//! happens takes it away.

use serde_json::Value;

use super::story::Story;
use crate::portal::Browser;
use crate::portal::login::PASSWORD;
use crate::world::{AT_MOST, World};

const ENTER: &str = "\u{e007}";
const SPACE: &str = " ";
/// The most stops on the way to anything.
const MOST_STOPS: usize = 90;

/// Where the focus is: what is wrong about that, and whether it is the element that is looked for.
const AT: &str = "
    const at = document.activeElement;
    const wrong = [];
    if (!at || at === document.body) return ['the focus is nowhere', false];
    const style = getComputedStyle(at);
    if (!at.matches(':focus-visible')) wrong.push('is not shown to have the focus');
    const ring = (own) => own.outlineStyle !== 'none' && parseFloat(own.outlineWidth) >= 1;
    if (!ring(style) && style.boxShadow === 'none') wrong.push('has no ring');
    const box = at.getBoundingClientRect();
    const left = Math.max(box.left, 0), right = Math.min(box.right, innerWidth);
    const top = Math.max(box.top, 0), bottom = Math.min(box.bottom, innerHeight);
    if (right - left < 1 || bottom - top < 1) wrong.push('is out of sight');
    else {
        const seen = [0.1, 0.5, 0.9].some((x) => [0.1, 0.5, 0.9].some((y) => {
            const over = document.elementFromPoint(left + (right - left) * x, top + (bottom - top) * y);
            return over && (at.contains(over) || over.contains(at));
        }));
        if (!seen) wrong.push('lies under something');
    }
    const name = at.tagName + ' ' + (at.id || at.getAttribute('aria-label') || at.textContent.trim().slice(0, 40));
    return [wrong.length ? `${name} ${wrong.join(', ')}` : '', Boolean(WANTED)];";

impl Story<'_> {
    /// Presses Tab until a condition of the element `at` holds; every stop on the way has to be seen.
    #[track_caller]
    fn reaches(&self, wanted: &str, key: &str) {
        for _ in 0..MOST_STOPS {
            self.tab.press(key);
            if self.is_there(wanted) {
                return;
            }
        }
        panic!("no way to {wanted} by the keyboard on {}", self.tab.url());
    }

    /// Whether the element that has the focus is the one; that it can be seen is looked at on the way.
    fn is_there(&self, wanted: &str) -> bool {
        let found = self.tab.run(&AT.replace("WANTED", wanted));
        match found[0].as_str() {
            Some("") => {}
            wrong => self.is_wrong(wrong.unwrap_or("the focus cannot be asked for")),
        }
        found[1] == Value::Bool(true)
    }

    #[track_caller]
    fn forth_to(&self, wanted: &str) {
        self.reaches(wanted, "\u{e004}");
    }

    #[track_caller]
    fn back_to(&self, wanted: &str) {
        self.reaches(wanted, "\u{e008}\u{e004}");
    }

    /// Writes over what stands in the field with the focus.
    fn writes(&self, text: &str) {
        self.tab.run("document.activeElement.select()");
        self.tab.press(text);
    }

    /// From the invitation to the report.
    pub(super) fn newcomer_without_a_mouse(&self, world: &World<'_>, email: &str, offer: &str) {
        let tab = &self.tab;
        self.open(&format!("/invitation/{}", world.applied.setup_token(email)));
        self.forth_to("at.id === 'password'");
        tab.press(PASSWORD);
        tab.press(ENTER);
        tab.is_at("/home");
        tab.press("go");
        tab.is_at("/offers");
        self.rows_to(offer);
        tab.press(ENTER);
        tab.shows("Customize URL");
        let url = tab.url();
        let page = url.split(['?', '#']).next().unwrap_or_default();
        self.fills_in_and_copies();

        self.back_to("at.matches('nav[aria-label=Offer] a[href$=\"/test\"]')");
        tab.press(ENTER);
        tab.is_at("/test");
        for number in 1..=2 {
            self.back_or_forth("at.id === 'pub_click_id'");
            self.writes(&format!("keys-{number}"));
            self.forth_to("at.id === 'pub_member_id'");
            self.writes(&format!("member-{number}"));
            tab.press(ENTER);
            tab.shows(&format!("keys-{number}"));
            tab.shows("Fire test conversion");
        }
        self.watches(world, email, page);
        self.back_to("at.matches('nav[aria-label=Offer] a[href$=\"/checklist\"]')");
        tab.press(ENTER);
        tab.is_at("/checklist");
        tab.shows("9 of 9 done");
        tab.shows(&format!("by {email}"));
        tab.press("gr");
        tab.is_at("/reports");
        self.closes_what_it_opened();
    }

    /// `j` from row to row.
    fn rows_to(&self, offer: &str) {
        let wanted = format!("at.textContent.trim() === '{offer}'");
        self.reaches(&wanted, "j");
    }

    fn fills_in_and_copies(&self) {
        let tab = &self.tab;
        self.forth_to("at.id === 'pub_click_id'");
        tab.press("{clickid}");
        self.forth_to("at.id === 'pub_member_id'");
        tab.press("{userid}");
        tab.shows("No mistakes found");
        assert!(self.is_there("at.id === 'pub_member_id'"), "the link was built, and the focus is gone");
        self.forth_to("at.id === 'one_id'");
        tab.press(SPACE);
        tab.shows("pub_member_id={clickid}");
        tab.press(SPACE);
        tab.shows("pub_member_id={userid}");
        self.forth_to("at.matches('#made [data-copy]')");
        tab.press(ENTER);
        tab.shows("Copied: your link");
        assert!(self.is_there("at.matches('#made [data-copy]')"), "copied, and the focus is gone");
    }

    /// The field is before or behind where a page with a fragment begins.
    fn back_or_forth(&self, wanted: &str) {
        if self.tab.url().contains('#') { self.back_to(wanted) } else { self.forth_to(wanted) }
    }

    /// Unfolds a part of the trace. When the conversion comes meanwhile, from elsewhere, the trace grows, and what is
    /// unfolded and where the focus is stay as they are.
    fn watches(&self, world: &World<'_>, email: &str, page: &str) {
        let tab = &self.tab;
        self.forth_to("at.matches('#live-trace summary')");
        tab.press(ENTER);
        assert!(self.is_there("at.parentElement.open"), "Enter unfolds");
        let url = tab.url();
        let (_, click) = url.split_once("click=").unwrap_or_else(|| panic!("{url}"));
        let click = click.split('#').next().unwrap_or_default();
        let elsewhere = Browser::log_in(world, email);
        let (_, path) = page.split_once("/offers/").unwrap_or_else(|| panic!("{page}"));
        elsewhere.submit(&format!("/offers/{path}/test/conversion"), &[("click", click)]);
        tab.shows("Attempt 1: answered 200");
        let kept = "at.matches('#live-trace summary') && at.parentElement.open";
        testkit::eventually("the focus stays while the trace grows", AT_MOST, || self.is_there(kept));
        self.looks_right();
        // The button makes one as well.
        self.back_to("at.matches('form[action$=\"/test/conversion\"] button')");
        tab.press(ENTER);
        tab.shows("The same report again");
    }

    /// The list of keys and the account's menu open, close, and give the focus back.
    fn closes_what_it_opened(&self) {
        let tab = &self.tab;
        self.forth_to("at.matches('.menu > summary')");
        tab.press(ENTER);
        self.forth_to("at.matches('.menu .themes button')");
        tab.press("\u{e00c}");
        assert!(self.is_there("at.matches('.menu > summary') && !at.parentElement.open"), "Escape closes");
        tab.press("?");
        assert!(self.is_there("at.closest('dialog[open]')"), "the list of keys has the focus");
        tab.press("\u{e00c}");
        assert!(self.is_there("at.matches('.menu > summary')"), "the focus comes back");
    }
}
