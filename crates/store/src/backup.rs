//! Backup and restore. A backup is one SQLite file with the schema of the moment, whichever engine it came from, so
//! restoring it into the other engine moves an installation.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::db::Target;
use crate::engine;
use crate::error::{Error, Mistake, Refusal};
use crate::migrate::MigrationText;

/// One table and how many of its rows were copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Name of the table.
    pub table: String,
    /// Rows in the copy.
    pub rows: u64,
}

/// Hears of each table and the rows copied so far, every few thousand rows and at the table's end.
pub type Progress<'a> = &'a mut (dyn FnMut(&str, u64) + Send);

/// Writes one consistent state of the database at `target` into the new file `file`. Blocks; servers go on meanwhile.
///
/// The file appears under its name only when it is complete, checked and on the disk. It holds secrets and is
/// readable by its owner only.
pub fn backup(
    target: &Target,
    file: &Path,
    migrations: &[MigrationText],
    progress: Progress<'_>,
) -> Result<Vec<Copied>, Error> {
    let part = Part::new(file)?;
    let copied = engine::dump(target, &part.path, migrations, progress)?;
    seal(&part.path).map_err(|error| Error::file(&part.path, error))?;
    part.keep()?;
    Ok(copied)
}

/// Fills the empty `target` from a backup. Blocks. The next start brings an older schema up to date.
pub fn restore(
    file: &Path,
    target: &Target,
    migrations: &[MigrationText],
    progress: Progress<'_>,
) -> Result<Vec<Copied>, Error> {
    let refuse = |why| Error::from(Refusal::NotABackup { path: file.to_owned(), why: Arc::new(why) });
    match is_sealed(file).map_err(|error| Error::file(file, error))? {
        Some(true) => engine::load(target, file, migrations, progress),
        Some(false) => Err(refuse(Mistake::Damaged("its checksum differs".into()))),
        None => Err(refuse(Mistake::Damaged("it does not end with a checksum".into()))),
    }
}

/// What follows the database in a backup, before its SHA-256. SQLite ignores what is behind the last page, and finds
/// by itself only damage of the structure, not of the rows.
const SEAL: &[u8; 16] = b"pitlane backup 1";

fn seal(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).open(path)?;
    let digest = digest(&mut file)?;
    file.write_all(SEAL)?;
    file.write_all(&digest)
}

/// Whether the checksum at the end is right; none when there is none.
fn is_sealed(path: &Path) -> io::Result<Option<bool>> {
    let mut file = File::open(path)?;
    let mut end = [0; SEAL.len() + 32];
    let Some(bytes) = file.metadata()?.len().checked_sub(end.len() as u64) else { return Ok(None) };
    file.seek(SeekFrom::Start(bytes))?;
    file.read_exact(&mut end)?;
    let (seal, wanted) = end.split_at(SEAL.len());
    if seal != SEAL {
        return Ok(None);
    }
    file.rewind()?;
    Ok(Some(digest(&mut file.take(bytes))? == wanted))
}

fn digest(content: &mut impl Read) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// A file under a passing name, removed unless it is kept.
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    file: PathBuf,
}

impl Part {
    /// Makes the empty file next to `file`, which must not exist.
    pub(crate) fn new(file: &Path) -> Result<Self, Error> {
        if file.exists() {
            return Err(Refusal::FileExists(file.to_owned()).into());
        }
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = file.with_file_name(name);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        made.map_err(|error| Error::file(&path, error))?;
        Ok(Self { path, file: file.to_owned() })
    }

    /// Gives the complete file its name, durably.
    pub(crate) fn keep(self) -> Result<(), Error> {
        let synced = File::open(&self.path).and_then(|part| part.sync_all());
        synced.map_err(|error| Error::file(&self.path, error))?;
        if self.file.exists() {
            return Err(Refusal::FileExists(self.file.clone()).into());
        }
        std::fs::rename(&self.path, &self.file).map_err(|error| Error::file(&self.file, error))?;
        let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Error::file(folder, error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Already gone when it was kept.
        let _ = std::fs::remove_file(&self.path);
    }
}
