//! `pitlane offer replay`: what a draft of an offer's rules would have done to the clicks of the last days. Nothing is
//! written.

mod report;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use domain::catalog::Catalog;
use domain::id::{ClickId, LinkId};
use domain::link::Link;
use domain::offer::Offer;
use domain::replay::Replay;
use domain::time::{DAY_MS, Timestamp};
use indicatif::{ProgressBar, ProgressStyle};
use store::Db;

use self::report::Report;
use crate::apply::drafted::{self, Drafted};
use crate::cli::{Place, say};
use crate::config::Effective;
use crate::failure::Failure;
use crate::terminal::line;
use crate::{clock, session, wire};

/// `pitlane offer …`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum OfferCommand {
    /// Decide about the clicks of the last days by a draft of the offer's rules, and tell what would change
    Replay(Command),
}

/// What `pitlane offer replay` is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Command {
    /// The offer's slug
    offer: String,
    /// The draft: a file as `pitlane apply` takes it, with the offer's whole table
    #[arg(long, value_name = "FILE")]
    draft: PathBuf,
    /// How many days back
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(i64).range(1..=366))]
    days: i64,
    /// Write one JSON object, as docs/guide/dry-run.md describes it
    #[arg(long)]
    json: bool,
    /// The network's label, where several have such an offer in the file
    #[arg(long, value_name = "LABEL")]
    network: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl OfferCommand {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Self::Replay(command) = self;
        let effective = command.place.clone().load()?;
        let report = session::run(&effective, async |db| command.replay(db, &effective).await)?;
        if command.json {
            return say(&format!("{}\n", serde_json::to_string_pretty(&report).map_err(Failure::new)?));
        }
        say(&report.text())
    }
}

impl Command {
    async fn replay(&self, db: &Db, effective: &Effective) -> Result<Report, Failure> {
        let ambient = clock::ambient();
        let mut drafts = drafted::offers(db, ambient, &self.draft, effective).await?;
        let drafted = self.choose(&mut drafts)?;
        let catalog = db.read(store::catalog::load).await;
        let catalog = catalog.map_err(|error| wire::database_failure(error, &effective.target))?;
        let now = catalog.offers.get(&drafted.offer.id).cloned().ok_or_else(|| {
            Failure::new(format!("offer `{}` is not stored yet, so it has no clicks", self.offer))
        })?;
        let until = ambient.now();
        let stretch = (until.plus_ms(-self.days * DAY_MS), until);
        let mut report = Report::new(&now, &drafted, stretch);
        let broken = run(db, &catalog, (&now, &drafted.offer), stretch, &mut report).await;
        broken.map_err(|error| wire::database_failure(error, &effective.target))?;
        Ok(report.finish())
    }

    /// The draft that is meant, out of those of the file.
    fn choose(&self, drafts: &mut Vec<Drafted>) -> Result<Drafted, Failure> {
        let label = |drafted: &Drafted| drafted.offer.network.label.clone();
        let meant = |drafted: &Drafted| {
            drafted.slug == self.offer && self.network.as_ref().is_none_or(|own| *own == label(drafted))
        };
        drafts.retain(meant);
        match (drafts.pop(), drafts.pop()) {
            (Some(only), None) => Ok(only),
            (Some(one), Some(other)) => Err(Failure::usage(
                "several networks have such an offer in the file",
            )
            .next(format!("use --network {} or --network {}", label(&other), label(&one)))),
            (None, _) => {
                let (file, offer) = (self.draft.display(), line(&self.offer, 100));
                Err(Failure::usage(format!("{file} declares no offer `{offer}`")))
            }
        }
    }
}

/// Goes through the clicks, page by page: no read is long, and no more than a page is in memory.
async fn run(
    db: &Db,
    catalog: &Catalog,
    (now, draft): (&Arc<Offer>, &Arc<Offer>),
    (since, until): (Timestamp, Timestamp),
    report: &mut Report,
) -> Result<(), store::Error> {
    let own = catalog.links.values().filter(|link| link.offer.id == now.id);
    let links: Arc<HashMap<LinkId, Arc<Link>>> =
        Arc::new(own.map(|link| (link.id, Arc::clone(link))).collect());
    let offers = [Arc::clone(now), Arc::clone(draft)];
    let taken = db.read(move |tx| {
        let mut all = store::replay::taken(tx, &offers[0], since)?;
        all.extend(store::replay::taken(tx, &offers[1], since)?);
        Ok::<_, store::Error>(all)
    });
    let mut replay = Replay::new((now, draft), until, links.values(), (since, taken.await?));
    let events = Arc::new(replay.events());
    let bar = bar(since, until);
    let mut position = Some(store::replay::from(since));
    while let Some(after) = position {
        let (links, events, offer) = (Arc::clone(&links), Arc::clone(&events), Arc::clone(now));
        let page =
            db.read(move |tx| store::replay::page(tx, &offer, &links, &events, (after, until))).await?;
        let mut conversions = page.conversions.iter().peekable();
        for (click, places) in &page.clicks {
            while let Some(came) = conversions.next_if(|came| came.at < click.id.at()) {
                replay.count(*came);
            }
            report.add(click, replay.look(click, places).as_ref());
        }
        for came in conversions {
            replay.count(*came);
        }
        position = page.next;
        bar.set_position(passed(since, position.map_or(until, ClickId::at)));
    }
    bar.finish_and_clear();
    Ok(())
}

/// A bar over the stretch of time; on nothing but a terminal it is silent.
fn bar(since: Timestamp, until: Timestamp) -> ProgressBar {
    let bar = ProgressBar::new(passed(since, until)).with_prefix("Replaying");
    let style = ProgressStyle::with_template("{prefix} {bar:40} {percent} %  {elapsed}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn passed(since: Timestamp, at: Timestamp) -> u64 {
    u64::try_from(at.ms().saturating_sub(since.ms())).unwrap_or(0)
}
