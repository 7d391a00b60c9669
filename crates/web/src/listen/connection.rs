//! The life of a connection: ordinary clicks are answered where their bytes lie ([`lane`](super::lane)), everything
//! else by hyper, and a connection goes from one to the other as often as its requests do.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::Request;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch::Receiver;

use crate::listen::guest::Guest;
use crate::listen::lane::{Lane, Next};
use crate::listen::watch::{Watch, Watched};
use crate::router::{Answer, Front};

/// Attends to the connections of one listener.
pub(super) struct Reception {
    front: Front,
    http: http1::Builder,
}

/// A socket, and what came of it and was not taken yet.
pub(super) struct Inlet {
    pub(super) socket: Watched,
    pub(super) bytes: Vec<u8>,
}

/// Room for the head of a usual click.
const USUAL_HEAD: usize = 2 * 1024;

impl Inlet {
    /// Reads what has come, as far as there is room for it, and makes room when there is little; 0 when the other side
    /// has ended.
    pub(super) fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.bytes.capacity() - self.bytes.len() < USUAL_HEAD / 4 {
            self.bytes.reserve(USUAL_HEAD.max(self.bytes.len()));
        }
        pin!(self.socket.read_buf(&mut self.bytes)).poll(context)
    }
}

impl Reception {
    pub(super) fn new(front: Front) -> Self {
        let mut http = http1::Builder::new();
        // The waits are watched by `Watch`, which costs no timer per request.
        http.header_read_timeout(None).max_buf_size(front.site.limits.max_head_bytes.max(8 * 1024));
        Self { front, http }
    }

    /// Answers the requests of a connection until it ends, takes too long over something, or `stopping` says so; the
    /// request that is being answered then is answered.
    pub(super) async fn attend(&self, stream: TcpStream, peer: IpAddr, stopping: Receiver<bool>) {
        let watch = Watch::new();
        let inlet = Inlet { socket: Watched::new(stream, watch.clone()), bytes: Vec::new() };
        tokio::select! {
            () = self.converse(inlet, &watch, peer, stopping) => {}
            () = watch.clone().overdue(&self.front.site.limits) => {}
        }
    }

    async fn converse(&self, inlet: Inlet, watch: &Watch, peer: IpAddr, mut stopping: Receiver<bool>) {
        let stop = pin!(async move {
            // A sender that is gone means the same as a word to stop.
            let _ = stopping.wait_for(|stop| *stop).await;
        });
        let mut stop = Stop { word: stop, has_come: false };
        let mut lane = Lane::new(&self.front, inlet, peer);
        while lane.answer(watch, &mut stop).await == Next::Other {
            // Far larger than a lane, and most connections do without.
            let page = Box::pin(self.page(lane.inlet, watch, peer, &mut stop));
            let Some(inlet) = page.await else { return };
            lane = Lane::new(&self.front, inlet, peer);
        }
        // Whoever is gone already is told nothing.
        let _ = lane.inlet.socket.shutdown().await;
    }

    /// Lets hyper answer, until a click comes for the lane; none when the connection is over.
    async fn page(
        &self,
        inlet: Inlet,
        watch: &Watch,
        peer: IpAddr,
        stop: &mut Stop<'_, impl Future<Output = ()>>,
    ) -> Option<Inlet> {
        let service = service_fn(|request: Request<Incoming>| {
            watch.head_is_whole(!request.body().is_end_stream());
            async move {
                let answer = self.front.answer(peer, request).await;
                watch.is_answered();
                Ok::<_, Infallible>(answer.map(|body| Sent { body, watch: watch.clone() }))
            }
        });
        let guest = TokioIo::new(Guest::new(inlet, watch.clone()));
        let mut connection = self.http.serve_connection(guest, service);
        let mut told = false;
        let click_came = poll_fn(|context| {
            if !told && stop.poll(context) {
                told = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            match Pin::new(&mut connection).poll(context) {
                // By an error whenever the other side went away, which is its business.
                Poll::Ready(_) => Poll::Ready(false),
                Poll::Pending if watch.has_click() => Poll::Ready(true),
                Poll::Pending => Poll::Pending,
            }
        });
        click_came.await.then(|| connection.into_parts().io.into_inner().leave())
    }
}

/// The word that the server stops.
pub(super) struct Stop<'f, F> {
    word: Pin<&'f mut F>,
    has_come: bool,
}

impl<F: Future<Output = ()>> Stop<'_, F> {
    /// Whether it has come; whoever asks is woken when it does.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> bool {
        self.has_come = self.has_come || self.word.as_mut().poll(context).is_ready();
        self.has_come
    }
}

/// The body of an answer, which tells when it has been taken.
struct Sent {
    body: Answer,
    watch: Watch,
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.watch.answer_is_whole();
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = <Answer as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
