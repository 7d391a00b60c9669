//! How long a visitor waits while the server is at ease: one at a time, and at 30 % of what it can do, at a fixed rate;
//! and the same while conversions come in and partners are told of them.
//!
//! nginx with a log answers the same visitors in the same way: what it shows is mostly the load's own share. And what
//! the disk does with a commit's bytes, when nothing else runs, is the least that anybody durable can wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bench::{Bench, block_on};
use crate::closed_loop;
use crate::failure::{Result, ensure};
use crate::machine;
use crate::network;
use crate::nginx::{Nginx, Redirect};
use crate::open_loop::{self, End, Plan, Seen};
use crate::receiver::Receiver;
use crate::statistic::{Sample, float};
use crate::subject::{Server, Subject};
use crate::table::{Table, figure};
use crate::visit::Mix;
use crate::wrk::Load;

const CONNECTIONS: usize = 64;
const SHARE: f64 = 0.3;
/// Conversions a second, and the partners who are told of them.
const CONVERSIONS: f64 = 200.0;
const PARTNERS: usize = 10;
/// Seconds of load that say what the server can do.
const CAPACITY_SECONDS: u64 = 3;
/// What a commit of some clicks writes into the log.
const COMMIT_BYTES: usize = 16_384;

/// A run's latencies in microseconds (p50, p99, p99.9, the most), and how many still waited at its end.
type Figures = [f64; 5];

pub(crate) fn run(bench: &Bench) -> Result<String> {
    let mut table = Table::new(&["", "req/s", "p50 µs", "p99 µs", "p99.9 µs", "most µs", "unserved"]);
    let mut rate = 0.0;
    for engine in bench.engines() {
        let mut subject = Subject::declare(bench, engine, "latency")?;
        let (wrk, mix) = (subject.wrk()?, Arc::new(subject.mix()));
        let receiver = Receiver::start()?;
        subject.apply(&network::postbacks(PARTNERS, |number| {
            format!("http://{}/fast/{number}", receiver.address)
        }))?;
        let server = subject.serve(&["--delivery-allow", "127.0.0.1/32"])?;
        let load = Load {
            address: &server.address,
            connections: CONNECTIONS,
            seconds: CAPACITY_SECONDS,
            tag: "capacity",
            check: None,
        };
        let capacity = wrk.run(load)?;
        subject.acknowledged += capacity.requests;
        subject.record.settle()?;
        rate = capacity.per_second() * SHARE;
        let single = rounds(bench, &server.address, &mix, f64::INFINITY, 1, &mut subject.acknowledged)?;
        show(&mut table, &format!("{}, one at a time", engine.name()), f64::NAN, &single);
        let shared = rounds(bench, &server.address, &mix, rate, CONNECTIONS, &mut subject.acknowledged)?;
        show(
            &mut table,
            &format!("{}, 30 % of {}", engine.name(), figure(capacity.per_second())),
            rate,
            &shared,
        );
        let busy = while_converting(bench, &server, &mut subject, &mix, rate)?;
        show(
            &mut table,
            &format!("{}, the same with {CONVERSIONS:.0} conversions/s", engine.name()),
            rate,
            &busy,
        );
        server.stop()?;
        ensure(receiver.count() > 0, || "no partner was told of a conversion".to_owned())?;
        subject.record.ensure_clicks(subject.acknowledged)?;
        if engine == bench.engines().first().copied().unwrap_or(engine) {
            let figures = nginx(bench, &mix, rate)?;
            show(&mut table, "nginx, variables and buffered log, same rate", rate, &figures);
            show(&mut table, "the disk alone, `fdatasync` of 16 KiB", f64::NAN, &disk(bench)?);
        }
    }
    ensure(rate > 0.0, || "no engine to measure".to_owned())?;
    Ok(table.text())
}

fn nginx(bench: &Bench, mix: &Arc<Mix>, rate: f64) -> Result<Vec<Figures>> {
    let server = Nginx::start(Redirect::VariablesAndLog, &bench.cores.server, &bench.dir.join("nginx"))?;
    let figures = rounds(bench, &server.address, mix, rate, CONNECTIONS, &mut 0)?;
    server.process.stop()?;
    Ok(figures)
}

/// What the disk does with as much as a commit writes, asked from the server's core, when nobody else asks anything.
fn disk(bench: &Bench) -> Result<Vec<Figures>> {
    let mut all = Vec::new();
    for _ in 0..bench.options.runs {
        let end = Instant::now() + Duration::from_secs(bench.options.seconds);
        let took = machine::syncs_us(&bench.cores, &bench.dir, COMMIT_BYTES, |_| Instant::now() < end)?;
        let [p50, p99, p999] = [50.0, 99.0, 99.9].map(|percent| took.percentile(percent));
        all.push([p50, p99, p999, took.most(), 0.0]);
    }
    Ok(all)
}

/// The runs at a rate, each with every answer looked at.
fn rounds(
    bench: &Bench,
    address: &str,
    mix: &Arc<Mix>,
    per_second: f64,
    connections: usize,
    acknowledged: &mut u64,
) -> Result<Vec<Figures>> {
    let mut all = Vec::new();
    for round in 0..bench.options.runs {
        let tag = format!("l{round}-{connections}");
        let seconds = float(bench.options.seconds);
        let plan = Plan { address, connections, per_second, seconds, tag: &tag };
        let seen = block_on(open_loop::run(mix, plan))?;
        *acknowledged += seen.count(End::SentOn);
        all.push(figures(&seen)?);
    }
    Ok(all)
}

/// The runs at a rate while conversions of earlier clicks come in, each of which a partner is told of.
fn while_converting(
    bench: &Bench,
    server: &Server<'_>,
    subject: &mut Subject<'_>,
    mix: &Arc<Mix>,
    per_second: f64,
) -> Result<Vec<Figures>> {
    let (own, seconds) = (subject.mix_of_first(PARTNERS), float(bench.options.seconds));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let count = (CONVERSIONS * seconds) as usize;
    let mut all = Vec::new();
    for round in 0..bench.options.runs {
        let (earlier, tag) = (format!("earlier{round}"), format!("busy{round}"));
        let clicks = block_on(closed_loop::click(server, subject, &own, &earlier, count))?;
        let address = &server.address;
        let plan = Plan { address, connections: CONNECTIONS, per_second, seconds, tag: &tag };
        let requests = closed_loop::postbacks(&clicks);
        let reported = closed_loop::send(address, requests, CONVERSIONS, closed_loop::conversion);
        let (seen, _) = block_on(async { tokio::try_join!(open_loop::run(mix, plan), reported) })?;
        subject.acknowledged += seen.count(End::SentOn);
        all.push(figures(&seen)?);
    }
    Ok(all)
}

fn figures(seen: &Seen) -> Result<Figures> {
    let sent = seen.asked.len() as u64;
    ensure(seen.count(End::SentOn) == sent, || format!("of {sent} visitors, not all were sent on"))?;
    let waited = seen.waited_us();
    let [p50, p99, p999] = [50.0, 99.0, 99.9].map(|percent| waited.percentile(percent));
    Ok([p50, p99, p999, waited.most(), float(seen.unserved())])
}

fn show(table: &mut Table, name: &str, rate: f64, runs: &[Figures]) {
    let of = |at: usize| runs.iter().filter_map(|run| run.get(at).copied()).collect::<Sample>();
    table.row(&[
        name.to_owned(),
        figure(rate),
        figure(of(0).median()),
        figure(of(1).median()),
        figure(of(2).median()),
        figure(of(3).most()),
        of(4).most().to_string(),
    ]);
}
