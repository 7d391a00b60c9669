//! Watches how long a connection takes over each part of its life. The socket notes where the connection stands; one
//! timer per connection looks at the note from time to time. A request arms and disarms no timer.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::listen::Limits;

/// How long a closing connection may go on sending what nobody reads any more.
const LINGER: Duration = Duration::from_secs(2);

/// How much of that is taken.
const MAX_LINGER_BYTES: usize = 4 * 1024 * 1024;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Nothing has come yet.
    FirstByte,
    /// A request's head is coming.
    Head,
    /// A request is being answered.
    Answer,
    /// An answer has gone, or is going; the next request has not begun.
    Idle,
}

const PARTS: [Part; 4] = [Part::FirstByte, Part::Head, Part::Answer, Part::Idle];

/// Where one connection stands, and since when. Clones share it; all of them live in the connection's own task.
#[derive(Debug, Clone)]
pub(super) struct Watch(Arc<Note>);

#[derive(Debug)]
struct Note {
    began: Instant,
    /// Milliseconds after `began`, four times, plus the part.
    at: AtomicU64,
    /// Whether the last request had a body. It may have been answered before all of that was read.
    body: AtomicBool,
    /// Whether the last answer is there to its last byte.
    whole: AtomicBool,
    /// Whether a click has come between two requests that hyper answers.
    click: AtomicBool,
}

impl Watch {
    pub(super) fn new() -> Self {
        let at = AtomicU64::new(Part::FirstByte as u64);
        let no = || AtomicBool::new(false);
        Self(Arc::new(Note { began: Instant::now(), at, body: no(), whole: no(), click: no() }))
    }

    /// The head of a request is whole. Its time counts on: an answer is due from the first byte of its request.
    pub(super) fn head_is_whole(&self, has_body: bool) {
        self.0.body.store(has_body, Ordering::Relaxed);
        self.0.whole.store(false, Ordering::Relaxed);
        let (_, since_ms) = self.read();
        self.write(Part::Answer, since_ms);
    }

    /// The answer is made and goes out. Bytes on the wire would not tell: `100 Continue` goes out before it.
    pub(super) fn is_answered(&self) {
        self.write(Part::Idle, self.now_ms());
    }

    /// All of the answer's body has been taken to be sent.
    pub(super) fn answer_is_whole(&self) {
        self.0.whole.store(true, Ordering::Relaxed);
    }

    /// Whether the last request is answered to the last byte, sent or about to be.
    pub(super) fn is_over(&self) -> bool {
        self.read().0 == Part::Idle && self.0.whole.load(Ordering::Relaxed)
    }

    /// A click has come, which is not hyper's.
    pub(super) fn click_came(&self) {
        self.0.click.store(true, Ordering::Relaxed);
    }

    /// Whether a click has come; it is told once.
    pub(super) fn has_click(&self) -> bool {
        self.0.click.swap(false, Ordering::Relaxed)
    }

    /// Returns when a part has taken longer than its limit, within one more `head_timeout`.
    pub(super) async fn overdue(self, limits: &Limits) {
        while let Some(pause) = self.next_look(limits, self.now_ms()) {
            sleep(pause).await;
        }
    }

    /// How long to wait before looking again; none when the present part has taken too long.
    fn next_look(&self, limits: &Limits, now_ms: u64) -> Option<Duration> {
        let (part, since_ms) = self.read();
        let limit = match part {
            Part::FirstByte => limits.first_byte_timeout,
            Part::Head => limits.head_timeout,
            Part::Answer => limits.answer_timeout,
            Part::Idle => limits.idle_timeout,
        };
        let left = limit.saturating_sub(Duration::from_millis(now_ms.saturating_sub(since_ms)));
        // Meanwhile the part may change to one that ends sooner, the soonest being a head.
        (!left.is_zero()).then_some(left.min(limits.head_timeout))
    }

    /// Bytes came in.
    fn heard(&self) {
        self.heard_at(|| self.now_ms());
    }

    /// Bytes that come while a request is being answered are its body, or the next one's business.
    fn heard_at(&self, now_ms: impl FnOnce() -> u64) {
        if matches!(self.read().0, Part::FirstByte | Part::Idle) {
            self.write(Part::Head, now_ms());
        }
    }

    /// Whether the other side is likely to be in the middle of a request.
    fn may_be_interrupted(&self) -> bool {
        self.read().0 == Part::Head || self.0.body.load(Ordering::Relaxed)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX / 4)
    }

    fn read(&self) -> (Part, u64) {
        let note = self.0.at.load(Ordering::Relaxed);
        (PARTS[usize::try_from(note % 4).unwrap_or(0)], note / 4)
    }

    fn write(&self, part: Part, since_ms: u64) {
        self.0.at.store(since_ms * 4 + part as u64, Ordering::Relaxed);
    }
}

/// A socket that notes what passes, and closes so that the other side can still read the last answer.
pub(super) struct Watched {
    stream: TcpStream,
    watch: Watch,
    closing: Option<Closing>,
}

/// Our side has closed; what still comes in is taken and thrown away. Closing with unread bytes would reset the
/// connection, and the answer that says what was wrong with them could be lost on its way.
struct Closing {
    /// Whether more is likely to come: a request may have been interrupted, or something has come.
    more: bool,
    taken_bytes: usize,
    until: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, watch: Watch) -> Self {
        Self { stream, watch, closing: None }
    }
}

impl Closing {
    fn poll(&mut self, stream: &mut TcpStream, context: &mut Context<'_>) -> Poll<()> {
        while self.taken_bytes < MAX_LINGER_BYTES {
            let mut space = [MaybeUninit::uninit(); 4096];
            let mut bytes = ReadBuf::uninit(&mut space);
            match Pin::new(&mut *stream).poll_read(context, &mut bytes) {
                Poll::Ready(Ok(())) if !bytes.filled().is_empty() => {
                    self.taken_bytes += bytes.filled().len();
                    self.more = true;
                }
                Poll::Pending if self.more => {
                    let until = self.until.get_or_insert_with(|| Box::pin(sleep(LINGER)));
                    return until.as_mut().poll(context);
                }
                // The other side has closed as well, or had nothing more to say.
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.watch.heard();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        let more = this.watch.may_be_interrupted();
        let closing = this.closing.get_or_insert(Closing { more, taken_bytes: 0, until: None });
        closing.poll(&mut this.stream, context).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            first_byte_timeout: Duration::from_secs(3),
            head_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_mins(1),
            ..Limits::default()
        }
    }

    /// How long until the next look, in milliseconds; none when overdue.
    fn look(watch: &Watch, now_ms: u64) -> Option<u128> {
        watch.next_look(&limits(), now_ms).map(|pause| pause.as_millis())
    }

    #[test]
    fn every_part_has_its_limit() {
        let watch = Watch::new();
        assert_eq!(look(&watch, 2_999), Some(1));
        assert_eq!(look(&watch, 3_000), None);
        watch.heard_at(|| 2_000);
        assert_eq!(look(&watch, 3_999), Some(1));
        assert_eq!(look(&watch, 4_000), None);
        watch.head_is_whole(false);
        watch.heard_at(|| 3_000);
        // Counted from the first byte of the request.
        assert_eq!(look(&watch, 31_999), Some(1));
        assert_eq!(look(&watch, 32_000), None);
        watch.write(Part::Idle, 20_000);
        assert_eq!(look(&watch, 79_999), Some(1));
        assert_eq!(look(&watch, 80_000), None);
        watch.heard_at(|| 79_000);
        assert_eq!(look(&watch, 81_000), None);
    }

    #[test]
    fn bytes_that_drip_do_not_start_the_head_anew() {
        let watch = Watch::new();
        watch.heard_at(|| 100);
        watch.heard_at(|| 1_900);
        assert!(watch.may_be_interrupted());
        assert_eq!(look(&watch, 2_099), Some(1));
        assert_eq!(look(&watch, 2_100), None);
    }

    #[test]
    fn no_pause_is_longer_than_a_head_may_take() {
        let watch = Watch::new();
        watch.heard_at(|| 0);
        watch.head_is_whole(false);
        assert_eq!(look(&watch, 0), Some(2_000));
        watch.write(Part::Idle, 0);
        assert_eq!(look(&watch, 0), Some(2_000));
    }

    #[tokio::test]
    async fn a_connection_without_time_is_overdue_at_once() {
        Watch::new().overdue(&Limits { first_byte_timeout: Duration::ZERO, ..limits() }).await;
    }
}
