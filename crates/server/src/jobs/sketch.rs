//! Saves what links' recent clicks looked like, for the next start.

use store::{Error, sketch};

use super::{Ctx, Report};

pub(super) async fn run(ctx: &Ctx) -> Result<Report, Error> {
    let saved = sketch::save(&ctx.db, &ctx.live.sketches, ctx.ambient.now()).await?;
    let mut report = Report::default();
    report.add("saved", u64::try_from(saved).unwrap_or(u64::MAX));
    Ok(report)
}
