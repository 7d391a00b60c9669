//! What a click costs, in CPU time and on the disk, as the database grows by powers of ten.

use crate::bench::Bench;
use crate::failure::Result;
use crate::statistic::float;
use crate::subject::{Engine, Subject};
use crate::table::{Table, figure, mebibytes};
use crate::wrk::{Load, Wrk};

const CONNECTIONS: usize = 256;
const FIRST: u64 = 100_000;
const FIRST_QUICK: u64 = 10_000;

pub(crate) fn run(bench: &Bench) -> Result<String> {
    let columns = [
        "",
        "clicks stored",
        "req/s",
        "CPU µs/req",
        "p99 µs",
        "memory",
        "bytes/click on disk",
        "ready after ms",
    ];
    let mut table = Table::new(&columns);
    for engine in bench.engines() {
        let mut subject = Subject::declare(bench, engine, "growth")?;
        let wrk = subject.wrk()?;
        let empty_bytes = subject.record.bytes()?;
        let mut stored = if bench.options.quick { FIRST_QUICK } else { FIRST };
        while stored <= bench.options.growth_to {
            table.row(&at(bench, &mut subject, &wrk, stored, empty_bytes)?);
            stored *= 10;
        }
        if engine == Engine::Sqlite {
            bench.remove("growth")?;
        }
    }
    Ok(table.text())
}

/// Fills up to so many clicks, and measures there once they are counted. The size is looked at when the server has
/// ended: then SQLite's log is in its file.
fn at(
    bench: &Bench,
    subject: &mut Subject<'_>,
    wrk: &Wrk,
    stored: u64,
    empty_bytes: u64,
) -> Result<Vec<String>> {
    let server = subject.serve(&[])?;
    let start_ms = server.start.as_secs_f64() * 1e3;
    subject.fill(&server, wrk, stored)?;
    subject.record.settle()?;
    let before = server.cost()?;
    let tag = format!("grown{stored}");
    let (address, seconds) = (&server.address, bench.options.seconds);
    let seen = wrk.run(Load { address, connections: CONNECTIONS, seconds, tag: &tag, check: None })?;
    let after = server.cost()?;
    server.stop()?;
    subject.acknowledged += seen.requests;
    subject.record.ensure_clicks(subject.acknowledged)?;
    let bytes = subject.record.bytes()?.saturating_sub(empty_bytes);
    Ok(vec![
        subject.engine.name().to_owned(),
        figure(float(stored)),
        figure(seen.per_second()),
        figure(after.cpu.since(before.cpu).total_us() / float(seen.requests)),
        figure(seen.p99_us),
        mebibytes(after.memory_bytes),
        figure(float(bytes) / float(subject.record.clicks()?)),
        figure(start_ms),
    ])
}
