//! Finding clicks by what their partner calls them.
//!
//! Two ordinary indexes would cost every click two random pages of the database, far more than the click itself, for
//! look-ups that people make now and then. So the ids are noted behind the clicks, by the step that counts them and in
//! its transaction: for each few thousand clicks some sorted lists of short hashes with the millisecond of the click.
//! A look-up reads the one list of its hash from each step, newest first, and compares the true ids; what is in no
//! count yet is looked through as it is. 16 bytes a click, written in order.

use std::collections::{BTreeMap, BTreeSet};

use domain::id::ClickId;
use uuid::Uuid;

use crate::report::first_id;
use crate::{Error, Row, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] = &[
    &ADD,
    &LISTS,
    &OF_CLICK,
    &SET,
    &REMOVE,
    &UNNOTED,
    &OLDER,
    &BY_PUB_CLICK_ID,
    &BY_PUB_MEMBER_ID,
    &CONVERTED_BY_CLICK_ID,
    &CONVERTED_BY_MEMBER_ID,
];

/// The same clicks, counted anew, have the same lists.
static ADD: Statement = Statement::new(
    "click_key.add",
    "insert into click_key (prefix, first_id, last_id, clicks, entries) values (?1, ?2, ?3, ?4, ?5)
     on conflict do nothing",
);

static LISTS: Statement = Statement::new(
    "click_key.lists",
    "select first_id, last_id, clicks, entries from click_key
     where prefix = ?1 and (first_id, last_id, clicks) < (?2, ?3, ?4)
     order by first_id desc, last_id desc, clicks desc limit ?5",
);

static OF_CLICK: Statement = Statement::new(
    "click_key.of_click",
    "select first_id, last_id, clicks, entries from click_key where prefix = ?1 and first_id <= ?2 and last_id >= ?2",
);

static SET: Statement = Statement::new(
    "click_key.set",
    "update click_key set entries = ?5 where prefix = ?1 and first_id = ?2 and last_id = ?3 and clicks = ?4",
);

static REMOVE: Statement = Statement::new(
    "click_key.remove",
    "delete from click_key where prefix = ?1 and first_id < ?2 and last_id < ?2",
);

/// The first of the clicks that wait to be counted.
static UNNOTED: Statement =
    Statement::new("click_key.unnoted", "select first_id from click_arrival order by first_id limit 1");

/// Up to where clicks were recorded before there were lists; nothing in a database that always had them.
static OLDER: Statement = Statement::new("click_key.older", "select until_id from click_key_begin");

static BY_PUB_CLICK_ID: Statement = Statement::new(
    "click_key.by_pub_click_id",
    "select click_id from click where click_id >= ?1 and click_id < ?2 and pub_click_id = ?3
     order by click_id desc limit ?4",
);

static BY_PUB_MEMBER_ID: Statement = Statement::new(
    "click_key.by_pub_member_id",
    "select click_id from click where click_id >= ?1 and click_id < ?2 and pub_member_id = ?3
     order by click_id desc limit ?4",
);

/// Clicks with a conversion outlive their lists.
static CONVERTED_BY_CLICK_ID: Statement = Statement::new(
    "click_key.converted_by_click_id",
    "select distinct click_id from conversion
     where network_id in (select network_id from network) and pub_click_id = ?1 order by click_id desc limit ?2",
);

static CONVERTED_BY_MEMBER_ID: Statement = Statement::new(
    "click_key.converted_by_member_id",
    "select distinct click_id from conversion
     where network_id in (select network_id from network) and pub_member_id = ?1 order by click_id desc limit ?2",
);

/// Into how many lists the clicks of a step are divided: a look-up reads one of them.
const PREFIXES: u8 = 32;

/// Bytes of an entry: the hash, and milliseconds after the list's first click.
const ENTRY: usize = 8;

/// Lists that are read at once.
const PAGE: i64 = 256;

/// Which of a click's ids is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The partner's click id.
    ClickId,
    /// The member id.
    MemberId,
}

/// What a click is found by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    prefix: u8,
    hash: [u8; 4],
}

impl Key {
    /// The keys of a click with these ids. An id that stands for both is noted once.
    pub(crate) fn of_click(pub_click_id: Option<&str>, pub_member_id: Option<&str>) -> [Option<Self>; 2] {
        let member = pub_member_id.filter(|member| pub_click_id != Some(member));
        [pub_click_id, member].map(|id| id.filter(|id| !id.is_empty()).map(Self::of))
    }

    /// As it is written down until it is in a list.
    pub(crate) fn bytes(self) -> [u8; 5] {
        let [a, b, c, d] = self.hash;
        [self.prefix, a, b, c, d]
    }

    /// Out of its [`bytes`](Self::bytes).
    pub(crate) fn from_bytes([prefix, hash @ ..]: [u8; 5]) -> Self {
        Self { prefix, hash }
    }

    fn of(id: &str) -> Self {
        // The lists are kept, so it must be a hash that stays the same; FNV-1a, folded so that all bits count.
        let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let [prefix, _, _, _, hash @ ..] = (hash ^ (hash >> 32)).to_be_bytes();
        Self { prefix: prefix % PREFIXES, hash }
    }
}

/// The lists of some clicks, in the making.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// In the order of the ids, so that entries come in the order of time.
    clicks: BTreeMap<ClickId, [Option<Key>; 2]>,
}

impl Noted {
    /// Takes a click with its keys up.
    pub(crate) fn add(&mut self, click: ClickId, keys: [Option<Key>; 2]) {
        if keys.iter().any(Option::is_some) {
            self.clicks.insert(click, keys);
        }
    }

    /// Writes the lists.
    pub(crate) fn write(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let mut stretch: Vec<(ClickId, u32, &[Option<Key>; 2])> = Vec::new();
        for (click, keys) in &self.clicks {
            let first = stretch.first().map_or(*click, |(first, ..)| *first);
            let offset = u32::try_from(click.at().ms() - first.at().ms());
            if offset.is_err() {
                write(tx, &stretch)?;
                stretch.clear();
            }
            stretch.push((*click, offset.unwrap_or(0), keys));
        }
        write(tx, &stretch)
    }
}

/// Writes the lists of clicks that came within [`u32::MAX`] milliseconds.
fn write(tx: &mut Tx<'_>, stretch: &[(ClickId, u32, &[Option<Key>; 2])]) -> Result<(), Error> {
    let (Some((first, ..)), Some((last, ..))) = (stretch.first(), stretch.last()) else { return Ok(()) };
    let mut lists: BTreeMap<u8, Vec<[u8; ENTRY]>> = BTreeMap::new();
    for (_, offset, keys) in stretch {
        for key in keys.iter().flatten() {
            lists.entry(key.prefix).or_default().push(entry(*key, *offset));
        }
    }
    let clicks = i64::try_from(stretch.len()).unwrap_or(i64::MAX);
    for (prefix, mut entries) in lists {
        entries.sort_unstable();
        entries.dedup();
        let params: [Value; 5] = [
            i64::from(prefix).into(),
            first.uuid().into(),
            last.uuid().into(),
            clicks.into(),
            entries.concat().into(),
        ];
        tx.execute(&ADD, &params)?;
    }
    Ok(())
}

fn entry(key: Key, offset: u32) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..4].copy_from_slice(&key.hash);
    entry[4..].copy_from_slice(&offset.to_be_bytes());
    entry
}

/// The newest clicks that carry this id, newest first, at most `limit`.
pub(crate) fn find(tx: &mut Tx<'_>, which: Which, id: &str, limit: i64) -> Result<Vec<ClickId>, Error> {
    let mut search = Search { which, id, limit, found: BTreeSet::new() };
    // What is in no list is asked for first: whatever is noted meanwhile is then seen twice, and not never.
    if let Some(row) = tx.query_one(&UNNOTED, &[])? {
        search.look(tx, row.uuid("first_id")?, Uuid::max())?;
    }
    search.lists(tx)?;
    if search.wants_more() {
        if let Some(row) = tx.query_one(&OLDER, &[])? {
            search.look(tx, Uuid::nil(), row.uuid("until_id")?)?;
        }
        search.converted(tx)?;
    }
    let newest = search.found.into_iter().rev();
    Ok(newest.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect())
}

/// Takes an id of these clicks out of the lists.
pub(crate) fn forget(tx: &mut Tx<'_>, id: &str, clicks: &[ClickId]) -> Result<(), Error> {
    let key = Key::of(id);
    for click in clicks {
        let params = [i64::from(key.prefix).into(), click.uuid().into()];
        for list in tx.query(&OF_CLICK, &params)? {
            let (first, entries) = (list.uuid("first_id")?, list.blob("entries")?);
            let Ok(offset) = u32::try_from(click.at().ms() - ClickId(first).at().ms()) else { continue };
            let own = entry(key, offset);
            let left: Vec<[u8; ENTRY]> =
                entries.as_chunks().0.iter().filter(|other| **other != own).copied().collect();
            if left.len() * ENTRY < entries.len() {
                let place = [
                    params[0].clone(),
                    first.into(),
                    list.uuid("last_id")?.into(),
                    list.int("clicks")?.into(),
                ];
                tx.execute(&SET, &[&place[..], &[left.concat().into()]].concat())?;
            }
        }
    }
    Ok(())
}

/// Forgets lists of which every click lies before `end` and is gone.
pub(crate) fn remove_before(tx: &mut Tx<'_>, end: Uuid) -> Result<(), Error> {
    (0..PREFIXES)
        .try_for_each(|prefix| tx.execute(&REMOVE, &[i64::from(prefix).into(), end.into()]).map(drop))
}

struct Search<'a> {
    which: Which,
    id: &'a str,
    limit: i64,
    found: BTreeSet<ClickId>,
}

impl Search<'_> {
    fn wants_more(&self) -> bool {
        i64::try_from(self.found.len()).unwrap_or(i64::MAX) < self.limit
    }

    /// Looks through the clicks from one id until before another.
    fn look(&mut self, tx: &mut Tx<'_>, from: Uuid, until: Uuid) -> Result<(), Error> {
        let statement = match self.which {
            Which::ClickId => &BY_PUB_CLICK_ID,
            Which::MemberId => &BY_PUB_MEMBER_ID,
        };
        let rows = tx.query(statement, &[from.into(), until.into(), self.id.into(), self.limit.into()])?;
        self.take(&rows)
    }

    fn converted(&mut self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let statement = match self.which {
            Which::ClickId => &CONVERTED_BY_CLICK_ID,
            Which::MemberId => &CONVERTED_BY_MEMBER_ID,
        };
        let rows = tx.query(statement, &[self.id.into(), self.limit.into()])?;
        self.take(&rows)
    }

    fn take(&mut self, rows: &[Row]) -> Result<(), Error> {
        for row in rows {
            self.found.insert(ClickId(row.uuid("click_id")?));
        }
        Ok(())
    }

    /// Goes through the lists of the id's hash, newest first, until there are enough.
    fn lists(&mut self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let key = Key::of(self.id);
        let mut before: (Uuid, Uuid, i64) = (Uuid::max(), Uuid::max(), i64::MAX);
        while self.wants_more() {
            let (first, last, clicks) = before;
            let params: [Value; 5] =
                [i64::from(key.prefix).into(), first.into(), last.into(), clicks.into(), PAGE.into()];
            let page = tx.query(&LISTS, &params)?;
            for list in &page {
                before = (list.uuid("first_id")?, list.uuid("last_id")?, list.int("clicks")?);
                let base = ClickId(before.0).at();
                for offset in offsets(&list.blob("entries")?, key.hash).into_iter().rev() {
                    let at = base.plus_ms(i64::from(offset));
                    self.look(tx, first_id(at), first_id(at.plus_ms(1)))?;
                }
            }
            if i64::try_from(page.len()).unwrap_or(PAGE) < PAGE {
                break;
            }
        }
        Ok(())
    }
}

/// The milliseconds that a list has for a hash, in order.
fn offsets(entries: &[u8], hash: [u8; 4]) -> Vec<u32> {
    let (entries, _) = entries.as_chunks::<ENTRY>();
    let from = entries.partition_point(|entry| entry[..4] < hash[..]);
    let own = entries[from..].iter().take_while(|entry| entry[..4] == hash[..]);
    own.map(|entry| u32::from_be_bytes([entry[4], entry[5], entry[6], entry[7]])).collect()
}

#[cfg(test)]
mod tests {
    use super::offsets;

    #[test]
    fn a_hash_is_found_with_all_its_times_and_no_other_is() {
        let entries: Vec<u8> = [
            [1, 0, 0, 0, 0, 0, 0, 9],
            [2, 0, 0, 0, 0, 0, 0, 3],
            [2, 0, 0, 0, 0, 0, 1, 0],
            [3, 0, 0, 0, 0, 0, 0, 1],
        ]
        .concat();
        assert_eq!(offsets(&entries, [2, 0, 0, 0]), [3, 256]);
        assert_eq!(offsets(&entries, [1, 0, 0, 0]), [9]);
        assert_eq!(offsets(&entries, [4, 0, 0, 0]), [0; 0]);
        assert_eq!(offsets(&[], [1, 0, 0, 0]), [0; 0]);
    }
}
