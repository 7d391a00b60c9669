//! The portals: pages for people who logged in. Knows sessions, forms and templates, and nothing about SQL, how a click is
//! taken, outgoing requests or the clock's source.
//!
//! Read `router` for every address with who may open it, `viewer` for who looks, and `page` for what all pages share. One
//! noun is one file here, one folder of templates and one section of the left rail.

mod asset;
mod caller;
mod click;
mod click_word;
mod chart;
mod component;
mod conversion;
mod conversion_word;
mod format;
mod health;
mod icon;
mod invitation;
mod login;
mod page;
mod password;
mod query;
mod refused;
mod router;
mod session;
mod site;
mod table;
mod theme;
mod throttle;
mod viewer;

pub use password::hash as hash_password;
pub use router::{ROUTES, Route, Rule, routes};
