//! Visitors are looked up in files that the tests write: places, user agents, bots, and files that change meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod agent;
mod bot;
mod folder;
mod place;
mod reload;
