//! `pitlane report`: clicks, conversions and money by whatever the network wants to know, on the terminal, as CSV or
//! as JSON.

mod export;
mod table;

use std::sync::Arc;

use domain::catalog::Catalog;
use domain::id::PartnerId;
use domain::network::Network;
use domain::report::{self as rule, Ask, Dimension, Filter, Line, Report};
use domain::time::{DAY_MS, Timestamp};
use store::Db;
use store::report::AskError;

use crate::cli::{Place, say};
use crate::config::Effective;
use crate::failure::Failure;
use crate::{clock, session, wire};

/// Steps of counting before a report is made; a server counts by itself.
const MOST_STEPS: usize = 10_000;

/// The days that are shown when none are asked for, today among them.
const DAYS: i64 = 7;

const BY: &str = "Group by this; may be given twice: day, hour, week, month, offer, event, partner, link, country, \
                  device, os, verdict, status, pub_sub_1 to pub_sub_15";

/// What `pitlane report` is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Command {
    /// The network's label, where there are several
    #[arg(long, value_name = "LABEL")]
    network: Option<String>,
    #[arg(long, value_name = "WHAT", help = BY)]
    by: Vec<Dimension>,
    /// Only this value, such as country=DE; may be given several times, of one dimension any of them counts
    #[arg(long = "where", value_name = "WHAT=VALUE", value_parser = filter)]
    filters: Vec<Filter>,
    /// Only this partner's, by slug
    #[arg(long, value_name = "SLUG")]
    partner: Option<String>,
    /// First day, such as 2026-11-01, or moment, such as 2026-11-01T18:15:00Z; a week ago if absent
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// Last day, or the moment behind the last; today if absent
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// Time zone of the days, such as Asia/Kathmandu; the network's if absent
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Write CSV: a line for each currency, clicks only on the first
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Write one JSON object, as docs/concept/reports.md describes it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

fn filter(text: &str) -> Result<Filter, String> {
    let (dimension, value) = text.split_once('=').ok_or("write it as WHAT=VALUE, such as country=DE")?;
    let dimension = dimension.parse().map_err(|unknown: domain::code::UnknownCode| unknown.to_string())?;
    Ok(Filter { dimension, value: value.to_owned() })
}

/// An answer with what it was asked.
struct Asked {
    network: Arc<Network>,
    partner: Option<String>,
    zone: String,
    by: Vec<Dimension>,
    range: (Timestamp, Timestamp),
    report: Report,
    total: Line,
    /// Clicks and changes that could not be counted beforehand.
    behind: bool,
}

impl Command {
    /// Counts what waits, asks, and shows.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let effective = self.place.clone().load()?;
        let asked = session::run(&effective, async |db| self.answer(db, &effective).await)?;
        if self.csv {
            say(&export::csv(&asked)?)
        } else if self.json {
            say(&export::json(&asked)?)
        } else {
            say(&table::of(&asked))
        }
    }

    async fn answer(&self, db: &Db, effective: &Effective) -> Result<Asked, Failure> {
        let told = |error| wire::database_failure(error, &effective.target);
        let catalog = Arc::new(db.read(store::catalog::load).await.map_err(told)?);
        let network = session::only_network(&catalog, self.network.as_deref())?;
        let partner = self.partner.as_deref().map(|slug| partner(&catalog, &network, slug)).transpose()?;
        let zone_name = self.zone.clone().unwrap_or_else(|| network.zone.clone());
        let now = clock::ambient().now();
        let ask = self.ask(&network, partner, &zone_name, now)?;
        let behind = catch_up(db, now).await.map_err(told)?;
        let (question, own) = (ask.clone(), Arc::clone(&catalog));
        let report = db.read(move |tx| store::report::ask(tx, &own, &question, now)).await;
        let report = report.map_err(|error| match error {
            AskError::Store(error) => told(error),
            refused => Failure::usage(refused),
        })?;
        Ok(Asked {
            network,
            partner: self.partner.clone(),
            zone: zone_name,
            by: ask.by().to_vec(),
            range: ask.range(),
            total: report.total(),
            report,
            behind,
        })
    }

    fn ask(
        &self,
        network: &Network,
        partner: Option<PartnerId>,
        zone: &str,
        now: Timestamp,
    ) -> Result<Ask, Failure> {
        let ask = || {
            let zone = rule::zone(zone)?;
            let day = |at: Timestamp| {
                let at = jiff::Timestamp::from_millisecond(at.ms()).unwrap_or_default();
                at.to_zoned(zone.clone()).date().to_string()
            };
            let first = self.from.clone().unwrap_or_else(|| day(now.plus_ms(-(DAYS - 1) * DAY_MS)));
            let last = self.to.clone().unwrap_or_else(|| day(now));
            let (from, until) = (rule::beginning(&first, &zone)?, rule::end(&last, &zone)?);
            let ask = Ask::new(network.id, from, until, zone)?;
            let ask = partner.into_iter().fold(ask, Ask::of_partner);
            ask.filtered(self.filters.clone())?.grouped(self.by.clone())
        };
        ask().map_err(|refused: rule::Refused| Failure::usage(refused))
    }
}

fn partner(catalog: &Catalog, network: &Network, slug: &str) -> Result<PartnerId, Failure> {
    let found = catalog.partners.values().find(|own| own.network == network.id && own.slug == slug);
    found.map(|own| own.id).ok_or_else(|| {
        let error = format!("network {} has no partner `{slug}`", network.label);
        Failure::usage(error).next("look at `pitlane report --by partner`")
    })
}

/// Counts what waits and sums it up, as a running server does by itself. `true` when something is left to be counted.
pub(crate) async fn catch_up(db: &Db, now: Timestamp) -> Result<bool, store::Error> {
    let behind = count(db, now).await?;
    for _ in 0..MOST_STEPS {
        if !store::report::sum(db, now).await? {
            break;
        }
    }
    Ok(behind)
}

/// Counts what waits. `true` when something is left.
pub(crate) async fn count(db: &Db, now: Timestamp) -> Result<bool, store::Error> {
    let counting = Arc::default();
    for _ in 0..MOST_STEPS {
        if !store::report::count(db, &counting, now).await?.behind {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Hundredths of a percent, as a percentage.
fn percent(rate: i64) -> String {
    format!("{}.{:02} %", rate / 100, rate % 100)
}
