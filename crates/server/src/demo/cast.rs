//! The simulated advertiser and partners: listeners of their own on free ports of this machine.

use std::net::SocketAddr;

use domain::offer::{ConversionKind, Offer, Results};
use simulator::advertiser::{self, Advertiser, Event, Kind};
use simulator::partner::{self, Link, Partner};
use store::{Db, Tx};
use tokio::net::TcpListener;

use super::declare::Declared;
use crate::failure::Failure;

/// The advertiser's slug, and its host in the demo's files.
const ADVERTISER: &str = "northwind";

/// The partners: slug, name, and the members that their pages show, who are nobody in the history.
pub(super) const PARTNERS: [(&str, &str, &[&str]); 2] = [
    ("pocketpoints", "PocketPoints", &["m-10482", "m-10517", "m-10533", "m-10608", "m-10664", "m-10729"]),
    ("daily-quests", "Daily Quests", &["dq-7f3a91", "dq-7f3b04", "dq-7f40c2", "dq-7f41d8", "dq-7f52aa"]),
];

/// The listeners, before anybody answers on them.
pub(super) struct Cast {
    advertiser: TcpListener,
    partners: Vec<TcpListener>,
}

/// The simulators as they run. They stop when this is dropped.
pub(super) struct Playing {
    pub(super) advertiser: Advertiser,
    /// In the order of [`PARTNERS`].
    pub(super) partners: Vec<Partner>,
    /// The first partner's first tracking link, without parameters.
    pub(super) link: String,
}

impl Cast {
    /// Takes free ports.
    pub(super) async fn bind() -> Result<Self, Failure> {
        let mut partners = Vec::new();
        for _ in PARTNERS {
            partners.push(listener().await?);
        }
        Ok(Self { advertiser: listener().await?, partners })
    }

    /// The partners' addresses as `delivery_allow` takes them: private, so opened one by one.
    pub(super) fn allowed(&self) -> String {
        let rules =
            self.partners.iter().filter_map(address).map(|at| format!("{}/32:{}", at.ip(), at.port()));
        rules.collect::<Vec<_>>().join(",")
    }

    /// A file with the listeners' addresses instead of the `.invalid` hosts.
    pub(super) fn place(&self, file: &str) -> String {
        let hosts = PARTNERS.iter().map(|(slug, ..)| *slug).zip(&self.partners);
        hosts.chain([(ADVERTISER, &self.advertiser)]).fold(file.to_owned(), |file, (slug, listener)| {
            let at = address(listener).map(|at| at.to_string()).unwrap_or_default();
            file.replace(&format!("{slug}.invalid"), &at)
        })
    }

    /// Begins to answer. `base` is where the server is.
    pub(super) async fn start(self, db: &Db, declared: &Declared, base: &str) -> Result<Playing, Failure> {
        let offers = db.read(offers).await.map_err(Failure::new)?;
        let mut partners = Vec::new();
        for (listener, (slug, name, members)) in self.partners.into_iter().zip(PARTNERS) {
            let title =
                |slug| offers.iter().find(|offer| offer.slug == slug).map(|offer| offer.title.clone());
            let links = declared
                .links(slug)
                .into_iter()
                .filter_map(|(offer, url)| Some(Link { offer_title: title(offer)?, url: url.to_owned() }));
            let settings = partner::Settings {
                name: name.to_owned(),
                links: links.collect(),
                secrets: vec![declared.secret("partner", slug, "signing_secret")?],
                users: members.iter().map(|member| (*member).to_owned()).collect(),
                ..partner::Settings::default()
            };
            partners.push(Partner::start(listener, settings).map_err(Failure::new)?);
        }
        let settings = advertiser::Settings {
            name: "Northwind".to_owned(),
            postback_base: format!("{base}/postback"),
            token: declared.secret("advertiser", ADVERTISER, "postback_token")?,
            offers,
        };
        let advertiser = Advertiser::start(self.advertiser, settings).map_err(Failure::new)?;
        let first = declared.links(PARTNERS[0].0).first().map(|(_, url)| (*url).to_owned());
        Ok(Playing { advertiser, partners, link: super::known(first, "link")? })
    }
}

async fn listener() -> Result<TcpListener, Failure> {
    TcpListener::bind("127.0.0.1:0").await.map_err(Failure::new)
}

fn address(listener: &TcpListener) -> Option<SocketAddr> {
    listener.local_addr().ok()
}

/// The offers as their landing pages show them, in the order of their slugs.
fn offers(tx: &mut Tx<'_>) -> Result<Vec<advertiser::Offer>, store::Error> {
    let catalog = store::catalog::load(tx)?;
    let texts = store::offer::texts(tx)?;
    let mut offers: Vec<_> = catalog
        .offers
        .values()
        .map(|offer| landing(offer, texts.get(&offer.id).map_or("", |texts| &texts.headline)))
        .collect();
    offers.sort_by(|a, b| a.slug.cmp(&b.slug));
    Ok(offers)
}

fn landing(offer: &Offer, headline: &str) -> advertiser::Offer {
    let events = match &offer.results {
        Results::Single(_) => &[][..],
        Results::Multi(events) => events,
    };
    let event = |own: &domain::offer::Event| Event { event_id: own.code.clone(), name: own.name.clone() };
    advertiser::Offer {
        slug: offer.slug.clone(),
        title: offer.name.clone(),
        blurb: headline.to_owned(),
        kind: match offer.conversion_kind {
            ConversionKind::FlatRate => Kind::FlatRate,
            ConversionKind::RevShare => Kind::RevShare,
        },
        currency: offer.currency.to_string(),
        events: events.iter().map(event).collect(),
    }
}
