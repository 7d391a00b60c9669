//! A PostgreSQL of our own, as Debian's package brings it, or one that somebody names.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgres::{Client, NoTls};
use rustix::process::{Signal, geteuid};

use crate::failure::{During as _, Result, ensure};
use crate::nginx::free_address;
use crate::process::{Cpu, Launch, Process};

const MOST_START: Duration = Duration::from_mins(1);
const PROGRAMS: &str = "/usr/lib/postgresql";

/// A server on which databases may be made.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// None when it is somebody else's: then its CPU time and memory are not known.
    process: Option<Process>,
    /// Up to and without the database's name.
    server: String,
    pub(crate) version: String,
}

impl Cluster {
    /// The server of this URL, such as `postgres://postgres@127.0.0.1:5432/postgres`.
    pub(crate) fn at(url: &str) -> Result<Self> {
        let (server, _) = url.rsplit_once('/').during("a PostgreSQL URL ends with a database")?;
        let mut cluster = Self { process: None, server: server.to_owned(), version: String::new() };
        cluster.version = cluster.asked_version()?;
        Ok(cluster)
    }

    /// Whether Debian's programs are there.
    pub(crate) fn is_installed() -> bool {
        programs().is_some()
    }

    /// Makes an empty cluster and starts it on these cores.
    pub(crate) fn start(cores: &str, dir: &Path) -> Result<Self> {
        let programs = programs().during("no PostgreSQL; run benches/install")?;
        // PostgreSQL does not run as root; its package brings a user.
        let user = geteuid().is_root().then_some("postgres");
        fs::create_dir_all(dir).during("make a folder for PostgreSQL")?;
        let (data, shown) = (dir.join("data"), dir.join("data").display().to_string());
        fs::create_dir(&data).during("make a folder for the cluster")?;
        if user.is_some() {
            let chown = std::process::Command::new("chown").args(["postgres:", &shown]).status();
            ensure(chown.during("run chown")?.success(), || "chown failed".to_owned())?;
        }
        let init = Launch::new("initdb", &programs.join("initdb"), cores).user(user).args([
            "-D",
            &shown,
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]);
        let made = init.to_command().current_dir("/").output().during("run initdb")?;
        ensure(made.status.success(), || {
            let said = String::from_utf8_lossy(&made.stderr);
            format!(
                "initdb: {said}\nMay the user postgres reach {shown}? If not, choose another folder by --dir"
            )
        })?;
        let address = free_address()?;
        let port = address.rsplit(':').next().unwrap_or_default();
        let launch = Launch::new("PostgreSQL", &programs.join("postgres"), cores)
            .user(user)
            .ended_by(Signal::INT)
            .args(["-D", &shown, "-p", port, "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories=", "-c", "shared_buffers=256MB", "-c", "max_wal_size=4GB"]);
        let mut process = launch.start(dir.join("postgres.log"))?;
        let server = format!("postgres://postgres@{address}");
        process.until("answer of PostgreSQL", MOST_START, || connect(&format!("{server}/postgres")).ok())?;
        let mut cluster = Self { process: Some(process), server, version: String::new() };
        cluster.version = cluster.asked_version()?;
        Ok(cluster)
    }

    fn asked_version(&self) -> Result<String> {
        let mut client = connect(&format!("{}/postgres", self.server))?;
        let row = client.query_one("show server_version", &[]).during("ask for the version")?;
        Ok(row.get(0))
    }

    /// Makes an empty database, instead of the one of this name, and gives its URL.
    pub(crate) fn database(&self, name: &str) -> Result<String> {
        let mut client = connect(&format!("{}/postgres", self.server))?;
        for command in
            [format!("drop database if exists {name} with (force)"), format!("create database {name}")]
        {
            client.batch_execute(&command).during(command)?;
        }
        Ok(format!("{}/{name}", self.server))
    }

    /// CPU time and memory until now, where they are known.
    pub(crate) fn cost(&self) -> Result<Option<(Cpu, u64)>> {
        let cost = |process: &Process| Ok((process.cpu()?, process.memory_bytes()?));
        self.process.as_ref().map(cost).transpose()
    }
}

/// A connection of our own.
pub(crate) fn connect(url: &str) -> Result<Client> {
    Client::connect(url, NoTls).during("connect to PostgreSQL")
}

/// The newest version's.
fn programs() -> Option<PathBuf> {
    let folders = fs::read_dir(PROGRAMS).ok()?.flatten().map(|entry| entry.path().join("bin"));
    folders.filter(|bin| bin.join("initdb").is_file()).max()
}
