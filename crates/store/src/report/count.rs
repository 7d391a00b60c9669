//! The counting: a bounded number of clicks and lines of history at a time, exactly once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::click::{Marks, Verdict};
use domain::id::{ClickId, EventId, LinkId, NetworkId};
use domain::report::{Clicks, quarter};
use domain::time::Timestamp;
use uuid::Uuid;

use super::arrival::{self, Place};
use super::sum::{self, Owner, Sums};
use super::{ClickCounts, ClickKey, ConversionCounts, ConversionKey, Worth, ids};
use crate::click::key::{self, Key, Noted};
use crate::error::Mistake;
use crate::{Db, Error, Row, Statement, Tx, Value, click};

pub(crate) const ALL: &[&Statement] =
    &[&CLICKS, &BETWEEN, &OWNER, &CHANGES, &MARK, &ADD_CLICKS, &ADD_CONVERSIONS, &STATE, &WAITING];

/// As many as [`AT_ONCE`]; whoever asks for fewer names one twice.
static CLICKS: Statement = Statement::new(
    "report.clicks",
    "select click_id, link_id, verdict, marks, pub_click_id, pub_member_id, facts from click
     where click_id in (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
         ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40, ?41, ?42,
         ?43, ?44, ?45, ?46, ?47, ?48, ?49, ?50, ?51, ?52, ?53, ?54, ?55, ?56, ?57, ?58, ?59, ?60, ?61, ?62, ?63, ?64)",
);
const AT_ONCE: usize = 64;

/// Clicks that came close together, with those between them that are not asked for.
static BETWEEN: Statement = Statement::new(
    "report.clicks_between",
    "select click_id, link_id, verdict, marks, pub_click_id, pub_member_id, facts from click
     where click_id >= ?1 and click_id <= ?2 order by click_id limit ?3",
);

/// Twice [`AT_ONCE`]: beyond that, asking for each by its key is cheaper.
const BETWEEN_AT_ONCE: i64 = 128;

static OWNER: Statement = Statement::new(
    "report.owner_of_link",
    "select network_id, partner_id, offer_id from link where link_id = ?1",
);

static CHANGES: Statement = Statement::new(
    "report.changes",
    "select h.conversion_id, h.version, h.status, h.reason, b.status as status_before, b.reason as reason_before,
         c.network_id, c.received_ms, c.link_id, c.event_id, c.currency, c.revenue_micros, c.payout_micros, c.test
     from conversion_change h
     join conversion c on c.conversion_id = h.conversion_id
     left join conversion_change b on b.conversion_id = h.conversion_id and b.version = h.version - 1
     where h.counted = 0 order by h.conversion_id, h.version limit ?1",
);

static MARK: Statement = Statement::new(
    "report.mark_change",
    "update conversion_change set counted = 1 where conversion_id = ?1 and version = ?2 and counted = 0",
);

static ADD_CLICKS: Statement = Statement::new(
    "report.add_clicks",
    "insert into click_count (network_id, start_ms, link_id, verdict, country, device, os, hits, counted, unique_clicks,
         sent_on, bots, prefetches)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
     on conflict (network_id, start_ms, link_id, verdict, country, device, os) do update set
         hits = click_count.hits + excluded.hits, counted = click_count.counted + excluded.counted,
         unique_clicks = click_count.unique_clicks + excluded.unique_clicks,
         sent_on = click_count.sent_on + excluded.sent_on, bots = click_count.bots + excluded.bots,
         prefetches = click_count.prefetches + excluded.prefetches",
);

static ADD_CONVERSIONS: Statement = Statement::new(
    "report.add_conversions",
    "insert into conversion_count (network_id, start_ms, link_id, event_id, status, reason, currency, conversions,
         revenue_micros, payout_micros)
     values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
     on conflict (network_id, start_ms, link_id, event_id, status, reason, currency) do update set
         conversions = conversion_count.conversions + excluded.conversions,
         revenue_micros = conversion_count.revenue_micros + excluded.revenue_micros,
         payout_micros = conversion_count.payout_micros + excluded.payout_micros",
);

/// Whoever changes counts goes through this row.
static STATE: Statement = Statement::new(
    "report.state",
    "select position, until_id from report_state where only_row = 1 {for_update}",
);

static WAITING: Statement = Statement::new(
    "report.waiting",
    "select (select min(c.received_ms) from conversion_change h join conversion c on c.conversion_id = h.conversion_id
             where h.counted = 0) as received_ms,
         (select a.first_id from click_arrival a order by a.first_id limit 1) as first_id,
         (select s.position from report_state s where s.only_row = 1) as position",
);

/// Places in the counts after which a step takes no further line of arrival. Clicks that come wait for its write, which
/// costs about a page for each place; so a step is short, and what goes to few places is counted in fewer steps.
const PLACES_A_STEP: usize = 64;
/// Lines that a step reads at once.
const LINES_AT_ONCE: i64 = 16;
/// Lines of arrival that one step takes away at most, and lines of history that it counts.
const LINES_A_STEP: usize = 256;
const CHANGES_A_STEP: i64 = 128;

/// Links whose owner is remembered; then all are asked for anew.
const OWNERS: usize = 50_000;

/// Whose links are, which never changes, as far as whoever counts has asked.
#[derive(Debug, Default)]
pub struct Owners(Mutex<HashMap<LinkId, Owner>>);

impl Owners {
    fn known(&self) -> MutexGuard<'_, HashMap<LinkId, Owner>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose a link is; none when it is not stored.
    fn of(&self, tx: &mut Tx<'_>, link: LinkId) -> Result<Option<Owner>, Error> {
        if let Some(known) = self.known().get(&link) {
            return Ok(Some(*known));
        }
        let row = tx.query_one(&OWNER, &[link.uuid().into()])?;
        let owner = row.map(|row| Owner::read(&row)).transpose()?;
        let mut known = self.known();
        if known.len() >= OWNERS {
            known.clear();
        }
        known.extend(owner.map(|owner| (link, owner)));
        Ok(owner)
    }
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Clicks and lines of history that are in the counts now.
    pub rows: u64,
    /// Whether more waits.
    pub behind: bool,
    /// Everything that was recorded before this time is counted.
    pub as_of: Timestamp,
}

/// Counts the next of what waits, in one transaction. Several processes may do so at once: what another one counted is
/// not counted again.
pub async fn count(db: &Db, owners: &Arc<Owners>, now: Timestamp) -> Result<Counted, Error> {
    if super::recount_step(db).await? {
        let as_of = db.read(move |tx| as_of(tx, now)).await?;
        return Ok(Counted { rows: 0, behind: true, as_of });
    }
    let known = Arc::clone(owners);
    let step = Arc::new(db.read(move |tx| Step::read(tx, &known)).await?);
    if step.sorts {
        db.write(|tx| lock(tx).and_then(|_| key::sort(tx))).await?;
    }
    if step.is_empty() {
        return Ok(Counted { rows: 0, behind: false, as_of: now });
    }
    let own = Arc::clone(&step);
    let (rows, behind) = match db.write(move |tx| own.write(tx)).await {
        Ok(()) => (step.rows, step.full),
        // Another process was first, or begins to count anew; its work is not ours.
        Err(Error::Stale) => (0, true),
        Err(error) => return Err(error),
    };
    let as_of = if behind { db.read(move |tx| as_of(tx, now)).await? } else { now };
    Ok(Counted { rows, behind, as_of })
}

/// Everything that was recorded before this time is counted: `now`, or the earliest time of what waits.
pub fn as_of(tx: &mut Tx<'_>, now: Timestamp) -> Result<Timestamp, Error> {
    let Some(row) = tx.query_one(&WAITING, &[])? else { return Ok(now) };
    let click =
        |name| -> Result<Option<Timestamp>, Error> { Ok(row.opt_uuid(name)?.map(|id| ClickId(id).at())) };
    let waiting =
        [click("first_id")?, click("position")?, row.opt_int("received_ms")?.map(Timestamp::from_ms)];
    Ok(waiting.into_iter().flatten().fold(now, Timestamp::min))
}

/// Locks the counts for this transaction. An error when a quarter is being counted anew by somebody.
pub(super) fn lock(tx: &mut Tx<'_>) -> Result<Option<(Uuid, Uuid)>, Error> {
    let missing = || Error::bug(STATE.name, Mistake::Abandoned);
    let row = tx.query_one(&STATE, &[])?.ok_or_else(missing)?;
    Ok(row.opt_uuid("position")?.zip(row.opt_uuid("until_id")?))
}

/// What is to be counted, read beforehand, so that the writer only adds.
#[derive(Debug, Default)]
struct Step {
    lines: Vec<(Uuid, i64)>,
    changes: Vec<(Uuid, i64)>,
    clicks: ClickCounts,
    noted: Noted,
    conversions: ConversionCounts,
    owners: HashMap<LinkId, Option<Owner>>,
    rows: u64,
    full: bool,
    /// Whether it is time to sort the keys that are noted.
    sorts: bool,
}

impl Step {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.changes.is_empty()
    }

    fn read(tx: &mut Tx<'_>, owners: &Owners) -> Result<Self, Error> {
        let mut step = Self { sorts: key::unsorted(tx)?, ..Self::default() };
        step.read_clicks(tx, owners)?;
        let changes = tx.query(&CHANGES, &[CHANGES_A_STEP.into()])?;
        step.full |= changes.len() == usize(CHANGES_A_STEP);
        step.rows += changes.len() as u64;
        for change in &changes {
            step.changes.push((change.uuid("conversion_id")?, change.int("version")?));
            for (key, worth, sign) in moves(change)? {
                step.owners.insert(key.link, owners.of(tx, key.link)?);
                step.conversions.entry(key).or_default().add(worth, sign);
            }
        }
        Ok(step)
    }

    fn read_clicks(&mut self, tx: &mut Tx<'_>, owners: &Owners) -> Result<(), Error> {
        let (mut clicks, mut places) = (Vec::new(), HashMap::<Place, Clicks>::new());
        let mut after = Uuid::nil();
        while !self.full {
            let lines = arrival::waiting(tx, after, LINES_AT_ONCE)?;
            for line in &lines {
                self.full = places.len() + clicks.len() >= PLACES_A_STEP || self.lines.len() >= LINES_A_STEP;
                if self.full {
                    break;
                }
                after = line.uuid("first_id")?;
                let count = line.int("clicks")?;
                self.lines.push((after, count));
                self.rows += count.unsigned_abs();
                match line.opt_blob("notes")? {
                    Some(notes) => {
                        for (place, figures) in arrival::read(&notes, &ids(line)?, &mut self.noted)? {
                            places.entry(place).or_default().add(&figures);
                        }
                    }
                    None => clicks.extend(ids(line)?),
                }
            }
            if lines.len() < usize(LINES_AT_ONCE) {
                break;
            }
        }
        for (place, figures) in places {
            let owner = owners.of(tx, place.link)?;
            self.owners.insert(place.link, owner);
            self.clicks.entry(key(place, owner)).or_default().add(&figures);
        }
        let (counts, noted, asked) = (&mut self.clicks, &mut self.noted, &mut self.owners);
        each(tx, owners, clicks, |row, link, owner| {
            asked.insert(link, owner);
            note(row, noted)?;
            if let Some((key, figures)) = counted(row, network(owner))? {
                counts.entry(key).or_default().add(&figures);
            }
            Ok(())
        })
    }

    fn write(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        if lock(tx)?.is_some() {
            return Err(Error::Stale);
        }
        for (first, count) in &self.lines {
            arrival::take(tx, *first, *count)?;
        }
        for (conversion, version) in &self.changes {
            if tx.execute(&MARK, &[(*conversion).into(), (*version).into()])? != 1 {
                return Err(Error::Stale);
            }
        }
        self.noted.write(tx)?;
        self.clicks.iter().try_for_each(|(key, counts)| add_clicks(tx, key, counts))?;
        self.conversions.iter().try_for_each(|(key, worth)| add_conversions(tx, key, worth))?;
        self.late(tx)?.write(tx)
    }

    /// What changes in quarters that are summed up: it is added to the sums as well.
    fn late(&self, tx: &mut Tx<'_>) -> Result<Sums, Error> {
        let clicks = self.clicks.keys().map(|key| (key.network, key.start));
        let conversions = self.conversions.keys().map(|key| (key.network, key.start));
        let mut summed = BTreeSet::new();
        // Nobody can ask about clicks of a link that is not stored.
        for (network, start) in clicks.chain(conversions).collect::<BTreeSet<_>>() {
            if !network.uuid().is_nil() && sum::touch(tx, network, start)? {
                summed.insert((network, start));
            }
        }
        let owner = |link| self.owners.get(&link).and_then(Option::as_ref);
        let mut sums = Sums::default();
        for (key, counts) in self.clicks.iter().filter(|(key, _)| summed.contains(&(key.network, key.start)))
        {
            if let Some(owner) = owner(key.link) {
                sums.click(owner, key, counts);
            }
        }
        let changes = self.conversions.iter();
        for (key, worth) in changes.filter(|(key, _)| summed.contains(&(key.network, key.start))) {
            if let Some(owner) = owner(key.link) {
                sums.conversion(owner, key, *worth);
            }
        }
        Ok(sums)
    }
}

fn usize(limit: i64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Reads clicks for counting, and gives each that is there with its link and whose that is.
fn each(
    tx: &mut Tx<'_>,
    owners: &Owners,
    mut clicks: Vec<ClickId>,
    mut take: impl FnMut(&Row, LinkId, Option<Owner>) -> Result<(), Error>,
) -> Result<(), Error> {
    clicks.sort_unstable();
    for some in clicks.chunks(AT_ONCE) {
        for row in rows(tx, some)? {
            let link = LinkId(row.uuid("link_id")?);
            take(&row, link, owners.of(tx, link)?)?;
        }
    }
    Ok(())
}

/// Clicks in the order of their ids. Those that were made together lie together and are read in one go, unless too many
/// others lie between them.
fn rows(tx: &mut Tx<'_>, clicks: &[ClickId]) -> Result<Vec<Row>, Error> {
    let (Some(first), Some(last)) = (clicks.first(), clicks.last()) else { return Ok(Vec::new()) };
    let mut between =
        tx.query(&BETWEEN, &[first.uuid().into(), last.uuid().into(), BETWEEN_AT_ONCE.into()])?;
    if between.len() < usize(BETWEEN_AT_ONCE) {
        between.retain(|row| row.uuid("click_id").is_ok_and(|id| clicks.binary_search(&ClickId(id)).is_ok()));
        return Ok(between);
    }
    let padded = clicks.iter().copied().chain(std::iter::repeat(*last)).take(AT_ONCE);
    let params: Vec<Value> = padded.map(|click| click.uuid().into()).collect();
    tx.query(&CLICKS, &params)
}

/// A link is never taken away; without it nobody could be told of its clicks.
fn network(owner: Option<Owner>) -> NetworkId {
    owner.map_or(NetworkId(Uuid::nil()), |owner| owner.network)
}

fn key(place: Place, owner: Option<Owner>) -> ClickKey {
    let Place { start, link, verdict, country, device, os } = place;
    ClickKey { network: network(owner), start, link, verdict, country, device, os }
}

/// Tests are found as well.
fn note(row: &Row, noted: &mut Noted) -> Result<(), Error> {
    let keys = Key::of_click(row.opt_str("pub_click_id")?, row.opt_str("pub_member_id")?);
    noted.add(ClickId(row.uuid("click_id")?), keys);
    Ok(())
}

/// Where and how a click counts; none for a test.
fn counted(row: &Row, network: NetworkId) -> Result<Option<(ClickKey, Clicks)>, Error> {
    let marks = Marks(row.int("marks")?);
    if marks.has(Marks::TEST) {
        return Ok(None);
    }
    let facts = click::own_facts(row)?;
    let verdict = row.int("verdict")?;
    let key = ClickKey {
        network,
        start: quarter(ClickId(row.uuid("click_id")?).at()),
        link: LinkId(row.uuid("link_id")?),
        verdict,
        country: facts.country.map_or_else(String::new, |country| country.code().to_owned()),
        device: facts.device.map_or_else(String::new, |device| device.code().to_owned()),
        os: facts.os,
    };
    Ok(Some((key, figures(verdict, marks))))
}

/// One click in figures.
pub(super) fn figures(verdict: i64, marks: Marks) -> Clicks {
    let counts = !marks.is_uncounted();
    let sent_on = Verdict::from_number(verdict).is_some_and(Verdict::sends_on) && !marks.has(Marks::REFUSED);
    Clicks {
        hits: 1,
        counted: counts.into(),
        unique: (counts && !marks.has(Marks::REPEAT)).into(),
        sent_on: (counts && sent_on).into(),
        bots: marks.has(Marks::BOT).into(),
        prefetches: marks.has(Marks::PREFETCH).into(),
    }
}

/// What a line of history adds and takes away. A test moves nothing.
pub(super) fn moves(change: &Row) -> Result<Vec<(ConversionKey, Worth, i64)>, Error> {
    if change.flag("test")? {
        return Ok(Vec::new());
    }
    let worth = Worth {
        conversions: 1,
        revenue_micros: change.int("revenue_micros")?,
        payout_micros: change.int("payout_micros")?,
    };
    let key = |status: String, reason: Option<String>| -> Result<ConversionKey, Error> {
        Ok(ConversionKey {
            network: NetworkId(change.uuid("network_id")?),
            start: quarter(Timestamp::from_ms(change.int("received_ms")?)),
            link: LinkId(change.uuid("link_id")?),
            event: EventId(change.uuid("event_id")?),
            status,
            reason: reason.unwrap_or_default(),
            currency: change.text("currency")?,
        })
    };
    let mut moves = vec![(key(change.text("status")?, change.opt_text("reason")?)?, worth, 1)];
    if let Some(before) = change.opt_text("status_before")? {
        moves.push((key(before, change.opt_text("reason_before")?)?, worth, -1));
    }
    Ok(moves)
}

fn add_clicks(tx: &mut Tx<'_>, key: &ClickKey, counts: &Clicks) -> Result<(), Error> {
    let params = [
        key.network.uuid().into(),
        key.start.ms().into(),
        key.link.uuid().into(),
        key.verdict.into(),
        key.country.as_str().into(),
        key.device.as_str().into(),
        key.os.as_str().into(),
        counts.hits.into(),
        counts.counted.into(),
        counts.unique.into(),
        counts.sent_on.into(),
        counts.bots.into(),
        counts.prefetches.into(),
    ];
    tx.execute(&ADD_CLICKS, &params).map(drop)
}

fn add_conversions(tx: &mut Tx<'_>, key: &ConversionKey, worth: &Worth) -> Result<(), Error> {
    if *worth == Worth::default() {
        return Ok(());
    }
    let params = [
        key.network.uuid().into(),
        key.start.ms().into(),
        key.link.uuid().into(),
        key.event.uuid().into(),
        key.status.as_str().into(),
        key.reason.as_str().into(),
        key.currency.as_str().into(),
        worth.conversions.into(),
        worth.revenue_micros.into(),
        worth.payout_micros.into(),
    ];
    tx.execute(&ADD_CONVERSIONS, &params).map(drop)
}

/// Where the clicks of a few arrival lines count, for whoever compares.
pub(super) fn of_clicks(tx: &mut Tx<'_>, clicks: &[ClickId]) -> Result<ClickCounts, Error> {
    let mut counts = BTreeMap::new();
    each(tx, &Owners::default(), clicks.to_vec(), |row, _, owner| {
        if let Some((key, figures)) = counted(row, network(owner))? {
            counts.entry(key).or_insert_with(Clicks::default).add(&figures);
        }
        Ok(())
    })?;
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use domain::click::{Marks, Verdict};
    use domain::report::Clicks;

    use super::figures;

    #[test]
    fn marks_decide_in_which_figures_a_click_is() {
        let ok = Verdict::Ok.number();
        let one = Clicks { hits: 1, counted: 1, unique: 1, sent_on: 1, bots: 0, prefetches: 0 };
        assert_eq!(figures(ok, Marks::default()), one);
        assert_eq!(figures(ok, Marks::REPEAT), Clicks { unique: 0, ..one });
        let none = Clicks { counted: 0, unique: 0, sent_on: 0, ..one };
        assert_eq!(figures(ok, Marks::BOT), Clicks { bots: 1, ..none });
        assert_eq!(figures(ok, Marks::PREFETCH), Clicks { prefetches: 1, ..none });
        let capped = Verdict::OfferCapped.number();
        assert_eq!(figures(capped, Marks::FELL_BACK), Clicks { sent_on: 0, ..one });
        let constant = Verdict::MemberIdStatic.number();
        assert_eq!(figures(constant, Marks::default()), one);
        assert_eq!(figures(constant, Marks::REFUSED), Clicks { sent_on: 0, ..one });
    }
}
