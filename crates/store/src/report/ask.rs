//! Answers to what `domain::report` can ask: from the counts where they have the dimensions, else from the clicks and
//! conversions of the range.

use std::collections::BTreeMap;

use domain::catalog::Catalog;
use domain::click::Verdict;
use domain::conversion::Status;
use domain::id::{EventId, LinkId, OfferId, PartnerId};
use domain::link::Link;
use domain::money::Currency;
use domain::offer::Results;
use domain::report::{Ask, Bucket, Clicks, Dimension, Line, Refused, Report, Takings, Value as Shown};
use domain::time::Timestamp;
use uuid::Uuid;

use super::figures::{self, Source, Wanted};
use super::scan;
use super::sum::Of;
use crate::{Error, Tx};

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

/// What a link has, in the order of [`Sheet::source`].
const OF_LINK: [Dimension; 3] = [Dimension::Offer, Dimension::Partner, Dimension::Link];

/// What a click or a conversion can be grouped by.
#[derive(Debug, Default)]
pub(super) struct Subject {
    pub(super) link: Option<LinkId>,
    pub(super) offer: Option<OfferId>,
    pub(super) partner: Option<PartnerId>,
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
    answer(tx, catalog, ask, now, true)
}

/// The same without conversions: where only clicks are shown, none need be looked at.
pub fn ask_clicks(tx: &mut Tx<'_>, catalog: &Catalog, ask: &Ask, now: Timestamp) -> Result<Report, AskError> {
    answer(tx, catalog, ask, now, false)
}

fn answer(
    tx: &mut Tx<'_>,
    catalog: &Catalog,
    ask: &Ask,
    now: Timestamp,
    with_conversions: bool,
) -> Result<Report, AskError> {
    let as_of = super::as_of(tx, now)?;
    let mut sheet = Sheet { ask, catalog, buckets: ask.buckets()?, lines: BTreeMap::new() };
    if ask.counts_clicks() {
        if ask.dimensions().any(|dimension| dimension.sub().is_some()) {
            scan::clicks(tx, ask, |subject, at, clicks| sheet.click(subject, at, &clicks))?;
        } else {
            sheet.count_clicks(tx)?;
        }
    }
    match (with_conversions, ask.dimensions().any(Dimension::is_of_click)) {
        (false, _) => {}
        (true, true) => scan::conversions(tx, ask, |subject, at, currency, takings| {
            sheet.conversion(subject, at, currency, takings)
        })?,
        (true, false) => sheet.count_conversions(tx)?,
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
        let buckets = self.buckets.clone();
        let wanted = self.wanted(&buckets);
        figures::clicks(tx, &wanted, |subject, at, clicks| self.click(subject, at, clicks))
    }

    fn count_conversions(&mut self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let buckets = self.buckets.clone();
        let wanted = self.wanted(&buckets);
        figures::conversions(tx, &wanted, |subject, at, currency, takings| {
            self.conversion(subject, at, currency, takings)
        })
    }

    fn asks(&self, dimension: Dimension) -> bool {
        self.ask.dimensions().any(|asked| asked == dimension)
    }

    fn wanted<'b>(&self, parts: &'b [Bucket]) -> Wanted<'b> {
        let of_click = [Dimension::Verdict, Dimension::Country, Dimension::Device, Dimension::Os];
        Wanted {
            network: self.ask.network(),
            partner: self.ask.partner(),
            parts,
            source: self.source(),
            links: self.own_links(),
            by_link: OF_LINK.into_iter().any(|dimension| self.asks(dimension)),
            by_event: self.asks(Dimension::Event),
            facts: of_click.map(|dimension| self.asks(dimension)),
        }
    }

    /// Where there are sums of what is asked for: those of the fewest subjects that tell it apart.
    fn source(&self) -> Option<Source> {
        let by_visitor =
            [Dimension::Country, Dimension::Device, Dimension::Os].into_iter().any(|own| self.asks(own));
        let by = OF_LINK.map(|dimension| self.asks(dimension));
        let (catalog, ask) = (self.catalog, self.ask);
        let (of, subjects): (Of, Vec<Uuid>) = match (by, ask.partner()) {
            _ if self.asks(Dimension::Event) => return None,
            ([false, false, false], Some(partner)) => (Of::Partner, vec![partner.uuid()]),
            ([false, false, false], None) => (Of::Network, vec![ask.network().uuid()]),
            ([false, true, false], None) => {
                let own = catalog.partners.values().filter(|own| own.network == ask.network());
                let own = own.filter(|own| ask.passes(Dimension::Partner, &own.slug));
                (Of::Partner, own.map(|own| own.id.uuid()).collect())
            }
            _ if by_visitor => return None,
            ([true, false, false], None) => {
                let own = catalog.offers.values().filter(|own| own.network.id == ask.network());
                let own = own.filter(|own| ask.passes(Dimension::Offer, &own.slug));
                (Of::Offer, own.map(|own| own.id.uuid()).collect())
            }
            _ => {
                let own = catalog.links.values().filter(|link| self.is_asked(link));
                (Of::Link, own.map(|link| link.id.uuid()).collect())
            }
        };
        Some(Source { of, subjects, by_visitor })
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
        self.ask.partner().is_some() || OF_LINK.into_iter().any(|dimension| self.ask.has_filter(dimension))
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
        let shown = |dimension| self.shown(dimension, subject, link.map(AsRef::as_ref));
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

    /// A value as reports show it and filters name it; empty when there is none.
    fn shown(&self, dimension: Dimension, subject: &Subject, link: Option<&Link>) -> String {
        match dimension {
            Dimension::Offer => {
                let of = subject.offer.and_then(|id| self.catalog.offers.get(&id));
                link.map(|link| &link.offer).or(of).map_or_else(String::new, |offer| offer.slug.clone())
            }
            Dimension::Partner => {
                let of = subject.partner.and_then(|id| self.catalog.partners.get(&id));
                link.map(|link| &link.partner).or(of).map_or_else(String::new, |partner| partner.slug.clone())
            }
            Dimension::Link => link.map_or_else(String::new, link_name),
            Dimension::Event => {
                subject.event.zip(link).map_or_else(String::new, |(id, link)| event(link, id))
            }
            Dimension::Status => subject.status.map_or_else(String::new, |status| status.code().to_owned()),
            Dimension::Verdict => {
                subject.verdict.map_or_else(String::new, |verdict| verdict.code().to_owned())
            }
            Dimension::Country => subject.country.clone(),
            Dimension::Device => subject.device.clone(),
            Dimension::Os => subject.os.clone(),
            sub => subject.subs.get(&sub).cloned().unwrap_or_default(),
        }
    }
}

fn link_name(link: &Link) -> String {
    format!("{}/{}", link.offer.slug, link.partner.slug)
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
