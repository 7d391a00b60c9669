//! A folder that is gone at the end of its test.

use std::path::{Path, PathBuf};

/// An empty folder of its own, removed with everything in it when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes it, in the system's folder for temporary files.
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("pitlane-test-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).expect("a folder for temporary files");
        Self(path)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path inside it, as text.
    pub fn join(&self, name: &str) -> String {
        self.0.join(name).into_os_string().into_string().expect("a path in UTF-8")
    }

    /// Writes a file into it and returns its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.join(name);
        std::fs::write(&path, text).expect("a writable folder");
        path
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that a test made unwritable or removed itself is no reason to fail.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
