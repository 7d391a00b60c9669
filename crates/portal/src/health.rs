//! Link health: what a partner's clicks say about how its links are set up. Home shows it for all links, an offer's
//! page for one, both with `templates/health/advice.html`.

use std::sync::Arc;

use domain::health::{Health, Weight, advice};
use domain::id::LinkId;
use domain::link::Link;
use domain::report::{QUARTER_MS, quarter};
use domain::sketch::Seen;
use domain::time::{DAY_MS, Timestamp};
use store::Error;

use crate::format::Format;
use crate::site::Site;
use crate::viewer::Viewer;

/// How far back health looks, in days.
pub(crate) const DAYS: i64 = 7;
/// The most links that are looked at for one page: those that were clicked last.
const MOST_LINKS: usize = 300;

/// One thing that looks wrong with a link, as a page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Warned {
    /// The kind of its pill: `bad`, `attention` or `plain`.
    pub(crate) kind: &'static str,
    /// The pill's word.
    pub(crate) word: &'static str,
    /// What was seen.
    pub(crate) what: String,
    /// The quarter of an hour of the last such click, in the viewer's zone; empty when that is not known.
    pub(crate) last: String,
    /// What to do.
    pub(crate) next: &'static str,
    /// How many clicks it is about.
    pub(crate) clicks: i64,
}

/// One link with what looks wrong about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkHealth {
    /// The link.
    pub(crate) link: LinkId,
    /// The offer's page.
    pub(crate) href: String,
    /// The offer's name.
    pub(crate) offer: String,
    /// Hits of the last [`DAYS`] days.
    pub(crate) hits: i64,
    /// What looks wrong, worst first; empty: nothing.
    pub(crate) warnings: Vec<Warned>,
    /// Clicks that the worst warning is about.
    pub(crate) affected: i64,
    /// The same in words, of all hits.
    pub(crate) share: String,
}

/// The health of one of the viewer's own links.
pub(crate) async fn of_link(site: &Site, viewer: &Viewer, link: &Arc<Link>) -> Result<LinkHealth, Error> {
    let all = look(site, viewer, vec![Arc::clone(link)]).await?;
    Ok(all.into_iter().next().unwrap_or_else(|| shown(link, &Health::default(), &viewer.format)))
}

/// The viewer's links that something is wrong with, most clicks affected first. Links that nobody follows are left out.
pub(crate) async fn of_partner(site: &Site, viewer: &Viewer) -> Result<Vec<LinkHealth>, Error> {
    let mut all = look(site, viewer, viewer.links().cloned().collect()).await?;
    all.retain(|health| health.hits > 0 && !health.warnings.is_empty());
    all.sort_by(|a, b| b.affected.cmp(&a.affected).then_with(|| a.offer.cmp(&b.offer)));
    Ok(all)
}

async fn look(site: &Site, viewer: &Viewer, links: Vec<Arc<Link>>) -> Result<Vec<LinkHealth>, Error> {
    let mut seen: Vec<(LinkId, Vec<Seen>)> =
        links.iter().map(|link| (link.id, site.app.live.sketches.of(link.id))).collect();
    // Links with the newest clicks first: a partner may have more links than one page can look at.
    seen.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.last().map(|newest| newest.second)));
    seen.truncate(MOST_LINKS);
    let (from, until) = range(viewer.now);
    let told = site.app.db.read(move |tx| store::health::of_links(tx, &seen, from, until)).await?;
    let find = |id| links.iter().find(|link| link.id == id);
    Ok(told.iter().filter_map(|(id, health)| Some(shown(find(*id)?, health, &viewer.format))).collect())
}

fn shown(link: &Link, health: &Health, format: &Format) -> LinkHealth {
    let warnings = advice(health, DAYS, format.numbers()).into_iter().map(|advice| Warned {
        kind: kind(advice.weight).0,
        word: kind(advice.weight).1,
        what: advice.what,
        last: advice.last.map(|last| format.time(last)).unwrap_or_default(),
        next: advice.for_partner,
        clicks: advice.clicks,
    });
    let (hits, warnings) = (health.total().hits, warnings.collect::<Vec<Warned>>());
    let affected = warnings.iter().map(|warned| warned.clicks).max().unwrap_or(0);
    LinkHealth {
        link: link.id,
        href: format!("/offers/{}", link.offer.id),
        offer: link.offer.name.clone(),
        hits,
        affected,
        share: format!("{} of {} clicks", format.count(affected), format.count(hits)),
        warnings,
    }
}

/// Whole quarters, as clicks are counted.
fn range(now: Timestamp) -> (Timestamp, Timestamp) {
    (quarter(now.plus_ms(-DAYS * DAY_MS)), quarter(now).plus_ms(QUARTER_MS))
}

const fn kind(weight: Weight) -> (&'static str, &'static str) {
    match weight {
        Weight::Loss => ("bad", "Losing conversions"),
        Weight::Notice => ("attention", "Worth a look"),
        Weight::Idle => ("plain", "Not used"),
    }
}
