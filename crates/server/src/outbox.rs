//! `pitlane delivery …` and `pitlane postback backfill`: looks into the outbox and sends again. Servers go on
//! meanwhile; whichever of them is first takes what these commands put there.

use std::fmt::Write as _;

use domain::delivery::DeliveryState;
use domain::id::{DeliveryId, NetworkId, PartnerId};
use domain::partner::Partner;
use domain::postback::Postback;
use domain::time::Timestamp;
use indicatif::ProgressBar;
use serde_json::json;
use store::delivery::{self, Broken, Listed};
use store::{Db, Error};

use crate::cli::{Place, say};
use crate::config::Effective;
use crate::failure::Failure;
use crate::terminal::line;
use crate::{clock, session, wire};

/// Before everything.
const BEGINNING: Timestamp = Timestamp::from_ms(0);

/// `pitlane delivery …`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum DeliveryCommand {
    /// List the newest deliveries to a partner
    List(List),
    /// Send one delivery again, whatever became of it
    Again(Again),
    /// Send the deliveries of one postback again: all that were given up, or all that arrived
    Replay(Replay),
}

/// `pitlane postback …`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum PostbackCommand {
    /// Tell a postback that was added late of the conversions that it missed
    Backfill(Backfill),
}

/// Which partner of which network.
#[derive(Debug, clap::Args)]
pub(crate) struct Whose {
    /// The partner's slug
    #[arg(long, value_name = "SLUG")]
    partner: String,
    /// The network's label, where there are several
    #[arg(long, value_name = "LABEL")]
    network: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only those that are pending, delivered or dead
    #[arg(long)]
    state: Option<DeliveryState>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// Write one JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Again {
    /// The delivery's id, which is its webhook-id
    id: DeliveryId,
    /// The network's label, where there are several
    #[arg(long, value_name = "LABEL")]
    network: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    /// The postback's slug
    #[arg(long, value_name = "SLUG")]
    postback: String,
    /// Which: dead or delivered
    #[arg(long, default_value_t = DeliveryState::Dead)]
    state: DeliveryState,
    /// Only those made since this time, such as 2026-11-22T20:00:00Z
    #[arg(long, value_name = "TIME", default_value_t = BEGINNING, hide_default_value = true)]
    since: Timestamp,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Backfill {
    /// The postback's slug
    #[arg(long, value_name = "SLUG")]
    postback: String,
    /// Conversions received since this time, such as 2026-11-22T20:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Timestamp,
    #[command(flatten)]
    whose: Whose,
}

impl DeliveryCommand {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(),
            Self::Again(again) => again.run(),
            Self::Replay(replay) => replay.run(),
        }
    }
}

impl PostbackCommand {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Self::Backfill(Backfill { postback, since, whose }) = self;
        let Whose { partner, network, place } = whose;
        let effective = place.load()?;
        let bar = bar("Filling in");
        let made = session::run(&effective, async |db| {
            let partner = Desk { db, effective: &effective }.partner(network.as_deref(), &partner).await?;
            let postback = Desk { db, effective: &effective }.postback(&partner, &postback).await?;
            let told = |done| bar.set_message(deliveries(done));
            let ran = delivery::backfill_all(db, clock::ambient(), &postback, since, usize::MAX, told).await;
            ran.map_err(|broken| failure(broken, &effective, "are made"))
        })?;
        bar.finish_and_clear();
        say(&format!(
            "{} made: conversions since {since} for postback `{postback}` of partner {partner}.\n\
             What it was told of before is not told again.\n",
            deliveries(made.done)
        ))
    }
}

impl List {
    fn run(self) -> Result<(), Failure> {
        let Self { state, limit, json, whose: Whose { partner, network, place } } = self;
        let effective = place.load()?;
        let listed = session::run(&effective, async |db| {
            let desk = Desk { db, effective: &effective };
            let partner = desk.partner(network.as_deref(), &partner).await?;
            let (network, partner) = (partner.network, partner.id);
            desk.told(db.read(move |tx| delivery::of_partner(tx, network, partner, state, limit)).await)
        })?;
        if json {
            let all: Vec<serde_json::Value> = listed.iter().map(object).collect();
            return say(&format!("{:#}\n", serde_json::Value::Array(all)));
        }
        if listed.is_empty() {
            let state = state.map_or(String::new(), |state| format!(" that is {state}"));
            return say(&format!("There is no delivery{state} to partner {partner}.\n"));
        }
        say(&listed.iter().map(row).collect::<String>())
    }
}

impl Again {
    fn run(self) -> Result<(), Failure> {
        let Self { id, network, place } = self;
        let effective = place.load()?;
        let sent = session::run(&effective, async |db| {
            let desk = Desk { db, effective: &effective };
            let own = desk.delivery(network.as_deref(), id).await?;
            let partner = desk.partner_of(own.network, own.partner).await?;
            desk.postback(&partner, &own.slug).await?;
            let (now, network) = (clock::ambient().now(), own.network);
            let sent = desk.told(db.write(move |tx| delivery::send_again(tx, network, id, now)).await)?;
            if sent { Ok((own, partner)) } else { Err(no_delivery(id)) }
        })?;
        let (own, partner) = sent;
        say(&format!(
            "Delivery {id} to postback `{}` of partner {} is due now, with a schedule that begins anew.\n\
             A running server sends it at once; `pitlane why {id}` shows what comes of it.\n",
            own.slug, partner.slug
        ))
    }
}

impl Replay {
    fn run(self) -> Result<(), Failure> {
        let Self { postback: slug, state, since, whose: Whose { partner, network, place } } = self;
        if state == DeliveryState::Pending {
            let error = "what is pending is sent anyway";
            return Err(Failure::usage(error).next("use --state dead or --state delivered"));
        }
        let effective = place.load()?;
        let bar = bar("Sending again");
        let sent = session::run(&effective, async |db| {
            let desk = Desk { db, effective: &effective };
            let partner = desk.partner(network.as_deref(), &partner).await?;
            let postback = desk.postback(&partner, &slug).await?;
            let told = |done| bar.set_message(deliveries(done));
            let what = (state, since);
            let ran = delivery::replay_all(db, clock::ambient(), &postback, what, usize::MAX, told).await;
            ran.map_err(|broken| failure(broken, &effective, "are due again"))
        })?;
        bar.finish_and_clear();
        let made = if since == BEGINNING { String::new() } else { format!(" and made since {since}") };
        let what = format!("those that were {state}{made}");
        say(&format!(
            "{} due now: {what}, of postback `{slug}` of partner {partner}.\n",
            deliveries(sent.done)
        ))
    }
}

/// What to do about a run that broke off; `what` is what became of the deliveries before.
fn failure(broken: Broken, effective: &Effective, what: &str) -> Failure {
    let Broken { done, reached, error } = broken;
    wire::database_failure(error, &effective.target)
        .next(format!("{done} deliveries {what}; go on with --since {reached}"))
}

/// Where the commands look things up by their names.
struct Desk<'a> {
    db: &'a Db,
    effective: &'a Effective,
}

impl Desk<'_> {
    fn told<T>(&self, result: Result<T, Error>) -> Result<T, Failure> {
        result.map_err(|error| wire::database_failure(error, &self.effective.target))
    }

    async fn partner(&self, network: Option<&str>, slug: &str) -> Result<Partner, Failure> {
        let catalog = self.told(self.db.read(store::catalog::load).await)?;
        let network = session::only_network(&catalog, network)?;
        let own = || catalog.partners.values().filter(|partner| partner.network == network.id);
        own().find(|partner| partner.slug == slug).map(|partner| Partner::clone(partner)).ok_or_else(|| {
            let error = format!("network {} has no partner `{slug}`", network.label);
            Failure::usage(error).next(one_of(own().map(|partner| partner.slug.as_str())))
        })
    }

    async fn partner_of(&self, network: NetworkId, id: PartnerId) -> Result<Partner, Failure> {
        let catalog = self.told(self.db.read(store::catalog::load).await)?;
        let own = catalog.partners.get(&id).filter(|partner| partner.network == network);
        own.map(|partner| Partner::clone(partner))
            .ok_or_else(|| Failure::new("its partner is no longer stored"))
    }

    /// A postback that is switched on.
    async fn postback(&self, partner: &Partner, slug: &str) -> Result<Postback, Failure> {
        let all = self.told(self.db.read(store::postback::all).await)?;
        let own: Vec<Postback> = all.into_iter().filter(|postback| postback.partner == partner.id).collect();
        let Some(postback) = own.iter().find(|postback| postback.slug == slug) else {
            let error = format!("partner {} has no postback `{slug}`", partner.slug);
            return Err(Failure::usage(error).next(one_of(own.iter().map(|own| own.slug.as_str()))));
        };
        if postback.enabled {
            return Ok(postback.clone());
        }
        let error = format!("postback `{slug}` of partner {} is switched off", partner.slug);
        Err(Failure::new(error).next("switch it on with `enabled = true` in the file for `pitlane apply`"))
    }

    async fn delivery(&self, network: Option<&str>, id: DeliveryId) -> Result<Listed, Failure> {
        let catalog = self.told(self.db.read(store::catalog::load).await)?;
        let network = network.map(|label| session::network(&catalog, label)).transpose()?;
        let found = self.told(self.db.read(move |tx| delivery::find(tx, id)).await)?;
        let own = found.filter(|own| network.as_ref().is_none_or(|network| network.id == own.network));
        own.ok_or_else(|| no_delivery(id))
    }
}

fn no_delivery(id: DeliveryId) -> Failure {
    Failure::new(format!("there is no delivery {id}")).next("look at `pitlane delivery list --partner SLUG`")
}

fn one_of<'a>(slugs: impl Iterator<Item = &'a str>) -> String {
    let mut slugs: Vec<&str> = slugs.collect();
    slugs.sort_unstable();
    match slugs.len() {
        0 => "declare one: `pitlane apply FILE.toml`".to_owned(),
        1..=12 => format!("use one of: {}", slugs.join(", ")),
        many => format!("use one of: {} and {} more", slugs[..12].join(", "), many - 12),
    }
}

/// A line that is drawn again and again on a terminal, and nothing elsewhere.
fn bar(what: &'static str) -> ProgressBar {
    ProgressBar::new_spinner().with_prefix(what).with_style(
        indicatif::ProgressStyle::with_template("{spinner} {prefix}: {msg}")
            .unwrap_or_else(|_| indicatif::ProgressStyle::default_spinner()),
    )
}

fn deliveries(count: u64) -> String {
    if count == 1 { "1 delivery".to_owned() } else { format!("{count} deliveries") }
}

fn row(own: &Listed) -> String {
    let mut text = format!(
        "{}  {}  {}  {}  {}, tried {}",
        own.created,
        own.id,
        if own.slug.is_empty() { "(gone)" } else { &own.slug },
        own.status,
        own.state,
        if own.attempts == 1 { "once".to_owned() } else { format!("{} times", own.attempts) },
    );
    if own.state == DeliveryState::Pending {
        // Writing into a String cannot fail, here and below.
        let _ = write!(text, ", due {}", own.next_attempt);
    }
    if !own.result.is_empty() {
        let _ = write!(text, ": {}", line(&own.result, 200));
    }
    text.push('\n');
    text
}

fn object(own: &Listed) -> serde_json::Value {
    let due = (own.state == DeliveryState::Pending).then(|| own.next_attempt.to_string());
    json!({
        "id": own.id,
        "at": own.created.to_string(),
        "postback": own.slug,
        "conversion": own.conversion,
        "status": own.status,
        "origin": own.origin.code(),
        "state": own.state.code(),
        "attempts": own.attempts,
        "last_result": (!own.result.is_empty()).then_some(&own.result),
        "next_attempt": due,
    })
}
