//! `pitlane link health`: how a partner has set up its links, from what their clicks carry, in words and with the next
//! step.

use std::fmt::Write as _;

use domain::catalog::Catalog;
use domain::click::Verdict;
use domain::format::Numbers;
use domain::health::{Advice, Health, Judged, Newest, advice};
use domain::id::LinkId;
use domain::link::Link;
use domain::report::{Clicks, QUARTER_MS, quarter};
use domain::time::{DAY_MS, Timestamp};
use serde_json::{Value, json};
use store::health::{self, MAX_DAYS};
use store::{Db, Error};

use crate::cli::{Place, say};
use crate::config::Effective;
use crate::failure::Failure;
use crate::report::catch_up;
use crate::terminal::line;
use crate::{clock, session, wire};

/// The longest value that is shown in full, in characters.
const WIDEST: usize = 80;

/// Links that are shown at once.
const MOST_LINKS: usize = 200;

/// What `pitlane link health` is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Command {
    /// The link's id; or give a partner to see all its links
    #[arg(required_unless_present = "partner")]
    link: Option<LinkId>,
    /// Every link of this partner, by slug
    #[arg(long, value_name = "SLUG", conflicts_with = "link")]
    partner: Option<String>,
    /// The network's label, where there are several
    #[arg(long, value_name = "LABEL")]
    network: Option<String>,
    /// How many days back
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(i64).range(1..=MAX_DAYS))]
    days: i64,
    /// Write one JSON array, with the figures of every quarter of an hour
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// One link with its health.
struct Shown {
    id: LinkId,
    name: String,
    health: Health,
    warnings: Vec<Advice>,
}

impl Command {
    /// Counts what waits, and shows.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let effective = self.place.clone().load()?;
        let now = clock::ambient().now();
        let shown = session::run(&effective, async |db| self.look(db, &effective, now).await)?;
        if self.json {
            let all: Vec<Value> = shown.iter().map(object).collect();
            return say(&format!("{:#}\n", Value::Array(all)));
        }
        let all: Vec<String> = shown.iter().map(|shown| self.text(shown)).collect();
        say(&all.join("\n"))
    }

    async fn look(&self, db: &Db, effective: &Effective, now: Timestamp) -> Result<Vec<Shown>, Failure> {
        let told = |error| wire::database_failure(error, &effective.target);
        let catalog = db.read(store::catalog::load).await.map_err(told)?;
        let links = self.links(&catalog)?;
        catch_up(db, now).await.map_err(told)?;
        let from = quarter(now.plus_ms(-self.days * DAY_MS));
        let until = quarter(now).plus_ms(QUARTER_MS);
        let mut all = Vec::new();
        for (id, name) in links {
            let health = db.read(move |tx| health::of_link(tx, id, from, until)).await;
            let health = health.map_err(|error: Error| told(error))?;
            let warnings = advice(&health, self.days, Numbers::CommaPoint);
            all.push(Shown { id, name, health, warnings });
        }
        Ok(all)
    }

    fn links(&self, catalog: &Catalog) -> Result<Vec<(LinkId, String)>, Failure> {
        let network = session::only_network(catalog, self.network.as_deref());
        let name = |link: &Link| format!("{}/{}", link.offer.slug, link.partner.slug);
        if let Some(id) = self.link {
            let link = catalog
                .links
                .get(&id)
                .filter(|link| self.network.as_ref().is_none_or(|label| link.offer.network.label == *label));
            return link.map(|link| vec![(id, name(link))]).ok_or_else(|| {
                let failure = Failure::new(format!("there is no link {id}"));
                failure.next("give a partner to see all its links: `pitlane link health --partner SLUG`")
            });
        }
        let (network, slug) = (network?, self.partner.clone().unwrap_or_default());
        let own = catalog.links.values();
        let own = own.filter(|link| link.offer.network.id == network.id && link.partner.slug == slug);
        let mut own: Vec<(LinkId, String)> = own.map(|link| (link.id, name(link))).collect();
        own.sort_by(|(_, a), (_, b)| a.cmp(b));
        match own.len() {
            0 => {
                Err(Failure::usage(format!("network {} has no partner `{slug}` with a link", network.label))
                    .next("look at `pitlane report --by link`"))
            }
            many if many > MOST_LINKS => {
                let error = format!("partner `{slug}` has {many} links, {MOST_LINKS} can be shown at once");
                Err(Failure::usage(error).next("give the id of one: `pitlane link health ID`"))
            }
            _ => Ok(own),
        }
    }

    fn text(&self, shown: &Shown) -> String {
        let Shown { id, name, health, warnings } = shown;
        let mut text = format!("{name}  {id}\n");
        let total = health.total();
        // Writing into a String cannot fail, here and below.
        let _ = writeln!(
            text,
            "  {} hits in {} days: {} clicks, {} of them unique; {} by bots, {} fetched ahead",
            total.hits, self.days, total.counted, total.unique, total.bots, total.prefetches
        );
        for judged in &health.verdicts {
            text.push_str(&verdict(judged));
        }
        text.push_str(&newest(&health.newest));
        for warning in warnings {
            let _ = writeln!(text, "  ! {}\n    next: {}", warning.told(), warning.for_network);
        }
        if warnings.is_empty() {
            text.push_str("  Nothing to warn of.\n");
        }
        text
    }
}

fn verdict(judged: &Judged) -> String {
    let Judged { verdict, clicks, first, last, examples } = judged;
    let mut text = format!("  {:24} {:>9}  {first} to {last}\n", verdict.code(), clicks.hits);
    if *verdict != Verdict::Ok && !examples.is_empty() {
        let ids: Vec<String> = examples.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "    such as {}", ids.join(" "));
    }
    text
}

fn newest(newest: &Newest) -> String {
    if newest.clicks == 0 {
        return String::new();
    }
    let Newest { clicks, members, click_ids, top_members, top_click_ids, .. } = newest;
    format!(
        "  The last {clicks} clicks carry {members} member ids{}\n  and {click_ids} click ids{}\n",
        top(top_members),
        top(top_click_ids)
    )
}

/// The values that came more than once.
fn top(values: &[(String, usize)]) -> String {
    let again = values.iter().filter(|(_, count)| *count > 1);
    let again: Vec<String> =
        again.map(|(value, count)| format!("`{}` {count}", line(value, WIDEST))).collect();
    if again.is_empty() { ", each once".to_owned() } else { format!(", most often {}", again.join(", ")) }
}

fn object(shown: &Shown) -> Value {
    let Shown { id, name, health, warnings } = shown;
    let verdicts = health.verdicts.iter().map(|judged| {
        json!({
            "verdict": judged.verdict, "figures": figures(&judged.clicks), "first": judged.first.to_string(),
            "last": judged.last.to_string(), "examples": judged.examples,
        })
    });
    let quarters = health.quarters.iter().map(|one| {
        json!({
            "start": one.start.to_string(), "verdict": one.verdict, "figures": figures(&one.clicks),
        })
    });
    let values = |all: &[(String, usize)]| {
        let all = all.iter().map(|(value, clicks)| json!({ "value": value, "clicks": clicks }));
        Value::Array(all.collect())
    };
    let newest = &health.newest;
    let warnings =
        warnings.iter().map(|warning| json!({ "what": warning.told(), "next": warning.for_network }));
    json!({
        "link": id,
        "name": name,
        "verdicts": verdicts.collect::<Vec<_>>(),
        "quarters": quarters.collect::<Vec<_>>(),
        "newest": {
            "clicks": newest.clicks, "members": newest.members, "click_ids": newest.click_ids,
            "top_members": values(&newest.top_members), "top_click_ids": values(&newest.top_click_ids),
        },
        "warnings": warnings.collect::<Vec<_>>(),
    })
}

fn figures(clicks: &Clicks) -> Value {
    let Clicks { hits, counted, unique, sent_on, bots, prefetches } = clicks;
    json!({
        "hits": hits, "clicks": counted, "unique": unique, "sent_on": sent_on, "bots": bots,
        "prefetches": prefetches,
    })
}
