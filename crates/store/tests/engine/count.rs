//! Counting: several processes count, and count anew, while clicks of any time arrive; each click is in one count once.

use std::sync::Arc;

use domain::click::{Click, Facts, Marks, Verdict};
use domain::id::{ClickId, LinkId};
use domain::report::QUARTER_MS;
use domain::time::Timestamp;
use store::live::Texts;
use store::report::{audit_quarter, audit_sums, count, recount_quarter, sum};
use store::{Db, Options};
use uuid::{Builder, Uuid};

use crate::world::{World, on_each_engine};

/// 2026-11-22T20:00:00Z.
const START: Timestamp = Timestamp::from_ms(1_795_377_600_000);
/// When every quarter is over.
const LATER: Timestamp = Timestamp::from_ms(1_795_377_600_000 + 86_400_000);
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
        // Of so many places that they are gathered before they are added.
        facts: Facts { os: format!("os {}", number % 97), ..Facts::default() },
    }
}

/// An id as a literal of the engine's SQL.
fn id(world: &World, number: u32) -> String {
    if world.is_sqlite() { format!("x'{number:032x}'") } else { format!("'\\x{number:032x}'::bytea") }
}

/// A network with four of the five links; nobody knows whose the other one is.
fn declare(world: &World) {
    let id = |number: u32| id(world, number);
    let (network, partner) = (id(100), id(200));
    world.behind(&format!(
        "insert into network (network_id, label, name, currency, zone) values ({network}, 'n', 'n', 'EUR', 'UTC');
         insert into partner (partner_id, network_id, slug, name, status, signing_secret)
             values ({partner}, {network}, 'p', 'p', 'Active', 's')"
    ));
    for number in 1..5 {
        let (offer, link) = (id(300 + number), id(number));
        world.behind(&format!(
            "insert into offer (offer_id, network_id, advertiser_id, slug, name, headline, description, status, kind,
                 conversion_kind, currency, destination, attribution_window_ms)
             values ({offer}, {network}, {network}, 'o{number}', 'o', '', '', 'Active', 'SingleEvent', 'FlatRate',
                 'EUR', 'https://shop.example', 1);
             insert into link (link_id, network_id, offer_id, partner_id, approval)
                 values ({link}, {network}, {offer}, {partner}, 'Approved')"
        ));
    }
}

/// Sums up and compares while others write, count and count anew.
async fn sum_often(db: &Db) {
    for _ in 0..60 {
        sum(db, LATER).await.unwrap();
        let found = db.read(move |tx| audit_sums(tx, START)).await.unwrap();
        assert!(found.is_empty(), "in the middle: {found:#?}");
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
    let (mut start, counting) = (START, Arc::default());
    for _ in 0..60 {
        count(db, &counting, START).await.unwrap();
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
        declare(world);
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
            let (db, summing) = (db.clone(), db.clone());
            all.spawn(async move { recount(&db).await });
            all.spawn(async move { sum_often(&summing).await });
        }
        while let Some(ended) = all.join_next().await {
            ended.unwrap();
        }
        count_all(&one).await;
        let clicks = i64::try_from(WRITERS * BATCHES * BATCH).unwrap();
        assert_eq!(world.look("select count(*) from click"), clicks);
        assert_eq!(world.look("select cast(sum(hits) as bigint) from click_count"), clicks);
        assert_eq!(world.look("select count(*) from click_arrival"), 0);
        while sum(&one, LATER).await.unwrap() {}
        let found = one.read(move |tx| audit_sums(tx, START)).await.unwrap();
        assert!(found.is_empty(), "{found:#?}");
        let known = "select count(*) from click k join link l on l.link_id = k.link_id";
        // Day, hour and quarter of the network and the partner; day and hour of offer and link; twice by visitor.
        let summed = "select cast(sum(hits) as bigint) / 14 from click_sum";
        assert_eq!(world.look(summed), world.look(known));
        let capped = "select cast(sum(counted - sent_on) as bigint) from click_count";
        let refused = "select count(*) from click where verdict = 12 and marks = 0";
        assert_eq!(world.look(capped), world.look(refused));
        one.close().await;
        other.close().await;
    })
    .await;
}

/// Counts until nothing waits.
async fn count_all(db: &Db) {
    let counting = Arc::default();
    while count(db, &counting, START).await.unwrap().behind {}
}

/// Writes clicks of many places, in many lines.
async fn write_many(db: &Db) -> i64 {
    for name in 0..WRITERS {
        write(db, name).await;
    }
    i64::try_from(WRITERS * BATCHES * BATCH).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarter_is_counted_anew_while_its_clicks_are_gathered() {
    on_each_engine(async |world| {
        let db = open(world);
        declare(world);
        let clicks = write_many(&db).await;
        let counting = Arc::default();
        while world.look("select count(*) from click_gathered") == 0 {
            assert!(count(&db, &counting, START).await.unwrap().behind);
        }
        // Some of what is gathered is in the counts already, the rest is not.
        assert!(count(&db, &counting, START).await.unwrap().places > 0);
        assert!(world.look("select count(*) from click_gathered") > 0);
        assert!(recount_quarter(&db, START).await.unwrap());
        count_all(&db).await;
        assert_eq!(world.look("select cast(sum(hits) as bigint) from click_count"), clicks);
        for quarter in 0..QUARTERS {
            let start = START.plus_ms(quarter * QUARTER_MS);
            let found = db.read(move |tx| audit_quarter(tx, start)).await.unwrap();
            assert!(found.is_empty(), "{found:#?}");
        }
        db.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_have_read_the_same_clicks_one_gives_way() {
    on_each_engine(async |world| {
        let db = open(world);
        declare(world);
        let clicks = write_many(&db).await;
        let (one, other) = (Arc::default(), Arc::default());
        let (mut taken, mut behind) = (0, true);
        while behind {
            let (first, second) =
                (count(&db, &one, START).await.unwrap(), count(&db, &other, START).await.unwrap());
            taken += first.rows + second.rows;
            behind = first.behind || second.behind;
        }
        assert_eq!(taken, clicks.unsigned_abs());
        assert_eq!(world.look("select cast(sum(hits) as bigint) from click_count"), clicks);
        db.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_before_there_were_sums_is_summed_up() {
    on_each_engine(async |world| {
        let before = store::schema::MIGRATIONS.iter().position(|one| one.name == "V15__count_sum").unwrap();
        let old = &store::schema::MIGRATIONS[..before];
        Db::open(&world.target, &Options::default(), old, &store::click::LOG).unwrap().close().await;
        declare(world);
        let id = |number: u32| id(world, number);
        for (link, start_ms, hits) in [(1, 0, 3), (2, 0, 4), (1, QUARTER_MS, 5)] {
            let (network, link, start_ms) = (id(100), id(link), START.ms() + start_ms);
            world.behind(&format!(
                "insert into click_count
                     values ({network}, {start_ms}, {link}, 0, 'DE', '', '', {hits}, {hits}, 0, 0, 0, 0)"
            ));
        }
        let db = open(world);
        assert_eq!(world.look("select count(*) from count_quarter where summed = 0"), 2);
        while sum(&db, LATER).await.unwrap() {}
        assert_eq!(world.look("select count(*) from count_quarter where summed = 1"), 2);
        assert_eq!(world.look("select cast(sum(hits) as bigint) / 14 from click_sum"), 12);
        assert!(db.read(move |tx| audit_sums(tx, START)).await.unwrap().is_empty());
        db.close().await;
    })
    .await;
}
