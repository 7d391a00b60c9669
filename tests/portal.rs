//! The partner portal, as a browser without JavaScript meets it.

mod access;
mod browser;
mod login;
mod offer;
mod postback;
mod profile;
mod report;
mod team;
mod template;
mod traffic;

pub(crate) use login::{Browser, start, start_with};
