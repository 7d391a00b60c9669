//! Deliveries: a queue of messages to partners who answer at once, and the same when one in ten of them hangs; then
//! what a partner waits for a message while conversions come in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::bench::{Bench, block_on};
use crate::closed_loop;
use crate::failure::{Result, ensure};
use crate::network::{partner_slug, postbacks};
use crate::receiver::Receiver;
use crate::statistic::{Sample, float};
use crate::subject::{Engine, Server, Subject};
use crate::table::{Table, figure};
use crate::visit::Mix;

const PARTNERS: usize = 20;
/// Messages in the queue. Each needs a click and a conversion of its own first, which take longer than to tell of them.
const COUNT: usize = 20_000;
const COUNT_QUICK: usize = 500;
/// Conversions a second while partners wait.
const LIVE_PER_SECOND: f64 = 500.0;
/// The most that anything may take before the run is called broken.
const AT_MOST: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// What one run gave.
struct Run {
    drained_per_second: f64,
    cpu_us: f64,
    /// From the answer to a postback until its message was answered.
    waited_us: Sample,
}

pub(crate) fn run(bench: &Bench) -> Result<String> {
    let mut table =
        Table::new(&["", "drained/s", "spread", "CPU µs each", "live p50 ms", "live p99 ms", "live most ms"]);
    for engine in bench.engines() {
        for (what, hung) in [("all answer", 0), ("one in ten hangs", PARTNERS / 10)] {
            let mut runs = Vec::new();
            for _ in 0..bench.options.runs {
                runs.push(one(bench, engine, hung)?);
            }
            show(&mut table, &format!("{}, {what}", engine.name()), &runs);
        }
    }
    Ok(table.text())
}

/// Everything on a fresh database: conversions that nobody is told of, then partners who want to know.
fn one(bench: &Bench, engine: Engine, hung: usize) -> Result<Run> {
    let count = if bench.options.quick { COUNT_QUICK } else { COUNT };
    let mut subject = Subject::declare(bench, engine, "delivery")?;
    let receiver = Receiver::start()?;
    let mix = subject.mix_of_first(PARTNERS);
    let server = subject.serve(&[])?;
    let clicks = block_on(closed_loop::click(&server, &mut subject, &mix, "queued", count))?;
    convert(&server, &clicks, f64::INFINITY)?;
    server.stop()?;
    subject.apply(&postbacks(PARTNERS, |number| {
        let kind = if number < hung { "hung" } else { "fast" };
        format!("http://{}/{kind}/{number}", receiver.address)
    }))?;
    for number in 0..PARTNERS {
        let partner = partner_slug(number);
        let ask = ["postback", "backfill", "--partner", &partner, "--postback", "all"];
        subject.command(&[&ask[..], &["--since", "2020-01-01T00:00:00Z"]].concat())?;
    }
    let queued = subject.record.deliveries()?;
    ensure(queued == count as u64, || format!("{queued} messages are queued, not {count}"))?;
    let run = drain(bench, &mut subject, &receiver, &mix, (count, hung))?;
    if engine == Engine::Sqlite {
        bench.remove("delivery")?;
    }
    Ok(run)
}

fn convert(server: &Server<'_>, clicks: &[String], per_second: f64) -> Result<Vec<Instant>> {
    let requests = closed_loop::postbacks(clicks);
    let sent = closed_loop::send(&server.address, requests, per_second, closed_loop::conversion);
    let told = block_on(sent)?;
    let other = told.answers.iter().find(|(code, _)| code != "recorded");
    ensure(other.is_none(), || format!("a postback was answered {other:?}"))?;
    Ok(told.at)
}

/// Starts a server on the queue, waits until every healthy partner was told, and goes on with live conversions.
fn drain(
    bench: &Bench,
    subject: &mut Subject<'_>,
    receiver: &Receiver,
    mix: &Mix,
    (queued, hung): (usize, usize),
) -> Result<Run> {
    // The links take turns, so every so many clicks are of the same partner; the first ones hang.
    let is_healthy = |number: &usize| number % PARTNERS >= hung;
    let healthy = (0..queued).filter(is_healthy).count();
    let server = subject.serve(&["--delivery-allow", "127.0.0.1/32"])?;
    until(|| receiver.count() >= healthy)?;
    let cpu_us = server.cost()?.cpu.total_us() / float(healthy as u64);
    let drained_per_second = per_second(&receiver.take());

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let count = (LIVE_PER_SECOND * float(bench.options.seconds)) as usize;
    let clicks = block_on(closed_loop::click(&server, subject, mix, "live", count))?;
    let answered = convert(&server, &clicks, LIVE_PER_SECOND)?;
    let expected = (0..count).filter(is_healthy).count();
    until(|| receiver.count() >= expected)?;
    let arrivals = receiver.take();
    let waited = answered.iter().enumerate().filter_map(|(number, answered)| {
        Some(
            arrivals.get(&format!("live-{number}"))?.saturating_duration_since(*answered).as_secs_f64() * 1e6,
        )
    });
    let waited_us = waited.collect();
    server.stop()?;
    let delivered = subject.record.delivered()?;
    let sure = (healthy + expected) as u64;
    ensure(delivered >= sure, || format!("{sure} messages arrived, {delivered} are said to be delivered"))?;
    Ok(Run { drained_per_second, cpu_us, waited_us })
}

/// From the first message to the last one: how long the server took to start is another experiment.
fn per_second(arrivals: &HashMap<String, Instant>) -> f64 {
    let (first, last) = (arrivals.values().min(), arrivals.values().max());
    let elapsed = first.zip(last).map_or(Duration::ZERO, |(first, last)| *last - *first);
    float(arrivals.len() as u64) / elapsed.as_secs_f64()
}

fn until(done: impl Fn() -> bool) -> Result<()> {
    let began = Instant::now();
    while !done() {
        ensure(began.elapsed() < AT_MOST, || format!("not every message arrived within {AT_MOST:?}"))?;
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

fn show(table: &mut Table, name: &str, runs: &[Run]) {
    let rates: Sample = runs.iter().map(|run| run.drained_per_second).collect();
    let live = |percent| runs.iter().map(|run| run.waited_us.percentile(percent) / 1e3).collect::<Sample>();
    table.row(&[
        name.to_owned(),
        figure(rates.median()),
        format!("{}–{}", figure(rates.least()), figure(rates.most())),
        figure(runs.iter().map(|run| run.cpu_us).collect::<Sample>().median()),
        figure(live(50.0).median()),
        figure(live(99.0).median()),
        figure(live(100.0).most()),
    ]);
}
