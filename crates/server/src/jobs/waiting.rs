//! Ends the waiting of pending conversions: the pending time is over, or the event before never came.

use std::time::Instant;

use domain::conversion::Status;
use domain::id::ConversionId;
use store::{Error, waiting};
use tokio::task::JoinSet;

use super::{Ctx, Report};

/// Conversions that are looked up at once.
const PAGE: i64 = 200;

/// Conversions that are ended at once, each in a transaction of its own; on SQLite they share a commit.
const AT_ONCE: usize = 16;

pub(super) async fn run(ctx: &Ctx) -> Result<Report, Error> {
    let mut report = Report::default();
    loop {
        let began = Instant::now();
        let now = ctx.ambient.now();
        let due = ctx.db.read(move |tx| waiting::due(tx, now, PAGE)).await?;
        let full = i64::try_from(due.len()) == Ok(PAGE);
        let mut ended = 0;
        for some in due.chunks(AT_ONCE) {
            ended += end(ctx, some, &mut report).await?;
        }
        if !full || ended == 0 {
            return Ok(report);
        }
        if !ctx.rest(began).await {
            return Ok(Report { more: true, ..report });
        }
    }
}

/// Ends some at once. Returns how many did end.
async fn end(ctx: &Ctx, some: &[ConversionId], report: &mut Report) -> Result<usize, Error> {
    let mut under_way = JoinSet::new();
    for id in some.iter().copied() {
        let (db, ambient, catalog) = (ctx.db.clone(), ctx.ambient, ctx.live.catalog.load_full());
        under_way
            .spawn(async move { db.write(move |tx| waiting::pass_time(tx, &catalog, ambient, id)).await });
    }
    let mut ended = 0;
    while let Some(done) = under_way.join_next().await {
        match done {
            Ok(Ok(Some(status))) => {
                ended += 1;
                report.add(name(status), 1);
            }
            // Somebody else ended it, or its offer is not known here yet: the next run looks again.
            Ok(Ok(None) | Err(Error::Stale)) => {}
            Ok(Err(error)) => return Err(error),
            Err(error) => tracing::error!(%error, "a conversion's end of waiting ended by itself"),
        }
    }
    if ended > 0 {
        ctx.bell.ring();
    }
    Ok(ended)
}

fn name(status: Status) -> &'static str {
    match status {
        Status::Pending => "pending",
        Status::Success => "approved",
        Status::Rejected => "rejected",
    }
}
