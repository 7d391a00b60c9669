//! What every experiment is given: the options, the machine, the binary and the folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cluster::Cluster;
use crate::failure::{During as _, Result};
use crate::machine::{self, Cores};
use crate::subject::Engine;
use crate::visit::Mix;
use crate::wrk::Wrk;

/// Numbers of clicks that fit on a disk.
fn clicks() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1_000..=100_000_000)
}

/// How much is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Only show that everything works: short runs on small databases, whose figures mean nothing
    #[arg(long, global = true)]
    pub(crate) quick: bool,
    /// Rounds of each run, of which the median counts; at least 5 for a result
    #[arg(long, global = true, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) runs: u32,
    /// Seconds of load in each run; 60 shows checkpoints
    #[arg(long, global = true, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
    /// Clicks in the database before conversions, reports and starts are measured
    #[arg(long, global = true, default_value_t = 100_000, value_parser = clicks())]
    pub(crate) stored: u64,
    /// Clicks up to which `growth` goes, in powers of ten
    #[arg(long, global = true, default_value_t = 10_000_000, value_parser = clicks())]
    pub(crate) growth_to: u64,
    /// Cores of the servers
    #[arg(long, global = true, default_value = "0", value_name = "CORES")]
    pub(crate) server_cores: String,
    /// Cores of the load
    #[arg(long, global = true, default_value = "1", value_name = "CORES")]
    pub(crate) client_cores: String,
    /// Engines to measure; all that are there if absent
    #[arg(long = "engine", global = true, value_name = "ENGINE")]
    pub(crate) engines: Vec<Engine>,
    /// PostgreSQL to use instead of one of our own; its CPU time and memory are then not in the figures
    #[arg(long, global = true, env = "PITLANE_TEST_POSTGRES", hide_env_values = true, value_name = "URL")]
    pub(crate) postgres: Option<String>,
    /// Folder for the databases, on the disk to be measured; emptied before and after
    #[arg(long, global = true, default_value = "target/bench", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Measure this binary and build none
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) binary: Option<PathBuf>,
    /// Put the tables into this file, instead of those of an earlier run
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
}

impl Options {
    /// The options as they count: `--quick` makes everything small.
    pub(crate) fn counted(self) -> Self {
        if !self.quick {
            return self;
        }
        Self {
            runs: self.runs.min(2),
            seconds: self.seconds.min(2),
            stored: 5_000,
            growth_to: 100_000,
            ..self
        }
    }
}

/// Everything that an experiment needs.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) options: Options,
    pub(crate) cores: Cores,
    pub(crate) binary: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) cluster: Option<Cluster>,
    /// Machine and versions, for the line above each table.
    pub(crate) about: String,
}

impl Bench {
    /// Builds the product, makes the folder and starts PostgreSQL.
    pub(crate) fn prepare(options: Options) -> Result<Self> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().during("the workspace's folder")?;
        let binary = match &options.binary {
            Some(binary) => fs::canonicalize(binary).during("find the binary")?,
            None => machine::build(workspace)?,
        };
        let cores = Cores { server: options.server_cores.clone(), client: options.client_cores.clone() };
        machine::stay_on(&cores)?;
        machine::allow_files()?;
        // A folder of our own inside: what is emptied was ours.
        let dir = options.dir.join("pitlane-bench");
        remove(&dir)?;
        fs::create_dir_all(&dir).during("make the folder for databases")?;
        let dir = fs::canonicalize(&dir).during("find the folder for databases")?;
        let mut about = vec![machine::description(&cores, &dir)?];
        let rustc = machine::version(Path::new("rustc"), "-V");
        about.push(format!("Pitlane {} ({rustc})", machine::commit(workspace)));
        let cluster = Self::cluster(&options, &cores, &dir)?;
        about.extend(cluster.iter().map(|cluster| format!("PostgreSQL {}", cluster.version)));
        for (program, flag) in [("nginx", "-v"), ("wrk", "-v")] {
            about.extend(machine::find(program, program).iter().map(|path| machine::version(path, flag)));
        }
        let about = about.join("; ");
        Ok(Self { options, cores, binary, dir, cluster, about })
    }

    fn cluster(options: &Options, cores: &Cores, dir: &Path) -> Result<Option<Cluster>> {
        let wanted = options.engines.is_empty() || options.engines.contains(&Engine::Postgres);
        match &options.postgres {
            _ if !wanted => Ok(None),
            Some(url) => Cluster::at(url).map(Some),
            None if Cluster::is_installed() => Cluster::start(&cores.server, &dir.join("postgres")).map(Some),
            None => Ok(None),
        }
    }

    /// The engines to measure.
    pub(crate) fn engines(&self) -> Vec<Engine> {
        if !self.options.engines.is_empty() {
            return self.options.engines.clone();
        }
        let postgres = self.cluster.iter().map(|_| Engine::Postgres);
        std::iter::once(Engine::Sqlite).chain(postgres).collect()
    }

    /// wrk with its files in a folder.
    pub(crate) fn wrk(&self, dir: PathBuf, mix: &Mix) -> Result<Wrk> {
        Wrk::new(machine::find("wrk", "nginx-light wrk")?, &self.cores.client, dir, mix)
    }

    /// Removes one folder of databases, so that the next run begins with an empty one.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        remove(&self.dir.join(name))
    }

    /// Removes every database.
    pub(crate) fn tidy_up(self) -> Result<()> {
        let Self { dir, cluster, .. } = self;
        drop(cluster);
        remove(&dir)
    }
}

/// Runs something asynchronous to its end, on one thread: the load has one core.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.during("make a runtime")?.block_on(work)
}

fn remove(dir: &Path) -> Result<()> {
    if dir.exists() { fs::remove_dir_all(dir).during(format!("remove {}", dir.display())) } else { Ok(()) }
}
