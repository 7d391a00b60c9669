//! Brings the counts of reports up to what was recorded, and sums them up.

use std::sync::Arc;
use std::time::Instant;

use store::report::Owners;
use store::{Error, report};

use super::{Ctx, Report};

pub(super) async fn run(ctx: &Ctx) -> Result<Report, Error> {
    let (mut done, owners) = (Report::default(), Arc::<Owners>::default());
    loop {
        let began = Instant::now();
        let counted = report::count(&ctx.db, &owners, ctx.ambient.now()).await?;
        done.add("rows", counted.rows);
        if !counted.behind && !report::sum(&ctx.db, ctx.ambient.now()).await? {
            return Ok(done);
        }
        if !ctx.rest(began).await {
            return Ok(Report { more: true, ..done });
        }
    }
}
