//! Everything here enters by the public door and talks to real sockets on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod canary;
mod client;
mod endpoint;
mod guard;
mod rebinding;
mod signature;
mod ssrf;
mod tls;
