//! The own account: zone, password, sessions and the second factor.

use std::time::{SystemTime, UNIX_EPOCH};

use testkit::for_each_engine;
use totp_rs::{Builder, Secret};

use super::login::PASSWORD;
use super::{Browser, start, start_with};

/// An offer whose payout and cap have thousands.
const FORMATTED: &str = r#"
[[offer]]
slug = "thousands"
advertiser = "shop"
destination = "https://shop.example/t?click={gk_click_id}"
revenue = "2000"
payout = "1234.50"
caps = { total = 10001 }
[[link]]
offer = "thousands"
partner = "app"
"#;

#[test]
fn zone_password_and_sessions_are_the_user_s_own() {
    for_each_engine(|engine| {
        let world = start(engine);
        let here = Browser::log_in(&world, "reader@app.example");
        let there = Browser::log_in(&world, "reader@app.example");
        assert!(here.page("/profile").contains("UTC"));
        let form = |zone| [("zone", zone), ("numbers", "space_point"), ("dates", "iso")];
        assert_eq!(here.post("/profile", &form("Mars/Olympus")).status, 422);
        assert_eq!(here.submit("/profile", &form("Asia/Tokyo")), "/profile?said=reading");
        assert!(there.page("/profile/sessions").contains("Asia/Tokyo"), "the zone stands beside the table");

        let wrong =
            here.post("/profile/password", &[("current", "not it at all"), ("password", "a new horse")]);
        assert!(wrong.status == 422 && wrong.body.contains("not your password"), "{wrong:?}");
        let before = here.cookies();
        let form = [("current", PASSWORD), ("password", "a new horse in the rain")];
        assert_eq!(here.submit("/profile/password", &form), "/profile?said=password");
        assert_ne!(here.cookies(), before);
        assert_eq!((here.get("/profile").status, there.get("/profile").status), (200, 303));
        let old = there.post("/login", &[("email", "reader@app.example"), ("password", PASSWORD)]);
        assert!(old.body.contains("is wrong"), "{old:?}");

        there.submit("/login", &[("email", "reader@app.example"), ("password", "a new horse in the rain")]);
        let list = here.page("/profile/sessions");
        let (_, rest) = list.split_once("/profile/sessions/0").unwrap_or_else(|| panic!("{list}"));
        let id = format!("0{}", rest.split_once("/end").unwrap().0);
        assert_eq!(here.submit(&format!("/profile/sessions/{id}/end"), &[]), "/profile/sessions?said=ended");
        assert_eq!(there.get("/profile").status, 303);
        assert_eq!(here.post(&format!("/profile/sessions/{id}/end"), &[]).status, 404, "it has ended");
        assert_eq!(here.submit("/profile/sessions/end", &[]), "/login?said=everywhere");
        assert_eq!((here.cookies().as_str(), world.count("session")), ("", 0));
        world.stop();
    });
}

#[test]
fn numbers_and_dates_are_shown_as_chosen_and_files_stay_as_they_are() {
    for_each_engine(|engine| {
        let world = start_with(engine, FORMATTED);
        let browser = Browser::log_in(&world, "reader@app.example");
        let click = world.click("thousands", "ada");
        assert_eq!(world.report(&format!("gk_click_id={click}")).status, 200);
        engine.execute("update conversion set received_ms = 1795489512042");
        let offer = format!("/offers/{}", world.applied.id("offer", "thousands"));
        let list = "/conversions?range=2026-11-24";
        let file = browser.page("/conversions.csv?range=2026-11-24");
        assert!(file.contains("2026-11-24 03:05:12,") && file.contains(",1234.50,USD,"), "{file}");
        let choose = |numbers, dates, sum: &str| {
            browser.submit("/profile", &[("zone", ""), ("numbers", numbers), ("dates", dates)]);
            let trace = browser.page(&format!("/trace/{click}"));
            assert!(trace.replace(['\u{202f}', '\u{a0}'], "_").contains(sum), "{trace}");
            let shown = [list, &offer, "/home", &format!("/trace/{click}")].map(|page| browser.page(page));
            assert_eq!(browser.page("/conversions.csv?range=2026-11-24"), file, "files are for machines");
            assert!(browser.page("/offers.csv").contains(",1234.50 USD,"));
            shown.concat().replace('\u{202f}', "_").replace('\u{a0}', " ")
        };
        for (numbers, dates, told) in [
            ("space_point", "iso", ["1234.50 USD", "2026-11-24 03:05:12", "of 10_001 conv", "2026-11-24"]),
            (
                "comma_point",
                "month_name",
                ["1,234.50 USD", "Nov 24, 2026 03:05:12", "of 10,001 conv", "Nov 24, 2026"],
            ),
            (
                "point_comma",
                "day_points",
                ["1.234,50 USD", "24.11.2026 03:05:12", "of 10.001 conv", "24.11.2026"],
            ),
            (
                "space_comma",
                "day_slashes",
                ["1_234,50 USD", "24/11/2026 03:05:12", "of 10_001 conv", "24/11/2026"],
            ),
        ] {
            let shown = choose(numbers, dates, &told[0].replace(' ', "_"));
            for text in told {
                assert!(shown.contains(text), "{numbers} {dates}: {text}");
            }
        }
        let wrong = [("zone", ""), ("numbers", "roman"), ("dates", "stardate")];
        let refused = browser.post("/profile", &wrong);
        assert!(refused.status == 422 && refused.body.contains("2 fields need a correction"), "{refused:?}");
        world.stop();
    });
}

/// The code of a secret, so many seconds from now.
#[expect(clippy::disallowed_methods, reason = "an app that makes codes has its own clock")]
pub(super) fn code(secret: &str, ahead: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let totp = Builder::new().with_secret(Secret::try_from_base32(secret).unwrap()).build().unwrap();
    totp.generate(now + ahead).to_string()
}

#[test]
fn a_second_factor_is_asked_for_and_each_code_works_once() {
    for_each_engine(|engine| {
        let world = start(engine);
        let own = Browser::log_in(&world, "member@app.example");
        let page = own.page("/profile/totp");
        let (_, rest) = page.split_once("name=\"secret\" value=\"").unwrap();
        let secret = rest.split_once('"').unwrap().0;
        let off = own.post("/profile/totp", &[("secret", secret), ("code", "000000x")]);
        assert!(off.status == 422 && off.body.contains(secret), "{off:?}");
        let first = code(secret, 0);
        let on = own.post("/profile/totp", &[("secret", secret), ("code", &first)]);
        assert_eq!(on.status, 200, "{on:?}");
        let (_, codes) = on.body.split_once("<code>").unwrap();
        let codes: Vec<&str> = codes.split_once("</code>").unwrap().0.lines().collect();
        assert_eq!(codes.len(), 10, "{codes:?}");

        let log_in = || {
            let browser = Browser::new(&world);
            let form = [("email", "member@app.example"), ("password", PASSWORD), ("next", "/team")];
            assert_eq!(browser.submit("/login", &form), "/totp?next=%2Fteam");
            assert_eq!(browser.get("/team").status, 303, "the password alone opens nothing");
            browser
        };
        let browser = log_in();
        let gives =
            |browser: &Browser, code: &str| browser.post("/totp", &[("code", code), ("next", "/team")]);
        assert_eq!(gives(&browser, &first).status, 422, "the code of the set-up was taken");
        let next = code(secret, 30);
        let half = browser.cookies();
        let answer = gives(&browser, &next);
        assert_eq!((answer.status, answer.header("location")), (303, "/team"), "{answer:?}");
        assert_ne!(browser.cookies(), half);
        assert!(browser.page("/team").contains("member@app.example"));

        let browser = log_in();
        assert_eq!(gives(&browser, &next).status, 422, "taken");
        assert_eq!(gives(&browser, &codes[0].to_uppercase()).status, 303);
        let browser = log_in();
        assert_eq!(gives(&browser, codes[0]).status, 422, "a recovery code works once");

        assert_eq!(own.submit("/profile/totp/end", &[("password", PASSWORD)]), "/profile/totp?said=factor");
        assert_eq!(world.count("recovery_code"), 0);
        let form = [("email", "member@app.example"), ("password", PASSWORD)];
        assert_eq!(Browser::new(&world).submit("/login", &form), "/home");
        world.stop();
    });
}
