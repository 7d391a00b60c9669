//! The page at `/`: for strangers what this is, for those who are logged in the way home.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use store::session::Stage;

use crate::caller::Caller;
use crate::page::{self, Answer};
use crate::refused::Refused;
use crate::site::Site;
use crate::theme::Theme;
use crate::viewer;

#[derive(Template)]
#[template(path = "account/front.html")]
struct Page {
    title: &'static str,
    theme: Theme,
    /// Whether somebody can log in here.
    door: bool,
    note: &'static str,
}

/// Says what this is. It names no network: with several, a stranger is not told who else is here.
pub(crate) async fn show(State(site): State<Arc<Site>>, request: Request) -> Result<Answer, Refused> {
    let (head, _) = request.into_parts();
    let caller = Caller::of(&head, &site);
    if let Some(caller) = &caller {
        let known = viewer::held(&site, caller, site.app.ambient.now()).await?;
        if known.is_some_and(|known| known.session.stage == Stage::Open) {
            return Ok(page::see_other("/home"));
        }
    }
    let networks = site.app.live.catalog.load().networks.len();
    let page = Page {
        title: "An offer network's tracking",
        theme: Theme::of(&head.headers),
        door: caller.is_some(),
        note: note(networks, caller.is_some()),
    };
    Ok(page::html(StatusCode::OK, &page))
}

fn note(networks: usize, found: bool) -> &'static str {
    match (networks, found) {
        (0, _) => "It has no network yet. Declare one with “pitlane apply FILE.toml”.",
        (_, true) => "Visitors have nothing to do here. Partners of the network log in.",
        (_, false) => {
            "It serves several networks, each on host names of its own: app.{network}.{domain} for people, \
             api.{network}.{domain} for links and postbacks."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_renders_and_only_a_network_has_a_door() {
        for (networks, found) in [(0, false), (1, true), (2, true), (2, false)] {
            let note = note(networks, found);
            let page = Page { title: "Tracking", theme: Theme::System, door: found, note };
            let text = page.render().unwrap();
            assert!(text.contains("<h1>Tracking</h1>") && text.contains(note));
            assert_eq!(text.contains("href=\"/login\""), found);
        }
    }
}
