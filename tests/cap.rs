//! Caps and budgets, exact under any race and on every server.

use std::collections::BTreeMap;
use std::time::Duration;

use testkit::http::{self, Answer};
use testkit::{Engine, Server, eventually, for_each_engine};

use crate::crowd::{Crowd, for_each_crowd};
use crate::world::{NETWORK, World, apply};

/// The product promises a second; a busy machine gets a few.
const SOON: Duration = Duration::from_secs(10);

/// Offers with limits, each with one price, so that a budget is a whole number of conversions.
const LIMITED: &str = r#"
[[offer]]
slug = "capped"
advertiser = "shop"
destination = "https://shop.example/capped?click={gk_click_id}"
revenue = "2.00"
payout = "1.00"
caps = { day = 50, total = 70 }
[[link]]
offer = "capped"
partner = "app"

[[offer]]
slug = "budgeted"
advertiser = "shop"
destination = "https://shop.example/budgeted?click={gk_click_id}"
revenue = "2.50"
payout = "1.00"
budgets = { day = "100.00" }
[[link]]
offer = "budgeted"
partner = "app"

[[offer]]
slug = "both"
type = "MultiEvent"
advertiser = "shop"
destination = "https://shop.example/both?click={gk_click_id}"
[[offer.event]]
code = "install"
revenue = "1.00"
payout = "0.60"
caps = { week = 30 }
[[offer.event]]
code = "sale"
revenue = "5.00"
payout = "4.00"
caps = { month = 20 }
[[link]]
offer = "both"
partner = "app"
"#;

/// How often each code was answered.
fn counted(answers: &[(String, String)]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for (code, _) in answers {
        *counts.entry(code.as_str()).or_default() += 1;
    }
    counts
}

fn visit(server: &Server, path: &str, member: &str) -> Answer {
    http::get(&format!("{}{path}?pub_click_id=again-{member}&pub_member_id={member}", server.url()))
}

/// Every server says this of a new member's click within moments.
fn everybody_says(crowd: &Crowd<'_>, offer: &str, verdict: &str) {
    let path = crowd.world.path(&format!("{offer}/app"));
    for server in std::iter::once(crowd.world.server()).chain(&crowd.others) {
        let mut member = 0;
        eventually(verdict, SOON, || {
            member += 1;
            let answer = visit(server, &path, &format!("{offer}-{verdict}-{}-{member}", server.pid()));
            answer.header("x-click-verdict") == verdict
        });
    }
}

#[test]
fn a_cap_of_n_admits_n_of_many_at_once() {
    for_each_crowd(LIMITED, |crowd| {
        let clicks = crowd.clicks((0..160).map(|at| ("capped", format!("m{at}"))));
        let queries: Vec<String> = clicks.iter().map(|click| format!("gk_click_id={click}")).collect();
        let answers = crowd.report(&queries);
        assert_eq!(counted(&answers), BTreeMap::from([("recorded", 50), ("rejected:capped", 110)]));
        assert_eq!(crowd.world.count("conversion where status = 'Success'"), 50);
        let evidence = "conversion where status = 'Rejected' and reason = 'capped' and holds_place = 0";
        assert_eq!(crowd.world.count(evidence), 110);
        everybody_says(crowd, "capped", "offer_capped");
        // Copies change nothing, and partners hear of none of those that found no room.
        assert_eq!(counted(&crowd.report(&queries)), BTreeMap::from([("duplicate", 160)]));
        assert_eq!(crowd.world.received().len(), 50);
    });
}

#[test]
fn a_budget_is_spent_to_the_last_cent_and_not_over() {
    for_each_crowd(LIMITED, |crowd| {
        let clicks = crowd.clicks((0..100).map(|at| ("budgeted", format!("m{at}"))));
        let queries: Vec<String> = clicks.iter().map(|click| format!("gk_click_id={click}")).collect();
        let answers = crowd.report(&queries);
        assert_eq!(counted(&answers), BTreeMap::from([("recorded", 40), ("rejected:over_budget", 60)]));
        everybody_says(crowd, "budgeted", "offer_over_budget");
    });
}

#[test]
fn an_offer_of_two_events_is_open_until_both_are_full() {
    for_each_crowd(LIMITED, |crowd| {
        let clicks = crowd.clicks((0..60).map(|at| ("both", format!("m{at}"))));
        let report = |event: &str| {
            let query = |click: &String| format!("gk_click_id={click}&cnv_event_id={event}");
            crowd.report(&clicks.iter().map(query).collect::<Vec<_>>())
        };
        assert_eq!(counted(&report("install")), BTreeMap::from([("recorded", 30), ("rejected:capped", 30)]));
        everybody_says(crowd, "both", "ok");
        assert_eq!(counted(&report("sale")), BTreeMap::from([("recorded", 20), ("rejected:capped", 40)]));
        everybody_says(crowd, "both", "offer_capped");
    });
}

#[test]
fn a_rejected_conversion_gives_its_place_back() {
    for_each_crowd(LIMITED, |crowd| {
        let clicks = crowd.clicks((0..60).map(|at| ("capped", format!("m{at}"))));
        let query = |click: &String| format!("gk_click_id={click}");
        assert_eq!(
            counted(&crowd.report(&clicks[..50].iter().map(query).collect::<Vec<_>>())),
            BTreeMap::from([("recorded", 50)])
        );
        everybody_says(crowd, "capped", "offer_capped");
        let back = clicks[..4].iter().map(|click| format!("gk_click_id={click}&cnv_status=rejected"));
        assert_eq!(counted(&crowd.report(&back.collect::<Vec<_>>())), BTreeMap::from([("updated", 4)]));
        everybody_says(crowd, "capped", "ok");
        let later = crowd.report(&clicks[50..].iter().map(query).collect::<Vec<_>>());
        assert_eq!(counted(&later), BTreeMap::from([("recorded", 4), ("rejected:capped", 6)]));
        assert_eq!(crowd.world.count("conversion where status = 'Success'"), 50);
    });
}

/// What was recorded today was recorded yesterday.
fn a_day_passes(engine: &Engine) {
    const DAY_MS: i64 = 86_400_000;
    engine.execute(&format!("update conversion set received_ms = received_ms - {DAY_MS}"));
    engine.execute(&format!("update tally set start_ms = start_ms - {DAY_MS} where period = 'day'"));
}

#[test]
fn the_next_day_has_room_again_and_the_total_stays() {
    for_each_engine(|engine| {
        let world = World::with(engine, LIMITED, &[]);
        let clicks: Vec<String> = (0..130).map(|at| world.click("capped", &format!("m{at}"))).collect();
        let report = |world: &World<'_>, clicks: &[String]| {
            let answers = clicks.iter().map(|click| {
                let answer = world.report(&format!("gk_click_id={click}"));
                (answer.code(), String::new())
            });
            answers.collect::<Vec<_>>()
        };
        let today = report(&world, &clicks[..60]);
        assert_eq!(counted(&today), BTreeMap::from([("recorded", 50), ("rejected:capped", 10)]));
        let world = world.restart(|| a_day_passes(engine));
        let visited = world.visit("capped/app", "pub_click_id=x&pub_member_id=x");
        assert_eq!(visited.header("x-click-verdict"), "ok", "{visited:?}");
        let tomorrow = report(&world, &clicks[60..]);
        assert_eq!(counted(&tomorrow), BTreeMap::from([("recorded", 20), ("rejected:capped", 50)]));
        eventually("the total closes it", SOON, || {
            let answer = world.visit("capped/app", "pub_click_id=y&pub_member_id=y");
            answer.header("x-click-verdict") == "offer_capped"
        });
        world.stop();
    });
}

/// A limit that is new counts what was recorded before it stood.
#[test]
fn a_new_cap_counts_what_came_before_and_a_higher_one_opens_again() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        for at in 0..10 {
            let click = world.click("flat", &format!("m{at}"));
            assert_eq!(world.report(&format!("gk_click_id={click}")).code(), "recorded");
        }
        let with_cap = |cap: u32| {
            let capped = format!("slug = \"flat\"\ncaps = {{ total = {cap} }}");
            world.declaration().replacen("slug = \"flat\"", &capped, 1)
        };
        apply(engine, &with_cap(10), &[]);
        eventually("it is capped", SOON, || {
            world.visit("flat/app", "pub_click_id=x&pub_member_id=x").header("x-click-verdict")
                == "offer_capped"
        });
        apply(engine, &with_cap(11), &[]);
        eventually("it is open", SOON, || {
            world.visit("flat/app", "pub_click_id=y&pub_member_id=y").status == 302
        });
        let click = world.click("flat", "m11");
        let late = world.click("flat", "m12");
        assert_eq!(world.report(&format!("gk_click_id={click}")).code(), "recorded");
        let refused = world.report(&format!("gk_click_id={late}"));
        assert_eq!((refused.status, refused.code()), (200, "rejected:capped".to_owned()));
        world.stop();
    });
}

/// A sale in another currency than the budget's is recorded and not added to it.
#[test]
fn a_share_of_sales_fills_a_budget_in_its_currency_only() {
    let more = NETWORK.replacen("slug = \"share\"", "slug = \"share\"\nbudgets = { total = \"10.00\" }", 1);
    for_each_engine(|engine| {
        let world = World::declared(engine, &more, &[]);
        let report = |member: &str, amount: &str| {
            let click = world.click("share", member);
            world.report(&format!("gk_click_id={click}&cnv_amount={amount}")).code()
        };
        assert_eq!(report("m1", "1000&cnv_currency=EUR"), "recorded");
        assert_eq!(report("m2", "60"), "recorded");
        assert_eq!(report("m3", "41"), "rejected:over_budget");
        assert_eq!(report("m4", "40"), "recorded");
        eventually("it is spent", SOON, || {
            let visited = world.visit("share/app", "pub_click_id=x&pub_member_id=x");
            visited.header("x-click-verdict") == "offer_over_budget"
        });
        world.stop();
    });
}
