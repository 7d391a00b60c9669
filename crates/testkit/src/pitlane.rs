//! The binary, run as a person runs it.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{Engine, Server, until};

/// The most that a command may take before the test is called broken.
const AT_MOST: Duration = Duration::from_mins(2);

/// The built binary.
#[derive(Debug, Clone, Copy)]
pub struct Pitlane(&'static str);

/// A run that ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Everything on standard output.
    pub stdout: String,
    /// Everything on standard error.
    pub stderr: String,
}

impl Ran {
    /// The same run, when it ended with code 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

impl Pitlane {
    /// The binary at this path: `Pitlane::at(env!("CARGO_BIN_EXE_pitlane"))`.
    pub const fn at(path: &'static str) -> Self {
        Self(path)
    }

    /// A command without arguments, untouched by the settings of whoever runs the tests.
    pub fn command(self) -> Command {
        untouched(Command::new(self.0))
    }

    /// The same, in a shell after this command of the shell, for instance `ulimit -n 64`.
    pub fn command_after(self, first: &str) -> Command {
        let mut command = untouched(Command::new("sh"));
        command.args(["-c", &format!("{first} && exec \"$0\" \"$@\""), self.0]);
        command
    }

    /// Runs a command to its end.
    pub fn run<S: AsRef<str>>(self, args: &[S]) -> Ran {
        self.run_with(args, &[])
    }

    /// Runs a command to its end, with environment variables.
    pub fn run_with<S: AsRef<str>>(self, args: &[S], variables: &[(&str, &str)]) -> Ran {
        let mut command = self.command();
        command.args(args.iter().map(AsRef::as_ref)).envs(variables.iter().copied());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut leash = Leash(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")));
        let stdout = collect(leash.0.stdout.take().expect("a pipe"));
        let stderr = collect(leash.0.stderr.take().expect("a pipe"));
        let status =
            until(&format!("the end of {command:?}"), AT_MOST, || leash.0.try_wait().expect("a child"));
        Ran {
            code: status.code(),
            stdout: stdout.join().expect("standard output is UTF-8"),
            stderr: stderr.join().expect("standard error is UTF-8"),
        }
    }

    /// Runs a command on a database to its end.
    pub fn run_on(self, engine: &Engine, args: &[&str]) -> Ran {
        let database = engine.database_args();
        let args: Vec<&str> = args.iter().copied().chain(database.iter().map(String::as_str)).collect();
        self.run(&args)
    }

    /// Starts `pitlane serve` on a free port and waits until it listens.
    pub fn serve(self, engine: &Engine, args: &[&str]) -> Server {
        Server::start(self.serve_command(engine, args))
    }

    /// The command that [`Pitlane::serve`] runs.
    pub fn serve_command(self, engine: &Engine, args: &[&str]) -> Command {
        let mut command = self.command();
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(engine.database_args()).args(args);
        command
    }
}

/// A command that does not outlive its test, even when it does not end by itself.
struct Leash(Child);

impl Drop for Leash {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        from.read_to_string(&mut text).expect("UTF-8");
        text
    })
}

/// Without the settings of whoever runs the tests, and without input.
fn untouched(mut command: Command) -> Command {
    let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PITLANE_"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}
