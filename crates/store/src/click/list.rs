//! A partner's clicks, newest first. Clicks have no index by link: it would cost every click its share. The sums say on
//! which days there are such clicks, then in which quarters of an hour, and only those are read, so many rows at a
//! time, up to a bound; a list that came to the bound says where to go on.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use domain::click::{Click, Verdict};
use domain::id::{ClickId, LinkId, NetworkId, PartnerId};
use domain::report::{QUARTER_MS, quarter};
use domain::time::{DAY_MS, Timestamp};
use uuid::Uuid;

use super::key::{self, Which};
use super::{columns, read};
use crate::report::figures::{AT_ONCE as AT_ONCE_LINKS, ids, lists};
use crate::{Error, Row, Statement, Tx, Value, report};

pub(crate) const ALL: &[&Statement] =
    &[&STARTS, &WAITING, &QUARTERS, &CLICKS, &LOOKED, &LOWEST, &TESTS, &OWN];

/// When subjects have clicks, by the sums. `?37` has a bit for each verdict that is asked for.
static STARTS: Statement = Statement::new(
    "click_list.starts",
    concat!(
        "select start_ms from click_sum
     where subject_id in ",
        ids!(),
        " and span_ms = ?33 and by_visitor = ?34 and start_ms >= ?35 and start_ms < ?36
         and ((cast(?37 as bigint) >> cast(verdict as integer)) & 1) = 1
         and (country = ?38 or ?38 = '') and (device = ?39 or ?39 = '')
     group by start_ms having sum(hits) > 0"
    ),
);

/// The quarters that are in no sum.
static WAITING: Statement = Statement::new(
    "click_list.waiting",
    "select start_ms from count_quarter
     where network_id = ?1 and start_ms >= ?2 and start_ms < ?3 and summed = 0",
);

/// When links have clicks, by the counts.
static QUARTERS: Statement = Statement::new(
    "click_list.quarters",
    concat!(
        "select start_ms from click_count
     where link_id in ",
        ids!(),
        " and start_ms >= ?33 and start_ms < ?34
         and ((cast(?35 as bigint) >> cast(verdict as integer)) & 1) = 1
         and (country = ?36 or ?36 = '') and (device = ?37 or ?37 = '')
     group by start_ms having sum(hits) > 0"
    ),
);

/// Looks at `?3` clicks below `?2`. With zeros for the link: of every link of the partner.
static CLICKS: Statement = Statement::new(
    "click_list.clicks",
    concat!(
        "select ",
        columns!(),
        " from (
         select click_id, link_id, verdict, marks from click
         where click_id >= ?1 and click_id < ?2 order by click_id desc limit ?3) w
     join link l on l.link_id = w.link_id
     join click k on k.click_id = w.click_id
     where l.network_id = ?4 and l.partner_id = ?5 and (w.link_id = ?6 or ?6 = ?7)
         and ((cast(?8 as bigint) >> cast(w.verdict as integer)) & 1) = 1 and (w.marks & 2) = 0
     order by k.click_id desc limit ?9"
    ),
);

/// How many those are that [`CLICKS`] looks at.
static LOOKED: Statement = Statement::new(
    "click_list.looked",
    "select count(*) as looked from (
         select click_id from click where click_id >= ?1 and click_id < ?2 order by click_id desc limit ?3) w",
);

/// The last one of them; none when there are fewer.
static LOWEST: Statement = Statement::new(
    "click_list.lowest",
    "select click_id from click where click_id >= ?1 and click_id < ?2 order by click_id desc limit 1 offset ?3",
);

static TESTS: Statement = Statement::new(
    "click_list.tests",
    concat!(
        "select ",
        columns!(),
        " from click k join link l on l.link_id = k.link_id
     where (k.marks & 2) <> 0 and k.click_id >= ?1 and k.click_id < ?2 and l.network_id = ?3 and l.partner_id = ?4
         and (k.link_id = ?5 or ?5 = ?6) and ((cast(?7 as bigint) >> cast(k.verdict as integer)) & 1) = 1
     order by k.click_id desc limit ?8"
    ),
);

static OWN: Statement = Statement::new(
    "click_list.own",
    concat!(
        "select ",
        columns!(),
        " from click k join link l on l.link_id = k.link_id
     where k.click_id = ?1 and l.network_id = ?2 and l.partner_id = ?3"
    ),
);

/// Clicks of the whole network that are looked at in one go, and for one page.
const AT_ONCE: i64 = 2_000;
const MAX_LOOKED_AT: i64 = 20_000;
/// Clicks that are read at once where most will be left out: what is known of the visitor is looked at here.
const ROOM_TO_CHOOSE: usize = 500;
const HOUR_MS: i64 = 4 * QUARTER_MS;
/// What a look costs beside its rows.
const LOOK: i64 = 50;
/// Clicks with one id, of all partners, that are looked at: an id is seldom another partner's, too.
const MAX_OF_ALL: i64 = 2_000;
/// Clicks with one id that are looked at for one page.
const MAX_WITH_ID: i64 = 200;
/// Test clicks that are looked at.
const MAX_TESTS: i64 = 1_000;

/// Which clicks.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Of this network.
    pub network: NetworkId,
    /// Of this partner.
    pub partner: PartnerId,
    /// On these links of the partner: all of them, or one.
    pub links: Vec<LinkId>,
    /// From this moment on.
    pub from: Timestamp,
    /// Before this moment.
    pub until: Timestamp,
    /// Older than this one.
    pub before: Option<ClickId>,
    /// With one of these verdicts; none given: with any.
    pub verdicts: Vec<Verdict>,
    /// From this country, by its code; empty: from any.
    pub country: String,
    /// With this device, by its code; empty: with any.
    pub device: String,
    /// The test clicks, which are in no other list.
    pub test: bool,
    /// Only those with this id: our click id, or one of the partner's; empty: all.
    pub id: String,
    /// At most so many.
    pub limit: usize,
}

/// Some clicks, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The clicks.
    pub clicks: Vec<Click>,
    /// Where the next page begins: it holds what is older than this. With fewer clicks than were asked for, as many
    /// as a page may look at were looked at.
    pub next: Option<ClickId>,
}

/// The clicks that are asked for. `now` is the time before the transaction began.
pub fn of_partner(tx: &mut Tx<'_>, ask: &Ask, now: Timestamp) -> Result<Page, Error> {
    if ask.links.is_empty() || ask.from >= ask.until {
        return Ok(Page::default());
    }
    if !ask.id.is_empty() {
        let (clicks, floor) = with_id(tx, ask)?;
        let page = ask.page(clicks);
        return Ok(Page { next: page.next.or(floor), ..page });
    }
    if ask.test {
        let clicks = tests(tx, ask)?;
        return Ok(ask.page(clicks));
    }
    let mut walk = Walk { ask, clicks: Vec::new(), left: MAX_LOOKED_AT, reached: None };
    let as_of = report::as_of(tx, now)?;
    walk.run(tx, as_of)?;
    Ok(walk.page())
}

/// The newest clicks of a partner with this `pub_click_id`, and those with this `pub_member_id`, at most `limit` of
/// each.
pub fn by_pub_ids(
    tx: &mut Tx<'_>,
    network: NetworkId,
    partner: PartnerId,
    id: &str,
    limit: i64,
) -> Result<[Vec<Click>; 2], Error> {
    let bounds = (Uuid::nil(), Uuid::max());
    Ok([
        by_pub_id(tx, Which::ClickId, (network, partner), id, bounds, limit)?,
        by_pub_id(tx, Which::MemberId, (network, partner), id, bounds, limit)?,
    ])
}

/// Of the clicks with an id, those of a partner between two of them, newest first.
fn by_pub_id(
    tx: &mut Tx<'_>,
    which: Which,
    (network, partner): (NetworkId, PartnerId),
    id: &str,
    (from, until): (Uuid, Uuid),
    limit: i64,
) -> Result<Vec<Click>, Error> {
    let mut clicks = Vec::new();
    let ids = key::find(tx, which, id, MAX_OF_ALL)?;
    for click in ids.into_iter().filter(|click| (from..until).contains(&click.uuid())) {
        let params = [click.uuid().into(), network.uuid().into(), partner.uuid().into()];
        clicks.extend(tx.query_one(&OWN, &params)?.map(|row| read(&row)).transpose()?);
        if i64::try_from(clicks.len()) == Ok(limit) {
            break;
        }
    }
    Ok(clicks)
}

/// The clicks with the asked id, newest first, and how far down they are all there; none when down to the last.
fn with_id(tx: &mut Tx<'_>, ask: &Ask) -> Result<(Vec<Click>, Option<ClickId>), Error> {
    let own = match ask.id.parse::<ClickId>() {
        Ok(id) => super::find(tx, id)?,
        Err(_) => None,
    };
    let mut found: BTreeMap<_, Click> = own.into_iter().map(|click| (Reverse(click.id), click)).collect();
    let mut floor = None;
    for which in [Which::ClickId, Which::MemberId] {
        let whose = (ask.network, ask.partner);
        let clicks = by_pub_id(tx, which, whose, &ask.id, ask.ids(), MAX_WITH_ID)?;
        if i64::try_from(clicks.len()) == Ok(MAX_WITH_ID) {
            floor = floor.max(clicks.last().map(|last| last.id));
        }
        found.extend(clicks.into_iter().map(|click| (Reverse(click.id), click)));
    }
    let known = |click: &Click| floor.is_none_or(|floor| click.id >= floor);
    let found = found.into_values().filter(|click| known(click) && ask.holds(click));
    Ok((found.collect(), floor))
}

fn tests(tx: &mut Tx<'_>, ask: &Ask) -> Result<Vec<Click>, Error> {
    let (from, until) = ask.ids();
    let params: [Value; 8] = [
        from.into(),
        until.into(),
        ask.network.uuid().into(),
        ask.partner.uuid().into(),
        ask.only_link().into(),
        Uuid::nil().into(),
        ask.mask().into(),
        MAX_TESTS.into(),
    ];
    let clicks = tx.query(&TESTS, &params)?.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(clicks.into_iter().filter(|click| ask.holds(click)).collect())
}

impl Ask {
    /// From the first id until before the second.
    fn ids(&self) -> (Uuid, Uuid) {
        let until = report::first_id(self.until);
        (report::first_id(self.from), self.before.map_or(until, |before| until.min(before.uuid())))
    }

    /// Whether the links themselves are asked when they have clicks; of many, their partner is.
    fn is_of_few_links(&self) -> bool {
        self.links.len() <= AT_ONCE_LINKS
    }

    /// Whether it is about certain visitors.
    fn chooses(&self) -> bool {
        !self.country.is_empty() || !self.device.is_empty()
    }

    fn mask(&self) -> i64 {
        match self.verdicts.as_slice() {
            [] => i64::MAX,
            some => some.iter().fold(0, |mask, verdict| mask | (1 << verdict.number())),
        }
    }

    /// The link, when only one is asked for; else zeros.
    fn only_link(&self) -> Uuid {
        match self.links.as_slice() {
            [only] => only.uuid(),
            _ => Uuid::nil(),
        }
    }

    fn holds(&self, click: &Click) -> bool {
        let (from, until) = self.ids();
        let facts = &click.facts;
        let country = facts.country.as_ref().map_or("", |own| own.code());
        let device = facts.device.map_or("", |own| own.code());
        (from..until).contains(&click.id.uuid())
            && self.links.contains(&click.link)
            && (self.verdicts.is_empty() || self.verdicts.contains(&click.verdict))
            && (self.country.is_empty() || self.country == country)
            && (self.device.is_empty() || self.device == device)
            && click.marks.has(domain::click::Marks::TEST) == self.test
    }

    /// The first of these as a page.
    fn page(&self, mut clicks: Vec<Click>) -> Page {
        let more = clicks.len() > self.limit;
        clicks.truncate(self.limit);
        Page { next: clicks.last().filter(|_| more).map(|last| last.id), clicks }
    }
}

/// A way down through the clicks, from the newest.
struct Walk<'a> {
    ask: &'a Ask,
    /// What was found, at most one more than was asked for.
    clicks: Vec<Click>,
    /// How many clicks may still be looked at.
    left: i64,
    /// Everything from here on was looked at, when there was no time for all.
    reached: Option<Uuid>,
}

impl Walk<'_> {
    /// First what is not in the counts yet, then the quarters that the counts name.
    fn run(&mut self, tx: &mut Tx<'_>, as_of: Timestamp) -> Result<(), Error> {
        let counted = quarter(as_of).max(self.ask.from);
        if counted < self.ask.until {
            self.between(tx, counted, self.ask.until)?;
        }
        let newest =
            self.ask.before.map_or(self.ask.until, |before| quarter(before.at()).plus_ms(QUARTER_MS));
        let until = counted.min(self.ask.until).min(newest);
        for (start, end) in Within(self.ask, DAY_MS).starts(tx, (self.ask.from, until))? {
            if self.is_over() {
                break;
            }
            self.day(tx, (start, end.min(until)))?;
        }
        Ok(())
    }

    /// Goes down through the quarters of a day that have such clicks.
    fn day(&mut self, tx: &mut Tx<'_>, day: Stretch) -> Result<(), Error> {
        let ask = self.ask;
        let hours = if ask.is_of_few_links() || !ask.chooses() {
            vec![day]
        } else {
            Within(ask, HOUR_MS).starts(tx, day)?
        };
        for hour in hours {
            for (start, end) in Within(ask, QUARTER_MS).starts(tx, (hour.0, hour.1.min(day.1)))? {
                if self.is_over() {
                    return Ok(());
                }
                self.between(tx, start, end.min(day.1))?;
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.clicks.len() > self.ask.limit || self.left <= 0
    }

    /// Looks at the clicks between two moments, from the newest.
    fn between(&mut self, tx: &mut Tx<'_>, from: Timestamp, until: Timestamp) -> Result<(), Error> {
        let (first, last) = self.ask.ids();
        let first = first.max(report::first_id(from));
        let mut until = last.min(report::first_id(until));
        while first < until && !self.is_over() {
            until = self.look(tx, first, until)?.unwrap_or(first);
        }
        self.reached = Some(until);
        Ok(())
    }

    /// Looks at so many. Gives how far down it came; none when there are no more.
    fn look(&mut self, tx: &mut Tx<'_>, first: Uuid, until: Uuid) -> Result<Option<Uuid>, Error> {
        let ask = self.ask;
        let room = if ask.chooses() { ROOM_TO_CHOOSE } else { ask.limit + 1 - self.clicks.len() };
        let rows = self.some(tx, first, until, room)?;
        let lowest = rows.last().filter(|_| rows.len() == room).map(|click| click.id.uuid());
        self.clicks.extend(rows.into_iter().filter(|click| ask.holds(click)));
        if lowest.is_some() {
            self.left -= AT_ONCE;
            return Ok(lowest);
        }
        let bounds = |count: i64| [first.into(), until.into(), count.into()];
        let looked = tx.query_one(&LOOKED, &bounds(AT_ONCE))?.map_or(Ok(0), |row| row.int("looked"))?;
        self.left -= looked + LOOK;
        if looked < AT_ONCE {
            return Ok(None);
        }
        tx.query_one(&LOWEST, &bounds(AT_ONCE - 1))?.map(|row| row.uuid("click_id")).transpose()
    }

    fn some(&self, tx: &mut Tx<'_>, first: Uuid, until: Uuid, room: usize) -> Result<Vec<Click>, Error> {
        let params: [Value; 9] = [
            first.into(),
            until.into(),
            AT_ONCE.into(),
            self.ask.network.uuid().into(),
            self.ask.partner.uuid().into(),
            self.ask.only_link().into(),
            Uuid::nil().into(),
            self.ask.mask().into(),
            i64::try_from(room).unwrap_or(i64::MAX).into(),
        ];
        tx.query(&CLICKS, &params)?.iter().map(read).collect()
    }

    fn page(mut self) -> Page {
        let full = self.clicks.len() > self.ask.limit;
        self.clicks.truncate(self.ask.limit);
        let next = match (full, self.left <= 0) {
            (true, _) => self.clicks.last().map(|last| last.id),
            (false, true) => self.reached.map(ClickId),
            (false, false) => None,
        };
        Page { clicks: self.clicks, next }
    }
}

/// From a moment until before another.
type Stretch = (Timestamp, Timestamp);

/// Days, hours or quarters of an hour, so many milliseconds long, in which there may be such clicks.
struct Within<'a>(&'a Ask, i64);

impl Within<'_> {
    /// Those in a stretch of time, the newest first: what the sums have, and what is in no sum yet.
    fn starts(&self, tx: &mut Tx<'_>, (from, until): Stretch) -> Result<Vec<Stretch>, Error> {
        let Self(ask, span_ms) = self;
        let floor = |ms: i64| ms.div_euclid(*span_ms) * span_ms;
        let range: [Value; 2] = [floor(from.ms()).into(), until.ms().into()];
        let mut rows = if ask.is_of_few_links() && *span_ms == QUARTER_MS {
            self.counted(tx, &range)?
        } else {
            let mut rows = self.summed(tx, &range)?;
            rows.extend(tx.query(&WAITING, &[&[ask.network.uuid().into()], &range[..]].concat())?);
            rows
        };
        let starts = rows.drain(..).map(|row| row.int("start_ms").map(floor));
        let mut starts = starts.collect::<Result<Vec<_>, _>>()?;
        starts.sort_unstable_by(|a, b| b.cmp(a));
        starts.dedup();
        let stretch = |start: i64| (Timestamp::from_ms(start), Timestamp::from_ms(start + span_ms));
        Ok(starts.into_iter().map(stretch).collect())
    }

    /// Links are summed up by verdict alone, and not by quarters; a partner by its visitors as well, by days and hours.
    fn summed(&self, tx: &mut Tx<'_>, range: &[Value; 2]) -> Result<Vec<Row>, Error> {
        let Self(ask, span_ms) = self;
        let by_visitor = ask.chooses() && !ask.is_of_few_links() && *span_ms != QUARTER_MS;
        let subjects = if ask.is_of_few_links() {
            ask.links.iter().map(|link| link.uuid()).collect()
        } else {
            vec![ask.partner.uuid()]
        };
        let only = |text: &str| Value::from(if by_visitor { text } else { "" });
        let visitor = [only(&ask.country), only(&ask.device)];
        let mut rows = Vec::new();
        for list in lists(subjects.into_iter()) {
            let which: [Value; 2] = [(*span_ms).into(), by_visitor.into()];
            let params = [&list[..], &which, range, &[ask.mask().into()], &visitor].concat();
            rows.extend(tx.query(&STARTS, &params)?);
        }
        Ok(rows)
    }

    fn counted(&self, tx: &mut Tx<'_>, range: &[Value; 2]) -> Result<Vec<Row>, Error> {
        let ask = self.0;
        let filters: [Value; 3] =
            [ask.mask().into(), ask.country.as_str().into(), ask.device.as_str().into()];
        let mut rows = Vec::new();
        for list in lists(ask.links.iter().map(|link| link.uuid())) {
            rows.extend(tx.query(&QUARTERS, &[&list[..], range, &filters].concat())?);
        }
        Ok(rows)
    }
}
