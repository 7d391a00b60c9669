//! Files of staff's work on conversions: changes of status, and results that no postback reported. A file is worked
//! through in short steps; each step is one transaction that moves the file's position as well, so work that was
//! interrupted goes on behind the last row that is recorded, and no row is done twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::ambient::Ambient;
use domain::catalog::Catalog;
use domain::click::{Marks, Verdict};
use domain::conversion::{self as rule, Arrival, Conversion, Status};
use domain::id::{ConversionId, NetworkId};
use domain::inbound::{Answer, Outcome, Postback, Refusal};
use domain::money::Money;
use domain::offer::{Offer, Treatment};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::inbound::{Case, Sender};
use crate::{Error, Row, Statement, Tx, audit, catalog, click, conversion, inbound, ruling};

pub(crate) const ALL: &[&Statement] = &[&FIND, &LOCK, &BEGIN, &AGAIN, &ADVANCE, &FINISH];

static FIND: Statement = Statement::new(
    "upload.find",
    "select upload_id, rows_done, counts, last_lines, finished_ms from upload
     where network_id = ?1 and kind = ?2 and file_hash = ?3",
);

/// Two runs of one file take turns.
static LOCK: Statement = Statement::new(
    "upload.lock",
    "select upload_id, rows_done, counts, last_lines, finished_ms from upload where upload_id = ?1 {for_update}",
);

static BEGIN: Statement = Statement::new(
    "upload.begin",
    "insert into upload (upload_id, network_id, kind, file_hash, file_name, actor, rows_done, counts, last_lines,
         begun_ms, changed_ms)
     values (?1, ?2, ?3, ?4, ?5, ?6, 0, '{}', '[]', ?7, ?7)
     on conflict do nothing",
);

static AGAIN: Statement = Statement::new(
    "upload.again",
    "update upload set rows_done = 0, counts = '{}', last_lines = '[]', file_name = ?1, actor = ?2, begun_ms = ?3,
         changed_ms = ?3, finished_ms = null
     where upload_id = ?4",
);

static ADVANCE: Statement = Statement::new(
    "upload.advance",
    "update upload set rows_done = ?1, counts = ?2, last_lines = ?3, changed_ms = ?4 where upload_id = ?5",
);

static FINISH: Statement = Statement::new(
    "upload.finish",
    "update upload set finished_ms = ?1, changed_ms = ?1, last_lines = '[]' where upload_id = ?2",
);

/// What a file is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Changes of status.
    Change,
    /// New conversions.
    Upload,
}

impl Kind {
    /// Its name in the record.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Upload => "upload",
        }
    }
}

/// A file and whose work it is.
#[derive(Debug, Clone)]
pub struct File {
    /// The network.
    pub network: NetworkId,
    /// What it is about.
    pub kind: Kind,
    /// SHA-256 of its content: the same content is the same work.
    pub hash: [u8; 32],
    /// Its name, for people.
    pub name: String,
    /// Who gave it, as histories have it.
    pub actor: String,
}

/// How far a file has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The work's id.
    pub id: Uuid,
    /// Rows that are done, faulty ones among them.
    pub done: i64,
    /// How many rows had each outcome.
    pub counts: BTreeMap<String, i64>,
    /// What the newest step said; empty when there was none, or when the file is finished.
    pub last_lines: Vec<Line>,
    /// Whether every row is done.
    pub finished: bool,
}

/// A row of a file, as it was understood.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number in the file; the header is row 1.
    pub number: i64,
    /// The id that it names, as it stands there.
    pub given: String,
    /// What it asks for, or what is wrong with it.
    pub work: Result<Work, String>,
}

/// What a row asks for.
#[derive(Debug, Clone)]
pub enum Work {
    /// A change of status.
    Change {
        /// Which conversion.
        named: ruling::Named,
        /// Its new status.
        to: Status,
        /// Why; may be empty.
        reason: String,
    },
    /// A conversion that no postback reported.
    Record {
        /// It, as a postback would have said it.
        postback: Box<Postback>,
        /// When the member completed it; none: now.
        completed: Option<Timestamp>,
    },
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its number in the file; the header is row 1.
    pub row: i64,
    /// The id that it names, as it stands there.
    pub given: String,
    /// The conversion that it led to.
    pub conversion: Option<ConversionId>,
    /// The outcome's code.
    pub code: String,
    /// What to know about it, for people.
    pub message: String,
}

/// Rows that are done in one transaction.
#[derive(Debug, Clone)]
pub struct Step {
    /// The work.
    pub id: Uuid,
    /// The file.
    pub file: Arc<File>,
    /// How many rows were done before.
    pub done: i64,
    /// The rows behind them.
    pub entries: Arc<[Entry]>,
}

/// The code of a row that cannot be understood.
pub const MALFORMED: &str = "row_malformed";

/// How far a file has come; none when it was never given.
pub fn find(tx: &mut Tx<'_>, file: &File) -> Result<Option<Position>, Error> {
    let params = [file.network.uuid().into(), file.kind.code().into(), file.hash.into()];
    tx.query_one(&FIND, &params)?.map(|row| position(&row)).transpose()
}

/// Begins a file, goes on with one that was interrupted, or begins a finished one again.
pub fn begin(tx: &mut Tx<'_>, ambient: Ambient, file: &File) -> Result<Position, Error> {
    let now = ambient.now();
    let id = ambient.new_id(now);
    let params = [
        id.into(),
        file.network.uuid().into(),
        file.kind.code().into(),
        file.hash.into(),
        file.name.as_str().into(),
        file.actor.as_str().into(),
        now.ms().into(),
    ];
    tx.execute(&BEGIN, &params)?;
    let found = find(tx, file)?.ok_or(Error::Stale)?;
    if found.done > 0 && !found.finished {
        note(tx, ambient, file, found.id, &json!({ "continued": file.name, "rows_done": found.done }))?;
        return Ok(found);
    }
    let params = [file.name.as_str().into(), file.actor.as_str().into(), now.ms().into(), found.id.into()];
    tx.execute(&AGAIN, &params)?;
    note(tx, ambient, file, found.id, &json!({ "begun": file.name }))?;
    find(tx, file)?.ok_or(Error::Stale)
}

/// Does some rows and moves the position. What it returns is what the step said, also when it was done before and only
/// its answer was lost; none when another run has the file at another position.
///
/// [`Error::Stale`] means that the catalog has changed, [`Error::Conflict`] that a place was taken at the same moment:
/// run it again, after the first with the new catalog.
pub fn advance(
    tx: &mut Tx<'_>,
    catalog: &Catalog,
    ambient: Ambient,
    step: &Step,
) -> Result<Option<Vec<Line>>, Error> {
    if catalog::version(tx)? == catalog.version {
        rehearse(tx, catalog, ambient, step)
    } else {
        Err(Error::Stale)
    }
}

/// [`advance`] where nobody changes the catalog: on a scratch database.
pub fn rehearse(
    tx: &mut Tx<'_>,
    catalog: &Catalog,
    ambient: Ambient,
    step: &Step,
) -> Result<Option<Vec<Line>>, Error> {
    let Some(row) = tx.query_one(&LOCK, &[step.id.into()])? else { return Ok(None) };
    let mut at = position(&row)?;
    let rows = i64::try_from(step.entries.len()).unwrap_or(i64::MAX);
    if at.done == step.done + rows && rows > 0 {
        return Ok(Some(at.last_lines));
    }
    if at.done != step.done {
        return Ok(None);
    }
    let lines = work(tx, catalog, ambient, step)?;
    for line in &lines {
        *at.counts.entry(line.code.clone()).or_default() += 1;
    }
    let params = [
        (step.done + rows).into(),
        text(&at.counts)?.into(),
        text(&lines)?.into(),
        ambient.now().ms().into(),
        step.id.into(),
    ];
    tx.execute(&ADVANCE, &params)?;
    Ok(Some(lines))
}

/// Says that every row is done.
pub fn finish(tx: &mut Tx<'_>, ambient: Ambient, id: Uuid, file: &File) -> Result<(), Error> {
    let now = ambient.now();
    let counts = find(tx, file)?.map(|found| found.counts).unwrap_or_default();
    tx.execute(&FINISH, &[now.ms().into(), id.into()])?;
    note(tx, ambient, file, id, &json!({ "finished": file.name, "rows": counts }))
}

fn note(
    tx: &mut Tx<'_>,
    ambient: Ambient,
    file: &File,
    id: Uuid,
    change: &serde_json::Value,
) -> Result<(), Error> {
    let at = ambient.now();
    let entry = audit::Entry {
        id: ambient.new_id(at),
        network: file.network,
        at,
        actor: file.actor.clone(),
        subject: format!("{}/{id}", file.kind.code()),
        change: change.to_string(),
    };
    audit::record(tx, &entry)
}

/// The rows one after another. Their clicks are locked first, always in the same order, so that two who work on many
/// clicks never wait for each other in a circle.
fn work(tx: &mut Tx<'_>, catalog: &Catalog, ambient: Ambient, step: &Step) -> Result<Vec<Line>, Error> {
    let mut clicks = Vec::new();
    for entry in step.entries.iter() {
        clicks.extend(match &entry.work {
            Ok(Work::Record { postback, .. }) => Some(postback.click),
            Ok(Work::Change { named: ruling::Named::Click(click, _), .. }) => Some(*click),
            Ok(Work::Change { named: ruling::Named::Conversion(id), .. }) => {
                conversion::find(tx, *id)?.map(|found| found.click)
            }
            Err(_) => None,
        });
    }
    clicks.sort_unstable();
    clicks.dedup();
    for id in clicks {
        click::lock(tx, id)?;
    }
    step.entries.iter().map(|entry| one(tx, catalog, ambient, step, entry)).collect()
}

fn one(
    tx: &mut Tx<'_>,
    catalog: &Catalog,
    ambient: Ambient,
    step: &Step,
    entry: &Entry,
) -> Result<Line, Error> {
    let line = |code: &str, conversion: Option<ConversionId>, message: String| Line {
        row: entry.number,
        given: entry.given.clone(),
        conversion,
        code: code.to_owned(),
        message,
    };
    match &entry.work {
        Err(wrong) => Ok(line(MALFORMED, None, wrong.clone())),
        Ok(Work::Change { named, to, reason }) => {
            let order = order(step, entry.number, named, *to, reason);
            let outcome = ruling::carry_out(tx, catalog, ambient, &order)?;
            Ok(line(outcome.code, outcome.conversion, outcome.message))
        }
        Ok(Work::Record { postback, completed }) => {
            let outcome = record(tx, catalog, ambient, step, postback, *completed)?;
            let id = outcome.conversion.as_ref().map(|named| named.id);
            Ok(line(&outcome.code, id, outcome.message))
        }
    }
}

fn order(step: &Step, row: i64, named: &ruling::Named, to: Status, reason: &str) -> ruling::Order {
    let origin = format!("{}, row {row}", step.file.name);
    ruling::Order {
        network: step.file.network,
        named: named.clone(),
        to,
        actor: step.file.actor.clone(),
        note: if reason.is_empty() { origin } else { format!("{reason} ({origin})") },
    }
}

/// A result by the rules of a postback, said by staff instead of the advertiser.
fn record(
    tx: &mut Tx<'_>,
    catalog: &Catalog,
    ambient: Ambient,
    step: &Step,
    postback: &Postback,
    completed: Option<Timestamp>,
) -> Result<Outcome, Error> {
    let now = ambient.now();
    let case = match case(tx, catalog, step, postback, completed, now)? {
        Ok(case) => case,
        Err(refusal) => return Ok(Outcome::refused(refusal)),
    };
    let outcome = inbound::settle(tx, ambient, &case, &mut Vec::new())?;
    match (outcome.answer, outcome.conversion.as_ref().map(|named| named.id)) {
        (Answer::Duplicate, Some(id)) => {
            let first = conversion::find(tx, id)?;
            Ok(first.map_or(outcome.clone(), |first| meet(outcome, &first, postback, &case.link.offer)))
        }
        _ => Ok(outcome),
    }
}

/// A row as a sound report, or the first thing that it lacks.
pub(crate) fn case<'a>(
    tx: &mut Tx<'_>,
    catalog: &'a Catalog,
    step: &'a Step,
    postback: &'a Postback,
    completed: Option<Timestamp>,
    now: Timestamp,
) -> Result<Result<Case<'a>, Refusal>, Error> {
    let unknown = || {
        let message = format!("there is no click {} in this network", postback.click);
        Refusal::new(Answer::ClickUnknown, message)
    };
    let Some(click) = click::find(tx, postback.click)? else { return Ok(Err(unknown())) };
    let Some(link) = catalog.links.get(&click.link) else { return Err(Error::Stale) };
    if link.offer.network.id != step.file.network {
        return Ok(Err(unknown()));
    }
    let at = completed.unwrap_or(now);
    if at < click.id.at() {
        let message = format!("UserCompletedAt {at} is before the click, which was at {}", click.id.at());
        return Ok(Err(Refusal::new(Answer::ParameterMalformed, message)));
    }
    let target = match rule::target(&link.offer, postback) {
        Ok(target) => target,
        Err(refusal) => return Ok(Err(in_words_of_a_file(&refusal))),
    };
    let arrival = Arrival {
        at,
        // Staff is trusted; whether the advertiser's address would be is not asked.
        address_allowed: true,
        click_sent_on: click.verdict.sends_on() && !click.marks.has(Marks::REFUSED),
        click_reused: click.verdict == Verdict::ClickIdReused
            && link.offer.rules.reused_clicks == Treatment::Refuse,
        test: click.marks.has(Marks::TEST),
    };
    let sender = Sender { at: now, address: "upload".to_owned(), actor: &step.file.actor };
    Ok(Ok(Case { sender, postback, click, link, target, arrival }))
}

/// A postback's refusal, naming columns instead of parameters.
fn in_words_of_a_file(refusal: &Refusal) -> Refusal {
    let message = refusal.message.replace("cnv_event_id", "EventID");
    let message = message.replace("cnv_amount is required", "Amount (or Revenue and Payout) is required");
    Refusal::new(refusal.answer, message)
}

/// A row about something that is recorded already: a copy, or other facts about it.
fn meet(outcome: Outcome, first: &Conversion, postback: &Postback, offer: &Offer) -> Outcome {
    let stated = [
        ("Revenue", postback.stated.revenue_micros, first.revenue),
        ("Payout", postback.stated.payout_micros, first.payout),
    ];
    let other = stated.into_iter().find_map(|(column, stated, recorded)| {
        let stated = Money { micros: stated?, currency: offer.currency };
        (stated != recorded).then(|| format!("{column} {recorded}; this row says {stated}"))
    });
    if let Some(other) = other {
        return Outcome {
            answer: Answer::Conflict,
            code: Answer::Conflict.code().to_owned(),
            message: format!("already recorded with {other}"),
            ..outcome
        };
    }
    let why = first.reason.map_or(String::new(), |reason| format!(" ({reason})"));
    let hint = if first.status == Status::Rejected { "; `pitlane conversion set` changes it" } else { "" };
    Outcome { message: format!("already recorded, {}{why}{hint}", first.status), ..outcome }
}

fn text(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|why| Error::bug(ADVANCE.name, why))
}

fn position(row: &Row) -> Result<Position, Error> {
    let unreadable = |why| Error::bug(FIND.name, why);
    Ok(Position {
        id: row.uuid("upload_id")?,
        done: row.int("rows_done")?,
        counts: serde_json::from_str(&row.text("counts")?).map_err(unreadable)?,
        last_lines: serde_json::from_str(&row.text("last_lines")?).map_err(unreadable)?,
        finished: row.opt_int("finished_ms")?.is_some(),
    })
}
