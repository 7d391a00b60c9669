//! The partner portal, as a browser without JavaScript meets it.

mod login;
mod profile;
mod team;

pub(crate) use login::{Browser, USERS, start, start_with};
