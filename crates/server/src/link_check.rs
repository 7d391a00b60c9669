//! `pitlane link check URL`: what the server would do with a tracking link, and why, recording nothing.

mod warning;

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use domain::catalog::Catalog;
use domain::click::{self, Decision, Hit, Marks, Step, Verdict};
use domain::id::{ClickId, LinkId};
use domain::link::Link;
use domain::time::Timestamp;
use domain::visit::{Param, Visit};
use domain::visitor::{Agent, Visitor, Whereabouts};
use serde::Serialize;
use store::Tx;
use store::standing::Recorded;
use url::Url;
use uuid::Builder;

use crate::cli::{Place, say};
use crate::failure::Failure;
use crate::terminal::line;
use crate::{clock, session, wire};

/// Where tracking links live; the link's id follows.
const PATH: &str = "/api/v1/offer-link/redirect/";

/// Stands for the visitor: an address of the range for documentation.
const VISITOR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The most clicks that are looked at for a click id that was sent before.
const LOOKED_AT: i64 = 100;

/// What is said of a `Location` that no visitor was sent to.
const EXAMPLE: &str = "\n  (an example: the click id is nobody's, and so are address, user agent and random)";

/// The longest text that is shown in full, in characters.
const MOST: usize = 4_000;

/// What `pitlane link check` is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Command {
    /// The tracking link, as a visitor's browser would open it
    url: String,
    /// Decide as if it were this time, such as 2026-12-24T20:00:00Z, with the settings of now
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Write one JSON object, as docs/guide/why.md describes it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// What would happen, as `--json` writes it.
#[derive(Debug, Serialize)]
struct Checked {
    /// The time that was decided for.
    at: String,
    /// The link; none when it is not known.
    link: Option<Known>,
    /// Each rule that was looked at.
    steps: Vec<Step>,
    verdict: Verdict,
    http_status: u16,
    /// What the visitor's page or the JSON answer would say; empty for a redirect.
    message: String,
    /// The `Location`, with example values for what only a real visit has; none without a redirect.
    location: Option<String>,
    /// Whether that is the offer's or the network's fallback.
    falls_back: bool,
    /// The click id in `location`, which is nobody's.
    example_click_id: ClickId,
    /// What may be wrong with the parameters all the same.
    warnings: Vec<String>,
}

/// Whose link it is.
#[derive(Debug, Serialize)]
struct Known {
    id: LinkId,
    network: String,
    offer: String,
    offer_name: String,
    partner: String,
    partner_name: String,
}

impl Command {
    /// Explains the link. Fails when it would not lead to the advertiser.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Self { url, at, json, place } = self;
        let target = Target::read(&url)?;
        let effective = place.load()?;
        let at = at.unwrap_or_else(|| clock::ambient().now());
        let checked = session::run(&effective, async |db| {
            let checked = db.read(move |tx| check(tx, &target, at)).await;
            checked.map_err(|error| wire::database_failure(error, &effective.target))
        })?;
        if json {
            say(&format!("{}\n", serde_json::to_string_pretty(&checked).map_err(Failure::new)?))?;
        } else {
            say(&checked.text())?;
        }
        if checked.verdict.sends_on() {
            return Ok(());
        }
        Err(Failure::new(format!("this link does not lead to the advertiser: {}", checked.verdict)))
    }
}

/// A tracking link taken apart as a browser sends it.
struct Target {
    host: String,
    link: String,
    query: String,
    fragment: Option<String>,
}

impl Target {
    fn read(text: &str) -> Result<Self, Failure> {
        let shown = line(text, MOST);
        let whole =
            format!("give the whole link in quotes: 'http://api.NETWORK.DOMAIN{PATH}LINK?pub_click_id=…'");
        let url = Url::parse(text).map_err(|why| {
            Failure::usage(format!("`{shown}` is not a whole URL: {why}")).next(whole.clone())
        })?;
        let link = url.path().strip_prefix(PATH).filter(|_| matches!(url.scheme(), "http" | "https"));
        let Some(link) = link else {
            return Err(Failure::usage(format!("`{shown}` is not a tracking link")).next(whole));
        };
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self {
            host: format!("{}{port}", url.host_str().unwrap_or_default()),
            link: link.to_owned(),
            query: url.query().unwrap_or_default().to_owned(),
            fragment: url.fragment().map(str::to_owned),
        })
    }

    /// The link, or why there is none.
    fn find<'c>(&self, catalog: &'c Catalog) -> Result<&'c Link, String> {
        let id = self.link.parse::<LinkId>().map_err(|why| why.to_string())?;
        let link = catalog.links.get(&id).ok_or_else(|| format!("there is no link {id}"))?;
        let own = &link.offer.network.label;
        let belongs = format!("the link belongs to network {own}, whose hosts begin with api.{own}");
        match catalog.network_of_host(&self.host) {
            Some(network) if network.id == link.offer.network.id => Ok(link),
            Some(network) => {
                Err(format!("host {} is that of network {}, {belongs}", self.host, network.label))
            }
            None => Err(format!("host {} names no network, {belongs}", self.host)),
        }
    }
}

fn check(tx: &mut Tx<'_>, target: &Target, at: Timestamp) -> Result<Checked, store::Error> {
    let catalog = store::catalog::load(tx)?;
    let visit = Visit::read(&target.query);
    let mut warnings = warning::all(&target.query, &visit, target.fragment.as_deref());
    let link = match target.find(&catalog) {
        Ok(link) => link,
        Err(why) => return Ok(unknown(why, at, warnings)),
    };
    warnings.extend(used(tx, &catalog, link, visit.given(Param::ClickId).unwrap_or_default())?);
    let member = visit.given(Param::MemberId).unwrap_or_default();
    let standing = Recorded::read(tx, link, member, at, None)?;
    let visitor = Visitor {
        visit: &visit,
        address: VISITOR,
        whereabouts: &Whereabouts::default(),
        agent: &Agent::default(),
        languages: "",
        now: at,
        trusts_partner: link.offer.rules.trusts_partner_place,
    };
    let mut steps = vec![step(true, format!("link {} of network {}", link.id, link.offer.network.label))];
    let decision = click::decide(link, &visitor, &standing, &mut steps);
    let (location, falls_back) = location(link, &visitor, &decision, at);
    Ok(Checked {
        at: at.to_string(),
        link: Some(Known {
            id: link.id,
            network: link.offer.network.label.clone(),
            offer: link.offer.slug.clone(),
            offer_name: link.offer.name.clone(),
            partner: link.partner.slug.clone(),
            partner_name: link.partner.name.clone(),
        }),
        steps,
        verdict: decision.verdict,
        http_status: if location.is_some() { 302 } else { decision.verdict.status() },
        message: decision.message.into_owned(),
        location,
        falls_back,
        example_click_id: example(at),
        warnings,
    })
}

/// A click id that the partner has sent before.
fn used(
    tx: &mut Tx<'_>,
    catalog: &Catalog,
    link: &Link,
    pub_click_id: &str,
) -> Result<Option<String>, store::Error> {
    let clicks = store::click::by_pub_click_id(tx, pub_click_id, LOOKED_AT)?;
    let own = |click: &&click::Click| {
        catalog.links.get(&click.link).is_some_and(|other| other.partner.id == link.partner.id)
    };
    Ok(clicks.iter().find(own).map(|click| {
        let at = click.id.at();
        format!("pub_click_id was sent before, on click {} at {at}; it is to be unique per click", click.id)
    }))
}

fn step(passed: bool, detail: String) -> Step {
    Step { rule: "link known".into(), passed, detail }
}

fn unknown(why: String, at: Timestamp, warnings: Vec<String>) -> Checked {
    Checked {
        at: at.to_string(),
        link: None,
        steps: vec![step(false, why)],
        verdict: Verdict::LinkUnknown,
        http_status: Verdict::LinkUnknown.status(),
        message: "No such tracking link".to_owned(),
        location: None,
        falls_back: false,
        example_click_id: example(at),
        warnings,
    }
}

/// An id that carries the time, as a click's does, and is visibly no real one.
fn example(at: Timestamp) -> ClickId {
    ClickId(Builder::from_unix_timestamp_millis(u64::try_from(at.ms()).unwrap_or(0), &[0; 10]).into_uuid())
}

/// Where the visitor would go, and whether that is a fallback.
fn location(
    link: &Link,
    visitor: &Visitor<'_>,
    decision: &Decision,
    at: Timestamp,
) -> (Option<String>, bool) {
    let (id, marks) = (example(at), Marks::default());
    let hit = Hit { id, link, visitor, user_agent: "example", random: 0, marks };
    let (url, how) = hit.destination(decision);
    ((!url.is_empty()).then_some(url), how.has(Marks::FELL_BACK))
}

impl Checked {
    fn text(&self) -> String {
        let mut text = String::new();
        if let Some(Known { id, network, offer, offer_name, partner, partner_name }) = &self.link {
            // Writing into a String cannot fail, here and below.
            let _ = writeln!(text, "Link {id} of network {network}");
            let _ = writeln!(text, "  offer   {offer} ({})", line(offer_name, MOST));
            let _ = writeln!(text, "  partner {partner} ({})\n", line(partner_name, MOST));
        }
        for Step { rule, passed, detail } in &self.steps {
            let mark = if *passed { "passed" } else { "FAILED" };
            let _ = writeln!(text, "  {mark}  {rule}: {}", line(detail, MOST));
        }
        let _ = writeln!(text, "\nAt {} a visitor gets {}: {}", self.at, self.http_status, self.verdict);
        if !self.message.is_empty() {
            let _ = writeln!(text, "  says: {}", line(&self.message, MOST));
        }
        if let Some(url) = &self.location {
            let (to, note) = if self.falls_back { ("the fallback", "") } else { ("the advertiser", EXAMPLE) };
            let _ = writeln!(text, "  goes to {to}: {}{note}", line(url, MOST));
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "  warning: {}", line(warning, MOST));
        }
        text.push_str("\nNothing was recorded.\n");
        text
    }
}
