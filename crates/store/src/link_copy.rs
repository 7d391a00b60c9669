//! Who copied a link out of the portal: the first thing to do with one.

use domain::id::{LinkId, UserId};
use domain::time::Timestamp;

use crate::{Error, Statement, Tx};

pub(crate) const ALL: &[&Statement] = &[&NOTE, &FIRST, &FORGET];

/// The first time counts.
static NOTE: Statement = Statement::new(
    "link_copy.note",
    "insert into link_copy (link_id, user_id, copied_ms) values (?1, ?2, ?3) on conflict (link_id, user_id) do nothing",
);

static FIRST: Statement = Statement::new(
    "link_copy.first",
    "select c.copied_ms, u.email from link_copy c join app_user u on u.user_id = c.user_id
     where c.link_id = ?1 order by c.copied_ms, c.user_id limit 1",
);

static FORGET: Statement = Statement::new("link_copy.forget", "delete from link_copy where user_id = ?1");

/// Notes that a user copied a link. Only the first time is kept.
pub fn note(tx: &mut Tx<'_>, link: LinkId, user: UserId, at: Timestamp) -> Result<(), Error> {
    tx.execute(&NOTE, &[link.uuid().into(), user.uuid().into(), at.ms().into()]).map(drop)
}

/// When a link was copied first, and the address of who did it; none when nobody has, or they are gone.
pub fn first(tx: &mut Tx<'_>, link: LinkId) -> Result<Option<(Timestamp, String)>, Error> {
    let row = tx.query_one(&FIRST, &[link.uuid().into()])?;
    row.map(|row| Ok((Timestamp::from_ms(row.int("copied_ms")?), row.text("email")?))).transpose()
}

/// Forgets what a user copied, before they are removed.
pub(crate) fn forget(tx: &mut Tx<'_>, user: UserId) -> Result<(), Error> {
    tx.execute(&FORGET, &[user.uuid().into()]).map(drop)
}
