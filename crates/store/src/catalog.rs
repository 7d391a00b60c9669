//! The catalog as one value, and the number that grows with every change of it.

use std::collections::HashMap;
use std::sync::Arc;

use domain::catalog::Catalog;
use uuid::Uuid;

use crate::{Error, Row, Statement, Tx, advertiser, erase, link, network, offer, partner, test_mode};

pub(crate) const ALL: &[&Statement] = &[&VERSION, &TOUCH, &TOUCH_FROM];

static VERSION: Statement =
    Statement::new("catalog.version", "select version from catalog_state where only_row = 1");

static TOUCH: Statement = Statement::new(
    "catalog.touch",
    "update catalog_state set version = version + 1 where only_row = 1 returning version",
);

/// The row's lock lets one of two changers through; the other finds another version.
static TOUCH_FROM: Statement = Statement::new(
    "catalog.touch_from",
    "update catalog_state set version = version + 1 where only_row = 1 and version = ?1 returning version",
);

/// Which state the catalog is in.
pub fn version(tx: &mut Tx<'_>) -> Result<i64, Error> {
    let row = tx.query_one(&VERSION, &[])?;
    row.map_or(Err(Error::bug(VERSION.name, NoState)), |row| row.int("version"))
}

/// Tells every process that the catalog changed: call it in the transaction of each change. Returns the new version.
pub fn touch(tx: &mut Tx<'_>) -> Result<i64, Error> {
    let row = tx.query_one(&TOUCH, &[])?;
    row.map_or(Err(Error::bug(TOUCH.name, NoState)), |row| row.int("version"))
}

/// Like [`touch`], when the catalog is still in state `version`; none when somebody else changed it first. Call it
/// before the changes: until the transaction ends, nobody else gets through.
pub fn touch_from(tx: &mut Tx<'_>, version: i64) -> Result<Option<i64>, Error> {
    tx.query_one(&TOUCH_FROM, &[version.into()])?.map(|row| row.int("version")).transpose()
}

/// The whole catalog. Reads in pages: a hundred thousand links take a fraction of a second.
pub fn load(tx: &mut Tx<'_>) -> Result<Catalog, Error> {
    let version = version(tx)?;
    let networks: HashMap<_, _> = network::all(tx)?.into_iter().map(|own| (own.id, Arc::new(own))).collect();
    let (mut advertisers, mut signing) = (HashMap::new(), HashMap::new());
    for (own, secrets) in advertiser::all(tx)? {
        if !secrets.is_empty() {
            signing.insert(own.id, secrets);
        }
        advertisers.insert(own.id, Arc::new(own));
    }
    let tokens = advertiser::tokens(tx)?;
    let live = tokens.into_iter().filter(|token| token.revoked.is_none());
    let partners: HashMap<_, _> = partner::all(tx)?.into_iter().map(|own| (own.id, Arc::new(own))).collect();
    let offers = offer::all(tx, &networks, &advertisers)?;
    let links = link::all(tx, &offers, &partners)?;
    Ok(Catalog {
        version,
        tokens: live.map(|token| (token.hash, token.advertiser)).collect(),
        networks,
        partners,
        advertisers,
        offers,
        links,
        signing,
        test_keys: test_mode::keys(tx)?,
        erase_keys: erase::keys(tx)?,
    })
}

/// Rows read at once. An offer brings its events along, so this keeps a page of offers within a query's bound.
pub(crate) const PAGE: i64 = 1_000;

/// Hands every row of a table to `take`, page by page in the order of its key. `statement` selects the rows behind
/// key `?1`, at most `?2` of them. An error tells the row: its table is the noun in the statement's name.
pub(crate) fn each_row(
    tx: &mut Tx<'_>,
    statement: &'static Statement,
    key: &str,
    mut take: impl FnMut(&Row) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut after = Vec::new();
    loop {
        let rows = tx.query(statement, &[after.clone().into(), PAGE.into()])?;
        for row in &rows {
            take(row).map_err(|why| unreadable(statement, row, key, why))?;
        }
        match rows.last() {
            Some(last) if i64::try_from(rows.len()) == Ok(PAGE) => after = last.blob(key)?,
            _ => return Ok(()),
        }
    }
}

/// The error for a row that cannot be read: it says which one.
pub(crate) fn unreadable(statement: &'static Statement, row: &Row, key: &str, why: Error) -> Error {
    let table = statement.name.split('.').next().unwrap_or_default();
    let id = row.uuid(key).unwrap_or_default();
    Error::bug(statement.name, Unreadable { table, id, why })
}

/// A stored row that this program cannot read, as the cause of an [`Error::Bug`].
#[derive(Debug, thiserror::Error)]
#[error("{table} {id} cannot be read")]
struct Unreadable {
    table: &'static str,
    id: Uuid,
    #[source]
    why: Error,
}

/// A stored id that leads nowhere.
#[derive(Debug, thiserror::Error)]
#[error("{what} {id} is not stored")]
pub(crate) struct Dangling {
    pub(crate) what: &'static str,
    pub(crate) id: Uuid,
}

#[derive(Debug, thiserror::Error)]
#[error("the catalog's version is gone")]
struct NoState;
