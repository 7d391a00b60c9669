//! `pitlane user …`: who can log in, and one-time links for those who cannot.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::network::Network;
use domain::secret::SecretHash;
use domain::time::{DAY_MS, Timestamp};
use serde_json::{Value, json};
use store::audit::{self, Entry};
use store::user::{self, Account};
use store::{Db, Tx};

use crate::cli::{Place, say};
use crate::config::Effective;
use crate::failure::Failure;
use crate::terminal::line;
use crate::{clock, session, wire};

/// How long a one-time link works.
const LINK_MS: i64 = 7 * DAY_MS;
/// The longest address that is shown, in characters.
const MOST: usize = 320;

/// `pitlane user …`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum UserCommand {
    /// List who can log in; those who wait for a new link come first
    List(List),
    /// Make a one-time link with which somebody sets a new password; it is shown this once
    Reset(Reset),
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Write one JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Reset {
    /// Whose password
    #[arg(value_name = "E-MAIL")]
    email: String,
    /// Switch their second factor off as well: for those who lost the app and the recovery codes
    #[arg(long)]
    without_second_factor: bool,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whose: Whose,
}

/// Which network.
#[derive(Debug, clap::Args)]
struct Whose {
    /// The network's label, where there are several
    #[arg(long, value_name = "LABEL")]
    network: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl UserCommand {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(),
            Self::Reset(reset) => reset.run(),
        }
    }
}

impl List {
    fn run(self) -> Result<(), Failure> {
        let Self { json, whose } = self;
        let effective = whose.place.clone().load()?;
        let users = session::run(&effective, async |db| {
            let network = network(db, &effective, whose.network.as_deref()).await?;
            let users = db.read(move |tx| user::of_network(tx, network.id)).await;
            users.map_err(|error| wire::database_failure(error, &effective.target))
        })?;
        if json {
            let all: Vec<Value> = users.iter().map(entry).collect();
            return say(&format!("{}\n", serde_json::to_string_pretty(&all).map_err(Failure::new)?));
        }
        let mut text = String::new();
        for account in &users {
            let role = account.user.access.role();
            let team = account.user.access.team().map(|team| format!(" ({team})")).unwrap_or_default();
            let state = match (&account.password, account.forgot) {
                (_, Some(since)) => format!("waits for a new link since {since}"),
                (None, None) => "has no password yet".to_owned(),
                (Some(_), None) => "can log in".to_owned(),
            };
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{}  {role}{team}  {state}", line(&account.user.email, MOST));
        }
        say(if text.is_empty() { "There are no users.\n" } else { &text })
    }
}

impl Reset {
    fn run(self) -> Result<(), Failure> {
        let Self { email, without_second_factor, json, whose } = self;
        let effective = whose.place.clone().load()?;
        let ambient = clock::ambient();
        let token = format!("sut_{}", URL_SAFE_NO_PAD.encode(ambient.random_bytes()));
        let hash = SecretHash::of(&token);
        let email = email.trim().to_lowercase();
        let (network, expires) = session::run(&effective, async |db| {
            let network = network(db, &effective, whose.network.as_deref()).await?;
            let now = ambient.now();
            let expires = now.plus_ms(LINK_MS);
            let change = json!({ "event": "new one-time link", "second_factor_off": without_second_factor });
            let entry = Entry {
                id: ambient.new_id(now),
                network: network.id,
                at: now,
                actor: "pitlane user reset".to_owned(),
                subject: format!("user/{email}"),
                change: change.to_string(),
            };
            let (id, address) = (network.id, email.clone());
            let write = move |tx: &mut Tx<'_>| {
                let Some(account) = user::by_email(tx, id, &address)? else { return Ok(false) };
                user::invite(tx, account.user.id, hash, expires)?;
                if without_second_factor {
                    user::end_totp(tx, account.user.id)?;
                }
                audit::record(tx, &entry).map(|()| true)
            };
            let made = db.write(write).await;
            if made.map_err(|error| wire::database_failure(error, &effective.target))? {
                return Ok((network, expires));
            }
            let wrong = format!("network {} has no user {}", network.label, line(&email, MOST));
            Err(Failure::usage(wrong).next("`pitlane user list` shows all of them"))
        })?;
        let base = effective.settings.base_url().trim_end_matches('/').replace("{network}", &network.label);
        let link = format!("{base}/reset/{token}");
        if json {
            return say(&format!("{}\n", json!({ "link": link, "expires": expires.to_string() })));
        }
        say(&told(&link, &email, expires))
    }
}

fn told(link: &str, email: &str, expires: Timestamp) -> String {
    format!(
        "{link}\n\nWhoever follows it sets the password of {}, once and before {expires}.\n\
         It is shown this once; their old password works until then.\n",
        line(email, MOST)
    )
}

async fn network(
    db: &Db,
    effective: &Effective,
    label: Option<&str>,
) -> Result<std::sync::Arc<Network>, Failure> {
    let catalog = db.read(store::catalog::load).await;
    let catalog = catalog.map_err(|error| wire::database_failure(error, &effective.target))?;
    session::only_network(&catalog, label)
}

fn entry(account: &Account) -> Value {
    json!({
        "email": account.user.email,
        "role": account.user.access.role(),
        "team_role": account.user.access.team(),
        "has_password": account.password.is_some(),
        "second_factor": account.totp.is_some(),
        "waits_since": account.forgot.map(|at| at.to_string()),
    })
}
