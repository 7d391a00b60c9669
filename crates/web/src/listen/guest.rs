//! The socket as hyper sees it.
//!
//! Between two requests, and only where it is certain that the next byte begins one, what comes is looked at before
//! hyper is given it. A click is not given to hyper: it is left for the lane. The place is certain as long as hyper
//! has been given whole heads without a body, one at a time, and has sent the last answer to its last byte. After the
//! first request that is not like that, the connection is hyper's to its end.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use crate::head;
use crate::listen::connection::Inlet;
use crate::listen::lane;
use crate::listen::watch::Watch;

/// A connection that hyper answers.
pub(super) struct Guest {
    inlet: Inlet,
    watch: Watch,
    /// All that hyper was given were whole requests without a body, one at a time.
    plain: bool,
    /// Nothing of the last answer is left to be sent.
    sent: bool,
}

impl Guest {
    /// Hyper will be given the bytes that have come first.
    pub(super) fn new(inlet: Inlet, watch: Watch) -> Self {
        let plain = head::is_plain(&inlet.bytes);
        Self { inlet, watch, plain, sent: false }
    }

    /// What is left when hyper is done: nothing, or a click.
    pub(super) fn leave(self) -> Inlet {
        self.inlet
    }

    /// Whether the next byte is the first of a request.
    fn is_between(&self) -> bool {
        self.plain && self.sent && self.watch.is_over()
    }

    /// Reads what begins the next request; waits for ever when that is a click's.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(pin!(self.inlet.socket.read_buf(&mut self.inlet.bytes)).poll(context))?;
        if lane::is_click(&self.inlet.bytes) {
            self.watch.click_came();
            return Poll::Pending;
        }
        self.plain = head::is_plain(&self.inlet.bytes);
        self.sent = false;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Guest {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.inlet.bytes.is_empty() {
            if !self.is_between() {
                let before = buffer.filled().len();
                ready!(Pin::new(&mut self.inlet.socket).poll_read(context, buffer))?;
                self.plain &= buffer.filled().len() == before;
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_next(context))?;
        }
        let given = buffer.remaining().min(self.inlet.bytes.len());
        buffer.put_slice(&self.inlet.bytes[..given]);
        self.inlet.bytes.drain(..given);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guest {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inlet.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inlet.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inlet.socket.is_write_vectored()
    }

    /// Hyper flushes when it has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sent |= self.watch.is_over();
        Pin::new(&mut self.inlet.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inlet.socket).poll_shutdown(context)
    }
}
