//! Many senders at once, on one server and on two: one conversion for each result, one message for each conversion.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use testkit::Engine;

use crate::crowd::{Crowd, for_each_crowd};

const CONVERSIONS: usize = 2_000;
const COPIES: usize = 8;

/// One more postback for everything, one for one offer, and one that is told every change.
const MORE: &str = r#"
[[postback]]
partner = "app"
slug = "json"
method = "POST_JSON"
url = "http://{partner}/postback/json"

[[postback]]
partner = "app"
slug = "flat"
offer = "flat"
url = "http://{partner}/postback/flat?click={pub_click_id}"
"#;

fn shuffled<T>(mut all: Vec<T>, seed: u64) -> Vec<T> {
    all.shuffle(&mut StdRng::seed_from_u64(seed));
    all
}

/// How often each thing stands there.
fn counted<T: Ord>(all: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    counts
}

#[test]
fn every_result_sent_eight_times_is_one_conversion_told_once_on_sqlite() {
    eight_copies_of_every_result(&Engine::sqlite(), 1);
}

#[test]
fn every_result_sent_eight_times_is_one_conversion_told_once_on_postgresql() {
    eight_copies_of_every_result(&Engine::postgres(), 1);
}

#[test]
fn every_result_sent_eight_times_to_two_servers_is_one_conversion_told_once() {
    eight_copies_of_every_result(&Engine::postgres(), 2);
}

fn eight_copies_of_every_result(engine: &Engine, servers: usize) {
    let crowd = Crowd::start(engine, MORE, servers);
    let offers = ["flat", "flat", "share", "levels"];
    let offer = |at: usize| offers[at % offers.len()];
    let clicks = crowd.clicks((0..CONVERSIONS).map(|at| (offer(at), format!("m{at}"))));
    let query = |at: usize| {
        let more = match at % offers.len() {
            0 => String::new(),
            1 => format!("&cnv_conversion_id=order-{at}"),
            2 => format!("&cnv_conversion_id=order-{at}&cnv_amount={at}.50"),
            _ => "&cnv_event_id=install".to_owned(),
        };
        format!("gk_click_id={}{more}", clicks[at])
    };
    let order = shuffled((0..CONVERSIONS * COPIES).map(|at| at % CONVERSIONS).collect(), 20_261_122);
    let answers = crowd.report(&order.iter().map(|at| query(*at)).collect::<Vec<_>>());
    check_answers(&order, &answers);
    check_records(&crowd);
    check_messages(&crowd, &answers);
    crowd.stop();
}

/// Each result was recorded once, and each of its copies named it.
fn check_answers(order: &[usize], answers: &[(String, String)]) {
    let mut by_result: HashMap<usize, Vec<&(String, String)>> = HashMap::new();
    for (at, answer) in order.iter().zip(answers) {
        by_result.entry(*at).or_default().push(answer);
    }
    let mut ids = BTreeSet::new();
    for (at, answers) in &by_result {
        let codes = counted(answers.iter().map(|(code, _)| code.as_str()));
        let expected = BTreeMap::from([("recorded", 1), ("duplicate", COPIES - 1)]);
        assert_eq!(codes, expected, "result {at}");
        assert!(answers.iter().all(|(_, id)| *id == answers[0].1), "result {at}: {answers:?}");
        ids.insert(answers[0].1.as_str());
    }
    assert_eq!(ids.len(), CONVERSIONS);
}

/// The tables, counted beside the product.
fn check_records(crowd: &Crowd<'_>) {
    let all = i64::try_from(CONVERSIONS).unwrap();
    let count = |rows: &str| crowd.world.count(rows);
    assert_eq!(count("click"), all);
    assert_eq!(count("conversion"), all);
    assert_eq!(count("conversion where status = 'Success' and holds_place = 1 and version = 0"), all);
    assert_eq!(count("conversion_change"), all);
    assert_eq!(count("inbound"), all * i64::try_from(COPIES).unwrap());
    assert_eq!(count("delivery"), all * 2 + all / 2);
    let each = "select count(*) from delivery group by postback_id order by 1";
    let wanted = [all / 2, all, all].map(|rows| [rows.to_string()]);
    assert_eq!(crowd.world.engine.sql(each), wanted);
}

/// What the partner received: every conversion once from each postback whose scope holds it.
fn check_messages(crowd: &Crowd<'_>, answers: &[(String, String)]) {
    let received = crowd.world.received();
    assert_eq!(received.len(), CONVERSIONS * 5 / 2);
    let ids = counted(received.iter().map(|one| one.webhook_id.clone().expect("a webhook-id")));
    assert!(ids.values().all(|times| *times == 1), "a message was sent twice");
    let recorded: BTreeSet<&str> = answers.iter().map(|(_, id)| id.as_str()).collect();
    for (path, field) in [("/postback/all", "conversion"), ("/postback/json", "conversion_id")] {
        let told: Vec<&str> = received
            .iter()
            .filter(|one| one.path_and_query.starts_with(path))
            .map(|one| one.parameter(field))
            .collect();
        assert_eq!(told.len(), CONVERSIONS, "{path}");
        assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), recorded, "{path}");
    }
    assert!(received.iter().all(|one| one.signature == simulator::partner::SignatureCheck::Valid));
    assert_eq!(crowd.world.count("delivery_attempt"), i64::try_from(received.len()).unwrap());
}

#[test]
fn a_member_with_fifty_clicks_reported_at_once_completes_once() {
    for_each_crowd(MORE, |crowd| {
        let clicks = crowd.clicks((0..50).map(|_| ("flat", "m1".to_owned())));
        let own_id = |at: usize| {
            if at.is_multiple_of(2) { String::new() } else { format!("&cnv_conversion_id=o{at}") }
        };
        let queries =
            clicks.iter().enumerate().map(|(at, click)| format!("gk_click_id={click}{}", own_id(at)));
        let answers = crowd.report(&queries.collect::<Vec<_>>());
        let codes = counted(answers.iter().map(|(code, _)| code.as_str()));
        assert_eq!(codes, BTreeMap::from([("recorded", 1), ("member_already_completed", 49)]));
        let (_, winner) = answers.iter().find(|(code, _)| code == "recorded").unwrap();
        let engine = crowd.world.engine;
        let success = "select conversion_id from conversion where status = 'Success'";
        assert_eq!(engine.sql(success), [[winner.replace('-', "")]]);
        let evidence = format!(
            "conversion where status = 'Rejected' and reason = 'member_already_completed' and winner_id = {}",
            engine.id(winner)
        );
        assert_eq!(crowd.world.count(&evidence), 49);
        let told: Vec<String> = crowd
            .world
            .received()
            .iter()
            .map(|one| one.path_and_query.split('?').next().unwrap().to_owned())
            .collect();
        let once = ["/postback/all", "/postback/flat", "/postback/json"].map(str::to_owned);
        assert_eq!(counted(told), counted(once), "each matching postback was told once");
    });
}

#[test]
fn a_click_reported_with_and_without_the_advertiser_s_id_at_once_pays_once() {
    for_each_crowd("", |crowd| {
        let clicks = crowd.clicks((0..100).map(|at| ("flat", format!("m{at}"))));
        let copies = clicks.iter().enumerate().flat_map(|(at, click)| {
            let ways = [String::new(), format!("&cnv_conversion_id=order-{at}")];
            ways.into_iter().cycle().take(COPIES).map(move |more| (at, format!("gk_click_id={click}{more}")))
        });
        let copies = shuffled(copies.collect(), 1);
        let queries: Vec<String> = copies.iter().map(|(_, query)| query.clone()).collect();
        let answers = crowd.report(&queries);
        let mut winners: HashMap<usize, &str> = HashMap::new();
        for ((at, _), (code, id)) in copies.iter().zip(&answers) {
            assert!(["recorded", "duplicate", "member_already_completed"].contains(&code.as_str()), "{code}");
            if code == "recorded" {
                assert!(winners.insert(*at, id).is_none(), "click {at} was recorded twice");
            }
        }
        assert_eq!(winners.len(), 100);
        assert_eq!(crowd.world.count("conversion where status = 'Success'"), 100);
        assert_eq!(crowd.world.received().len(), 100);
        // Copies without the id name what their click became first.
        for ((at, query), (_, id)) in copies.iter().zip(&answers) {
            if !query.contains("cnv_conversion_id") {
                assert_eq!(id, winners[at], "{query}");
            }
        }
    });
}

#[test]
fn changes_of_status_sent_at_once_end_alike_in_any_order() {
    let news = r#"
[[postback]]
partner = "app"
slug = "news"
on = ["Success", "Pending", "Rejected", "changes"]
url = "http://{partner}/postback/news?conversion={conversion_id}&status={cnv_status}"
"#;
    for_each_crowd(news, |crowd| {
        let ends = [("2 1", "Success"), ("2 1 3", "Rejected"), ("1 3", "Rejected"), ("2 3", "Rejected")];
        let clicks = crowd.clicks((0..100).map(|at| ("flat", format!("m{at}"))));
        let copies = clicks.iter().enumerate().flat_map(|(at, click)| {
            let words = ends[at % ends.len()].0.split(' ').cycle().take(12);
            words.map(move |word| format!("gk_click_id={click}&cnv_status={word}"))
        });
        let answers = crowd.report(&shuffled(copies.collect(), 2));
        assert!(answers.iter().all(|(code, _)| {
            ["recorded", "updated", "duplicate", "rejected:advertiser_rejected"].contains(&code.as_str())
        }));
        let engine = crowd.world.engine;
        let statuses = engine.sql("select pub_member_id, status from conversion");
        assert_eq!(statuses.len(), 100, "one conversion a click");
        for row in &statuses {
            let at: usize = row[0].trim_start_matches('m').parse().unwrap();
            assert_eq!(row[1], ends[at % ends.len()].1, "member {at}");
        }
        let ends_with_its_status = "conversion c join conversion_change h \
             on h.conversion_id = c.conversion_id and h.version = c.version and h.status = c.status";
        assert_eq!(crowd.world.count(ends_with_its_status), 100);
        let told = crowd.world.received();
        let news = told.iter().filter(|one| one.path_and_query.starts_with("/postback/news")).count();
        assert_eq!(
            i64::try_from(news).unwrap(),
            crowd.world.count("conversion_change"),
            "each change is told once"
        );
    });
}

#[test]
fn an_advertiser_s_id_claimed_by_two_clicks_at_once_belongs_to_one() {
    for_each_crowd("", |crowd| {
        let clicks = crowd.clicks((0..200).map(|at| ("flat", format!("m{at}"))));
        let copies = clicks.chunks(2).enumerate().flat_map(|(at, pair)| {
            pair.iter().map(move |click| (at, format!("gk_click_id={click}&cnv_conversion_id=order-{at}")))
        });
        let copies = shuffled(copies.collect(), 3);
        let queries: Vec<String> = copies.iter().map(|(_, query)| query.clone()).collect();
        let answers = crowd.report(&queries);
        let mut by_key: HashMap<usize, Vec<&(String, String)>> = HashMap::new();
        for ((at, _), answer) in copies.iter().zip(&answers) {
            by_key.entry(*at).or_default().push(answer);
        }
        for (at, pair) in by_key {
            let codes = counted(pair.iter().map(|(code, _)| code.as_str()));
            assert_eq!(codes, BTreeMap::from([("conflict", 1), ("recorded", 1)]), "order-{at}");
            assert_eq!(pair[0].1, pair[1].1, "both name the one that is recorded");
        }
        assert_eq!(crowd.world.count("conversion"), 100);
        assert_eq!(crowd.world.received().len(), 100);
    });
}
