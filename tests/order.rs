//! The order of things: no answer leaves before what it stands for is durable.
//!
//! A killed process keeps the system's page cache, so the crash tests cannot see a missing sync. The system calls can:
//! every 302 and 200 must leave after the end of a sync that began after the record was written (SQLite), or after
//! the commit was confirmed by the database server (PostgreSQL, whose own sync is a setting that is checked).

pub(crate) mod answer;
mod backend;
pub(crate) mod trace;
pub(crate) mod wal;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use testkit::Engine;
use uuid::Uuid;

use self::answer::{Answer, answers};
use self::trace::{CALLS, Call, Tracing};
use crate::PITLANE;
use crate::traffic::{Promise, Traffic, declare};
use crate::world::{Endpoint, TO_THIS_MACHINE};

/// Visitors at a time, and in all: few, because a traced process is slow.
const CLIENTS: usize = 16;
const VISITS: u64 = 150;

/// What a server under load did.
struct Observed {
    calls: Vec<Call>,
    answers: Vec<Answer>,
    traffic: Arc<Traffic>,
}

impl Observed {
    /// Everything that the answers speak of.
    fn records(&self) -> HashSet<Uuid> {
        self.answers.iter().flat_map(Answer::records).collect()
    }

    /// Checks that every promise that was received is among the answers that were seen to leave.
    fn is_complete(&self) {
        let unexpected = (self.traffic.refused().len(), self.traffic.strange().len(), self.traffic.owed());
        assert_eq!(unexpected, (0, 0, 0));
        let (seen, journal) = (self.records(), self.traffic.journal());
        for entry in &journal {
            let ids = match &entry.promise {
                Promise::Click(id) | Promise::Return(id) => vec![id],
                Promise::Postback { line, conversion, .. } => vec![line, conversion],
            };
            assert!(ids.iter().all(|id| seen.contains(id)), "not in the trace: {entry:?}");
        }
        let redirects = self.answers.iter().filter(|answer| answer.text.starts_with("HTTP/1.1 302")).count();
        assert!(redirects > 100 && journal.len() > 300, "{redirects} of {}", journal.len());
    }
}

/// Runs a server with traffic under `strace`.
fn observe(engine: &Engine, more: &[&str]) -> Observed {
    let endpoint = Endpoint::bind();
    let applied = declare(engine, &endpoint);
    let _partner = endpoint.start(vec![applied.signing_secret("partner", "app")]);
    let traffic = Traffic::new(&applied);
    let (server, tracing) = Tracing::start(&PITLANE.serve_command(engine, &TO_THIS_MACHINE), CALLS, more);
    traffic.begin(server.url(), CLIENTS, VISITS).end();
    let port = server.address().rsplit(':').next().unwrap().to_owned();
    server.stop();
    let calls = tracing.calls();
    Observed { answers: answers(&calls, &port), calls, traffic }
}

/// The answers that left too early: at least one thing that they speak of was not durable yet.
pub(crate) fn premature(answers: &[Answer], durable: &HashMap<Uuid, usize>) -> Vec<String> {
    let too_early = |answer: &&Answer| {
        answer.records().iter().any(|id| durable.get(id).is_none_or(|over| *over >= answer.line))
    };
    let shown = |answer: &Answer| {
        let over: Vec<_> = answer.records().iter().map(|id| durable.get(id).copied()).collect();
        format!("line {}: {}, durable at {over:?}", answer.line, answer.brief())
    };
    answers.iter().filter(too_early).map(shown).collect()
}

#[test]
fn no_answer_leaves_before_the_sync_that_covers_its_record() {
    let observed = observe(&Engine::sqlite(), &[]);
    let durable = wal::durable(&observed.calls, &observed.records());
    assert_eq!(premature(&observed.answers, &durable), Vec::<String>::new());
    observed.is_complete();
    // No write is for a file that a crash would throw away.
    let written = observed.calls.iter().filter(|call| call.name == "pwrite64");
    let elsewhere = written.filter(|call| !call.file.contains("/pitlane.db"));
    assert_eq!(elsewhere.map(|call| &call.file).collect::<HashSet<_>>(), HashSet::new());
}

/// The control: with `synchronous=OFF` there is no sync. The server refuses to run so, so the syncs are taken from it.
#[test]
fn the_check_fails_when_nothing_is_synced() {
    let observed = observe(&Engine::sqlite(), &["--inject=fsync,fdatasync:retval=0"]);
    let durable = wal::durable(&observed.calls, &observed.records());
    let speaking = observed.answers.iter().filter(|answer| !answer.records().is_empty()).count();
    assert_eq!(premature(&observed.answers, &durable).len(), speaking);
    observed.is_complete();
}

#[test]
fn no_answer_leaves_before_postgresql_has_confirmed_its_commit() {
    let engine = Engine::postgres();
    let Engine::Postgres { url, .. } = &engine else { unreachable!("PostgreSQL") };
    let port = url.port().unwrap_or(5432);
    let observed = observe(&engine, &[]);
    let durable = backend::durable(&observed.calls, &observed.records(), port);
    assert_eq!(premature(&observed.answers, &durable), Vec::<String>::new());
    observed.is_complete();
}
