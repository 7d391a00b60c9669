//! A forgotten password. There is no mail: whoever can make a link sees who waits for one.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use serde::Deserialize;
use store::user;

use crate::caller::Caller;
use crate::login;
use crate::page::{self, Answer};
use crate::refused::Refused;
use crate::site::Site;
use crate::theme::Theme;

#[derive(Template)]
#[template(path = "account/forgotten.html")]
struct Page<'a> {
    title: &'static str,
    theme: Theme,
    network: &'a str,
    asked: bool,
    error: &'a str,
}

/// The form for an address.
pub(crate) async fn show(caller: Caller) -> Answer {
    form(StatusCode::OK, &caller, false, "")
}

fn form(status: StatusCode, caller: &Caller, asked: bool, error: &str) -> Answer {
    let network = caller.network.name.as_str();
    page::html(status, &Page { title: "Forgot your password?", theme: caller.theme, network, asked, error })
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(crate) struct Given {
    email: String,
}

/// Notes it, and says the same whoever's address that is.
pub(crate) async fn ask(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Form(given): Form<Given>,
) -> Result<Answer, Refused> {
    if !site.throttle.allows_address(caller.address) {
        let words = "Too many attempts. Wait a few minutes.";
        return Ok(form(StatusCode::TOO_MANY_REQUESTS, &caller, false, words));
    }
    let (network, email, now) = (caller.network.id, login::email(&given.email), site.app.ambient.now());
    site.app.db.write(move |tx| user::forgot(tx, network, &email, now)).await?;
    Ok(form(StatusCode::OK, &caller, true, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_states_render() {
        for asked in [false, true] {
            let page = Page {
                title: "Forgot your password?",
                theme: Theme::System,
                network: "<script>",
                asked,
                error: "",
            };
            let text = page.render().unwrap();
            assert!(!text.contains("<script>") && text.contains("<form") != asked);
        }
    }
}
