//! The only waiting in the tests: for a condition, with a limit.

use std::future::Future;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks at `found` until it gives something, and panics after `at_most`. The limit only bounds a broken run: a
/// passing test never depends on it, so be generous.
pub fn until<T>(what: &str, at_most: Duration, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + at_most;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {at_most:?} for: {what}");
        // bounded wait: the deadline above ends it
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Looks at `condition` until it holds, and panics after `at_most`.
pub fn eventually(what: &str, at_most: Duration, mut condition: impl FnMut() -> bool) {
    until(what, at_most, || condition().then_some(()));
}

/// One runtime for a test process: the simulators live on it, and requests run on it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
});

/// Runs a future to its end. Everything asynchronous of a test runs here, also what it spawns.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}
