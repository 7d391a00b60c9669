//! The command line of `pitlane apply`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::{Failure as Refused, MAX_FILE_BYTES, Options, Report, Whose, run};
use crate::cli::say;
use crate::config::{self, DatabaseUrl, Effective, Folder, Layer, PublicUrl};
use crate::failure::Failure;
use crate::{clock, serve, visitors, wire};

/// The arguments of `pitlane apply`.
#[derive(Debug, clap::Args)]
pub(crate) struct Command {
    /// What to declare; network.example.toml shows everything that can stand in it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Compare and report, write nothing
    #[arg(long)]
    dry_run: bool,
    /// Report as one JSON object
    #[arg(long)]
    json: bool,
    /// Make a new secret for advertiser/SLUG, partner/SLUG or user/E-MAIL; may be given several times
    #[arg(long = "new-secret", value_name = "WHOSE")]
    new_secrets: Vec<Whose>,
    /// End every secret of advertiser/SLUG or partner/SLUG but the newest; may be given several times
    #[arg(long, value_name = "WHOSE")]
    end_old_secrets: Vec<Whose>,
    /// Address under which the outside world reaches the server, for the links that are printed
    #[arg(long, value_name = "URL")]
    public_url: Option<PublicUrl>,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the SQLite database
    #[arg(long, value_name = "DIR")]
    data: Option<Folder>,
    /// PostgreSQL server to use instead of SQLite
    #[arg(long, value_name = "URL")]
    database: Option<DatabaseUrl>,
}

impl Command {
    /// Runs it: the report goes to standard output, also the one of a wrong file when JSON is asked for.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let flags = Layer {
            data: self.data,
            database: self.database,
            public_url: self.public_url,
            ..Layer::default()
        };
        let effective = config::load(self.config.as_deref(), flags)?;
        let text = read(&self.file)?;
        let options = Options {
            dry_run: self.dry_run,
            public_url: effective.settings.base_url(),
            new_secrets: self.new_secrets,
            end_old_secrets: self.end_old_secrets,
            places_unknown: asks_for_place(&text) && !tells_places(&effective)?,
        };
        match applied(&effective, &text, &self.file.to_string_lossy(), &options)? {
            Ok(report) if self.json => say(&report.to_json().map_err(Failure::new)?),
            Ok(report) => say(&report.to_text()),
            Err(refused) => {
                if self.json {
                    say(&refused.to_json())?;
                }
                Err(failure(refused, &effective))
            }
        }
    }
}

/// Whether a rule may ask for a place; only then it is worth finding out what tells it.
fn asks_for_place(text: &str) -> bool {
    text.contains("\"country\"") || text.contains("\"region\"")
}

fn tells_places(effective: &Effective) -> Result<bool, Failure> {
    let about = visitors::load(&effective.settings)?.about(clock::ambient().now());
    Ok(about.knows_countries())
}

fn applied(
    effective: &Effective,
    text: &str,
    file_name: &str,
    options: &Options,
) -> Result<Result<Report, Refused>, Failure> {
    let db = wire::open(effective)?;
    let runtime = serve::runtime(1)?;
    let report = runtime.block_on(async {
        let report = run(&db, clock::ambient(), text, file_name, options).await;
        db.close().await;
        report
    });
    Ok(report)
}

/// A refused run, as the person at the terminal is told.
pub(super) fn failure(refused: Refused, effective: &Effective) -> Failure {
    match refused {
        Refused::Store(error) => wire::database_failure(error, &effective.target),
        Refused::Overtaken => Failure::new(refused),
        Refused::Wrong { .. } | Refused::Owner { .. } => Failure::usage(refused),
    }
}

/// The text of a file. One that is too long is read no further than is needed to see that.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let unreadable = |error: io::Error| Failure::usage(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let most = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_FILE_BYTES {
        let what = format!("{} is longer than {MAX_FILE_BYTES} bytes", path.display());
        return Err(Failure::usage(what).next("divide it; files can be applied one after the other"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.split(|byte| *byte == b'\n').count();
        Failure::usage(format!("{}:{line}: this line is not UTF-8 text", path.display()))
    })
}
