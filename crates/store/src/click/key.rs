//! Finding clicks by what their partner calls them.
//!
//! Two ordinary indexes would cost every click two random pages of the database, far more than the click itself, for
//! look-ups that people make now and then. So the ids are noted behind the clicks, by the step that counts them and in
//! its transaction: a line of short hashes with the millisecond of the click. When the lines of some thousand clicks
//! have come together, they are sorted into lists. A look-up goes through the lines, reads the one list of its hash
//! from each of those thousands, newest first, and compares the true ids; what is in no count yet is looked through as
//! it is. 16 bytes a click, written in order.

use std::collections::{BTreeMap, BTreeSet};

use domain::id::ClickId;
use uuid::Uuid;

use crate::report::first_id;
use crate::{Error, Row, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] = &[
    &NOTE,
    &LINES,
    &LINES_OF_CLICK,
    &SET_LINE,
    &REMOVE_LINES,
    &UNSORTED,
    &OLDEST_LINES,
    &REMOVE_SORTED,
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

/// The same clicks, counted anew, have the same line.
static NOTE: Statement = Statement::new(
    "click_key.note",
    "insert into click_key_unsorted (first_id, last_id, clicks, entries) values (?1, ?2, ?3, ?4)
     on conflict do nothing",
);

static LINES: Statement = Statement::new(
    "click_key.lines",
    "select first_id, last_id, clicks, entries from click_key_unsorted
     where (first_id, last_id, clicks) < (?1, ?2, ?3)
     order by first_id desc, last_id desc, clicks desc limit ?4",
);

static LINES_OF_CLICK: Statement = Statement::new(
    "click_key.lines_of_click",
    "select first_id, last_id, clicks, entries from click_key_unsorted where first_id <= ?1 and last_id >= ?1",
);

static SET_LINE: Statement = Statement::new(
    "click_key.set_line",
    "update click_key_unsorted set entries = ?4 where first_id = ?1 and last_id = ?2 and clicks = ?3",
);

static REMOVE_LINES: Statement = Statement::new(
    "click_key.remove_lines",
    "delete from click_key_unsorted where first_id < ?1 and last_id < ?1",
);

static UNSORTED: Statement = Statement::new(
    "click_key.unsorted",
    "select cast(coalesce(sum(clicks), 0) as bigint) as clicks from click_key_unsorted",
);

/// Locked, so that whoever takes an id out of a line sees that it is gone.
static OLDEST_LINES: Statement = Statement::new(
    "click_key.oldest_lines",
    "select first_id, last_id, clicks, entries from click_key_unsorted
     order by first_id, last_id, clicks limit ?1 {for_update}",
);

static REMOVE_SORTED: Statement = Statement::new(
    "click_key.remove_sorted",
    "delete from click_key_unsorted where (first_id, last_id, clicks) <= (?1, ?2, ?3)",
);

/// Clicks that are counted anew may be in the same lists again.
static ADD: Statement = Statement::new(
    "click_key.add",
    "insert into click_key (prefix, first_id, last_id, clicks, entries) values (?1, ?2, ?3, ?4, ?5)
     on conflict do nothing",
);

static LISTS: Statement = Statement::new(
    "click_key.lists",
    "select first_id, last_id, clicks, entries from click_key
     where prefix = ?5 and (first_id, last_id, clicks) < (?1, ?2, ?3)
     order by first_id desc, last_id desc, clicks desc limit ?4",
);

static OF_CLICK: Statement = Statement::new(
    "click_key.of_click",
    "select first_id, last_id, clicks, entries from click_key where prefix = ?2 and first_id <= ?1 and last_id >= ?1",
);

static SET: Statement = Statement::new(
    "click_key.set",
    "update click_key set entries = ?4 where first_id = ?1 and last_id = ?2 and clicks = ?3 and prefix = ?5",
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

/// Into how many lists clicks are sorted: a look-up reads one of them.
const PREFIXES: u8 = 32;

/// Bytes of an entry of a list: the hash, and milliseconds after the list's first click.
const ENTRY: usize = 8;

/// Bytes of an entry of a line: the prefix, and an entry.
const UNSORTED_ENTRY: usize = ENTRY + 1;

/// Clicks whose lines are sorted together. A look-up goes through the lines of as many; a list of as many nearly fills
/// its page of SQLite, where one of half as many would leave it half empty.
const SORTED_CLICKS: i64 = 8_192;

/// Lines that are sorted together, if their clicks do not come to so many.
const SORTED_LINES: i64 = 1_024;

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

/// The keys of some clicks, to be written down.
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

    /// Writes a line of them.
    pub(crate) fn write(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let mut line = Line::default();
        for (click, keys) in &self.clicks {
            if !line.takes(*click) {
                std::mem::take(&mut line).write(tx)?;
            }
            line.add(*click, keys);
        }
        line.write(tx)
    }
}

/// Clicks that came within [`u32::MAX`] milliseconds.
#[derive(Default)]
struct Line {
    ends: Option<(ClickId, ClickId)>,
    clicks: i64,
    entries: Vec<u8>,
}

impl Line {
    fn takes(&self, click: ClickId) -> bool {
        self.ends.is_none_or(|(first, _)| offset(first, click).is_some())
    }

    fn add(&mut self, click: ClickId, keys: &[Option<Key>; 2]) {
        let first = self.ends.map_or(click, |(first, _)| first);
        self.ends = Some((first, click));
        self.clicks += 1;
        let offset = offset(first, click).unwrap_or(u32::MAX);
        for key in keys.iter().flatten() {
            self.entries.extend(unsorted_entry(*key, offset));
        }
    }

    fn write(self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let Some((first, last)) = self.ends else { return Ok(()) };
        let params = [first.uuid().into(), last.uuid().into(), self.clicks.into(), self.entries.into()];
        tx.execute(&NOTE, &params).map(drop)
    }
}

/// Milliseconds from one click to another; none when they are too many, or it came before.
fn offset(first: ClickId, click: ClickId) -> Option<u32> {
    u32::try_from(click.at().ms() - first.at().ms()).ok()
}

/// Whether enough clicks wait to be sorted.
pub(crate) fn unsorted(tx: &mut Tx<'_>) -> Result<bool, Error> {
    Ok(tx.query_one(&UNSORTED, &[])?.map_or(Ok(0), |row| row.int("clicks"))? >= SORTED_CLICKS)
}

/// Makes lists of the oldest lines.
pub(crate) fn sort(tx: &mut Tx<'_>) -> Result<(), Error> {
    let lines = tx.query(&OLDEST_LINES, &[SORTED_LINES.into()])?;
    let Some(last) = lines.last() else { return Ok(()) };
    let mut lists = Lists::default();
    for line in &lines {
        let (first, last) = (ClickId(line.uuid("first_id")?), ClickId(line.uuid("last_id")?));
        if !lists.take(first, last) {
            std::mem::take(&mut lists).write(tx)?;
            lists.take(first, last);
        }
        lists.add(first, line.int("clicks")?, &line.blob("entries")?);
    }
    lists.write(tx)?;
    tx.execute(&REMOVE_SORTED, &place(last)?).map(drop)
}

/// Lists in the making, of clicks that came within [`u32::MAX`] milliseconds.
#[derive(Default)]
struct Lists {
    ends: Option<(ClickId, ClickId)>,
    clicks: i64,
    entries: BTreeMap<u8, Vec<[u8; ENTRY]>>,
}

impl Lists {
    /// Makes room for a line of clicks; `false` when it is too far away.
    fn take(&mut self, first: ClickId, last: ClickId) -> bool {
        let ends = self.ends.map_or((first, last), |(own, end)| (own, end.max(last)));
        let fits = offset(ends.0, ends.1).is_some();
        if fits {
            self.ends = Some(ends);
        }
        fits
    }

    fn add(&mut self, first: ClickId, clicks: i64, entries: &[u8]) {
        self.clicks += clicks;
        let later = self.ends.and_then(|(own, _)| offset(own, first)).unwrap_or_default();
        for [prefix, hash @ .., a, b, c, d] in entries.as_chunks::<UNSORTED_ENTRY>().0 {
            let key = Key { prefix: *prefix, hash: *hash };
            let offset = u32::from_be_bytes([*a, *b, *c, *d]).saturating_add(later);
            self.entries.entry(*prefix).or_default().push(entry(key, offset));
        }
    }

    fn write(self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let Some((first, last)) = self.ends else { return Ok(()) };
        let lists = self.entries.into_iter().map(|(prefix, mut entries)| -> [Value; 5] {
            entries.sort_unstable();
            entries.dedup();
            [
                i64::from(prefix).into(),
                first.uuid().into(),
                last.uuid().into(),
                self.clicks.into(),
                entries.concat().into(),
            ]
        });
        tx.execute_each(&ADD, &lists.collect::<Vec<_>>()).map(drop)
    }
}

fn unsorted_entry(key: Key, offset: u32) -> [u8; UNSORTED_ENTRY] {
    let mut entry = [key.prefix; UNSORTED_ENTRY];
    entry[1..].copy_from_slice(&self::entry(key, offset));
    entry
}

fn entry(key: Key, offset: u32) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..4].copy_from_slice(&key.hash);
    entry[4..].copy_from_slice(&offset.to_be_bytes());
    entry
}

/// What names a line or a list among its like.
fn place(row: &Row) -> Result<[Value; 3], Error> {
    Ok([row.uuid("first_id")?.into(), row.uuid("last_id")?.into(), row.int("clicks")?.into()])
}

/// The newest clicks that carry this id, newest first, at most `limit`.
pub(crate) fn find(tx: &mut Tx<'_>, which: Which, id: &str, limit: i64) -> Result<Vec<ClickId>, Error> {
    let mut search = Search { which, id, key: Key::of(id), limit, found: BTreeSet::new() };
    // What is in no list is asked for first: whatever is noted meanwhile is then seen twice, and not never.
    if let Some(row) = tx.query_one(&UNNOTED, &[])? {
        search.look(tx, row.uuid("first_id")?, Uuid::max())?;
    }
    // And what is in a line before what is in a list, for the same reason.
    search.pages(tx, &LINES, &[], offsets_in_line)?;
    let prefix = i64::from(search.key.prefix).into();
    search.pages(tx, &LISTS, &[prefix], offsets)?;
    if search.wants_more() {
        if let Some(row) = tx.query_one(&OLDER, &[])? {
            search.look(tx, Uuid::nil(), row.uuid("until_id")?)?;
        }
        search.converted(tx)?;
    }
    let newest = search.found.into_iter().rev();
    Ok(newest.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect())
}

/// Takes an id of these clicks out of the lines and the lists. [`Error::Stale`] when a line is being sorted.
pub(crate) fn forget(tx: &mut Tx<'_>, id: &str, clicks: &[ClickId]) -> Result<(), Error> {
    let key = Key::of(id);
    let prefix: Value = i64::from(key.prefix).into();
    for click in clicks {
        let own: Value = click.uuid().into();
        for line in tx.query(&LINES_OF_CLICK, std::slice::from_ref(&own))? {
            let left = without::<UNSORTED_ENTRY>(&line, *click, |offset| unsorted_entry(key, offset))?;
            if let Some(left) = left
                && tx.execute(&SET_LINE, &[&place(&line)?[..], &[left.into()]].concat())? == 0
            {
                return Err(Error::Stale);
            }
        }
        for list in tx.query(&OF_CLICK, &[own, prefix.clone()])? {
            if let Some(left) = without::<ENTRY>(&list, *click, |offset| entry(key, offset))? {
                tx.execute(&SET, &[&place(&list)?[..], &[left.into(), prefix.clone()]].concat())?;
            }
        }
    }
    Ok(())
}

/// The entries of a line or a list without one; none when that is not in it.
fn without<const N: usize>(
    row: &Row,
    click: ClickId,
    entry: impl FnOnce(u32) -> [u8; N],
) -> Result<Option<Vec<u8>>, Error> {
    let (first, entries) = (ClickId(row.uuid("first_id")?), row.blob("entries")?);
    let Some(own) = offset(first, click).map(entry) else { return Ok(None) };
    let left: Vec<[u8; N]> = entries.as_chunks().0.iter().filter(|other| **other != own).copied().collect();
    Ok((left.len() * N < entries.len()).then(|| left.concat()))
}

/// Forgets lines and lists of which every click lies before `end` and is gone.
pub(crate) fn remove_before(tx: &mut Tx<'_>, end: Uuid) -> Result<(), Error> {
    tx.execute(&REMOVE_LINES, &[end.into()])?;
    (0..PREFIXES)
        .try_for_each(|prefix| tx.execute(&REMOVE, &[i64::from(prefix).into(), end.into()]).map(drop))
}

struct Search<'a> {
    which: Which,
    id: &'a str,
    key: Key,
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

    /// Goes through lines or lists, newest first, until there are enough.
    fn pages(
        &mut self,
        tx: &mut Tx<'_>,
        statement: &'static Statement,
        which: &[Value],
        offsets: fn(&[u8], Key) -> Vec<u32>,
    ) -> Result<(), Error> {
        let mut before: [Value; 3] = [Uuid::max().into(), Uuid::max().into(), i64::MAX.into()];
        while self.wants_more() {
            let page = tx.query(statement, &[&before[..], &[PAGE.into()], which].concat())?;
            for list in &page {
                before = place(list)?;
                let base = ClickId(list.uuid("first_id")?).at();
                for offset in offsets(&list.blob("entries")?, self.key).into_iter().rev() {
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
fn offsets(entries: &[u8], key: Key) -> Vec<u32> {
    let hash = key.hash;
    let (entries, _) = entries.as_chunks::<ENTRY>();
    let from = entries.partition_point(|entry| entry[..4] < hash[..]);
    let own = entries[from..].iter().take_while(|entry| entry[..4] == hash[..]);
    own.map(|entry| u32::from_be_bytes([entry[4], entry[5], entry[6], entry[7]])).collect()
}

/// The milliseconds that a line has for a key, in order.
fn offsets_in_line(entries: &[u8], key: Key) -> Vec<u32> {
    let own = |[prefix, hash @ .., a, b, c, d]: &[u8; UNSORTED_ENTRY]| {
        (*prefix == key.prefix && *hash == key.hash).then(|| u32::from_be_bytes([*a, *b, *c, *d]))
    };
    entries.as_chunks().0.iter().filter_map(own).collect()
}

#[cfg(test)]
mod tests {
    use super::{Key, offsets};

    #[test]
    fn a_hash_is_found_with_all_its_times_and_no_other_is() {
        let entries: Vec<u8> = [
            [1, 0, 0, 0, 0, 0, 0, 9],
            [2, 0, 0, 0, 0, 0, 0, 3],
            [2, 0, 0, 0, 0, 0, 1, 0],
            [3, 0, 0, 0, 0, 0, 0, 1],
        ]
        .concat();
        let key = |hash| Key { prefix: 0, hash };
        assert_eq!(offsets(&entries, key([2, 0, 0, 0])), [3, 256]);
        assert_eq!(offsets(&entries, key([1, 0, 0, 0])), [9]);
        assert_eq!(offsets(&entries, key([4, 0, 0, 0])), [0; 0]);
        assert_eq!(offsets(&[], key([1, 0, 0, 0])), [0; 0]);
    }
}
