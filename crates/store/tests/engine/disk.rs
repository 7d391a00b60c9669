//! Disks that are full, fail or lie.

use store::{Error, Options, Statement};

use crate::world::{EMPTY, World, bump, hits, logged, row};

static FILL: Statement = Statement::new(
    "test.fill",
    "with recursive n (i) as (select 1 union all select i + 1 from n where i < 100)
     insert into log (id, seq, sub) select randomblob(16), i, hex(randomblob(200)) from n",
);

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_everybody_and_recovers() {
    let world = World::sqlite();
    let db = world.open_with(&Options { max_pages: Some(100), ..Options::default() });
    let full = loop {
        if let Err(error) = db.write(|tx| tx.execute(&FILL, &[])).await {
            break error;
        }
    };
    assert!(matches!(full, Error::Full(_)) && full.retryable());
    assert!(db.stats().full);
    let rows = logged(&db).await;
    let ticket = loop {
        // Single rows still fit into the last pages for a while.
        match db.append(row(1)).unwrap().durable().await {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(ticket, Error::Full(_)));
    assert!(logged(&db).await >= rows);
    db.write(|tx| tx.execute(&EMPTY, &[])).await.unwrap();
    bump(&db, 1).await.unwrap();
    db.append(row(1)).unwrap().durable().await.unwrap();
    assert!(!db.stats().full);
    assert_eq!((hits(&db).await, logged(&db).await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_named_as_such() {
    let world = World::sqlite();
    let db = world.open();
    for _ in 0..20 {
        db.write(|tx| tx.execute(&FILL, &[])).await.unwrap();
    }
    db.close().await;
    let mut bytes = std::fs::read(world.file()).unwrap();
    bytes[40 * 4096..].fill(0x5a);
    std::fs::write(world.file(), bytes).unwrap();
    let db = world.open();
    let found = db.read(|tx| tx.query(&crate::world::ROWS, &[])).await;
    assert!(matches!(&found, Err(error @ Error::Corrupt(_)) if !error.retryable()), "{found:?}");
    assert_eq!(hits(&db).await, 0);
}
