//! What the product does, seen from outside: the real binary, both databases, real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test says so by a panic"
)]

mod config;
mod serve;

use testkit::Pitlane;

/// The binary under test.
const PITLANE: Pitlane = Pitlane::at(env!("CARGO_BIN_EXE_pitlane"));
