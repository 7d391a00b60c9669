//! The benchmarks: one command builds Pitlane, starts it and nginx in turn on the same core, and prints what they do.
//! `docs/guide/benchmark.md` says how to run and read it.
//!
//! Read on in this order: [`mod@bench`] is what every experiment is given; [`network`] and [`visit`] are the links and
//! who follows them; [`subject`] and [`nginx`] are what is measured; [`wrk`], [`open_loop`] and [`closed_loop`] are
//! the three kinds of load; each file of [`experiment`] is one table.

mod bench;
mod closed_loop;
mod cluster;
mod experiment;
mod failure;
mod history;
mod http;
mod machine;
mod network;
mod nginx;
mod open_loop;
mod process;
mod receiver;
mod record;
mod statistic;
mod subject;
mod table;
mod visit;
mod wrk;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::bench::{Bench, Options};
use crate::failure::{During as _, Result};

/// Measures Pitlane beside nginx on this machine. Traffic stays on it; what was started is ended.
#[derive(Debug, Parser)]
#[command(name = "pitlane-bench", max_term_width = 110)]
struct Cli {
    /// What to measure
    what: What,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Everything below, in this order
    All,
    /// Redirects as fast as they are answered, beside nginx
    Redirect,
    /// How long a visitor waits, one at a time and at 30 % of what the server can do
    Latency,
    /// Five times as many visitors as the server can take
    Overload,
    /// Postbacks of advertisers, new ones and duplicates
    Conversions,
    /// Messages to partners, with and without one that hangs
    Deliveries,
    /// `pitlane report` over a month
    Reports,
    /// How long a partner waits for each page of the portal, and what it weighs
    Portal,
    /// From the start of the process to /readyz
    Start,
    /// What a click costs as the database grows
    Growth,
}

impl What {
    /// Its name on the command line and in the file of results.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    fn run(self, bench: &Bench) -> Result<String> {
        match self {
            // Taken apart by `chosen`.
            Self::All => Ok(String::new()),
            Self::Redirect => experiment::redirect::run(bench),
            Self::Latency => experiment::latency::run(bench),
            Self::Overload => experiment::overload::run(bench),
            Self::Conversions => experiment::conversion::run(bench),
            Self::Deliveries => experiment::delivery::run(bench),
            Self::Reports => experiment::report::run(bench),
            Self::Portal => experiment::portal::run(bench),
            Self::Start => experiment::start::run(bench),
            Self::Growth => experiment::growth::run(bench),
        }
    }

    fn chosen(self) -> Vec<Self> {
        let each = Self::value_variants().iter().copied().filter(|what| *what != Self::All);
        if self == Self::All { each.collect() } else { vec![self] }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match measure(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&format!("pitlane-bench: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs what was chosen; each result is printed and written as soon as it is there.
fn measure(cli: Cli) -> Result<()> {
    let bench = Bench::prepare(cli.options.counted())?;
    for what in cli.what.chosen() {
        tell(&format!("measuring: {}", what.name()));
        let tables = what.run(&bench)?;
        let result = format!("`{}`\n\n{}.\n\n{tables}", command(what), bench.about);
        writeln!(std::io::stdout(), "\n## {}\n\n{result}", what.name()).during("print a result")?;
        if let Some(file) = &bench.options.write {
            table::write(file, &what.name(), &result)?;
        }
    }
    bench.tidy_up()
}

/// The command that repeats one result: what was typed, but for where it is written and what else was measured.
fn command(what: What) -> String {
    let mut args = std::env::args().skip(1);
    let mut kept = vec![what.name()];
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--write" => drop(args.next()),
            // May hold a password.
            "--postgres" => {
                args.next();
                kept.push("--postgres URL".to_owned());
            }
            arg if arg.starts_with("--write=") || What::from_str(arg, false).is_ok() => {}
            arg if arg.starts_with("--postgres=") => kept.push("--postgres URL".to_owned()),
            arg => kept.push(arg.to_owned()),
        }
    }
    format!("cargo run --release -p pitlane-bench -- {}", kept.join(" "))
}

/// Progress and failures; results alone are on standard output.
fn tell(text: &str) {
    // Whoever closed the stream does not want to know.
    let _ = writeln!(std::io::stderr(), "{text}");
}
