//! `[[offer]]` and `[[offer.event]]`

use std::collections::HashMap;
use std::sync::Arc;

use domain::click::{Destination, DestinationMacro};
use domain::id::{EventId, OfferId};
use domain::money::Currency;
use domain::network::Network;
use domain::offer::{ConversionKind, Event, Offer, OfferKind, OfferStatus, Results, Rules, Terms};
use domain::time::{DAY_MS, Timestamp};
use store::offer::{Creative, MAX_EVENTS, Texts};

use super::declaration::{Declared, Noun};
use super::fault::Sound;
use super::fields::{At, Fields};
use super::plan::{Field, Planner, Step, Write};
use super::{change, rules, sequence, terms, value};

/// What the file says of an offer.
#[derive(Debug)]
pub(crate) struct Body {
    advertiser: At<String>,
    name: Option<String>,
    texts: Texts,
    categories: Vec<String>,
    status: Option<OfferStatus>,
    kind: At<OfferKind>,
    conversion_kind: At<ConversionKind>,
    currency: Option<Currency>,
    destination: Destination,
    fallback_url: Option<String>,
    launches: Option<Timestamp>,
    expires: Option<Timestamp>,
    attribution_window_ms: i64,
    rules: Rules,
    results: Declaring,
    changes: Vec<change::Declared>,
}

/// What the offer pays for, before its events have ids.
#[derive(Debug)]
enum Declaring {
    Single(Terms),
    Multi(Vec<DeclaredEvent>),
}

#[derive(Debug)]
struct DeclaredEvent {
    code: String,
    name: Option<String>,
    terms: Terms,
    visible: bool,
    /// Where its sequence number stands.
    sequence_at: usize,
}

/// The most categories of one offer.
const MAX_CATEGORIES: usize = 20;
/// The most creatives of one offer.
const MAX_CREATIVES: usize = 50;

/// How long after a click a conversion counts, when the file does not say.
const DEFAULT_WINDOW_MS: i64 = 30 * DAY_MS;

pub(crate) fn read(mut fields: Fields<'_>) -> Sound<Declared<Body>> {
    let slug = fields.name(Noun::Offer, "slug", value::slug);
    let body = body(&mut fields);
    fields.declare(Noun::Offer, slug, body)
}

fn body(fields: &mut Fields<'_>) -> Sound<Body> {
    let advertiser = fields.reference("advertiser", value::slug);
    let name = fields.optional("name", value::name);
    let texts = texts(fields);
    let categories = categories(fields);
    let status = fields.optional("status", value::code);
    let kind = fields.optional("type", value::code);
    let conversion_kind = fields.optional("conversion_type", value::code);
    let currency = fields.optional("currency", value::currency);
    let destination = fields.required("destination", |given| {
        value::template(given, |text| Destination::parse(text)?.require(DestinationMacro::ClickId))
    });
    let fallback_url = fields.optional("fallback_url", value::plain_url);
    let window = fields.optional("attribution_window", value::window);
    let window_ms = window.map(|window| window.unwrap_or(DEFAULT_WINDOW_MS));
    let life = life(fields);
    let rules = rules::read(fields, window_ms.unwrap_or(i64::MAX));
    let kind = kind.map(|kind| kind.unwrap_or(OfferKind::SingleEvent));
    let conversion_kind = conversion_kind.map(|kind| kind.unwrap_or(ConversionKind::FlatRate));
    let changes = change::read(fields, kind, conversion_kind);
    let results = results(fields, kind, conversion_kind);
    let (launches, expires) = life?;
    Ok(Body {
        advertiser: advertiser?,
        name: name?,
        texts: texts?,
        categories: categories?,
        status: status?,
        kind: At { at: fields.at("type"), value: kind? },
        conversion_kind: At { at: fields.at("conversion_type"), value: conversion_kind? },
        currency: currency?,
        destination: destination?,
        fallback_url: fallback_url?,
        launches,
        expires,
        attribution_window_ms: window_ms?,
        rules: rules?,
        results: results?,
        changes: changes?,
    })
}

/// What it says to people.
fn texts(fields: &mut Fields<'_>) -> Sound<Texts> {
    let headline = fields.optional("headline", value::prose);
    let description = fields.optional("description", value::prose);
    let terms = fields.optional("terms", value::prose);
    let creatives = creatives(fields);
    Ok(Texts {
        headline: headline?.unwrap_or_default(),
        description: description?.unwrap_or_default(),
        terms: terms?.unwrap_or_default(),
        creatives: creatives?,
    })
}

fn creatives(fields: &mut Fields<'_>) -> Sound<Vec<Creative>> {
    let subject = fields.subject().to_owned();
    let like = "creatives = [{ name = \"Banner 300×250\", url = \"https://…\" }]";
    let tables = fields.tables("creatives", like, |number| format!("{subject} creative number {number}"))?;
    if tables.len() > MAX_CREATIVES {
        return Err(fields.fault(fields.at("creatives"), format!("has more than {MAX_CREATIVES} creatives")));
    }
    let one = |mut table: Fields<'_>| {
        let (name, url) = (table.required("name", value::name), table.required("url", value::plain_url));
        table.finish()?;
        Ok(Creative { name: name?, url: url? })
    };
    tables.into_iter().map(one).collect()
}

fn categories(fields: &mut Fields<'_>) -> Sound<Vec<String>> {
    let named = fields.list("categories", value::name)?;
    if named.len() > MAX_CATEGORIES {
        let why = format!("has more than {MAX_CATEGORIES} categories");
        return Err(fields.fault(fields.at("categories"), why));
    }
    let mut all: Vec<String> = named.into_iter().map(|At { value, .. }| value).collect();
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Launch and expiry.
fn life(fields: &mut Fields<'_>) -> Sound<(Option<Timestamp>, Option<Timestamp>)> {
    let launches = fields.optional("launch", value::moment);
    let expires = fields.optional("expiry", value::moment);
    match (launches?, expires?) {
        (Some(launch), Some(expiry)) if expiry <= launch => {
            Err(fields.fault(fields.at("expiry"), "expiry: must be after launch"))
        }
        life => Ok(life),
    }
}

fn results(
    fields: &mut Fields<'_>,
    kind: Sound<OfferKind>,
    conversion_kind: Sound<ConversionKind>,
) -> Sound<Declaring> {
    let subject = fields.subject().to_owned();
    let like = "[[offer.event]], once for each";
    let events = fields.tables("event", like, |number| format!("{subject} event number {number}"));
    fields.know(&terms::KEYS);
    let (kind, conversion_kind, events) = (kind?, conversion_kind?, events?);
    match kind {
        OfferKind::SingleEvent if events.is_empty() => {
            terms::read(fields, conversion_kind).map(Declaring::Single)
        }
        OfferKind::SingleEvent => {
            let why = "a SingleEvent offer has no events; remove them, or set type = \"MultiEvent\"";
            Err(fields.fault(fields.at("event"), why))
        }
        OfferKind::MultiEvent => multi(fields, events, &subject, conversion_kind),
    }
}

fn multi(
    fields: &Fields<'_>,
    events: Vec<Fields<'_>>,
    subject: &str,
    conversion_kind: ConversionKind,
) -> Sound<Declaring> {
    let mut sound = Ok(());
    for key in terms::KEYS.into_iter().filter(|key| fields.has(key)) {
        let why = format!("{key}: stands on each [[offer.event]] of a MultiEvent offer, not on the offer");
        sound = Err(fields.fault(fields.at(key), why));
    }
    if events.is_empty() {
        let why = "a MultiEvent offer needs at least one [[offer.event]]";
        return Err(fields.fault(fields.at("type"), why));
    }
    if events.len() > MAX_EVENTS {
        return Err(fields.fault(fields.at("event"), format!("has more than {MAX_EVENTS} events")));
    }
    let mut seen = HashMap::new();
    let mut declared = Vec::with_capacity(events.len());
    for mut event in events {
        let at = event.at("code");
        match one_event(&mut event, subject, conversion_kind) {
            Ok(one) if seen.insert(one.code.clone(), at).is_some() => {
                sound = Err(event.fault(at, "code: this offer has another event of this code"));
            }
            Ok(one) => declared.push(one),
            Err(told) => sound = Err(told),
        }
    }
    sound.map(|()| Declaring::Multi(declared))
}

fn one_event(event: &mut Fields<'_>, subject: &str, conversion_kind: ConversionKind) -> Sound<DeclaredEvent> {
    let code = event.required("code", value::event_code);
    if let Ok(code) = &code {
        event.named(format!("{subject} event \"{code}\""));
    }
    let name = event.optional("name", value::name);
    let terms = terms::read(event, conversion_kind);
    let order = sequence::read(event);
    let visible = event.optional("visible", value::flag);
    event.finish()?;
    let At { at: sequence_at, value: order } = order?;
    let (terms, visible) = (Terms { order, ..terms? }, visible?.unwrap_or(true));
    Ok(DeclaredEvent { code: code?, name: name?, terms, visible, sequence_at })
}

pub(crate) fn plan(
    planner: &mut Planner<'_>,
    network: &Arc<Network>,
    name: &At<String>,
    body: Body,
) -> Sound<()> {
    let slug = name.value.as_str();
    let subject = format!("offer \"{slug}\"");
    let advertiser = planner.find(&planner.advertisers, network, &subject, &body.advertiser);
    let old = planner.offers.get(network.id, slug);
    let currency = body.currency.unwrap_or(network.currency);
    if let Some(old) = &old {
        check_change(planner, &subject, name.at, &body, currency, old)?;
    }
    let advertiser = advertiser?;
    let left: Vec<Event> = old.iter().flat_map(|old| left_out(&body.results, old)).cloned().collect();
    check_sequence(planner, &subject, &body.results, &left)?;
    let before = old.as_ref().map(|old| change::Before {
        offer: old,
        left: left.iter().map(|event| event.id).collect(),
        keeps_status: body.status.is_none(),
    });
    let mut offer = Offer {
        id: old.as_ref().map_or_else(|| OfferId(planner.new_id()), |old| old.id),
        network: Arc::clone(network),
        advertiser,
        slug: slug.to_owned(),
        name: body.name.unwrap_or_else(|| slug.to_owned()),
        categories: body.categories,
        // People change it while the network runs; a file that does not name it leaves it.
        status: body.status.unwrap_or(OfferStatus::Active),
        launches: body.launches,
        expires: body.expires,
        currency,
        conversion_kind: body.conversion_kind.value,
        results: with_ids(planner, body.results, left.clone(), old.as_deref()),
        destination: body.destination,
        fallback_url: body.fallback_url,
        attribution_window_ms: body.attribution_window_ms,
        rules: body.rules,
        changes: Vec::new(),
    };
    if planner.places_unknown && offer.asks_for_place() {
        let why = "targeting: nothing on this machine tells the country of an address, so a rule that allows countries \
                   or regions lets nobody pass; name a file by `place_file`, or install tor-geoipdb";
        planner.faults.warn(name.at, format!("{subject}: {why}"));
    }
    let place = At { at: name.at, value: subject.as_str() };
    let schedule = change::plan(planner, &place, &body.changes, &mut offer, before.as_ref())?;
    let record = Arc::new(offer);
    planner.offers.put(network.id, slug, Arc::clone(&record));
    let now = planner.at();
    let before = old.map(|old| {
        let texts = planner.stored.texts.get(&old.id).cloned().unwrap_or_default();
        fields(&old, &texts, now)
    });
    let after = fields(&record, &body.texts, now);
    let id = record.id.uuid();
    let write = Write::Offer { record, texts: body.texts, schedule };
    planner.step(Step::new((Noun::Offer, slug), network, id, (before, after), write));
    Ok(())
}

fn check_sequence(planner: &Planner<'_>, subject: &str, results: &Declaring, left: &[Event]) -> Sound<()> {
    let Declaring::Multi(events) = results else { return Ok(()) };
    let order = |event: &DeclaredEvent| At { at: event.sequence_at, value: event.terms.order };
    let declared: Vec<_> = events.iter().map(|event| (event.code.as_str(), order(event))).collect();
    sequence::check(planner, subject, &declared, left)
}

/// What may not change, because recorded conversions or events outside the file depend on it.
fn check_change(
    planner: &Planner<'_>,
    subject: &str,
    at: usize,
    body: &Body,
    currency: Currency,
    old: &Offer,
) -> Sound<()> {
    let fault = |at, why: String| Err(planner.faults.fault(at, format!("{subject}: {why}")));
    if body.kind.value != old.kind() {
        let (was, wanted) = (old.kind(), body.kind.value);
        let why = format!("type: cannot change from {was} to {wanted}; declare another offer");
        return fault(body.kind.at, why);
    }
    let left = left_out(&body.results, old);
    let Some(event) = left.first() else { return Ok(()) };
    let (code, kind) = (&event.code, body.conversion_kind.value);
    if kind != old.conversion_kind {
        let why = format!(
            "conversion_type: cannot become {kind} without event \"{code}\", which is stored; declare it"
        );
        return fault(body.conversion_kind.at, why);
    }
    if currency != old.currency {
        let why = format!(
            "currency: cannot become {currency} without event \"{code}\", which is stored; declare it"
        );
        return fault(at, why);
    }
    Ok(())
}

/// The events that are stored and that the file does not name.
fn left_out<'o>(results: &Declaring, old: &'o Offer) -> Vec<&'o Event> {
    match (results, &old.results) {
        (Declaring::Multi(declared), Results::Multi(stored)) => {
            stored.iter().filter(|event| declared.iter().all(|own| own.code != event.code)).collect()
        }
        _ => Vec::new(),
    }
}

/// Events keep their ids; those that the file does not name stay behind the others.
fn with_ids(planner: &Planner<'_>, results: Declaring, left: Vec<Event>, old: Option<&Offer>) -> Results {
    let known = |code: &str| old.and_then(|old| old.event(code)).map(|event| event.id);
    match results {
        Declaring::Single(terms) => Results::Single(terms),
        Declaring::Multi(events) => {
            let event = |event: DeclaredEvent| Event {
                id: known(&event.code).unwrap_or_else(|| EventId(planner.new_id())),
                name: event.name.unwrap_or_else(|| event.code.clone()),
                code: event.code,
                terms: event.terms,
                visible: event.visible,
            };
            Results::Multi(events.into_iter().map(event).chain(left).collect())
        }
    }
}

fn creatives_text(creatives: &[Creative]) -> String {
    let each = creatives.iter().map(|Creative { name, url }| format!("{name}: {url}"));
    each.collect::<Vec<_>>().join(", ")
}

/// An offer as it is now, and what is planned for it.
fn fields(offer: &Offer, texts: &Texts, now: Timestamp) -> Vec<Field> {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut fields = vec![
        Field::new("advertiser", &offer.advertiser.slug),
        Field::new("name", &offer.name),
        Field::maybe("headline", given(&texts.headline)),
        Field::maybe("description", given(&texts.description)),
        Field::maybe("terms", given(&texts.terms)),
        Field::maybe("categories", given(&offer.categories.join(", "))),
        Field::maybe("creatives", given(&creatives_text(&texts.creatives))),
        Field::new("status", offer.status_at(now)),
        Field::new("type", offer.kind()),
        Field::new("conversion_type", offer.conversion_kind),
        Field::new("currency", offer.currency),
        Field::new("destination", offer.destination.text()),
        Field::maybe("fallback_url", offer.fallback_url.as_ref()),
        Field::maybe("launch", offer.launches),
        Field::maybe("expiry", offer.expires),
        Field::new("attribution_window", value::length_text(offer.attribution_window_ms)),
    ];
    fields.extend(rules::fields(&offer.rules, offer.currency));
    let of_now = |event, terms| offer.terms_at(event, terms, now);
    match &offer.results {
        Results::Single(terms) => {
            terms::fields(&mut fields, "", &of_now(EventId::NONE, terms), offer.currency);
        }
        Results::Multi(events) => {
            let codes: Vec<&str> = events.iter().map(|event| event.code.as_str()).collect();
            fields.push(Field::new("events", codes.join(", ")));
            for event in events {
                let prefix = format!("event.{}.", event.code);
                fields.push(Field::new(format!("{prefix}name"), &event.name));
                fields.push(Field::maybe(format!("{prefix}visible"), (!event.visible).then_some(false)));
                terms::fields(&mut fields, &prefix, &of_now(event.id, &event.terms), offer.currency);
            }
        }
    }
    fields.extend(change::fields(offer, now));
    fields
}
