//! A dry run: what the server would do with a tracking link and a supposed visitor, and why, recording nothing.

mod draft;
mod warning;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use domain::api_token::Authority;
use domain::catalog::Catalog;
use domain::click::{self, Decision, Hit, Marks, Step, Survey, Verdict};
use domain::id::{ClickId, LinkId};
use domain::link::Link;
use domain::test_mode;
use domain::time::Timestamp;
use domain::visit::{Param, Visit};
use domain::visitor::{Agent, Country, Device, Visitor, Whereabouts};
use serde::Serialize;
use store::Tx;
use store::standing::Recorded;
use url::Url;
use uuid::Builder;
use visitor::Lookup;

pub use draft::{Draft, Finding, Weight};

/// Where tracking links live; the link's id follows.
pub const PATH: &str = "/api/v1/offer-link/redirect/";

/// Stands for the visitor when none is supposed: an address of the range for documentation.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The most clicks that are looked at for a click id that was sent before.
const LOOKED_AT: i64 = 100;

/// The rule whose detail tells what an advertiser pays.
const ROOM: &str = "caps and budgets leave room";

/// A text that is no tracking link, as the end of a sentence that begins with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoLink {
    /// Not an absolute URL.
    #[error("is not a whole URL: {0}")]
    NotWhole(url::ParseError),
    /// A URL of something else.
    #[error("is not a tracking link")]
    Other,
}

/// A tracking link taken apart as a browser sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    host: String,
    link: String,
    query: String,
    fragment: Option<String>,
}

/// The visitor that is supposed. What is not said is not known; what the link says (`pub_device`) counts as always.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Supposed {
    /// The country, instead of the address's.
    pub country: Option<Country>,
    /// The region in it, the ISO 3166-2 part behind the country.
    pub region: Option<String>,
    /// The kind of device, instead of the user agent's.
    pub device: Option<Device>,
    /// The operating system's family, instead of the user agent's.
    pub os: Option<String>,
    /// The browser's family, instead of the user agent's.
    pub browser: Option<String>,
    /// The address.
    pub address: Option<IpAddr>,
    /// The user agent.
    pub user_agent: Option<String>,
    /// `Accept-Language`, as a browser sends it.
    pub language: Option<String>,
}

/// What would happen.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// The time that was decided for.
    pub at: String,
    /// The link; none when it is not known.
    pub link: Option<Known>,
    /// Each rule that was looked at.
    pub steps: Vec<Looked>,
    /// What is decided.
    pub verdict: Verdict,
    /// The HTTP status of the answer.
    pub http_status: u16,
    /// What the visitor's page or the JSON answer would say; empty for a redirect.
    pub message: String,
    /// `test` and `bot`, where the click would be marked so: it would not be counted.
    pub marks: Vec<&'static str>,
    /// The `Location`, with example values for what only a real visit has; none without a redirect.
    pub location: Option<String>,
    /// Whether that is the offer's or the network's fallback.
    pub falls_back: bool,
    /// The click id in `location`, which is nobody's.
    pub example_click_id: ClickId,
    /// What may be wrong with the parameters all the same.
    pub warnings: Vec<String>,
}

/// One rule.
#[derive(Debug, Serialize)]
pub struct Looked {
    /// The rule, whether it lets the hit pass, and what it compared.
    #[serde(flatten)]
    pub step: Step,
    /// Whether it comes behind the rule that decides: a visitor would not get so far.
    pub beyond: bool,
}

/// Whose link it is.
#[derive(Debug, Serialize)]
pub struct Known {
    /// Its id.
    pub id: LinkId,
    /// The network's label.
    pub network: String,
    /// The offer's slug.
    pub offer: String,
    /// The offer's name.
    pub offer_name: String,
    /// The partner's slug.
    pub partner: String,
    /// The partner's name.
    pub partner_name: String,
}

impl Target {
    /// Takes a link apart.
    pub fn read(text: &str) -> Result<Self, NoLink> {
        let url = Url::parse(text).map_err(NoLink::NotWhole)?;
        let link = url.path().strip_prefix(PATH).filter(|_| matches!(url.scheme(), "http" | "https"));
        let link = link.ok_or(NoLink::Other)?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self {
            host: format!("{}{port}", url.host_str().unwrap_or_default()),
            link: link.to_owned(),
            query: url.query().unwrap_or_default().to_owned(),
            fragment: url.fragment().map(str::to_owned),
        })
    }

    /// The link, or why there is none. Whoever may not see a link hears of it what is said of an absent one.
    fn find<'c>(&self, catalog: &'c Catalog, authority: Option<Authority>) -> Result<&'c Arc<Link>, String> {
        let id = self.link.parse::<LinkId>().map_err(|why| why.to_string())?;
        let network = catalog.network_of_host(&self.host);
        let link = catalog.links.get(&id);
        if let Some(authority) = authority {
            let own = |link: &&Arc<Link>| {
                authority.sees(link) && network.is_some_and(|network| network.id == link.offer.network.id)
            };
            return link.filter(own).ok_or_else(|| format!("there is no link {id}"));
        }
        let link = link.ok_or_else(|| format!("there is no link {id}"))?;
        let own = &link.offer.network.label;
        let belongs = format!("the link belongs to network {own}, whose hosts begin with api.{own}");
        match network {
            Some(network) if network.id == link.offer.network.id => Ok(link),
            Some(network) => {
                Err(format!("host {} is that of network {}, {belongs}", self.host, network.label))
            }
            None => Err(format!("host {} names no network, {belongs}", self.host)),
        }
    }
}

impl Supposed {
    fn agent(&self, visitors: &Lookup) -> Agent {
        let known = self.user_agent.as_deref().map(|text| visitors.agent(text));
        let known = known.as_deref().cloned().unwrap_or_default();
        Agent {
            device: self.device.or(known.device),
            os: self.os.clone().unwrap_or(known.os),
            browser: self.browser.clone().unwrap_or(known.browser),
            bot: known.bot,
        }
    }

    fn whereabouts(&self, visitors: &Lookup) -> Whereabouts {
        let known = self.address.map(|address| visitors.whereabouts(address)).unwrap_or_default();
        // Another country has other regions.
        let region = known.region.filter(|_| self.country.is_none() || self.country == known.country);
        Whereabouts {
            country: self.country.or(known.country),
            region: self.region.as_ref().map(|own| own.to_ascii_uppercase()).or(region),
        }
    }
}

/// Decides about a link as the server would at `at`, for whoever may see it; without an authority everything is said.
/// Caps, budgets, members and sketches are those of the record.
pub fn check(
    tx: &mut Tx<'_>,
    catalog: &Catalog,
    visitors: &Lookup,
    (target, supposed): (&Target, &Supposed),
    at: Timestamp,
    authority: Option<Authority>,
) -> Result<Checked, store::Error> {
    let mut visit = Visit::read(&target.query);
    let mut warnings = warning::all(&target.query, &visit, target.fragment.as_deref());
    let link = match target.find(catalog, authority) {
        Ok(link) => link,
        Err(why) => return Ok(Checked::unknown(why, at, warnings)),
    };
    let is_test = test_mode::enter(catalog, link, &target.query, at, &mut visit);
    warnings.extend(used(tx, catalog, link, visit.given(Param::ClickId).unwrap_or_default())?);
    let member = visit.given(Param::MemberId).unwrap_or_default();
    let standing = Recorded::read(tx, link, member, at, None)?;
    let (agent, whereabouts) = (supposed.agent(visitors), supposed.whereabouts(visitors));
    let address = supposed.address.unwrap_or(NOBODY);
    let visitor = Visitor {
        visit: &visit,
        address,
        whereabouts: &whereabouts,
        agent: &agent,
        languages: supposed.language.as_deref().unwrap_or_default(),
        now: at,
        trusts_partner: link.offer.rules.trusts_partner_place,
    };
    let survey = click::survey(link, &visitor, &standing);
    let (location, falls_back) = location(link, &visitor, supposed, &survey.decision);
    let marks = [(is_test, "test"), (visitors.is_bot(address, &agent), "bot")];
    Ok(Checked {
        at: at.to_string(),
        link: Some(Known::of(link)),
        verdict: survey.decision.verdict,
        http_status: if location.is_some() { 302 } else { survey.decision.status() },
        message: survey.decision.message.clone().into_owned(),
        steps: steps(link, survey, authority),
        marks: marks.into_iter().filter_map(|(holds, mark)| holds.then_some(mark)).collect(),
        location,
        falls_back,
        example_click_id: example(at),
        warnings,
    })
}

/// Every rule. A partner does not learn what the advertiser pays, nor how much others convert.
fn steps(link: &Link, survey: Survey, authority: Option<Authority>) -> Vec<Looked> {
    let known = format!("link {} of network {}", link.id, link.offer.network.label);
    let first = Looked { step: step(true, known), beyond: false };
    let of_partner = authority.is_some_and(|authority| authority.partner().is_some());
    let looked = survey.steps.into_iter().enumerate().map(|(at, mut step)| {
        if of_partner && step.rule == ROOM {
            (if step.passed { "room left" } else { "no room" }).clone_into(&mut step.detail);
        }
        Looked { step, beyond: at >= survey.decided_by }
    });
    std::iter::once(first).chain(looked).collect()
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

/// An id that carries the time, as a click's does, and is visibly no real one.
fn example(at: Timestamp) -> ClickId {
    ClickId(Builder::from_unix_timestamp_millis(u64::try_from(at.ms()).unwrap_or(0), &[0; 10]).into_uuid())
}

/// Where the visitor would go, and whether that is a fallback.
fn location(
    link: &Link,
    visitor: &Visitor<'_>,
    supposed: &Supposed,
    decision: &Decision,
) -> (Option<String>, bool) {
    let user_agent = supposed.user_agent.as_deref().unwrap_or("example");
    let (id, marks) = (example(visitor.now), Marks::default());
    let (url, how) = Hit { id, link, visitor, user_agent, random: 0, marks }.destination(decision);
    ((!url.is_empty()).then_some(url), how.has(Marks::FELL_BACK))
}

impl Known {
    fn of(link: &Link) -> Self {
        Self {
            id: link.id,
            network: link.offer.network.label.clone(),
            offer: link.offer.slug.clone(),
            offer_name: link.offer.name.clone(),
            partner: link.partner.slug.clone(),
            partner_name: link.partner.name.clone(),
        }
    }
}

impl Checked {
    fn unknown(why: String, at: Timestamp, warnings: Vec<String>) -> Self {
        Self {
            at: at.to_string(),
            link: None,
            steps: vec![Looked { step: step(false, why), beyond: false }],
            verdict: Verdict::LinkUnknown,
            http_status: Verdict::LinkUnknown.status(),
            message: "No such tracking link".to_owned(),
            marks: Vec::new(),
            location: None,
            falls_back: false,
            example_click_id: example(at),
            warnings,
        }
    }

    /// Whether the visitor would reach the advertiser.
    pub fn sends_on(&self) -> bool {
        self.location.is_some() && !self.falls_back
    }
}
