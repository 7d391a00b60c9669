//! Reports over a month: what `pitlane report` takes from its start to its end, opening the database included.

use std::time::Instant;

use domain::report::quarter;
use domain::time::DAY_MS;

use crate::bench::{Bench, block_on};
use crate::closed_loop;
use crate::failure::{Result, ensure};
use crate::history;
use crate::statistic::{Sample, float};
use crate::subject::{Engine, Subject};
use crate::table::{Table, figure};

/// Conversions of today, so that there is money to show.
const CONVERSIONS: usize = 2_000;

const REPORTS: [(&str, &[&str]); 5] = [
    ("day × offer", &["--by", "day", "--by", "offer"]),
    ("day × country", &["--by", "day", "--by", "country"]),
    ("partner × verdict", &["--by", "partner", "--by", "verdict"]),
    ("one partner by day", &["--by", "day", "--partner", "partner-007"]),
    ("one partner by pub_sub_1", &["--by", "pub_sub_1", "--partner", "partner-007"]),
];

pub(crate) fn run(bench: &Bench) -> Result<String> {
    let head = format!("30 days, {} clicks", figure(float(bench.options.stored)));
    let mut table = Table::new(&[head.as_str(), "ms", "most ms"]);
    for engine in bench.engines() {
        let mut subject = Subject::declare(bench, engine, "report")?;
        block_on(history::write(&subject.record, subject.mix(), bench.options.stored))?;
        convert(&mut subject)?;
        let clicks = bench.options.stored + CONVERSIONS as u64;
        let counted = counted(&subject)?;
        let name = format!("{}, counting and summing all of it once", engine.name());
        table.row(&[name, figure(counted * 1e3), String::new()]);
        for (what, args) in REPORTS {
            let times: Sample = timed(bench, &subject, args, clicks)?;
            let row = [figure(times.median()), figure(times.most())];
            table.row(&[&[format!("{}, {what}", engine.name())][..], &row].concat());
        }
        if engine == Engine::Sqlite {
            bench.remove("report")?;
        }
    }
    Ok(table.text())
}

fn convert(subject: &mut Subject<'_>) -> Result<()> {
    let (server, mix) = (subject.serve(&[])?, subject.mix());
    let clicks = block_on(closed_loop::click(&server, subject, &mix, "sold", CONVERSIONS))?;
    let requests = closed_loop::postbacks(&clicks);
    let sent = closed_loop::send(&server.address, requests, f64::INFINITY, closed_loop::conversion);
    block_on(sent)?;
    server.stop()
}

/// Seconds until everything is counted, and summed up where its quarter of an hour is over.
pub(super) fn counted(subject: &Subject<'_>) -> Result<f64> {
    let (began, over) = (Instant::now(), quarter(history::now()));
    while total(subject, &["--by", "month"])? < subject.record.clicks()? || subject.record.unsummed(over)? > 0
    {
    }
    Ok(began.elapsed().as_secs_f64())
}

/// The clicks of a report's total line.
fn total(subject: &Subject<'_>, args: &[&str]) -> Result<u64> {
    let from = history::now().plus_ms(-(history::DAYS + 1) * DAY_MS).to_string();
    let day = from.get(..10).unwrap_or_default();
    let said = subject.command(&[&["report", "--json", "--from", day], args].concat())?;
    let said: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
    Ok(said["total"]["clicks"]["hits"].as_u64().unwrap_or_default())
}

fn timed(bench: &Bench, subject: &Subject<'_>, args: &[&str], clicks: u64) -> Result<Sample> {
    let mut times = Vec::new();
    for _ in 0..bench.options.runs {
        let began = Instant::now();
        let hits = total(subject, args)?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        let whole = !args.contains(&"--partner");
        ensure(hits > 0 && (!whole || hits == clicks), || format!("a report has {hits} of {clicks} clicks"))?;
    }
    Ok(Sample::new(times))
}
