//! A process on cores of its own, that never outlives the harness, and what it costs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::{During as _, Failure, Result};

/// The most that a process may take to end when it is asked to.
const MOST_END: Duration = Duration::from_secs(30);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// `/proc` counts CPU time in hundredths of a second on every Linux.
const TICK_US: f64 = 10_000.0;

/// What to start, and where.
pub(crate) struct Launch {
    name: &'static str,
    cores: String,
    user: Option<&'static str>,
    end: Signal,
    command: Vec<String>,
}

impl Launch {
    /// A program on these cores, such as `0` or `0,2-3`.
    pub(crate) fn new(name: &'static str, program: &Path, cores: &str) -> Self {
        let command = vec![program.display().to_string()];
        Self { name, cores: cores.to_owned(), user: None, end: Signal::TERM, command }
    }

    pub(crate) fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.extend(args.into_iter().map(Into::into));
        self
    }

    /// Runs as another user, which only root may ask for.
    pub(crate) fn user(mut self, user: Option<&'static str>) -> Self {
        self.user = user;
        self
    }

    /// The signal that ends it in order, where it is not `SIGTERM`.
    pub(crate) fn ended_by(mut self, signal: Signal) -> Self {
        self.end = signal;
        self
    }

    /// Starts it. What it prints goes into the file `log`.
    pub(crate) fn start(self, log: PathBuf) -> Result<Process> {
        let out = File::create(&log).during(format!("create {}", log.display()))?;
        let errors = out.try_clone().during("a second handle of a log")?;
        let mut command = self.to_command();
        command.stdin(Stdio::null()).stdout(out).stderr(errors);
        let child = command.spawn().during(format!("start {}", self.name))?;
        Ok(Process { child, name: self.name, end: self.end, log })
    }

    /// The command line. `setpriv` has the kernel end the process when the harness dies, however it dies.
    pub(crate) fn to_command(&self) -> Command {
        let signal = if self.end == Signal::INT { "INT" } else { "TERM" };
        let mut command = without_settings("setpriv");
        if let Some(user) = self.user {
            command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
        }
        command.args(["--pdeathsig", signal, "taskset", "-c", &self.cores]).args(&self.command);
        command
    }
}

/// A command that the settings of whoever runs the harness do not reach.
pub(crate) fn without_settings(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PITLANE_")) {
        command.env_remove(name);
    }
    command
}

/// A running process. It is ended when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: &'static str,
    end: Signal,
    log: PathBuf,
}

impl Process {
    /// Waits until `found` gives something, at most so long, and not beyond the process's end.
    pub(crate) fn until<T>(
        &mut self,
        what: &str,
        at_most: Duration,
        mut found: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + at_most;
        loop {
            if let Some(found) = found() {
                return Ok(found);
            }
            let ended = self.child.try_wait().during("look after a child")?;
            if let Some(status) = ended {
                return Err(self.told(&format!("{} ended with {status} before {what}", self.name)));
            }
            if Instant::now() > deadline {
                return Err(self.told(&format!("{}: no {what} within {at_most:?}", self.name)));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// A failure with the end of the log.
    fn told(&self, what: &str) -> Failure {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let from = log.len().saturating_sub(2_000);
        let end = log.get(from..).unwrap_or_default();
        Failure::new(format!("{what}; the end of {}:\n{end}", self.log.display()))
    }

    /// CPU time until now of the process and everything that it started.
    pub(crate) fn cpu(&self) -> Result<Cpu> {
        let mut sum = Cpu::default();
        for pid in self.family()? {
            sum = sum.plus(Cpu::of(pid).unwrap_or_default());
        }
        Ok(sum)
    }

    /// Memory of the process and everything that it started, in bytes; what they share counts once.
    pub(crate) fn memory_bytes(&self) -> Result<u64> {
        Ok(self.family()?.into_iter().filter_map(memory_of).sum())
    }

    /// The process and its descendants.
    fn family(&self) -> Result<Vec<u32>> {
        let mut parents = Vec::new();
        for entry in fs::read_dir("/proc").during("read /proc")?.flatten() {
            if let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>()
                && let Some(parent) = stat_fields(pid).and_then(|fields| fields.get(1)?.parse::<u32>().ok())
            {
                parents.push((pid, parent));
            }
        }
        let mut family = vec![self.child.id()];
        let mut at = 0;
        while let Some(&of) = family.get(at) {
            family.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| *pid));
            at += 1;
        }
        Ok(family)
    }

    /// Asks it to end, waits until it has, and gives what it printed.
    pub(crate) fn stop(mut self) -> Result<String> {
        self.signal(self.end)?;
        let deadline = Instant::now() + MOST_END;
        while self.child.try_wait().during("look after a child")?.is_none() {
            if Instant::now() > deadline {
                return Err(self.told(&format!("{} did not end within {MOST_END:?}", self.name)));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill().during("kill")?;
        self.child.wait().during("wait for a child").map(drop)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.during("a process id")?, signal).during(format!("signal {}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // In order first: a server that is killed leaves its own children behind.
        let deadline = Instant::now() + MOST_END;
        if matches!(self.child.try_wait(), Ok(None)) && self.signal(self.end).is_ok() {
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(LOOK_EVERY);
            }
        }
        // Both fail only for a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    /// In the program.
    pub(crate) user_us: f64,
    /// In the kernel on its behalf.
    pub(crate) system_us: f64,
}

impl Cpu {
    /// Of one process with the children that it has waited for; none when it is gone.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let fields = stat_fields(pid)?;
        // Behind the name: field 11 is utime, then stime, cutime, cstime.
        let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
        Some(Self {
            user_us: (ticks(11)? + ticks(13)?) * TICK_US,
            system_us: (ticks(12)? + ticks(14)?) * TICK_US,
        })
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { user_us: self.user_us + other.user_us, system_us: self.system_us + other.system_us }
    }

    /// What was used since an earlier look.
    pub(crate) fn since(self, before: Self) -> Self {
        Self { user_us: self.user_us - before.user_us, system_us: self.system_us - before.system_us }
    }

    pub(crate) fn total_us(self) -> f64 {
        self.user_us + self.system_us
    }
}

/// The fields of `/proc/PID/stat` behind the name, which may hold spaces: state, parent and so on.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn memory_of(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1_024)
}
