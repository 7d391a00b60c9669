//! What links' recent clicks looked like, kept for the next start.

use domain::id::LinkId;
use domain::sketch::Seen;
use domain::time::Timestamp;

use crate::live::{SHARDS, Sketches};
use crate::{Db, Error, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] = &[&PUT, &EVERY];

static PUT: Statement = Statement::new(
    "sketch.put",
    "insert into sketch (link_id, seen, saved_ms) values (?1, ?2, ?3)
     on conflict (link_id) do update set seen = excluded.seen, saved_ms = excluded.saved_ms",
);

static EVERY: Statement = Statement::new(
    "sketch.every",
    "select link_id, seen from sketch where link_id > ?1 order by link_id limit ?2",
);

/// Links in one transaction, about 400 KB.
const STEP: usize = 100;

/// Saves every sketch that has learnt something since it was last saved; how many. What a server learns between the
/// last save and its end is read from the clicks at the next start.
pub async fn save(db: &Db, sketches: &Sketches, now: Timestamp) -> Result<usize, Error> {
    let mut count = 0;
    for shard in 0..SHARDS {
        let changed = sketches.take_changed(shard);
        for (done, step) in changed.chunks(STEP).enumerate() {
            let row = |(link, seen): &(LinkId, Vec<Seen>)| -> [Value; 3] {
                [link.uuid().into(), pack(seen).into(), now.ms().into()]
            };
            let rows: Vec<_> = step.iter().map(row).collect();
            let put_all = move |tx: &mut Tx<'_>| tx.execute_each(&PUT, &rows).map(drop);
            if let Err(error) = db.write(put_all).await {
                sketches.mark_changed(changed[done * STEP..].iter().map(|(link, _)| *link));
                return Err(error);
            }
        }
        count += changed.len();
    }
    Ok(count)
}

/// The saved sketches of links behind `after`, by link, at most `limit`.
pub(crate) fn page(tx: &mut Tx<'_>, after: LinkId, limit: i64) -> Result<Vec<(LinkId, Vec<Seen>)>, Error> {
    let params: [Value; 2] = [after.uuid().into(), limit.into()];
    let rows = tx.query(&EVERY, &params)?;
    rows.iter().map(|row| Ok((LinkId(row.uuid("link_id")?), unpack(&row.blob("seen")?)))).collect()
}

fn pack(seen: &[Seen]) -> Vec<u8> {
    seen.iter().flat_map(|seen| seen.to_bytes()).collect()
}

fn unpack(bytes: &[u8]) -> Vec<Seen> {
    bytes.as_chunks().0.iter().map(Seen::from_bytes).collect()
}
