//! `pitlane why ID`: the whole story of a click, in order of time, from the record alone.
//!
//! [`store::story`] finds it; here it is told as a timeline ([`timeline`]) or as JSON.

mod timeline;

use domain::id::{ClickId, NetworkId};
use serde::Serialize;
use store::story::{self, Brief, Found, Kind, LISTED, Story, Whose};
use store::{Db, Tx, retention};

use crate::cli::{Place, say};
use crate::config::Effective;
use crate::failure::Failure;
use crate::{session, wire};

/// What `pitlane why` is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Command {
    /// Our id of a click, conversion, delivery (webhook-id) or answer (responseId); or the partner's of a
    /// click or member
    id: String,
    /// Only what belongs to this network
    #[arg(long, value_name = "LABEL")]
    network: Option<String>,
    /// Write one JSON object, as docs/guide/why.md describes it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// What is known, as `--json` writes it.
#[derive(Debug, Serialize)]
struct Answer {
    /// The id, as it was given.
    asked: String,
    /// The label of the only network that was searched; none: all were.
    network: Option<String>,
    /// As what the id is known.
    found_as: Vec<Kind>,
    /// How many clicks it leads to.
    total: usize,
    /// Whether there are still more, which were not looked at.
    more: bool,
    /// The newest of them.
    clicks: Vec<Brief>,
    /// Everything about the click, when there is exactly one.
    story: Option<Story>,
}

impl Command {
    /// Tells the story, or fails when nothing is known.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let effective = self.place.clone().load()?;
        session::run(&effective, async |db| self.answer(db, &effective).await)
    }

    async fn answer(&self, db: &Db, effective: &Effective) -> Result<(), Failure> {
        let catalog = db.read(store::catalog::load).await;
        let catalog = catalog.map_err(|error| wire::database_failure(error, &effective.target))?;
        let network = self.network.as_deref().map(|label| session::network(&catalog, label)).transpose()?;
        let asked = self.id.clone();
        let only = network.map(|network| network.id);
        let answer = db.read(move |tx| answer(tx, &asked, only)).await;
        let answer = answer.map_err(|error| wire::database_failure(error, &effective.target))?;
        let answer = Answer { network: self.network.clone(), ..answer };
        if self.json {
            say(&format!("{}\n", serde_json::to_string_pretty(&answer).map_err(Failure::new)?))?;
        }
        if answer.found_as.is_empty() {
            let removed = self.removed(db).await;
            let removed = removed.map_err(|error| wire::database_failure(error, &effective.target))?;
            return Err(self.unknown(&removed));
        }
        if self.json { Ok(()) } else { say(&answer.text()) }
    }

    /// What retention has removed of the time in the id, when it is one of ours.
    async fn removed(&self, db: &Db) -> Result<String, store::Error> {
        let ours = self.id.parse::<ClickId>().ok().filter(|id| id.uuid().get_version_num() == 7);
        let Some(made) = ours.map(ClickId::at) else { return Ok(String::new()) };
        let removed = db.read(move |tx| retention::removed(tx, made)).await?;
        let said = removed.iter().map(|(class, border)| {
            format!(
                "; {} from before {} were removed by retention on {}",
                class.code(),
                border.until,
                border.at
            )
        });
        Ok(said.collect())
    }

    fn unknown(&self, removed: &str) -> Failure {
        let ours = if self.id.len() == 36 && self.id.parse::<NetworkId>().is_ok() {
            "click id, conversion id, delivery id, answer id, "
        } else {
            ""
        };
        let place = self.network.as_ref().map_or(String::new(), |label| format!(" in network {label}"));
        let searched = format!("nothing{place} is known of `{}`; searched as {ours}pub_click_id", self.id);
        Failure::new(format!("{searched} and pub_member_id{removed}")).next(
            "copy the id exactly (pub_ ids are case-sensitive), and check with `pitlane config check` that this is \
             the database; a hit on a link that does not exist is only counted",
        )
    }
}

/// Everything in one snapshot of the record.
fn answer(tx: &mut Tx<'_>, asked: &str, network: Option<NetworkId>) -> Result<Answer, store::Error> {
    let catalog = store::catalog::load(tx)?;
    let Found { kinds, clicks, more, request } =
        story::find(tx, &catalog, asked, network.map_or(Whose::All, Whose::Network))?;
    let story = match (clicks.as_slice(), request) {
        ([only], _) => Some(story::of_click(tx, &catalog, only)?),
        ([], Some(request)) => Some(story::without_click(tx, request)?),
        _ => None,
    };
    let briefs = clicks.iter().take(LISTED).map(|click| story::brief(tx, &catalog, click));
    Ok(Answer {
        asked: asked.to_owned(),
        network: None,
        found_as: kinds,
        total: clicks.len(),
        more,
        clicks: briefs.collect::<Result<_, _>>()?,
        story,
    })
}

impl Answer {
    fn text(&self) -> String {
        match &self.story {
            Some(story) => timeline::of(story),
            None => timeline::list(self),
        }
    }
}
