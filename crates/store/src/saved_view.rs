//! Views of a page that a user keeps by name.

use domain::id::{NetworkId, UserId};
use domain::time::Timestamp;

use crate::{Error, Statement, Tx};

pub(crate) const ALL: &[&Statement] = &[&OF_USER, &KEEP, &FORGET, &FORGET_ALL, &COUNT];

static OF_USER: Statement = Statement::new(
    "saved_view.of_user",
    "select name, query from saved_view where user_id = ?1 and network_id = ?2 and page = ?3 order by name limit 100",
);

static KEEP: Statement = Statement::new(
    "saved_view.keep",
    "insert into saved_view (user_id, network_id, page, name, query, created_ms) values (?1, ?2, ?3, ?4, ?5, ?6)
     on conflict (user_id, page, name) do update set query = excluded.query, created_ms = excluded.created_ms",
);

static FORGET: Statement = Statement::new(
    "saved_view.forget",
    "delete from saved_view where user_id = ?1 and network_id = ?2 and page = ?3 and name = ?4",
);

static FORGET_ALL: Statement =
    Statement::new("saved_view.forget_all", "delete from saved_view where user_id = ?1");

static COUNT: Statement = Statement::new(
    "saved_view.count",
    "select count(*) as views from saved_view where user_id = ?1 and page = ?2 and name <> ?3",
);

/// The most views that a user keeps of one page.
pub const MAX_VIEWS: i64 = 100;

/// A view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedView {
    /// Its name, unique for the user and page.
    pub name: String,
    /// What stands behind the `?` of its address.
    pub query: String,
}

/// The views of a page that a user keeps, by name.
pub fn of_user(
    tx: &mut Tx<'_>,
    network: NetworkId,
    user: UserId,
    page: &str,
) -> Result<Vec<SavedView>, Error> {
    let rows = tx.query(&OF_USER, &[user.uuid().into(), network.uuid().into(), page.into()])?;
    rows.iter().map(|row| Ok(SavedView { name: row.text("name")?, query: row.text("query")? })).collect()
}

/// Keeps a view, in the place of one with the same name. `false` when the user keeps [`MAX_VIEWS`] others already.
pub fn keep(
    tx: &mut Tx<'_>,
    network: NetworkId,
    user: UserId,
    page: &str,
    view: &SavedView,
    now: Timestamp,
) -> Result<bool, Error> {
    let name = view.name.as_str();
    let row = tx.query_one(&COUNT, &[user.uuid().into(), page.into(), name.into()])?;
    if row.map_or(Ok(0), |row| row.int("views"))? >= MAX_VIEWS {
        return Ok(false);
    }
    let (user, network) = (user.uuid().into(), network.uuid().into());
    let params = [user, network, page.into(), name.into(), view.query.as_str().into(), now.ms().into()];
    tx.execute(&KEEP, &params)?;
    Ok(true)
}

/// Forgets a view; of one that is not there, nothing.
pub fn forget(
    tx: &mut Tx<'_>,
    network: NetworkId,
    user: UserId,
    page: &str,
    name: &str,
) -> Result<(), Error> {
    let params = [user.uuid().into(), network.uuid().into(), page.into(), name.into()];
    tx.execute(&FORGET, &params).map(drop)
}

/// Forgets every view of a user, before they are removed.
pub(crate) fn forget_all(tx: &mut Tx<'_>, user: UserId) -> Result<(), Error> {
    tx.execute(&FORGET_ALL, &[user.uuid().into()]).map(drop)
}
