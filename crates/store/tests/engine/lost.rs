//! PostgreSQL connections that break, at every moment that makes a difference, and servers that are not fit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use store::{Db, Error, Options, Refusal, Statement, Target};

use crate::world::{BUMP, LOG, MIGRATIONS, World, bump, hits, logged, row};

/// Makes the next `times` changes of `table` do `harm`, at the statement or at the commit.
fn sabotage(world: &World, table: &str, harm: &str, times: i64, at_commit: bool) {
    let trigger = if at_commit {
        format!(
            "constraint trigger harm after insert or update on {table} deferrable initially deferred for each row"
        )
    } else {
        format!("trigger harm before insert or update on {table} for each row")
    };
    // A sequence counts across what is rolled back.
    world.behind(&format!(
        "create sequence harmed;
         create function harm() returns trigger language plpgsql as $$ begin
           if nextval('harmed') <= {times} then {harm} end if;
           return new;
         end $$;
         create {trigger} execute function harm();"
    ));
}

const KILL: &str = "perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(10);";
const CONTEND: &str = "raise exception 'another was first' using errcode = '40001';";

#[tokio::test(flavor = "multi_thread")]
async fn a_write_survives_connections_lost_before_its_commit() {
    let world = World::postgres();
    let db = world.open();
    sabotage(&world, "counter", KILL, 2, false);
    bump(&db, 1).await.unwrap();
    assert_eq!(hits(&db).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_during_the_commit_is_unknown_and_not_run_again() {
    let world = World::postgres();
    let db = world.open();
    sabotage(&world, "counter", KILL, 1, true);
    let unknown = bump(&db, 1).await;
    assert!(matches!(&unknown, Err(error @ Error::Unknown(_)) if error.retryable()), "{unknown:?}");
    assert_eq!(hits(&db).await, 0);
    bump(&db, 1).await.unwrap();
    assert_eq!(hits(&db).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_survive_connections_lost_before_their_end() {
    let world = World::postgres();
    let db = world.open();
    sabotage(&world, "log", KILL, 2, false);
    db.append(row(1)).unwrap().durable().await.unwrap();
    assert_eq!(logged(&db).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_whose_commit_was_lost_are_unknown() {
    let world = World::postgres();
    let db = world.open();
    sabotage(&world, "log", KILL, 1, true);
    let unknown = db.append(row(1)).unwrap().durable().await;
    assert!(matches!(unknown, Err(Error::Unknown(_))), "{unknown:?}");
    db.append(row(2)).unwrap().durable().await.unwrap();
    assert_eq!(logged(&db).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_fail_at_the_commit_are_not_acknowledged() {
    let world = World::postgres();
    let db = world.open();
    sabotage(&world, "log", "raise exception 'refused at the commit';", 1, true);
    assert!(matches!(db.append(row(1)).unwrap().durable().await, Err(Error::Bug { .. })));
    db.append(row(2)).unwrap().durable().await.unwrap();
    assert_eq!(logged(&db).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn contended_writes_are_run_again_but_not_for_ever() {
    for at_commit in [false, true] {
        let world = World::postgres();
        let db = world.open();
        sabotage(&world, "counter", CONTEND, 11, at_commit);
        assert!(matches!(bump(&db, 1).await, Err(Error::Contended(_))));
        assert_eq!(world.look("select last_value from harmed"), 6);
        bump(&db, 1).await.unwrap();
        assert_eq!(world.look("select last_value from harmed"), 12);
        assert_eq!(hits(&db).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_reported_and_found_again() {
    let world = World::postgres();
    let db = world.open_with(&Options { writers: 1, readers: 1, ..Options::default() });
    db.health().await.unwrap();
    world.allow(false);
    world.terminate();
    let ticket = db.append(row(1)).unwrap();
    let (write, read) = tokio::join!(bump(&db, 1), db.health());
    assert!(matches!(write, Err(Error::Unavailable(_))), "{write:?}");
    assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
    assert!(matches!(ticket.durable().await, Err(Error::Unavailable(_))));
    world.allow(true);
    bump(&db, 1).await.unwrap();
    db.append(row(2)).unwrap().durable().await.unwrap();
    assert_eq!((hits(&db).await, logged(&db).await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_connections_cut_under_load() {
    let world = World::postgres();
    let db = world.open();
    let cutting = Arc::new(AtomicBool::new(true));
    let callers: Vec<_> =
        (0..8_i64).map(|caller| tokio::spawn(load(db.clone(), caller, Arc::clone(&cutting)))).collect();
    for _ in 0..20 {
        let before = db.stats().commits;
        world.terminate();
        // The next cut comes only when there is something to cut again.
        while db.stats().commits < before + 20 {
            tokio::task::yield_now().await;
        }
    }
    cutting.store(false, Ordering::Relaxed);
    let (mut acknowledged, mut unknown) = ([0, 0], [0, 0]);
    for caller in callers {
        let (sure, maybe) = caller.await.unwrap();
        for kind in 0..2 {
            acknowledged[kind] += sure[kind];
            unknown[kind] += maybe[kind];
        }
    }
    let found = [hits(&db).await, logged(&db).await];
    for kind in 0..2 {
        let range = acknowledged[kind]..=acknowledged[kind] + unknown[kind];
        assert!(range.contains(&found[kind]), "{range:?} does not contain {}", found[kind]);
    }
}

/// Writes and appends until told to stop; counts what was acknowledged and what is in doubt.
async fn load(db: Db, caller: i64, go_on: Arc<AtomicBool>) -> ([i64; 2], [i64; 2]) {
    let (mut acknowledged, mut unknown) = ([0, 0], [0, 0]);
    let mut seq = caller << 32;
    while go_on.load(Ordering::Relaxed) {
        seq += 1;
        let results = [bump(&db, 1).await.map(drop), db.append(row(seq)).unwrap().durable().await];
        for (kind, result) in results.into_iter().enumerate() {
            match result {
                Ok(()) => acknowledged[kind] += 1,
                Err(Error::Unknown(_)) => unknown[kind] += 1,
                Err(Error::Unavailable(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    (acknowledged, unknown)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_changed_by_a_newer_node_does_not_disturb() {
    static ALL: Statement = Statement::new("test.all", "select * from counter");
    let world = World::postgres();
    let db = world.open_with(&Options { readers: 1, ..Options::default() });
    db.read(|tx| tx.query(&ALL, &[]).map(drop)).await.unwrap();
    world.behind("alter table counter add column note text");
    db.read(|tx| tx.query(&ALL, &[])?[0].opt_text("note").map(drop)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_can_lose_commits_is_refused() {
    let world = World::postgres();
    world.set("synchronous_commit = off");
    let refused = Db::open(&world.target, &Options::default(), MIGRATIONS, &LOG).err();
    let Some(Error::Refused(refusal @ Refusal::Setting { name: "synchronous_commit", .. })) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(
        refusal.to_string(),
        "the PostgreSQL server has synchronous_commit = off; set it to on or remote_write or remote_apply, \
         otherwise acknowledged clicks could be lost"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_unavailable() {
    for (url, refused) in
        [("postgres://nobody@127.0.0.1:1/x", false), ("postgres://127.0.0.1:not-a-port/", true)]
    {
        let target = Target::Postgres { url: url.into() };
        match Db::open(&target, &Options::default(), MIGRATIONS, &LOG).err() {
            Some(Error::Unavailable(_)) if !refused => {}
            Some(Error::Refused(Refusal::Address(_))) if refused => {}
            other => panic!("{url}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_resolved_by_running_one_again() {
    static OTHER: Statement =
        Statement::new("test.other", "update counter set value = value + ?1 where name = 'other'");
    let world = World::postgres();
    let db = world.open();
    world.behind("insert into counter (name, value) values ('other', 0)");
    let both = Arc::new(std::sync::Barrier::new(2));
    let cross = |first: &'static Statement, second: &'static Statement| {
        let (db, both) = (db.clone(), Arc::clone(&both));
        let mut met = false;
        tokio::spawn(async move {
            db.write(move |tx| {
                tx.execute(first, &[1.into()])?;
                if !std::mem::replace(&mut met, true) {
                    both.wait();
                }
                tx.execute(second, &[1.into()])
            })
            .await
        })
    };
    let (one, two) = (cross(&BUMP, &OTHER), cross(&OTHER, &BUMP));
    one.await.unwrap().unwrap();
    two.await.unwrap().unwrap();
    assert_eq!(hits(&db).await, 2);
}
