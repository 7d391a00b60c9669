//! Removes what is older than the settings keep it.

use std::time::Instant;

use domain::time::{DAY_MS, Timestamp};
use store::Error;
use store::retention::{self, Class};

use super::{Ctx, Report};
use crate::config::Settings;

/// How many days what is kept; 0 for ever.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Days {
    clicks: u64,
    addresses: u64,
    inbound: u64,
    deliveries: u64,
}

impl Days {
    /// As the settings have them.
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            clicks: settings.retention_clicks_days.get(),
            addresses: settings.retention_addresses_days.get(),
            inbound: settings.retention_inbound_days.get(),
            deliveries: settings.retention_deliveries_days.get(),
        }
    }

    /// Before when a class is removed; `None`: never.
    fn border(self, class: Class, now: Timestamp) -> Option<Timestamp> {
        let days = match class {
            Class::Clicks => self.clicks,
            Class::ClickAddresses | Class::ConversionAddresses => self.addresses,
            Class::Inbound => self.inbound,
            Class::Deliveries => self.deliveries,
        };
        let kept_ms = i64::try_from(days).ok().filter(|days| *days > 0)? * DAY_MS;
        Some(now.plus_ms(-kept_ms))
    }
}

pub(super) async fn run(ctx: &Ctx) -> Result<Report, Error> {
    let mut report = Report::default();
    let now = ctx.ambient.now();
    for class in Class::ALL {
        let Some(border) = ctx.days.border(class, now) else { continue };
        let border = if class == Class::Clicks { border.min(attributable(ctx, now)) } else { border };
        loop {
            let began = Instant::now();
            let step = ctx.db.write(move |tx| retention::step(tx, class, border, now)).await?;
            report.add(class.code(), step.rows);
            if !ctx.rest(began).await {
                return Ok(Report { more: true, ..report });
            }
            if !step.more {
                break;
            }
        }
    }
    Ok(report)
}

/// Clicks from here on may still convert, by the longest attribution window of all offers: a result that comes in time
/// finds its click, however short the setting.
fn attributable(ctx: &Ctx, now: Timestamp) -> Timestamp {
    let catalog = ctx.live.catalog.load();
    let longest = catalog.offers.values().map(|offer| offer.attribution_window_ms).max();
    now.plus_ms(-longest.unwrap_or(0))
}
