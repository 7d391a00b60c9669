//! The end of a batch, and everybody who waits for it.
//!
//! To wake a task of another thread costs a lock and, when that thread sleeps, a system call. Hundreds of clicks end with
//! one batch, most of them at home on the same thread. So the thread that ends a batch wakes one task of each thread, and
//! that one wakes the others of its thread, which costs next to nothing there.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};

use crate::error::Error;

/// Rows of a batch that were refused while the others became durable, by their place in the batch.
pub(crate) type Refused = Vec<(usize, Error)>;

/// The shared end of a batch: set once, seen by every waiter.
#[derive(Debug, Default)]
pub(crate) struct Completion {
    outcome: OnceLock<Result<Refused, Error>>,
    homes: Mutex<Vec<Home>>,
}

/// The waiters of one thread. The first of them is woken from outside.
#[derive(Debug)]
struct Home {
    thread: ThreadId,
    waiters: Vec<(u64, Waker)>,
    /// How many have waited here.
    came: u64,
}

impl Completion {
    /// Tells every waiter. Only the first call counts.
    pub(crate) fn finish(&self, outcome: Result<Refused, Error>) {
        if self.outcome.set(outcome).is_err() {
            return;
        }
        // Whoever comes to wait from here on sees the outcome instead.
        let first = |home: &Home| home.waiters.first().map(|(_, waker)| waker.clone());
        let woken: Vec<Waker> = self.homes().iter().filter_map(first).collect();
        woken.into_iter().for_each(Waker::wake);
    }

    /// Waits for the end of the batch.
    pub(crate) fn wait(&self) -> Wait<'_> {
        Wait { completion: self, registered: None }
    }

    fn homes(&self) -> MutexGuard<'_, Vec<Home>> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes everybody of a home: one of them was woken, or has gone.
    fn pass_on(&self, thread: ThreadId) {
        let mut homes = self.homes();
        let home = homes.iter_mut().find(|home| home.thread == thread);
        let waiters = home.map(|home| std::mem::take(&mut home.waiters)).unwrap_or_default();
        drop(homes);
        waiters.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// Waits for the end of a batch.
pub(crate) struct Wait<'a> {
    completion: &'a Completion,
    /// The home that this waits in, and its number there.
    registered: Option<(ThreadId, u64)>,
}

impl<'a> Future for Wait<'a> {
    type Output = &'a Result<Refused, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let completion = self.completion;
        if completion.outcome.get().is_none() {
            self.register(context.waker());
        }
        // Asked again: the end may have come before this was in the list.
        match completion.outcome.get() {
            Some(outcome) => {
                if let Some((thread, _)) = self.registered.take() {
                    completion.pass_on(thread);
                }
                Poll::Ready(outcome)
            }
            None => Poll::Pending,
        }
    }
}

impl Wait<'_> {
    fn register(&mut self, waker: &Waker) {
        let mut homes = self.completion.homes();
        if let Some((thread, number)) = self.registered {
            let home = homes.iter_mut().find(|home| home.thread == thread);
            if let Some(home) = home
                && let Ok(at) = home.waiters.binary_search_by_key(&number, |(other, _)| *other)
            {
                home.waiters[at].1.clone_from(waker);
            }
            return;
        }
        let thread = thread::current().id();
        let at = homes.iter().position(|home| home.thread == thread).unwrap_or_else(|| {
            homes.push(Home { thread, waiters: Vec::new(), came: 0 });
            homes.len() - 1
        });
        let home = &mut homes[at];
        home.came += 1;
        home.waiters.push((home.came, waker.clone()));
        self.registered = Some((thread, home.came));
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let Some((thread, number)) = self.registered else { return };
        let mut homes = self.completion.homes();
        if let Some(home) = homes.iter_mut().find(|home| home.thread == thread) {
            home.waiters.retain(|(other, _)| *other != number);
        }
        drop(homes);
        // It may have been the one that was woken for all.
        if self.completion.outcome.get().is_some() {
            self.completion.pass_on(thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Bell {
        fn rung(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn poll(wait: &mut Wait<'_>, bell: &Arc<Bell>) -> bool {
        let waker = Waker::from(Arc::clone(bell));
        Pin::new(wait).poll(&mut Context::from_waker(&waker)).is_ready()
    }

    #[test]
    fn one_of_a_thread_is_woken_and_wakes_the_others() {
        let completion = Completion::default();
        let bells: [Arc<Bell>; 3] = Default::default();
        let mut waits = [completion.wait(), completion.wait(), completion.wait()];
        for (wait, bell) in waits.iter_mut().zip(&bells) {
            assert!(!poll(wait, bell) && !poll(wait, bell));
        }
        completion.finish(Ok(Refused::new()));
        assert_eq!(bells.each_ref().map(|bell| bell.rung()), [1, 0, 0]);
        assert!(poll(&mut waits[0], &bells[0]));
        assert_eq!(bells.each_ref().map(|bell| bell.rung() > 0), [true; 3]);
        assert!(poll(&mut waits[2], &bells[2]) && poll(&mut waits[1], &bells[1]));
        assert!(poll(&mut completion.wait(), &bells[0]), "who comes late does not wait");
    }

    #[test]
    fn who_goes_away_leaves_nobody_asleep() {
        let completion = Completion::default();
        let bells: [Arc<Bell>; 3] = Default::default();
        let (mut first, mut second, mut third) = (completion.wait(), completion.wait(), completion.wait());
        assert!(
            !poll(&mut first, &bells[0]) && !poll(&mut second, &bells[1]) && !poll(&mut third, &bells[2])
        );
        // Before the end: the next one is woken instead.
        drop(first);
        completion.finish(Ok(Refused::new()));
        assert_eq!(bells.each_ref().map(|bell| bell.rung()), [0, 1, 0]);
        // Woken, and gone before it looked.
        drop(second);
        assert_eq!(bells[2].rung(), 1);
        assert!(poll(&mut third, &bells[2]));
    }
}
