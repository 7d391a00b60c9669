//! The process is killed in the middle of its work, again and again, on one set of data.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use simulator::partner::Partner;
use testkit::{Engine, Server, eventually, http};

use crate::PITLANE;
use crate::traffic::oracle::Stored;
use crate::traffic::{Traffic, declare};
use crate::world::{Endpoint, TO_THIS_MACHINE};

/// Visitors at a time.
const CLIENTS: usize = 24;
/// The promises of one life, at most: some lives end with their first answer, some in full work.
const MOST_PROMISES: usize = 500;
/// Every how many rounds a process is killed before it is ready.
const EARLY_EVERY: usize = 4;
/// Longer than the lease of a delivery that was under way when its process was killed.
const LEASES_END: Duration = Duration::from_mins(3);

#[test]
fn a_killed_process_loses_nothing_on_sqlite() {
    let engine = Engine::sqlite();
    survive(&engine, 0x5117e);
    assert_eq!(engine.sql("pragma integrity_check"), [["ok"]]);
}

#[test]
fn a_killed_process_loses_nothing_on_postgresql() {
    survive(&Engine::postgres(), 0x90576);
}

/// A number from the environment of whoever runs the tests.
fn number(name: &str, otherwise: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "how long the test runs is no setting of the product")]
    let text = std::env::var(name);
    text.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

fn survive(engine: &Engine, seed: u64) {
    let rounds = usize::try_from(number("PITLANE_CRASH_ROUNDS", 5)).unwrap();
    let ready_within = Duration::from_millis(number("PITLANE_READY_WITHIN_MS", 2_000));
    let mut random = StdRng::seed_from_u64(seed);
    let endpoint = Endpoint::bind();
    let applied = declare(engine, &endpoint);
    let partner = endpoint.start(vec![applied.signing_secret("partner", "app")]);
    let traffic = Traffic::new(&applied);
    let mut slowest = Duration::ZERO;
    for round in 1..=rounds {
        if round.is_multiple_of(EARLY_EVERY) {
            kill_early(PITLANE.serve_command(engine, &TO_THIS_MACHINE), &mut random);
        }
        let (server, took) = start(engine);
        slowest = slowest.max(took);
        assert!(took <= ready_within, "round {round}: ready after {took:?}, not within {ready_within:?}");
        kill_under_load(server, &traffic, &mut random);
    }
    finish(engine, &traffic, &partner, rounds, slowest);
}

/// A server that is ready, and how long that took from its first instruction.
fn start(engine: &Engine) -> (Server, Duration) {
    let began = Instant::now();
    let server = PITLANE.serve(engine, &TO_THIS_MACHINE);
    eventually("it is ready", Duration::from_mins(1), || {
        http::get(&format!("{}/readyz", server.url())).status == 200
    });
    (server, began.elapsed())
}

/// Kills the process of a command within its first moments.
fn kill_early(mut command: Command, random: &mut StdRng) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
    pause(random, 40_000);
    child.kill().expect("our child");
    child.wait().expect("our child");
}

/// Lets traffic in, and kills the server when it has promised some number of things: in the middle of the next.
fn kill_under_load(server: Server, traffic: &Arc<Traffic>, random: &mut StdRng) {
    let enough = traffic.promised() + random.random_range(1..=MOST_PROMISES);
    let load = traffic.begin(server.url(), CLIENTS, u64::MAX);
    traffic.wait_for(enough);
    pause(random, 3_000);
    server.kill9();
    load.end();
}

/// Hits every phase of a commit alike.
fn pause(random: &mut impl Rng, at_most_us: u64) {
    let us = random.random_range(0..=at_most_us);
    // bounded wait: some microseconds, to choose the moment of the kill; nothing depends on how many
    std::thread::sleep(Duration::from_micros(us));
}

/// A last life in peace: what nobody was told of is sent again, every delivery ends, and everything is counted.
fn finish(engine: &Engine, traffic: &Arc<Traffic>, partner: &Partner, rounds: usize, slowest: Duration) {
    let (server, _) = start(engine);
    traffic.begin(server.url(), CLIENTS, 0).end();
    assert_eq!(traffic.owed(), 0);
    let stored = Stored::read(engine);
    stored.check(&traffic.journal());
    assert!(traffic.refused().is_empty(), "answered 503: {:#?}", traffic.refused().first());
    assert!(traffic.strange().is_empty(), "answered wrongly: {:#?}", traffic.strange().first());
    let left = "select count(*) from delivery where state <> 'delivered'";
    eventually("every delivery has arrived", LEASES_END, || engine.count(left) == 0);
    Stored::read(engine).check_arrivals(&partner.received());
    server.stop();
    say(&format!(
        "{}: {rounds} kills, {} promises kept, {} conversions, {} arrivals, ready after {slowest:?} at most",
        engine.name(),
        traffic.promised(),
        stored.conversions(),
        partner.count(),
    ));
}

#[expect(clippy::print_stderr, reason = "the figures of the run, for whoever asks by --nocapture")]
fn say(text: &str) {
    eprintln!("{text}");
}
