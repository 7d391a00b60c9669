//! The health of a link: what its clicks were judged, by quarters of an hour from the counts, and what its newest
//! clicks carry, exactly, from the clicks themselves.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use domain::click::Verdict;
use domain::health::{Health, Judged, Newest, Quarter};
use domain::id::{ClickId, LinkId, NetworkId};
use domain::report::{Clicks, QUARTER_MS};
use domain::sketch::{Seen, member_hash};
use domain::time::{DAY_MS, SECOND_MS, Timestamp};
use uuid::Uuid;

use crate::report::figures::{AT_ONCE, Plan, figures, ids, lists};
use crate::{Error, Row, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] =
    &[&COUNTS, &NEWEST, &OF_VERDICT, &FIRST, &LINK_SUMS, &LINK_COUNTS, &BOUNDS, &MEMBERS];

static COUNTS: Statement = Statement::new(
    "health.counts",
    "select start_ms, verdict, cast(sum(hits) as bigint) as hits, cast(sum(counted) as bigint) as counted,
         cast(sum(unique_clicks) as bigint) as unique_clicks, cast(sum(sent_on) as bigint) as sent_on,
         cast(sum(bots) as bigint) as bots, cast(sum(prefetches) as bigint) as prefetches
     from click_count where link_id = ?1 and start_ms >= ?2 and start_ms < ?3
     group by start_ms, verdict order by start_ms, verdict",
);

/// What is in no count (marks 1, 2 and 4) says nothing about how the link is set up.
static NEWEST: Statement = Statement::new(
    "health.newest",
    "select pub_click_id, pub_member_id from click
     where click_id >= ?1 and click_id < ?2 and link_id = ?3 and (marks & 7) = 0 order by click_id desc limit ?4",
);

static OF_VERDICT: Statement = Statement::new(
    "health.of_verdict",
    "select click_id from click
     where click_id >= ?1 and click_id < ?2 and link_id = ?3 and verdict = ?4 and (marks & 2) = 0
     order by click_id desc limit ?5",
);

static FIRST: Statement = Statement::new(
    "health.first",
    "select click_id from click
     where click_id >= ?1 and click_id < ?2 and link_id = ?3 and verdict = ?4 and (marks & 2) = 0
     order by click_id limit 1",
);

/// A partner has many links, and most of them have few rows here.
static LINK_SUMS: Statement = Statement::new(
    "health.link_sums",
    concat!(
        "select subject_id as link_id, verdict, min(start_ms) as first_ms, max(start_ms) as last_ms, ",
        figures!(),
        " from click_sum
     where subject_id in ",
        ids!(),
        " and span_ms = ?33 and by_visitor = 0 and start_ms >= ?34 and start_ms < ?35
     group by subject_id, verdict"
    ),
);

static LINK_COUNTS: Statement = Statement::new(
    "health.link_counts",
    concat!(
        "select link_id, verdict, min(start_ms) as first_ms, max(start_ms) as last_ms, ",
        figures!(),
        " from click_count where link_id in ",
        ids!(),
        " and start_ms >= ?33 and start_ms < ?34
     group by link_id, verdict"
    ),
);

static BOUNDS: Statement = Statement::new(
    "health.bounds",
    "select min(start_ms) as first_ms, max(start_ms) as last_ms
     from click_count where link_id = ?1 and verdict = ?2 and start_ms >= ?3 and start_ms < ?4",
);

static MEMBERS: Statement = Statement::new(
    "health.members",
    "select pub_member_id from click
     where click_id >= ?1 and click_id < ?2 and link_id = ?3 and pub_member_id is not null limit ?4",
);

/// How far back health can be asked for, in days.
pub const MAX_DAYS: i64 = 90;
/// Newest clicks that are looked at one by one.
const NEWEST_CLICKS: usize = 2_000;
/// Quarters of an hour in which they are looked for.
const NEWEST_QUARTERS: usize = 500;
/// Values that are named.
const TOP: usize = 5;
/// Clicks that are named of each verdict.
const EXAMPLES: i64 = 3;
/// Clicks of one second among which a member id is looked for.
const IN_A_SECOND: i64 = 2_000;

/// The health of a link in a range of at most [`MAX_DAYS`] days.
pub fn of_link(tx: &mut Tx<'_>, link: LinkId, from: Timestamp, until: Timestamp) -> Result<Health, Error> {
    let params: [Value; 3] = [link.uuid().into(), from.ms().into(), until.ms().into()];
    let quarters = tx.query(&COUNTS, &params)?.iter().map(quarter).collect::<Result<Vec<_>, Error>>()?;
    let mut by_verdict: BTreeMap<Verdict, Vec<&Quarter>> = BTreeMap::new();
    for one in quarters.iter().filter(|one| one.clicks.hits != 0) {
        by_verdict.entry(one.verdict).or_default().push(one);
    }
    let verdicts = by_verdict.iter().map(|(verdict, own)| judged(tx, link, *verdict, own));
    let verdicts = verdicts.collect::<Result<_, _>>()?;
    let newest = newest(tx, link, &quarters)?;
    Ok(Health { verdicts, quarters, newest })
}

/// The health of several links of a network at the speed of a page: the newest clicks as the links' sketches remember
/// them, verdicts without examples, and the first and last of them by days or hours, which [`sharpen`] makes quarters.
pub fn of_links(
    tx: &mut Tx<'_>,
    network: NetworkId,
    links: &[(LinkId, Vec<Seen>)],
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<(LinkId, Health)>, Error> {
    let plan = Plan::of_links(tx, network, from, until)?;
    let mut all = Vec::with_capacity(links.len());
    for some in links.chunks(AT_ONCE) {
        let mut judged: HashMap<LinkId, BTreeMap<Verdict, Judged>> = HashMap::new();
        for list in lists(some.iter().map(|(link, _)| link.uuid())) {
            let mut rows = Vec::new();
            for (piece, span) in &plan.summed {
                let more: [Value; 3] = [span.ms().into(), piece.from.ms().into(), piece.until.ms().into()];
                rows.extend(tx.query(&LINK_SUMS, &[&list[..], &more].concat())?);
            }
            for piece in &plan.counted {
                let more: [Value; 2] = [piece.from.ms().into(), piece.until.ms().into()];
                rows.extend(tx.query(&LINK_COUNTS, &[&list[..], &more].concat())?);
            }
            for row in &rows {
                let own = judged.entry(LinkId(row.uuid("link_id")?)).or_default();
                add(own, whole(row)?);
            }
        }
        for (link, seen) in some {
            let verdicts = judged.remove(link).unwrap_or_default().into_values().collect();
            let newest = Newest::of(seen, |one| member(tx, *link, one))?;
            all.push((*link, Health { verdicts, quarters: Vec::new(), newest }));
        }
    }
    Ok(all)
}

/// Tells the first and the last click of each verdict by quarters of an hour, where [`of_links`] told it by days.
pub fn sharpen(tx: &mut Tx<'_>, link: LinkId, health: &mut Health) -> Result<(), Error> {
    for judged in &mut health.verdicts {
        let mut bound = |name, from: Timestamp| -> Result<Timestamp, Error> {
            let until = from.plus_ms(DAY_MS);
            let params: [Value; 4] =
                [link.uuid().into(), judged.verdict.number().into(), from.ms().into(), until.ms().into()];
            let found = tx.query_one(&BOUNDS, &params)?.map(|row| row.opt_int(name)).transpose()?;
            Ok(found.flatten().map_or(from, Timestamp::from_ms))
        };
        (judged.first, judged.last) = (bound("first_ms", judged.first)?, bound("last_ms", judged.last)?);
    }
    Ok(())
}

fn add(all: &mut BTreeMap<Verdict, Judged>, more: Judged) {
    match all.entry(more.verdict) {
        Entry::Vacant(none) => {
            none.insert(more);
        }
        Entry::Occupied(mut known) => {
            let known = known.get_mut();
            known.clicks.add(&more.clicks);
            known.first = known.first.min(more.first);
            known.last = known.last.max(more.last);
        }
    }
}

fn whole(row: &Row) -> Result<Judged, Error> {
    Ok(Judged {
        verdict: verdict(row)?,
        clicks: crate::report::clicks(row)?,
        first: Timestamp::from_ms(row.int("first_ms")?),
        last: Timestamp::from_ms(row.int("last_ms")?),
        examples: Vec::new(),
    })
}

/// The member id of a click that a sketch remembers; none when the click is no longer kept.
fn member(tx: &mut Tx<'_>, link: LinkId, seen: Seen) -> Result<Option<String>, Error> {
    let second = Timestamp::from_ms(i64::from(seen.second) * SECOND_MS);
    let (from, until) = (id(second), id(second.plus_ms(SECOND_MS)));
    let params: [Value; 4] = [from.into(), until.into(), link.uuid().into(), IN_A_SECOND.into()];
    for row in tx.query(&MEMBERS, &params)? {
        let own = row.text("pub_member_id")?;
        if member_hash(&own) == seen.member {
            return Ok(Some(own));
        }
    }
    Ok(None)
}

fn quarter(row: &Row) -> Result<Quarter, Error> {
    Ok(Quarter {
        start: Timestamp::from_ms(row.int("start_ms")?),
        verdict: verdict(row)?,
        clicks: crate::report::clicks(row)?,
    })
}

fn verdict(row: &Row) -> Result<Verdict, Error> {
    let number = row.int("verdict")?;
    Verdict::from_number(number).ok_or_else(|| row.unreadable("verdict", &number.to_string()))
}

/// The lowest id of a moment.
fn id(at: Timestamp) -> Uuid {
    crate::report::first_id(at)
}

fn judged(tx: &mut Tx<'_>, link: LinkId, verdict: Verdict, own: &[&Quarter]) -> Result<Judged, Error> {
    let mut clicks = Clicks::default();
    for one in own {
        clicks.add(&one.clicks);
    }
    let (first, last) = match (own.first(), own.last()) {
        (Some(first), Some(last)) => (first.start, last.start),
        _ => (Timestamp::from_ms(0), Timestamp::from_ms(0)),
    };
    let of = |start: Timestamp| -> [Value; 4] {
        let until = start.plus_ms(QUARTER_MS);
        [id(start).into(), id(until).into(), link.uuid().into(), verdict.number().into()]
    };
    let earliest = tx.query_one(&FIRST, &of(first))?.map(|row| row.uuid("click_id")).transpose()?;
    let newest = tx.query(&OF_VERDICT, &[&of(last)[..], &[EXAMPLES.into()]].concat())?;
    let examples = newest.iter().map(|row| row.uuid("click_id").map(ClickId));
    let examples: Vec<ClickId> = examples.collect::<Result<_, _>>()?;
    Ok(Judged {
        verdict,
        clicks,
        // Of clicks that are no longer kept the quarter is known.
        first: earliest.map_or(first, |id| ClickId(id).at()),
        last: examples.first().map_or(last, |id| id.at()),
        examples,
    })
}

/// The newest clicks, found by the quarters that have some.
fn newest(tx: &mut Tx<'_>, link: LinkId, quarters: &[Quarter]) -> Result<Newest, Error> {
    let mut starts: Vec<Timestamp> =
        quarters.iter().filter(|one| one.clicks.counted > 0).map(|one| one.start).collect();
    starts.dedup();
    let (mut members, mut click_ids) = (Values::default(), Values::default());
    let mut newest = Newest::default();
    for start in starts.into_iter().rev().take(NEWEST_QUARTERS) {
        let room = NEWEST_CLICKS - newest.clicks;
        if room == 0 {
            break;
        }
        let until = start.plus_ms(QUARTER_MS);
        let limit = i64::try_from(room).unwrap_or(i64::MAX);
        let params: [Value; 4] = [id(start).into(), id(until).into(), link.uuid().into(), limit.into()];
        for row in tx.query(&NEWEST, &params)? {
            let (click, member) = (row.opt_text("pub_click_id")?, row.opt_text("pub_member_id")?);
            newest.clicks += 1;
            newest.same += usize::from(click.is_some() && click == member);
            members.add(member);
            click_ids.add(click);
        }
    }
    (newest.members, newest.top_members) = members.told();
    (newest.click_ids, newest.top_click_ids) = click_ids.told();
    Ok(newest)
}

/// How often each value came.
#[derive(Default)]
struct Values(HashMap<String, usize>);

impl Values {
    fn add(&mut self, value: Option<String>) {
        if let Some(value) = value {
            *self.0.entry(value).or_default() += 1;
        }
    }

    /// How many different ones there are, and the most frequent.
    fn told(self) -> (usize, Vec<(String, usize)>) {
        let different = self.0.len();
        let mut all: Vec<(String, usize)> = self.0.into_iter().collect();
        all.sort_unstable_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
        all.truncate(TOP);
        (different, all)
    }
}
