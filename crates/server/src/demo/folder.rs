//! The demo's database folder: a temporary one that is gone at the end, or one that is kept.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A folder without a database.
pub(super) struct Folder {
    path: PathBuf,
    kept: bool,
}

impl Folder {
    /// The folder given, which is kept; else a temporary one, which goes with the value.
    pub(super) fn new(given: Option<&Path>) -> Result<Self, Failure> {
        match given {
            Some(path) if path.join("pitlane.db").exists() => {
                let error = format!("{} has a database already", path.display());
                Err(Failure::usage(error).next(format!(
                    "name an empty folder, or serve this one: `pitlane serve --data {}`",
                    path.display()
                )))
            }
            Some(path) => Ok(Self { path: path.to_owned(), kept: true }),
            None => Self::temporary(),
        }
    }

    fn temporary() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("pitlane-demo-{}", std::process::id()));
        // Only this user may look inside: the folder of temporary files is everybody's.
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(|source| {
            let what = store::Error::File { path: path.clone(), source: std::sync::Arc::new(source) };
            Failure::new(what).next("remove it, or name another folder with --data")
        })?;
        Ok(Self { path, kept: false })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it stays.
    pub(super) fn kept(&self) -> bool {
        self.kept
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed is for the system's own clearing up.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
