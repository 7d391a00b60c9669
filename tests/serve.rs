//! A server's start and end.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use testkit::{Engine, Folder, Server, eventually, for_each_engine, http, until};

use crate::PITLANE;

#[test]
fn it_prints_where_it_listens_answers_there_and_ends_in_order() {
    for_each_engine(|engine| {
        let server = PITLANE.serve(engine, &[]);
        assert!(!server.address().ends_with(":0"), "the free port is printed: {}", server.url());
        assert!(server.next_line().starts_with(&format!("Database: {}, ", engine.name())));
        assert_eq!(http::get(&format!("{}/healthz", server.url())).status, 200);
        assert_eq!(http::get(&format!("{}/readyz", server.url())).status, 200);
        let log = server.log();
        let started = log.iter().find(|line| line.contains("\"started\"")).unwrap();
        assert!(
            started.contains(server.address()) && started.contains(env!("CARGO_PKG_VERSION")),
            "{started}"
        );
        server.stop();
    });
}

#[test]
fn a_start_on_an_existing_database_keeps_it() {
    for_each_engine(|engine| {
        PITLANE.serve(engine, &[]).stop();
        let version = engine.count("select version from catalog_state");
        PITLANE.serve(engine, &[]).kill9();
        PITLANE.serve(engine, &[]).stop();
        assert_eq!(engine.count("select version from catalog_state"), version);
    });
}

/// The log is moved into the database file by whoever closes last; connections that close at the same moment must not
/// leave that to each other. A copy of the file alone then misses nothing.
#[test]
fn an_orderly_end_leaves_everything_in_one_file() {
    let engine = Engine::sqlite();
    let Engine::Sqlite(folder) = &engine else { unreachable!("SQLite") };
    for _ in 0..30 {
        PITLANE.serve(&engine, &[]).stop();
        let files = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["pitlane.db", "server.lock"]);
    }
}

#[test]
fn metrics_are_served_unless_switched_off() {
    let engine = Engine::sqlite();
    let server = PITLANE.serve(&engine, &[]);
    let metrics = http::get(&format!("{}/metrics", server.url()));
    assert_eq!(metrics.status, 200);
    assert!(metrics.body.contains("pitlane_clicks_total"), "{}", metrics.body);
    server.stop();
    let server = PITLANE.serve(&engine, &["--metrics", "false"]);
    assert_eq!(http::get(&format!("{}/metrics", server.url())).status, 404);
    server.stop();
}

#[test]
fn a_second_server_on_one_sqlite_folder_is_refused_and_the_first_goes_on() {
    let engine = Engine::sqlite();
    let first = PITLANE.serve(&engine, &[]);
    let second = PITLANE.run_on(&engine, &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, Some(1), "{second:?}");
    let wanted = format!("(process {})\n  next: stop that server, or name another folder", first.pid());
    assert!(second.stderr.contains(&wanted), "{second:?}");
    assert_eq!(second.stdout, "");
    assert_eq!(http::get(&format!("{}/readyz", first.url())).status, 200);
    first.kill9();
    PITLANE.serve(&engine, &[]).stop();
}

#[test]
fn two_servers_share_one_postgresql() {
    let engine = Engine::postgres();
    let (first, second) = (PITLANE.serve(&engine, &[]), PITLANE.serve(&engine, &[]));
    for server in [&first, &second] {
        assert_eq!(http::get(&format!("{}/readyz", server.url())).status, 200);
    }
    first.stop();
    assert_eq!(http::get(&format!("{}/readyz", second.url())).status, 200);
    second.stop();
}

/// A server that must not start, with its code and what it says on standard error.
#[track_caller]
fn refused(args: &[&str], wanted: &[&str]) {
    let ran = PITLANE.run(&[&["serve", "--listen", "127.0.0.1:0"], args].concat());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.stdout, "", "{ran:?}");
    for part in wanted.iter().chain(&["error: ", "\n  next: "]) {
        assert!(ran.stderr.contains(part), "no {part:?} in {ran:?}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    let ran = PITLANE.run(&["serve", "--listen", &address, "--data", &folder.join("data")]);
    assert_eq!(ran.code, Some(1));
    let wanted = format!("error: cannot listen on {address}\n  because: Address already in use");
    assert!(ran.stderr.contains(&wanted) && ran.stderr.contains("--listen"), "{ran:?}");
}

#[test]
fn a_data_folder_that_cannot_be_used_is_named() {
    let folder = Folder::new();
    // A file where the folder should be: unusable for root, too.
    let path = folder.file("data", "");
    refused(&["--data", &path], &[&format!("cannot write in {path}"), "--data"]);
}

#[test]
fn too_little_disk_is_told_with_both_figures() {
    let folder = Folder::new();
    let data = folder.join("data");
    refused(&["--data", &data, "--min-free-disk-mib", "1000000"], &["1000000 MiB are needed", &data]);
}

#[test]
fn a_postgresql_that_is_away_is_told_without_its_password() {
    let ran = PITLANE.run(&["serve", "--database", "postgres://pitlane:sesame@127.0.0.1:1/pitlane"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("cannot be reached") && ran.stderr.contains("\n  next: "), "{ran:?}");
    assert!(!ran.stderr.contains("sesame"), "{ran:?}");
}

#[test]
fn a_database_of_a_newer_program_is_left_alone() {
    for_each_engine(|engine| {
        PITLANE.serve(engine, &[]).stop();
        engine.execute(
            "insert into refinery_schema_history (version, name, applied_on, checksum) \
             values (999, 'future', '2027-01-01T00:00:00Z', '1')",
        );
        let ran = PITLANE.run_on(engine, &["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("schema version 999"), "{ran:?}");
    });
}

#[test]
fn an_answer_under_way_is_finished_before_the_end() {
    let engine = Engine::sqlite();
    let server = PITLANE.serve(&engine, &[]);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    // The server is in the middle of this request: its body is announced and not there yet.
    let head = "POST /postback HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Content-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.terminate();
    let address = server.address().to_owned();
    eventually("nobody new is let in", Duration::from_secs(30), || TcpStream::connect(&address).is_err());
    stream.write_all(b"a=b").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 4"), "an answer, and then the end: {answer:?}");
    server.stop();
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let engine = Engine::sqlite();
    let server = PITLANE.serve(&engine, &["--drain-timeout-ms", "600000"]);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    server.stop();
}

#[test]
fn a_shell_s_limit_of_open_files_does_not_limit_connections() {
    let engine = Engine::sqlite();
    let mut command = PITLANE.command_after("ulimit -Sn 64");
    command.args(["serve", "--listen", "127.0.0.1:0"]).args(engine.database_args());
    let server = Server::start(command);
    let mut streams: Vec<TcpStream> =
        (0..200).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    for stream in &mut streams {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    for stream in &mut streams {
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    server.stop();
}

#[test]
fn interrupt_ends_it_as_well() {
    let engine = Engine::sqlite();
    let mut server: Server = PITLANE.serve(&engine, &[]);
    server.interrupt();
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn the_log_is_text_for_people_when_asked() {
    let engine = Engine::sqlite();
    let server = PITLANE.serve(&engine, &["--log-format", "text"]);
    let line = until("the start's line", Duration::from_secs(30), || {
        server.log().into_iter().find(|line| line.contains("started"))
    });
    assert!(line.contains(" INFO ") && !line.starts_with('{'), "{line}");
    server.stop();
}
