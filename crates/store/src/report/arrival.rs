//! What waits to be counted: a line for each batch of clicks, written by the batch itself. It tells of each click what
//! counting has to know, so that no click is read again on the way.
//!
//! A note is the click's [`place`] in the counts, with a byte of length before it, and the keys by which the click is
//! found: a byte whose bits 1 and 2 say which there are, and 5 bytes for each.

use domain::bytes::{Damaged, Reader};
use domain::click::Click;
use domain::id::ClickId;
use uuid::Uuid;

use super::{place, state};
use crate::click::key::Key;
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

/// As many as [`AT_ONCE`]; whoever takes fewer names one twice.
static TAKE: Statement = Statement::new(
    "arrival.take",
    "delete from click_arrival where first_id in (
         ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
         ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40, ?41, ?42,
         ?43, ?44, ?45, ?46, ?47, ?48, ?49, ?50, ?51, ?52, ?53, ?54, ?55, ?56, ?57, ?58, ?59, ?60, ?61, ?62,
         ?63, ?64)",
);
const AT_ONCE: usize = 64;

static FORGET: Statement = Statement::new(
    "arrival.forget",
    "update click_arrival set notes = null where first_id <= ?1 and last_id >= ?1 and notes is not null",
);

/// The next lines that wait, after one of them.
pub(super) fn waiting(tx: &mut Tx<'_>, after: Uuid, limit: i64) -> Result<Vec<Row>, Error> {
    tx.query(&ARRIVALS, &[after.into(), limit.into()])
}

/// Lines that were read, by their first clicks.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<Uuid>);

impl Lines {
    pub(super) fn add(&mut self, first: Uuid) {
        self.0.push(first);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The earliest click of all.
    pub(super) fn first(&self) -> Option<ClickId> {
        self.0.iter().min().copied().map(ClickId)
    }

    /// Takes them away. [`Error::Stale`] when somebody else has.
    pub(super) fn take(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        for some in self.0.chunks(AT_ONCE) {
            let padded = some.iter().chain(some.last().into_iter().cycle()).take(AT_ONCE);
            let ids: Vec<Value> = padded.map(|first| (*first).into()).collect();
            if tx.execute(&TAKE, &ids)? != some.len() as u64 {
                return Err(Error::Stale);
            }
        }
        Ok(())
    }
}

/// Lets go of what is noted about clicks that change: they themselves are read when they are counted, and whoever has
/// read the notes begins anew.
pub(crate) fn forget(tx: &mut Tx<'_>, clicks: &[ClickId]) -> Result<(), Error> {
    if clicks.is_empty() {
        return Ok(());
    }
    // First of all, as whoever counts does: nobody then waits for the other in a circle.
    state::step(tx)?;
    clicks.iter().try_for_each(|click| tx.execute(&FORGET, &[click.uuid().into()]).map(drop))
}

/// What a line says of a click; null when it is too long to be said.
pub(crate) fn note(click: &Click) -> Value {
    let mut note = vec![0];
    let written = place::write(&mut note, click.link, click.verdict.number(), click.marks, &click.facts);
    let (Some(()), Ok(length)) = (written, u8::try_from(note.len() - 1)) else { return Value::Null };
    note[0] = length;
    let keys = Key::of_click(click.pub_click_id.as_deref(), click.pub_member_id.as_deref());
    note.push(u8::from(keys[0].is_some()) | u8::from(keys[1].is_some()) << 1);
    for key in keys.into_iter().flatten() {
        note.extend(key.bytes());
    }
    note.into()
}

/// Reads what a line says of its clicks: their places, and the keys by which they are found.
pub(super) fn read(
    notes: &[u8],
    ids: &[ClickId],
    mut each: impl FnMut(ClickId, &[u8], [Option<Key>; 2]),
) -> Result<(), Error> {
    let mut from = Reader(notes);
    for id in ids {
        let (place, keys) = noted(&mut from).map_err(damaged)?;
        each(*id, place, keys);
    }
    from.end().map_err(damaged)
}

fn noted<'a>(from: &mut Reader<'a>) -> Result<(&'a [u8], [Option<Key>; 2]), Damaged> {
    let length = from.byte()?;
    let place = from.take(length.into())?;
    let which = from.byte()?;
    let mut keys = [None; 2];
    for (bit, key) in keys.iter_mut().enumerate() {
        if which & 1 << bit != 0 {
            *key = Some(Key::from_bytes(from.array()?));
        }
    }
    Ok((place, keys))
}

fn damaged(why: Damaged) -> Error {
    Error::bug("click_arrival.notes", why)
}

#[cfg(test)]
mod tests {
    use domain::click::{Facts, Marks, Verdict};
    use domain::id::{LinkId, NetworkId};
    use domain::report::quarter;

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
        let mut found = Vec::new();
        read(&notes, &ids, |id, place, keys| {
            let place = place::read(place, NetworkId(Uuid::nil()), quarter(id.at()), 1).unwrap().unwrap().0;
            found.push((place.link, place.verdict, place.country, place.os, keys.map(|key| key.is_some())));
        })
        .unwrap();
        let link = LinkId(Uuid::from_u128(7));
        let like =
            |os: &str, keys| (link, Verdict::OfferCapped.number(), "CH".to_owned(), os.to_owned(), keys);
        assert_eq!(found, [like("iOS", [true, true]), like("iOS", [false, true]), like("", [true, false])]);
        for end in 0..notes.len() {
            assert!(read(&notes[..end], &ids, |_, _, _| {}).is_err(), "cut at {end}");
        }
        assert!(read(&notes, &ids[..2], |_, _, _| {}).is_err());
    }

    #[test]
    fn what_cannot_be_noted_is_left_to_be_read() {
        assert_eq!(note(&click(None, None, &"x".repeat(300))), Value::Null);
    }
}
