//! The threads that answer: each has a runtime of its own and takes connections from the one listening socket. A
//! connection stays with its thread, so its clicks are woken at home and nothing moves between cores.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::failure::Failure;

/// Starts as many threads as asked, 0 is one per core. Each handle ends with its thread.
pub(crate) fn open(
    listener: &TcpListener,
    threads: usize,
    app: &Arc<web::App>,
    gate: &web::Gate,
    stopping: &watch::Receiver<bool>,
) -> Result<Vec<JoinHandle<()>>, Failure> {
    let threads = if threads == 0 { thread::available_parallelism().map_or(1, usize::from) } else { threads };
    (0..threads).map(|number| one(number, listener, app, gate, stopping)).collect()
}

fn one(
    number: usize,
    listener: &TcpListener,
    app: &Arc<web::App>,
    gate: &web::Gate,
    stopping: &watch::Receiver<bool>,
) -> Result<JoinHandle<()>, Failure> {
    let listener = listener.try_clone().map_err(Failure::new)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::new)?;
    let (app, gate, stopping) = (Arc::clone(app), gate.clone(), stopping.clone());
    let (ended, end) = oneshot::channel::<()>();
    let serve = move || {
        runtime.block_on(answer(listener, app, gate, stopping));
        drop(ended);
    };
    thread::Builder::new().name(format!("serve-{number}")).spawn(serve).map_err(Failure::new)?;
    Ok(tokio::spawn(async move {
        // An error says that the thread has ended, which is what is waited for.
        let _ = end.await;
    }))
}

async fn answer(
    listener: TcpListener,
    app: Arc<web::App>,
    gate: web::Gate,
    mut stopping: watch::Receiver<bool>,
) {
    let stopped = async move {
        // A sender that is gone means the same as a word to stop.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    // Ends with the runtime.
    tokio::spawn(store::relay());
    let served = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => web::serve(listener, app, gate, stopped).await,
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        tracing::error!(%error, "the listener ended");
    }
}
