//! The engines behave alike: every test here runs on SQLite and on PostgreSQL unless its name says one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod append;
mod backup;
mod before;
mod cost;
mod count;
mod disk;
mod lost;
mod migrate;
mod plan;
mod schema;
mod size;
mod slow;
mod texts;
mod world;
mod write;
