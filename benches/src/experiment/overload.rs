//! Five times as many visitors as the server can take: how many it still serves, how soon it says no to the others, and
//! how soon it is itself again.
//!
//! One core cannot send five times what another one answers, so visitors queue in the load as well: "sent" says what
//! went out. A short queue of clicks (`--max-queued-clicks`) shows the refusals, which the default has room to avoid.

use std::sync::Arc;

use crate::bench::{Bench, block_on};
use crate::failure::Result;
use crate::open_loop::{self, Asked, End, Plan};
use crate::process::Cpu;
use crate::statistic::{Sample, float};
use crate::subject::{Engine, Subject};
use crate::table::{Table, figure};

const PEAK_CONNECTIONS: usize = 256;
const CONNECTIONS: usize = 4_096;
const TIMES: f64 = 5.0;
/// What comes right behind the overload, as a share of the peak.
const CALM: f64 = 0.3;
const CALM_CONNECTIONS: usize = 64;
/// The server is itself again behind the last window with a refusal or a p99 above this.
const NORMAL_P99_US: f64 = 20_000.0;
const WINDOW_US: f64 = 100_000.0;

pub(crate) fn run(bench: &Bench) -> Result<String> {
    let mut table = Table::new(&[
        "",
        "peak req/s",
        "due/s",
        "sent/s",
        "302/s",
        "of peak",
        "503/s",
        "503 p99 ms",
        "other",
        "load's core",
        "normal after s",
    ]);
    for engine in bench.engines() {
        for (what, flags) in [("", &[][..]), (", queue of 1,000", &["--max-queued-clicks", "1000"])] {
            for round in 0..bench.options.runs {
                let name = format!("{}{what}, run {}", engine.name(), round + 1);
                table.row(&one(bench, engine, flags, &name)?);
            }
        }
    }
    Ok(table.text())
}

/// A peak, an overload and a calm on a fresh database.
fn one(bench: &Bench, engine: Engine, flags: &[&str], name: &str) -> Result<Vec<String>> {
    let mut subject = Subject::declare(bench, engine, "overload")?;
    let mix = Arc::new(subject.mix());
    let server = subject.serve(flags)?;
    let ask = |connections, per_second, tag| {
        let seconds = float(bench.options.seconds);
        let plan = Plan { address: &server.address, connections, per_second, seconds, tag };
        block_on(open_loop::run(&mix, plan))
    };
    let peak = ask(PEAK_CONNECTIONS, f64::INFINITY, "peak")?;
    let peak_per_second = peak.per_second(End::SentOn);
    let before = Cpu::of(std::process::id()).unwrap_or_default();
    let over = ask(CONNECTIONS, peak_per_second * TIMES, "over")?;
    let load = Cpu::of(std::process::id()).unwrap_or_default().since(before);
    let calm = ask(CALM_CONNECTIONS, peak_per_second * CALM, "calm")?;
    server.stop()?;
    for seen in [&peak, &over, &calm] {
        subject.acknowledged += seen.count(End::SentOn);
        if let Some(other) = &seen.other {
            crate::tell(&format!(
                "{name}: {} requests ended otherwise, the first: {other}",
                seen.count(End::Other)
            ));
        }
    }
    subject.record.ensure_clicks(subject.acknowledged)?;
    remove(bench, &subject)?;
    let seconds = float(bench.options.seconds);
    let good = over.per_second(End::SentOn);
    Ok(vec![
        name.to_owned(),
        figure(peak_per_second),
        figure(float(over.due) / seconds),
        figure(float(over.asked.len() as u64) / seconds),
        figure(good),
        format!("{:.0} %", good / peak_per_second * 100.0),
        figure(over.per_second(End::Busy)),
        figure(over.answered_us(End::Busy).percentile(99.0) / 1e3),
        over.count(End::Other).to_string(),
        format!("{:.0} %", load.total_us() / seconds / 1e4),
        figure(normal_after_s(&calm.asked)),
    ])
}

/// The next run begins with an empty database.
fn remove(bench: &Bench, subject: &Subject<'_>) -> Result<()> {
    match subject.engine {
        Engine::Sqlite => bench.remove("overload"),
        Engine::Postgres => Ok(()),
    }
}

/// Seconds until the end of the last window that was not normal.
fn normal_after_s(asked: &[Asked]) -> f64 {
    let last = asked.iter().map(|asked| asked.answered_us).fold(0.0, f64::max);
    let mut normal_after_us = 0.0;
    let mut from = 0.0;
    while from < last {
        let in_window: Vec<&Asked> =
            asked.iter().filter(|asked| (from..from + WINDOW_US).contains(&asked.due_us)).collect();
        let p99 = in_window
            .iter()
            .map(|asked| asked.answered_us - asked.due_us)
            .collect::<Sample>()
            .percentile(99.0);
        from += WINDOW_US;
        if p99 > NORMAL_P99_US || in_window.iter().any(|asked| asked.end != End::SentOn) {
            normal_after_us = from;
        }
    }
    normal_after_us / 1e6
}

#[cfg(test)]
mod tests {
    use super::{Asked, End, normal_after_s};

    fn asked(due_us: f64, took_us: f64, end: End) -> Asked {
        Asked { due_us, sent_us: due_us, answered_us: due_us + took_us, end }
    }

    #[test]
    fn it_is_normal_behind_the_last_bad_window() {
        let good = asked(250_000.0, 900.0, End::SentOn);
        assert!(normal_after_s(&[good]).abs() < f64::EPSILON);
        let slow = asked(50_000.0, 30_000.0, End::SentOn);
        assert!((normal_after_s(&[slow, good]) - 0.1).abs() < 1e-9);
        let refused = asked(120_000.0, 100.0, End::Busy);
        assert!((normal_after_s(&[slow, refused, good]) - 0.2).abs() < 1e-9);
    }
}
