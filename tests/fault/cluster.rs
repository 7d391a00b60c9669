//! A PostgreSQL server of the test's own, to be stopped and started.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use testkit::Folder;
use url::Url;

/// The user that owns the cluster when the tests run as root, which PostgreSQL refuses to run as.
const OWNER: &str = "postgres";

/// The server's files and its port; stopped when dropped.
pub(crate) struct Cluster {
    folder: Folder,
    programs: PathBuf,
    port: u16,
}

impl Cluster {
    /// Makes a cluster and starts its server.
    pub(crate) fn start_new() -> Self {
        let cluster = Self { folder: Folder::new(), programs: programs(), port: free_port() };
        if is_root() {
            let owned = Command::new("chown").arg(OWNER).arg(cluster.folder.path()).status();
            assert!(owned.is_ok_and(|status| status.success()), "the folder is given to {OWNER}");
        }
        let auth = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"];
        cluster.run("initdb", &auth);
        cluster.start(&[]);
        cluster
    }

    /// Starts the server and waits until it answers.
    pub(crate) fn start(&self, settings: &[&str]) {
        let port = format!("port={}", self.port);
        let all =
            [port.as_str(), "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=50"];
        let options: Vec<String> =
            all.iter().chain(settings).map(|setting| format!("-c {setting}")).collect();
        let log = self.folder.join("data/log");
        self.run("pg_ctl", &["start", "-w", "-l", &log, "-o", &options.join(" ")]);
    }

    /// Stops the server: `fast` in order, `immediate` as a crash does.
    pub(crate) fn stop(&self, mode: &str) {
        self.run("pg_ctl", &["stop", "-w", "-m", mode]);
    }

    /// Where it is.
    pub(crate) fn url(&self) -> Url {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port).parse().expect("a URL")
    }

    fn run(&self, program: &str, args: &[&str]) {
        let output =
            self.command(program, args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(output.status.success(), "{program} {args:?}: {output:#?}");
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", OWNER, "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // The server keeps its standard output, and nobody may wait for its end.
        command.args(args).args(["-D", &self.folder.join("data")]).current_dir(self.folder.path());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may be stopped already.
        let _ = self.command("pg_ctl", &["stop", "-w", "-m", "immediate"]).output();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The newest PostgreSQL that Debian has put in its place.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, programs)| programs.join("initdb").exists())
        .collect();
    found.sort();
    let (_, newest) =
        found.pop().expect("this test stops its own PostgreSQL: install the package `postgresql`");
    newest
}

/// A port that nobody has at this moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}
