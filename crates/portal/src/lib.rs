//! The portals: pages for people who logged in. Knows sessions, forms and templates, and nothing about SQL, how a click
//! is taken, outgoing requests or the clock's source.
//!
//! Read `router` for every address with who may open it, `viewer` for who looks, and `page` for what all pages share.
//! One noun is one file here, one folder of templates and one section of the left rail.

mod asset;
mod builder;
mod caller;
mod chart;
mod checklist;
mod click;
mod click_word;
mod component;
mod conversion;
mod conversion_word;
mod customise;
mod delivery;
mod design;
mod elsewhere;
mod format;
mod front;
mod health;
mod help;
mod home;
mod icon;
mod invitation;
mod login;
mod offer;
mod page;
mod password;
mod postback;
mod preset;
mod profile;
mod query;
mod refused;
mod report;
mod report_view;
mod reset;
mod router;
mod saved_view;
mod search;
mod session;
mod site;
mod table;
mod team;
mod test_tab;
mod theme;
mod throttle;
mod token;
mod totp;
mod trace;
mod trace_moment;
mod viewer;

pub use password::hash as hash_password;
pub use router::{ROUTES, Route, Rule, none, routes};
