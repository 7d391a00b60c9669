//! A network: the tenant.

use serde::{Deserialize, Serialize};

use crate::id::NetworkId;
use crate::money::Currency;

/// A tenant, as every rule sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its id.
    pub id: NetworkId,
    /// Its lower-case label: the `{network}` of its host names.
    pub label: String,
    /// Its name for people.
    pub name: String,
    /// The currency of offers that name none.
    pub currency: Currency,
    /// IANA zone in which its staff reads reports.
    pub zone: String,
    /// Where visitors go whom an offer cannot take, when the offer has no fallback of its own.
    pub fallback_url: Option<String>,
}
