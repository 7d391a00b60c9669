//! `pitlane backup` and `pitlane restore`: one file that holds everything, for either engine.

use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use store::schema::MIGRATIONS;
use store::{Copied, Error, Refusal, Target};

use crate::cli::say;
use crate::config::Effective;
use crate::failure::Failure;
use crate::serve::database;
use crate::session;
use crate::wire::database_failure;

/// Writes the whole database into the new file; servers go on meanwhile.
pub(crate) fn backup(effective: &Effective, file: &Path) -> Result<(), Failure> {
    session::refuse_absent(effective)?;
    let (copied, took) = timed("Backing up", |bar| {
        store::backup(&effective.target, file, MIGRATIONS, &mut |table, rows| show(bar, table, rows))
    });
    let copied = copied.map_err(|error| database_failure(error, &effective.target))?;
    let bytes = std::fs::metadata(file).map_err(Failure::new)?.len();
    let result = Done { rows: rows(&copied), bytes, took };
    say(&format!("{} backed up into {}: {}\n", database(effective), file.display(), result.text()))
}

/// Fills an empty database from a backup.
pub(crate) fn restore(effective: &Effective, file: &Path) -> Result<(), Failure> {
    let bytes = std::fs::metadata(file).map_err(|source| unreadable(file, source))?.len();
    let (copied, took) = timed("Restoring", |bar| {
        store::restore(file, &effective.target, MIGRATIONS, &mut |table, rows| show(bar, table, rows))
    });
    let copied = copied.map_err(|error| not_restored(error, &effective.target))?;
    let result = Done { rows: rows(&copied), bytes, took };
    say(&format!("{} restored from {}: {}\n", database(effective), file.display(), result.text()))
}

fn unreadable(file: &Path, source: std::io::Error) -> Failure {
    Failure::new(Error::File { path: file.to_owned(), source: std::sync::Arc::new(source) })
        .next("name a file that `pitlane backup` made")
}

fn not_restored(error: Error, target: &Target) -> Failure {
    let next = match &error {
        Error::Refused(Refusal::NotABackup { .. }) => {
            "take another backup; this file is damaged or of another kind"
        }
        Error::Refused(Refusal::NotEmpty { .. } | Refusal::FileExists(_)) => {
            "name a new folder with --data, or an empty database with --database"
        }
        _ => return database_failure(error, target),
    };
    Failure::new(error).next(next)
}

/// A line that is drawn again and again on a terminal, and nothing elsewhere.
fn timed<T>(what: &'static str, work: impl FnOnce(&ProgressBar) -> T) -> (T, Duration) {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg}, {elapsed}") {
        bar.set_style(style);
    }
    bar.set_prefix(what);
    bar.enable_steady_tick(Duration::from_millis(100));
    let began = Instant::now();
    let result = work(&bar);
    bar.finish_and_clear();
    (result, began.elapsed())
}

fn show(bar: &ProgressBar, table: &str, rows: u64) {
    bar.set_message(format!("{table}, {rows} rows"));
}

fn rows(copied: &[Copied]) -> u64 {
    copied.iter().map(|table| table.rows).sum()
}

/// What was done, for people.
struct Done {
    rows: u64,
    bytes: u64,
    took: Duration,
}

impl Done {
    fn text(&self) -> String {
        format!("{} rows, {} bytes, {:.1} s", self.rows, self.bytes, self.took.as_secs_f64())
    }
}
