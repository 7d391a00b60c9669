//! `[[offer]]` and `[[offer.event]]`

use std::collections::HashMap;
use std::sync::Arc;

use domain::click::{Destination, DestinationMacro};
use domain::id::{EventId, OfferId};
use domain::money::{Currency, Money, Rate};
use domain::network::Network;
use domain::offer::{Approval, ConversionKind, Event, Offer, OfferKind, OfferStatus, Results, Terms};
use domain::time::{DAY_MS, Timestamp};
use store::offer::{MAX_EVENTS, Texts};

use super::declaration::{Declared, Noun};
use super::fault::Sound;
use super::fields::{At, Fields};
use super::plan::{Field, Planner, Step, Write};
use super::value;

/// What the file says of an offer.
#[derive(Debug)]
pub(crate) struct Body {
    advertiser: At<String>,
    name: Option<String>,
    texts: Texts,
    status: Option<OfferStatus>,
    kind: At<OfferKind>,
    conversion_kind: At<ConversionKind>,
    currency: Option<Currency>,
    destination: Destination,
    fallback_url: Option<String>,
    launches: Option<Timestamp>,
    expires: Option<Timestamp>,
    attribution_window_ms: i64,
    results: Declaring,
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
}

/// The keys that stand on a single-event offer, or on each event of a multi-event offer.
const TERMS: [&str; 6] = ["revenue", "payout", "reward_points", "approval", "pending_days", "repeats"];

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
    let headline = fields.optional("headline", value::prose);
    let description = fields.optional("description", value::prose);
    let status = fields.optional("status", value::code);
    let kind = fields.optional("type", value::code);
    let conversion_kind = fields.optional("conversion_type", value::code);
    let currency = fields.optional("currency", value::currency);
    let destination = fields.required("destination", |given| {
        value::template(given, |text| Destination::parse(text)?.require(DestinationMacro::ClickId))
    });
    let fallback_url = fields.optional("fallback_url", value::plain_url);
    let window = fields.optional("attribution_window", value::window);
    let life = life(fields);
    let kind = kind.map(|kind| kind.unwrap_or(OfferKind::SingleEvent));
    let conversion_kind = conversion_kind.map(|kind| kind.unwrap_or(ConversionKind::FlatRate));
    let results = results(fields, kind, conversion_kind);
    let (launches, expires) = life?;
    Ok(Body {
        advertiser: advertiser?,
        name: name?,
        texts: Texts {
            headline: headline?.unwrap_or_default(),
            description: description?.unwrap_or_default(),
        },
        status: status?,
        kind: At { at: fields.at("type"), value: kind? },
        conversion_kind: At { at: fields.at("conversion_type"), value: conversion_kind? },
        currency: currency?,
        destination: destination?,
        fallback_url: fallback_url?,
        launches,
        expires,
        attribution_window_ms: window?.unwrap_or(DEFAULT_WINDOW_MS),
        results: results?,
    })
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
    let events = fields.tables("event", |number| format!("{subject} event number {number}"));
    fields.know(&TERMS);
    let (kind, conversion_kind, events) = (kind?, conversion_kind?, events?);
    match kind {
        OfferKind::SingleEvent if events.is_empty() => terms(fields, conversion_kind).map(Declaring::Single),
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
    for key in TERMS.into_iter().filter(|key| fields.has(key)) {
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
    let terms = terms(event, conversion_kind);
    event.finish()?;
    Ok(DeclaredEvent { code: code?, name: name?, terms: terms? })
}

fn terms(fields: &mut Fields<'_>, conversion_kind: ConversionKind) -> Sound<Terms> {
    let revenue = rate(fields, "revenue", conversion_kind);
    let payout = rate(fields, "payout", conversion_kind);
    let reward_points = fields.optional("reward_points", |given| value::whole(given, &(0..=1_000_000_000)));
    let approval = fields.optional("approval", value::code);
    let pending_days = fields.optional("pending_days", |given| value::whole(given, &(0..=3_650)));
    let repeats = fields.optional("repeats", value::flag);
    let (revenue, payout) = (revenue?, payout?);
    let loses = match (revenue, payout) {
        (Rate::Flat(revenue), Rate::Flat(payout)) => payout > revenue,
        (Rate::Share(revenue), Rate::Share(payout)) => payout > revenue,
        _ => false,
    };
    if loses {
        fields.warn(fields.at("payout"), "payout: is greater than revenue, so each conversion loses money");
    }
    Ok(Terms {
        revenue,
        payout,
        reward_points: reward_points?.unwrap_or(0),
        approval: approval?.unwrap_or(Approval::Automatic),
        pending_days: pending_days?.unwrap_or(0),
        repeats: repeats?.unwrap_or(false),
    })
}

fn rate(fields: &mut Fields<'_>, key: &'static str, conversion_kind: ConversionKind) -> Sound<Rate> {
    fields.required(key, |given| match (value::rate(given)?, conversion_kind) {
        (Rate::Flat(_), ConversionKind::RevShare) => {
            Err("a RevShare offer pays a share like \"12.5%\"".to_owned())
        }
        (Rate::Share(_), ConversionKind::FlatRate) => Err(
            "a FlatRate offer pays an amount like \"1.20\"; for a share set conversion_type = \"RevShare\""
                .to_owned(),
        ),
        (rate, _) => Ok(rate),
    })
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
    let offer = Arc::new(Offer {
        id: old.as_ref().map_or_else(|| OfferId(planner.new_id()), |old| old.id),
        network: Arc::clone(network),
        advertiser,
        slug: slug.to_owned(),
        name: body.name.unwrap_or_else(|| slug.to_owned()),
        // People change it while the network runs; a file that does not name it leaves it.
        status: body.status.or(old.as_ref().map(|old| old.status)).unwrap_or(OfferStatus::Active),
        launches: body.launches,
        expires: body.expires,
        currency,
        conversion_kind: body.conversion_kind.value,
        results: with_ids(planner, body.results, old.as_deref()),
        destination: body.destination,
        fallback_url: body.fallback_url,
        attribution_window_ms: body.attribution_window_ms,
    });
    planner.offers.put(network.id, slug, Arc::clone(&offer));
    let before = old.map(|old| {
        let texts = planner.stored.texts.get(&old.id).cloned().unwrap_or_default();
        fields(&old, &texts)
    });
    let after = fields(&offer, &body.texts);
    let id = offer.id.uuid();
    planner.step(Step::new(
        (Noun::Offer, slug),
        network,
        id,
        (before, after),
        Write::Offer(offer, body.texts),
    ));
    Ok(())
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
fn with_ids(planner: &Planner<'_>, results: Declaring, old: Option<&Offer>) -> Results {
    let left: Vec<Event> =
        old.map(|old| left_out(&results, old).into_iter().cloned().collect()).unwrap_or_default();
    let known = |code: &str| old.and_then(|old| old.event(code)).map(|event| event.id);
    match results {
        Declaring::Single(terms) => Results::Single(terms),
        Declaring::Multi(events) => {
            let event = |event: DeclaredEvent| Event {
                id: known(&event.code).unwrap_or_else(|| EventId(planner.new_id())),
                name: event.name.unwrap_or_else(|| event.code.clone()),
                code: event.code,
                terms: event.terms,
            };
            Results::Multi(events.into_iter().map(event).chain(left).collect())
        }
    }
}

fn fields(offer: &Offer, texts: &Texts) -> Vec<Field> {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut fields = vec![
        Field::new("advertiser", &offer.advertiser.slug),
        Field::new("name", &offer.name),
        Field::maybe("headline", given(&texts.headline)),
        Field::maybe("description", given(&texts.description)),
        Field::new("status", offer.status),
        Field::new("type", offer.kind()),
        Field::new("conversion_type", offer.conversion_kind),
        Field::new("currency", offer.currency),
        Field::new("destination", offer.destination.text()),
        Field::maybe("fallback_url", offer.fallback_url.as_ref()),
        Field::maybe("launch", offer.launches),
        Field::maybe("expiry", offer.expires),
        Field::new("attribution_window", value::window_text(offer.attribution_window_ms)),
    ];
    match &offer.results {
        Results::Single(terms) => terms_fields(&mut fields, "", terms, offer.currency),
        Results::Multi(events) => {
            let codes: Vec<&str> = events.iter().map(|event| event.code.as_str()).collect();
            fields.push(Field::new("events", codes.join(", ")));
            for event in events {
                let prefix = format!("event.{}.", event.code);
                fields.push(Field::new(format!("{prefix}name"), &event.name));
                terms_fields(&mut fields, &prefix, &event.terms, offer.currency);
            }
        }
    }
    fields
}

fn terms_fields(fields: &mut Vec<Field>, prefix: &str, terms: &Terms, currency: Currency) {
    fields.extend([
        Field::new(format!("{prefix}revenue"), rate_text(terms.revenue, currency)),
        Field::new(format!("{prefix}payout"), rate_text(terms.payout, currency)),
        Field::new(format!("{prefix}reward_points"), terms.reward_points),
        Field::new(format!("{prefix}approval"), terms.approval),
        Field::new(format!("{prefix}pending_days"), terms.pending_days),
        Field::new(format!("{prefix}repeats"), terms.repeats),
    ]);
}

/// A rate as the file writes it.
fn rate_text(rate: Rate, currency: Currency) -> String {
    match rate {
        Rate::Flat(micros) => Money { micros, currency }.plain(),
        Rate::Share(share) => share.to_string().replace(' ', ""),
    }
}
