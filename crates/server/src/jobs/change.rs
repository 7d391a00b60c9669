//! Writes to the audit log which planned changes of offers took effect. They take effect without it.

use std::time::Instant;

use store::{Error, offer_change};

use super::{Ctx, Report};

pub(super) async fn run(ctx: &Ctx) -> Result<Report, Error> {
    let mut report = Report::default();
    loop {
        let began = Instant::now();
        let told = offer_change::effect(&ctx.db, ctx.ambient.now()).await?;
        if told == 0 {
            return Ok(report);
        }
        report.add("told", u64::try_from(told).unwrap_or(u64::MAX));
        if !ctx.rest(began).await {
            return Ok(Report { more: true, ..report });
        }
    }
}
