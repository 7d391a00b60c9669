//! Redirects as fast as they are answered: Pitlane, which keeps every click, against nginx, which keeps none.
//!
//! In every round each server is started, asked, and stopped before the next one has the same core. A short run before
//! looks at every answer (status and `Location`); the measured runs do not, because looking would take the load's
//! core, not the server's. For Pitlane the database says afterwards whether each measured answer was a kept click.
//!
//! Each run pays for its own clicks and no others: it begins when those before it are counted for reports, and its CPU
//! time ends when its own are.

use crate::bench::Bench;
use crate::failure::{During as _, Result};
use crate::network::DESTINATION;
use crate::nginx::{Nginx, Redirect};
use crate::process::Cpu;
use crate::statistic::{Sample, float};
use crate::subject::{Engine, Subject};
use crate::table::{Table, figure, mebibytes};
use crate::visit::Mix;
use crate::wrk::{Load, Wrk};

const CONNECTIONS: [usize; 2] = [64, 256];
/// Connections are opened, caches filled and every answer looked at.
const WARM_UP_SECONDS: u64 = 1;

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Nginx(Redirect),
    Pitlane(Engine),
}

/// One measured run.
#[derive(Debug, Clone, Copy)]
struct Run {
    target: Target,
    connections: usize,
    per_second: f64,
    cpu: Cpu,
    requests: u64,
    p50_us: f64,
    p99_us: f64,
    memory_bytes: u64,
}

/// What every run of a target is compared with.
const YARDSTICK: Target = Target::Nginx(Redirect::VariablesAndLog);

pub(crate) fn run(bench: &Bench) -> Result<String> {
    let mut subjects = Vec::new();
    for engine in bench.engines() {
        let name = if engine == Engine::Sqlite { "redirect_sqlite" } else { "redirect_postgres" };
        subjects.push(Subject::declare(bench, engine, name)?);
    }
    let mix = subjects.first().during("no engine to measure")?.mix();
    let mut rounds = Vec::new();
    for round in 0..bench.options.runs {
        let mut runs = Vec::new();
        for redirect in Redirect::ALL {
            runs.extend(nginx(bench, redirect, &mix, round)?);
        }
        for subject in &mut subjects {
            runs.extend(pitlane(bench, subject, round)?);
        }
        rounds.push(runs);
    }
    Ok(CONNECTIONS.iter().map(|connections| show(&rounds, *connections)).collect::<Vec<_>>().join("\n"))
}

fn nginx(bench: &Bench, redirect: Redirect, mix: &Mix, round: u32) -> Result<Vec<Run>> {
    let dir = bench.dir.join("nginx");
    let server = Nginx::start(redirect, &bench.cores.server, &dir)?;
    let wrk = bench.wrk(dir.join("wrk"), mix)?;
    let cost = || Ok((server.process.cpu()?, server.process.memory_bytes()?));
    let target = Target::Nginx(redirect);
    let (_, runs) = measure(bench, &wrk, &server.address, target, round, || Ok(()), cost)?;
    server.process.stop()?;
    Ok(runs)
}

fn pitlane(bench: &Bench, subject: &mut Subject<'_>, round: u32) -> Result<Vec<Run>> {
    let wrk = subject.wrk()?;
    let server = subject.serve(&[])?;
    let cost = || server.cost().map(|cost| (cost.cpu, cost.memory_bytes));
    let target = Target::Pitlane(subject.engine);
    let settle = || subject.record.settle();
    let (acknowledged, runs) = measure(bench, &wrk, &server.address, target, round, settle, cost)?;
    server.stop()?;
    subject.acknowledged += acknowledged;
    subject.record.ensure_clicks(subject.acknowledged)?;
    Ok(runs)
}

/// A run that looks at every answer, then one that is measured for each number of connections. Gives also how many
/// requests were answered in all.
fn measure(
    bench: &Bench,
    wrk: &Wrk,
    address: &str,
    target: Target,
    round: u32,
    settle: impl Fn() -> Result<()>,
    cost: impl Fn() -> Result<(Cpu, u64)>,
) -> Result<(u64, Vec<Run>)> {
    let mut answered = 0;
    let mut runs = Vec::new();
    for connections in CONNECTIONS {
        let tag = format!("w{round}-{connections}");
        let (seconds, check) = (WARM_UP_SECONDS, Some(expected(target)));
        answered += wrk.run(Load { address, connections, seconds, tag: &tag, check })?.requests;
        settle()?;
        let (before, _) = cost()?;
        let tag = format!("r{round}-{connections}");
        let load = Load { address, connections, seconds: bench.options.seconds, tag: &tag, check: None };
        let seen = wrk.run(load)?;
        settle()?;
        let (after, memory_bytes) = cost()?;
        answered += seen.requests;
        runs.push(Run {
            target,
            connections,
            per_second: seen.per_second(),
            cpu: after.since(before),
            requests: seen.requests,
            p50_us: seen.p50_us,
            p99_us: seen.p99_us,
            memory_bytes,
        });
    }
    Ok((answered, runs))
}

/// What every `Location` begins with.
fn expected(target: Target) -> &'static str {
    match target {
        Target::Nginx(_) => "https://shop.example/landing?click=",
        Target::Pitlane(_) => DESTINATION,
    }
}

/// One table: a line for each target, of all its runs over so many connections.
fn show(rounds: &[Vec<Run>], connections: usize) -> String {
    let of = |round: &[Run], target: Target| {
        round.iter().find(|run| run.target == target && run.connections == connections).copied()
    };
    let mut table = Table::new(&[
        &format!("{connections} connections"),
        "req/s",
        "spread",
        "CPU µs/req",
        "of it user",
        "p50 µs",
        "p99 µs",
        "memory",
        "× logging nginx",
    ]);
    for target in rounds.first().into_iter().flatten().filter(|run| run.connections == connections) {
        let runs: Vec<Run> = rounds.iter().filter_map(|round| of(round, target.target)).collect();
        let median = |value: fn(&Run) -> f64| runs.iter().map(value).collect::<Sample>().median();
        let rates: Sample = runs.iter().map(|run| run.per_second).collect();
        let ratios = rounds.iter().filter_map(|round| {
            Some(of(round, target.target)?.per_second / of(round, YARDSTICK)?.per_second)
        });
        table.row(&[
            name(target.target).to_owned(),
            figure(rates.median()),
            format!("{}–{}", figure(rates.least()), figure(rates.most())),
            figure(median(|run| run.cpu.total_us() / float(run.requests))),
            figure(median(|run| run.cpu.user_us / float(run.requests))),
            figure(median(|run| run.p50_us)),
            figure(median(|run| run.p99_us)),
            mebibytes(runs.iter().map(|run| run.memory_bytes).max().unwrap_or_default()),
            figure(ratios.collect::<Sample>().median()),
        ]);
    }
    table.text()
}

fn name(target: Target) -> &'static str {
    match target {
        Target::Nginx(redirect) => redirect.name(),
        Target::Pitlane(engine) => engine.name(),
    }
}
