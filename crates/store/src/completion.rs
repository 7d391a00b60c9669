//! The end of a batch, and everybody who waits for it.
//!
//! To wake a task of another thread costs a lock and, when that thread sleeps, a system call. Hundreds of clicks end
//! with one batch, most of them at home on the same thread. So a thread may run a [`relay`]: whoever ends a batch wakes
//! that one task, and it wakes the others of its thread, which costs next to nothing there.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::Error;

/// Rows of a batch that were refused while the others became durable, by their place in the batch.
pub(crate) type Refused = Vec<(usize, Error)>;

thread_local! {
    /// The relay of this thread, if it runs one.
    static HERE: RefCell<Option<Arc<Relay>>> = const { RefCell::new(None) };
}

/// Wakes, on the thread that runs it, everything of that thread that waits for the database. Only for a runtime of a
/// single thread; it never ends by itself.
pub async fn relay() {
    let relay = Arc::<Relay>::default();
    HERE.set(Some(Arc::clone(&relay)));
    let _gone = Gone;
    poll_fn(|context| relay.poll(context)).await;
}

/// Without its relay a thread's tasks are woken one by one again.
struct Gone;

impl Drop for Gone {
    fn drop(&mut self) {
        // A thread that ends may have lost it already.
        let _ = HERE.try_with(RefCell::take);
    }
}

/// Who is to be woken on one thread.
#[derive(Debug, Default)]
struct Relay {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The relay's own task.
    own: Option<Waker>,
    ended: Vec<Waker>,
}

impl Relay {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over whom to wake.
    fn hand_over(&self, wakers: Vec<Waker>) {
        let mut waiting = self.waiting();
        waiting.ended.extend(wakers);
        let own = waiting.own.take();
        drop(waiting);
        if let Some(own) = own {
            own.wake();
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting();
        let ended = std::mem::take(&mut waiting.ended);
        waiting.own = Some(context.waker().clone());
        drop(waiting);
        ended.into_iter().for_each(Waker::wake);
        Poll::Pending
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Nobody is left asleep when it goes.
        std::mem::take(&mut self.waiting().ended).into_iter().for_each(Waker::wake);
    }
}

/// The shared end of a batch: set once, seen by every waiter.
#[derive(Debug, Default)]
pub(crate) struct Completion {
    outcome: OnceLock<Result<Refused, Error>>,
    homes: Mutex<Vec<Home>>,
}

/// The waiters that are woken by one relay, or one by one.
#[derive(Debug)]
struct Home {
    relay: Option<Arc<Relay>>,
    waiters: Vec<(u64, Waker)>,
    /// How many have waited here.
    came: u64,
}

impl Home {
    fn is_of(&self, relay: Option<&Arc<Relay>>) -> bool {
        self.relay.as_ref().map(Arc::as_ptr) == relay.map(Arc::as_ptr)
    }
}

impl Completion {
    /// Tells every waiter. Only the first call counts.
    pub(crate) fn finish(&self, outcome: Result<Refused, Error>) {
        if self.outcome.set(outcome).is_err() {
            return;
        }
        // Whoever comes to wait from here on sees the outcome instead.
        let homes = std::mem::take(&mut *self.homes());
        for home in homes {
            let wakers = home.waiters.into_iter().map(|(_, waker)| waker);
            match home.relay {
                Some(relay) => relay.hand_over(wakers.collect()),
                None => wakers.for_each(Waker::wake),
            }
        }
    }

    /// Waits for the end of the batch.
    pub(crate) fn wait(&self) -> Wait<'_> {
        Wait { completion: self, registered: None }
    }

    fn homes(&self) -> MutexGuard<'_, Vec<Home>> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the end of a batch.
pub(crate) struct Wait<'a> {
    completion: &'a Completion,
    /// The place of the home that this waits in, and its number there.
    registered: Option<(usize, u64)>,
}

impl<'a> Future for Wait<'a> {
    type Output = &'a Result<Refused, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let completion = self.completion;
        if completion.outcome.get().is_none() {
            self.register(context.waker());
        }
        // Asked again: the end may have come before this was in the list.
        completion.outcome.get().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Wait<'_> {
    fn register(&mut self, waker: &Waker) {
        let mut homes = self.completion.homes();
        if let Some((at, number)) = self.registered {
            // After the end there are no homes any more.
            if let Some(home) = homes.get_mut(at)
                && let Ok(own) = home.waiters.binary_search_by_key(&number, |(other, _)| *other)
            {
                home.waiters[own].1.clone_from(waker);
            }
            return;
        }
        let relay = HERE.with_borrow(Option::clone);
        let at = homes.iter().position(|home| home.is_of(relay.as_ref())).unwrap_or_else(|| {
            homes.push(Home { relay, waiters: Vec::new(), came: 0 });
            homes.len() - 1
        });
        let home = &mut homes[at];
        home.came += 1;
        home.waiters.push((home.came, waker.clone()));
        self.registered = Some((at, home.came));
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let Some((at, number)) = self.registered.filter(|_| self.completion.outcome.get().is_none()) else {
            return;
        };
        if let Some(home) = self.completion.homes().get_mut(at)
            && let Ok(own) = home.waiters.binary_search_by_key(&number, |(other, _)| *other)
        {
            home.waiters.remove(own);
        }
    }
}

#[cfg(test)]
mod tests {
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

    fn rung<const N: usize>(bells: &[Arc<Bell>; N]) -> [usize; N] {
        bells.each_ref().map(|bell| bell.0.load(Ordering::Relaxed))
    }

    fn poll<F: Future>(wait: Pin<&mut F>, bell: &Arc<Bell>) -> bool {
        let waker = Waker::from(Arc::clone(bell));
        wait.poll(&mut Context::from_waker(&waker)).is_ready()
    }

    #[test]
    fn everybody_is_woken_and_who_comes_late_does_not_wait() {
        let completion = Completion::default();
        let bells: [Arc<Bell>; 3] = Default::default();
        let mut waits = [completion.wait(), completion.wait(), completion.wait()];
        for (wait, bell) in waits.iter_mut().zip(&bells) {
            assert!(!poll(Pin::new(wait), bell) && !poll(Pin::new(wait), bell));
        }
        let [first, mut second, _third] = waits;
        drop(first);
        assert!(!poll(Pin::new(&mut second), &bells[0]), "it moved to another task");
        completion.finish(Ok(Refused::new()));
        assert_eq!(rung(&bells), [1, 0, 1]);
        assert!(poll(Pin::new(&mut second), &bells[0]));
        assert!(poll(Pin::new(&mut completion.wait()), &bells[1]));
    }

    #[test]
    fn a_relay_is_woken_once_and_wakes_the_others_of_its_thread() {
        let completion = Completion::default();
        let bells: [Arc<Bell>; 3] = Default::default();
        let mut relay = Box::pin(relay());
        assert!(!poll(relay.as_mut(), &bells[0]));
        let mut waits = [completion.wait(), completion.wait()];
        for (wait, bell) in waits.iter_mut().zip(&bells[1..]) {
            assert!(!poll(Pin::new(wait), bell));
        }
        completion.finish(Ok(Refused::new()));
        assert_eq!(rung(&bells), [1, 0, 0]);
        assert!(!poll(relay.as_mut(), &bells[0]));
        assert_eq!(rung(&bells), [1, 1, 1]);
    }

    #[test]
    fn a_relay_that_goes_leaves_nobody_asleep() {
        let completion = Completion::default();
        let bells: [Arc<Bell>; 2] = Default::default();
        let mut relay = Box::pin(relay());
        assert!(!poll(relay.as_mut(), &bells[0]));
        let mut wait = completion.wait();
        assert!(!poll(Pin::new(&mut wait), &bells[1]));
        drop(relay);
        completion.finish(Ok(Refused::new()));
        assert_eq!(rung(&bells)[1], 1);
    }
}
