//! Reports, their views, and the first page: a partner's own figures, the same on the page and in the file.

use testkit::for_each_engine;

use crate::portal::traffic::{cells, csv};
use crate::portal::{Browser, start_with};
use crate::world::{click_id, encoded};

/// A second partner whose figures are in none of these.
const RIVAL: &str = r#"
[[partner]]
slug = "rival"
[[link]]
offer = "flat"
partner = "rival"

[[offer]]
slug = "euro"
advertiser = "shop"
currency = "EUR"
destination = "https://shop.example/euro?click={gk_click_id}"
revenue = "9.75"
payout = "4.00"
[[link]]
offer = "euro"
partner = "app"
"#;

/// Members of the partner `app`: three on one offer, one on another whose money is of another currency. The rival's
/// traffic beside it.
fn traffic(world: &crate::world::World<'_>) {
    for member in ["m1", "m2", "m3"] {
        let click = world.click("flat", member);
        if member != "m3" {
            assert_eq!(world.report(&format!("gk_click_id={click}")).code(), "recorded");
        }
    }
    let click = world.click("euro", "m1");
    assert_eq!(world.report(&format!("gk_click_id={click}")).code(), "recorded");
    world.visit("flat/app", "pub_click_id=c&pub_member_id=");
    let rival = click_id(&world.visit("flat/rival", "pub_click_id=r&pub_member_id=r"));
    assert_eq!(world.report(&format!("gk_click_id={rival}")).code(), "recorded");
    crate::PITLANE.run_on(world.engine, &["report", "--json"]).ok();
}

#[test]
fn a_report_says_the_same_on_the_page_and_in_the_file() {
    for_each_engine(|engine| {
        let world = start_with(engine, RIVAL);
        traffic(&world);
        let browser = Browser::log_in(&world, "reader@app.example");
        let query = "range=today&by=offer&sort=-clicks&compare=previous";
        let page = browser.page(&format!("/reports?{query}"));
        let rows = cells(&page);
        let flat = [
            "Flat & fair",
            "4",
            "4",
            "1",
            "2",
            "0",
            "2",
            "0",
            "50.0\u{a0}%",
            "0.60\u{a0}USD",
            "2.40\u{a0}USD",
        ];
        let euro =
            ["euro", "1", "1", "0", "1", "0", "1", "0", "100.0\u{a0}%", "4.00\u{a0}EUR", "4.00\u{a0}EUR"];
        assert_eq!(rows, [flat, euro]);
        for told in [
            "As of 20",
            "Days of UTC",
            "Money in EUR, USD; currencies are never added",
            "Member id missing",
            "Period before",
            "Payout / clicks.",
            "6.40",
        ] {
            assert_eq!(page.contains(told), told != "6.40", "{told}: {page}");
        }
        assert!(
            !page.contains("2.50")
                && !page.contains("9.75")
                && !page.contains("margin")
                && !page.contains("rival")
        );
        let file = csv(&browser.get(&format!("/reports.csv?{query}")));
        assert_eq!(file[0][..9], ["Flat & fair", "4", "4", "1", "2", "0", "2", "0", "50.00%"]);
        assert_eq!((file[0][9..].join(" "), file.len()), ("0.60 USD 2.40 USD".to_owned(), 2));
        assert_eq!(file[1][9..], ["4.00", "EUR", "4.00", "EUR"]);

        let by = |query: &str| -> Vec<String> {
            cells(&browser.page(&format!("/reports?range=today&{query}")))
                .iter()
                .map(|row| row[..3].join(" "))
                .collect()
        };
        assert_eq!(by("by=verdict&by2=offer").len(), 3);
        assert_eq!(by("by=none"), ["All 5 5", "All  "], "a row for each currency, clicks on the first");
        assert_eq!(by("by=offer&offer=flat&country=XX"), [""; 0]);
        assert_eq!(by("by=partner&partner=rival"), by("by=none"), "there is no such group");
        assert!(browser.page("/reports?range=today&by=event&by2=offer").contains("Flat &#38; fair"));
        assert!(browser.page("/reports?range=last+400+days&by=hour").contains("lines of time"));
        world.stop();
    });
}

#[test]
fn a_sub_parameter_is_a_group_and_runs_nowhere() {
    for_each_engine(|engine| {
        let world = start_with(engine, RIVAL);
        let canary = "=1+1<script>alert(1)</script>";
        world.visit("flat/app", &format!("pub_click_id=a&pub_member_id=a&pub_sub_2={}", encoded(canary)));
        world.visit("flat/rival", "pub_click_id=b&pub_member_id=b&pub_sub_2=not-theirs");
        let browser = Browser::log_in(&world, "owner@app.example");
        let page = browser.page("/reports?range=today&by=pub_sub_2");
        assert_eq!(cells(&page)[0][..2], [canary, "1"]);
        assert!(!page.contains("<script>alert") && !page.contains("not-theirs"));
        let file = browser.get("/reports.csv?range=today&by=pub_sub_2").body;
        assert!(file.contains(&format!("'{canary},1")), "{file}");
        world.stop();
    });
}

#[test]
fn views_are_kept_by_each_user_and_stay_relative() {
    for_each_engine(|engine| {
        let world = start_with(engine, RIVAL);
        traffic(&world);
        let owner = Browser::log_in(&world, "owner@app.example");
        let query = "by=offer&range=last+7+days";
        let kept = owner.submit("/reports/views", &[("name", "<b>Mine"), ("query", query)]);
        assert_eq!(kept, "/reports?by=offer&range=last+7+days");
        let page = owner.page("/reports");
        assert!(
            page.contains("&#60;b&#62;Mine") && page.contains("/reports?by=offer&#38;range=last+7+days"),
            "{page}"
        );
        assert_eq!(owner.post("/reports/views", &[("name", "  "), ("query", query)]).status, 422);
        let member = Browser::log_in(&world, "member@app.example");
        assert!(!member.page("/reports").contains("Mine"), "another's");
        member.submit("/reports/views/forget", &[("name", "<b>Mine"), ("query", "")]);
        let reader = Browser::log_in(&world, "reader@app.example");
        assert_eq!(reader.post("/reports/views", &[("name", "x"), ("query", "")]).status, 403);
        assert!(owner.page("/reports").contains("Mine"));
        assert_eq!(owner.submit("/reports/views/forget", &[("name", "<b>Mine"), ("query", query)]), kept);
        assert!(!owner.page("/reports").contains("Mine"));
        world.stop();
    });
}

#[test]
fn the_first_page_shows_today_and_each_currency_by_itself() {
    for_each_engine(|engine| {
        let world = start_with(engine, RIVAL);
        let browser = Browser::log_in(&world, "owner@app.example");
        assert!(browser.page("/home").contains("Nothing was sent yet"));
        traffic(&world);
        let page = browser.page("/home");
        for told in [
            "Clicks today",
            "Earnings today, USD",
            "2.40\u{a0}USD",
            "4.00\u{a0}EUR",
            "60.0\u{a0}%",
            "Link health",
        ] {
            assert!(page.contains(told), "{told} is missing: {page}");
        }
        assert!(!page.contains("6.40") && !page.contains("7.30"), "nobody adds currencies");
        assert!(!page.contains("2.50") && !page.contains("9.75"), "no revenue");
        world.stop();
    });
}
