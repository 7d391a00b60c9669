//! Pitlane under test: the release binary on a database of its own, used by its command line and its port.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench::Bench;
use crate::cluster::Cluster;
use crate::failure::{During as _, Failure, Result, ensure};
use crate::network;
use crate::process::{Cpu, Launch, Process};
use crate::record::Record;
use crate::visit::Mix;
use crate::wrk::{Load, Wrk};

const MOST_START: Duration = Duration::from_mins(1);
const LISTENING: &str = "Pitlane is listening on http://";

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "Pitlane, SQLite",
            Self::Postgres => "Pitlane, PostgreSQL",
        }
    }
}

/// An installation with the network declared.
#[derive(Debug)]
pub(crate) struct Subject<'b> {
    bench: &'b Bench,
    pub(crate) engine: Engine,
    pub(crate) record: Record,
    dir: PathBuf,
    /// The ids of the tracking links by their names, `offer/partner`.
    links: BTreeMap<String, String>,
    /// Clicks that were answered 302, over all runs.
    pub(crate) acknowledged: u64,
}

/// What a server has cost since its start, with its database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) cpu: Cpu,
    pub(crate) memory_bytes: u64,
}

impl<'b> Subject<'b> {
    /// An empty database, with the network declared on it.
    pub(crate) fn declare(bench: &'b Bench, engine: Engine, name: &str) -> Result<Self> {
        Self::declare_as(bench, engine, name, &network::declaration())
    }

    /// An empty database, with another network declared on it.
    pub(crate) fn declare_as(
        bench: &'b Bench,
        engine: Engine,
        name: &str,
        declaration: &str,
    ) -> Result<Self> {
        let dir = bench.dir.join(name);
        fs::create_dir_all(&dir).during("make a folder for Pitlane")?;
        let record = match (engine, &bench.cluster) {
            (Engine::Sqlite, _) => Record::Sqlite(dir.join("data")),
            (Engine::Postgres, Some(cluster)) => {
                Record::Postgres(cluster.database(&format!("bench_{name}"))?)
            }
            (Engine::Postgres, None) => return Err(Failure::new("no PostgreSQL; run benches/install")),
        };
        let mut subject = Self { bench, engine, record, dir, links: BTreeMap::new(), acknowledged: 0 };
        let things = subject.apply(declaration)?;
        let links = things
            .iter()
            .filter(|thing| thing["kind"] == "link")
            .map(|thing| Some((thing["name"].as_str()?.to_owned(), thing["id"].as_str()?.to_owned())));
        let links: Option<BTreeMap<String, String>> = links.collect();
        subject.links = links.during("links without names")?;
        ensure(!subject.links.is_empty(), || "no links were declared".to_owned())?;
        Ok(subject)
    }

    /// Declares more by a file, and gives what became of each thing in it.
    pub(crate) fn apply(&self, declaration: &str) -> Result<Vec<Value>> {
        let file = self.dir.join("network.toml");
        fs::write(&file, declaration).during("write a declaration")?;
        let said = self.command(&["apply", &file.display().to_string(), "--json"])?;
        let said: Value = serde_json::from_str(&said).during("read what apply says")?;
        said["things"].as_array().cloned().during("apply tells of no things")
    }

    /// Runs a command of the binary on the database to its end, on the server's cores, and gives what it says.
    pub(crate) fn command(&self, args: &[&str]) -> Result<String> {
        let launch = Launch::new("pitlane", &self.bench.binary, &self.bench.cores.server);
        let mut command = launch.args(args.iter().copied()).args(self.record.args()).to_command();
        let ran = command.output().during("run pitlane")?;
        ensure(ran.status.success(), || {
            format!("pitlane {}: {}", args.join(" "), String::from_utf8_lossy(&ran.stderr))
        })?;
        String::from_utf8(ran.stdout).during("what pitlane says is UTF-8")
    }

    /// Starts `pitlane serve` on the server's cores and waits until it is ready.
    pub(crate) fn serve(&self, flags: &[&str]) -> Result<Server<'b>> {
        let cluster = self.bench.cluster.as_ref().filter(|_| self.engine == Engine::Postgres);
        let cluster_before = cluster.map(Cluster::cost).transpose()?.flatten().map(|(cpu, _)| cpu);
        let began = Instant::now();
        let launch = Launch::new("pitlane", &self.bench.binary, &self.bench.cores.server);
        let launch = launch.args(["serve", "--listen", "127.0.0.1:0"]).args(self.record.args());
        let mut process = launch.args(flags.iter().copied()).start(self.dir.join("pitlane.log"))?;
        let log = self.dir.join("pitlane.log");
        let address = process.until("port of Pitlane", MOST_START, || {
            let text = fs::read_to_string(&log).ok()?;
            let (_, rest) = text.split_once(LISTENING)?;
            rest.split_once('\n').map(|(address, _)| address.to_owned())
        })?;
        process.until("readiness of Pitlane", MOST_START, || {
            (get(&address, "/readyz").ok()? == 200).then_some(())
        })?;
        Ok(Server { bench: self.bench, process, address, cluster_before, start: began.elapsed() })
    }

    /// The mix of visits to its links.
    pub(crate) fn mix(&self) -> Mix {
        Mix::new(&self.links.values().cloned().collect::<Vec<_>>())
    }

    /// The mix of visits to one link of each of the first partners, who take turns.
    pub(crate) fn mix_of_first(&self, partners: usize) -> Mix {
        let of = |number| self.links.get(&format!("offer-0/{}", network::partner_slug(number)));
        Mix::new(&(0..partners).filter_map(of).cloned().collect::<Vec<_>>())
    }

    /// The mix of visits to the links of one partner.
    pub(crate) fn mix_of(&self, partner: &str) -> Mix {
        let own =
            self.links.iter().filter(|(name, _)| name.split_once('/').is_some_and(|of| of.1 == partner));
        Mix::new(&own.map(|(_, id)| id.clone()).collect::<Vec<_>>())
    }

    /// wrk, ready to visit its links.
    pub(crate) fn wrk(&self) -> Result<Wrk> {
        self.bench.wrk(self.dir.join("wrk"), &self.mix())
    }

    /// Has the server record clicks until there are at least so many. A database is filled as a customer fills it.
    pub(crate) fn fill(&mut self, server: &Server<'_>, wrk: &Wrk, clicks: u64) -> Result<()> {
        let mut seconds = 1;
        while self.acknowledged < clicks {
            let tag = format!("fill{}", self.acknowledged);
            let load = Load { address: &server.address, connections: 256, seconds, tag: &tag, check: None };
            let seen = wrk.run(load)?;
            self.acknowledged += seen.requests;
            let missing = crate::statistic::float(clicks.saturating_sub(self.acknowledged));
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
            let needed = (missing / seen.per_second()).ceil().clamp(1.0, 30.0) as u64;
            seconds = needed;
        }
        Ok(())
    }
}

/// Pitlane, serving.
#[derive(Debug)]
pub(crate) struct Server<'b> {
    bench: &'b Bench,
    process: Process,
    /// Host and port.
    pub(crate) address: String,
    /// What our PostgreSQL had cost before, when it is this server's.
    cluster_before: Option<Cpu>,
    /// From its start until it was ready.
    pub(crate) start: Duration,
}

impl Server<'_> {
    /// What it has cost since its start; a PostgreSQL of ours counts.
    pub(crate) fn cost(&self) -> Result<Cost> {
        let cost = Cost { cpu: self.process.cpu()?, memory_bytes: self.process.memory_bytes()? };
        let cluster = self.bench.cluster.as_ref().map(Cluster::cost).transpose()?.flatten();
        let Some(((cpu, memory_bytes), before)) = cluster.zip(self.cluster_before) else { return Ok(cost) };
        Ok(Cost { cpu: cost.cpu.plus(cpu.since(before)), memory_bytes: cost.memory_bytes + memory_bytes })
    }

    /// Ends it in order.
    pub(crate) fn stop(self) -> Result<()> {
        let log = self.process.stop()?;
        let bad =
            log.lines().find(|line| line.contains("\"level\":\"ERROR\"") || line.contains("panicked at"));
        bad.map_or(Ok(()), |line| Err(Failure::new(format!("the server logged an error: {line}"))))
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(self) -> Result<()> {
        self.process.kill()
    }
}

/// The status of a `GET`, over a connection of its own.
fn get(address: &str, path: &str) -> Result<u16> {
    let mut stream = TcpStream::connect(address).during("connect")?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).during("set a time-out")?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).during("send")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).during("read a status")?;
    let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    status.during("an answer without a status")
}
