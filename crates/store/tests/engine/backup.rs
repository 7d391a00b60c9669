//! Backup and restore, within and across the engines.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use store::{
    Copied, Db, Error, MigrationText, Options, Refusal, Row, Statement, Target, Value, backup, restore,
};

use crate::world::{BUMP, LOG, MIGRATIONS, NEW, ROWS, World, bump, hits, logged, on_each_engine, row};

static COUNTERS: Statement = Statement::new("counter.all", "select name, value from counter order by name");

fn file_of(world: &World) -> PathBuf {
    world.dir().with_extension("backup")
}

fn back_up(world: &World, file: &Path) -> Result<Vec<Copied>, Error> {
    tokio::task::block_in_place(|| backup(&world.target, file, MIGRATIONS, &mut |_, _| {}))
}

fn restore_into(world: &World, file: &Path, migrations: &[MigrationText]) -> Result<Vec<Copied>, Error> {
    tokio::task::block_in_place(|| restore(file, &world.target, migrations, &mut |_, _| {}))
}

async fn everything(db: &Db) -> Vec<Vec<Value>> {
    let read = db.read(|tx| {
        let counters = tx.query(&COUNTERS, &[])?;
        let log = tx.query(&ROWS, &[])?;
        let values = |row: &Row, names: &[&str]| names.iter().map(|name| row.value(name).cloned()).collect();
        let counters = counters.iter().map(|row| values(row, &["name", "value"]));
        counters.chain(log.iter().map(|row| values(row, &["id", "seq", "sub"]))).collect()
    });
    read.await.map_err(|error: Error| error).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_restored_into_either_engine_is_equal() {
    on_each_engine(async |world| {
        let db = world.open();
        bump(&db, 7).await.unwrap();
        let odd: Vec<Value> = vec!["grün '{blob}' ?1".into(), i64::MAX.into()];
        db.write(move |tx| tx.execute(&NEW, &odd)).await.unwrap();
        let mut rows: Vec<_> = (0..3000).map(row).collect();
        rows[5][2] = "sub\u{1f3c1}\n".into();
        db.write(move |tx| tx.append(&LOG, &rows)).await.unwrap();
        let original = everything(&db).await;

        let file = file_of(world);
        let copied = back_up(world, &file).unwrap();
        let counts: Vec<_> = copied.iter().map(|copied| (copied.table.as_str(), copied.rows)).collect();
        assert_eq!(counts, [("counter", 2), ("log", 3000)]);
        for target in [World::sqlite(), World::postgres()] {
            assert_eq!(restore_into(&target, &file, MIGRATIONS).unwrap(), copied);
            let restored = target.open();
            assert_eq!(everything(&restored).await, original);
            bump(&restored, 1).await.unwrap();
            assert!(matches!(
                restore_into(&target, &file, MIGRATIONS),
                Err(Error::Refused(Refusal::NotEmpty { .. } | Refusal::FileExists(_)))
            ));
            assert_eq!(hits(&restored).await, 8);
        }
        std::fs::remove_file(file).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_one_state_with_all_that_was_acknowledged_before() {
    on_each_engine(async |world| {
        let db = world.open();
        let go_on = Arc::new(AtomicBool::new(true));
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let (db, go_on) = (db.clone(), Arc::clone(&go_on));
                tokio::spawn(async move {
                    while go_on.load(Ordering::Relaxed) {
                        let both = |tx: &mut store::Tx<'_>| {
                            tx.append(&LOG, &[row(1)])?;
                            tx.execute(&BUMP, &[1.into()])
                        };
                        db.write(both).await.unwrap();
                    }
                })
            })
            .collect();
        while db.stats().commits < 50 {
            tokio::task::yield_now().await;
        }
        let before = hits(&db).await;
        let file = file_of(world);
        back_up(world, &file).unwrap();
        go_on.store(false, Ordering::Relaxed);
        for writer in writers {
            writer.await.unwrap();
        }
        let target = World::sqlite();
        restore_into(&target, &file, MIGRATIONS).unwrap();
        let restored = target.open();
        let hits = hits(&restored).await;
        assert_eq!(hits, logged(&restored).await);
        assert!(hits >= before);
        std::fs::remove_file(file).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_backup_is_restored_and_brought_up_to_date() {
    on_each_engine(async |world| {
        let old = Db::open(&world.target, &Options::default(), &MIGRATIONS[..1], &LOG).unwrap();
        bump(&old, 4).await.unwrap();
        let file = file_of(world);
        back_up(world, &file).unwrap();
        for target in [World::sqlite(), World::postgres()] {
            restore_into(&target, &file, MIGRATIONS).unwrap();
            let restored = target.open();
            assert_eq!((hits(&restored).await, logged(&restored).await), (4, 0));
        }
        std::fs::remove_file(file).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_overwrites_nothing_and_leaves_nothing_behind() {
    on_each_engine(async |world| {
        world.open();
        let file = file_of(world);
        std::fs::write(&file, "precious").unwrap();
        assert!(matches!(back_up(world, &file), Err(Error::Refused(Refusal::FileExists(_)))));
        assert_eq!(std::fs::read(&file).unwrap(), b"precious");
        std::fs::remove_file(&file).unwrap();

        let nowhere = file.join("no/such/folder");
        assert!(matches!(back_up(world, &nowhere), Err(Error::File { .. })));
        std::fs::create_dir(&file).unwrap();
        let newer = "insert into refinery_schema_history (version, name, applied_on, checksum)
                     values (99, 'tomorrow', '2030-01-01T00:00:00Z', '1')";
        world.behind(newer);
        let refused = back_up(world, &file.join("backup"));
        assert!(matches!(refused, Err(Error::Refused(Refusal::NewerDatabase { found: 99, known: 2 }))));
        assert_eq!(std::fs::read_dir(&file).unwrap().count(), 0);
        std::fs::remove_dir(file).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_not_backed_up() {
    let unused = World::sqlite();
    assert!(matches!(back_up(&unused, &file_of(&unused)), Err(Error::File { .. })));
    let unused = World::postgres();
    let refused = back_up(&unused, &file_of(&unused));
    assert!(matches!(refused, Err(Error::Refused(Refusal::NothingToBackUp))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_intact_backup_is_refused_and_changes_nothing() {
    let source = World::sqlite();
    let db = source.open();
    db.write(|tx| tx.append(&LOG, &(0..2000).map(row).collect::<Vec<_>>())).await.unwrap();
    let file = file_of(&source);
    back_up(&source, &file).unwrap();
    let good = std::fs::read(&file).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 0xff;
    on_each_engine(async |target| {
        for bad in [&b"not a database"[..], &[], &good[..good.len() / 2], &flipped] {
            std::fs::write(&file, bad).unwrap();
            let refused = restore_into(target, &file, MIGRATIONS);
            assert!(matches!(refused, Err(Error::Refused(Refusal::NotABackup { .. }))), "{refused:?}");
        }
        std::fs::write(&file, &good).unwrap();
        let older = restore_into(target, &file, &MIGRATIONS[..1]);
        assert!(matches!(older, Err(Error::Refused(Refusal::NewerDatabase { found: 2, known: 1 }))));
        assert!(matches!(restore_into(target, &file.join("x"), MIGRATIONS), Err(Error::File { .. })));
        restore_into(target, &file, MIGRATIONS).unwrap();
        assert_eq!(logged(&target.open()).await, 2000);
    })
    .await;
    std::fs::remove_file(file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_fails_midway_can_be_repeated() {
    let source = World::sqlite();
    let db = source.open();
    bump(&db, 5).await.unwrap();
    // SQLite takes text for a number; PostgreSQL does not.
    source.behind("insert into log (id, seq) values (x'00', 'many')");
    let (bad, good) = (file_of(&source), file_of(&source).with_extension("good"));
    back_up(&source, &bad).unwrap();
    source.behind("delete from log");
    back_up(&source, &good).unwrap();
    let target = World::postgres();
    assert!(matches!(restore_into(&target, &bad, MIGRATIONS), Err(Error::Bug { .. })));
    restore_into(&target, &good, MIGRATIONS).unwrap();
    assert_eq!(hits(&target.open()).await, 5);
    std::fs::remove_file(bad).unwrap();
    std::fs::remove_file(good).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_with_secrets_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::sqlite();
    let Target::Sqlite { dir } = &world.target else { panic!("SQLite has a folder") };
    // Made by somebody who did not think of it.
    std::fs::create_dir(dir).unwrap();
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let db = world.open();
    bump(&db, 1).await.unwrap();
    let file = file_of(&world);
    back_up(&world, &file).unwrap();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.push(file.clone());
    assert_eq!(files.len(), 4, "{files:?}");
    for file in &files {
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.display());
    }
    std::fs::remove_file(file).unwrap();
}
