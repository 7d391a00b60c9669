//! Reads what waits to be counted, a little at a time: a thread that reads for long keeps a core from those who serve.

use domain::click::Marks;
use domain::id::{ClickId, EventId, LinkId, NetworkId};
use domain::report::quarter;
use domain::time::Timestamp;
use uuid::Uuid;

use super::arrival::{self, Lines};
use super::gathered::{Owned, Places};
use super::owner::Owners;
use super::state::{self, State};
use super::{ClickCounts, ConversionCounts, ConversionKey, Worth, ids, place};
use crate::click::key::{Key, Noted};
use crate::error::Mistake;
use crate::{Error, Row, Statement, Tx, Value, click};

pub(crate) const ALL: &[&Statement] = &[&SOME, &BETWEEN, &CHANGED];

/// As many as [`AT_ONCE`]; whoever asks for fewer names one twice.
static SOME: Statement = Statement::new(
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

/// [`CHANGES`] of them. They are found before anything is joined, and the number stands in the text: PostgreSQL would
/// otherwise walk along every conversion that there is to the first of them.
static CHANGED: Statement = Statement::new(
    "report.changes",
    "select h.conversion_id, h.version, h.status, h.reason, b.status as status_before, b.reason as reason_before,
         c.network_id, c.received_ms, c.link_id, c.event_id, c.currency, c.revenue_micros, c.payout_micros, c.test
     from (select conversion_id, version, status, reason from conversion_change where counted = 0
           order by conversion_id, version limit 128) h
     join conversion c on c.conversion_id = h.conversion_id
     left join conversion_change b on b.conversion_id = h.conversion_id and b.version = h.version - 1
     order by h.conversion_id, h.version",
);

/// Clicks of as many are taken together, from at most so many lines: the more there are, the more share a page of the
/// counts, and the longer is the write that takes their lines away.
const CLICKS: u64 = 16_384;
const LINES: usize = 512;

/// Clicks that are read at once, and lines.
const CLICKS_AT_ONCE: u64 = 1_024;
const LINES_AT_ONCE: usize = 128;
const PAGE: i64 = 16;

/// Lines of history that are taken together.
const CHANGES: usize = 128;

/// What was read so far. Nothing of it is taken yet.
#[derive(Debug)]
pub(super) struct Gathering {
    /// How far counting was when it began.
    state: State,
    /// The last line that was read.
    after: Uuid,
    lines: Lines,
    places: Places,
    clicks: u64,
}

/// What is found by one look.
pub(super) enum Look {
    /// More is to be read before anything is taken. The keys are those of what was read by this look.
    More(Gathering, Noted),
    Enough(Box<Load>),
}

/// What is taken in one transaction.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) state: State,
    pub(super) lines: Lines,
    pub(super) places: Owned,
    /// The keys of clicks that are noted nowhere yet.
    pub(super) noted: Noted,
    /// Lines of history, by their conversions and versions.
    pub(super) changes: Vec<(Uuid, i64)>,
    pub(super) conversions: ConversionCounts,
    /// Clicks and lines of history.
    pub(super) rows: u64,
    /// Whether more waits.
    pub(super) full: bool,
}

impl Gathering {
    /// Goes on with what was begun, unless somebody took clicks meanwhile.
    pub(super) fn go_on(tx: &mut Tx<'_>, begun: Option<Self>) -> Result<Self, Error> {
        let state = state::look(tx)?;
        let begun = begun.filter(|begun| begun.state == state);
        Ok(begun.unwrap_or_else(|| Self {
            state,
            after: Uuid::nil(),
            lines: Lines::default(),
            places: Places::default(),
            clicks: 0,
        }))
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Reads some more.
    pub(super) fn look(mut self, tx: &mut Tx<'_>, owners: &Owners) -> Result<Look, Error> {
        let (mut noted, mut unnoted) = (Noted::default(), Vec::new());
        let (clicks, lines) = (self.clicks + CLICKS_AT_ONCE, self.lines.len() + LINES_AT_ONCE);
        let mut ended = false;
        while !ended && !self.full() && self.clicks < clicks && self.lines.len() < lines {
            let page = arrival::waiting(tx, self.after, PAGE)?;
            ended = page.len() < usize(PAGE);
            for line in &page {
                self.read(line, &mut noted, &mut unnoted)?;
            }
        }
        self.read_clicks(tx, unnoted, &mut noted)?;
        if !ended && !self.full() {
            return Ok(Look::More(self, noted));
        }
        let mut load = Load {
            state: self.state,
            places: self.places.owned(tx, owners)?,
            noted,
            changes: Vec::new(),
            conversions: ConversionCounts::new(),
            rows: self.clicks,
            full: !ended,
            lines: self.lines,
        };
        load.read_changes(tx)?;
        Ok(Look::Enough(Box::new(load)))
    }

    fn full(&self) -> bool {
        self.clicks >= CLICKS || self.lines.len() >= LINES
    }

    fn read(&mut self, line: &Row, noted: &mut Noted, unnoted: &mut Vec<ClickId>) -> Result<(), Error> {
        self.after = line.uuid("first_id")?;
        self.lines.add(self.after);
        self.clicks += line.int("clicks")?.unsigned_abs();
        let ids = ids(line)?;
        let Some(said) = line.opt_blob("notes")? else {
            unnoted.extend(ids);
            return Ok(());
        };
        arrival::read(&said, &ids, |click, place, keys| {
            noted.add(click, keys);
            self.places.add(quarter(click.at()), place);
        })
    }

    /// Clicks of which nothing is noted.
    fn read_clicks(&mut self, tx: &mut Tx<'_>, clicks: Vec<ClickId>, noted: &mut Noted) -> Result<(), Error> {
        each(tx, clicks, |row| {
            let click = ClickId(row.uuid("click_id")?);
            noted.add(click, Key::of_click(row.opt_str("pub_click_id")?, row.opt_str("pub_member_id")?));
            self.places.add(quarter(click.at()), &place_of(row)?);
            Ok(())
        })
    }
}

impl Load {
    fn read_changes(&mut self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let changes = tx.query(&CHANGED, &[])?;
        self.full |= changes.len() == CHANGES;
        self.rows += changes.len() as u64;
        for change in &changes {
            self.changes.push((change.uuid("conversion_id")?, change.int("version")?));
            for (key, worth, sign) in moves(change)? {
                self.conversions.entry(key).or_default().add(worth, sign);
            }
        }
        Ok(())
    }
}

fn usize(limit: i64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Where a click counts that says so in its own row.
fn place_of(row: &Row) -> Result<Vec<u8>, Error> {
    let (link, verdict, marks) =
        (LinkId(row.uuid("link_id")?), row.int("verdict")?, Marks(row.int("marks")?));
    let mut place = Vec::new();
    place::write(&mut place, link, verdict, marks, &click::own_facts(row)?).ok_or_else(|| {
        let (column, found) = ("verdict or marks".to_owned(), format!("{verdict} and {marks:?}"));
        Error::bug(SOME.name, Mistake::Unreadable { column, found })
    })?;
    Ok(place)
}

/// Reads clicks for counting, those of them that are there.
fn each(
    tx: &mut Tx<'_>,
    mut clicks: Vec<ClickId>,
    mut take: impl FnMut(&Row) -> Result<(), Error>,
) -> Result<(), Error> {
    clicks.sort_unstable();
    for some in clicks.chunks(AT_ONCE) {
        rows(tx, some)?.iter().try_for_each(&mut take)?;
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
    tx.query(&SOME, &params)
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

/// Where the clicks of a few arrival lines count, for whoever compares.
pub(super) fn of_clicks(tx: &mut Tx<'_>, clicks: Vec<ClickId>) -> Result<ClickCounts, Error> {
    let mut places = Places::default();
    each(tx, clicks, |row| {
        places.add(quarter(ClickId(row.uuid("click_id")?).at()), &place_of(row)?);
        Ok(())
    })?;
    places.owned(tx, &Owners::default())?.counts()
}
