//! What the tests share: databases, the real binary as a process, HTTP from outside and the simulated partner. This
//! crate knows nothing about Pitlane's own crates: it meets the product by its command line, its sockets and its
//! tables, so that a test cannot believe what the product says about itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on says so by a panic"
)]

mod engine;
mod folder;
pub mod http;
mod pitlane;
mod server;
mod wait;
pub mod webhook;

pub use engine::{Engine, Hold, for_each_engine};
pub use folder::Folder;
pub use pitlane::{Pitlane, Ran};
pub use server::Server;
pub use wait::{block_on, eventually, until};
