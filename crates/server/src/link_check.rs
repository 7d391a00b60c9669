//! `pitlane link check URL`: what the server would do with a tracking link, and why, recording nothing.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use domain::time::Timestamp;
use domain::visitor::{Country, Device};
use web::link_check::{Checked, Known, Looked, PATH, Supposed, Target, check};

use crate::cli::{Place, say};
use crate::failure::Failure;
use crate::terminal::line;
use crate::{clock, session, visitors, wire};

/// What is said of a `Location` that no visitor was sent to.
const EXAMPLE: &str = "\n  (an example: the click id is nobody's, and random is 0)";

/// The longest text that is shown in full, in characters.
const MOST: usize = 4_000;

/// What `pitlane link check` is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Command {
    /// The tracking link, as a visitor's browser would open it
    url: String,
    #[command(flatten)]
    visitor: Visitor,
    /// Decide as if it were this time, such as 2026-12-24T20:00:00Z, with the settings of now
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Write one JSON object, as docs/guide/dry-run.md describes it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// The visitor that is supposed; what is not said is not known.
#[derive(Debug, clap::Args)]
struct Visitor {
    /// The visitor's country, such as DE
    #[arg(long)]
    country: Option<Country>,
    /// The region in it, such as BY
    #[arg(long)]
    region: Option<String>,
    /// The kind of device, such as IOS or Browser
    #[arg(long)]
    device: Option<Device>,
    /// The operating system's family, such as Windows
    #[arg(long)]
    os: Option<String>,
    /// The browser's family, such as Firefox
    #[arg(long)]
    browser: Option<String>,
    /// The visitor's address; without --country it tells the country
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// The user agent; it tells what --device, --os and --browser do not
    #[arg(long, value_name = "TEXT")]
    user_agent: Option<String>,
    /// The browser's languages, such as de or 'de-AT, en;q=0.5'
    #[arg(long, value_name = "TAGS")]
    language: Option<String>,
}

impl From<Visitor> for Supposed {
    fn from(visitor: Visitor) -> Self {
        let Visitor { country, region, device, os, browser, address, user_agent, language } = visitor;
        Self { country, region, device, os, browser, address, user_agent, language }
    }
}

impl Command {
    /// Explains the link. Fails when it would not lead to the advertiser.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Self { url, visitor, at, json, place } = self;
        let target = target(&url)?;
        let effective = place.load()?;
        let at = at.unwrap_or_else(|| clock::ambient().now());
        let supposed = Supposed::from(visitor);
        let visitors = Arc::new(visitors::load(&effective.settings)?);
        let checked = session::run(&effective, async |db| {
            let checked = db.read(move |tx| {
                let catalog = store::catalog::load(tx)?;
                check(tx, &catalog, &visitors, (&target, &supposed), at, None)
            });
            checked.await.map_err(|error| wire::database_failure(error, &effective.target))
        })?;
        if json {
            say(&format!("{}\n", serde_json::to_string_pretty(&checked).map_err(Failure::new)?))?;
        } else {
            say(&text(&checked))?;
        }
        if checked.sends_on() {
            return Ok(());
        }
        Err(Failure::new(format!("this link does not lead to the advertiser: {}", checked.verdict)))
    }
}

/// A tracking link, or what to give instead.
pub(crate) fn target(url: &str) -> Result<Target, Failure> {
    Target::read(url).map_err(|why| {
        let whole =
            format!("give the whole link in quotes: 'http://api.NETWORK.DOMAIN{PATH}LINK?pub_click_id=…'");
        Failure::usage(format!("`{}` {why}", line(url, MOST))).next(whole)
    })
}

fn text(checked: &Checked) -> String {
    let mut text = String::new();
    if let Some(Known { id, network, offer, offer_name, partner, partner_name }) = &checked.link {
        // Writing into a String cannot fail, here and below.
        let _ = writeln!(text, "Link {id} of network {network}");
        let _ = writeln!(text, "  offer   {offer} ({})", line(offer_name, MOST));
        let _ = writeln!(text, "  partner {partner} ({})\n", line(partner_name, MOST));
    }
    let (met, beyond): (Vec<&Looked>, Vec<&Looked>) = checked.steps.iter().partition(|step| !step.beyond);
    rules(&mut text, &met);
    if !beyond.is_empty() && !checked.sends_on() {
        text.push_str("\nWith that mended, a visitor would meet\n");
    }
    rules(&mut text, &beyond);
    let _ = writeln!(text, "\nAt {} a visitor gets {}: {}", checked.at, checked.http_status, checked.verdict);
    if !checked.message.is_empty() {
        let _ = writeln!(text, "  says: {}", line(&checked.message, MOST));
    }
    if let Some(url) = &checked.location {
        let (to, note) = if checked.falls_back { ("the fallback", "") } else { ("the advertiser", EXAMPLE) };
        let _ = writeln!(text, "  goes to {to}: {}{note}", line(url, MOST));
    }
    if !checked.marks.is_empty() {
        let _ = writeln!(text, "  marked {}: recorded, and not counted", checked.marks.join(" and "));
    }
    for warning in &checked.warnings {
        let _ = writeln!(text, "  warning: {}", line(warning, MOST));
    }
    text.push_str("\nNothing was recorded.\n");
    text
}

fn rules(text: &mut String, looked: &[&Looked]) {
    for Looked { step, .. } in looked {
        let mark = if step.passed { "passed" } else { "FAILED" };
        let _ = writeln!(text, "  {mark}  {}: {}", step.rule, line(&step.detail, MOST));
    }
}
