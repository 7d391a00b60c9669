//! What leaves the house: the requests that tell a partner about a conversion. This crate knows nothing about
//! the web framework, SQL or templates, and decides nothing about money.
//!
//! A partner chooses the address that we call, so every address is hostile until proven public:
//!
//! - [`guard`] decides which addresses may be called at all, [`ranges`] is the table behind it;
//! - [`client`] makes one bounded attempt, and connects only to an address the guard has seen;
//! - [`message`] makes the signed request of a delivery;
//! - [`worker`] sends what is due, endpoint by endpoint.

pub mod client;
pub mod guard;
pub mod message;
pub mod ranges;
pub mod worker;

mod answer;
mod endpoint;
mod ledger;
mod pace;
mod resolve;
