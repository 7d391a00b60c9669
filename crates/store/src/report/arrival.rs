//! What waits to be counted: a line for each batch of clicks, written by the batch itself. It tells of each click what
//! counting has to know, so that no click is read again on the way.
//!
//! A note is its place in the counts (a byte of length; then the link, the verdict and the marks, the country, the
//! device with a byte of length, and the operating system) and the keys by which the click is found (a byte whose bits
//! 1 and 2 say which there are, and 5 bytes for each).

use std::collections::HashMap;

use domain::click::{Click, Marks};
use domain::id::{ClickId, LinkId};
use domain::report::{Clicks, quarter};
use domain::time::Timestamp;
use uuid::Uuid;

use super::count::figures;
use crate::click::key::{Key, Noted};
use crate::error::Mistake;
use crate::{Error, Row, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] = &[&ARRIVED, &ARRIVALS, &TAKE, &FORGET];

/// The listing of the click log.
pub(crate) static ARRIVED: Statement = Statement::new(
    "arrival.add",
    "insert into click_arrival (first_id, last_id, clicks, click_ids, notes) values (?1, ?2, ?3, ?4, ?5)",
);

static ARRIVALS: Statement = Statement::new(
    "arrival.waiting",
    "select first_id, clicks, click_ids, notes from click_arrival where first_id > ?1 order by first_id limit ?2",
);

static TAKE: Statement =
    Statement::new("arrival.take", "delete from click_arrival where first_id = ?1 and clicks = ?2");

static FORGET: Statement = Statement::new(
    "arrival.forget",
    "update click_arrival set notes = null where first_id <= ?1 and last_id >= ?1 and notes is not null",
);

/// The next lines that wait, after one of them.
pub(super) fn waiting(tx: &mut Tx<'_>, after: Uuid, limit: i64) -> Result<Vec<Row>, Error> {
    tx.query(&ARRIVALS, &[after.into(), limit.into()])
}

/// Takes a line away. [`Error::Stale`] when somebody else has.
pub(super) fn take(tx: &mut Tx<'_>, first: Uuid, clicks: i64) -> Result<(), Error> {
    match tx.execute(&TAKE, &[first.into(), clicks.into()])? {
        1 => Ok(()),
        _ => Err(Error::Stale),
    }
}

/// Lets go of what is noted about a click, which has changed: the click itself is read when it is counted.
pub(crate) fn forget(tx: &mut Tx<'_>, click: ClickId) -> Result<(), Error> {
    tx.execute(&FORGET, &[click.uuid().into()]).map(drop)
}

/// What a line says of a click; null when it is too long to be said.
pub(crate) fn note(click: &Click) -> Value {
    let (facts, mut note) = (&click.facts, vec![0]);
    note.extend(click.link.uuid().as_bytes());
    let device = facts.device.map_or("", |device| device.code());
    let (Ok(verdict), Ok(marks)) = (u16::try_from(click.verdict.number()), u16::try_from(click.marks.0))
    else {
        return Value::Null;
    };
    note.extend(verdict.to_le_bytes());
    note.extend(marks.to_le_bytes());
    let country = facts.country.as_ref().map_or("", |country| country.code());
    for code in [country, device] {
        let Ok(length) = u8::try_from(code.len()) else { return Value::Null };
        note.push(length);
        note.extend(code.bytes());
    }
    note.extend(facts.os.bytes());
    let Ok(length) = u8::try_from(note.len() - 1) else { return Value::Null };
    note[0] = length;
    let keys = Key::of_click(click.pub_click_id.as_deref(), click.pub_member_id.as_deref());
    note.push(u8::from(keys[0].is_some()) | u8::from(keys[1].is_some()) << 1);
    for key in keys.into_iter().flatten() {
        note.extend(key.bytes());
    }
    note.into()
}

/// Where a click counts, as its note says it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) start: Timestamp,
    pub(super) link: LinkId,
    pub(super) verdict: i64,
    pub(super) country: String,
    pub(super) device: String,
    pub(super) os: String,
}

/// Groups the clicks of a line by their places, and notes their keys down. Tests are found, and counted nowhere.
pub(super) fn read(
    notes: &[u8],
    ids: &[ClickId],
    keys_of: &mut Noted,
) -> Result<Vec<(Place, Clicks)>, Error> {
    let mut groups: HashMap<(Timestamp, &[u8]), i64> = HashMap::new();
    let mut from = Bytes(notes);
    for id in ids {
        let length = from.byte()?;
        let place = from.take(length.into())?;
        let which = from.byte()?;
        let mut keys = [None; 2];
        for (bit, key) in keys.iter_mut().enumerate() {
            if which & 1 << bit != 0 {
                *key = Some(Key::from_bytes(from.array()?));
            }
        }
        keys_of.add(*id, keys);
        *groups.entry((quarter(id.at()), place)).or_default() += 1;
    }
    if !from.0.is_empty() {
        return Err(damaged());
    }
    let mut places = Vec::with_capacity(groups.len());
    for ((start, place), clicks) in groups {
        places.extend(counted(start, Bytes(place), clicks)?);
    }
    Ok(places)
}

/// None for tests.
fn counted(start: Timestamp, mut from: Bytes<'_>, clicks: i64) -> Result<Option<(Place, Clicks)>, Error> {
    let link = LinkId(Uuid::from_bytes(from.array()?));
    let verdict = i64::from(u16::from_le_bytes(from.array()?));
    let marks = Marks(u16::from_le_bytes(from.array()?).into());
    if marks.has(Marks::TEST) {
        return Ok(None);
    }
    let mut code = || {
        let length = from.byte()?;
        from.take(length.into()).and_then(text)
    };
    let (country, device) = (code()?, code()?);
    let place = Place { start, link, verdict, country, device, os: text(from.0)? };
    Ok(Some((place, figures(verdict, marks).times(clicks))))
}

fn text(bytes: &[u8]) -> Result<String, Error> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| damaged())
}

fn damaged() -> Error {
    let (column, found) = ("notes".to_owned(), "a note that is cut or of another form".to_owned());
    Error::bug(ARRIVALS.name, Mistake::Unreadable { column, found })
}

/// Bytes that are taken from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.0.split_first_chunk().ok_or_else(damaged)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }
}

#[cfg(test)]
mod tests {
    use domain::click::{Facts, Verdict};

    use super::*;

    fn click(pub_click_id: Option<&str>, pub_member_id: Option<&str>, os: &str) -> Click {
        Click {
            id: ClickId(Uuid::from_u128(1 << 80)),
            link: LinkId(Uuid::from_u128(7)),
            verdict: Verdict::OfferCapped,
            marks: Marks::REPEAT,
            pub_click_id: pub_click_id.map(str::to_owned),
            pub_member_id: pub_member_id.map(str::to_owned),
            facts: Facts { country: "CH".parse().ok(), os: os.to_owned(), ..Facts::default() },
        }
    }

    #[test]
    fn what_is_noted_is_read() {
        let clicks =
            [click(Some("a"), Some("b"), "iOS"), click(None, Some("b"), "iOS"), click(Some("a"), None, "")];
        let notes: Vec<u8> = clicks.iter().flat_map(|click| note(click).bytes().unwrap().to_vec()).collect();
        let ids: Vec<ClickId> = clicks.iter().map(|click| click.id).collect();
        let mut places = read(&notes, &ids, &mut Noted::default()).unwrap();
        places.sort_by_key(|(_, clicks)| -clicks.hits);
        let place = |os: &str| Place {
            start: quarter(ids[0].at()),
            link: LinkId(Uuid::from_u128(7)),
            verdict: Verdict::OfferCapped.number(),
            country: "CH".to_owned(),
            device: String::new(),
            os: os.to_owned(),
        };
        let counts = |clicks| figures(Verdict::OfferCapped.number(), Marks::REPEAT).times(clicks);
        assert_eq!(places, [(place("iOS"), counts(2)), (place(""), counts(1))]);
        for end in 0..notes.len() {
            assert!(read(&notes[..end], &ids, &mut Noted::default()).is_err(), "cut at {end}");
        }
        assert!(read(&notes, &ids[..2], &mut Noted::default()).is_err());
    }

    #[test]
    fn what_cannot_be_noted_is_left_to_be_read() {
        assert_eq!(note(&click(None, None, &"x".repeat(300))), Value::Null);
    }
}
