//! Counting: several processes count, and count anew, while clicks of any time arrive; each click is in one count once.

use domain::click::{Click, Facts, Marks, Verdict};
use domain::id::{ClickId, LinkId};
use domain::report::QUARTER_MS;
use domain::time::Timestamp;
use store::live::Texts;
use store::report::{audit_quarter, count, recount_quarter};
use store::{Db, Options};
use uuid::{Builder, Uuid};

use crate::world::{World, on_each_engine};

/// 2026-11-22T20:00:00Z.
const START: Timestamp = Timestamp::from_ms(1_795_377_600_000);
const QUARTERS: i64 = 3;
const WRITERS: u64 = 6;
const BATCHES: u64 = 30;
const BATCH: u64 = 17;

fn open(world: &World) -> Db {
    Db::open(&world.target, &Options::default(), store::schema::MIGRATIONS, &store::click::LOG).unwrap()
}

/// A click whose time has nothing to do with when it is written.
fn click(number: u64) -> Click {
    let spread = QUARTERS.unsigned_abs() * QUARTER_MS.unsigned_abs();
    let at_ms = START.ms().unsigned_abs() + number.wrapping_mul(2_654_435_761) % spread;
    let random: [u8; 10] = Uuid::new_v4().as_bytes()[..10].try_into().unwrap();
    Click {
        id: ClickId(Builder::from_unix_timestamp_millis(at_ms, &random).into_uuid()),
        link: LinkId(Uuid::from_u128(u128::from(number % 5))),
        verdict: if number.is_multiple_of(7) { Verdict::OfferCapped } else { Verdict::Ok },
        marks: if number.is_multiple_of(11) { Marks::BOT } else { Marks::default() },
        pub_click_id: None,
        pub_member_id: None,
        facts: Facts::default(),
    }
}

/// Writes batches, some by the log's own way, some as one write.
async fn write(db: &Db, name: u64) {
    for batch in 0..BATCHES {
        let first = (name * BATCHES + batch) * BATCH;
        let clicks: Vec<Click> = (first..first + BATCH).map(click).collect();
        if batch.is_multiple_of(2) {
            db.write(move |tx| store::click::append_many(tx, &Texts::default(), &clicks)).await.unwrap();
        } else {
            let tickets: Vec<_> = clicks
                .iter()
                .map(|click| store::click::append(db, &Texts::default(), click).unwrap())
                .collect();
            for ticket in tickets {
                ticket.durable().await.unwrap();
            }
        }
    }
}

/// Counts and compares while others write.
async fn count_often(db: &Db) {
    let mut start = START;
    for _ in 0..60 {
        count(db, START).await.unwrap();
        let found = db.read(move |tx| audit_quarter(tx, start)).await.unwrap();
        assert!(found.is_empty(), "in the middle: {found:#?}");
        start = next(start);
    }
}

fn next(start: Timestamp) -> Timestamp {
    let behind = start.plus_ms(QUARTER_MS);
    if behind.ms() >= START.ms() + QUARTERS * QUARTER_MS { START } else { behind }
}

async fn recount(db: &Db) {
    let mut start = START;
    for _ in 0..30 {
        // Another process may begin one in the same moment; then that one is meant.
        match recount_quarter(db, start).await {
            Ok(begun) => assert!(begun),
            Err(store::Error::Stale) => {}
            Err(error) => panic!("{error}"),
        }
        start = next(start);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_click_is_counted_once_whoever_counts() {
    on_each_engine(async |world| {
        let (one, other) = (open(world), open(world));
        let mut all = tokio::task::JoinSet::new();
        for name in 0..WRITERS {
            let db = if name.is_multiple_of(2) { one.clone() } else { other.clone() };
            all.spawn(async move { write(&db, name).await });
        }
        for db in [&one, &other, &one, &other] {
            let db = db.clone();
            all.spawn(async move { count_often(&db).await });
        }
        for db in [&one, &other] {
            let db = db.clone();
            all.spawn(async move { recount(&db).await });
        }
        while let Some(ended) = all.join_next().await {
            ended.unwrap();
        }
        while count(&one, START).await.unwrap().behind {}
        let clicks = i64::try_from(WRITERS * BATCHES * BATCH).unwrap();
        assert_eq!(world.look("select count(*) from click"), clicks);
        assert_eq!(world.look("select cast(sum(hits) as bigint) from click_count"), clicks);
        assert_eq!(world.look("select count(*) from click_arrival"), 0);
        let capped = "select cast(sum(counted - sent_on) as bigint) from click_count";
        let refused = "select count(*) from click where verdict = 12 and marks = 0";
        assert_eq!(world.look(capped), world.look(refused));
        one.close().await;
        other.close().await;
    })
    .await;
}
