//! The database that a dry run works on: a temporary one, gone at its end.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use store::{Db, Target};

use crate::config::Effective;
use crate::failure::Failure;
use crate::{clock, wire};

/// An empty database in a folder of its own.
pub(super) struct Scratch {
    /// The database.
    pub(super) db: Db,
    _folder: Folder,
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is for the system's own clearing up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Scratch {
    /// Makes it, with the settings of the real one.
    pub(super) async fn open(effective: &Effective) -> Result<Self, Failure> {
        let id = clock::ambient().new_id(clock::ambient().now());
        let path = std::env::temp_dir().join(format!("pitlane-dry-run-{id}"));
        // Only this user may look inside: the folder of temporary files is everybody's.
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|source| {
            Failure::new(store::Error::File { path: path.clone(), source: Arc::new(source) })
        })?;
        let folder = Folder(path.clone());
        let own = Effective { target: Target::Sqlite { dir: path }, ..effective.clone() };
        let opened = tokio::task::spawn_blocking(move || wire::open(&own)).await;
        Ok(Self { db: opened.map_err(Failure::new)??, _folder: folder })
    }
}
