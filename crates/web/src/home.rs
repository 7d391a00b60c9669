//! The page at `/`, for whoever opens the address without a link.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use http_body_util::Full;

use crate::page;
use crate::router::Site;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    note: &'static str,
}

/// Says what this is. It names no network: with several, a stranger is not told who else is here.
pub(crate) async fn show(State(site): State<Arc<Site>>) -> Response<Full<Bytes>> {
    page::html(StatusCode::OK, &Home { note: note(site.app.live.catalog.load().networks.len()) })
}

fn note(networks: usize) -> &'static str {
    match networks {
        0 => "It has no network yet. Declare one with “pitlane apply FILE.toml”.",
        1 => "It serves a single network, and so answers on every host name that leads here.",
        _ => {
            "It serves several networks, each on host names of its own: api.{network}.{domain} for links and postbacks."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_renders() {
        for networks in 0..3 {
            let text = Home { note: note(networks) }.render().unwrap();
            assert!(text.contains("<h1>Pitlane</h1>") && text.contains(note(networks)));
        }
    }
}
