//! `GET /offers`: which offers there are, and the way to a link.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use domain::id::OfferId;
use domain::offer::{ConversionKind, Offer, OfferKind, OfferStatus};
use domain::targeting::{Mode, Test};
use domain::visitor::{Country, Device};

use super::{Ask, Found, Own, approval_pill, stage_pill, words};
use crate::component::Choice;
use crate::format::Format;
use crate::page::{self, Answer, Section, Shell};
use crate::query::{Query, Sort};
use crate::refused::Refused;
use crate::site::Site;
use crate::viewer::Viewer;

/// Offers on one page.
const ROWS: usize = 50;
/// Categories that are offered to choose from.
const MOST_CATEGORIES: usize = 200;
const PATH: &str = "/offers";

#[derive(Template)]
#[template(path = "offer/list.html")]
struct Page {
    shell: Shell,
    q: String,
    country: String,
    wrong_country: String,
    categories: Vec<Choice>,
    devices: Vec<Choice>,
    kinds: Vec<Choice>,
    money: Vec<Choice>,
    statuses: Vec<Choice>,
    links: Vec<Choice>,
    heads: Vec<Head>,
    rows: Vec<Row>,
    filtered: bool,
    csv: String,
    prev: String,
    next: String,
}

/// The heading of a column.
struct Head {
    word: &'static str,
    class: &'static str,
    href: String,
    aria: &'static str,
}

/// One offer.
struct Row {
    path: String,
    name: String,
    categories: String,
    payout: String,
    kind: &'static str,
    money: &'static str,
    stage: (&'static str, &'static str),
    approval: Option<(&'static str, &'static str)>,
    ask: Ask,
}

/// What is asked of the list.
struct Asked<'q> {
    q: String,
    category: &'q str,
    device: Option<Device>,
    country: Option<Country>,
    kind: Option<OfferKind>,
    money: Option<ConversionKind>,
    status: Option<OfferStatus>,
    link: &'q str,
}

impl<'q> Asked<'q> {
    fn read(query: &'q Query) -> Self {
        let code = |name| query.get(name).unwrap_or_default();
        Self {
            q: code("q").to_lowercase(),
            category: code("category"),
            device: code("device").parse().ok(),
            country: code("country").parse().ok(),
            kind: code("type").parse().ok(),
            money: code("payout").parse().ok(),
            status: code("status").parse().ok(),
            link: code("link"),
        }
    }

    fn takes(&self, offer: &Offer, own: Option<Own>, viewer: &Viewer) -> bool {
        let named = || offer.name.to_lowercase().contains(&self.q) || offer.slug.contains(&self.q);
        let link = match own {
            None => "none",
            Some(own) => own.approval.code(),
        };
        (self.q.is_empty() || named() || offer.id.to_string() == self.q)
            && (self.category.is_empty() || offer.categories.iter().any(|own| own == self.category))
            && self.kind.is_none_or(|kind| offer.kind() == kind)
            && self.money.is_none_or(|kind| offer.conversion_kind == kind)
            && self.status.is_none_or(|status| offer.stage_at(viewer.now) == status)
            && (self.link.is_empty() || self.link == link)
            && self.device.is_none_or(|device| takes(offer, |test| of_device(test, device)))
            && self.country.is_none_or(|country| takes(offer, |test| of_country(test, country)))
    }
}

/// Whether no rule keeps a visitor out, by what `matches` says of each rule; of rules about something else it says
/// nothing.
fn takes(offer: &Offer, matches: impl Fn(&Test) -> Option<bool>) -> bool {
    offer.rules.targeting.iter().all(|rule| match (matches(&rule.test), rule.mode) {
        (None, _) => true,
        (Some(fits), Mode::Allow) => fits,
        (Some(fits), Mode::Block) => !fits,
    })
}

fn of_device(test: &Test, device: Device) -> Option<bool> {
    if let Test::Device(ones) = test { Some(ones.contains(&device)) } else { None }
}

fn of_country(test: &Test, country: Country) -> Option<bool> {
    if let Test::Country(ones) = test { Some(ones.contains(&country)) } else { None }
}

/// `GET /offers`
pub(crate) async fn list(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    RawQuery(raw): RawQuery,
) -> Result<Answer, Refused> {
    let query = Query::read(raw.as_deref());
    let (seen, links) = seen(&site, &viewer);
    let asked = Asked::read(&query);
    let own = |offer: &Offer| links.get(&offer.id).copied();
    let sort = sorting(&query);
    let taken = taken(&seen, &links, &query, &viewer);
    let start = query.get("after").and_then(|text| text.parse().ok()).unwrap_or(0).min(taken.len());
    let shown = taken.iter().skip(start).take(ROWS);
    let rows = shown.map(|offer| row(offer, own(offer), &viewer)).collect();
    let at = |start: usize| query.with("after", &if start == 0 { String::new() } else { start.to_string() });
    let prev = if start == 0 { String::new() } else { at(start.saturating_sub(ROWS)).url(PATH) };
    let next = if start + ROWS < taken.len() { at(start + ROWS).url(PATH) } else { String::new() };
    let title = subtitle(taken.len(), seen.len(), &viewer.format);
    let page = Page {
        shell: Shell::new(&viewer, Section::Offers, "Offers", &title),
        q: query.get("q").unwrap_or_default().to_owned(),
        country: query.get("country").unwrap_or_default().to_owned(),
        wrong_country: wrong_country(&query),
        categories: categories(&seen, asked.category),
        devices: choices("Any device", (Device::ALL, Device::code, Device::code), asked.device),
        kinds: choices("Any type", (OfferKind::ALL, OfferKind::code, words::kind), asked.kind),
        money: choices("Any payout", (ConversionKind::ALL, ConversionKind::code, words::money), asked.money),
        statuses: choices("Any status", (&STATUSES, OfferStatus::code, OfferStatus::code), asked.status),
        links: link_choices(asked.link),
        heads: heads(&query, sort),
        rows,
        filtered: taken.len() != seen.len(),
        csv: query.at_start().url("/offers.csv"),
        prev,
        next,
    };
    Ok(page::html(StatusCode::OK, &page))
}

/// `GET /offers.csv`: every offer of the same query.
pub(crate) async fn file(
    State(site): State<Arc<Site>>,
    viewer: Viewer,
    RawQuery(raw): RawQuery,
) -> Result<Answer, Refused> {
    let query = Query::read(raw.as_deref());
    let (seen, links) = seen(&site, &viewer);
    Ok(csv(&taken(&seen, &links, &query, &viewer), &links, &viewer))
}

/// The offers that a query asks for, in its order.
fn taken<'s>(
    seen: &'s [Arc<Offer>],
    links: &HashMap<OfferId, Own>,
    query: &Query,
    viewer: &Viewer,
) -> Vec<&'s Arc<Offer>> {
    let asked = Asked::read(query);
    let own = |offer: &Offer| links.get(&offer.id).copied();
    let mut taken: Vec<_> = seen.iter().filter(|offer| asked.takes(offer, own(offer), viewer)).collect();
    order(&mut taken, sorting(query), viewer);
    taken
}

/// The states that partners see.
const STATUSES: [OfferStatus; 3] = [OfferStatus::Active, OfferStatus::Paused, OfferStatus::Expired];

/// Every offer that the viewer may see, and the partner's links by offer.
fn seen(site: &Site, viewer: &Viewer) -> (Vec<Arc<Offer>>, HashMap<OfferId, Own>) {
    let own = |link: &Arc<domain::link::Link>| Own { id: link.id, approval: link.approval };
    let links: HashMap<OfferId, Own> = viewer.links().map(|link| (link.offer.id, own(link))).collect();
    let catalog = site.app.live.catalog.load_full();
    let all = catalog.offers.values().filter(|offer| offer.network.id == viewer.network.id);
    let seen = all.filter(|offer| links.contains_key(&offer.id) || offer.is_offered(viewer.now));
    (seen.cloned().collect(), links)
}

fn subtitle(taken: usize, seen: usize, format: &Format) -> String {
    match (taken, seen) {
        (_, 0) => "None yet".to_owned(),
        (taken, seen) if taken == seen => format!("{} you can see", format.len(seen)),
        (taken, seen) => format!("{} of {}", format.len(taken), format.len(seen)),
    }
}

fn wrong_country(query: &Query) -> String {
    let wrong = query.get("country").and_then(|text| text.parse::<Country>().err());
    wrong.map(|why| why.to_string()).unwrap_or_default()
}

fn sorting(query: &Query) -> Sort<'static> {
    match query.get("sort") {
        None => Sort { by: "name", falls: false },
        Some(_) => query.sort(&["name", "payout", "status"]),
    }
}

fn order(offers: &mut [&Arc<Offer>], sort: Sort<'_>, viewer: &Viewer) {
    let name = |offer: &Arc<Offer>| (offer.name.to_lowercase(), offer.id.uuid());
    match sort.by {
        "payout" => offers.sort_by_cached_key(|offer| {
            (offer.conversion_kind, words::best(offer, viewer.now), offer.id.uuid())
        }),
        "status" => {
            offers.sort_by_cached_key(|offer| (offer.stage_at(viewer.now), offer.name.to_lowercase()));
        }
        _ => offers.sort_by_cached_key(|offer| name(offer)),
    }
    if sort.falls {
        offers.reverse();
    }
}

fn heads(query: &Query, sort: Sort<'_>) -> Vec<Head> {
    let head = |by: &str, word, class| Head {
        word,
        class,
        href: query.with("sort", &sort.next(by)).at_start().url(PATH),
        aria: sort.aria(by),
    };
    vec![head("name", "Offer", ""), head("payout", "Payout", "num"), head("status", "Status", "")]
}

fn row(offer: &Arc<Offer>, own: Option<Own>, viewer: &Viewer) -> Row {
    let found = Found { offer: Arc::clone(offer), own };
    Row {
        path: found.path(),
        name: offer.name.clone(),
        categories: offer.categories.join(", "),
        payout: words::payout(offer, viewer.now, &viewer.format),
        kind: words::kind(offer.kind()),
        money: words::money(offer.conversion_kind),
        stage: stage_pill(offer, viewer.now),
        approval: approval_pill(own),
        ask: found.ask(viewer),
    }
}

fn csv(offers: &[&Arc<Offer>], links: &HashMap<OfferId, Own>, viewer: &Viewer) -> Answer {
    let head = ["offer_id", "name", "categories", "payout", "type", "payout_type", "status", "link"];
    let rows = offers.iter().map(|offer| {
        let row = row(offer, links.get(&offer.id).copied(), viewer);
        let link = row.approval.map_or("none", |(_, word)| word).to_owned();
        let (kind, money) = (offer.kind().code().to_owned(), offer.conversion_kind.code().to_owned());
        let stage = row.stage.1.to_owned();
        let payout = words::payout(offer, viewer.now, &viewer.format.in_files());
        let payout = payout.replace(['\u{a0}', '\u{202f}'], " ");
        vec![offer.id.to_string(), row.name, row.categories, payout, kind, money, stage, link]
    });
    page::csv("offers", &head, rows)
}

/// How a choice is written.
type Said<T> = fn(T) -> &'static str;

fn choices<T: Copy + PartialEq>(
    any: &str,
    (all, code, word): (&[T], Said<T>, Said<T>),
    chosen: Option<T>,
) -> Vec<Choice> {
    let each = all.iter().map(|own| Choice::new(code(*own), word(*own), chosen == Some(*own)));
    std::iter::once(Choice::new("", any, chosen.is_none())).chain(each).collect()
}

fn categories(seen: &[Arc<Offer>], chosen: &str) -> Vec<Choice> {
    let all: BTreeSet<&str> =
        seen.iter().flat_map(|offer| &offer.categories).map(String::as_str).take(100_000).collect();
    let each = all.into_iter().take(MOST_CATEGORIES).map(|own| Choice::new(own, own, own == chosen));
    std::iter::once(Choice::new("", "Any category", chosen.is_empty())).chain(each).collect()
}

fn link_choices(chosen: &str) -> Vec<Choice> {
    let all = [
        ("", "Any link"),
        ("Approved", "Link approved"),
        ("Requested", "Link requested"),
        ("Refused", "Link refused"),
        ("none", "No link yet"),
    ];
    all.iter().map(|(value, word)| Choice::new(*value, *word, *value == chosen)).collect()
}
