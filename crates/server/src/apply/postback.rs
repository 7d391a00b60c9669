//! `[[postback]]`

use std::sync::Arc;

use domain::id::PostbackId;
use domain::network::Network;
use domain::offer::Offer;
use domain::postback::{BadScope, Method, Postback, PostbackUrl, Scope, Wanted};

use super::declaration::{Declared, Noun};
use super::fault::Sound;
use super::fields::{At, Fields, nearest};
use super::plan::{Field, Planner, Step, Write};
use super::value;

/// What the file says of a partner's postback.
#[derive(Debug)]
pub(crate) struct Body {
    partner: At<String>,
    slug: String,
    offer: Option<At<String>>,
    event: Option<At<String>>,
    method: Method,
    url: PostbackUrl,
    wanted: Wanted,
    enabled: Option<bool>,
}

pub(crate) fn read(mut fields: Fields<'_>) -> Sound<Declared<Body>> {
    let partner = fields.reference("partner", value::slug);
    let slug = fields.reference("slug", value::slug);
    let name = slug.as_ref().map_err(|told| *told).and_then(|slug| {
        let value = format!("{}/{}", partner.as_ref().map_err(|told| *told)?.value, slug.value);
        Ok(At { at: slug.at, value })
    });
    if let Ok(name) = &name {
        fields.named(format!("postback \"{}\"", name.value));
    }
    let body = body(&mut fields, partner, slug);
    fields.declare(Noun::Postback, name, body)
}

fn body(fields: &mut Fields<'_>, partner: Sound<At<String>>, slug: Sound<At<String>>) -> Sound<Body> {
    let offer = fields.optional_reference("offer", value::slug);
    let event = fields.optional_reference("event", value::event_code);
    let method = fields.optional("method", value::code);
    let url = fields.required("url", |given| value::template(given, PostbackUrl::parse));
    let wanted = wanted(fields);
    let enabled = fields.optional("enabled", value::flag);
    let (offer, event) = (offer?, event?);
    if let (None, Some(event)) = (&offer, &event) {
        return Err(fields.fault(event.at, format!("event: {}", BadScope::EventAlone)));
    }
    Ok(Body {
        partner: partner?,
        slug: slug?.value,
        offer,
        event,
        method: method?.unwrap_or(Method::Get),
        url: url?,
        wanted: wanted?,
        enabled: enabled?,
    })
}

fn wanted(fields: &mut Fields<'_>) -> Sound<Wanted> {
    if !fields.has("on") {
        fields.know(&["on"]);
        return Ok(Wanted::default());
    }
    let named = fields.list("on", |given| {
        let text = given.as_str().unwrap_or_default();
        let known = Wanted::NAMES.into_iter().find(|known| *known == text);
        known.ok_or_else(|| format!("`{text}` is nothing to be told of; {}", nearest(text, &Wanted::NAMES)))
    })?;
    let wanted = Wanted::of(|word| named.iter().any(|own| own.value == word));
    wanted.map_err(|nothing| fields.fault(fields.at("on"), format!("on: {nothing}")))
}

pub(crate) fn plan(
    planner: &mut Planner<'_>,
    network: &Arc<Network>,
    name: &At<String>,
    body: Body,
) -> Sound<()> {
    let subject = format!("postback \"{}\"", name.value);
    let partner = planner.find(&planner.partners, network, &subject, &body.partner);
    let offer = body.offer.map(|offer| planner.find(&planner.offers, network, &subject, &offer)).transpose();
    let (partner, offer) = (partner?, offer?);
    let scope = Scope::of(offer.as_deref(), body.event.as_ref().map(|event| event.value.as_str()));
    let scope = scope.map_err(|bad| {
        let at = body.event.as_ref().map_or(name.at, |event| event.at);
        planner.faults.fault(at, format!("{subject}: event: {bad}"))
    })?;
    let old = planner.stored.postbacks.get(&(partner.id, body.slug.clone()));
    let record = Postback {
        id: old.map_or_else(|| PostbackId(planner.new_id()), |old| old.id),
        network: network.id,
        partner: partner.id,
        slug: body.slug,
        scope,
        method: body.method,
        url: body.url,
        wanted: body.wanted,
        // An endpoint that answers 410 switches it off; a file that does not name it leaves it so.
        enabled: body.enabled.or(old.map(|old| old.enabled)).unwrap_or(true),
    };
    let switched = old.is_some_and(|old| old.enabled != record.enabled);
    let before = old.map(|old| {
        let offer = match old.scope {
            Scope::Global => None,
            Scope::Offer(id) | Scope::Event(id, _) => planner.stored.catalog.offers.get(&id),
        };
        fields(old, offer.map(|offer| &**offer))
    });
    let after = fields(&record, offer.as_deref());
    let write = Write::Postback { record: record.clone(), switched };
    planner.step(Step::new((Noun::Postback, &name.value), network, record.id.uuid(), (before, after), write));
    Ok(())
}

fn fields(postback: &Postback, offer: Option<&Offer>) -> Vec<Field> {
    let event = offer.and_then(|offer| postback.scope.event_code(offer));
    vec![
        Field::maybe("offer", offer.map(|offer| &offer.slug)),
        Field::maybe("event", event),
        Field::new("method", postback.method),
        Field::new("url", postback.url.text()),
        Field::new("on", postback.wanted.names().join(", ")),
        Field::new("enabled", postback.enabled),
    ]
}
