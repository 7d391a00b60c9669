//! A running server: the real binary in its own process.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::until;

/// The most that a start or an end may take before the test is called broken.
const AT_MOST: Duration = Duration::from_mins(1);
/// What the first line of a server says before its URL.
const LISTENING: &str = "Pitlane is listening on ";

/// A server that runs until it is stopped, killed or dropped. On the way out it fails the test when its log has an
/// error or a panic, unless that was expected.
#[derive(Debug)]
pub struct Server {
    child: Child,
    url: String,
    // Behind a lock only so that threads of a test can share the server.
    stdout: Mutex<Receiver<String>>,
    log: Log,
    errors_expected: bool,
}

impl Server {
    /// Runs a command that serves, and waits until it says that it listens.
    pub fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let log = Log::default();
        let (to, stdout) = mpsc::channel();
        let lines = child.stdout.take().expect("a pipe");
        read_lines(lines, move |line| drop(to.send(line)));
        let errors = child.stderr.take().expect("a pipe");
        let kept = log.clone();
        read_lines(errors, move |line| kept.push(line));
        let first = stdout.recv_timeout(AT_MOST).unwrap_or_default();
        let stdout = Mutex::new(stdout);
        let url = first.strip_prefix(LISTENING).map(str::to_owned);
        let mut server = Self { child, url: String::new(), stdout, log, errors_expected: false };
        server.url = url.unwrap_or_else(|| {
            server.errors_expected = true;
            let _ = server.child.kill();
            panic!("the server did not start; it said {first:?} and logged {:#?}", server.log.lines())
        });
        server
    }

    /// Where it answers, such as `http://127.0.0.1:41234`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Host and port, such as `127.0.0.1:41234`.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its standard output after the first.
    pub fn next_line(&self) -> String {
        let stdout = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
        stdout.recv_timeout(AT_MOST).expect("one more line on standard output")
    }

    /// What it has logged until now, line by line.
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// Does not fail the test for errors in the log: this test causes them.
    pub fn expect_errors(mut self) -> Self {
        self.errors_expected = true;
        self
    }

    /// Sends `SIGTERM`, without waiting.
    pub fn terminate(&self) {
        kill_process(self.id(), Signal::TERM).expect("the server runs");
    }

    /// Sends `SIGINT`, as Ctrl-C does, without waiting.
    pub fn interrupt(&self) {
        kill_process(self.id(), Signal::INT).expect("the server runs");
    }

    /// Ends it at once, as a crash does (`SIGKILL`). The test goes on when the process is gone.
    pub fn kill9(mut self) {
        self.child.kill().expect("the server runs");
        self.child.wait().expect("a child");
        self.check_log();
    }

    /// Ends it as an operator does (`SIGTERM`), and checks that it ends with code 0.
    pub fn stop(mut self) {
        // A test may have asked it to end already.
        let _ = kill_process(self.id(), Signal::TERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "it ended with {status}; its log: {:#?}", self.log.lines());
        self.check_log();
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the server's end", AT_MOST, || child.try_wait().expect("a child"))
    }

    fn id(&self) -> Pid {
        let raw = i32::try_from(self.child.id()).expect("a process id");
        Pid::from_raw(raw).expect("a process id")
    }

    fn check_log(&mut self) {
        if !self.errors_expected {
            self.errors_expected = true;
            let lines = self.log.lines();
            let bad: Vec<&String> = lines.iter().filter(|line| is_bad(line)).collect();
            assert!(bad.is_empty(), "the server logged {bad:#?}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            self.check_log();
        }
    }
}

/// An error of the log in either format, or a panic.
fn is_bad(line: &str) -> bool {
    line.contains("\"level\":\"ERROR\"") || line.contains(" ERROR ") || line.contains("panicked at")
}

fn read_lines(from: impl Read + Send + 'static, mut to: impl FnMut(String) + Send + 'static) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            let Ok(line) = line else { return };
            to(line);
        }
    });
}

/// The lines of a log.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// More than any test needs; a server that logs without end must not take the machine down.
    const KEPT: usize = 50_000;

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < Self::KEPT {
            lines.push(line);
        }
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
