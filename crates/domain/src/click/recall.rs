//! A recorded click as the hit that it was, so that rules can decide over it again.

use std::net::{IpAddr, Ipv4Addr};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Click, Marks};
use crate::link::Link;
use crate::time::Timestamp;
use crate::visit::{Param, Visit};
use crate::visitor::{Agent, Visitor, Whereabouts};

/// What a click's record tells of its visitor. Nothing is looked up anew: what was not known then is not known now.
#[derive(Debug, Clone)]
pub struct Recalled {
    /// The query that gives the click's parameters again. One that could not be read was not kept.
    pub query: String,
    address: IpAddr,
    whereabouts: Whereabouts,
    agent: Agent,
    languages: String,
    at: Timestamp,
}

impl Recalled {
    /// The visitor of a click.
    pub fn of(click: &Click) -> Self {
        let facts = &click.facts;
        Self {
            query: query(click),
            address: facts.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            whereabouts: Whereabouts { country: facts.country, region: facts.region.clone() },
            agent: Agent {
                device: facts.device,
                os: facts.os.clone(),
                browser: facts.browser.clone(),
                bot: click.marks.has(Marks::BOT),
            },
            languages: facts.languages.clone(),
            at: click.id.at(),
        }
    }

    /// The visitor as targeting sees one on this link, with the query already read.
    pub fn visitor<'a>(&'a self, visit: &'a Visit<'a>, link: &Link) -> Visitor<'a> {
        Visitor {
            visit,
            address: self.address,
            whereabouts: &self.whereabouts,
            agent: &self.agent,
            languages: &self.languages,
            now: self.at,
            trusts_partner: link.offer.rules.trusts_partner_place,
        }
    }
}

fn query(click: &Click) -> String {
    let ids = [(Param::ClickId, &click.pub_click_id), (Param::MemberId, &click.pub_member_id)];
    let ids = ids.into_iter().filter_map(|(param, value)| value.as_ref().map(|value| (param, value)));
    let others = click.facts.parameters.iter().map(|(param, value)| (*param, value));
    let pair = |(param, value): (Param, &String)| {
        format!("{param}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))
    };
    ids.chain(others).map(pair).collect::<Vec<_>>().join("&")
}
