//! Work that takes too long, and locks that others hold.

use std::time::Duration;

use store::{Error, Options, Statement};

use crate::world::{World, bump, hits, logged, on_each_engine, row};

static ENDLESS: Statement = Statement::new(
    "test.endless",
    "with recursive n (i) as (select cast(1 as bigint) union all select i + 1 from n)
     select count(*) as n from n where i < 0",
);

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_read_is_cut_off() {
    on_each_engine(async |world| {
        let limit = Duration::from_millis(100);
        let db = world.open_with(&Options { readers: 1, read_timeout: limit, ..Options::default() });
        let endless = db.read(|tx| tx.query(&ENDLESS, &[])).await;
        assert!(matches!(endless, Err(Error::TooSlow { statement: "test.endless", .. })), "{endless:?}");
        assert_eq!(hits(&db).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_an_answer_is_a_bug() {
    static MANY: Statement = Statement::new(
        "test.many",
        "with recursive n (i) as (select cast(1 as bigint) union all select i + 1 from n where i < 200001)
         select i from n",
    );
    on_each_engine(async |world| {
        let db = world.open();
        let many = db.read(|tx| tx.query(&MANY, &[])).await;
        assert!(matches!(many, Err(Error::Bug { statement: "test.many", .. })));
        assert_eq!(hits(&db).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_waits_for_another_process_only_so_long() {
    let world = World::sqlite();
    let db = world.open_with(&Options { write_timeout: Duration::from_millis(50), ..Options::default() });
    let lock = world.lock_log();
    assert!(matches!(bump(&db, 1).await, Err(Error::Overloaded)));
    assert!(matches!(db.append(row(1)).unwrap().durable().await, Err(Error::Overloaded)));
    assert_eq!(db.stats().failures, 2);
    assert_eq!(hits(&db).await, 0);
    drop(lock);
    // The other lets go in its own time.
    while bump(&db, 1).await.is_err() {}
    db.append(row(1)).unwrap().durable().await.unwrap();
    assert_eq!((hits(&db).await, logged(&db).await), (1, 1));
}
