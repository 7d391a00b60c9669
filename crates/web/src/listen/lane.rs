//! The lane of the clicks: an ordinary click's head is read where it lies, and its answer is written as bytes. What a
//! click does is in [`redirect`]; this is only how it comes and goes. A request, its headers in a map and an answer's,
//! as everything else has them, cost a click as much as all of its rules.

use std::future::poll_fn;
use std::net::IpAddr;
use std::task::Poll;

use tokio::io::AsyncWriteExt as _;

use crate::listen::answer::Pen;
use crate::listen::connection::{Inlet, Stop};
use crate::listen::watch::Watch;
use crate::redirect::{self, Ordinary};
use crate::router::Front;

/// A click whose head is longer is left to hyper.
const MAX_HEAD: usize = 16 * 1024;

/// Whether these bytes begin a request for a tracking link.
pub(super) fn is_click(bytes: &[u8]) -> bool {
    bytes.strip_prefix(b"GET ").is_some_and(|target| target.starts_with(redirect::PREFIX.as_bytes()))
}

/// What is to be done with a connection that the lane is through with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Close it.
    Close,
    /// Something came that is no ordinary click.
    Other,
}

/// A connection on which clicks come.
pub(super) struct Lane<'f> {
    front: &'f Front,
    peer: IpAddr,
    pub(super) inlet: Inlet,
    pen: Pen,
}

impl<'f> Lane<'f> {
    pub(super) fn new(front: &'f Front, inlet: Inlet, peer: IpAddr) -> Self {
        Self { front, peer, inlet, pen: Pen::default() }
    }

    /// Answers clicks as long as nothing else comes.
    pub(super) async fn answer(
        &mut self,
        watch: &Watch,
        stop: &mut Stop<'_, impl Future<Output = ()>>,
    ) -> Next {
        if self.inlet.bytes.is_empty() && !self.more(stop).await {
            return Next::Close;
        }
        loop {
            let site = &self.front.site;
            let bytes = &self.inlet.bytes;
            // What is not a click's is parsed by whoever answers it.
            let read = || Ordinary::read(bytes, self.peer, &site.app.settings.proxies);
            let click = is_click(bytes).then(read).flatten();
            let Some(click) = click.filter(|click| click.length <= site.limits.max_head_bytes) else {
                if self.is_cut_off() && self.more(stop).await {
                    continue;
                }
                return Next::Other;
            };
            watch.head_is_whole(false);
            let length = click.length;
            let reply = redirect::follow(&site.app, &site.meter, &click.asked, true).await;
            let stopping = poll_fn(|context| Poll::Ready(stop.poll(context))).await;
            let last = click.last || stopping;
            let (status, answer) = self.pen.write(reply, click.accept, last).await;
            watch.is_answered();
            site.meter.answered(status);
            if self.inlet.socket.write_all(answer).await.is_err() || last {
                return Next::Close;
            }
            self.inlet.bytes.drain(..length);
            if self.inlet.bytes.is_empty() && !self.more(stop).await {
                return Next::Close;
            }
        }
    }

    /// Whether more came; not when the other side has ended, or we do.
    async fn more(&mut self, stop: &mut Stop<'_, impl Future<Output = ()>>) -> bool {
        let more = poll_fn(|context| match self.inlet.poll_more(context) {
            Poll::Ready(read) => Poll::Ready(read.is_ok_and(|length| length > 0)),
            Poll::Pending if stop.poll(context) => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        });
        more.await
    }

    /// Whether the head of a click may go on where the room for it ended.
    fn is_cut_off(&self) -> bool {
        let bytes = &self.inlet.bytes;
        bytes.len() == bytes.capacity() && bytes.len() < MAX_HEAD && is_click(bytes)
    }
}
