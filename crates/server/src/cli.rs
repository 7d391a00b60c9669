//! The commands and their arguments.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::api_token::TokenCommand;
use crate::config::{self, DatabaseUrl, Effective, Folder, Layer};
use crate::conversion::ConversionCommand;
use crate::failure::Failure;
use crate::outbox::{DeliveryCommand, PostbackCommand};
use crate::replay::OfferCommand;
use crate::user::UserCommand;
use crate::{apply, audit, backup, demo, erase, health, jobs, link_check, report, serve, test_mode, why};

/// What every `--help` ends with.
const AFTER_HELP: &str = "\
Every flag that sets something is also an environment variable (--log-level is PITLANE_LOG_LEVEL) and a key of the
configuration file (log_level); the flag counts more than the variable, the variable more than the file.

Exit codes: 0 done, 1 failed, 2 the arguments or settings cannot be used.";

/// The tracking system and portals of an offer network, in one binary.
#[derive(Debug, Parser)]
#[command(name = "pitlane", version, about, after_help = AFTER_HELP, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve tracking links, postbacks and health until SIGTERM or SIGINT
    Serve(Box<Everything>),
    /// Run a network that has a past, an advertiser and partners, to look around in
    Demo(demo::Command),
    /// Declare networks, offers, partners, links and the rest by a file; run it again after each change of the file
    Apply(apply::Command),
    /// Write the whole database into a new file, while servers go on
    Backup(OneFile),
    /// Fill an empty database from a backup, of either engine into either engine
    Restore(OneFile),
    /// Tell the whole story of a click, conversion, delivery, partner's click or member
    Why(why::Command),
    /// Try tracking links
    #[command(subcommand)]
    Link(LinkCommand),
    /// Try rules of offers
    #[command(subcommand)]
    Offer(OfferCommand),
    /// Manage the tokens of the JSON API
    #[command(subcommand)]
    Token(TokenCommand),
    /// Manage who logs in
    #[command(subcommand)]
    User(UserCommand),
    /// Show clicks, conversions and money, by day, partner, country and the rest
    Report(report::Command),
    /// Count everything again from the raw rows and compare it with what is stored
    Audit(audit::Command),
    /// Change the status of conversions, and record what no postback reported
    #[command(subcommand)]
    Conversion(ConversionCommand),
    /// Look at what partners are told, and send it again
    #[command(subcommand)]
    Delivery(DeliveryCommand),
    /// Work on partners' postbacks
    #[command(subcommand)]
    Postback(PostbackCommand),
    /// Show what the servers do by themselves, and how it went
    Jobs(jobs::Command),
    /// Remove a person from the record; totals stay
    Erase(erase::Command),
    /// Show what the settings are and where they come from
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum LinkCommand {
    /// Explain what the server would do with a tracking link, and why; records nothing
    Check(link_check::Command),
    /// Tell how a link, or every link of a partner, is set up, from what its clicks carry
    Health(health::Command),
    /// Make a link whose clicks are tests: everything runs, nothing is counted
    Test(test_mode::Command),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check every setting and show what counts and where it came from, secrets masked
    Check(Box<Everything>),
    /// Print the default configuration file, which explains every setting
    Default,
}

/// Every setting as a flag.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Everything {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Layer,
}

impl Everything {
    /// The settings that count.
    pub(crate) fn load(self) -> Result<Effective, config::Error> {
        config::load(self.config.as_deref(), self.flags)
    }
}

/// Where an installation is, for commands that need no more.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
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

impl Place {
    /// The settings that count.
    pub(crate) fn load(self) -> Result<Effective, config::Error> {
        let flags = Layer { data: self.data, database: self.database, ..Layer::default() };
        config::load(self.config.as_deref(), flags)
    }
}

/// A database and a file.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
struct OneFile {
    /// The backup
    file: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Serve(settings) => serve::run(&settings.load()?),
        Command::Demo(demo) => demo.run(),
        Command::Apply(apply) => apply.run(),
        Command::Backup(one) => backup::backup(&one.place.load()?, &one.file),
        Command::Restore(one) => backup::restore(&one.place.load()?, &one.file),
        Command::Why(why) => why.run(),
        Command::Link(LinkCommand::Check(check)) => check.run(),
        Command::Link(LinkCommand::Health(health)) => health.run(),
        Command::Report(report) => report.run(),
        Command::Audit(audit) => audit.run(),
        Command::Link(LinkCommand::Test(test)) => test.run(),
        Command::Offer(offer) => offer.run(),
        Command::Token(token) => token.run(),
        Command::User(user) => user.run(),
        Command::Conversion(conversion) => conversion.run(),
        Command::Delivery(delivery) => delivery.run(),
        Command::Jobs(jobs) => jobs.run(),
        Command::Erase(erase) => erase.run(),
        Command::Postback(postback) => postback.run(),
        Command::Config(ConfigCommand::Check(settings)) => say(&check(&settings.load()?)),
        Command::Config(ConfigCommand::Default) => say(config::DEFAULTS),
    }
}

/// Writes to standard output; unlike `print!` it fails when nobody reads.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::new)
}

/// The settings as a table for people.
fn check(effective: &Effective) -> String {
    let keys = effective.shown.iter().map(|shown| shown.key.len()).max().unwrap_or(0);
    let values = effective.shown.iter().map(|shown| shown.value.chars().count()).max().unwrap_or(0);
    let rows = effective.shown.iter().map(|shown| {
        let row = format!("{:keys$}  {:values$}  {}", shown.key, shown.value, shown.origin);
        format!("{}\n", row.trim_end())
    });
    format!(
        "The settings can be used. Database: {}\n\n{}",
        serve::database(effective),
        rows.collect::<String>()
    )
}
