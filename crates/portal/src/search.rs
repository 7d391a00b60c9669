//! The search: any id that somebody has in hand, a tracking link, or a part of an offer's name.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use domain::id::{ClickId, LinkId};
use domain::link::Link;
use url::Url;

use crate::page::{self, Answer, Section, Shell};
use crate::query::Query;
use crate::site::Site;
use crate::trace::{self, Told};
use crate::viewer::Viewer;

/// The most offers that are listed.
const LISTED: usize = 50;

#[derive(askama::Template)]
#[template(path = "search/show.html")]
struct Page {
    shell: Shell,
    asked: String,
    /// Address, name and slug.
    offers: Vec<(String, String, String)>,
    /// Whether there are more than these.
    more: bool,
}

/// Goes to what was asked for when there is one such thing, else lists what there is.
pub(crate) async fn show(State(site): State<Arc<Site>>, viewer: Viewer, RawQuery(raw): RawQuery) -> Answer {
    let query = Query::read(raw.as_deref());
    let asked = query.get("q").unwrap_or_default().to_owned();
    match ids(&site, &viewer, &asked).await {
        Ok(Some(href)) => return page::see_other(&href),
        Ok(None) => {}
        Err(error) => {
            tracing::error!(%error, "a search cannot be made");
            return page::unavailable();
        }
    }
    let offers = offers(&viewer, &asked);
    if let [only] = offers.as_slice() {
        return page::see_other(&only.0);
    }
    let words = if asked.is_empty() { "Paste any id, a link, or a part of an offer's name" } else { "" };
    let mut shell = Shell::new(&viewer, Section::Account, "Search", words);
    shell.query.clone_from(&asked);
    let more = offers.len() > LISTED;
    let page = Page { shell, asked, offers: offers.into_iter().take(LISTED).collect(), more };
    page::html(StatusCode::OK, &page)
}

/// Where an id, or one inside an address, leads.
async fn ids(site: &Site, viewer: &Viewer, asked: &str) -> Result<Option<String>, store::Error> {
    let mut candidates = vec![asked.to_owned()];
    let address = Url::parse(asked).ok();
    candidates.extend(address.as_ref().into_iter().flat_map(inside));
    for id in candidates {
        if !matches!(trace::look_up(site, viewer, &id).await?, Told::Nothing) {
            return Ok(Some(trace::path("/trace", &id)));
        }
    }
    let link =
        address.as_ref().and_then(|url| tracked(viewer, url)).or_else(|| viewer.link(asked.parse().ok()?));
    Ok(link.map(|link| format!("/offers/{}", link.offer.id)))
}

/// Ids in an address: the partner's click id, and whatever looks like one of ours.
fn inside(url: &Url) -> Vec<String> {
    let query =
        |name: &str| url.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned());
    let ours =
        url.query_pairs().map(|(_, value)| value.into_owned()).find(|value| value.parse::<ClickId>().is_ok());
    query("pub_click_id").filter(|id| !id.is_empty()).into_iter().chain(ours).collect()
}

/// The viewer's link that an address is of.
fn tracked<'v>(viewer: &'v Viewer, url: &Url) -> Option<&'v Arc<Link>> {
    let id = url.path_segments()?.next_back()?.parse::<LinkId>().ok()?;
    viewer.link(id)
}

/// The offers with this in their name or slug, by name; one more than is listed.
fn offers(viewer: &Viewer, asked: &str) -> Vec<(String, String, String)> {
    let part = asked.to_lowercase();
    if part.is_empty() {
        return Vec::new();
    }
    let fits = |link: &&Arc<Link>| {
        let offer = &link.offer;
        offer.name.to_lowercase().contains(&part)
            || offer.slug.contains(&part)
            || offer.id.to_string() == part
    };
    let mut found: Vec<&Arc<Link>> = viewer.links().filter(fits).collect();
    found.sort_by(|a, b| a.offer.name.cmp(&b.offer.name));
    found.truncate(LISTED + 1);
    let shown = |link: &Arc<Link>| {
        (format!("/offers/{}", link.offer.id), link.offer.name.clone(), link.offer.slug.clone())
    };
    found.into_iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_addresses() {
        let url = Url::parse("https://s.example/x?sub=a&click=0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6").unwrap();
        assert_eq!(inside(&url), ["0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6"]);
        let url = Url::parse("https://api.acme.example/r/1?pub_click_id=a%20b&pub_member_id=m").unwrap();
        assert_eq!(inside(&url), ["a b"]);
    }
}
