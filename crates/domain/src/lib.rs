//! The rules of an offer network, as types and pure functions. This crate knows nothing about clocks,
//! randomness, databases, HTTP, the environment or an async runtime: whatever a rule needs is an argument.
//!
//! Read [`click`] for what happens to a visitor, [`conversion`] for what happens to an advertiser's postback
//! and [`postback`] and [`delivery`] for what a partner is told.

#[macro_use]
pub mod code;

pub mod address;
pub mod advertiser;
pub mod ambient;
pub mod api_token;
pub mod bytes;
pub mod cap;
pub mod catalog;
pub mod click;
pub mod conversion;
pub mod delivery;
pub mod erase;
pub mod format;
pub mod health;
pub mod id;
pub mod inbound;
pub mod link;
pub mod money;
pub mod network;
pub mod offer;
pub mod partner;
pub mod period;
pub mod placeholder;
pub mod postback;
pub mod query;
pub mod replay;
pub mod report;
pub mod ruling;
pub mod secret;
pub mod sequence;
pub mod signature;
pub mod sketch;
pub mod slug;
pub mod targeting;
pub mod template;
pub mod test_mode;
pub mod time;
pub mod user;
pub mod visible;
pub mod visit;
pub mod visitor;
