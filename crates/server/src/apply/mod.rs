//! `pitlane apply`: makes what is stored like what a file declares, all of it or nothing.
//!
//! A run reads the file ([`declaration`]), compares it with what is stored ([`plan`], a pure function), and writes the
//! difference in one transaction ([`mod@write`]) if the catalog is still as it was read. What the file does not name
//! stays.

mod advertiser;
mod cap;
mod change;
mod command;
mod declaration;
pub(crate) mod drafted;
mod fault;
mod fields;
mod link;
mod network;
mod offer;
mod partner;
pub(crate) mod plan;
mod postback;
mod report;
mod rules;
mod secret;
mod sequence;
mod stored;
mod targeting;
mod terms;
mod user;
mod value;
mod write;

use std::sync::Arc;

use domain::ambient::Ambient;
use serde_json::json;
use store::Db;
use toml::de::DeTable;

pub(crate) use self::command::Command;
pub(crate) use self::fault::Fault;
pub(crate) use self::report::Report;
pub(crate) use self::secret::Whose;

use self::declaration::Noun;
use self::fault::Faults;
use self::plan::{Plan, Wish};
use self::stored::Stored;

/// The longest file that the command takes, in bytes.
const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;

/// How often a run begins anew when somebody else changes the catalog meanwhile.
const ATTEMPTS: usize = 50;

/// How to run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Compare and report, write nothing.
    pub(crate) dry_run: bool,
    /// What stands before the paths of the addresses in the report, for instance `https://api.{network}.example.com`;
    /// `{network}` becomes the network's label.
    pub(crate) public_url: String,
    /// They get a new secret: a partner or an advertiser that signs a signing secret, with the one before it still
    /// valid; an advertiser one more postback token; a user another set-up token.
    pub(crate) new_secrets: Vec<Whose>,
    /// They lose every secret but the newest, and every token but the newest and those that the file names.
    pub(crate) end_old_secrets: Vec<Whose>,
    /// Nothing tells the country of an address, so offers that ask for it are warned about.
    pub(crate) places_unknown: bool,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The file is wrong; the text has a line for each fault.
    #[error("{}", text_of(.file, .faults, *.more))]
    Wrong {
        /// The file's name.
        file: String,
        /// What is wrong, in the order of the file.
        faults: Vec<Fault>,
        /// How many more there are.
        more: usize,
    },
    /// An owner of secrets is not in the file, or not clearly one.
    #[error("{whose}: {why}")]
    Owner {
        /// As it was given.
        whose: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Somebody else changed the catalog each time.
    #[error("somebody else keeps changing the network; try again")]
    Overtaken,
    /// The database could not be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Failure {
    /// For programs: one JSON object.
    pub(crate) fn to_json(&self) -> String {
        let errors = match self {
            Self::Wrong { file, faults, .. } => faults
                .iter()
                .map(|Fault { line, column, message }| {
                    json!({ "file": file, "line": line, "column": column, "message": message })
                })
                .collect(),
            other => vec![json!({ "message": other.to_string() })],
        };
        let more = if let Self::Wrong { more, .. } = self { *more } else { 0 };
        format!("{:#}\n", json!({ "errors": errors, "more_errors": more }))
    }
}

fn text_of(file: &str, faults: &[Fault], more: usize) -> String {
    let line = |Fault { line, column, message }: &Fault| format!("{file}:{line}:{column}: {message}");
    let mut lines = vec!["nothing was changed, because the file is wrong".to_owned()];
    lines.extend(faults.iter().map(line));
    if more > 0 {
        lines.push(format!("… and {more} more"));
    }
    lines.join("\n")
}

/// Makes what is stored like what `text` declares. `file_name` stands before each fault's line and column.
///
/// A [`Failure`] means that nothing was written, but for [`store::Error::Unknown`], after which the next run tells.
pub(crate) async fn run(
    db: &Db,
    ambient: Ambient,
    text: &str,
    file_name: &str,
    options: &Options,
) -> Result<Report, Failure> {
    for _ in 0..ATTEMPTS {
        let stored = db.read(Stored::load).await?;
        let (plan, mut report) = draft(text, file_name, &stored, ambient, options)?;
        if options.dry_run || plan.effective().next().is_none() {
            return Ok(report);
        }
        let plan = Arc::new(plan);
        if let Some(version) = db.write(move |tx| write::write(tx, &plan, ambient)).await? {
            report.catalog_version = version;
            return Ok(report);
        }
    }
    Err(Failure::Overtaken)
}

/// Reads the file and plans the run; pure.
fn draft(
    text: &str,
    file_name: &str,
    stored: &Stored,
    ambient: Ambient,
    options: &Options,
) -> Result<(Plan, Report), Failure> {
    let faults = Faults::new(text);
    let wrong = |faults: Faults<'_>| {
        let (faults, more) = faults.into_faults();
        Failure::Wrong { file: file_name.to_owned(), faults, more }
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        faults.fault(error.span().map_or(0, |span| span.start), error.message());
    }
    if !faults.none() {
        return Err(wrong(faults));
    }
    let declaration = declaration::read(&faults, table.get_ref());
    let wish = Wish {
        new_secrets: &options.new_secrets,
        end_old_secrets: &options.end_old_secrets,
        dry_run: options.dry_run,
        places_unknown: options.places_unknown,
    };
    let plan = plan::plan(declaration, stored, &faults, ambient, wish);
    if !faults.none() {
        return Err(wrong(faults));
    }
    check_owners(&plan, options)?;
    let report = Report::new(&plan, file_name, &options.public_url, options.dry_run, faults.into_warnings());
    Ok((plan, report))
}

/// A secret is renewed or ended only for exactly one thing that the file names.
fn check_owners(plan: &Plan, options: &Options) -> Result<(), Failure> {
    let owner = |whose: &Whose, ends: bool| {
        let meant = |step: &&plan::Step| whose.means((step.noun, &step.network.label, &step.name));
        let mut steps = plan.steps.iter().filter(meant);
        let why = match (steps.next(), steps.next()) {
            (None, _) => "the file declares no such thing",
            (Some(_), Some(_)) => {
                "several networks have one; put the network's label before the name, \
                                   like partner/LABEL/SLUG"
            }
            (Some(step), None) if ends && step.noun == Noun::User => "a user has no older secret to end",
            (Some(_), None) => return Ok(()),
        };
        Err(Failure::Owner { whose: whose.to_string(), why })
    };
    options.new_secrets.iter().try_for_each(|whose| owner(whose, false))?;
    options.end_old_secrets.iter().try_for_each(|whose| owner(whose, true))
}

#[cfg(test)]
mod tests;
