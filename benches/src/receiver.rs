//! A partner's server: answers at once below `/fast`, and never below `/hung`.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::failure::{During as _, Result};

const MAX_HEAD: usize = 16 * 1024;
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// When the first message about each click was answered.
type Arrivals = Arc<Mutex<HashMap<String, Instant>>>;

/// A running receiver. It ends when dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// Host and port.
    pub(crate) address: String,
    arrivals: Arrivals,
    // Both are taken when it ends.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Listens on a free port, on a thread of its own: whoever starts servers must not hold it up.
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").during("listen as a partner")?;
        let address = listener.local_addr().during("the partner's address")?.to_string();
        listener.set_nonblocking(true).during("listen as a partner")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.during("make a runtime")?;
        let arrivals = Arrivals::default();
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&arrivals);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = listen(listener, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { address, arrivals, stop: Some(stop), thread: Some(thread) })
    }

    /// How many clicks it was told of.
    pub(crate) fn count(&self) -> usize {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// When it was first told of each click, by the partner's click id; forgets them.
    pub(crate) fn take(&self) -> HashMap<String, Instant> {
        std::mem::take(&mut *self.arrivals.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.stop.take());
        // It only fails when the thread panicked, which it said then.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

async fn listen(listener: TcpListener, arrivals: Arrivals) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let arrivals = Arc::clone(&arrivals);
        tokio::spawn(async move { serve(stream, &arrivals).await });
    }
}

/// Answers one request after the other, until the other side closes.
async fn serve(mut stream: TcpStream, arrivals: &Arrivals) -> std::io::Result<()> {
    let mut read = Vec::new();
    loop {
        if stream.read_buf(&mut read).await? == 0 || read.len() > MAX_HEAD {
            return Ok(());
        }
        let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        read.drain(..end + 4);
        if head.starts_with("GET /hung") {
            continue;
        }
        let click = head.split_once("click=").and_then(|(_, rest)| rest.split(['&', ' ']).next());
        if let Some(click) = click {
            let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            arrivals.entry(click.to_owned()).or_insert_with(Instant::now);
        }
        stream.write_all(OK).await?;
    }
}
