//! `[[user]]`

use std::sync::Arc;

use domain::id::UserId;
use domain::network::Network;
use domain::user::{Access, Role, TeamRole, User};

use super::declaration::{Declared, Noun};
use super::fault::Sound;
use super::fields::{At, Fields};
use super::plan::{Field, Planner, Step, Write};
use super::{secret, value};

/// What the file says of a user.
#[derive(Debug)]
pub(crate) struct Body {
    role: Role,
    partner: Option<At<String>>,
    advertiser: Option<At<String>>,
    team_role: Option<TeamRole>,
}

pub(crate) fn read(mut fields: Fields<'_>) -> Sound<Declared<Body>> {
    let email = fields.name(Noun::User, "email", value::email);
    let body = body(&mut fields);
    fields.declare(Noun::User, email, body)
}

fn body(fields: &mut Fields<'_>) -> Sound<Body> {
    let role = fields.required("role", value::code);
    let partner = fields.optional_reference("partner", value::slug);
    let advertiser = fields.optional_reference("advertiser", value::slug);
    let team_role = fields.optional("team_role", value::code);
    let (role, partner, advertiser, team_role) = (role?, partner?, advertiser?, team_role?);
    let mut sound = Ok(());
    for (key, needed, given) in [
        ("partner", role == Role::Partner, partner.is_some()),
        ("advertiser", role == Role::Advertiser, advertiser.is_some()),
    ] {
        if needed && !given {
            let why = format!("role: \"{role}\" needs `{key}`, whose side the user sees");
            sound = Err(fields.fault(fields.at("role"), why));
        }
        if given && !needed {
            let why = format!("{key}: only a user with role \"{key}\" belongs to one");
            sound = Err(fields.fault(fields.at(key), why));
        }
    }
    if team_role.is_some() && role != Role::Partner {
        let why = "team_role: only a user with role \"partner\" has one".to_owned();
        sound = Err(fields.fault(fields.at("team_role"), why));
    }
    sound.map(|()| Body { role, partner, advertiser, team_role })
}

pub(crate) fn plan(
    planner: &mut Planner<'_>,
    network: &Arc<Network>,
    name: &At<String>,
    body: Body,
) -> Sound<()> {
    let email = name.value.as_str();
    let subject = format!("user \"{email}\"");
    let partner =
        body.partner.map(|own| planner.find(&planner.partners, network, &subject, &own)).transpose()?;
    let advertiser =
        body.advertiser.map(|own| planner.find(&planner.advertisers, network, &subject, &own)).transpose()?;
    let old = planner.stored.users.get(&(network.id, email.to_owned()));
    // Owners change the roles of their team by themselves; a file that does not speak of them leaves them alone.
    let team = body.team_role.or_else(|| old?.access.team()).unwrap_or(TeamRole::Owner);
    let (side, payer) = (partner.as_ref().map(|own| (own.id, team)), advertiser.as_ref().map(|own| own.id));
    let Some(access) = Access::new(body.role, side, payer) else {
        // The same was checked where the file was read.
        return Err(planner.faults.fault(name.at, format!("{subject}: the role does not fit")));
    };
    let record = User {
        id: old.map_or_else(|| UserId(planner.new_id()), |old| old.id),
        network: network.id,
        email: email.to_owned(),
        access,
    };
    let renews = planner.wants_new_secret((Noun::User, &network.label, email));
    let (invite, shown) =
        (old.is_none() || renews).then(|| secret::setup(planner.ambient, planner.at())).unzip();
    let before = old.map(|old| {
        let catalog = &planner.stored.catalog;
        let partner = old.access.partner().and_then(|id| catalog.partners.get(&id));
        let advertiser = old.access.advertiser().and_then(|id| catalog.advertisers.get(&id));
        fields(old.access, partner.map(|own| &own.slug), advertiser.map(|own| &own.slug))
    });
    let after =
        fields(access, partner.as_ref().map(|own| &own.slug), advertiser.as_ref().map(|own| &own.slug));
    let id = record.id.uuid();
    let mut step =
        Step::new((Noun::User, email), network, id, (before, after), Write::User { record, invite });
    if shown.is_some() && old.is_some() {
        step.note("setup_token", "a new one; the one before it no longer works");
    }
    step.secrets.extend(shown);
    planner.step(step);
    Ok(())
}

fn fields(access: Access, partner: Option<&String>, advertiser: Option<&String>) -> Vec<Field> {
    vec![
        Field::new("role", access.role()),
        Field::maybe("partner", partner),
        Field::maybe("team_role", access.team()),
        Field::maybe("advertiser", advertiser),
    ]
}
