//! What somebody of the network or of an advertiser is shown: they are logged in, and these pages are a partner's. It
//! says what serves them instead.

use askama::Template;
use axum::http::StatusCode;
use domain::user::{Access, User};

use crate::caller::Caller;
use crate::page::{self, Answer};
use crate::theme::Theme;

#[derive(Template)]
#[template(path = "account/elsewhere.html")]
struct Page<'a> {
    title: &'static str,
    theme: Theme,
    network: &'a str,
    email: &'a str,
    words: &'static str,
    /// What to do instead: a command or place, and what it is for.
    steps: &'static [(&'static str, &'static str)],
}

const STAFF: &str =
    "You belong to the network itself. Its staff work with the pitlane command on the server.";
const STAFF_STEPS: &[(&str, &str)] = &[
    ("pitlane why ID", "tells what became of a click or conversion, and why"),
    ("pitlane report --by offer", "shows clicks, conversions, revenue and payout"),
    ("pitlane link health --partner SLUG", "shows whose links are set up wrong"),
    ("pitlane conversion set", "approves or rejects a conversion"),
    ("pitlane user list", "shows who may log in, and who waits for a link"),
    (
        "[[user]] in the apply file",
        "with role = \"partner\" lets another address of yours see what a partner sees",
    ),
];

const ADVERTISER: &str = "You belong to an advertiser, and advertisers have no pages here yet.";
const ADVERTISER_STEPS: &[(&str, &str)] = &[
    ("The answer to each postback", "says what became of it: its code, and the conversion's id and status"),
    ("The network's staff", "can tell the whole story of any gk_click_id that you name"),
];

/// The page; none of its links leads to what they may not open.
pub(crate) fn page(caller: &Caller, user: &User) -> Answer {
    page::html(StatusCode::FORBIDDEN, &Page::new(&caller.network.name, user, caller.theme))
}

impl<'a> Page<'a> {
    fn new(network: &'a str, user: &'a User, theme: Theme) -> Self {
        let (words, steps) = match user.access {
            Access::Advertiser(_) => (ADVERTISER, ADVERTISER_STEPS),
            _ => (STAFF, STAFF_STEPS),
        };
        Self { title: "Partners' pages", theme, network, email: &user.email, words, steps }
    }
}
