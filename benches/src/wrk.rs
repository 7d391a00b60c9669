//! wrk as the load: as many requests as the server answers, over connections that are kept.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::{During as _, Failure, Result, ensure};
use crate::process::Launch;
use crate::statistic::float;
use crate::visit::Mix;

const SCRIPT: &str = include_str!("wrk.lua");
/// What wrk may take beyond its time.
const GRACE: Duration = Duration::from_secs(30);

/// wrk with its script and the lists of the mix in a folder.
#[derive(Debug)]
pub(crate) struct Wrk {
    program: PathBuf,
    cores: String,
    dir: PathBuf,
}

/// One line of load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load<'a> {
    /// Host and port.
    pub(crate) address: &'a str,
    pub(crate) connections: usize,
    pub(crate) seconds: u64,
    /// What no other run of this database has.
    pub(crate) tag: &'a str,
    /// What every `Location` begins with; looked at when given.
    pub(crate) check: Option<&'a str>,
}

/// What wrk saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Answers that were read to their end.
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

impl Seen {
    pub(crate) fn per_second(&self) -> f64 {
        float(self.requests) / self.seconds
    }
}

impl Wrk {
    /// Writes what it needs into a folder.
    pub(crate) fn new(program: PathBuf, cores: &str, dir: PathBuf, mix: &Mix) -> Result<Self> {
        fs::create_dir_all(&dir).during("make a folder for wrk")?;
        fs::write(dir.join("wrk.lua"), SCRIPT).during("write wrk's script")?;
        mix.write(&dir)?;
        Ok(Self { program, cores: cores.to_owned(), dir })
    }

    /// Runs it. An answer that is not what it should be is a failure, and so is none.
    pub(crate) fn run(&self, load: Load<'_>) -> Result<Seen> {
        let Load { address, connections, seconds, tag, check } = load;
        let threads = threads(&self.cores, connections);
        let (script, url) = (self.dir.join("wrk.lua"), format!("http://{address}"));
        let launch = Launch::new("wrk", &self.program, &self.cores)
            .args([format!("-t{threads}"), format!("-c{connections}"), format!("-d{seconds}s")])
            .args(["--timeout", "10s", "-s"])
            .args([show(&script), url, "--".to_owned(), show(&self.dir), tag.to_owned()])
            .args([check.unwrap_or_default(), if check.is_some() { "check" } else { "" }]);
        let mut process = launch.start(self.dir.join("wrk.out"))?;
        let log = self.dir.join("wrk.out");
        let at_most = Duration::from_secs(seconds) + GRACE;
        let line = process.until("result of wrk", at_most, || {
            let text = fs::read_to_string(&log).ok()?;
            text.lines().find(|line| line.starts_with("RESULT ") && text.ends_with('\n')).map(str::to_owned)
        })?;
        read(&line)
    }
}

/// One thread for each core; one that has no connection would be refused.
fn threads(cores: &str, connections: usize) -> usize {
    let count = cores.split(',').map(|part| match part.split_once('-') {
        Some((from, to)) => (to.parse().unwrap_or(0_usize) + 1).saturating_sub(from.parse().unwrap_or(0)),
        None => 1,
    });
    count.sum::<usize>().clamp(1, connections)
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

fn read(line: &str) -> Result<Seen> {
    let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
    let values: HashMap<&str, u64> =
        pairs.filter_map(|(name, value)| Some((name, value.parse().ok()?))).collect();
    let value = |name: &str| values.get(name).copied().during(format!("no {name} in wrk's result: {line}"));
    for fault in ["wrong", "status", "connect", "read", "write", "timeout"] {
        ensure(value(fault)? == 0, || format!("not every answer was a correct 302: {line}"))?;
    }
    let requests = value("requests")?;
    if requests == 0 {
        return Err(Failure::new(format!("nothing was answered: {line}")));
    }
    Ok(Seen {
        requests,
        seconds: float(value("us")?) / 1e6,
        p50_us: float(value("p50")?),
        p99_us: float(value("p99")?),
    })
}

#[cfg(test)]
mod tests {
    use super::{read, threads};

    const GOOD: &str = "RESULT requests=200 us=2000000 wrong=0 status=0 connect=0 read=0 write=0 timeout=0 \
                        p50=40 p99=90 p999=99";

    #[test]
    fn a_result_is_read() {
        let seen = read(GOOD).unwrap();
        assert_eq!((seen.per_second(), seen.p50_us, seen.p99_us), (100.0, 40.0, 90.0));
    }

    #[test]
    fn one_wrong_answer_fails() {
        for fault in ["wrong", "status", "connect", "read", "write", "timeout"] {
            assert!(read(&GOOD.replace(&format!("{fault}=0"), &format!("{fault}=1"))).is_err(), "{fault}");
        }
        assert!(read(&GOOD.replace("requests=200", "requests=0")).is_err());
        assert!(read("RESULT").is_err());
    }

    #[test]
    fn a_thread_for_each_core() {
        assert_eq!(
            [threads("1", 64), threads("1,3", 64), threads("2-5,7", 64), threads("0-9", 4)],
            [1, 2, 5, 4]
        );
    }
}
