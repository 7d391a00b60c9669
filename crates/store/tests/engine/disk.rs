//! Disks that are full, fail or lie.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use store::{Db, Error, Options, Statement, Target};

use crate::world::{EMPTY, LOG, MIGRATIONS, ROWS, World, bump, hits, logged, row};

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
    let found = db.read(|tx| tx.query(&ROWS, &[])).await;
    assert!(matches!(&found, Err(error @ Error::Corrupt(_)) if !error.retryable()), "{found:?}");
    assert_eq!(hits(&db).await, 0);
}

/// The folder that a child process of a test works in; none in the test itself.
#[expect(clippy::disallowed_methods, reason = "how a test tells its own child what it is")]
fn child_folder() -> Option<PathBuf> {
    std::env::var("PITLANE_TEST_CHILD").ok().map(PathBuf::from)
}

/// The child: appends rows one by one and prints what was acknowledged and what was refused.
async fn append_and_print(dir: PathBuf, count: i64) {
    let db = Db::open(&Target::Sqlite { dir }, &Options::default(), MIGRATIONS, &LOG).unwrap();
    for seq in 0..count {
        let mut line = match db.append(row(seq)).unwrap().durable().await {
            Ok(()) => format!("acknowledged {seq}\n"),
            Err(Error::Full(_)) => format!("full {seq}\n"),
            Err(error) => format!("{error:?}\n"),
        };
        line.insert(0, '\n');
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }
}

/// Runs `test` of this binary as a child whose system calls fail as `injection` says, and returns how it ended and
/// the numbers that it printed after `acknowledged` and `full`.
fn run_child(world: &World, test: &str, injection: &str) -> (bool, [Vec<i64>; 2]) {
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync,pwrite64", "-e", injection])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("PITLANE_TEST_CHILD", world.file().parent().unwrap())
        .output()
        .expect("this test needs strace");
    let printed = String::from_utf8(output.stdout).unwrap();
    let numbers = |word: &str| {
        let lines = printed.lines().filter_map(|line| line.strip_prefix(word)?.trim().parse().ok());
        lines.collect::<Vec<i64>>()
    };
    (output.status.success(), [numbers("acknowledged"), numbers("full")])
}

async fn stored(world: &World) -> Vec<i64> {
    let rows = world.open().read(|tx| tx.query(&ROWS, &[])).await.map_err(|error: Error| error).unwrap();
    rows.iter().map(|row| row.int("seq").unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fsync_stops_the_process_and_loses_nothing_acknowledged() {
    if let Some(dir) = child_folder() {
        return append_and_print(dir, 100).await;
    }
    let world = World::sqlite();
    // Counted per thread: the writer's, which made the file with its first few.
    let test = "disk::a_failed_fsync_stops_the_process_and_loses_nothing_acknowledged";
    let (ended_well, [acknowledged, _]) =
        run_child(&world, test, "inject=fsync,fdatasync:error=EIO:when=30+");
    assert!(!ended_well);
    assert!((10..100).contains(&acknowledged.len()), "{acknowledged:?}");
    let stored = stored(&world).await;
    assert!(acknowledged.iter().all(|seq| stored.contains(seq)), "{acknowledged:?} {stored:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_during_commits_refuses_only_those() {
    if let Some(dir) = child_folder() {
        return append_and_print(dir, 100).await;
    }
    let world = World::sqlite();
    let test = "disk::a_disk_that_fills_up_during_commits_refuses_only_those";
    let (ended_well, [acknowledged, full]) =
        run_child(&world, test, "inject=pwrite64:error=ENOSPC:when=60..70");
    assert!(ended_well);
    assert!((1..=11).contains(&full.len()), "{full:?}");
    assert_eq!(acknowledged.len() + full.len(), 100);
    assert_eq!(stored(&world).await, acknowledged);
}
