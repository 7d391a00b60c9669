//! `pitlane erase`: removes a person from the record and leaves every total as it is.

use std::sync::Arc;

use domain::catalog::Catalog;
use domain::partner::Partner;
use serde_json::json;
use store::audit::{self, Entry};
use store::erase::{self, Erased, Member};
use store::{Db, Error};

use crate::cli::{Place, say};
use crate::failure::Failure;
use crate::{clock, session, wire};

/// What `pitlane erase` is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Command {
    /// The network's label, where there are several
    #[arg(long, value_name = "LABEL")]
    network: Option<String>,
    /// The slug of the partner whose member it is
    #[arg(long, value_name = "SLUG")]
    partner: String,
    /// The member id, exactly as the partner gives it in `pub_member_id`
    #[arg(long, value_name = "ID")]
    member: String,
    /// Only say how much there is
    #[arg(long)]
    dry_run: bool,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl Command {
    /// Erases the member, or says how much there is of it. Doing it again erases what came since.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let effective = self.place.clone().load()?;
        session::run(&effective, async |db| {
            let failure = |error| wire::database_failure(error, &effective.target);
            let catalog = db.read(store::catalog::load).await.map_err(failure)?;
            let network = session::only_network(&catalog, self.network.as_deref())?;
            let own = |partner: &&Arc<Partner>| partner.network == network.id && partner.slug == self.partner;
            let Some(partner) = catalog.partners.values().find(own) else {
                let error = format!("network {} has no partner `{}`", network.label, self.partner);
                return Err(Failure::usage(error).next("use the slug that the network's file gives it"));
            };
            if self.member.is_empty() || self.member.contains('\0') {
                return Err(Failure::usage("this is no member id"));
            }
            let member = Member { network: network.id, partner: partner.id, id: self.member.clone() };
            let erased = if self.dry_run {
                let counted = member.clone();
                db.read(move |tx| erase::count(tx, &counted)).await.map_err(failure)?
            } else {
                erase_all(db, &Arc::new(catalog), &member, &self.partner).await.map_err(failure)?
            };
            self.tell(erased)
        })
    }

    fn tell(&self, erased: Erased) -> Result<(), Failure> {
        let Erased { clicks, conversions, requests, attempts } = erased;
        if self.json {
            let object = json!({
                "dry_run": self.dry_run, "clicks": clicks, "conversions": conversions, "requests": requests,
                "attempts": attempts,
            });
            return say(&format!("{object}\n"));
        }
        let done = if self.dry_run { "Would be erased" } else { "Erased" };
        say(&format!(
            "{done}: {clicks} clicks, {conversions} conversions, {requests} requests of advertisers, \
             {attempts} attempts to tell the partner. Totals stay as they are.\n"
        ))
    }
}

/// How often a step is tried again when the member's place was taken at the same moment.
const CONFLICTS: usize = 8;

/// Erases in bounded steps, and writes one line into the audit log, which does not say whom.
async fn erase_all(db: &Db, catalog: &Arc<Catalog>, member: &Member, slug: &str) -> Result<Erased, Error> {
    let ambient = clock::ambient();
    let first = member.clone();
    let pseudonym = db.write(move |tx| erase::begin(tx, ambient, &first)).await?;
    let mut total = Erased::default();
    let mut conflicts = 0;
    loop {
        let (catalog, own, name) = (Arc::clone(catalog), member.clone(), pseudonym.clone());
        let step = match db.write(move |tx| erase::step(tx, &catalog, ambient, &own, &name)).await {
            // The member's place was taken at the same moment, or its ids were sorted, which the next try sees.
            Err(Error::Conflict { .. } | Error::Stale) if conflicts < CONFLICTS => {
                conflicts += 1;
                continue;
            }
            step => step?,
        };
        total.add(step);
        if step == Erased::default() {
            break;
        }
    }
    let at = ambient.now();
    let entry = Entry {
        id: ambient.new_id(at),
        network: member.network,
        at,
        actor: "erase".to_owned(),
        subject: format!("partner/{slug}"),
        change: json!({
            "erased": pseudonym, "clicks": total.clicks, "conversions": total.conversions,
            "requests": total.requests, "attempts": total.attempts,
        })
        .to_string(),
    };
    db.write(move |tx| audit::record(tx, &entry)).await?;
    Ok(total)
}
