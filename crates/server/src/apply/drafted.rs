//! The offers that a file would make, without making them.

use std::path::Path;
use std::sync::Arc;

use domain::ambient::Ambient;
use domain::offer::Offer;
use store::Db;

use super::plan::{Change, Write};
use super::stored::Stored;
use super::{Failure, Options, command, draft};
use crate::config::Effective;

/// An offer as a file would make it.
#[derive(Debug)]
pub(crate) struct Drafted {
    /// It.
    pub(crate) offer: Arc<Offer>,
    /// Its slug.
    pub(crate) slug: String,
    /// What differs from the stored one; everything of a new one.
    pub(crate) changes: Vec<Change>,
}

/// Every offer of a file, read and checked as `pitlane apply` does. Nothing is written.
pub(crate) async fn offers(
    db: &Db,
    ambient: Ambient,
    file: &Path,
    effective: &Effective,
) -> Result<Vec<Drafted>, crate::failure::Failure> {
    let text = command::read(file)?;
    drafted(db, ambient, &text, &file.to_string_lossy())
        .await
        .map_err(|refused| command::failure(refused, effective))
}

async fn drafted(db: &Db, ambient: Ambient, text: &str, file_name: &str) -> Result<Vec<Drafted>, Failure> {
    let stored = db.read(Stored::load).await?;
    let options = Options { dry_run: true, ..Options::default() };
    let (plan, _) = draft(text, file_name, &stored, ambient, &options)?;
    let offers = plan.steps.into_iter().filter_map(|step| match step.write {
        Write::Offer { record, .. } => {
            Some(Drafted { offer: record, slug: step.name, changes: step.changes })
        }
        _ => None,
    });
    Ok(offers.collect())
}
