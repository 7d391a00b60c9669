//! What the product does, seen from outside: the real binary, both databases, real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test says so by a panic"
)]

mod api;
mod apply;
mod audit;
mod backup;
mod cap;
mod click;
mod config;
mod contract;
mod conversion;
mod crash;
mod crowd;
mod delivery;
mod demo;
mod erase;
mod fault;
mod health;
mod jobs;
mod life;
mod link_check;
mod loop_through;
mod malformed;
mod money;
mod network;
mod nodes;
mod order;
mod outbox;
mod parameter;
mod portal;
mod postback;
mod proof;
mod race;
mod replay;
mod report;
mod retention;
mod ruling;
mod sequence;
mod serve;
mod stored;
mod sum;
mod targeting;
mod test_mode;
mod traffic;
mod upload;
mod visitor;
mod waiting;
mod why;
mod world;

use testkit::Pitlane;

/// The binary under test.
const PITLANE: Pitlane = Pitlane::at(env!("CARGO_BIN_EXE_pitlane"));
