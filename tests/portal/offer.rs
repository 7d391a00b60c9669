//! From the list of offers to a link that works: request, customise, test click, test conversion, checklist.

use testkit::{eventually, for_each_engine};

use super::{Browser, start_with};
use crate::world::{AT_MOST, World};

/// Offers that the partner has no link for. The revenue is a figure that stands nowhere else; free text is hostile.
const OFFERS: &str = r#"
[[offer]]
slug = "fresh"
name = "Fresh <script>alert(1)</script>"
advertiser = "shop"
destination = "https://shop.example/fresh?click={gk_click_id}"
headline = "Head <img src=x onerror=alert(2)>"
description = "First line.\nSecond <b>line</b>."
terms = "No incentives.</dd><script>alert(3)</script>"
categories = ["Finance", "Loans \"&\" more"]
creatives = [{ name = "Banner <i>", url = "https://shop.example/banner.png" }]
revenue = "7.7717"
payout = "3.25"
caps = { total = 40 }
budgets = { total = "999.9913" }
targeting = [{ block = "country", of = ["FR"] }]

[[offer]]
slug = "asked"
name = "Asked"
advertiser = "shop"
destination = "https://shop.example/asked?click={gk_click_id}"
revenue = "7.7717"
payout = "2.00"
link_approval = "on_request"

[[offer]]
slug = "draft"
name = "Secret draft"
status = "Draft"
advertiser = "shop"
destination = "https://shop.example/draft?click={gk_click_id}"
revenue = "7.7717"
payout = "2.00"

[[offer]]
slug = "steps"
name = "Steps"
type = "MultiEvent"
status = "Paused"
advertiser = "shop"
destination = "https://shop.example/steps?click={gk_click_id}"
[[offer.event]]
code = "signup"
name = "Sign-up"
revenue = "7.7717"
payout = "0.40"
sequence = 1
[[offer.event]]
code = "secret-step"
name = "Hidden step"
visible = false
revenue = "7.7717"
payout = "4.4404"
sequence = 2
[[offer.event]]
code = "deposit"
name = "Deposit"
revenue = "7.7717"
payout = "5.00"
sequence = 3
"#;

/// What no partner may read: revenue, budget, the payout and code of an event that is not shown, what is a draft.
const NEVER: [&str; 6] = ["7.77", "999.99", "4.4404", "secret-step", "Hidden step", "shop-token"];

/// A page, with nothing on it that must not be there.
#[track_caller]
fn sound(browser: &Browser, target: &str) -> String {
    let page = browser.page(target);
    for never in NEVER {
        assert!(!page.contains(never), "{target} tells {never}");
    }
    for hostile in ["<script>alert", "<img src=x", "<b>line", "Banner <i>"] {
        assert!(!page.contains(hostile), "{target} lets {hostile} through");
    }
    page
}

fn offer(world: &World<'_>, slug: &str) -> String {
    format!("/offers/{}", world.applied.id("offer", slug))
}

#[track_caller]
fn has(page: &str, all: &[&str]) {
    for one in all {
        assert!(page.contains(one), "`{one}` is not in {page}");
    }
}

#[test]
fn the_list_shows_what_a_partner_may_run_and_every_filter_is_an_address() {
    for_each_engine(|engine| {
        let world = start_with(engine, OFFERS);
        let browser = Browser::log_in(&world, "member@app.example");
        let all = sound(&browser, "/offers");
        has(
            &all,
            &["Fresh &#60;script", "Asked", "Steps", "Flat &#38; fair", "3.25", "Get link", "Request link"],
        );
        has(&all, &["0.40\u{a0}USD to 5.00\u{a0}USD", "7.5 % of the sale", "6 you can see"]);
        assert!(!all.contains("Secret draft"));
        let names = |query: &str| {
            let page = sound(&browser, &format!("/offers?{query}"));
            let rows = page.matches("class=\"rowlink\"").count();
            (rows, page)
        };
        for (query, rows) in [
            ("q=fresh", 1),
            ("q=nothing-like-it", 0),
            ("category=Finance", 1),
            ("country=FR", 5),
            ("country=DE", 6),
            ("device=IOS", 6),
            ("type=MultiEvent", 2),
            ("payout=RevShare", 1),
            ("status=Paused", 1),
            ("status=Paused&type=SingleEvent", 0),
            ("link=Approved", 3),
            ("link=none", 3),
        ] {
            assert_eq!(names(query).0, rows, "{query}");
        }
        assert!(names("country=Atlantis").1.contains("is not an ISO 3166 country"));
        let best = names("sort=-payout").1;
        assert!(best.find("share").unwrap() < best.find("Asked").unwrap());
        let file = browser.get("/offers.csv?q=asked");
        assert_eq!(file.status, 200);
        assert!(file.body.contains("Asked,,2.00 USD,SingleEvent,FlatRate,Active,none"), "{}", file.body);
        world.stop();
    });
}

#[test]
fn a_newcomer_gets_a_link_customises_it_and_tests_it_until_the_checklist_is_green() {
    for_each_engine(|engine| {
        let world = start_with(engine, OFFERS);
        let browser = Browser::log_in(&world, "member@app.example");
        let path = offer(&world, "fresh");

        let before = sound(&browser, &path);
        has(
            &before,
            &[
                "You have no link",
                "Get link",
                "First line.",
                "Finance",
                "all but FR",
                "40 of 40 conversions left",
            ],
        );
        assert!(!before.contains("offer-link/redirect"));
        assert_eq!(browser.submit(&format!("{path}/link"), &[]), path);
        assert_eq!(browser.submit(&format!("{path}/link"), &[]), path, "asking twice is asking once");
        let links = "link l join offer o on o.offer_id = l.offer_id where o.slug = 'fresh' and l.approval = 'Approved'";
        assert_eq!(world.count(links), 1);
        assert_eq!(world.count("audit where subject = 'link/fresh/app' and actor = 'member@app.example'"), 1);
        let with = sound(&browser, &path);
        let url = "?pub_click_id=PUB_CLICK_ID&#38;pub_member_id=PUB_MEMBER_ID\"";
        has(&with, &["Approved", url, "does not work without its parameters", "Customize URL"]);

        mistakes_are_named(&browser, &path);
        let checklist = format!("{path}/checklist");
        has(&sound(&browser, &checklist), &["0 of 9 done", "Make a test click."]);

        let given = [("pub_click_id", "c 1"), ("pub_member_id", "m+1"), ("pub_sub_2", "<script>alert(4)")];
        let tested = browser.submit(&format!("{path}/test/click"), &given);
        let trace = sound(&browser, &tested);
        has(
            &trace,
            &["Sent on", "https://shop.example/fresh", "caps and budgets leave room", "room was left", "m+1"],
        );
        has(&trace, &["Fire test conversion", "data-live=\"/offers/"]);
        let click = tested.split(['=', '#']).nth(1).unwrap().to_owned();

        browser.submit(&format!("{path}/test/conversion"), &[("click", &click)]);
        let received = world.received();
        assert_eq!(received.len(), 1, "{received:?}");
        let done = sound(&browser, &tested);
        has(
            &done,
            &[
                "reported a result: recorded",
                "Attempt 1: answered 200",
                "3.25\u{a0}USD",
                "pays nothing",
                "all?click=c%201",
            ],
        );
        let live = browser.get(&format!("{path}/test/live?click={click}"));
        assert_eq!((live.status, live.header("content-type")), (200, "text/event-stream"));
        has(&live.body, &["event: trace", "Attempt 1: answered 200", "event: end"]);

        has(&sound(&browser, &checklist), &["7 of 9 done", "Click ids unique"]);
        browser.submit(&format!("{path}/test/click"), &[("pub_click_id", "c2"), ("pub_member_id", "m2")]);
        has(&sound(&browser, &checklist), &["9 of 9 done"]);
        has(&sound(&browser, &format!("{path}/activity")), &["c2", "m+1", "Test", "3.25"]);
        assert_eq!(world.count("conversion where test = 0"), 0);
        assert_eq!(world.count("click where (marks & 2) = 0"), 0);
        world.stop();
    });
}

/// What the customised link and the part that a script asks for say of it.
#[track_caller]
fn mistakes_are_named(browser: &Browser, path: &str) {
    let good = sound(browser, &format!("{path}?preset=voluum"));
    has(
        &good,
        &["pub_click_id={clickid}&#38;pub_member_id={clickid}\"", "No mistakes found", "doc.voluum.com"],
    );
    for (query, words) in [
        ("pub_member_id=%7Bu%7D&pub_sub_1=a", "PubClickId cannot be empty"),
        ("pub_click_id=%7Bc%7D&pub_member_id=site_12", "is `site_12` on every click"),
        ("pub_click_id=clickid&pub_member_id=%7Bu%7D", "lost its brackets"),
        ("pub_click_id=%7Bc%7D&pub_member_id=%7Bc%7D", "are the same"),
        ("pub_click_id=%7Bc%7D&pub_member_id=%7Bu%7Cmd5%7D", "a style of macro that we do not know"),
        ("pub_click_id=%7Bc%7D&pub_member_id=%22%3E%3Cscript%3Ealert(5)", "pub_member_id is"),
    ] {
        for page in [format!("{path}?{query}"), format!("{path}/customise?{query}")] {
            has(&sound(browser, &page), &[words]);
        }
    }
    let part = browser.page(&format!("{path}/customise?one_id=1&pub_click_id=%7Bc%7D"));
    assert!(part.contains("No mistakes found") && !part.contains("<html"), "{part}");
}

#[test]
fn what_a_test_is_refused_for_is_told_and_roles_and_states_hold() {
    for_each_engine(|engine| {
        let world = start_with(engine, OFFERS);
        let browser = Browser::log_in(&world, "member@app.example");
        let reader = Browser::log_in(&world, "reader@app.example");
        let asked = offer(&world, "asked");
        assert_eq!(reader.post(&format!("{asked}/link"), &[]).status, 403);
        assert!(!sound(&reader, &asked).contains("Request link"));
        browser.submit(&format!("{asked}/link"), &[]);
        has(&sound(&browser, &asked), &["Requested", "has not decided yet"]);
        let click = |fields: &[(&str, &str)]| {
            let tested = browser.submit(&format!("{asked}/test/click"), fields);
            sound(&browser, &tested)
        };
        let ids = [("pub_click_id", "c"), ("pub_member_id", "m")];
        has(&click(&ids), &["Not approved", "partner_not_approved", "answered 410"]);
        has(
            &click(&[("pub_click_id", "{clickid}"), ("pub_member_id", "m")]),
            &["pub_click_id_macro", "answered 400"],
        );
        has(&click(&[("pub_click_id", "c")]), &["PubMemberId cannot be empty"]);
        assert_eq!(reader.post(&format!("{asked}/test/click"), &ids).status, 403);
        let wrong = browser.post(&format!("{asked}/test/click"), &[("address", "here"), ids[0]]);
        assert!(wrong.status == 422 && wrong.body.contains("no IP address"), "{wrong:?}");

        // A real click is no test, and nobody's test converts another link's click.
        let real = world.click("flat", "somebody");
        let flat = offer(&world, "flat");
        for path in [&flat, &asked] {
            assert_eq!(browser.post(&format!("{path}/test/conversion"), &[("click", &real)]).status, 404);
        }
        assert_eq!(world.count("conversion"), 0);

        let steps = offer(&world, "steps");
        has(
            &sound(&browser, &format!("{steps}/events")),
            &["Sign-up", "deposit", "5.00", "after a step of the"],
        );
        has(&sound(&browser, &steps), &["Paused", "0.40"]);
        has(&sound(&browser, &format!("{flat}/postbacks")), &["Global", ">all<", "{pub_click_id}"]);
        for tab in ["", "/checklist", "/test", "/postbacks", "/activity"] {
            sound(&browser, &format!("{steps}{tab}"));
        }

        // A draft, an id of nobody's and no id at all: one answer.
        let absent = browser.get("/offers/00000000-0000-7000-8000-000000000000");
        assert_eq!(absent.status, 404);
        for id in [&offer(&world, "draft"), "/offers/x"] {
            for tab in
                ["", "/customise", "/checklist", "/test", "/test/live", "/events", "/postbacks", "/activity"]
            {
                let answer = browser.get(&format!("{id}{tab}"));
                assert_eq!((answer.status, &answer.body), (404, &absent.body), "{id}{tab}");
            }
            for form in ["/link", "/test/click", "/test/conversion"] {
                let answer = browser.post(&format!("{id}{form}"), &[]);
                assert_eq!((answer.status, &answer.body), (404, &absent.body), "{id}{form}");
            }
        }
        eventually("the catalog has the link", AT_MOST, || browser.page("/offers").contains("Requested"));
        world.stop();
    });
}

/// An offer one of whose events partners are not shown.
const STAGES: &str = r#"
[[offer]]
slug = "stages"
name = "Stages"
type = "MultiEvent"
advertiser = "shop"
destination = "https://shop.example/stages?click={gk_click_id}"
[[offer.event]]
code = "signup"
revenue = "7.7717"
payout = "0.40"
[[offer.event]]
code = "secret-step"
name = "Hidden step"
visible = false
revenue = "7.7717"
payout = "0.10"
[[link]]
offer = "stages"
partner = "app"
[[postback]]
partner = "app"
slug = "stages"
offer = "stages"
url = "http://{partner}/postback/stages?event={cnv_event_id}&payout={payout}"
"#;

#[test]
fn an_event_that_partners_are_not_shown_is_named_nowhere() {
    for_each_engine(|engine| {
        let world = start_with(engine, STAGES);
        let browser = Browser::log_in(&world, "member@app.example");
        let click = world.click("stages", "ada");
        for event in ["signup", "secret-step"] {
            assert_eq!(world.report(&format!("gk_click_id={click}&cnv_event_id={event}")).code(), "recorded");
        }
        let told = world.received();
        let mut told: Vec<_> =
            told.iter().map(|one| (one.parameter("payout"), one.parameter("event"))).collect();
        told.retain(|(payout, _)| !payout.is_empty());
        told.sort_unstable();
        assert_eq!(told, [("0.10", ""), ("0.40", "signup")]);
        let offer = offer(&world, "stages");
        let told = world.engine.sql("select delivery_id from delivery");
        let deliveries =
            told.iter().map(|row| format!("/deliveries/{}", uuid::Uuid::parse_str(&row[0]).unwrap()));
        let by_event = "/reports?range=today&by=event&chart=conversions";
        eventually("both are counted", AT_MOST, || browser.page(by_event).contains("(not shown)"));
        let pages = [
            "/conversions?range=today",
            "/conversions.csv?range=today",
            by_event,
            "/reports.csv?range=today&by=event",
            &format!("/trace/{click}"),
            "/search?q=click-ada",
            &format!("{offer}/activity"),
            &format!("{offer}/events"),
            &format!("{offer}/test"),
            "/postbacks/builder?url=https%3A%2F%2Fx.example%2F%3Fe%3D%7Bcnv_event_id%7D",
        ];
        for page in pages.map(str::to_owned).into_iter().chain(deliveries) {
            let shown = match browser.get(&page) {
                found if found.status == 303 => browser.page(found.header("location")),
                found => found.body,
            };
            assert!(!shown.contains("secret-step") && !shown.contains("Hidden step"), "{page}: {shown}");
        }
        assert!(browser.page(&format!("/trace/{click}")).contains("(not shown)"));
        // To ask for it finds as little as to ask for one that is not there.
        let asked = |event: &str| {
            let rows = browser.page(&format!("/conversions.csv?range=today&offer=stages&event={event}"));
            let report = browser.page(&format!("/reports.csv?range=today&by=offer&event={event}"));
            (rows.lines().count(), report.lines().count())
        };
        assert_eq!((asked("secret-step"), asked("signup")), (asked("no-such"), (2, 2)));
        world.stop();
    });
}
