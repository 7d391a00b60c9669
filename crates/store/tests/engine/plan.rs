//! What PostgreSQL knows of its tables, which its plans are made by.

use std::time::{Duration, Instant};

use store::Error;

use crate::world::{LOG, World, row};

const MOST: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn postgres_looks_at_a_table_that_grows() {
    let world = World::postgres();
    let db = world.open();
    // It is not to look by itself.
    world.behind("alter table log set (autovacuum_enabled = off)");
    let known =
        || world.look("select greatest(reltuples, 0)::bigint from pg_class where oid = 'log'::regclass");
    let rows: Vec<_> = (0..2_000).map(row).collect();
    db.write(move |tx| -> Result<_, Error> { tx.append(&LOG, &rows) }).await.unwrap();
    let began = Instant::now();
    // The server itself learns within ten seconds what a connection has written.
    while known() < 2_000 {
        assert!(began.elapsed() < MOST, "{} rows are known", known());
        // bounded wait: the minute asserted above ends it
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(known(), 2_000);
}
