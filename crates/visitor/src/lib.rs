//! Who a visitor is: where an address is, what a user agent says. Knows nothing of SQL, HTTP or links.

use std::net::IpAddr;
use std::sync::Arc;

use domain::visitor::{Agent, Whereabouts};

/// Looks visitors up.
#[derive(Debug, Default)]
pub struct Lookup;

impl Lookup {
    /// Where an address is.
    pub fn whereabouts(&self, _address: IpAddr) -> Whereabouts {
        Whereabouts::default()
    }

    /// What a user agent says.
    pub fn agent(&self, _user_agent: &str) -> Arc<Agent> {
        Arc::default()
    }

    /// Whether the visitor is a bot.
    pub fn is_bot(&self, _address: IpAddr, agent: &Agent) -> bool {
        agent.bot
    }
}
