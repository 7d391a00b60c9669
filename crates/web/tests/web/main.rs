//! The web from outside, over sockets, on a real record: what is let in, what is answered, what is kept.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by a panic"
)]

mod click;
mod lane;
mod listen;
mod page;
mod postback;
mod site;
