//! `pitlane token …`: makes, lists and revokes the tokens of the JSON API.

use std::fmt::Write as _;

use domain::api_token::{ApiToken, Authority, Fresh, MOST_NAME as MOST};
use domain::catalog::Catalog;
use domain::id::PartnerId;
use domain::network::Network;
use domain::time::Timestamp;
use serde_json::{Value, json};
use store::api_token;

use crate::cli::{Place, say};
use crate::config::Effective;
use crate::failure::Failure;
use crate::terminal::line;
use crate::{clock, session, wire};

/// `pitlane token …`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; it is shown this once
    New(New),
    /// List the tokens by their first characters
    List(List),
    /// End a token at once
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
pub(crate) struct New {
    /// What it is for
    name: String,
    /// The partner whose token it is; without it the token is the network's own
    #[arg(long, value_name = "SLUG")]
    partner: Option<String>,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Write one JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    /// The token's first characters, as the list shows them
    shown: String,
    #[command(flatten)]
    whose: Whose,
}

/// Which network.
#[derive(Debug, clap::Args)]
struct Whose {
    /// The network's label, where there are several
    #[arg(long, value_name = "LABEL")]
    network: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl TokenCommand {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::New(new) => new.run(),
            Self::List(list) => list.run(),
            Self::Revoke(revoke) => revoke.run(),
        }
    }
}

impl New {
    fn run(self) -> Result<(), Failure> {
        let Self { name, partner, json, whose } = self;
        let effective = whose.place.clone().load()?;
        let Fresh { secret, token: made, .. } = session::run(&effective, async |db| {
            let (catalog, network) = catalog(db, &effective, whose.network.as_deref()).await?;
            let authority = match partner.as_deref() {
                Some(slug) => Authority::Partner(network.id, find_partner(&catalog, &network, slug)?),
                None => Authority::Management(network.id),
            };
            let fresh = Fresh::make(clock::ambient(), authority, &name).map_err(Failure::usage)?;
            let stored = fresh.clone();
            let written = db.write(move |tx| api_token::insert(tx, stored.hash, &stored.token)).await;
            written.map_err(|error| wire::database_failure(error, &effective.target))?;
            Ok(fresh)
        })?;
        if json {
            let scope = made.authority.scope();
            return say(&format!("{}\n", json!({ "token": secret, "shown": made.shown, "scope": scope })));
        }
        say(&format!(
            "{secret}\n\nIts scope is {}. Programs send it as `Authorization: ApiToken <token>`.\n\
             It is shown this once; keep it now.\n",
            made.authority.scope()
        ))
    }
}

impl List {
    fn run(self) -> Result<(), Failure> {
        let Self { json, whose } = self;
        let effective = whose.place.clone().load()?;
        let (catalog, tokens) = session::run(&effective, async |db| {
            let (catalog, network) = catalog(db, &effective, whose.network.as_deref()).await?;
            let tokens = db.read(move |tx| api_token::of_network(tx, network.id)).await;
            Ok((catalog, tokens.map_err(|error| wire::database_failure(error, &effective.target))?))
        })?;
        if json {
            let all: Vec<Value> = tokens.iter().map(|token| entry(&catalog, token)).collect();
            return say(&format!("{}\n", serde_json::to_string_pretty(&all).map_err(Failure::new)?));
        }
        let mut text = String::new();
        for token in &tokens {
            let partner = slug(&catalog, token).map(|slug| format!(" of {slug}")).unwrap_or_default();
            let used =
                token.used_day.map_or_else(|| "never used".to_owned(), |day| format!("used {}", date(day)));
            let revoked = token.revoked.map(|at| format!(", revoked {at}")).unwrap_or_default();
            let (scope, name) = (token.authority.scope(), line(&token.name, MOST));
            // Writing into a String cannot fail.
            let _ = writeln!(
                text,
                "{}…  {scope}{partner}  {name}  made {}, {used}{revoked}",
                token.shown, token.created
            );
        }
        say(if text.is_empty() { "There are no tokens.\n" } else { &text })
    }
}

impl Revoke {
    fn run(self) -> Result<(), Failure> {
        let Self { shown, whose } = self;
        let effective = whose.place.clone().load()?;
        let wanted = shown.trim_end_matches('…').to_owned();
        let revoked = session::run(&effective, async |db| {
            let (_, network) = catalog(db, &effective, whose.network.as_deref()).await?;
            let (now, wanted) = (clock::ambient().now(), wanted.clone());
            let revoked = db.write(move |tx| api_token::revoke(tx, network.id, &wanted, now)).await;
            revoked.map_err(|error| wire::database_failure(error, &effective.target))
        })?;
        if revoked {
            return say(&format!("{wanted}… no longer works.\n"));
        }
        let wrong = format!("there is no live token `{}…`", line(&wanted, MOST));
        Err(Failure::new(wrong).next("`pitlane token list` shows each by its first characters"))
    }
}

async fn catalog(
    db: &store::Db,
    effective: &Effective,
    label: Option<&str>,
) -> Result<(Catalog, std::sync::Arc<Network>), Failure> {
    let catalog = db.read(store::catalog::load).await;
    let catalog = catalog.map_err(|error| wire::database_failure(error, &effective.target))?;
    let network = session::only_network(&catalog, label)?;
    Ok((catalog, network))
}

fn find_partner(catalog: &Catalog, network: &Network, slug: &str) -> Result<PartnerId, Failure> {
    let own = catalog.partners.values().find(|own| own.network == network.id && own.slug == slug);
    let own = own.map(|own| own.id);
    own.ok_or_else(|| {
        Failure::usage(format!("network {} has no partner `{}`", network.label, line(slug, MOST)))
    })
}

fn slug<'c>(catalog: &'c Catalog, token: &ApiToken) -> Option<&'c str> {
    let partner = catalog.partners.get(&token.authority.partner()?)?;
    Some(&partner.slug)
}

fn date(day: Timestamp) -> String {
    day.to_string().chars().take(10).collect()
}

fn entry(catalog: &Catalog, token: &ApiToken) -> Value {
    json!({
        "shown": token.shown,
        "name": token.name,
        "scope": token.authority.scope(),
        "partner": slug(catalog, token),
        "created": token.created.to_string(),
        "used_day": token.used_day.map(date),
        "revoked": token.revoked.map(|at| at.to_string()),
    })
}
