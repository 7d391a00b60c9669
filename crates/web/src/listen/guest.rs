//! The socket as hyper sees it.
//!
//! Between two requests, and only where it is certain that the next byte begins one, what comes is looked at before
//! hyper is given it. A click is not given to hyper: it is left for the lane. The place is certain as long as hyper
//! has been given whole heads without a body, one at a time, and has sent the last answer to its last byte. After the
//! first request that is not like that, the connection is hyper's to its end.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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
        ready!(self.inlet.poll_more(context))?;
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::listen::watch::Watched;

    const PAGE: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    const CLICK: &[u8] = b"GET /api/v1/offer-link/redirect/0198 HTTP/1.1\r\n";

    /// A connection on which `bytes` have come already, and its other end.
    async fn guest(bytes: &[u8]) -> (Guest, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let watch = Watch::new();
        let socket = Watched::new(stream, watch.clone());
        (Guest::new(Inlet { socket, bytes: bytes.to_vec() }, watch), other)
    }

    /// What hyper reads; none when a click came.
    async fn read(guest: &mut Guest) -> Option<Vec<u8>> {
        let mut space = vec![0; 1024];
        let mut buffer = ReadBuf::new(&mut space);
        let watch = guest.watch.clone();
        let read = poll_fn(|context| match Pin::new(&mut *guest).poll_read(context, &mut buffer) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending if watch.has_click() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        read.await?.unwrap();
        Some(buffer.filled().to_vec())
    }

    async fn answer(guest: &mut Guest) {
        guest.watch.head_is_whole(false);
        guest.watch.is_answered();
        guest.watch.answer_is_whole();
        guest.flush().await.unwrap();
    }

    #[tokio::test]
    async fn a_click_between_two_requests_is_kept_back() {
        let (mut guest, mut other) = guest(PAGE).await;
        for _ in 0..2 {
            assert_eq!(read(&mut guest).await.unwrap(), PAGE);
            answer(&mut guest).await;
            other.write_all(PAGE).await.unwrap();
        }
        assert_eq!(read(&mut guest).await.unwrap(), PAGE);
        answer(&mut guest).await;
        other.write_all(CLICK).await.unwrap();
        assert_eq!(read(&mut guest).await, None);
        assert_eq!(guest.leave().bytes, CLICK);
    }

    #[tokio::test]
    async fn where_a_request_may_not_begin_everything_is_given() {
        let body =
            [b"POST /postback HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n".as_slice(), CLICK].concat();
        for first in [body, PAGE[..9].to_vec(), [PAGE, PAGE].concat(), PAGE.to_vec()] {
            let (mut guest, mut other) = guest(&first).await;
            assert_eq!(read(&mut guest).await.unwrap(), first);
            // What is read before the answer has gone may be anything.
            if first == PAGE {
                guest.watch.head_is_whole(false);
            } else {
                answer(&mut guest).await;
            }
            other.write_all(CLICK).await.unwrap();
            assert_eq!(read(&mut guest).await.unwrap(), CLICK);
            answer(&mut guest).await;
            other.write_all(CLICK).await.unwrap();
            assert_eq!(read(&mut guest).await.unwrap(), CLICK);
        }
    }
}
