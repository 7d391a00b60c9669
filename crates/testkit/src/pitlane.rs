//! The binary, run as a person runs it.

use std::process::{Command, Stdio};

use crate::{Engine, Server};

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
        let mut command = Command::new(self.0);
        let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PITLANE_"));
        for (name, _) in ours {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
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
        let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", self.0));
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
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
        let mut command = self.command();
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(engine.database_args()).args(args);
        Server::start(command)
    }
}
