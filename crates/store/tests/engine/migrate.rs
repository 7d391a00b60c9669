//! The schema.

use store::{Db, Error, MigrationText, Options, Refusal};

use crate::world::{LOG, MIGRATIONS, World, bump, hits, on_each_engine};

fn open(world: &World, migrations: &'static [MigrationText]) -> Result<Db, Error> {
    Db::open(&world.target, &Options::default(), migrations, &LOG)
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_run_once() {
    on_each_engine(async |world| {
        let db = open(world, &MIGRATIONS[..1]).unwrap();
        bump(&db, 3).await.unwrap();
        db.close().await;
        let db = open(world, MIGRATIONS).unwrap();
        assert_eq!(hits(&db).await, 3);
        db.close().await;
        open(world, MIGRATIONS).unwrap();
        assert_eq!(world.look("select count(*) from refinery_schema_history"), 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_start_at_once() {
    on_each_engine(async |world| {
        std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| open(world, MIGRATIONS))).collect();
            for start in starts {
                start.join().unwrap().unwrap();
            }
        });
        assert_eq!(hits(&world.open()).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_database_is_refused() {
    on_each_engine(async |world| {
        world.open().close().await;
        world.behind(
            "insert into refinery_schema_history (version, name, applied_on, checksum)
             values (99, 'tomorrow', '2030-01-01T00:00:00Z', '1')",
        );
        let refused = open(world, MIGRATIONS).err();
        let Some(Error::Refused(Refusal::NewerDatabase { found: 99, known: 2 })) = refused else {
            panic!("{refused:?}");
        };
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_migration_changes_nothing() {
    static BROKEN: &[MigrationText] = &[
        MIGRATIONS[0],
        MigrationText { name: "V2__log", sql: "create table half (x bigint); create tabel log;" },
    ];
    static UNKNOWN: &[MigrationText] = &[MigrationText { name: "V1__x", sql: "create table x (y {blub});" }];
    static INSTEAD: &[MigrationText] = &[MigrationText {
        name: "V1__counters",
        sql: "create table counter (name text not null primary key, value bigint not null);
              insert into counter (name, value) values ('hits', 8);",
    }];
    on_each_engine(async |world| {
        assert!(matches!(open(world, BROKEN), Err(Error::Migration(_))));
        assert!(matches!(open(world, UNKNOWN), Err(Error::Bug { statement: "V1__x", .. })));
        // Not even the good one before it was kept, so that another text in its place is no contradiction.
        assert_eq!(hits(&open(world, INSTEAD).unwrap()).await, 8);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_was_changed_afterwards_is_refused() {
    static CHANGED: &[MigrationText] =
        &[MigrationText { name: "V1__counters", sql: "create table counter (name text);" }, MIGRATIONS[1]];
    on_each_engine(async |world| {
        world.open().close().await;
        assert!(matches!(open(world, CHANGED), Err(Error::Migration(_))));
    })
    .await;
}
