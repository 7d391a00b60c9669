//! From the start of the process until `/readyz` answers 200, on a database with a past: after an orderly end, and
//! after a kill behind load.

use crate::bench::Bench;
use crate::failure::Result;
use crate::statistic::{Sample, float};
use crate::subject::{Engine, Subject};
use crate::table::{Table, figure, mebibytes};
use crate::wrk::Load;

pub(crate) fn run(bench: &Bench) -> Result<String> {
    let head = format!("{} clicks stored", figure(float(bench.options.stored)));
    let mut table = Table::new(&[head.as_str(), "ready after ms", "most ms", "memory when ready"]);
    for engine in bench.engines() {
        let mut subject = Subject::declare(bench, engine, "start")?;
        let wrk = subject.wrk()?;
        let server = subject.serve(&[])?;
        subject.fill(&server, &wrk, bench.options.stored)?;
        server.stop()?;
        for (what, kill) in [("after an orderly end", false), ("after a kill", true)] {
            let (mut starts, mut memory_bytes) = (Vec::new(), 0);
            // The first start of the second kind still comes after an orderly end, and does not count.
            for round in 0..bench.options.runs + u32::from(kill) {
                let server = subject.serve(&[])?;
                starts.push(server.start.as_secs_f64() * 1e3);
                memory_bytes = server.cost()?.memory_bytes.max(memory_bytes);
                if kill {
                    // So that there is something to recover.
                    let tag = format!("kill{round}");
                    let (address, tag) = (&server.address, tag.as_str());
                    let load = Load { address, connections: 64, seconds: 1, tag, check: None };
                    subject.acknowledged += wrk.run(load)?.requests;
                    server.kill()?;
                } else {
                    server.stop()?;
                }
            }
            let starts = Sample::new(starts.split_off(usize::from(kill)));
            let row = [figure(starts.median()), figure(starts.most()), mebibytes(memory_bytes)];
            table.row(&[&[format!("{}, {what}", engine.name())][..], &row].concat());
        }
        subject.record.ensure_clicks(subject.acknowledged)?;
        if engine == Engine::Sqlite {
            bench.remove("start")?;
        }
    }
    Ok(table.text())
}
