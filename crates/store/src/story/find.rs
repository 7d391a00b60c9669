//! From an id, whoever gave it, to the clicks that it leads to.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use domain::catalog::Catalog;
use domain::click::{Click, Verdict};
use domain::id::{ClickId, ConversionId, DeliveryId, InboundId, NetworkId, PartnerId};
use serde::Serialize;
use uuid::Uuid;

use super::At;
use crate::click::{self, list};
use crate::inbound::Logged;
use crate::{Error, Tx, conversion, delivery, inbound};

/// The most clicks that are looked at for an id of the partner's.
const LOOKED_AT: i64 = 1_000;

/// The same on a partner's page, which lists fewer.
const LOOKED_AT_FOR_PARTNER: i64 = 200;

/// The most clicks that are listed.
pub const LISTED: usize = 20;

/// What an id is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Our id of a click.
    Click,
    /// Our id of a conversion.
    Conversion,
    /// Our id of a message to a partner: its `webhook-id`.
    Delivery,
    /// Our id of an advertiser's request: the `responseId` of its answer.
    Answer,
    /// A click id that advertisers sent and that is none of ours.
    UnknownClick,
    /// The partner's click id.
    PubClick,
    /// The partner's member id.
    PubMember,
}

impl Kind {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Click => "click_id",
            Self::Conversion => "conversion_id",
            Self::Delivery => "delivery_id",
            Self::Answer => "answer_id",
            Self::UnknownClick => "unknown_click_id",
            Self::PubClick => "pub_click_id",
            Self::PubMember => "pub_member_id",
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What an id leads to.
#[derive(Default)]
pub struct Found {
    /// What it is.
    pub kinds: Vec<Kind>,
    /// The clicks, newest first.
    pub clicks: Vec<Click>,
    /// Whether there are still more.
    pub more: bool,
    /// An advertiser's request that is about no click of ours.
    pub request: Option<Logged>,
}

/// One click in a line.
#[derive(Debug, Serialize)]
pub struct Brief {
    /// When.
    pub at: At,
    /// Our id of it.
    pub id: ClickId,
    /// The network's label.
    pub network: Option<String>,
    /// The offer's slug.
    pub offer: Option<String>,
    /// The partner's slug.
    pub partner: Option<String>,
    /// The partner's click id.
    pub pub_click_id: Option<String>,
    /// The partner's member id.
    pub pub_member_id: Option<String>,
    /// What was decided.
    pub verdict: Verdict,
    /// Where its conversions stand: `Success`, or `Rejected` with the reason behind a colon.
    pub conversions: Vec<String>,
}

/// Whose clicks are looked for; what belongs to anybody else is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Everybody's.
    All,
    /// A network's.
    Network(NetworkId),
    /// A partner's, by the ids that a partner has: not by those of an advertiser's requests.
    Partner(NetworkId, PartnerId),
}

/// Looks an id up wherever it may stand.
pub fn find(tx: &mut Tx<'_>, catalog: &Catalog, asked: &str, whose: Whose) -> Result<Found, Error> {
    let mut search = Search { catalog, whose, found: Found::default(), clicks: BTreeMap::new() };
    // Ids of ours have 36 characters; a partner may well use UUIDs, too.
    if let Ok(id) = asked.parse::<ClickId>() {
        search.ours(tx, id.uuid())?;
    }
    let (by_click_id, by_member_id) = match whose {
        Whose::Partner(network, partner) => {
            let [by_click_id, by_member_id] =
                list::by_pub_ids(tx, network, partner, asked, LOOKED_AT_FOR_PARTNER)?;
            (by_click_id, by_member_id)
        }
        Whose::All | Whose::Network(_) => {
            (click::by_pub_click_id(tx, asked, LOOKED_AT)?, click::by_pub_member_id(tx, asked, LOOKED_AT)?)
        }
    };
    search.take(Kind::PubClick, by_click_id);
    search.take(Kind::PubMember, by_member_id);
    let Search { mut found, clicks, .. } = search;
    found.clicks = clicks.into_values().collect();
    Ok(found)
}

struct Search<'a> {
    catalog: &'a Catalog,
    whose: Whose,
    found: Found,
    clicks: BTreeMap<Reverse<ClickId>, Click>,
}

impl Search<'_> {
    fn ours(&mut self, tx: &mut Tx<'_>, id: Uuid) -> Result<(), Error> {
        let own = click::find(tx, ClickId(id))?;
        self.take(Kind::Click, own);
        if let Some(conversion) = conversion::find(tx, ConversionId(id))? {
            self.of_click(tx, Kind::Conversion, conversion.click)?;
        }
        if let Some(listed) = delivery::find(tx, DeliveryId(id))?
            && let Some(conversion) = conversion::find(tx, listed.conversion)?
        {
            self.of_click(tx, Kind::Delivery, conversion.click)?;
        }
        if matches!(self.whose, Whose::Partner(..)) {
            return Ok(());
        }
        if let Some(request) = inbound::find(tx, InboundId(id))? {
            match request.click.map(|click| click::find(tx, click)).transpose()?.flatten() {
                Some(click) => self.take(Kind::Answer, Some(click)),
                None => self.request(Kind::Answer, Some(request)),
            }
        }
        if self.found.kinds.is_empty() {
            let requests = inbound::by_click(tx, ClickId(id), 1)?;
            self.request(Kind::UnknownClick, requests.into_iter().next());
        }
        Ok(())
    }

    fn of_click(&mut self, tx: &mut Tx<'_>, kind: Kind, id: ClickId) -> Result<(), Error> {
        let own = click::find(tx, id)?;
        self.take(kind, own);
        Ok(())
    }

    fn take(&mut self, kind: Kind, clicks: impl IntoIterator<Item = Click>) {
        let mut seen = 0;
        for click in clicks {
            seen += 1;
            if !self.is_theirs(&click) {
                continue;
            }
            if !self.found.kinds.contains(&kind) {
                self.found.kinds.push(kind);
            }
            self.clicks.insert(Reverse(click.id), click);
        }
        let most = match self.whose {
            Whose::Partner(..) => LOOKED_AT_FOR_PARTNER,
            Whose::All | Whose::Network(_) => LOOKED_AT,
        };
        self.found.more |= seen >= most;
    }

    fn is_theirs(&self, click: &Click) -> bool {
        let link = self.catalog.links.get(&click.link);
        match self.whose {
            Whose::All => true,
            Whose::Network(network) => link.is_some_and(|link| link.offer.network.id == network),
            Whose::Partner(network, partner) => {
                link.is_some_and(|link| link.offer.network.id == network && link.partner.id == partner)
            }
        }
    }

    fn request(&mut self, kind: Kind, request: Option<Logged>) {
        let Some(request) = request else { return };
        let theirs = match self.whose {
            Whose::All => true,
            Whose::Network(network) => request.network == Some(network),
            Whose::Partner(..) => false,
        };
        if theirs {
            self.found.kinds.push(kind);
            self.found.request = Some(request);
        }
    }
}

/// A click in a line.
pub fn brief(tx: &mut Tx<'_>, catalog: &Catalog, click: &Click) -> Result<Brief, Error> {
    let link = catalog.links.get(&click.link);
    let status = |own: &domain::conversion::Conversion| match own.reason {
        Some(reason) => format!("{}:{reason}", own.status),
        None => own.status.to_string(),
    };
    Ok(Brief {
        at: At(click.id.at()),
        id: click.id,
        network: link.map(|link| link.offer.network.label.clone()),
        offer: link.map(|link| link.offer.slug.clone()),
        partner: link.map(|link| link.partner.slug.clone()),
        pub_click_id: click.pub_click_id.clone(),
        pub_member_id: click.pub_member_id.clone(),
        verdict: click.verdict,
        conversions: conversion::by_click(tx, click.id)?.iter().map(status).collect(),
    })
}
