//! `pitlane audit`: counts everything again from the raw rows, and compares.

use domain::report::{self as rule, QUARTER_MS};
use domain::time::{DAY_MS, Timestamp};
use indicatif::ProgressBar;
use serde_json::json;
use store::report::{self, Difference, Extent};
use store::{Db, Error};
use uuid::Uuid;

use crate::cli::{Place, say};
use crate::config::Effective;
use crate::failure::Failure;
use crate::report::{catch_up, count};
use crate::terminal::line;
use crate::{clock, session, wire};

/// Differences that are listed.
const LISTED: usize = 100;

/// The longest text of one that is shown in full, in characters.
const WIDEST: usize = 300;

/// What `pitlane audit` is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Command {
    /// First day (UTC), such as 2026-11-01, or moment, such as 2026-11-01T18:15:00Z; the first of the record if absent
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// Last day (UTC), or the moment behind the last; now if absent
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// Drop the counts of the range and count it anew before comparing
    #[arg(long)]
    rebuild: bool,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// What was looked at, and what was found.
struct Found {
    from: Timestamp,
    until: Timestamp,
    clicks_from: Timestamp,
    quarters: u64,
    rebuilt: u64,
    differences: Vec<Difference>,
}

impl Command {
    /// Compares, and fails when something differs.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let effective = self.place.clone().load()?;
        let found = session::run(&effective, async |db| self.audit(db, &effective).await)?;
        say(&if self.json { json(&found)? } else { text(&found) })?;
        if found.differences.is_empty() {
            return Ok(());
        }
        let error =
            format!("{} differences between what is stored and the raw rows", found.differences.len());
        let counts = found.differences.iter().any(|one| matches!(one.of, "clicks" | "conversions" | "sums"));
        let failure = Failure::new(error);
        Err(if counts { failure.next("count the range anew: `pitlane audit --rebuild`") } else { failure })
    }

    async fn audit(&self, db: &Db, effective: &Effective) -> Result<Found, Failure> {
        let told = |error| wire::database_failure(error, &effective.target);
        let now = clock::ambient().now();
        let extent = db.read(move |tx| report::extent(tx, now)).await.map_err(told)?;
        let (from, until) = self.range(&extent)?;
        let mut found = Found {
            from,
            until,
            clicks_from: extent.clicks_from,
            quarters: 0,
            rebuilt: 0,
            differences: Vec::new(),
        };
        catch_up(db, now).await.map_err(told)?;
        if self.rebuild {
            rebuild(db, &mut found).await.map_err(told)?;
        }
        compare(db, &mut found).await.map_err(told)?;
        Ok(found)
    }

    /// Whole quarters of an hour.
    fn range(&self, extent: &Extent) -> Result<(Timestamp, Timestamp), Failure> {
        let utc = rule::zone("UTC").map_err(Failure::usage)?;
        let given = |text: &Option<String>, read: fn(&str, &_) -> Result<Timestamp, rule::Refused>| {
            text.as_deref().map(|text| read(text, &utc)).transpose().map_err(Failure::usage)
        };
        let from = given(&self.from, rule::beginning)?.map_or(extent.from, rule::quarter);
        let until = given(&self.to, rule::end)?.unwrap_or(extent.until);
        if from >= until {
            return Err(Failure::usage(rule::Refused::Empty(from, until)));
        }
        Ok((from, rule::quarter(until.plus_ms(QUARTER_MS - 1))))
    }
}

/// The quarters of the range that have anything, one after the other.
async fn next(db: &Db, at: Timestamp, until: Timestamp) -> Result<Option<Timestamp>, Error> {
    let next = db.read(move |tx| report::next_busy(tx, at)).await?;
    Ok(next.filter(|start| *start < until))
}

async fn rebuild(db: &Db, found: &mut Found) -> Result<(), Error> {
    let bar = bar(found, "Counting anew");
    let mut at = found.from;
    while let Some(start) = next(db, at, found.until).await? {
        if report::recount_quarter(db, start).await? {
            found.rebuilt += 1;
            count(db, start).await?;
        }
        at = start.plus_ms(QUARTER_MS);
        bar.set_position(done(found, at));
    }
    bar.finish_and_clear();
    catch_up(db, clock::ambient().now()).await.map(drop)
}

async fn compare(db: &Db, found: &mut Found) -> Result<(), Error> {
    let bar = bar(found, "Comparing");
    let mut at = found.from;
    let mut day = None;
    while let Some(start) = next(db, at, found.until).await? {
        found.differences.extend(db.read(move |tx| report::audit_quarter(tx, start)).await?);
        let own = Some(start.ms().div_euclid(DAY_MS));
        if std::mem::replace(&mut day, own) != own {
            found.differences.extend(db.read(move |tx| report::audit_sums(tx, start)).await?);
        }
        found.quarters += 1;
        at = start.plus_ms(QUARTER_MS);
        bar.set_position(done(found, at));
    }
    found.differences.extend(db.read(report::audit_tallies).await?);
    let mut after = Some(Uuid::nil());
    while let Some(last) = after {
        let (wrong, next) = db.read(move |tx| report::audit_deliveries(tx, last)).await?;
        found.differences.extend(wrong);
        after = next;
    }
    bar.finish_and_clear();
    Ok(())
}

fn done(found: &Found, at: Timestamp) -> u64 {
    u64::try_from((at.ms() - found.from.ms()) / QUARTER_MS).unwrap_or(0)
}

/// Drawn on a terminal, and nothing elsewhere.
fn bar(found: &Found, what: &'static str) -> ProgressBar {
    let style = indicatif::ProgressStyle::with_template("{prefix}: {wide_bar} {percent} %");
    ProgressBar::new(done(found, found.until))
        .with_prefix(what)
        .with_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()))
}

fn text(found: &Found) -> String {
    let Found { from, until, clicks_from, quarters, rebuilt, differences } = found;
    let mut lines = vec![format!(
        "{from} until {until}: {quarters} quarters of an hour compared with their clicks and conversions, every \
         cap and budget, and every delivery."
    )];
    if *rebuilt > 0 {
        lines.push(format!("{rebuilt} quarters were counted anew before."));
    }
    if clicks_from > from {
        lines.push(format!(
            "Clicks before {clicks_from} are no longer all kept: their counts cannot be counted again."
        ));
    }
    if differences.is_empty() {
        lines.push("Nothing differs.".to_owned());
    }
    for one in differences.iter().take(LISTED) {
        lines.push(line(&format!("{}: {}", one.of, one.which), WIDEST));
        lines.push(format!("    stored    {}", line(&one.stored, WIDEST)));
        lines.push(format!("    raw rows  {}", line(&one.raw, WIDEST)));
    }
    if differences.len() > LISTED {
        lines.push(format!("and {} more", differences.len() - LISTED));
    }
    lines.join("\n") + "\n"
}

fn json(found: &Found) -> Result<String, Failure> {
    let differences = found
        .differences
        .iter()
        .map(|one| json!({ "of": one.of, "which": one.which, "stored": one.stored, "raw": one.raw }));
    let whole = json!({
        "from": found.from.to_string(),
        "until": found.until.to_string(),
        "clicks_from": found.clicks_from.max(found.from).to_string(),
        "quarters": found.quarters,
        "rebuilt": found.rebuilt,
        "differences": differences.collect::<Vec<_>>(),
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&whole).map_err(Failure::new)?))
}
