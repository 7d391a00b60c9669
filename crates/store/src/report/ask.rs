//! Answers to what `domain::report` can ask: from the counts where they have the dimensions, else from the clicks and
//! conversions of the range.

use std::collections::BTreeMap;

use domain::catalog::Catalog;
use domain::click::Verdict;
use domain::conversion::Status;
use domain::id::{EventId, LinkId};
use domain::link::Link;
use domain::money::Currency;
use domain::offer::Results;
use domain::report::{Ask, Bucket, Clicks, Dimension, Line, Refused, Report, Takings, Value as Shown};
use domain::time::Timestamp;

use super::{clicks, scan, worth};
use crate::{Error, Row, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] = &[&CLICKS, &CLICKS_OF_LINK, &CONVERSIONS];

/// Flags say which columns the groups need.
static CLICKS: Statement = Statement::new(
    "ask.clicks",
    "select case when ?4 = 1 then link_id end as link_id, case when ?5 = 1 then verdict end as verdict,
         case when ?6 = 1 then country end as country, case when ?7 = 1 then device end as device,
         case when ?8 = 1 then os end as os, cast(sum(hits) as bigint) as hits,
         cast(sum(counted) as bigint) as counted, cast(sum(unique_clicks) as bigint) as unique_clicks,
         cast(sum(sent_on) as bigint) as sent_on, cast(sum(bots) as bigint) as bots,
         cast(sum(prefetches) as bigint) as prefetches
     from click_count where network_id = ?1 and start_ms >= ?2 and start_ms < ?3
     group by 1, 2, 3, 4, 5",
);

static CLICKS_OF_LINK: Statement = Statement::new(
    "ask.clicks_of_link",
    "select link_id, case when ?4 = 1 then verdict end as verdict, case when ?5 = 1 then country end as country,
         case when ?6 = 1 then device end as device, case when ?7 = 1 then os end as os,
         cast(sum(hits) as bigint) as hits, cast(sum(counted) as bigint) as counted,
         cast(sum(unique_clicks) as bigint) as unique_clicks, cast(sum(sent_on) as bigint) as sent_on,
         cast(sum(bots) as bigint) as bots, cast(sum(prefetches) as bigint) as prefetches
     from click_count where link_id = ?1 and start_ms >= ?2 and start_ms < ?3
     group by 1, 2, 3, 4, 5",
);

static CONVERSIONS: Statement = Statement::new(
    "ask.conversions",
    "select link_id, event_id, status, currency, cast(sum(conversions) as bigint) as conversions,
         cast(sum(revenue_micros) as bigint) as revenue_micros, cast(sum(payout_micros) as bigint) as payout_micros
     from conversion_count where network_id = ?1 and start_ms >= ?2 and start_ms < ?3
     group by link_id, event_id, status, currency having sum(conversions) <> 0",
);

/// So many links are asked for one by one, through their own index.
const MAX_SINGLE_LINKS: usize = 32;

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AskError {
    /// The store's.
    #[error(transparent)]
    Store(#[from] Error),
    /// The question's.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Too much would have to be read.
    #[error(
        "more than {most} {what} would have to be read for this; ask for a shorter range, or for one partner"
    )]
    TooLarge {
        /// Clicks or conversions.
        what: &'static str,
        /// How many may be read.
        most: usize,
    },
}

/// What a click or a conversion can be grouped by.
#[derive(Debug, Default)]
pub(super) struct Subject {
    pub(super) link: Option<LinkId>,
    pub(super) event: Option<EventId>,
    pub(super) status: Option<Status>,
    pub(super) verdict: Option<Verdict>,
    pub(super) country: String,
    pub(super) device: String,
    pub(super) os: String,
    pub(super) subs: BTreeMap<Dimension, String>,
}

/// Answers a question from one state of the record. `now` is the time before the transaction began.
pub fn ask(tx: &mut Tx<'_>, catalog: &Catalog, ask: &Ask, now: Timestamp) -> Result<Report, AskError> {
    let as_of = super::as_of(tx, now)?;
    let mut sheet = Sheet { ask, catalog, buckets: ask.buckets()?, lines: BTreeMap::new() };
    if ask.counts_clicks() {
        if ask.dimensions().any(|dimension| dimension.sub().is_some()) {
            scan::clicks(tx, ask, |subject, at, clicks| sheet.click(subject, at, &clicks))?;
        } else {
            sheet.count_clicks(tx)?;
        }
    }
    if ask.dimensions().any(Dimension::is_of_click) {
        scan::conversions(tx, ask, |subject, at, currency, takings| {
            sheet.conversion(subject, at, currency, takings)
        })?;
    } else {
        sheet.count_conversions(tx)?;
    }
    if ask.by().is_empty() {
        sheet.lines.entry(Vec::new()).or_default();
    }
    Ok(Report { as_of, lines: sheet.lines })
}

/// The lines as they come together.
struct Sheet<'a> {
    ask: &'a Ask,
    catalog: &'a Catalog,
    buckets: Vec<Bucket>,
    lines: BTreeMap<Vec<Shown>, Line>,
}

impl Sheet<'_> {
    fn count_clicks(&mut self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let needs = |dimension| i64::from(self.ask.dimensions().any(|asked| asked == dimension));
        let flags = [Dimension::Verdict, Dimension::Country, Dimension::Device, Dimension::Os]
            .map(needs)
            .map(Value::from);
        let own = self.own_links();
        for bucket in self.buckets.clone() {
            let times = [bucket.from.ms().into(), bucket.until.ms().into()];
            let rows = match &own {
                Some(links) if links.len() <= MAX_SINGLE_LINKS => {
                    let mut rows = Vec::new();
                    for link in links {
                        let params = [&[link.uuid().into()], &times[..], &flags[..]].concat();
                        rows.extend(tx.query(&CLICKS_OF_LINK, &params)?);
                    }
                    rows
                }
                own => {
                    let by_link =
                        needs(Dimension::Link) + needs(Dimension::Offer) + needs(Dimension::Partner);
                    let link = i64::from(own.is_some() || by_link > 0).into();
                    let network = self.ask.network().uuid().into();
                    let params = [&[network], &times[..], &[link], &flags[..]].concat();
                    tx.query(&CLICKS, &params)?
                }
            };
            for row in &rows {
                self.click(&counted(row)?, bucket.from, &clicks(row)?);
            }
        }
        Ok(())
    }

    fn count_conversions(&mut self, tx: &mut Tx<'_>) -> Result<(), Error> {
        for bucket in self.buckets.clone() {
            let params: [Value; 3] =
                [self.ask.network().uuid().into(), bucket.from.ms().into(), bucket.until.ms().into()];
            for row in tx.query(&CONVERSIONS, &params)? {
                let (worth, status) = (worth(&row)?, row.code("status")?);
                let takings =
                    Takings::of(status, worth.conversions, worth.revenue_micros, worth.payout_micros);
                let subject = Subject {
                    link: row.opt_uuid("link_id")?.map(LinkId),
                    event: row.opt_uuid("event_id")?.map(EventId),
                    status: Some(status),
                    ..Subject::default()
                };
                self.conversion(&subject, bucket.from, &row.text("currency")?, &takings)?;
            }
        }
        Ok(())
    }

    fn click(&mut self, subject: &Subject, at: Timestamp, clicks: &Clicks) {
        if let Some(line) = self.line(subject, at) {
            line.clicks.get_or_insert_default().add(clicks);
        }
    }

    fn conversion(
        &mut self,
        subject: &Subject,
        at: Timestamp,
        currency: &str,
        takings: &Takings,
    ) -> Result<(), Error> {
        let currency: Currency = currency.parse().map_err(|why| Error::bug("conversion.currency", why))?;
        if let Some(line) = self.line(subject, at) {
            line.take(currency, takings);
        }
        Ok(())
    }

    /// Whether only some links are asked about.
    fn is_of_some_links(&self) -> bool {
        let of_link = [Dimension::Offer, Dimension::Partner, Dimension::Link];
        self.ask.partner().is_some() || of_link.into_iter().any(|dimension| self.ask.has_filter(dimension))
    }

    /// The links that are asked about; none when all are.
    fn own_links(&self) -> Option<Vec<LinkId>> {
        self.is_of_some_links().then(|| {
            let own = self.catalog.links.values().filter(|link| self.is_asked(link));
            own.map(|link| link.id).collect()
        })
    }

    fn is_asked(&self, link: &Link) -> bool {
        let ask = self.ask;
        link.offer.network.id == ask.network()
            && ask.partner().is_none_or(|partner| partner == link.partner.id)
            && ask.passes(Dimension::Offer, &link.offer.slug)
            && ask.passes(Dimension::Partner, &link.partner.slug)
            && ask.passes(Dimension::Link, &link_name(link))
    }

    /// The line of a subject at a time; none when the question leaves it out.
    fn line(&mut self, subject: &Subject, at: Timestamp) -> Option<&mut Line> {
        let link = subject.link.and_then(|id| self.catalog.links.get(&id));
        match (link, subject.link) {
            (Some(link), _) if !self.is_asked(link) => return None,
            // A link that this catalog does not know yet is nobody's but the network's.
            (None, Some(_)) if self.is_of_some_links() => return None,
            _ => {}
        }
        let shown = |dimension| shown(dimension, subject, link.map(AsRef::as_ref));
        let filtered = [Dimension::Event, Dimension::Status, Dimension::Verdict, Dimension::Country];
        let filtered = filtered.into_iter().chain([Dimension::Device, Dimension::Os]);
        let subs = Dimension::ALL.iter().copied().filter(|dimension| dimension.sub().is_some());
        let passes = filtered.chain(subs).all(|dimension| {
            !self.ask.has_filter(dimension) || self.ask.passes(dimension, &shown(dimension))
        });
        if !passes {
            return None;
        }
        let time = self.buckets.partition_point(|bucket| bucket.until <= at);
        let key = self.ask.by().iter().map(|dimension| {
            if dimension.is_time() {
                (time, self.buckets.get(time).map_or_else(String::new, |bucket| bucket.name.clone()))
            } else {
                (0, shown(*dimension))
            }
        });
        let key: Vec<Shown> = key.collect();
        Some(self.lines.entry(key).or_default())
    }
}

fn counted(row: &Row) -> Result<Subject, Error> {
    Ok(Subject {
        link: row.opt_uuid("link_id")?.map(LinkId),
        verdict: row.opt_int("verdict")?.and_then(Verdict::from_number),
        country: row.opt_text("country")?.unwrap_or_default(),
        device: row.opt_text("device")?.unwrap_or_default(),
        os: row.opt_text("os")?.unwrap_or_default(),
        ..Subject::default()
    })
}

fn link_name(link: &Link) -> String {
    format!("{}/{}", link.offer.slug, link.partner.slug)
}

/// A value as reports show it and filters name it; empty when there is none.
fn shown(dimension: Dimension, subject: &Subject, link: Option<&Link>) -> String {
    match dimension {
        Dimension::Offer => link.map_or_else(String::new, |link| link.offer.slug.clone()),
        Dimension::Partner => link.map_or_else(String::new, |link| link.partner.slug.clone()),
        Dimension::Link => link.map_or_else(String::new, link_name),
        Dimension::Event => subject.event.zip(link).map_or_else(String::new, |(id, link)| event(link, id)),
        Dimension::Status => subject.status.map_or_else(String::new, |status| status.code().to_owned()),
        Dimension::Verdict => subject.verdict.map_or_else(String::new, |verdict| verdict.code().to_owned()),
        Dimension::Country => subject.country.clone(),
        Dimension::Device => subject.device.clone(),
        Dimension::Os => subject.os.clone(),
        sub => subject.subs.get(&sub).cloned().unwrap_or_default(),
    }
}

fn event(link: &Link, id: EventId) -> String {
    match &link.offer.results {
        Results::Multi(events) => events
            .iter()
            .find(|event| event.id == id)
            .map_or_else(|| id.to_string(), |event| event.code.clone()),
        Results::Single(_) => String::new(),
    }
}
