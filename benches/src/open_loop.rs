//! Load at a fixed rate, whatever the server does, as visitors come.
//!
//! Every request has a moment at which it is due, and its latency counts from that moment, also when no connection was
//! free to send it. A server that stalls is not asked less, and every request that it held up counts (no coordinated
//! omission).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::failure::{During as _, Result};
use crate::http::Connection;
use crate::statistic::{Sample, float};
use crate::visit::Mix;

/// Timers are a millisecond coarse; the rest of a pause is spent looking at the clock.
const COARSE: Duration = Duration::from_millis(2);

/// What is asked, when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// Host and port.
    pub(crate) address: &'a str,
    /// Requests under way at most; the others wait, and their waiting counts.
    pub(crate) connections: usize,
    /// Infinite: whenever a connection is free.
    pub(crate) per_second: f64,
    pub(crate) seconds: f64,
    /// What no other run of this database has.
    pub(crate) tag: &'a str,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// 302 to where the offer leads.
    SentOn,
    /// 503: the server has too much to do.
    Busy,
    /// Anything else.
    Other,
}

/// One request; times are microseconds from the beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) due_us: f64,
    pub(crate) sent_us: f64,
    pub(crate) answered_us: f64,
    pub(crate) end: End,
}

/// A run.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Requests that were due.
    pub(crate) due: u64,
    /// Those that were sent: fewer when all connections were busy to the end.
    pub(crate) asked: Vec<Asked>,
    /// What the first of the other ends was, in words.
    pub(crate) other: Option<String>,
    per_second: f64,
    seconds: f64,
}

impl Seen {
    /// How many ended so.
    pub(crate) fn count(&self, end: End) -> u64 {
        self.asked.iter().filter(|asked| asked.end == end).count() as u64
    }

    /// How many ended so in each second of the run; what came behind its end does not count.
    pub(crate) fn per_second(&self, end: End) -> f64 {
        let in_time = |asked: &&Asked| asked.end == end && asked.answered_us <= self.seconds * 1e6;
        float(self.asked.iter().filter(in_time).count() as u64) / self.seconds
    }

    /// How many visitors still waited for a connection at the end.
    pub(crate) fn unserved(&self) -> u64 {
        self.due.saturating_sub(self.asked.len() as u64)
    }

    /// How long visitors waited, from when they came, in microseconds; those who still waited at the end, until then.
    pub(crate) fn waited_us(&self) -> Sample {
        // They are taken in their order, so the last ones are left.
        let unserved = (self.asked.len() as u64..self.due)
            .map(|number| (self.seconds - float(number) / self.per_second) * 1e6);
        self.asked.iter().map(|asked| asked.answered_us - asked.due_us).chain(unserved).collect()
    }

    /// How long answers took that ended so, from when they were asked for, in microseconds.
    pub(crate) fn answered_us(&self, end: End) -> Sample {
        let ended = self.asked.iter().filter(|asked| asked.end == end);
        ended.map(|asked| asked.answered_us - asked.sent_us).collect()
    }
}

/// Runs the plan.
pub(crate) async fn run(mix: &Arc<Mix>, plan: Plan<'_>) -> Result<Seen> {
    let mut connections = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        connections.push(Connection::open(plan.address).await?);
    }
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let visitors: Vec<_> = connections
        .into_iter()
        .map(|connection| {
            let (mix, next, tag) = (Arc::clone(mix), Arc::clone(&next), plan.tag.to_owned());
            let timetable = Timetable { began, per_second: plan.per_second, seconds: plan.seconds };
            tokio::spawn(visit(connection, mix, next, timetable, tag))
        })
        .collect();
    let (mut asked, mut other) = (Vec::new(), None);
    for visitor in visitors {
        let (own, own_other) = visitor.await.during("a visitor")??;
        asked.extend(own);
        other = other.or(own_other);
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let due = if plan.per_second.is_finite() {
        (plan.per_second * plan.seconds) as u64
    } else {
        asked.len() as u64
    };
    Ok(Seen { due, asked, other, per_second: plan.per_second, seconds: plan.seconds })
}

/// When which request is due.
#[derive(Debug, Clone, Copy)]
struct Timetable {
    began: Instant,
    per_second: f64,
    seconds: f64,
}

impl Timetable {
    /// Microseconds from the beginning; none behind the end.
    fn due_us(&self, number: usize) -> Option<f64> {
        let due_s = float(number as u64) / self.per_second;
        (due_s < self.seconds && self.elapsed_us() < self.seconds * 1e6).then_some(due_s * 1e6)
    }

    fn elapsed_us(&self) -> f64 {
        self.began.elapsed().as_secs_f64() * 1e6
    }

    async fn reach(&self, due_us: f64) {
        let at = self.began + Duration::from_secs_f64(due_us / 1e6);
        loop {
            let left = at.saturating_duration_since(Instant::now());
            match left.checked_sub(COARSE) {
                _ if left.is_zero() => return,
                Some(long) => tokio::time::sleep(long).await,
                None => tokio::task::yield_now().await,
            }
        }
    }
}

/// Takes the next request whenever the connection is free. Gives what became of each, and the first other end in words.
async fn visit(
    mut connection: Connection,
    mix: Arc<Mix>,
    next: Arc<AtomicUsize>,
    timetable: Timetable,
    tag: String,
) -> Result<(Vec<Asked>, Option<String>)> {
    let (mut all, mut other) = (Vec::new(), None);
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(due_us) = timetable.due_us(number) else { return Ok((all, other)) };
        timetable.reach(due_us).await;
        let request = mix.request(&tag, number);
        let sent_us = timetable.elapsed_us();
        let end = match connection.exchange(request.as_bytes()).await {
            Ok(answer) if answer.is_sent_on() => End::SentOn,
            Ok(answer) if answer.status == 503 => End::Busy,
            ended => {
                let said =
                    || ended.map_or_else(|failure| failure.to_string(), |answer| answer.head.to_owned());
                other.get_or_insert_with(said);
                End::Other
            }
        };
        let due_us = if timetable.per_second.is_finite() { due_us } else { sent_us };
        all.push(Asked { due_us, sent_us, answered_us: timetable.elapsed_us(), end });
    }
}
