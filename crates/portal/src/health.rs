//! Link health: what a partner's clicks say about how its links are set up. Home shows it for all links, an offer's
//! page for one, both with `templates/health/advice.html`.

use std::collections::HashMap;
use std::sync::Arc;

use domain::health::{Health, Weight, advice};
use domain::id::LinkId;
use domain::link::Link;
use domain::sketch::Seen;
use domain::time::{DAY_MS, Timestamp};
use store::{Error, Tx};

use crate::format::Format;
use crate::site::Site;
use crate::viewer::Viewer;

/// How far back health looks, in days, today among them.
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

/// The health of one of the viewer's own links, and what is shown of it.
pub(crate) async fn of_link(
    site: &Site,
    viewer: &Viewer,
    link: &Arc<Link>,
) -> Result<(Health, LinkHealth), Error> {
    let (network, seen) = (viewer.network.id, vec![(link.id, site.app.live.sketches.of(link.id))]);
    let ((from, until), id) = (range(viewer.now), link.id);
    let read = move |tx: &mut Tx<'_>| -> Result<Health, Error> {
        let found = store::health::of_links(tx, network, &seen, from, until)?;
        let mut health = found.into_iter().next().map(|(_, health)| health).unwrap_or_default();
        store::health::sharpen(tx, id, &mut health)?;
        Ok(health)
    };
    let health = site.app.db.read(read).await?;
    let shown = shown(link, &health, &viewer.format);
    Ok((health, shown))
}

/// The viewer's links that something is wrong with, most clicks affected first, at most `most`, and how many more there
/// are. Links that nobody follows are left out.
pub(crate) async fn of_partner(
    site: &Site,
    viewer: &Viewer,
    most: usize,
) -> Result<(Vec<LinkHealth>, usize), Error> {
    let links: HashMap<LinkId, Arc<Link>> = viewer.links().map(|link| (link.id, Arc::clone(link))).collect();
    let mut seen: Vec<(LinkId, Vec<Seen>)> =
        links.keys().map(|link| (*link, site.app.live.sketches.of(*link))).collect();
    // Links with the newest clicks first: a partner may have more links than one page can look at.
    seen.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.last().map(|newest| newest.second)));
    seen.truncate(MOST_LINKS);
    let (network, (from, until), format) = (viewer.network.id, range(viewer.now), viewer.format.clone());
    let read = move |tx: &mut Tx<'_>| -> Result<_, Error> {
        let found = store::health::of_links(tx, network, &seen, from, until)?;
        let warned = found.into_iter().filter_map(|(id, health)| {
            let shown = shown(links.get(&id)?, &health, &format);
            (shown.hits > 0 && !shown.warnings.is_empty()).then_some((shown, health))
        });
        let mut warned: Vec<(LinkHealth, Health)> = warned.collect();
        warned.sort_by(|(a, _), (b, _)| b.affected.cmp(&a.affected).then_with(|| a.offer.cmp(&b.offer)));
        let more = warned.len().saturating_sub(most);
        let worst = warned.into_iter().take(most).map(|(shown, mut health)| {
            store::health::sharpen(tx, shown.link, &mut health)?;
            Ok(links.get(&shown.link).map_or(shown, |link| self::shown(link, &health, &format)))
        });
        Ok((worst.collect::<Result<Vec<_>, Error>>()?, more))
    };
    site.app.db.read(read).await
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

/// Today and the days before, in UTC: whole days, as clicks are summed up.
fn range(now: Timestamp) -> (Timestamp, Timestamp) {
    let today = Timestamp::from_ms(now.ms().div_euclid(DAY_MS) * DAY_MS);
    (today.plus_ms((1 - DAYS) * DAY_MS), today.plus_ms(DAY_MS))
}

const fn kind(weight: Weight) -> (&'static str, &'static str) {
    match weight {
        Weight::Loss => ("bad", "Losing conversions"),
        Weight::Notice => ("attention", "Worth a look"),
        Weight::Idle => ("plain", "Not used"),
    }
}
