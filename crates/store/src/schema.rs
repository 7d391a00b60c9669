//! The schema's history and the register of every statement.

use crate::{MigrationText, Statement};
use crate::{
    advertiser, audit, catalog, click, conversion, delivery, inbound, link, network, offer, partner,
};
use crate::{offer_change, postback, tally, user};

/// Every migration, in order. One text for both engines.
pub static MIGRATIONS: &[MigrationText] = &[
    MigrationText { name: "V1__network", sql: include_str!("../migrations/V1__network.sql") },
    MigrationText { name: "V2__traffic", sql: include_str!("../migrations/V2__traffic.sql") },
    MigrationText { name: "V3__rules", sql: include_str!("../migrations/V3__rules.sql") },
];

/// Every statement that the store can run, so that a test can prepare each on each engine.
pub fn statements() -> Vec<&'static Statement> {
    [
        advertiser::ALL,
        audit::ALL,
        catalog::ALL,
        click::ALL,
        conversion::ALL,
        delivery::ALL,
        delivery::SHOWN,
        inbound::ALL,
        link::ALL,
        network::ALL,
        offer::ALL,
        offer_change::ALL,
        partner::ALL,
        postback::ALL,
        tally::ALL,
        user::ALL,
    ]
    .concat()
}
