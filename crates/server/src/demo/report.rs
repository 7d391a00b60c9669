//! What the advertiser reports of the history's visitors: when, how often, and with which mistakes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use domain::click::Click;
use domain::conversion::Status;
use domain::id::{ClickId, InboundId};
use domain::inbound::{Answer, Credentials, Fields, authenticate};
use domain::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Timestamp};
use rand::RngExt;
use rand::rngs::SmallRng;
use store::inbound::{Received, receive};
use store::{Error, Tx};

use super::campaign::{Campaign, Course};
use super::history::{Setting, past};
use super::visitor::Crowd;

/// Where the advertiser's reports come from, and somebody who pretends to be it.
const ADVERTISER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 17);
const FORGER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);

/// One report.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) click: ClickId,
    pub(super) member: String,
    pub(super) crowd: Crowd,
    forged: bool,
    /// Its parameters beside click id and token, in order.
    parameters: Vec<(&'static str, String)>,
}

/// The reports that are still to come, by their time.
#[derive(Debug, Clone, Default)]
pub(super) struct Outbox {
    due: BTreeMap<(Timestamp, u64), Report>,
    /// Counts the reports, and the orders.
    last: u64,
}

impl Outbox {
    /// The next report before `until`.
    pub(super) fn due(&mut self, until: Timestamp) -> Option<(Timestamp, Report)> {
        let next = self.due.first_entry().filter(|entry| entry.key().0 < until)?;
        let ((at, _), report) = next.remove_entry();
        Some((at, report))
    }

    /// Decides what a visitor who has arrived at the advertiser will do.
    pub(super) fn plan(&mut self, rng: &mut SmallRng, campaign: &Campaign, click: &Click) {
        let report = |parameters: Vec<(&'static str, String)>| Report {
            click: click.id,
            member: click.pub_member_id.clone().unwrap_or_default(),
            crowd: campaign.crowd,
            forged: false,
            parameters,
        };
        let at = click.id.at();
        match campaign.course {
            Course::Once { chance, median_ms, late } if rng.random_bool(chance) => {
                let days_ms = if rng.random_bool(late) { 26 * HOUR_MS } else { 0 };
                let done = at.plus_ms(around(rng, median_ms) + days_ms);
                self.send(rng, done, report(Vec::new()));
            }
            Course::Orders { chance } if rng.random_bool(chance) => {
                let (ordered, order) = (at.plus_ms(around(rng, 15 * MINUTE_MS)), self.order(rng, None));
                self.send(rng, ordered, report(order));
            }
            Course::Steps { chance } if rng.random_bool(chance) => {
                let event = |code: &str| vec![("cnv_event_id", code.to_owned())];
                let installed = at.plus_ms(around(rng, 5 * MINUTE_MS));
                self.send(rng, installed, report(event("install")));
                if rng.random_bool(0.55) {
                    let registered = installed.plus_ms(around(rng, 10 * MINUTE_MS));
                    self.send(rng, registered, report(event("registration")));
                    if rng.random_bool(0.3) {
                        let bought = registered.plus_ms(around(rng, 20 * HOUR_MS));
                        let order = self.order(rng, Some("first-purchase"));
                        self.send(rng, bought, report(order));
                    }
                }
            }
            _ => {}
        }
    }

    /// An order with a number and an amount, now and then written as this shop's other systems write it.
    fn order(&mut self, rng: &mut SmallRng, event: Option<&str>) -> Vec<(&'static str, String)> {
        self.last += 1;
        let (whole, cents) = (rng.random_range(8..=180), rng.random_range(0..100));
        let point = if rng.random_bool(0.02) { ',' } else { '.' };
        let event = event.map(|code| ("cnv_event_id", code.to_owned()));
        let order = [
            ("cnv_amount", format!("{whole}{point}{cents:02}")),
            ("cnv_currency", "USD".to_owned()),
            ("cnv_conversion_id", format!("order-{}", 40_000 + self.last)),
        ];
        event.into_iter().chain(order).collect()
    }

    /// Sends a report, and what follows it in real life: copies, forgeries, and second thoughts.
    fn send(&mut self, rng: &mut SmallRng, at: Timestamp, report: Report) {
        if rng.random_bool(0.012) {
            let before = at.plus_ms(-rng.random_range(1..60) * SECOND_MS).max(report.click.at());
            self.put(before, Report { forged: true, ..report.clone() });
        }
        if rng.random_bool(0.05) {
            self.put(at.plus_ms(rng.random_range(1..90) * SECOND_MS), report.clone());
        }
        if rng.random_bool(0.015) {
            let mut undone = report.clone();
            undone.parameters.push(("cnv_status", "Rejected".to_owned()));
            self.put(at.plus_ms(rng.random_range(DAY_MS..6 * DAY_MS)), undone);
        }
        self.put(at, report);
    }

    fn put(&mut self, at: Timestamp, report: Report) {
        self.last += 1;
        self.due.insert((at, self.last), report);
    }
}

/// A length of time, half of them below and half above `median_ms`, from an eighth to eight times as long.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "days at most")]
fn around(rng: &mut SmallRng, median_ms: i64) -> i64 {
    (median_ms as f64 * 8f64.powf(rng.random_range(-1.0..1.0))) as i64
}

impl Report {
    /// Receives it as the server does. Returns whether it made a conversion that pays.
    pub(super) fn send(&self, tx: &mut Tx<'_>, setting: &Setting, at: Timestamp) -> Result<bool, Error> {
        let address = IpAddr::V4(if self.forged { FORGER } else { ADVERTISER });
        let mut fields = Fields::default();
        let mut target = format!("/postback?gk_click_id={}&token=***", self.click);
        let mut read = fields.add("gk_click_id", &self.click.to_string());
        for (name, value) in &self.parameters {
            read = read.and_then(|()| fields.add(name, value));
            // Writing into a String cannot fail.
            let _ = write!(target, "&{name}={value}");
        }
        let credentials =
            Credentials { token: Some(&setting.token), signature: None, payload: target.as_bytes(), address };
        let received = Received {
            id: InboundId(past().new_id(at)),
            network: Some(setting.network),
            proven: authenticate(&setting.catalog, setting.network, &credentials, at),
            at,
            address,
            method: "GET".to_owned(),
            target,
            body: String::new(),
            postback: read.and_then(|()| fields.read()),
        };
        let outcome = receive(tx, &setting.catalog, past(), &received)?;
        let pays = outcome.conversion.is_some_and(|own| own.status == Status::Success);
        Ok(outcome.answer == Answer::Recorded && pays)
    }
}
