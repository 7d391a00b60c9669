//! The partner portal, as a browser without JavaScript meets it.

mod login;

pub(crate) use login::{Browser, USERS, start, start_with};
