//! Whose links are, for whoever counts.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::id::LinkId;

use super::sum::Owner;
use crate::{Error, Statement, Tx};

pub(crate) const ALL: &[&Statement] = &[&OWNER];

static OWNER: Statement = Statement::new(
    "report.owner_of_link",
    "select network_id, partner_id, offer_id from link where link_id = ?1",
);

/// Links whose owner is remembered; then all are asked for anew.
const OWNERS: usize = 50_000;

/// Whose links are, which never changes, as far as whoever counts has asked.
#[derive(Debug, Default)]
pub(super) struct Owners(Mutex<HashMap<LinkId, Owner>>);

impl Owners {
    fn known(&self) -> MutexGuard<'_, HashMap<LinkId, Owner>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose a link is; none when it is not stored.
    pub(super) fn of(&self, tx: &mut Tx<'_>, link: LinkId) -> Result<Option<Owner>, Error> {
        if let Some(known) = self.known().get(&link) {
            return Ok(Some(*known));
        }
        let row = tx.query_one(&OWNER, &[link.uuid().into()])?;
        let owner = row.map(|row| Owner::read(&row)).transpose()?;
        let mut known = self.known();
        if known.len() >= OWNERS {
            known.clear();
        }
        known.extend(owner.map(|owner| (link, owner)));
        Ok(owner)
    }
}
