//! The click log.

use store::{Error, Options, Value};
use uuid::Uuid;

use crate::world::{COUNT, LOG, ROWS, logged, on_each_engine, row};

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_rows_become_durable_in_order_with_few_commits() {
    on_each_engine(async |world| {
        let db = world.open();
        let mut tickets: Vec<_> = (0..10_000).map(|seq| db.append(row(seq)).unwrap()).collect();
        // A batch never overtakes another, so the last ticket stands for all.
        tickets.pop().unwrap().durable().await.unwrap();
        assert_eq!(logged(&db).await, 10_000);
        for ticket in tickets {
            ticket.durable().await.unwrap();
        }
        let stats = db.stats();
        assert_eq!((stats.rows, stats.queued_rows, stats.failures), (10_000, 0, 0));
        assert!(stats.commits < 1000, "{stats:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_appenders_lose_and_double_nothing() {
    on_each_engine(async |world| {
        let db = world.open();
        let appenders: Vec<_> = (0..64)
            .map(|appender| {
                let db = db.clone();
                tokio::spawn(async move {
                    for step in 0..50 {
                        db.append(row(appender * 50 + step))?.durable().await?;
                    }
                    Ok::<_, Error>(())
                })
            })
            .collect();
        for appender in appenders {
            appender.await.unwrap().unwrap();
        }
        let rows = db.read(|tx| tx.query(&ROWS, &[])).await.map_err(|error: Error| error).unwrap();
        let seen: Vec<i64> = rows.iter().map(|row| row.int("seq").unwrap()).collect();
        assert_eq!(seen, (0..3200).collect::<Vec<i64>>());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_table_refuses_fails_alone() {
    on_each_engine(async |world| {
        let db = world.open();
        let twice = row(1);
        db.append(twice.clone()).unwrap().durable().await.unwrap();
        let good: Vec<_> = (2..50).map(|seq| db.append(row(seq)).unwrap()).collect();
        let (double, negative) = (db.append(twice).unwrap(), db.append(row(-1)).unwrap());
        let more: Vec<_> = (50..100).map(|seq| db.append(row(seq)).unwrap()).collect();
        assert!(matches!(double.durable().await, Err(Error::Conflict { statement: "log.append", .. })));
        assert!(matches!(negative.durable().await, Err(Error::Bug { statement: "log.append", .. })));
        for ticket in good.into_iter().chain(more) {
            ticket.durable().await.unwrap();
        }
        assert_eq!(logged(&db).await, 99);
        assert_eq!(db.stats().rows, 99);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_the_wrong_shape_never_joins_a_batch() {
    on_each_engine(async |world| {
        let db = world.open();
        let id: Value = Uuid::new_v4().into();
        for wrong in [vec![], vec![id.clone(), "x".into(), Value::Null], vec![id, 1.into(), "a\0b".into()]] {
            assert!(matches!(db.append(wrong), Err(Error::Bug { statement: "log.append", .. })));
        }
        assert_eq!(db.stats().queued_rows, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closure_appends_with_its_transaction() {
    on_each_engine(async |world| {
        let db = world.open();
        let undone: Result<(), Error> = db
            .write(|tx| {
                tx.append(&LOG, &[row(1), row(2)])?;
                Err(Error::Overloaded)
            })
            .await;
        assert!(matches!(undone, Err(Error::Overloaded)));
        assert_eq!(logged(&db).await, 0);
        let seen = db
            .write(|tx| {
                tx.append(&LOG, &(0..500).map(row).collect::<Vec<_>>())?;
                tx.query_one(&COUNT, &[])?.unwrap().int("n")
            })
            .await;
        assert_eq!(seen.unwrap(), 500);
        assert_eq!(logged(&db).await, 500);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_waiting_rows_are_refused() {
    on_each_engine(async |world| {
        let db = world.open_with(&Options { max_queued_rows: 5, ..Options::default() });
        let lock = world.lock_log();
        let mut tickets = Vec::new();
        let refused = loop {
            match db.append(row(i64::try_from(tickets.len()).unwrap())) {
                Ok(ticket) => tickets.push(ticket),
                Err(error) => break error,
            }
            // The first leaves the queue and waits for the table.
            while db.stats().queued_rows != tickets.len() - 1 {
                tokio::task::yield_now().await;
            }
        };
        assert!(matches!(refused, Error::Overloaded));
        assert_eq!(tickets.len(), 6);
        drop(lock);
        for ticket in tickets {
            ticket.durable().await.unwrap();
        }
        assert_eq!(logged(&db).await, 6);
    })
    .await;
}
