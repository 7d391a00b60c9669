//! Offers with their events.

use std::collections::HashMap;
use std::sync::Arc;

use domain::advertiser::Advertiser;
use domain::cap::Limit;
use domain::click::Destination;
use domain::id::{AdvertiserId, EventId, NetworkId, OfferId};
use domain::money::{Percent, Rate};
use domain::network::Network;
use domain::offer::{ConversionKind, Event, Offer, OfferKind, Results, ScheduledChange, Terms};
use domain::sequence::Order;
use domain::time::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::catalog::{Dangling, PAGE, each_row, unreadable};
use crate::{Error, Row, Statement, Tx, Value, offer_change};

pub(crate) const ALL: &[&Statement] = &[&EVERY, &EVENTS, &TEXTS, &TEXTS_OF, &INSERT, &UPDATE, &PUT_EVENT];

static EVERY: Statement = Statement::new(
    "offer.all",
    "select offer_id, network_id, advertiser_id, slug, name, status, kind, conversion_kind, currency, destination,
         fallback_url, launches_ms, expires_ms, attribution_window_ms, rules, categories
     from offer where offer_id > ?1 order by offer_id limit ?2",
);

static EVENTS: Statement = Statement::new(
    "offer.events",
    "select offer_id, event_id, code, name, revenue, payout, reward_points, approval, pending_days, repeats,
         rules, visible
     from offer_event where offer_id >= ?1 and offer_id <= ?2 order by offer_id, display_order, code",
);

static TEXTS: Statement = Statement::new(
    "offer.texts",
    "select offer_id, headline, description, terms, creatives from offer
     where offer_id > ?1 order by offer_id limit ?2",
);

static TEXTS_OF: Statement = Statement::new(
    "offer.texts_of",
    "select headline, description, terms, creatives from offer where network_id = ?1 and offer_id = ?2",
);

static INSERT: Statement = Statement::new(
    "offer.insert",
    "insert into offer (offer_id, network_id, advertiser_id, slug, name, headline, description, status, kind,
         conversion_kind, currency, destination, fallback_url, launches_ms, expires_ms, attribution_window_ms,
         rules, terms, categories, creatives)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
);

static UPDATE: Statement = Statement::new(
    "offer.update",
    "update offer set advertiser_id = ?2, name = ?3, headline = ?4, description = ?5, status = ?6,
         conversion_kind = ?7, currency = ?8, destination = ?9, fallback_url = ?10, launches_ms = ?11,
         expires_ms = ?12, attribution_window_ms = ?13, rules = ?14, terms = ?15,
         categories = ?16, creatives = ?17
     where offer_id = ?1",
);

static PUT_EVENT: Statement = Statement::new(
    "offer.put_event",
    "insert into offer_event (offer_id, event_id, network_id, code, name, display_order, revenue, payout,
         reward_points, approval, pending_days, repeats, rules, visible)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
     on conflict (offer_id, event_id) do update set name = excluded.name, display_order = excluded.display_order,
         revenue = excluded.revenue, payout = excluded.payout, reward_points = excluded.reward_points,
         approval = excluded.approval, pending_days = excluded.pending_days, repeats = excluded.repeats,
         rules = excluded.rules, visible = excluded.visible",
);

/// The most events that one offer may have; keeps a page of offers within a query's bound.
pub const MAX_EVENTS: usize = 100;

/// What an offer says to people and no rule looks at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Texts {
    /// One line.
    pub headline: String,
    /// A few lines.
    pub description: String,
    /// What partners must and must not do.
    pub terms: String,
    /// What partners may show.
    pub creatives: Vec<Creative>,
}

/// Something that partners may show to advertise an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Creative {
    /// What it is, for instance `Banner 300×250`.
    pub name: String,
    /// Where it is: an http(s) URL.
    pub url: String,
}

/// Every offer, with its network and advertiser out of those given.
pub fn all(
    tx: &mut Tx<'_>,
    networks: &HashMap<NetworkId, Arc<Network>>,
    advertisers: &HashMap<AdvertiserId, Arc<Advertiser>>,
) -> Result<HashMap<OfferId, Arc<Offer>>, Error> {
    let mut all = HashMap::new();
    let mut planned = offer_change::by_offer(tx)?;
    let mut after: Value = Vec::new().into();
    loop {
        let rows = tx.query(&EVERY, &[after, PAGE.into()])?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(all) };
        let last = last.blob("offer_id")?;
        let events = tx.query(&EVENTS, &[first.blob("offer_id")?.into(), last.clone().into()])?;
        let mut terms = terms_by_offer(&events);
        for row in &rows {
            let own = terms.remove(&row.uuid("offer_id")?).unwrap_or_default();
            let changes = planned.remove(&row.uuid("offer_id")?).unwrap_or_default();
            let offer = read(row, &own, changes, networks, advertisers)
                .map_err(|why| unreadable(&EVERY, row, "offer_id", why))?;
            all.insert(offer.id, Arc::new(offer));
        }
        after = last.into();
    }
}

/// The texts of every offer.
pub fn texts(tx: &mut Tx<'_>) -> Result<HashMap<OfferId, Texts>, Error> {
    let mut all = HashMap::new();
    each_row(tx, &TEXTS, "offer_id", |row| {
        all.insert(OfferId(row.uuid("offer_id")?), read_texts(row)?);
        Ok(())
    })?;
    Ok(all)
}

/// The texts of one offer of a network.
pub fn texts_of(tx: &mut Tx<'_>, network: NetworkId, offer: OfferId) -> Result<Option<Texts>, Error> {
    let row = tx.query_one(&TEXTS_OF, &[network.uuid().into(), offer.uuid().into()])?;
    row.map(|row| read_texts(&row)).transpose()
}

fn read_texts(row: &Row) -> Result<Texts, Error> {
    Ok(Texts {
        headline: row.text("headline")?,
        description: row.text("description")?,
        terms: row.text("terms")?,
        creatives: from_json(&row.text("creatives")?)?,
    })
}

/// Adds an offer with its events.
pub fn insert(tx: &mut Tx<'_>, offer: &Offer, texts: &Texts) -> Result<(), Error> {
    let params = [
        offer.id.uuid().into(),
        offer.network.id.uuid().into(),
        offer.advertiser.id.uuid().into(),
        offer.slug.as_str().into(),
        offer.name.as_str().into(),
        texts.headline.as_str().into(),
        texts.description.as_str().into(),
        offer.status.code().into(),
        offer.kind().code().into(),
        offer.conversion_kind.code().into(),
        offer.currency.code().into(),
        offer.destination.text().into(),
        offer.fallback_url.as_deref().into(),
        offer.launches.map(Timestamp::ms).into(),
        offer.expires.map(Timestamp::ms).into(),
        offer.attribution_window_ms.into(),
        json(&offer.rules)?.into(),
        texts.terms.as_str().into(),
        json(&offer.categories)?.into(),
        json(&texts.creatives)?.into(),
    ];
    tx.execute(&INSERT, &params)?;
    put_events(tx, offer)
}

/// Changes everything of an offer but its slug and type; events that are stored and not in it stay as they are.
pub fn update(tx: &mut Tx<'_>, offer: &Offer, texts: &Texts) -> Result<(), Error> {
    let params = [
        offer.id.uuid().into(),
        offer.advertiser.id.uuid().into(),
        offer.name.as_str().into(),
        texts.headline.as_str().into(),
        texts.description.as_str().into(),
        offer.status.code().into(),
        offer.conversion_kind.code().into(),
        offer.currency.code().into(),
        offer.destination.text().into(),
        offer.fallback_url.as_deref().into(),
        offer.launches.map(Timestamp::ms).into(),
        offer.expires.map(Timestamp::ms).into(),
        offer.attribution_window_ms.into(),
        json(&offer.rules)?.into(),
        texts.terms.as_str().into(),
        json(&offer.categories)?.into(),
        json(&texts.creatives)?.into(),
    ];
    tx.execute(&UPDATE, &params)?;
    put_events(tx, offer)
}

fn put_events(tx: &mut Tx<'_>, offer: &Offer) -> Result<(), Error> {
    match &offer.results {
        Results::Single(terms) => put_event(tx, offer, EventId::NONE, ("", "", true), 0, terms),
        Results::Multi(events) => (0i64..).zip(events).try_for_each(|(order, event)| {
            put_event(tx, offer, event.id, (&event.code, &event.name, event.visible), order, &event.terms)
        }),
    }
}

fn put_event(
    tx: &mut Tx<'_>,
    offer: &Offer,
    event: EventId,
    (code, name, visible): (&str, &str, bool),
    order: i64,
    terms: &Terms,
) -> Result<(), Error> {
    let params = [
        offer.id.uuid().into(),
        event.uuid().into(),
        offer.network.id.uuid().into(),
        code.into(),
        name.into(),
        order.into(),
        stored_rate(terms.revenue).into(),
        stored_rate(terms.payout).into(),
        terms.reward_points.into(),
        terms.approval.code().into(),
        terms.pending_days.into(),
        terms.repeats.into(),
        json(&StoredRules { caps: terms.caps.clone(), order: terms.order })?.into(),
        visible.into(),
    ];
    tx.execute(&PUT_EVENT, &params).map(drop)
}

/// The rules of one result, as they are stored.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StoredRules {
    caps: Vec<Limit>,
    order: Order,
}

fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|why| Error::bug("offer.rules", why))
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|why| Error::bug("offer.rules", why))
}

fn stored_rate(rate: Rate) -> i64 {
    match rate {
        Rate::Flat(micros) => micros,
        Rate::Share(percent) => percent.millionths(),
    }
}

fn terms_by_offer(rows: &[Row]) -> HashMap<Uuid, Vec<&Row>> {
    let mut by_offer: HashMap<Uuid, Vec<&Row>> = HashMap::new();
    for row in rows {
        by_offer.entry(row.uuid("offer_id").unwrap_or_default()).or_default().push(row);
    }
    by_offer
}

fn read(
    row: &Row,
    events: &[&Row],
    changes: Vec<ScheduledChange>,
    networks: &HashMap<NetworkId, Arc<Network>>,
    advertisers: &HashMap<AdvertiserId, Arc<Advertiser>>,
) -> Result<Offer, Error> {
    let (network, advertiser) = (row.uuid("network_id")?, row.uuid("advertiser_id")?);
    let dangling = |what, id| Error::bug(EVERY.name, Dangling { what, id });
    let conversion_kind = row.code("conversion_kind")?;
    Ok(Offer {
        id: OfferId(row.uuid("offer_id")?),
        network: networks.get(&NetworkId(network)).cloned().ok_or_else(|| dangling("network", network))?,
        advertiser: advertisers
            .get(&AdvertiserId(advertiser))
            .cloned()
            .ok_or_else(|| dangling("advertiser", advertiser))?,
        slug: row.text("slug")?,
        name: row.text("name")?,
        categories: from_json(&row.text("categories")?)?,
        status: row.code("status")?,
        launches: row.opt_int("launches_ms")?.map(Timestamp::from_ms),
        expires: row.opt_int("expires_ms")?.map(Timestamp::from_ms),
        currency: row.code("currency")?,
        conversion_kind,
        results: results(row, events, conversion_kind)?,
        destination: Destination::stored(&row.text("destination")?)
            .map_err(|why| Error::bug(EVERY.name, why))?,
        fallback_url: row.opt_text("fallback_url")?,
        attribution_window_ms: row.int("attribution_window_ms")?,
        rules: from_json(&row.text("rules")?)?,
        changes,
    })
}

fn results(row: &Row, events: &[&Row], kind: ConversionKind) -> Result<Results, Error> {
    match (row.code::<OfferKind>("kind")?, events) {
        (OfferKind::SingleEvent, [only]) => Ok(Results::Single(terms(only, kind)?)),
        (OfferKind::MultiEvent, events) => {
            let event = |row: &&Row| {
                Ok(Event {
                    id: EventId(row.uuid("event_id")?),
                    code: row.text("code")?,
                    name: row.text("name")?,
                    terms: terms(row, kind)?,
                    visible: row.flag("visible")?,
                })
            };
            events.iter().map(event).collect::<Result<_, _>>().map(Results::Multi)
        }
        (OfferKind::SingleEvent, rows) => {
            Err(row.unreadable("kind", &format!("SingleEvent with {} terms", rows.len())))
        }
    }
}

fn terms(row: &Row, kind: ConversionKind) -> Result<Terms, Error> {
    let rate = |column| {
        let stored = row.int(column)?;
        match kind {
            ConversionKind::FlatRate => Ok(Rate::Flat(stored)),
            ConversionKind::RevShare => Percent::from_millionths(stored)
                .map(Rate::Share)
                .map_err(|_| row.unreadable(column, &stored.to_string())),
        }
    };
    let StoredRules { caps, order } = from_json(&row.text("rules")?)?;
    Ok(Terms {
        caps,
        order,
        revenue: rate("revenue")?,
        payout: rate("payout")?,
        reward_points: row.int("reward_points")?,
        approval: row.code("approval")?,
        pending_days: row.int("pending_days")?,
        repeats: row.flag("repeats")?,
    })
}
