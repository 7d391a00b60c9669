//! The record: knows SQL and the two databases, and nothing about HTTP, pages, settings or the network.
//!
//! Everything goes through a [`Db`]: writes and reads are plain closures over a [`Tx`], clicks are appended to a
//! log that many callers make durable with one fsync. SQL is written once ([`Statement`]); only `engine` knows
//! which database runs it.

pub mod activity;
pub mod advertiser;
pub mod api_token;
pub mod audit;
pub mod bell;
pub mod catalog;
pub mod click;
pub mod conversion;
pub mod delivery;
pub mod erase;
pub mod health;
pub mod inbound;
pub mod job;
pub mod link;
pub mod link_copy;
pub mod live;
pub mod network;
pub mod offer;
pub mod offer_change;
pub mod partner;
pub mod postback;
pub mod rehearsal;
pub mod replay;
pub mod report;
pub mod retention;
pub mod ruling;
pub mod saved_view;
pub mod schema;
pub mod session;
pub mod sketch;
pub mod standing;
pub mod story;
pub mod tally;
pub mod test_mode;
pub mod upload;
pub mod user;
pub mod waiting;

mod backup;
mod completion;
mod db;
mod engine;
mod error;
mod inbox;
mod migrate;
mod statement;
mod text;
mod value;

pub use backup::{Copied, Progress, backup, restore};
pub use completion::relay;
pub use db::{Db, EngineKind, Options, Target, Ticket, Tx};
pub use error::{Cause, Error, Refusal};
pub use inbox::Stats;
pub use migrate::MigrationText;
pub use statement::{Append, Column, Statement};
pub use value::{Row, Value};
