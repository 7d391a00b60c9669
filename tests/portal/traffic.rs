//! Clicks, conversions, traces and search: a partner sees its own, exactly, and nothing of anybody else's.

use serde_json::json;
use testkit::http::Answer;
use testkit::{Engine, for_each_engine};

use crate::PITLANE;
use crate::portal::{Browser, start, start_with};
use crate::report::{Planted, plant};
use crate::world::{TOKEN, World, click_id, conversion_id, encoded};

/// A second partner of the same network, with a link on the same offer.
const RIVAL: &str = r#"
[[partner]]
slug = "rival"
[[link]]
offer = "flat"
partner = "rival"
"#;

/// What runs in no spreadsheet and on no page.
const CANARY: &str = "=cmd|'/c x'!A1<script>alert(1)</script>";

/// The texts of a table's cells, row by row.
pub(crate) fn cells(page: &str) -> Vec<Vec<String>> {
    // A chart has a table of its own.
    let page = page.rsplit("</figure>").next().unwrap();
    let Some((_, body)) = page.split_once("<tbody>") else { return Vec::new() };
    let (body, _) = body.split_once("</tbody>").unwrap();
    let row = |row: &str| row.split("<td").skip(1).map(|cell| text(&format!("<td{cell}"))).collect();
    body.split("<tr>").skip(1).map(row).collect()
}

/// What is read of a piece of a page.
fn text(html: &str) -> String {
    let mut out = String::new();
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        out.push_str(before);
        rest = tag.split_once('>').unwrap().1;
    }
    out.push_str(rest);
    let marks = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")];
    marks.iter().fold(out, |text, (mark, plain)| text.replace(mark, plain)).trim().to_owned()
}

/// A file, row by row, behind its headings.
pub(crate) fn csv(answer: &Answer) -> Vec<Vec<String>> {
    assert!(answer.header("content-type").starts_with("text/csv"), "{answer:?}");
    assert!(answer.header("content-disposition").starts_with("attachment; filename=\""), "{answer:?}");
    let mut reader = csv::Reader::from_reader(answer.body.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// The address behind a link with this text before its closing tag.
fn older(page: &str) -> Option<String> {
    let (_, link) = page.split_once("rel=\"next\" href=\"")?;
    Some(link.split_once('"')?.0.replace("&#38;", "&").replace("&amp;", "&"))
}

/// Everything that waits is counted: lists go through the counts from then on.
fn count(engine: &Engine) {
    PITLANE.run_on(engine, &["report", "--json"]).ok();
}

#[test]
fn clicks_are_listed_filtered_and_exported_as_they_are_shown() {
    for_each_engine(|engine| {
        let world = start_with(engine, RIVAL);
        let browser = Browser::log_in(&world, "reader@app.example");
        assert!(browser.page("/clicks").contains("No clicks here"));
        world.click("flat", "m1");
        world.click("share", "m2");
        world.visit("flat/app", "pub_click_id=empty-member&pub_member_id=");
        let sub = encoded(CANARY);
        click_id(&world.visit("flat/app", &format!("pub_click_id=odd&pub_member_id=odd&pub_sub_3={sub}")));
        let theirs = click_id(&world.visit("flat/rival", "pub_click_id=theirs&pub_member_id=m1"));

        let query = "range=today&column=pub_click_id&column=pub_sub_3&column=verdict&column=offer";
        for counted in [false, true] {
            if counted {
                count(engine);
            }
            let page = browser.page(&format!("/clicks?{query}"));
            assert!(!page.contains("theirs") && !page.contains(&theirs) && !page.contains("<script>alert"));
            let shown = cells(&page);
            let ids: Vec<&str> = shown.iter().map(|row| row[1].as_str()).collect();
            assert_eq!(ids, ["odd", "empty-member", "click-m2", "click-m1"]);
            let file: Vec<Vec<String>> = csv(&browser.get(&format!("/clicks.csv?{query}")))
                .into_iter()
                .map(|row| {
                    row.into_iter().map(|cell| cell.strip_prefix('\'').unwrap_or(&cell).to_owned()).collect()
                })
                .collect();
            let shown: Vec<Vec<String>> = shown
                .into_iter()
                .map(|row| {
                    row.into_iter().map(|cell| if cell == "–" { String::new() } else { cell }).collect()
                })
                .collect();
            assert_eq!(file, shown);
        }
        let file = browser.get("/clicks.csv?range=today&column=pub_sub_3").body;
        assert!(file.contains(&format!("'{CANARY}")), "a formula is told to be text: {file}");
        let of =
            |filter: &str| -> usize { cells(&browser.page(&format!("/clicks?range=today&{filter}"))).len() };
        assert_eq!((of("verdict=refused"), of("verdict=ok"), of("verdict=pub_member_id_empty")), (1, 3, 1));
        assert_eq!((of("offer=share"), of("offer=flat"), of("offer=nothing")), (1, 3, 0));
        assert_eq!(
            (of("id=click-m1"), of("id=m2"), of("id=theirs"), of(&format!("id={theirs}"))),
            (1, 1, 0, 0)
        );
        assert_eq!((of("country=DE"), of("kind=test")), (0, 0));
        let wrong = browser.page("/clicks?range=soonish");
        assert!(wrong.contains("is no range of days") && wrong.contains("value=\"soonish\""));
        world.stop();
    });
}

#[test]
fn a_long_list_is_walked_page_by_page_without_a_gap() {
    for_each_engine(|engine| {
        let world = start_with(engine, RIVAL);
        let browser = Browser::log_in(&world, "owner@app.example");
        let (own, rival) = (world.applied.id("link", "flat/app"), world.applied.id("link", "flat/rival"));
        let at_ms = 1_795_000_000_000; // 2026-11-18T07:46:40Z
        let mut clicks = Vec::new();
        for number in 0..400_u64 {
            let link = if number % 3 == 0 { &own } else { &rival };
            clicks.push(Planted {
                link,
                at_ms: at_ms + number * 60_000,
                facts: json!({ "cc": "NP", "dv": "IOS" }),
            });
        }
        plant(engine, &clicks);
        for counted in [false, true] {
            if counted {
                count(engine);
            }
            for filter in ["", "&country=NP", "&offer=flat&device=IOS&verdict=ok"] {
                let range = "range=2026-11-17..2026-11-19";
                let mut next = Some(format!("/clicks?{range}&column=click_id{filter}"));
                let mut seen = Vec::new();
                while let Some(page) = next {
                    let page = browser.page(&page);
                    let rows = cells(&page);
                    assert!(rows.len() <= 50);
                    seen.extend(rows.into_iter().map(|row| row[0].clone()));
                    next = older(&page);
                }
                assert_eq!(seen.len(), 134, "{filter}");
                assert!(seen.is_sorted_by(|a, b| a > b), "newest first, none twice");
            }
        }
        assert!(browser.page("/clicks?range=2026-11-17..2026-11-19&country=DE").contains("No clicks here"));
        let file = csv(&browser.get("/clicks.csv?range=2026-11-17..2026-11-19"));
        assert_eq!(file.len(), 134);
        world.stop();
    });
}

#[test]
fn a_range_is_days_of_the_viewers_zone() {
    for_each_engine(|engine| {
        let world = start(engine);
        let browser = Browser::log_in(&world, "owner@app.example");
        let link = world.applied.id("link", "flat/app");
        // 18:14 and 18:15 UTC: the last minute of the 18th in Kathmandu, and the first of the 19th.
        let border = 1_795_025_700_000_u64;
        let facts = json!({});
        for at_ms in [border - 1, border] {
            plant(engine, &[Planted { link: &link, at_ms, facts: facts.clone() }]);
        }
        count(engine);
        let on = |day: &str| -> Vec<String> {
            let page = browser.page(&format!("/clicks?range={day}&column=at"));
            cells(&page).into_iter().map(|mut row| row.remove(0)).collect()
        };
        assert_eq!(on("2026-11-18").len(), 2, "one day in UTC");
        browser
            .submit("/profile", &[("zone", "Asia/Kathmandu"), ("numbers", "space_point"), ("dates", "iso")]);
        assert_eq!(on("2026-11-18"), ["2026-11-18 23:59:59"]);
        assert_eq!(on("2026-11-19"), ["2026-11-19 00:00:00"]);
        assert!(browser.page("/clicks").contains("Asia/Kathmandu (UTC+5:45)"));
        world.stop();
    });
}

#[test]
fn conversions_are_listed_with_what_they_pay_and_nothing_else() {
    for_each_engine(|engine| {
        let world = start_with(engine, RIVAL);
        let browser = Browser::log_in(&world, "owner@app.example");
        let first = world.click("flat", "m1");
        let won = conversion_id(&world.report(&format!("gk_click_id={first}")));
        let again = world.click("share", "m1");
        let rejected =
            conversion_id(&world.report(&format!("gk_click_id={again}&cnv_amount=80&cnv_status=3")));
        let rival = click_id(&world.visit("flat/rival", "pub_click_id=rival-1&pub_member_id=m1"));
        let theirs = conversion_id(&world.report(&format!("gk_click_id={rival}")));

        let query =
            "range=today&column=conversion_id&column=status&column=reason&column=payout&column=amount";
        let page = browser.page(&format!("/conversions?{query}"));
        assert!(page.contains("Sale") && !page.contains(&theirs) && !page.contains("rival-1"));
        let shown = cells(&page);
        assert_eq!(shown[0][..2], ["Rejected", "Advertiser rejected"]);
        assert_eq!(shown[0][2..4], ["0.00\u{a0}USD", "80.00\u{a0}USD"]);
        assert_eq!((shown[0][4].as_str(), shown[1][4].as_str()), (rejected.as_str(), won.as_str()));
        assert_eq!(shown[1][2], "1.20\u{a0}USD");
        let file = csv(&browser.get(&format!("/conversions.csv?{query}")));
        assert_eq!(
            file[0],
            ["Rejected", "Advertiser rejected", "0.00", "USD", "80.00", "USD", rejected.as_str()]
        );
        assert_eq!(file[1], ["Success", "", "1.20", "USD", "", "", won.as_str()]);
        let of = |filter: &str| cells(&browser.page(&format!("/conversions?range=today&{filter}"))).len();
        assert_eq!(
            (of("status=Success"), of("status=Rejected"), of("reason=advertiser_rejected")),
            (1, 1, 1)
        );
        assert_eq!((of("offer=flat"), of("offer=levels"), of("kind=test")), (1, 0, 0));
        assert_eq!((of("id=m1"), of(&format!("id={won}")), of(&format!("id={again}"))), (2, 1, 1));
        assert_eq!((of("id=rival-1"), of(&format!("id={theirs}")), of(&format!("id={rival}"))), (0, 0, 0));
        world.stop();
    });
}

#[test]
fn a_trace_tells_the_partner_its_side_of_the_whole_story() {
    for_each_engine(|engine| {
        let world = start_with(engine, RIVAL);
        let browser = Browser::log_in(&world, "reader@app.example");
        let click =
            click_id(&world.visit(
                "flat/app",
                &format!("pub_click_id=c1&pub_member_id=m1&pub_sub_1={}", encoded(CANARY)),
            ));
        let secret = "cnv_email=buyer%40shop.example&cnv_conversion_id=order-77";
        let won = conversion_id(&world.report(&format!("gk_click_id={click}&{secret}")));
        assert_eq!(
            world.get(&format!("/postback?token=forged&gk_click_id={click}&cnv_email=spy")).status,
            401
        );
        world.received();
        let page = browser.page(&format!("/trace/{click}"));
        for told in [
            "Sent on to the offer",
            "reported a result: recorded",
            "its sender was not proven",
            "1.20\u{a0}USD",
            "member has not completed it",
            "Attempt 1",
            "curl -i -X GET",
            "Success",
            &won,
        ] {
            assert!(page.contains(told), "{told} is missing: {page}");
        }
        for hidden in [
            "2.50",
            TOKEN,
            "forged",
            "buyer",
            "order-77",
            "spy",
            "advertiser_id",
            "<script>alert",
            "127.0.0.1 ",
        ] {
            assert!(!page.contains(hidden), "{hidden} is told: {page}");
        }
        let delivery = world.partner.received()[0].webhook_id.clone().unwrap();
        for id in [won.as_str(), "c1", "m1", delivery.as_str()] {
            assert!(browser.page(&format!("/trace/{id}")).contains(&click), "found by {id}");
        }
        world.click("share", "m1");
        let several = browser.page("/trace/m1");
        assert!(several.contains("of 2 clicks") && cells(&several).len() == 2, "{several}");

        let absent = browser.get("/trace/0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6");
        let rival = click_id(&world.visit("flat/rival", "pub_click_id=r1&pub_member_id=r1"));
        let theirs = conversion_id(&world.report(&format!("gk_click_id={rival}")));
        for id in [rival.as_str(), "r1", theirs.as_str(), "no%00thing", "a%2Fb"] {
            let answer = browser.get(&format!("/trace/{id}"));
            assert_eq!((answer.status, &answer.body), (404, &absent.body), "{id}");
        }
        world.stop();
    });
}

/// Where a search leads; empty when it leads nowhere.
fn search(browser: &Browser, asked: &str) -> String {
    let answer = browser.get(&format!("/search?q={}", encoded(asked)));
    if answer.status == 303 { answer.header("location").to_owned() } else { String::new() }
}

#[test]
fn a_search_takes_whatever_somebody_pastes() {
    for_each_engine(|engine| {
        let world: World<'_> = start_with(engine, RIVAL);
        let browser = Browser::log_in(&world, "owner@app.example");
        let click = click_id(&world.visit("flat/app", "pub_click_id=a%20b%2Fc&pub_member_id=m1"));
        let offer = format!("/offers/{}", world.applied.id("offer", "flat"));
        assert_eq!(search(&browser, &click), format!("/trace/{click}"));
        assert_eq!(search(&browser, " a b/c "), "/trace/a%20b%2Fc");
        assert_eq!(browser.get("/trace/a%20b%2Fc").status, 200);
        let link = format!("https://api.acme.example{}", world.path("flat/app"));
        assert_eq!(
            search(&browser, &format!("{link}?pub_click_id=a%20b%2Fc&pub_member_id=x")),
            "/trace/a%20b%2Fc"
        );
        assert_eq!(search(&browser, &format!("{link}?pub_click_id=PUB_CLICK_ID")), offer);
        assert_eq!(
            search(&browser, &format!("https://shop.example/flat?click={click}")),
            format!("/trace/{click}")
        );
        assert_eq!(search(&browser, "& FAIR"), offer);
        let rival = format!("https://api.acme.example{}", world.path("flat/rival"));
        click_id(&world.visit("flat/rival", "pub_click_id=r1&pub_member_id=r1"));
        for nothing in ["r1", &rival, CANARY, ""] {
            assert_eq!(search(&browser, nothing), "", "{nothing}");
        }
        let page = browser.page(&format!("/search?q={}", encoded(CANARY)));
        assert!(page.contains("Nothing found") && !page.contains("<script>alert"));
        world.stop();
    });
}
