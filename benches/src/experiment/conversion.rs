//! Conversions: 64 senders report what visitors did, then report all of it again.
//!
//! Half of the clicks are older than everything that fills the database, half are the newest. Afterwards each click has
//! exactly one conversion, and every copy of a postback was told the same one.

use crate::bench::{Bench, block_on};
use crate::closed_loop::{self, Told};
use crate::failure::{Result, ensure};
use crate::statistic::{Sample, float};
use crate::subject::{Engine, Server, Subject};
use crate::table::{Table, figure, mebibytes};

/// Conversions in each run.
const COUNT: usize = 50_000;
const COUNT_QUICK: usize = 1_000;

/// The answers to one list of postbacks.
type Answers = Told<(String, String)>;

/// One list of postbacks, as measured.
struct Run {
    per_second: f64,
    cpu_us: f64,
    p50_us: f64,
    p99_us: f64,
    memory_bytes: u64,
}

pub(crate) fn run(bench: &Bench) -> Result<String> {
    let stored = figure(float(bench.options.stored));
    let head = format!("{stored} clicks stored, 64 senders");
    let columns = [head.as_str(), "per s", "spread", "CPU µs each", "p50 µs", "p99 µs", "memory"];
    let mut table = Table::new(&columns);
    for engine in bench.engines() {
        let (mut new, mut again) = (Vec::new(), Vec::new());
        let mut subject = Subject::declare(bench, engine, "conversion")?;
        for round in 0..bench.options.runs {
            let (first, second) = one(bench, &mut subject, round)?;
            new.push(first);
            again.push(second);
        }
        show(&mut table, &format!("{}, new", engine.name()), &new);
        show(&mut table, &format!("{}, duplicates", engine.name()), &again);
        cleared(bench, engine)?;
    }
    Ok(table.text())
}

fn cleared(bench: &Bench, engine: Engine) -> Result<()> {
    if engine == Engine::Sqlite { bench.remove("conversion") } else { Ok(()) }
}

/// New conversions and their copies; the first round fills the database.
fn one(bench: &Bench, subject: &mut Subject<'_>, round: u32) -> Result<(Run, Run)> {
    let count = if bench.options.quick { COUNT_QUICK } else { COUNT };
    let (wrk, mix) = (subject.wrk()?, subject.mix());
    let server = subject.serve(&[])?;
    let mut clicks = Vec::new();
    for age in ["old", "new"] {
        let tag = format!("{age}{round}");
        clicks.extend(block_on(closed_loop::click(&server, subject, &mix, &tag, count / 2))?);
        if age == "old" {
            subject.fill(&server, &wrk, bench.options.stored)?;
        }
    }
    subject.record.settle()?;
    let (new, first) = report(&server, &clicks, "recorded")?;
    let (again, second) = report(&server, &clicks, "duplicate")?;
    let same = first.answers.iter().zip(&second.answers).all(|(one, other)| one.1 == other.1);
    ensure(same, || "a copy was told of another conversion".to_owned())?;
    server.stop()?;
    let made = u64::from(round + 1) * clicks.len() as u64;
    subject.record.ensure_conversions(made, made * 2)?;
    Ok((new, again))
}

/// Sends the postbacks of all clicks, and looks at every answer.
fn report(server: &Server<'_>, clicks: &[String], expected: &str) -> Result<(Run, Answers)> {
    let before = server.cost()?;
    let requests = closed_loop::postbacks(clicks);
    let sent = closed_loop::send(&server.address, requests, f64::INFINITY, closed_loop::conversion);
    let told = block_on(sent)?;
    let after = server.cost()?;
    let other = told.answers.iter().find(|(code, _)| code != expected);
    ensure(other.is_none(), || format!("a postback was answered {other:?}, not {expected}"))?;
    let run = Run {
        per_second: told.per_second(),
        cpu_us: after.cpu.since(before.cpu).total_us() / float(clicks.len() as u64),
        p50_us: told.took_us.percentile(50.0),
        p99_us: told.took_us.percentile(99.0),
        memory_bytes: after.memory_bytes,
    };
    Ok((run, told))
}

fn show(table: &mut Table, name: &str, runs: &[Run]) {
    let sample = |value: fn(&Run) -> f64| runs.iter().map(value).collect::<Sample>();
    let rates = sample(|run| run.per_second);
    table.row(&[
        name.to_owned(),
        figure(rates.median()),
        format!("{}–{}", figure(rates.least()), figure(rates.most())),
        figure(sample(|run| run.cpu_us).median()),
        figure(sample(|run| run.p50_us).median()),
        figure(sample(|run| run.p99_us).median()),
        mebibytes(runs.iter().map(|run| run.memory_bytes).max().unwrap_or_default()),
    ]);
}
