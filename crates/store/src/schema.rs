//! The schema's history and the register of every statement.

use crate::{MigrationText, Statement, health, report};
use crate::{
    activity, advertiser, api_token, audit, catalog, click, conversion, delivery, inbound, link, network,
    offer, partner,
};
use crate::{erase, job, link_copy, retention, saved_view, text};
use crate::{offer_change, postback, replay, ruling, session, sketch, tally, test_mode, upload, user};

/// Every migration, in order. One text for both engines.
pub static MIGRATIONS: &[MigrationText] = &[
    MigrationText { name: "V1__network", sql: include_str!("../migrations/V1__network.sql") },
    MigrationText { name: "V2__traffic", sql: include_str!("../migrations/V2__traffic.sql") },
    MigrationText { name: "V3__rules", sql: include_str!("../migrations/V3__rules.sql") },
    MigrationText { name: "V4__report", sql: include_str!("../migrations/V4__report.sql") },
    MigrationText { name: "V5__retention", sql: include_str!("../migrations/V5__retention.sql") },
    MigrationText { name: "V6__upload", sql: include_str!("../migrations/V6__upload.sql") },
    MigrationText { name: "V7__api_token", sql: include_str!("../migrations/V7__api_token.sql") },
    MigrationText { name: "V8__sketch", sql: include_str!("../migrations/V8__sketch.sql") },
    MigrationText { name: "V9__account", sql: include_str!("../migrations/V9__account.sql") },
    MigrationText { name: "V10__offer_page", sql: include_str!("../migrations/V10__offer_page.sql") },
    MigrationText { name: "V11__partner_list", sql: include_str!("../migrations/V11__partner_list.sql") },
    MigrationText { name: "V12__delivery_log", sql: include_str!("../migrations/V12__delivery_log.sql") },
    MigrationText { name: "V13__click_key", sql: include_str!("../migrations/V13__click_key.sql") },
    MigrationText { name: "V14__click_text", sql: include_str!("../migrations/V14__click_text.sql") },
    MigrationText { name: "V15__count_sum", sql: include_str!("../migrations/V15__count_sum.sql") },
    MigrationText { name: "V16__portal", sql: include_str!("../migrations/V16__portal.sql") },
    MigrationText { name: "V17__cost", sql: include_str!("../migrations/V17__cost.sql") },
    MigrationText { name: "V18__arrival_note", sql: include_str!("../migrations/V18__arrival_note.sql") },
    MigrationText {
        name: "V19__click_key_unsorted",
        sql: include_str!("../migrations/V19__click_key_unsorted.sql"),
    },
    MigrationText { name: "V20__click_gathered", sql: include_str!("../migrations/V20__click_gathered.sql") },
    MigrationText { name: "V21__arrival_plain", sql: include_str!("../migrations/V21__arrival_plain.sql") },
];

/// Every statement that the store can run, so that a test can prepare each on each engine.
pub fn statements() -> Vec<&'static Statement> {
    [
        activity::ALL,
        advertiser::ALL,
        api_token::ALL,
        audit::ALL,
        catalog::ALL,
        click::ALL,
        click::key::ALL,
        click::list::ALL,
        conversion::ALL,
        conversion::list::ALL,
        delivery::ALL,
        delivery::SHOWN,
        delivery::LOGGED,
        delivery::CLAIMED,
        delivery::TOLD,
        delivery::ATTEMPTED,
        erase::ALL,
        health::ALL,
        inbound::ALL,
        job::ALL,
        link::ALL,
        link_copy::ALL,
        network::ALL,
        offer::ALL,
        offer_change::ALL,
        partner::ALL,
        postback::ALL,
        retention::ALL,
        ruling::ALL,
        saved_view::ALL,
        session::ALL,
        sketch::ALL,
        report::ARRIVALS,
        report::AUDITED,
        report::SUMS_AUDITED,
        report::COUNTED,
        report::READ,
        report::GATHERED,
        report::OWNED,
        report::ADDED,
        report::STATED,
        report::RECOUNTED,
        report::SCANNED,
        report::FIGURES,
        report::SUMMED,
        replay::ALL,
        tally::ALL,
        test_mode::ALL,
        text::ALL,
        upload::ALL,
        user::ALL,
    ]
    .concat()
}
