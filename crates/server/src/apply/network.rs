//! `[[network]]`

use std::sync::Arc;

use domain::id::NetworkId;
use domain::money::Currency;
use domain::network::Network;

use super::declaration::{Declared, Noun};
use super::fault::Sound;
use super::fields::Fields;
use super::plan::{Field, Planner, Step, Write};
use super::value;

/// What the file says of a network.
#[derive(Debug)]
pub(crate) struct Body {
    name: Option<String>,
    currency: Currency,
    zone: String,
    fallback_url: Option<String>,
}

pub(crate) fn read(mut fields: Fields<'_>) -> Sound<Declared<Body>> {
    let label = fields.name(Noun::Network, "label", value::label);
    let body = body(&mut fields);
    fields.declare(Noun::Network, label, body)
}

fn body(fields: &mut Fields<'_>) -> Sound<Body> {
    let name = fields.optional("name", value::name);
    let currency = fields.required("currency", value::currency);
    let zone = fields.optional("zone", value::zone);
    let fallback_url = fields.optional("fallback_url", value::plain_url);
    Ok(Body {
        name: name?,
        currency: currency?,
        zone: zone?.unwrap_or_else(|| "UTC".to_owned()),
        fallback_url: fallback_url?,
    })
}

pub(crate) fn plan(planner: &mut Planner<'_>, label: &str, body: Body) {
    let old = planner.networks.get(label).cloned();
    let network = Arc::new(Network {
        id: old.as_ref().map_or_else(|| NetworkId(planner.new_id()), |old| old.id),
        label: label.to_owned(),
        name: body.name.unwrap_or_else(|| label.to_owned()),
        currency: body.currency,
        zone: body.zone,
        fallback_url: body.fallback_url,
    });
    planner.networks.insert(label.to_owned(), Arc::clone(&network));
    let old = old.map(|old| fields(&old));
    planner.step(Step::new(
        (Noun::Network, label),
        &network,
        network.id.uuid(),
        (old, fields(&network)),
        Write::Network(Arc::clone(&network)),
    ));
}

fn fields(network: &Network) -> Vec<Field> {
    vec![
        Field::new("name", &network.name),
        Field::new("currency", network.currency),
        Field::new("zone", &network.zone),
        Field::maybe("fallback_url", network.fallback_url.as_ref()),
    ]
}
