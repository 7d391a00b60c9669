//! Clicks: the log that every hit on a link is appended to, and the look-ups by its ids.

pub(crate) mod key;
pub mod list;

use domain::bytes::Damaged;
use domain::click::{Click, Facts, Marks, Texts as SharedTexts, Verdict};
use domain::id::{ClickId, LinkId};
use domain::time::Timestamp;
use uuid::Uuid;

use self::key::Which;
use crate::live::Texts;
use crate::{Append, Column, Db, Error, Row, Statement, Ticket, Tx, Value, report};

pub(crate) const ALL: &[&Statement] = &[&FIND, &LOCK, &NEWEST, &NEWEST_OF_LINK];

/// The click log, as [`Db::open`] takes it.
pub static LOG: Append = Append::new(
    "click.append",
    "click",
    &[
        ("click_id", Column::Blob),
        ("link_id", Column::Blob),
        ("verdict", Column::Int),
        ("marks", Column::Int),
        ("pub_click_id", Column::Text),
        ("pub_member_id", Column::Text),
        ("facts", Column::Blob),
        ("agent_hash", Column::Int),
        ("destination_hash", Column::Int),
    ],
)
.listed_by(&report::ARRIVED);

/// What a click is read from, out of `click k`.
macro_rules! columns {
    () => {
        "k.click_id, k.link_id, k.verdict, k.marks, k.pub_click_id, k.pub_member_id, k.facts,
         (select text from click_text where text_hash = k.agent_hash) as agent_text,
         (select text from click_text where text_hash = k.destination_hash) as destination_text"
    };
}
pub(crate) use columns;

static FIND: Statement =
    Statement::new("click.find", concat!("select ", columns!(), " from click k where k.click_id = ?1"));

/// The postbacks of one click wait for each other, on every node.
static LOCK: Statement = Statement::new(
    "click.lock",
    "select click_id, link_id, verdict, marks, pub_click_id, pub_member_id from click where click_id = ?1 {for_update}",
);

static NEWEST: Statement = Statement::new(
    "click.newest",
    concat!(
        "select ",
        columns!(),
        " from click k where k.click_id >= ?1 and k.click_id < ?2 order by k.click_id desc limit ?3"
    ),
);

/// What a click carries is read of the link's own ones alone.
static NEWEST_OF_LINK: Statement = Statement::new(
    "click.newest_of_link",
    concat!(
        "select ",
        columns!(),
        " from (select click_id, link_id from click where click_id < ?1 order by click_id desc limit ?2) w
     join click k on k.click_id = w.click_id
     where w.link_id = ?3 order by k.click_id desc limit ?4"
    ),
);

/// Adds a click to the log's current batch, without the texts that are stored beside the clicks. It is recorded when
/// the ticket says that it is durable.
pub fn append(db: &Db, texts: &Texts, click: &Click) -> Result<Ticket, Error> {
    db.append(row(texts, click))
}

/// Adds many clicks in a write of their own: for generated history.
pub fn append_many(tx: &mut Tx<'_>, texts: &Texts, clicks: &[Click]) -> Result<(), Error> {
    let rows: Vec<_> = clicks.iter().map(|click| row(texts, click)).collect();
    tx.append(&LOG, &rows)
}

/// A click by its id, whatever its network: the caller checks whose it is.
pub fn find(tx: &mut Tx<'_>, id: ClickId) -> Result<Option<Click>, Error> {
    tx.query_one(&FIND, &[id.uuid().into()])?.map(|row| read(&row)).transpose()
}

/// Like [`find`] but without its facts, and other transactions that lock the same click wait until this one ends.
pub(crate) fn lock(tx: &mut Tx<'_>, id: ClickId) -> Result<Option<Click>, Error> {
    tx.query_one(&LOCK, &[id.uuid().into()])?.map(|row| without_facts(&row)).transpose()
}

/// The newest clicks with this partner's click id, at most `limit`.
pub fn by_pub_click_id(tx: &mut Tx<'_>, id: &str, limit: i64) -> Result<Vec<Click>, Error> {
    let ids = key::find(tx, Which::ClickId, id, limit)?;
    of_ids(tx, &ids)
}

/// The newest clicks with this member id, at most `limit`.
pub fn by_pub_member_id(tx: &mut Tx<'_>, id: &str, limit: i64) -> Result<Vec<Click>, Error> {
    let ids = key::find(tx, Which::MemberId, id, limit)?;
    of_ids(tx, &ids)
}

fn of_ids(tx: &mut Tx<'_>, ids: &[ClickId]) -> Result<Vec<Click>, Error> {
    let mut clicks = Vec::with_capacity(ids.len());
    for id in ids {
        clicks.extend(find(tx, *id)?);
    }
    Ok(clicks)
}

/// The newest clicks of all networks from a time on and before one of them, newest first, at most `limit`.
pub(crate) fn newest(
    tx: &mut Tx<'_>,
    from: Timestamp,
    before: Option<ClickId>,
    limit: i64,
) -> Result<Vec<Click>, Error> {
    let before = before.map_or(Uuid::max(), ClickId::uuid);
    let from = ClickId::first_of(from).uuid();
    tx.query(&NEWEST, &[from.into(), before.into(), limit.into()])?.iter().map(read).collect()
}

/// The newest clicks of one link before one of them, newest first, at most `limit`, out of the `among` newest of all.
pub(crate) fn newest_of_link(
    tx: &mut Tx<'_>,
    link: LinkId,
    before: Option<ClickId>,
    among: i64,
    limit: usize,
) -> Result<Vec<Click>, Error> {
    let before = before.map_or(Uuid::max(), ClickId::uuid);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let params = [before.into(), among.into(), link.uuid().into(), limit.into()];
    tx.query(&NEWEST_OF_LINK, &params)?.iter().map(read).collect()
}

fn row(texts: &Texts, click: &Click) -> Vec<Value> {
    let packed = texts.pack(click);
    vec![
        click.id.uuid().into(),
        click.link.uuid().into(),
        click.verdict.number().into(),
        click.marks.0.into(),
        click.pub_click_id.as_deref().into(),
        click.pub_member_id.as_deref().into(),
        packed.facts.into(),
        packed.agent.into(),
        packed.skeleton.into(),
        report::note(click),
    ]
}

/// A click out of its [`columns`].
pub(crate) fn read(row: &Row) -> Result<Click, Error> {
    let mut click = without_facts(row)?;
    let (agent, skeleton) = (row.opt_text("agent_text")?, row.opt_text("destination_text")?);
    let texts = SharedTexts { agent: agent.as_deref(), skeleton: skeleton.as_deref() };
    click.facts = facts(&row.blob("facts")?, |bytes| Facts::unpack(bytes, &click.keys(), texts))?;
    Ok(click)
}

fn without_facts(row: &Row) -> Result<Click, Error> {
    let number = row.int("verdict")?;
    Ok(Click {
        id: ClickId(row.uuid("click_id")?),
        link: LinkId(row.uuid("link_id")?),
        verdict: Verdict::from_number(number)
            .ok_or_else(|| row.unreadable("verdict", &number.to_string()))?,
        marks: Marks(row.int("marks")?),
        pub_click_id: row.opt_text("pub_click_id")?,
        pub_member_id: row.opt_text("pub_member_id")?,
        facts: Facts::default(),
    })
}

/// What a click carries by itself: all but a user agent and a destination that stand elsewhere. It needs the column
/// `facts` alone.
pub(crate) fn own_facts(row: &Row) -> Result<Facts, Error> {
    facts(&row.blob("facts")?, Facts::unpack_own)
}

/// How every row begins that was written before facts were packed: as JSON.
const JSON: u8 = b'{';

fn facts(bytes: &[u8], unpack: impl FnOnce(&[u8]) -> Result<Facts, Damaged>) -> Result<Facts, Error> {
    if bytes.first() == Some(&JSON) {
        return serde_json::from_slice(bytes).map_err(|why| Error::bug("click.facts", why));
    }
    unpack(bytes).map_err(|why| Error::bug("click.facts", why))
}
