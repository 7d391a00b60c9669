//! What waits for the engine: closures and click-log rows, gathered into bounded batches while the previous
//! batch is being committed. Everybody in a batch waits on the batch's one completion.

use std::collections::VecDeque;
use std::error::Error as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::completion::{Completion, Refused};
use crate::db::Job;
use crate::error::{Error, Mistake};
use crate::value::Value;

/// Things that share one commit and one completion.
pub(crate) struct Batch<T> {
    pub(crate) items: Vec<T>,
    pub(crate) queued_at: Instant,
    done: Arc<Completion>,
}

impl<T> Batch<T> {
    fn new(items: Vec<T>) -> Self {
        Self { items, queued_at: Instant::now(), done: Arc::default() }
    }

    pub(crate) fn finish(&self, outcome: Result<Refused, Error>) {
        self.done.finish(outcome);
    }
}

impl<T> Drop for Batch<T> {
    fn drop(&mut self) {
        // Without this, a thread that dies would leave its callers waiting for ever.
        self.done.finish(Err(Error::bug("batch", Mistake::Abandoned)));
    }
}

/// A bounded queue of batches.
struct Lane<T> {
    batches: VecDeque<Batch<T>>,
    queued: usize,
    limit: usize,
    per_batch: usize,
}

impl<T> Lane<T> {
    fn new(limit: usize, per_batch: usize) -> Self {
        Self { batches: VecDeque::new(), queued: 0, limit, per_batch }
    }

    /// Joins the last batch or starts one; returns its completion and the place in it.
    fn push(&mut self, item: T) -> Result<(Arc<Completion>, usize), Error> {
        if self.queued >= self.limit {
            return Err(Error::Overloaded);
        }
        self.queued += 1;
        if let Some(batch) = self.batches.back_mut().filter(|batch| batch.items.len() < self.per_batch) {
            batch.items.push(item);
            return Ok((Arc::clone(&batch.done), batch.items.len() - 1));
        }
        let batch = Batch::new(vec![item]);
        let done = Arc::clone(&batch.done);
        self.batches.push_back(batch);
        Ok((done, 0))
    }

    fn pop(&mut self) -> Option<Batch<T>> {
        let batch = self.batches.pop_front()?;
        self.queued -= batch.items.len();
        Some(batch)
    }

    fn lag(&self) -> Duration {
        self.batches.front().map_or(Duration::ZERO, |batch| batch.queued_at.elapsed())
    }
}

/// Wakes one sleeping worker; a push to a busy engine costs no system call.
#[derive(Default)]
struct Signal {
    condvar: Condvar,
    sleepers: AtomicUsize,
}

impl Signal {
    // Both are called under the lock of the lanes, so the counter needs no ordering of its own.
    fn wake_one(&self) {
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            self.sleepers.fetch_sub(1, Ordering::Relaxed);
            self.condvar.notify_one();
        }
    }

    fn sleep<'a>(&self, lanes: MutexGuard<'a, Lanes>) -> MutexGuard<'a, Lanes> {
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        self.condvar.wait(lanes).unwrap_or_else(PoisonError::into_inner)
    }
}

struct Lanes {
    writes: Lane<Box<dyn Job>>,
    rows: Lane<Vec<Value>>,
    reads: Lane<Box<dyn Job>>,
    closed: bool,
}

/// How many items may wait, and how many share a commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) queued_writes: usize,
    pub(crate) queued_rows: usize,
    pub(crate) queued_reads: usize,
    pub(crate) writes_per_commit: usize,
    pub(crate) rows_per_commit: usize,
    /// One worker takes writes and rows into the same commit.
    pub(crate) one_writer: bool,
}

/// The queues between the callers and the engine's threads.
pub(crate) struct Inbox {
    lanes: Mutex<Lanes>,
    writes: Arc<Signal>,
    rows: Arc<Signal>,
    reads: Signal,
    closing: Condvar,
    pub(crate) meter: Meter,
}

impl Inbox {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let writes = Arc::<Signal>::default();
        let rows = if bounds.one_writer { Arc::clone(&writes) } else { Arc::default() };
        let lanes = Lanes {
            writes: Lane::new(bounds.queued_writes, bounds.writes_per_commit),
            rows: Lane::new(bounds.queued_rows, bounds.rows_per_commit),
            reads: Lane::new(bounds.queued_reads, 1),
            closed: false,
        };
        let (reads, closing, meter) = (Signal::default(), Condvar::new(), Meter::default());
        Self { lanes: Mutex::new(lanes), writes, rows, reads, closing, meter }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_lanes(&self) -> Result<MutexGuard<'_, Lanes>, Error> {
        let lanes = self.lanes();
        if lanes.closed { Err(Error::Closed) } else { Ok(lanes) }
    }

    pub(crate) fn push_write(&self, job: Box<dyn Job>) -> Result<Arc<Completion>, Error> {
        let mut lanes = self.open_lanes()?;
        let (done, _) = lanes.writes.push(job)?;
        self.writes.wake_one();
        Ok(done)
    }

    pub(crate) fn push_row(&self, row: Vec<Value>) -> Result<(Arc<Completion>, usize), Error> {
        let mut lanes = self.open_lanes()?;
        let place = lanes.rows.push(row)?;
        self.rows.wake_one();
        Ok(place)
    }

    pub(crate) fn push_read(&self, job: Box<dyn Job>) -> Result<Arc<Completion>, Error> {
        let mut lanes = self.open_lanes()?;
        let (done, _) = lanes.reads.push(job)?;
        self.reads.wake_one();
        Ok(done)
    }

    /// Blocks until `take` finds something; none when the store is closed and drained.
    fn next<T>(&self, signal: &Signal, take: impl Fn(&mut Lanes) -> Option<T>) -> Option<T> {
        let mut lanes = self.lanes();
        loop {
            if let Some(work) = take(&mut lanes) {
                return Some(work);
            }
            if lanes.closed {
                return None;
            }
            lanes = signal.sleep(lanes);
        }
    }

    /// The next batches of closures and of rows, for the one writer that commits both together.
    #[expect(clippy::type_complexity, reason = "two batches, either may be absent")]
    pub(crate) fn next_commit(&self) -> Option<(Option<Batch<Box<dyn Job>>>, Option<Batch<Vec<Value>>>)> {
        self.next(&self.writes, |lanes| {
            let work = (lanes.writes.pop(), lanes.rows.pop());
            (work.0.is_some() || work.1.is_some()).then_some(work)
        })
    }

    pub(crate) fn next_write(&self) -> Option<Batch<Box<dyn Job>>> {
        self.next(&self.writes, |lanes| lanes.writes.pop())
    }

    pub(crate) fn next_rows(&self) -> Option<Batch<Vec<Value>>> {
        self.next(&self.rows, |lanes| lanes.rows.pop())
    }

    pub(crate) fn next_read(&self) -> Option<Batch<Box<dyn Job>>> {
        self.next(&self.reads, |lanes| lanes.reads.pop())
    }

    /// Waits for so long, or until the store is closed. Whether it is open still.
    pub(crate) fn is_open_after(&self, pause: Duration) -> bool {
        let lanes = self.lanes();
        let waited = self.closing.wait_timeout_while(lanes, pause, |lanes| !lanes.closed);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Refuses new work; the workers finish what is queued and end.
    pub(crate) fn close(&self) {
        self.lanes().closed = true;
        self.closing.notify_all();
        for signal in [&*self.writes, &*self.rows, &self.reads] {
            signal.condvar.notify_all();
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let lanes = self.lanes();
        let lag = lanes.writes.lag().max(lanes.rows.lag());
        Stats {
            queued_writes: lanes.writes.queued,
            queued_rows: lanes.rows.queued,
            queued_reads: lanes.reads.queued,
            lag_ms: u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
            commits: self.meter.commits.load(Ordering::Relaxed),
            rows: self.meter.rows.load(Ordering::Relaxed),
            failures: self.meter.failures.load(Ordering::Relaxed),
            last_commit_us: self.meter.last_commit_us.load(Ordering::Relaxed),
            full: self.meter.full.load(Ordering::Relaxed),
        }
    }
}

/// What the engine's threads count. Logs when commits begin to fail and when they work again, not each of them.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    failing: AtomicBool,
    commits: AtomicU64,
    rows: AtomicU64,
    failures: AtomicU64,
    last_commit_us: AtomicU64,
    full: AtomicBool,
}

impl Meter {
    pub(crate) fn committed(&self, rows: usize, took: Duration) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(u64::try_from(rows).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.last_commit_us.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.full.store(false, Ordering::Relaxed);
        if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("commits work again");
        }
    }

    pub(crate) fn failed(&self, error: &Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.full.store(matches!(error, Error::Full(_)), Ordering::Relaxed);
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, cause = error.source().map(tracing::field::display), "commits fail");
        }
    }
}

/// A snapshot of the queues and the engine, for metrics and readiness. Counts are since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Write closures that wait now.
    pub queued_writes: usize,
    /// Click-log rows that wait now.
    pub queued_rows: usize,
    /// Read closures that wait now.
    pub queued_reads: usize,
    /// How long the oldest waiting write or row has waited, in milliseconds.
    pub lag_ms: u64,
    /// Commits that became durable.
    pub commits: u64,
    /// Click-log rows that became durable.
    pub rows: u64,
    /// Commits that failed as a whole.
    pub failures: u64,
    /// Duration of the last commit from its begin, in microseconds.
    pub last_commit_us: u64,
    /// The last commit failed for lack of space.
    pub full: bool,
}
