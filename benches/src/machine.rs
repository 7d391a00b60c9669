//! The machine, as far as figures depend on it, and the tools that are needed.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::failure::{During as _, Failure, Result, ensure};
use crate::statistic::Sample;

/// Where the programs of Debian's packages are that are in no user's path.
const BESIDE_THE_PATH: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];
/// Writes with a sync each, to know the disk.
const SYNCS: usize = 300;
/// After so many bytes a log begins anew.
const LOG_BYTES: usize = 32 << 20;

/// Which cores the servers and the load have. Never the same.
#[derive(Debug, Clone)]
pub(crate) struct Cores {
    /// Of the server under test, and of its database.
    pub(crate) server: String,
    /// Of whoever asks.
    pub(crate) client: String,
}

/// What is said about the machine beside every table.
pub(crate) fn description(cores: &Cores, dir: &Path) -> Result<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let count = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let sync = syncs_us(cores, dir, 4_096, |done| done < SYNCS)?;
    Ok(format!(
        "{}, {count} cores; server on core {}, load on core {}; Linux {}; {}, fdatasync of 4 KiB p50 {:.0} µs, \
         p99 {:.0} µs",
        cpu_model(&cpuinfo),
        cores.server,
        cores.client,
        kernel(),
        file_system(dir)?,
        sync.percentile(50.0),
        sync.percentile(99.0),
    ))
}

fn cpu_model(cpuinfo: &str) -> String {
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| "unknown CPU".to_owned(), |(_, model)| model.to_owned())
}

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// The kind of file system; one in memory is refused, because a sync on it costs nothing.
fn file_system(dir: &Path) -> Result<String> {
    let said = Command::new("stat").args(["-f", "-c", "%T"]).arg(dir).output().during("run stat")?;
    let kind = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    ensure(!["tmpfs", "ramfs"].contains(&kind.as_str()), || {
        format!("{} is in memory: use --dir", dir.display())
    })?;
    Ok(kind)
}

/// What durable writes of so many bytes cost, one after the other, on the disk that the databases are on and on the
/// server's cores: where the disk's interrupts are another core's, a sync takes longer. The file is written again from
/// its beginning, as a log is, and as long as a log from the start: to let it grow would cost more.
pub(crate) fn syncs_us(
    cores: &Cores,
    dir: &Path,
    bytes: usize,
    goes_on: impl Fn(usize) -> bool + Sync,
) -> Result<Sample> {
    let on_core = || {
        let thread = fs::read_link("/proc/thread-self").during("learn the thread's id")?;
        move_to(&cores.server, &["-p"], &thread.file_name().unwrap_or_default().to_string_lossy())?;
        let path = dir.join("sync");
        let file = File::create(&path).during("create a file to sync")?;
        let (page, mut taken) = (vec![7; bytes], Vec::new());
        file.write_all_at(&vec![0; LOG_BYTES], 0).and_then(|()| file.sync_all()).during("fill a file")?;
        while goes_on(taken.len()) {
            let at = (taken.len() * bytes % LOG_BYTES) as u64;
            let began = Instant::now();
            file.write_all_at(&page, at).and_then(|()| file.sync_data()).during("sync a file")?;
            taken.push(began.elapsed().as_secs_f64() * 1e6);
        }
        fs::remove_file(&path).during("remove a file")?;
        Ok(Sample::new(taken))
    };
    // Only the thread moves, not the harness.
    let ended = std::thread::scope(|scope| scope.spawn(on_core).join());
    ended.unwrap_or_else(|_| Err(Failure::new("the thread that syncs panicked".to_owned())))
}

/// The path of a program; without it, what to install.
pub(crate) fn find(program: &str, package: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(BESIDE_THE_PATH.map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|path| path.is_file()).during(format!(
        "{program} is not installed; run benches/install, or: apt-get install --no-install-recommends {package}"
    ))
}

/// The first line that a program says about its version, on either output.
pub(crate) fn version(program: &Path, flag: &str) -> String {
    let Ok(said) = Command::new(program).arg(flag).output() else { return String::new() };
    let text = [said.stdout, said.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    text.lines().find(|line| !line.is_empty()).unwrap_or_default().trim().to_owned()
}

/// Moves the harness itself, all its threads and whatever they start, to the cores of the load.
pub(crate) fn stay_on(cores: &Cores) -> Result<()> {
    ensure(cores.server != cores.client, || "server and load need different cores".to_owned())?;
    move_to(&cores.client, &["-a", "-p"], &std::process::id().to_string())
}

fn move_to(cores: &str, flags: &[&str], id: &str) -> Result<()> {
    let ran = Command::new("taskset").args(flags).args(["-c", cores, id]).output();
    let ran = ran.during("run taskset (of the package util-linux)")?;
    ensure(ran.status.success(), || {
        format!(
            "taskset: {}; see --server-cores and --client-cores",
            String::from_utf8_lossy(&ran.stderr).trim()
        )
    })
}

/// Thousands of connections need as many files.
pub(crate) fn allow_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .during("raise the limit of open files")
}

/// Builds the binary under test, and gives its path.
pub(crate) fn build(workspace: &Path) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(workspace).args(["build", "--release", "--locked", "-p", "pitlane"]);
    let status = cargo.status().during("run cargo")?;
    ensure(status.success(), || "the product does not build".to_owned())?;
    // The harness lies where cargo puts what it builds.
    let own = std::env::current_exe().during("the harness's own path")?;
    let profiles = own.parent().and_then(Path::parent).during("the target folder")?;
    let binary = profiles.join("release/pitlane");
    if binary.is_file() { Ok(binary) } else { Err(Failure::new(format!("no {}", binary.display()))) }
}

/// The commit that is measured, with a mark when files differ from it.
pub(crate) fn commit(workspace: &Path) -> String {
    let said = Command::new("git").current_dir(workspace).args(["describe", "--always", "--dirty"]).output();
    said.map_or_else(|_| String::new(), |said| String::from_utf8_lossy(&said.stdout).trim().to_owned())
}
