//! `pitlane conversion …`: staff changes the status of conversions one by one or by a file, and records results that no
//! postback reported. Servers go on meanwhile; what follows reaches them by itself.

mod column;
mod result;
mod run;
mod scratch;
mod table;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::catalog::Catalog;
use domain::conversion::Status;
use domain::id::{ClickId, ConversionId};
use serde_json::json;
use store::ruling::{self, Named, Order, Outcome};
use store::upload::Kind;
use store::{Db, Error, Tx};
use uuid::Uuid;

use crate::cli::{Place, say};
use crate::config::Effective;
use crate::failure::Failure;
use crate::{clock, session, wire};

/// How often a write is tried that met somebody else's.
const TRIES: u32 = 8;
/// The pause after the first of them; it grows with each.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest reason, in bytes.
const MAX_REASON_BYTES: usize = 500;

/// `pitlane conversion …`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ConversionCommand {
    /// Change the status of one conversion
    Set(Set),
    /// Change many statuses by a file (CSV or XLSX): `ConversionId` or `ClickId`, `EventID`, `Status`, `Reason`
    Change(ByFile),
    /// Record conversions by a file (CSV or XLSX): `ClickId`, `EventID`, `UserCompletedAt`, `Revenue`, `Reward`,
    /// `Payout`, `Amount`, `ConversionId`
    Upload(ByFile),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    /// The conversion's id, or its click's
    id: Uuid,
    /// The event's code, where the click has several conversions
    #[arg(long, value_name = "CODE")]
    event: Option<String>,
    /// Success, Pending or Rejected
    #[arg(long)]
    status: Status,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = reason, hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ByFile {
    /// The file: .csv or .xlsx, at most 100 MB
    file: PathBuf,
    /// Do everything but write it, and say what would come of each row
    #[arg(long)]
    dry_run: bool,
    /// Where to write what became of each row [default: FILE.result.csv, in a dry run FILE.dry-run.csv]
    #[arg(long, value_name = "FILE.csv")]
    result: Option<PathBuf>,
    #[command(flatten)]
    whose: Whose,
}

/// Whose conversions, and who works on them.
#[derive(Debug, clap::Args)]
pub(crate) struct Whose {
    /// Who says so, for the history
    #[arg(long, value_name = "NAME", value_parser = name)]
    by: Option<String>,
    /// The network's label, where there are several
    #[arg(long, value_name = "LABEL")]
    network: Option<String>,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl Whose {
    /// Who did it, as histories have it.
    fn actor(&self) -> String {
        self.by.as_ref().map_or("staff".to_owned(), |name| format!("staff:{name}"))
    }
}

impl ConversionCommand {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Set(set) => set.run(),
            Self::Change(file) => run::run(&file, Kind::Change),
            Self::Upload(file) => run::run(&file, Kind::Upload),
        }
    }
}

impl Set {
    fn run(self) -> Result<(), Failure> {
        let effective = self.whose.place.clone().load()?;
        let outcome = session::run(&effective, async |db| {
            let mut desk = Desk::open(db, &effective).await?;
            let network = session::only_network(&desk.catalog, self.whose.network.as_deref())?.id;
            let as_conversion = {
                let id = ConversionId(self.id);
                let found = db.read(move |tx| store::conversion::find(tx, id)).await;
                desk.told(found)?.is_some()
            };
            let named = if as_conversion {
                Named::Conversion(ConversionId(self.id))
            } else {
                Named::Click(ClickId(self.id), self.event.clone())
            };
            let order = Order {
                network,
                named,
                to: self.status,
                actor: self.whose.actor(),
                note: self.reason.clone(),
            };
            let order = Arc::new(order);
            let written = desk
                .write(move |tx, catalog| ruling::carry_out_one(tx, catalog, clock::ambient(), &order))
                .await;
            desk.told(written)
        })?;
        self.tell(&outcome)
    }

    fn tell(&self, outcome: &Outcome) -> Result<(), Failure> {
        if self.whose.json {
            let object = json!({
                "conversion": outcome.conversion,
                "code": outcome.code,
                "before": outcome.before,
                "message": outcome.message,
            });
            say(&format!("{object:#}\n"))?;
        }
        let subject = outcome.conversion.map_or(String::new(), |id| format!("conversion {id}: "));
        let told = format!("{subject}{}", outcome.message);
        let next = match outcome.code {
            "changed" | "unchanged" if self.whose.json => return Ok(()),
            "changed" | "unchanged" => return say(&format!("{told}\n")),
            "place_taken" => "look at both with `pitlane why`",
            "conversion_ambiguous" => "give --event, or a conversion's id; `pitlane why` lists them",
            _ => "copy the id exactly; `pitlane why` finds conversions by any id",
        };
        Err(Failure::new(told).next(next))
    }
}

/// The record with the catalog that it is read by.
struct Desk<'a> {
    db: &'a Db,
    effective: &'a Effective,
    catalog: Arc<Catalog>,
}

impl<'a> Desk<'a> {
    async fn open(db: &'a Db, effective: &'a Effective) -> Result<Self, Failure> {
        let catalog = db.read(store::catalog::load).await;
        let catalog = catalog.map_err(|error| wire::database_failure(error, &effective.target))?;
        Ok(Self { db, effective, catalog: Arc::new(catalog) })
    }

    fn told<T>(&self, result: Result<T, Error>) -> Result<T, Failure> {
        result.map_err(|error| wire::database_failure(error, &self.effective.target))
    }

    /// Reads the catalog again.
    async fn refresh(&mut self) -> Result<(), Error> {
        self.catalog = Arc::new(self.db.read(store::catalog::load).await?);
        Ok(())
    }

    /// A write that may meet other people's: tried again a few times, with the newest catalog.
    async fn write<T: Send + 'static>(
        &mut self,
        work: impl Fn(&mut Tx<'_>, &Catalog) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let work = Arc::new(work);
        let mut tries = 0;
        loop {
            let (work, catalog) = (Arc::clone(&work), Arc::clone(&self.catalog));
            let done = self.db.write(move |tx| work(tx, &catalog)).await;
            match done {
                Err(error) if tries < TRIES && may_pass(&error) => {
                    tries += 1;
                    tokio::time::sleep(PAUSE * tries).await;
                    if matches!(error, Error::Stale) {
                        self.refresh().await?;
                    }
                }
                done => return done,
            }
        }
    }
}

/// Whether the same write can succeed in a moment. A conflict is a place that somebody took at the same time.
fn may_pass(error: &Error) -> bool {
    error.retryable() && !matches!(error, Error::Full(_)) || matches!(error, Error::Conflict { .. })
}

fn reason(text: &str) -> Result<String, String> {
    plain(text, MAX_REASON_BYTES)
}

fn name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("it is empty".to_owned()) } else { plain(text, 100) }
}

/// Text for a history: one line, not too long.
fn plain(text: &str, most: usize) -> Result<String, String> {
    if text.len() > most {
        return Err(format!("it is longer than {most} bytes"));
    }
    let line: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    Ok(line.trim().to_owned())
}
