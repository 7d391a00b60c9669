//! Texts that many clicks share, each stored once under a key that follows from it.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::{Db, Error, Row, Statement, Tx, Value};

pub(crate) const ALL: &[&Statement] = &[&GET, &PUT, &RECENT_AGENTS];

static GET: Statement = Statement::new("text.get", "select text from click_text where text_hash = ?1");

static PUT: Statement = Statement::new(
    "text.put",
    "insert into click_text (text_hash, text) values (?1, ?2) on conflict do nothing",
);

/// The user agents of the newest clicks.
static RECENT_AGENTS: Statement = Statement::new(
    "text.recent_agents",
    "select text_hash, text from click_text
     where text_hash in (select agent_hash from click order by click_id desc limit ?1) limit ?2",
);

/// Texts in one transaction.
const STEP: usize = 200;

/// A text with its key.
pub(crate) type Keyed = (Arc<str>, i64);

/// Makes texts durable; gives the key of each. One that met another text under its key has none.
pub(crate) async fn keep(db: &Db, texts: Vec<Arc<str>>) -> Result<Vec<Keyed>, Error> {
    let mut kept = Vec::with_capacity(texts.len());
    for step in texts.chunks(STEP) {
        let step: Vec<Keyed> = step.iter().map(|text| (Arc::clone(text), key(text))).collect();
        let own = step.clone();
        let missing = db
            .read(move |tx| {
                own.iter().try_fold(false, |any, own| Ok::<_, Error>(any || get(tx, own)?.is_none()))
            })
            .await?;
        let own = step.clone();
        let same = move |tx: &mut Tx<'_>| -> Result<Vec<bool>, Error> {
            let same = |own: &Keyed| -> Result<bool, Error> {
                if missing {
                    tx.execute(&PUT, &[own.1.into(), (*own.0).into()])?;
                }
                Ok(get(tx, own)?.as_deref() == Some(&*own.0))
            };
            own.iter().map(same).collect()
        };
        let same = if missing { db.write(same).await? } else { db.read(same).await? };
        kept.extend(step.into_iter().zip(same).filter_map(|(own, same)| same.then_some(own)));
    }
    Ok(kept)
}

fn get(tx: &mut Tx<'_>, (_, key): &Keyed) -> Result<Option<String>, Error> {
    tx.query_one(&GET, &[(*key).into()])?.map(|row| row.text("text")).transpose()
}

/// The user agents of the newest `clicks`, at most `limit`.
pub(crate) fn recent_agents(tx: &mut Tx<'_>, clicks: i64, limit: i64) -> Result<Vec<Keyed>, Error> {
    let params: [Value; 2] = [clicks.into(), limit.into()];
    let keyed = |row: &Row| Ok((row.text("text")?.into(), row.int("text_hash")?));
    tx.query(&RECENT_AGENTS, &params)?.iter().map(keyed).collect()
}

/// 32 bits, which SQLite stores in four bytes of each click. Of ten thousand texts hardly two have the same; then the
/// second one is stored in its clicks.
fn key(text: &str) -> i64 {
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    i32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]).into()
}
