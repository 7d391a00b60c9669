//! A file of conversions, worked through: row after row in short steps, with its result file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::time::Timestamp;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use store::upload::{self, Entry, Kind, Line, Position, Step};
use store::{Db, EngineKind, Error, rehearsal};
use tokio::sync::mpsc::Receiver;
use uuid::Uuid;

use super::column::Columns;
use super::result::ResultFile;
use super::scratch::Scratch;
use super::table::{Raw, Table};
use super::{ByFile, Desk, TRIES, may_pass, plain};
use crate::cli::say;
use crate::config::Effective;
use crate::failure::Failure;
use crate::terminal::line;
use crate::{clock, session, wire};

/// Rows in one write, so that no click or postback waits long behind it.
const AT_ONCE: usize = 100;
/// Failed rows that are told on the terminal; all of them are in the result file.
const TOLD: usize = 5;

/// Works through a file.
pub(super) fn run(asked: &ByFile, kind: Kind) -> Result<(), Failure> {
    let table = Table::open(&asked.file)?;
    let effective = asked.whose.place.clone().load()?;
    let done = session::run(&effective, async |db| work(db, &effective, asked, kind, &table).await)?;
    done.tell(asked)
}

/// What became of a file.
struct Done {
    counts: BTreeMap<String, i64>,
    /// Rows that were done before by a run that was interrupted.
    before: i64,
    failed: Vec<Line>,
    result: PathBuf,
}

async fn work(
    db: &Db,
    effective: &Effective,
    asked: &ByFile,
    kind: Kind,
    table: &Table,
) -> Result<Done, Failure> {
    let desk = Desk::open(db, effective).await?;
    let network = session::only_network(&desk.catalog, asked.whose.network.as_deref())?.id;
    let mut rows = table.rows();
    let header = next(&mut rows).await?;
    let header = header.and_then(|raw| raw.cells.ok());
    let header = header.ok_or_else(|| {
        let next = "its first row names the columns; save it as CSV UTF-8 or as XLSX";
        Failure::usage("the file has no first row that can be read").next(next)
    })?;
    let columns = Columns::read(kind, &header)?;
    let name = asked.file.file_name().map(|name| name.to_string_lossy().into_owned());
    let file = upload::File {
        network,
        kind,
        hash: table.hash,
        name: plain(&name.unwrap_or_default(), 255).unwrap_or_default(),
        actor: asked.whose.actor(),
    };
    let scratch = if asked.dry_run { Some(Scratch::open(effective).await?) } else { None };
    let result = result_path(asked);
    let mut run = Run { desk, scratch, file: Arc::new(file), columns, rows, began: clock::ambient().now() };
    let (position, mut result_file) = run.begin(asked, &result).await?;
    let bar = bar(table, if asked.dry_run { "Trying" } else { "Working" });
    let mut done =
        Done { counts: position.counts.clone(), before: position.done, failed: Vec::new(), result };
    let mut at = position.done;
    loop {
        let (entries, read) = run.take().await?;
        if entries.is_empty() {
            break;
        }
        let taken = i64::try_from(entries.len()).unwrap_or(i64::MAX);
        let lines = run.step(position.id, at, entries).await?;
        result_file.write(&lines)?;
        at += taken;
        bar.set_message(counted(at));
        bar.set_position(read);
        done.add(lines);
    }
    run.finish(position.id).await?;
    bar.finish_and_clear();
    Ok(done)
}

/// A file that is being worked on.
struct Run<'a> {
    desk: Desk<'a>,
    /// Where a dry run works instead of the record.
    scratch: Option<Scratch>,
    file: Arc<upload::File>,
    columns: Columns,
    rows: Receiver<Result<Raw, Failure>>,
    began: Timestamp,
}

impl Run<'_> {
    /// Finds the place to begin at, and the result file there; then says in the record that it begins.
    async fn begin(&mut self, asked: &ByFile, result: &Path) -> Result<(Position, ResultFile), Failure> {
        if let Some(scratch) = &self.scratch {
            let result = ResultFile::begin(result, &asked.file)?;
            let file = Arc::clone(&self.file);
            let begun = scratch.db.write(move |tx| upload::begin(tx, clock::ambient(), &file)).await;
            return Ok((self.desk.told(begun)?, result));
        }
        let file = Arc::clone(&self.file);
        let found = self.desk.db.read(move |tx| upload::find(tx, &file)).await;
        let found = self.desk.told(found)?.filter(|found| !found.finished && found.done > 0);
        let mut last_row = 0;
        for _ in 0..found.as_ref().map_or(0, |found| found.done) {
            last_row = next(&mut self.rows).await?.map_or(last_row, |raw| raw.number);
        }
        let result = match &found {
            Some(found) => ResultFile::go_on(result, &asked.file, last_row, &found.last_lines)?,
            None => ResultFile::begin(result, &asked.file)?,
        };
        let file = Arc::clone(&self.file);
        let begun = self.desk.write(move |tx, _| upload::begin(tx, clock::ambient(), &file)).await;
        let begun = self.desk.told(begun)?;
        if begun.done == found.map_or(0, |found| found.done) { Ok((begun, result)) } else { Err(elsewhere()) }
    }

    /// The next rows, and how many bytes of the file are read with them.
    async fn take(&mut self) -> Result<(Vec<Entry>, u64), Failure> {
        let (mut entries, mut read) = (Vec::new(), 0);
        let now = clock::ambient().now();
        while entries.len() < AT_ONCE {
            let Some(raw) = next(&mut self.rows).await? else { break };
            read = raw.position;
            entries.push(self.columns.entry(&raw, now));
        }
        Ok((entries, read))
    }

    async fn step(&mut self, id: Uuid, done: i64, entries: Vec<Entry>) -> Result<Vec<Line>, Failure> {
        let step = Arc::new(Step { id, file: Arc::clone(&self.file), done, entries: entries.into() });
        if self.scratch.is_some() {
            let lines = self.rehearse(&step).await;
            return self.desk.told(lines)?.ok_or_else(elsewhere);
        }
        let started = Instant::now();
        let written =
            self.desk.write(move |tx, catalog| upload::advance(tx, catalog, clock::ambient(), &step)).await;
        if self.desk.db.engine() == EngineKind::Sqlite {
            // It has one writer for all processes: a server's clicks come in between.
            tokio::time::sleep(started.elapsed() / 2).await;
        }
        let lines = written.map_err(|error| {
            let next = format!("run it again: it goes on behind the first {done} rows");
            wire::database_failure(error, &self.desk.effective.target).next(next)
        })?;
        lines.ok_or_else(elsewhere)
    }

    /// A step on the scratch database, by the same code.
    async fn rehearse(&mut self, step: &Arc<Step>) -> Result<Option<Vec<Line>>, Error> {
        let Some(scratch) = &self.scratch else { return Ok(None) };
        let mut tries = 0;
        loop {
            let now = clock::ambient().now();
            let prepared = rehearsal::prepare(self.desk.db, &scratch.db, &self.desk.catalog, step, now).await;
            match prepared {
                Err(error) if tries < TRIES && may_pass(&error) => {
                    tries += 1;
                    self.desk.refresh().await?;
                }
                prepared => break prepared?,
            }
        }
        let (step, catalog) = (Arc::clone(step), Arc::clone(&self.desk.catalog));
        let lines =
            scratch.db.write(move |tx| upload::rehearse(tx, &catalog, clock::ambient(), &step)).await?;
        Ok(lines.map(|lines| lines.into_iter().map(|line| self.without_fresh_id(line)).collect()))
    }

    /// A conversion that only the rehearsal has made has no id worth telling.
    fn without_fresh_id(&self, line: Line) -> Line {
        let fresh = |id: domain::id::ConversionId| domain::id::ClickId(id.uuid()).at() >= self.began;
        Line { conversion: line.conversion.filter(|id| !fresh(*id)), ..line }
    }

    async fn finish(mut self, id: Uuid) -> Result<(), Failure> {
        if let Some(scratch) = self.scratch {
            scratch.db.close().await;
            return Ok(());
        }
        let file = Arc::clone(&self.file);
        let done = self.desk.write(move |tx, _| upload::finish(tx, clock::ambient(), id, &file)).await;
        self.desk.told(done)
    }
}

impl Done {
    fn add(&mut self, lines: Vec<Line>) {
        for line in lines {
            *self.counts.entry(line.code.clone()).or_default() += 1;
            if has_failed(&line.code) && self.failed.len() < TOLD {
                self.failed.push(line);
            }
        }
    }

    fn tell(&self, asked: &ByFile) -> Result<(), Failure> {
        let rows: i64 = self.counts.values().sum();
        let failed: i64 =
            self.counts.iter().filter(|(code, _)| has_failed(code)).map(|(_, count)| count).sum();
        let result = self.result.display().to_string();
        if asked.whose.json {
            let object = json!({
                "file": asked.file.display().to_string(),
                "dry_run": asked.dry_run,
                "rows": rows,
                "failed": failed,
                "continued_behind": self.before,
                "outcomes": self.counts,
                "result": result,
            });
            say(&format!("{object:#}\n"))?;
        } else {
            say(&self.text(asked, rows))?;
        }
        if failed == 0 {
            return Ok(());
        }
        let next = format!("mend those rows ({result} says what is wrong) and give the file again");
        Err(Failure::new(format!("{failed} of {} failed", counted(rows))).next(next))
    }

    fn text(&self, asked: &ByFile, rows: i64) -> String {
        let mut text = String::new();
        if self.before > 0 {
            // Writing into a String cannot fail, here and below.
            let before = counted(self.before);
            let _ = writeln!(text, "Continued behind the first {before}, which an earlier run did.");
        }
        let name = asked.file.display();
        let dry = if asked.dry_run { " A dry run: nothing was written." } else { "" };
        let _ = writeln!(text, "{name}: {}.{dry}", counted(rows));
        let width = self.counts.keys().map(String::len).max().unwrap_or(0);
        for (code, count) in &self.counts {
            let _ = writeln!(text, "  {code:width$}  {count}");
        }
        for own in &self.failed {
            let _ = writeln!(text, "row {}: {}: {}", own.row, own.code, line(&own.message, 200));
        }
        let _ = writeln!(text, "Row by row: {}", self.result.display());
        text
    }
}

/// Whether a row did nothing of what it asked for. What is recorded as rejected, as evidence, is done.
fn has_failed(code: &str) -> bool {
    let done = ["changed", "unchanged", "recorded", "updated", "duplicate", "member_already_completed"];
    !done.contains(&code) && !code.starts_with("rejected:")
}

fn counted(rows: i64) -> String {
    if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") }
}

fn result_path(asked: &ByFile) -> PathBuf {
    let ending = if asked.dry_run { "dry-run.csv" } else { "result.csv" };
    asked.result.clone().unwrap_or_else(|| {
        let name = asked.file.file_name().unwrap_or_default().to_string_lossy();
        asked.file.with_file_name(format!("{name}.{ending}"))
    })
}

async fn next(rows: &mut Receiver<Result<Raw, Failure>>) -> Result<Option<Raw>, Failure> {
    rows.recv().await.transpose()
}

fn elsewhere() -> Failure {
    Failure::new("another run works on the same file").next("wait for its end, and run this again")
}

/// Drawn on a terminal, and nothing elsewhere.
fn bar(table: &Table, what: &'static str) -> ProgressBar {
    let (bar, template) = if table.is_sheet() {
        (ProgressBar::new_spinner(), "{spinner} {prefix}: {msg}")
    } else {
        (ProgressBar::new(table.bytes), "{prefix} {bar:40} {percent:>3} %  {msg}, {eta} left")
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    let style = ProgressStyle::with_template(template);
    bar.with_prefix(what).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
