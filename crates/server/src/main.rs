//! `pitlane`: puts the pieces together and knows nothing about SQL, pages or postbacks itself. This binary owns what
//! the other crates may not touch: arguments, environment, files, signals, the clock and randomness.

use std::process::ExitCode;

use clap::Parser;

mod api_token;
mod apply;
mod audit;
mod backup;
mod cli;
mod clock;
mod config;
mod conversion;
mod demo;
mod doors;
mod erase;
mod failure;
mod health;
mod jobs;
mod link_check;
mod log;
mod outbox;
mod replay;
mod report;
mod serve;
mod session;
mod terminal;
mod test_mode;
mod user;
mod visitors;
mod why;
mod wire;

/// What one thread allocates another one often frees, and hundreds of hits wait with what they hold: the system's
/// allocator spends a seventh of a click on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
