//! Brings the counts of reports up to what was recorded, and sums them up.

use std::time::Instant;

use store::{Error, report};

use super::{Ctx, Report};

/// Counts that are further behind are brought up in turns with the clicks, which otherwise go first: a report of ten
/// minutes ago helps nobody.
const LATE_MS: i64 = 30_000;

pub(super) async fn run(ctx: &Ctx) -> Result<Report, Error> {
    let mut done = Report::default();
    loop {
        let began = Instant::now();
        let counted = report::count(&ctx.db, &ctx.counting, ctx.ambient.now()).await?;
        done.add("rows", counted.rows);
        if !counted.behind && !report::sum(&ctx.db, ctx.ambient.now()).await? {
            return Ok(done);
        }
        // The steps of counting anew are long, and may take their time.
        let late = !counted.anew && counted.as_of < ctx.ambient.now().plus_ms(-LATE_MS);
        let goes_on = if late { ctx.breathe().await } else { ctx.rest(began).await };
        if !goes_on {
            return Ok(Report { more: true, ..done });
        }
    }
}
