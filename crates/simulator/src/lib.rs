//! A simulated advertiser and a simulated partner, for the demo and the tests. This crate knows nothing about
//! Pitlane's own crates: it speaks HTTP to the server like a stranger, so what works here works for
//! strangers.

pub mod advertiser;
pub mod partner;

mod clock;
mod page;
mod query;
mod serve;
