//! Write and read closures.

use std::sync::mpsc;
use std::time::Duration;

use store::{Db, EngineKind, Error, Options, Row, Statement, Value};
use uuid::Uuid;

use crate::world::{BUMP, GET, NEW, READ, bump, hits, on_each_engine, row};

/// Occupies the only writer until the sender is dropped.
async fn occupy(db: &Db) -> mpsc::Sender<()> {
    let (release, wait) = mpsc::channel::<()>();
    let (started, running) = tokio::sync::oneshot::channel();
    let mut started = Some(started);
    let db = db.clone();
    tokio::spawn(async move {
        let hold = move |_: &mut store::Tx<'_>| {
            if let Some(started) = started.take() {
                started.send(()).unwrap();
            }
            let _ = wait.recv();
            Ok::<_, Error>(())
        };
        db.write(hold).await
    });
    running.await.unwrap();
    release
}

#[tokio::test(flavor = "multi_thread")]
async fn values_come_back_as_they_went_in() {
    static ECHO: Statement = Statement::new(
        "test.echo",
        "select cast(?1 as bigint) as i, cast(?2 as text) as t, cast(?3 as {blob}) as b, cast(?4 as {blob}) as u,
                cast(?5 as bigint) as missing",
    );
    on_each_engine(async |world| {
        let db = world.open();
        let id = Uuid::new_v4();
        let params: [Value; 5] = [
            i64::MIN.into(),
            "grün ?1 '{blob}'".into(),
            vec![0_u8, 255].into(),
            id.into(),
            None::<i64>.into(),
        ];
        let row: Row = db
            .read(move |tx| tx.query_one(&ECHO, &params))
            .await
            .map(|row: Option<Row>| row.unwrap())
            .map_err(|e: Error| e)
            .unwrap();
        assert_eq!(row.int("i").unwrap(), i64::MIN);
        assert_eq!(row.text("t").unwrap(), "grün ?1 '{blob}'");
        assert_eq!(row.blob("b").unwrap(), [0, 255]);
        assert_eq!(row.uuid("u").unwrap(), id);
        assert_eq!(row.opt_int("missing").unwrap(), None);
        assert!(row.flag("i").unwrap());
        for wrong in [
            row.text("i").map(drop),
            row.int("missing").map(drop),
            row.uuid("b").map(drop),
            row.int("x").map(drop),
        ] {
            assert!(matches!(wrong, Err(Error::Bug { statement: "test.echo", .. })), "{wrong:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_closure_is_undone_alone() {
    on_each_engine(async |world| {
        let db = world.open_with(&Options { writers: 1, ..Options::default() });
        let release = occupy(&db).await;
        let good = {
            let db = db.clone();
            tokio::spawn(async move { bump(&db, 1).await })
        };
        let refused = {
            let db = db.clone();
            tokio::spawn(async move {
                db.write(|tx| {
                    tx.execute(&BUMP, &[100.into()])?;
                    Err::<(), Refused>(Refused::Domain)
                })
                .await
            })
        };
        let failed = {
            let db = db.clone();
            tokio::spawn(async move {
                db.write(|tx| {
                    tx.execute(&BUMP, &[1000.into()])?;
                    tx.execute(&BUMP, &[(-5000).into()])
                })
                .await
            })
        };
        while db.stats().queued_writes < 3 {
            tokio::task::yield_now().await;
        }
        drop(release);
        good.await.unwrap().unwrap();
        assert!(matches!(refused.await.unwrap(), Err(Refused::Domain)));
        assert!(matches!(failed.await.unwrap(), Err(Error::Bug { statement: "counter.bump", .. })));
        assert_eq!(hits(&db).await, 1);
    })
    .await;
}

#[derive(Debug)]
enum Refused {
    Domain,
    Store,
}

impl From<Error> for Refused {
    fn from(_: Error) -> Self {
        Self::Store
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_on_after_a_failed_statement() {
    on_each_engine(async |world| {
        let db = world.open();
        let swallowed = db
            .write(|tx| {
                tx.execute(&BUMP, &[1.into()])?;
                drop(tx.execute(&NEW, &["hits".into(), 1.into()]));
                let after = tx.execute(&BUMP, &[1.into()]);
                assert!(matches!(after, Err(Error::Bug { .. })));
                Ok::<_, Error>(())
            })
            .await;
        assert!(matches!(swallowed, Err(Error::Conflict { statement: "counter.new", .. })), "{swallowed:?}");
        assert_eq!(hits(&db).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_closure_harms_nobody_else() {
    on_each_engine(async |world| {
        let db = world.open_with(&Options { writers: 1, readers: 1, ..Options::default() });
        let panicked: Result<(), Error> = db
            .write(|tx| {
                tx.execute(&BUMP, &[7.into()])?;
                panic!("this panic belongs to the test")
            })
            .await;
        assert!(matches!(panicked, Err(Error::Bug { .. })), "{panicked:?}");
        let panicked: Result<(), Error> = db.read(|_| panic!("this one too")).await;
        assert!(matches!(panicked, Err(Error::Bug { .. })), "{panicked:?}");
        bump(&db, 1).await.unwrap();
        assert_eq!(hits(&db).await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_wait_share_a_commit_on_sqlite() {
    on_each_engine(async |world| {
        let db = world.open_with(&Options { writers: 1, ..Options::default() });
        let release = occupy(&db).await;
        let callers: Vec<_> = (0..200)
            .map(|_| {
                let db = db.clone();
                tokio::spawn(async move { bump(&db, 1).await })
            })
            .collect();
        while db.stats().queued_writes < 200 {
            tokio::task::yield_now().await;
        }
        let before = db.stats().commits;
        drop(release);
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        assert_eq!(hits(&db).await, 200);
        // One for the closure that held the writer.
        let expected = if db.engine() == EngineKind::Sqlite { 1 + 1 } else { 1 + 200 };
        assert_eq!(db.stats().commits - before, expected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_increments_all_count() {
    on_each_engine(async |world| {
        let db = world.open();
        let callers: Vec<_> = (0..100)
            .map(|_| {
                let db = db.clone();
                tokio::spawn(async move {
                    db.write(|tx| {
                        let old = tx.query_one(&GET, &["hits".into()])?.unwrap().int("value")?;
                        tx.execute(&BUMP, &[1.into()])?;
                        Ok::<_, Error>(old)
                    })
                    .await
                })
            })
            .collect();
        let mut seen = Vec::new();
        for caller in callers {
            seen.push(caller.await.unwrap().unwrap());
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<i64>>());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_leaves_its_write_whole() {
    on_each_engine(async |world| {
        let db = world.open_with(&Options { writers: 1, ..Options::default() });
        let release = occupy(&db).await;
        for _ in 0..10 {
            // Polled once, so that it is queued, then dropped.
            assert!(tokio::time::timeout(Duration::ZERO, bump(&db, 1)).await.is_err());
        }
        drop(release);
        bump(&db, 1).await.unwrap();
        assert_eq!(hits(&db).await, 11);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_at_once_and_recovers() {
    on_each_engine(async |world| {
        let db = world.open_with(&Options { writers: 1, max_queued_writes: 3, ..Options::default() });
        let release = occupy(&db).await;
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let db = db.clone();
                tokio::spawn(async move { bump(&db, 1).await })
            })
            .collect();
        while db.stats().queued_writes < 3 {
            tokio::task::yield_now().await;
        }
        let refused = bump(&db, 1).await.unwrap_err();
        assert!(matches!(refused, Error::Overloaded) && refused.retryable());
        drop(release);
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        bump(&db, 1).await.unwrap();
        assert_eq!(hits(&db).await, 4);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_sees_one_state_and_cannot_write() {
    on_each_engine(async |world| {
        let db = world.open();
        let (first_read, wrote) = (mpsc::channel::<()>(), mpsc::channel::<()>());
        let (first_done, second_may) = (first_read.0, wrote.1);
        let reader = {
            let db = db.clone();
            tokio::spawn(async move {
                db.read(move |tx| {
                    let value =
                        |tx: &mut store::Tx<'_>| tx.query_one(&READ, &["hits".into()])?.unwrap().int("value");
                    let before = value(tx)?;
                    first_done.send(()).unwrap();
                    second_may.recv().unwrap();
                    Ok::<_, Error>((before, value(tx)?))
                })
                .await
            })
        };
        tokio::task::block_in_place(|| first_read.1.recv().unwrap());
        bump(&db, 5).await.unwrap();
        wrote.0.send(()).unwrap();
        assert_eq!(reader.await.unwrap().unwrap(), (0, 0));
        assert_eq!(hits(&db).await, 5);
        let forbidden: Result<u64, Error> = db.read(|tx| tx.execute(&BUMP, &[1.into()])).await;
        assert!(forbidden.is_err());
        assert_eq!(hits(&db).await, 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_statements_are_found_by_preparing_them() {
    static TYPO: Statement = Statement::new("test.typo", "select valeu from counter");
    static FRAGMENT: Statement = Statement::new("test.fragment", "select {nonsense}");
    on_each_engine(async |world| {
        let db = world.open();
        let failures = db.prepare_all(&[&BUMP, &TYPO, &GET, &FRAGMENT, &NEW]).await.unwrap();
        let names: Vec<&str> = failures.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["test.typo", "test.fragment"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_parameters_are_bugs_with_a_name() {
    on_each_engine(async |world| {
        let db = world.open();
        let wrong: [Vec<Value>; 3] =
            [vec![], vec!["x".into(), "not a number".into()], vec!["a\0b".into(), 1.into()]];
        for params in wrong {
            let failed: Result<u64, Error> = db.write(move |tx| tx.execute(&NEW, &params)).await;
            let strict = db.engine() == EngineKind::Postgres;
            match failed {
                Err(Error::Bug { statement: "counter.new", .. }) => {}
                // SQLite's columns take text for a number where the table is not strict.
                other => assert!(!strict && other.is_ok(), "{other:?}"),
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_finishes_what_is_queued() {
    on_each_engine(async |world| {
        let db = world.open_with(&Options { writers: 1, ..Options::default() });
        let release = occupy(&db).await;
        let queued = {
            let db = db.clone();
            tokio::spawn(async move { bump(&db, 3).await })
        };
        while db.stats().queued_writes < 1 {
            tokio::task::yield_now().await;
        }
        let closing = {
            let db = db.clone();
            tokio::spawn(async move { db.close().await })
        };
        while !matches!(db.append(row(1)), Err(Error::Closed)) {
            tokio::task::yield_now().await;
        }
        drop(release);
        queued.await.unwrap().unwrap();
        closing.await.unwrap();
        assert_eq!(hits(&world.open()).await, 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_goes_through_both_queues() {
    on_each_engine(async |world| {
        let db = world.open();
        db.health().await.unwrap();
        assert_eq!(db.stats().failures, 0);
        db.close().await;
        assert!(matches!(db.health().await, Err(Error::Closed)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_go_in_together_are_each_added_or_changed() {
    static ADD: Statement = Statement::new(
        "test.add",
        "insert into counter (name, value) values (?1, ?2)
         on conflict (name) do update set value = counter.value + excluded.value",
    );
    static ALL: Statement = Statement::new("test.all", "select name, value from counter order by name");
    on_each_engine(async |world| {
        let db = world.open();
        // 64, 64, 8 and 3 by themselves.
        let rows: Vec<[Value; 2]> =
            (0..139_i64).map(|number| [format!("c{number:03}").as_str().into(), number.into()]).collect();
        let some = rows[100..].to_vec();
        let changed = db
            .write(move |tx| -> Result<_, Error> {
                Ok([tx.execute_each(&ADD, &rows)?, tx.execute_each(&ADD, &some)?])
            })
            .await
            .unwrap();
        assert_eq!(changed, [139, 39]);
        let found = db.read(|tx| tx.query(&ALL, &[])).await.unwrap();
        let found: Vec<_> = found.iter().filter(|row| row.text("name").unwrap().starts_with('c')).collect();
        assert_eq!(found.len(), 139);
        for (number, row) in (0_i64..).zip(found) {
            let times = if number < 100 { 1 } else { 2 };
            assert_eq!(row.text("name").unwrap(), format!("c{number:03}"));
            assert_eq!(row.int("value").unwrap(), number * times);
        }
        let none: [[Value; 2]; 0] = [];
        assert_eq!(db.write(move |tx| tx.execute_each(&ADD, &none)).await.unwrap(), 0);
    })
    .await;
}
