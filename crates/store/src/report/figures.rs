//! The figures of a range: from the sums, and from the counts where nothing is summed up.

use domain::click::Verdict;
use domain::conversion::Status;
use domain::id::{EventId, LinkId, NetworkId, OfferId, PartnerId};
use domain::report::{Bucket, Clicks, QUARTER_MS, Takings};
use domain::time::Timestamp;
use uuid::Uuid;

use super::ask::Subject;
use super::cover::{Piece, counted, joined, pieces, run_ms};
use super::sum::{Of, Span};
use super::{clicks as clicks_of, worth};
use crate::{Error, Row, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] =
    &[&WAITING, &CLICK_SUMS, &CLICK_SUMS_OF_EACH, &CLICKS, &CLICKS_OF_LINKS, &CONVERSION_SUMS, &CONVERSIONS];

/// As many parameters as [`AT_ONCE`].
macro_rules! ids {
    () => {
        "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, \
         ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32)"
    };
}
pub(crate) use ids;

/// The sums of clicks, as [`clicks_of`] reads them.
macro_rules! figures {
    () => {
        "cast(sum(hits) as bigint) as hits, cast(sum(counted) as bigint) as counted,
         cast(sum(unique_clicks) as bigint) as unique_clicks, cast(sum(sent_on) as bigint) as sent_on,
         cast(sum(bots) as bigint) as bots, cast(sum(prefetches) as bigint) as prefetches"
    };
}
pub(crate) use figures;

macro_rules! worths {
    () => {
        "cast(sum(conversions) as bigint) as conversions, cast(sum(revenue_micros) as bigint) as revenue_micros,
         cast(sum(payout_micros) as bigint) as payout_micros"
    };
}

static WAITING: Statement = Statement::new(
    "figures.waiting",
    "select start_ms from count_quarter
     where network_id = ?1 and start_ms >= ?2 and start_ms < ?3 and summed = 0 order by start_ms",
);

/// `?37` is the length of a run; flags say which columns the groups need.
static CLICK_SUMS: Statement = Statement::new(
    "figures.click_sums",
    concat!(
        "select (start_ms - ?35) / ?37 * ?37 + ?35 as at_ms, case when ?38 = 1 then subject_id end as subject_id,
         case when ?39 = 1 then verdict end as verdict, case when ?40 = 1 then country end as country,
         case when ?41 = 1 then device end as device, case when ?42 = 1 then os end as os, ",
        figures!(),
        " from click_sum
     where subject_id in ",
        ids!(),
        " and span_ms = ?33 and by_visitor = ?34 and start_ms >= ?35 and start_ms < ?36
     group by 1, 2, 3, 4, 5, 6"
    ),
);

/// The same of each subject in one line, which are read in the order in which they lie and need not be sorted.
static CLICK_SUMS_OF_EACH: Statement = Statement::new(
    "figures.click_sums_of_each",
    concat!(
        "select min(start_ms) as at_ms, subject_id, null as verdict, null as country, null as device, null as os, ",
        figures!(),
        " from click_sum
     where subject_id in ",
        ids!(),
        " and span_ms = ?33 and by_visitor = ?34 and start_ms >= ?35 and start_ms < ?36 group by subject_id"
    ),
);

static CLICKS: Statement = Statement::new(
    "figures.clicks",
    concat!(
        "select (start_ms - ?2) / ?4 * ?4 + ?2 as at_ms, case when ?5 = 1 then link_id end as link_id,
         case when ?6 = 1 then verdict end as verdict, case when ?7 = 1 then country end as country,
         case when ?8 = 1 then device end as device, case when ?9 = 1 then os end as os, ",
        figures!(),
        " from click_count where network_id = ?1 and start_ms >= ?2 and start_ms < ?3
     group by 1, 2, 3, 4, 5, 6"
    ),
);

static CLICKS_OF_LINKS: Statement = Statement::new(
    "figures.clicks_of_links",
    concat!(
        "select (start_ms - ?33) / ?35 * ?35 + ?33 as at_ms, case when ?36 = 1 then link_id end as link_id,
         case when ?37 = 1 then verdict end as verdict, case when ?38 = 1 then country end as country,
         case when ?39 = 1 then device end as device, case when ?40 = 1 then os end as os, ",
        figures!(),
        " from click_count where link_id in ",
        ids!(),
        " and start_ms >= ?33 and start_ms < ?34
     group by 1, 2, 3, 4, 5, 6"
    ),
);

static CONVERSION_SUMS: Statement = Statement::new(
    "figures.conversion_sums",
    concat!(
        "select (start_ms - ?34) / ?36 * ?36 + ?34 as at_ms, case when ?37 = 1 then subject_id end as subject_id,
         status, currency, ",
        worths!(),
        " from conversion_sum
     where subject_id in ",
        ids!(),
        " and span_ms = ?33 and start_ms >= ?34 and start_ms < ?35
     group by 1, 2, 3, 4 having sum(conversions) <> 0"
    ),
);

/// With zeros for the partner: of every partner.
static CONVERSIONS: Statement = Statement::new(
    "figures.conversions",
    concat!(
        "select (c.start_ms - ?2) / ?4 * ?4 + ?2 as at_ms, case when ?7 = 1 then c.link_id end as link_id,
         case when ?8 = 1 then c.event_id end as event_id, c.status, c.currency, ",
        worths!(),
        " from conversion_count c left join link l on l.link_id = c.link_id
     where c.network_id = ?1 and c.start_ms >= ?2 and c.start_ms < ?3 and (l.partner_id = ?5 or ?5 = ?6)
     group by 1, 2, 3, 4, 5 having sum(conversions) <> 0"
    ),
);

/// Subjects that are asked for in one statement.
pub(crate) const AT_ONCE: usize = 32;
/// So many links are asked for by their ids; of more, the whole network's counts are read.
const MAX_LINKS: usize = 512;
/// More stretches than this are read from the counts in one go, with what lies between them.
const MAX_STRETCHES: usize = 64;

/// Whose figures are read, from when, and which of their columns are looked at.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) network: NetworkId,
    /// Only this one's.
    pub(super) partner: Option<PartnerId>,
    /// The parts of the range, one behind the other.
    pub(super) parts: &'a [Bucket],
    /// Where they are summed up; none: only the counts have them.
    pub(super) source: Option<Source>,
    /// The links whose counts they are; none: every link of the network.
    pub(super) links: Option<Vec<LinkId>>,
    /// Whether each subject, or link, is asked for by itself.
    pub(super) by_link: bool,
    /// Whether each event is.
    pub(super) by_event: bool,
    /// Whether each verdict, country, device and operating system is.
    pub(super) facts: [bool; 4],
}

/// Which sums.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) of: Of,
    pub(super) subjects: Vec<Uuid>,
    /// Whether country, device or operating system is asked for.
    pub(super) by_visitor: bool,
}

impl Source {
    fn spans(&self) -> &'static [Span] {
        if self.by_visitor { Of::SPANS_BY_VISITOR } else { self.of.spans() }
    }

    /// The subjects in lists of [`AT_ONCE`].
    fn lists(&self) -> impl Iterator<Item = Vec<Value>> {
        lists(self.subjects.iter().copied())
    }

    /// A row's subject, where it was asked for.
    fn subject(&self, row: &Row) -> Result<Subject, Error> {
        let id = row.opt_uuid("subject_id")?;
        let mut subject = Subject::default();
        match self.of {
            Of::Network => {}
            Of::Partner => subject.partner = id.map(PartnerId),
            Of::Offer => subject.offer = id.map(OfferId),
            Of::Link => subject.link = id.map(LinkId),
        }
        Ok(subject)
    }
}

/// Ids in lists of [`AT_ONCE`], filled up with zeros, which are nobody's.
pub(crate) fn lists(ids: impl Iterator<Item = Uuid>) -> impl Iterator<Item = Vec<Value>> {
    let ids: Vec<Uuid> = ids.collect();
    let lists: Vec<Vec<Value>> = ids
        .chunks(AT_ONCE)
        .map(|some| {
            let mut list: Vec<Value> = some.iter().map(|id| (*id).into()).collect();
            list.resize(AT_ONCE, Uuid::nil().into());
            list
        })
        .collect();
    lists.into_iter()
}

/// What is read from sums, and what from counts.
pub(crate) struct Plan {
    pub(crate) summed: Vec<(Piece, Span)>,
    pub(crate) counted: Vec<Piece>,
}

impl Plan {
    /// For a network's range in parts, where there are sums of these spans.
    fn new(
        tx: &mut Tx<'_>,
        network: NetworkId,
        parts: &[Bucket],
        spans: Option<&[Span]>,
    ) -> Result<Self, Error> {
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
            return Ok(Self { summed: Vec::new(), counted: Vec::new() });
        };
        let whole = Piece { span: None, from: first.from, until: last.until };
        let all_counted = || Self { summed: Vec::new(), counted: vec![whole] };
        let Some(spans) = spans else { return Ok(all_counted()) };
        let pieces = pieces(parts, spans);
        let range = [network.uuid().into(), first.from.ms().into(), last.until.ms().into()];
        let rows = tx.query(&WAITING, &range)?;
        let starts = rows.iter().map(|row| row.int("start_ms").map(Timestamp::from_ms));
        let quarters =
            starts.map(|start| start.map(|from| Piece { span: None, from, until: from.plus_ms(QUARTER_MS) }));
        let counted = counted(&pieces, &joined(quarters.collect::<Result<Vec<_>, _>>()?));
        if counted.len() > MAX_STRETCHES {
            return Ok(all_counted());
        }
        let summed = pieces.iter().filter_map(|piece| Some((*piece, piece.span?))).collect();
        Ok(Self { summed, counted })
    }

    /// For the clicks of links in a range.
    pub(crate) fn of_links(
        tx: &mut Tx<'_>,
        network: NetworkId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Self, Error> {
        let whole = Bucket { name: String::new(), from, until };
        Self::new(tx, network, &[whole], Some(Of::Link.spans()))
    }
}

impl Wanted<'_> {
    fn plan(&self, tx: &mut Tx<'_>) -> Result<Plan, Error> {
        Plan::new(tx, self.network, self.parts, self.source.as_ref().map(Source::spans))
    }

    fn run_ms(&self, piece: &Piece) -> Value {
        run_ms(piece, self.parts).into()
    }

    /// Whether a line for each subject is all that is wanted of a piece.
    fn is_of_each(&self, piece: &Piece) -> bool {
        let whole = run_ms(piece, self.parts) == piece.until.ms() - piece.from.ms();
        whole && self.by_link && !self.facts.contains(&true)
    }

    fn flags(&self) -> Vec<Value> {
        std::iter::once(self.by_link).chain(self.facts).map(Value::from).collect()
    }
}

/// Gives clicks by what is wanted of them, with a moment of the part in which they are.
pub(super) fn clicks(
    tx: &mut Tx<'_>,
    wanted: &Wanted<'_>,
    mut take: impl FnMut(&Subject, Timestamp, &Clicks),
) -> Result<(), Error> {
    let plan = wanted.plan(tx)?;
    let mut give = |row: &Row, mut subject: Subject| -> Result<(), Error> {
        subject.verdict = row.opt_int("verdict")?.and_then(Verdict::from_number);
        subject.country = row.opt_text("country")?.unwrap_or_default();
        subject.device = row.opt_text("device")?.unwrap_or_default();
        subject.os = row.opt_text("os")?.unwrap_or_default();
        take(&subject, Timestamp::from_ms(row.int("at_ms")?), &clicks_of(row)?);
        Ok(())
    };
    for (piece, span) in &plan.summed {
        let Some(source) = &wanted.source else { break };
        let times: [Value; 2] = [piece.from.ms().into(), piece.until.ms().into()];
        for list in source.lists() {
            let which: [Value; 2] = [span.ms().into(), source.by_visitor.into()];
            let mut params = [list, which.to_vec(), times.to_vec()].concat();
            let statement = if wanted.is_of_each(piece) {
                &CLICK_SUMS_OF_EACH
            } else {
                params.push(wanted.run_ms(piece));
                params.extend(wanted.flags());
                &CLICK_SUMS
            };
            for row in tx.query(statement, &params)? {
                give(&row, source.subject(&row)?)?;
            }
        }
    }
    for piece in &plan.counted {
        for row in clicks_counted(tx, wanted, piece)? {
            give(&row, Subject { link: row.opt_uuid("link_id")?.map(LinkId), ..Subject::default() })?;
        }
    }
    Ok(())
}

/// Few links have an index of their own; of many, the counts of the whole network are read.
fn clicks_counted(tx: &mut Tx<'_>, wanted: &Wanted<'_>, piece: &Piece) -> Result<Vec<Row>, Error> {
    let times: [Value; 2] = [piece.from.ms().into(), piece.until.ms().into()];
    let mut more = vec![wanted.run_ms(piece)];
    more.extend(wanted.flags());
    if let Some(links) = wanted.links.as_ref().filter(|links| links.len() <= MAX_LINKS) {
        let mut rows = Vec::new();
        for list in lists(links.iter().map(|link| link.uuid())) {
            rows.extend(tx.query(&CLICKS_OF_LINKS, &[list, times.to_vec(), more.clone()].concat())?);
        }
        return Ok(rows);
    }
    if wanted.links.is_some() {
        // Whose they are is asked afterwards, by the link.
        more[1] = true.into();
    }
    tx.query(&CLICKS, &[vec![wanted.network.uuid().into()], times.to_vec(), more].concat())
}

/// Gives conversions by status and currency, and by event where only the counts are read, with a moment of the part in
/// which they are.
pub(super) fn conversions(
    tx: &mut Tx<'_>,
    wanted: &Wanted<'_>,
    mut take: impl FnMut(&Subject, Timestamp, &str, &Takings) -> Result<(), Error>,
) -> Result<(), Error> {
    let plan = wanted.plan(tx)?;
    let mut give = |row: &Row, mut subject: Subject| -> Result<(), Error> {
        let (worth, status): (_, Status) = (worth(row)?, row.code("status")?);
        subject.status = Some(status);
        let takings = Takings::of(status, worth.conversions, worth.revenue_micros, worth.payout_micros);
        take(&subject, Timestamp::from_ms(row.int("at_ms")?), &row.text("currency")?, &takings)
    };
    for (piece, span) in &plan.summed {
        let Some(source) = &wanted.source else { break };
        let which: [Value; 3] = [span.ms().into(), piece.from.ms().into(), piece.until.ms().into()];
        for list in source.lists() {
            let more: [Value; 2] = [wanted.run_ms(piece), wanted.by_link.into()];
            for row in tx.query(&CONVERSION_SUMS, &[list, which.to_vec(), more.to_vec()].concat())? {
                give(&row, source.subject(&row)?)?;
            }
        }
    }
    for piece in &plan.counted {
        // Whose they are, of which offer and event, is asked afterwards, by the link.
        let by_link = wanted.by_link || wanted.by_event || wanted.links.is_some() && wanted.partner.is_none();
        let params: [Value; 8] = [
            wanted.network.uuid().into(),
            piece.from.ms().into(),
            piece.until.ms().into(),
            wanted.run_ms(piece),
            wanted.partner.map_or(Uuid::nil(), PartnerId::uuid).into(),
            Uuid::nil().into(),
            by_link.into(),
            wanted.by_event.into(),
        ];
        for row in tx.query(&CONVERSIONS, &params)? {
            let subject = Subject {
                link: row.opt_uuid("link_id")?.map(LinkId),
                event: row.opt_uuid("event_id")?.map(EventId),
                ..Subject::default()
            };
            give(&row, subject)?;
        }
    }
    Ok(())
}
