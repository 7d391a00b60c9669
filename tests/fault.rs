//! Disks that are full or fail, databases that go away, queues that overflow: nothing is promised that cannot be kept,
//! nothing that was promised is lost, and the server says what is wrong.

mod cluster;
mod disk;

use std::collections::HashSet;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;

use testkit::http::{self, Answer};
use testkit::{Engine, Folder, Server, eventually, for_each_engine};

use self::cluster::Cluster;
use self::disk::SmallDisk;
use crate::PITLANE;
use crate::order::trace::{CALLS, Tracing};
use crate::order::{answer, premature, wal};
use crate::traffic::oracle::Stored;
use crate::traffic::{Traffic, declare};
use crate::world::{AT_MOST, Endpoint, TO_THIS_MACHINE};

const SIGABRT: i32 = 6;
/// Visitors at a time.
const CLIENTS: usize = 8;

/// A network with traffic and without a server.
fn network(engine: &Engine) -> Arc<Traffic> {
    let endpoint = Endpoint::bind();
    let applied = declare(engine, &endpoint);
    // Partner postbacks have tests of their own; here nobody listens.
    Traffic::new(&applied)
}

/// The checks of `/readyz` that failed.
fn failing(ready: &Answer) -> Vec<String> {
    let json = ready.json();
    let checks = json["checks"].as_array().expect("a list").iter().filter(|check| check["ok"] == false);
    checks.map(|check| check["name"].as_str().expect("a name").to_owned()).collect()
}

fn ready(server: &Server) -> Answer {
    http::get(&format!("{}/readyz", server.url()))
}

/// `/readyz` says 503 and names what fails, while the process lives. Not at the first look: a full disk may have a last
/// page free, where the write of the check itself still fits.
#[track_caller]
fn is_not_ready(server: &Server, wanted: &[&str]) {
    let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
    eventually("it says what fails", AT_MOST, || {
        let answer = ready(server);
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
        failing(&answer) == wanted
    });
    assert_eq!(http::get(&format!("{}/healthz", server.url())).status, 200);
}

/// The server works, and whoever was not answered before is answered now.
#[track_caller]
fn works(server: &Server, traffic: &Arc<Traffic>) {
    eventually("it is ready", AT_MOST, || ready(server).status == 200);
    let (promised, refused) = (traffic.promised(), traffic.refused().len());
    traffic.begin(server.url(), CLIENTS, 60).end();
    assert!(traffic.promised() >= promised + 60, "{} after {promised}", traffic.promised());
    let left = (traffic.refused().len(), traffic.owed());
    assert_eq!(left, (refused, 0), "{:#?}, with {:#?}", traffic.refused().last(), server.log());
}

/// Everything promised is stored, and everything refused was refused honestly.
#[track_caller]
fn holds(engine: &Engine, traffic: &Arc<Traffic>) {
    Stored::read(engine).check(&traffic.journal());
    traffic.check_refused();
    assert!(traffic.strange().is_empty(), "answered wrongly: {:#?}", traffic.strange().first());
}

#[test]
fn a_full_disk_refuses_everybody_and_works_again_when_there_is_space() {
    let engine = Engine::sqlite();
    let traffic = network(&engine);
    let Engine::Sqlite(folder) = &engine else { unreachable!("SQLite") };
    let disk = SmallDisk::with(folder.path());
    let data = disk.path().display().to_string();
    let mut command = PITLANE.command();
    command.args(["serve", "--listen", "127.0.0.1:0", "--min-free-disk-mib", "1", "--data", &data]);
    let server = Server::start(disk.command(&command));
    works(&server, &traffic);
    for _ in 0..2 {
        disk.fill();
        // The log's last page may have room for one more.
        eventually("nobody is let in", AT_MOST, || {
            let (promised, refused) = (traffic.promised(), traffic.refused().len());
            traffic.begin(server.url(), CLIENTS, 40).end();
            traffic.promised() == promised && traffic.refused().len() > refused
        });
        is_not_ready(&server, &["database", "disk"]);
        disk.free();
        works(&server, &traffic);
    }
    assert!(traffic.refused_both());
    server.stop();
    disk.copy_back(folder.path());
    holds(&engine, &traffic);
}

#[test]
fn a_sync_or_write_that_fails_stops_the_process_and_a_restart_has_everything() {
    for inject in [
        "--inject=fsync,fdatasync:error=EIO:when=14",
        "--inject=fsync,fdatasync:error=EIO:when=40",
        "--inject=pwrite64:error=EIO:when=150",
    ] {
        let engine = Engine::sqlite();
        let traffic = network(&engine);
        let (server, tracing) = Tracing::start(&PITLANE.serve_command(&engine, &[]), CALLS, &[inject]);
        let port = server.address().rsplit(':').next().unwrap().to_owned();
        dies(server, &traffic);
        let calls = tracing.calls();
        let answers = answer::answers(&calls, &port);
        let records: HashSet<_> = answers.iter().flat_map(answer::Answer::records).collect();
        assert!(records.len() > 10, "{inject}: {}", records.len());
        assert_eq!(premature(&answers, &wal::durable(&calls, &records)), Vec::<String>::new(), "{inject}");
        has_everything(&engine, &traffic);
    }
}

/// The log is moved into the database file now and then. When that file's sync fails, the log must stay as it is.
#[test]
fn a_checkpoint_that_fails_stops_the_process_and_a_restart_has_everything() {
    let engine = Engine::sqlite();
    let traffic = network(&engine);
    let Engine::Sqlite(folder) = &engine else { unreachable!("SQLite") };
    let file = folder.join("pitlane.db");
    let inject = ["-P", &file, "--inject=fsync,fdatasync:error=EIO:when=1"];
    let (server, _tracing) = Tracing::start(&PITLANE.serve_command(&engine, &[]), "fsync,fdatasync", &inject);
    dies(server, &traffic);
    assert!(traffic.promised() > 100, "{}", traffic.promised());
    has_everything(&engine, &traffic);
}

/// Lets traffic in until the server ends itself.
fn dies(server: Server, traffic: &Arc<Traffic>) {
    let mut server = server.expect_errors();
    traffic.begin(server.url(), CLIENTS, 20_000).end();
    let status = server.wait();
    assert_eq!(status.signal(), Some(SIGABRT), "{status}, {:#?}", server.log());
    let said = server.log().iter().any(|line| line.contains("the disk did not confirm a write"));
    assert!(said, "{:#?}", server.log());
}

/// The next server finds everything that was promised.
fn has_everything(engine: &Engine, traffic: &Arc<Traffic>) {
    let server = PITLANE.serve(engine, &[]);
    works(&server, traffic);
    server.stop();
    holds(engine, traffic);
}

#[test]
fn a_postgresql_that_goes_away_is_waited_for() {
    let cluster = Cluster::start_new();
    let engine = Engine::postgres_on(&cluster.url());
    let traffic = network(&engine);
    let server = PITLANE.serve(&engine, &TO_THIS_MACHINE);
    for mode in ["immediate", "fast"] {
        let load = traffic.begin(server.url(), CLIENTS, u64::MAX);
        traffic.wait_for(traffic.promised() + 100);
        let refused = traffic.refused().len();
        cluster.stop(mode);
        eventually("many are refused", AT_MOST, || traffic.refused().len() > refused + 20);
        is_not_ready(&server, &["database"]);
        cluster.start(&[]);
        traffic.wait_for(traffic.promised() + 100);
        load.finish();
        works(&server, &traffic);
    }
    assert!(traffic.refused_both());
    server.stop();
    holds(&engine, &traffic);
}

#[test]
fn a_postgresql_that_may_lose_commits_is_refused_at_start_and_later() {
    let cluster = Cluster::start_new();
    let engine = Engine::postgres_on(&cluster.url());
    let traffic = network(&engine);
    let server = PITLANE.serve(&engine, &[]).expect_errors();
    works(&server, &traffic);
    for setting in ["fsync=off", "synchronous_commit=off"] {
        cluster.stop("fast");
        cluster.start(&[setting]);
        let (name, value) = setting.split_once('=').unwrap();
        let ran = PITLANE.run_on(&engine, &["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
        assert!(
            ran.stderr.contains(&format!("the PostgreSQL server has {name} = {value}; set it to on")),
            "{ran:?}"
        );
        let promised = traffic.promised();
        traffic.begin(server.url(), CLIENTS, 20).end();
        assert_eq!(traffic.promised(), promised, "a promise on {setting}");
        is_not_ready(&server, &["database"]);
        cluster.stop("fast");
        cluster.start(&[]);
        works(&server, &traffic);
    }
    server.stop();
    holds(&engine, &traffic);
}

#[test]
fn a_postgresql_that_is_told_to_be_hasty_while_a_server_runs_loses_nothing_of_it() {
    let cluster = Cluster::start_new();
    let engine = Engine::postgres_on(&cluster.url());
    let traffic = network(&engine);
    let server = PITLANE.serve(&engine, &[]);
    works(&server, &traffic);
    // From now on the crash of a session that obeys would lose what it committed in its last moments.
    engine.execute("alter system set synchronous_commit = off");
    engine.execute("alter system set wal_writer_delay = '10s'");
    engine.execute("select pg_reload_conf()");
    eventually("it is hasty", AT_MOST, || engine.sql("show synchronous_commit") == [["off"]]);
    let load = traffic.begin(server.url(), CLIENTS, u64::MAX);
    traffic.wait_for(traffic.promised() + 300);
    cluster.stop("immediate");
    cluster.start(&["synchronous_commit=on"]);
    load.finish();
    works(&server, &traffic);
    server.stop();
    holds(&engine, &traffic);
}

#[test]
fn a_postgresql_without_space_promises_nothing() {
    let engine = Engine::postgres();
    let traffic = network(&engine);
    let server = PITLANE.serve(&engine, &[]);
    works(&server, &traffic);
    engine.execute(
        "create function no_space() returns trigger language plpgsql as $$ begin
             raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$;
         create trigger no_space before insert on click for each row execute function no_space();
         create trigger no_space before insert on inbound for each row execute function no_space();",
    );
    let promised = traffic.promised();
    traffic.begin(server.url(), CLIENTS, 60).end();
    assert_eq!(traffic.promised(), promised);
    engine.execute("drop trigger no_space on click; drop trigger no_space on inbound");
    works(&server, &traffic);
    assert!(traffic.refused_both());
    server.stop();
    holds(&engine, &traffic);
}

#[test]
fn an_overloaded_queue_refuses_at_once_and_keeps_what_it_took() {
    const BOUNDS: [&str; 6] =
        ["--max-queued-clicks", "50", "--max-queued-writes", "100", "--write-timeout-ms", "60000"];
    for_each_engine(|engine| {
        let traffic = network(engine);
        let server = PITLANE.serve(engine, &BOUNDS);
        works(&server, &traffic);
        let promised = traffic.promised();
        let hold = engine.hold();
        // More at once than the queues hold: those who find no place are answered while the others wait.
        let load = traffic.begin(server.url(), 300, 3_000);
        eventually("many are refused", AT_MOST, || traffic.refused().len() > 100);
        assert_eq!(traffic.promised(), promised, "a promise while nothing can be written");
        eventually("it says that it does not keep up", AT_MOST, || {
            failing(&ready(&server)) == ["database", "queue"]
        });
        drop(hold);
        load.end();
        assert!(traffic.promised() >= promised + 50, "what was taken is kept");
        works(&server, &traffic);
        assert!(traffic.refused_both());
        server.stop();
        holds(engine, &traffic);
    });
}

#[test]
fn a_sqlite_folder_that_cannot_keep_its_log_is_refused() {
    let folder = Folder::new();
    let engine = Engine::Sqlite(folder);
    PITLANE.serve(&engine, &[]).stop();
    let Engine::Sqlite(folder) = &engine else { unreachable!("SQLite") };
    // A folder stands where the log's index must be.
    std::fs::create_dir(folder.join("pitlane.db-shm")).unwrap();
    let ran = PITLANE.run_on(&engine, &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.stderr.contains("error: "), "{ran:?}");
}
