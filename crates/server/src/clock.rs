//! The world outside the rules: the wall clock, fresh ids and random bits. The only place that reads them.

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use domain::ambient::Ambient;
use domain::time::Timestamp;
use uuid::{ClockSequence, ContextV7, NoContext, Uuid};

/// The one real [`Ambient`].
pub(crate) fn ambient() -> Ambient {
    Ambient { now, new_id, random }
}

/// Like [`ambient`], with ids for what is recorded of the past: without the sequence, which never steps back.
pub(crate) fn past() -> Ambient {
    Ambient { new_id: new_past_id, ..ambient() }
}

/// The wall clock. A clock before 1970 reads as 1970: nothing of ours is older.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// One sequence for the whole process. When the clock steps back, its last millisecond goes on until the clock has
/// caught up, so an id given later always sorts later.
static IDS: Mutex<ContextV7> = Mutex::new(ContextV7::new());

fn new_id(at: Timestamp) -> Uuid {
    of_time(&IDS, at)
}

fn new_past_id(at: Timestamp) -> Uuid {
    of_time(NoContext, at)
}

fn of_time(sequence: impl ClockSequence<Output: Into<u128>>, at: Timestamp) -> Uuid {
    let ms = u64::try_from(at.ms()).unwrap_or(0);
    let nanos = u32::try_from(ms % 1_000 * 1_000_000).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(sequence, ms / 1_000, nanos))
}

/// From the operating system's generator, stretched by the thread's own cipher.
fn random() -> u64 {
    rand::random()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex;

    use domain::id::ClickId;
    use domain::time::Timestamp;
    use uuid::Uuid;

    use super::{ambient, new_id, random};

    /// The sequence is one for the process, so tests that look at its milliseconds take turns.
    static TURN: Mutex<()> = Mutex::new(());

    #[test]
    fn an_id_carries_its_time_and_stays_when_the_clock_steps_back() {
        let _turn = TURN.lock().unwrap();
        // Ahead of every other test's clock, so that nobody moves the sequence meanwhile.
        let at = ambient().now().plus_ms(3_600_000);
        let first = new_id(at);
        assert_eq!(ClickId(first).at(), at);
        let back = new_id(at.plus_ms(-60_000));
        assert!(back > first, "{back} after {first}");
        assert_eq!(ClickId(back).at(), at, "goes on with the last millisecond");
        assert!(new_id(at.plus_ms(1)) > back);
    }

    #[test]
    fn many_threads_get_distinct_ids_each_in_order() {
        let _turn = TURN.lock().unwrap();
        let at = ambient().now();
        let one_thread = || (0..20_000).map(|step| new_id(at.plus_ms(step % 7 - 3))).collect::<Vec<Uuid>>();
        let threads: Vec<Vec<Uuid>> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..8).map(|_| scope.spawn(one_thread)).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for ids in &threads {
            assert!(ids.is_sorted_by(|a, b| a < b));
        }
        assert_eq!(threads.iter().flatten().collect::<HashSet<_>>().len(), 8 * 20_000);
    }

    #[test]
    fn the_clock_is_after_the_release_and_random_bits_differ() {
        let released: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        assert!(ambient().now() > released);
        assert_eq!((0..64).map(|_| random()).collect::<HashSet<_>>().len(), 64);
    }
}
