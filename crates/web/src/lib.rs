//! The outside of the server: knows HTTP, pages and the wire contract, and nothing about SQL, outgoing requests, the
//! environment or the clock's source.
//!
//! Read `redirect` for what happens to a click, `postback` for what happens to an advertiser's request, `router` for
//! every address that is answered, and `listen` for what a stranger may take up.

mod accept;
mod api;
mod app;
mod envelope;
mod error;
mod head;
mod health;
pub mod link_check;
mod listen;
mod meter;
pub mod origin;
mod page;
mod postback;
mod redirect;
mod router;
mod test_click;

pub use app::{App, Settings};
pub use listen::{Gate, Limits, serve};
pub use test_click::test_click;
