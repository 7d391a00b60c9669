//! `pitlane audit`: the counts are exact whatever races, dies or comes late, and what is not exact is found.

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use testkit::http;
use testkit::{Engine, Server, for_each_engine};

use crate::PITLANE;
use crate::report::{Planted, plant, plant_unlisted, report};
use crate::traffic::{Traffic, declare};
use crate::world::{Endpoint, TO_THIS_MACHINE, TOKEN, World, click_id, conversion_id};

/// The differences that an audit finds; its code says whether there are any.
fn audit(engine: &Engine, args: &[&str]) -> Vec<Value> {
    let ran = PITLANE.run_on(engine, &[&["audit", "--json"], args].concat());
    let found = ran.json()["differences"].as_array().unwrap().clone();
    assert_eq!(ran.code, Some(i32::from(!found.is_empty())), "{ran:?}");
    found
}

/// Of what the differences are.
fn of(differences: &[Value]) -> Vec<&str> {
    differences.iter().map(|one| one["of"].as_str().unwrap()).collect()
}

/// Nothing differs, and a count by SQL of all clicks is the sum of the counts.
fn is_clean(engine: &Engine) {
    let found = audit(engine, &[]);
    assert!(found.is_empty(), "{found:#?}");
    let counted = engine.count("select cast(coalesce(sum(hits), 0) as bigint) from click_count");
    assert_eq!(counted, engine.count("select count(*) from click where marks % 4 < 2"));
    assert_eq!(engine.count("select count(*) from click_arrival"), 0);
    let conversions =
        engine.count("select cast(coalesce(sum(conversions), 0) as bigint) from conversion_count");
    assert_eq!(conversions, engine.count("select count(*) from conversion where test = 0"));
}

/// Visits, reports and changes of mind, one after the other.
fn traffic(server: &Server, paths: &[String], name: usize) {
    for number in 0..60 {
        let path = &paths[number % paths.len()];
        let member = format!("{name}-{}", number / 2);
        let query = format!("pub_click_id=c{name}-{number}&pub_member_id={member}");
        let answer = http::get(&format!("{}{path}?{query}", server.url()));
        if answer.header("x-click-verdict") != "ok" {
            continue;
        }
        let base = format!("{}/postback?token={TOKEN}&gk_click_id={}", server.url(), click_id(&answer));
        let amount = format!("&cnv_amount={}.{:02}", number, number % 100);
        for more in ["", "&cnv_status=3"].iter().take(1 + number % 2) {
            let answer = http::get(&format!("{base}{amount}{more}"));
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
}

/// Some threads of traffic to each server, while several processes count and audit.
fn race(engine: &Engine, servers: usize) {
    let world = World::start(engine);
    let others: Vec<Server> = (1..servers).map(|_| PITLANE.serve(engine, &TO_THIS_MACHINE)).collect();
    let all: Vec<&Server> = std::iter::once(world.server()).chain(&others).collect();
    let paths = ["flat/app", "share/app"].map(|link| world.path(link));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let counters: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        report(engine, &[]);
                        let found = audit(engine, &[]);
                        assert!(found.is_empty(), "in the middle: {found:#?}");
                    }
                })
            })
            .collect();
        let senders: Vec<_> = (0..8)
            .map(|name| {
                let (server, paths) = (all[name % all.len()], &paths);
                scope.spawn(move || traffic(server, paths, name))
            })
            .collect();
        let sent: Vec<_> = senders.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Relaxed);
        for thread in sent.into_iter().chain(counters.into_iter().map(std::thread::ScopedJoinHandle::join)) {
            thread.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    is_clean(engine);
    others.into_iter().for_each(Server::stop);
    world.stop();
}

#[test]
fn counts_are_exact_while_everybody_writes_and_counts() {
    for_each_engine(|engine| race(engine, 1));
    race(&Engine::postgres(), 2);
}

/// A world with clicks, a success and a rejected conversion, all counted.
fn small(engine: &Engine) -> World<'_> {
    let world = World::start(engine);
    let clicks = ["m1", "m2"].map(|member| world.click("flat", member));
    let ids = clicks.map(|click| conversion_id(&world.report(&format!("gk_click_id={click}"))));
    assert_eq!(ids.len(), 2);
    world.received();
    is_clean(engine);
    world
}

#[test]
fn whatever_differs_is_found_and_counts_are_mended() {
    for_each_engine(|engine| {
        let world = small(engine);
        let first = "(select min(conversion_id) from conversion)";
        let first = match engine {
            Engine::Sqlite(_) => first.to_owned(),
            Engine::Postgres { .. } => "(select conversion_id from conversion order by 1 limit 1)".to_owned(),
        };
        engine.execute("update click_count set hits = hits + 1");
        assert_eq!(of(&audit(engine, &[])), ["clicks"]);
        engine.execute("update conversion_count set payout_micros = payout_micros - 1");
        assert_eq!(of(&audit(engine, &[])), ["clicks", "conversions"]);
        assert!(
            audit(engine, &["--from", "2026-01-01", "--to", "2026-01-02"]).is_empty(),
            "not in this range"
        );
        assert!(audit(engine, &["--rebuild"]).is_empty());
        is_clean(engine);
        engine.execute("delete from conversion_count");
        engine.execute("delete from click_count");
        assert_eq!(of(&audit(engine, &[])), ["clicks", "conversions"]);
        assert!(audit(engine, &["--rebuild"]).is_empty());
        is_clean(engine);
        // Beyond the counts nothing is mended; it is named.
        engine.execute(&format!("delete from conversion_change where conversion_id = {first}"));
        engine.execute(&format!(
            "update delivery set partner_id = conversion_id where conversion_id = {first}"
        ));
        let found = audit(engine, &[]);
        assert_eq!(of(&found), ["history", "delivery"]);
        assert!(found[0]["which"].as_str().unwrap().starts_with("conversion "), "{found:?}");
        let text = PITLANE.run_on(engine, &["audit"]);
        assert!(text.stdout.contains("\n    raw rows  0 lines, the last says ``\n"), "{text:?}");
        world.stop();
    });
}

#[test]
fn what_comes_late_is_counted_where_it_belongs() {
    for_each_engine(|engine| {
        let world = small(engine);
        let link = world.applied.id("link", "flat/app");
        let now_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
        // A year ago, an hour ago, and by a clock that is ahead.
        for at_ms in [now_ms - 365 * 86_400_000, now_ms - 3_600_000, now_ms + 600_000] {
            plant(engine, &[Planted { link: &link, at_ms, facts: json!({}) }]);
            is_clean(engine);
        }
        assert_eq!(engine.count("select cast(sum(hits) as bigint) from click_count"), 5);
        // A click without a place in the list is what could go wrong; the audit sees it.
        plant_unlisted(engine, &[Planted { link: &link, at_ms: now_ms, facts: json!({}) }]);
        assert_eq!(of(&audit(engine, &[])), ["clicks"]);
        assert!(audit(engine, &["--rebuild"]).is_empty());
        is_clean(engine);
        world.stop();
    });
}

/// A process that counts, killed within its first moments of work.
fn kill_soon(engine: &Engine, args: &[&str], random: &mut StdRng) {
    let mut command = PITLANE.command();
    command.args(args).args(engine.database_args()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child: Child = command.spawn().expect("the binary starts");
    let moment = Duration::from_micros(random.random_range(5_000..120_000));
    // bounded wait: some milliseconds, to choose the moment of the kill; nothing depends on how many
    std::thread::sleep(moment);
    child.kill().expect("our child");
    child.wait().expect("our child");
}

#[test]
fn a_killed_count_counts_nothing_twice() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let link = world.applied.id("link", "flat/app");
        let clicks = |from: u64| -> Vec<Planted<'_>> {
            let times = (0..6_000).map(|number| from + number * 400);
            times.map(|at_ms| Planted { link: &link, at_ms, facts: json!({ "cc": "DE" }) }).collect()
        };
        let mut random = StdRng::seed_from_u64(7);
        for round in 0..5 {
            plant(engine, &clicks(1_793_500_000_000 + round * 77));
            kill_soon(engine, &["report"], &mut random);
        }
        is_clean(engine);
        assert_eq!(engine.count("select cast(sum(hits) as bigint) from click_count"), 30_000);
        for _ in 0..5 {
            kill_soon(engine, &["audit", "--rebuild"], &mut random);
            plant(engine, &clicks(1_793_500_000_000)[..1_000]);
        }
        // Whoever counts next ends what was begun.
        is_clean(engine);
        world.stop();
    });
}

#[test]
fn a_killed_server_leaves_every_click_counted_once() {
    for_each_engine(|engine| {
        let endpoint = Endpoint::bind();
        let applied = declare(engine, &endpoint);
        let _partner = endpoint.start(vec![applied.signing_secret("partner", "app")]);
        let traffic = Traffic::new(&applied);
        for round in 1..=3 {
            let server = PITLANE.serve(engine, &TO_THIS_MACHINE);
            let load = traffic.begin(server.url(), 16, u64::MAX);
            traffic.wait_for(round * 150);
            // Two processes count while the server is killed, and one of them goes on.
            std::thread::scope(|scope| {
                scope.spawn(|| report(engine, &[]));
                server.kill9();
            });
            load.end();
        }
        is_clean(engine);
    });
}
