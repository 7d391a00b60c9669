//! Texts that clicks share: named only when they are stored, and by enough members; whatever happens, a click is read
//! as it was written.

use std::sync::Arc;

use domain::catalog::Catalog;
use domain::click::{Click, Facts, Marks, Verdict};
use domain::id::{ClickId, LinkId};
use sha2::{Digest, Sha256};
use store::live::{Follower, Live, Texts};
use store::schema::MIGRATIONS;
use store::{Db, MigrationText, Options, click};
use uuid::Uuid;

use crate::world::{World, on_each_engine};

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

fn open(world: &World, migrations: &'static [MigrationText]) -> Db {
    Db::open(&world.target, &Options::default(), migrations, &click::LOG).unwrap()
}

fn click(number: u128, member: &str, agent: &str) -> Click {
    Click {
        id: ClickId(Uuid::from_u128((0x0198_f1c2_7a3b_7c4d << 64) | number)),
        link: LinkId(Uuid::from_u128(1)),
        verdict: Verdict::Ok,
        marks: Marks::default(),
        pub_click_id: Some(number.to_string()),
        pub_member_id: Some(member.to_owned()),
        facts: Facts { user_agent: agent.to_owned(), os: "Linux".to_owned(), ..Facts::default() },
    }
}

async fn record(db: &Db, texts: &Texts, click: &Click) {
    click::append(db, texts, click).unwrap().durable().await.unwrap();
}

async fn found(db: &Db, click: &Click) -> Option<Click> {
    let id = click.id;
    db.read(move |tx| click::find(tx, id)).await.unwrap()
}

/// Clicks of so many members with this user agent, from the number on.
async fn members(db: &Db, texts: &Texts, agent: &str, from: u128, count: u128) -> Vec<Click> {
    let clicks: Vec<Click> = (from..from + count).map(|n| click(n, &format!("m{n}"), agent)).collect();
    for click in &clicks {
        record(db, texts, click).await;
    }
    clicks
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_agent_is_shared_once_it_comes_from_eight_members_and_is_stored() {
    on_each_engine(async |world| {
        let (db, texts, catalog) = (open(world, MIGRATIONS), Texts::default(), Catalog::default());
        let shared = "select count(*) from click where agent_hash is not null";
        let mut all = members(&db, &texts, AGENT, 0, 7).await;
        // The same member again is no other one, and who says nothing is nobody.
        all.push(click(100, "m6", AGENT));
        record(&db, &texts, &all[7]).await;
        all.push(Click { pub_member_id: None, ..click(101, "", AGENT) });
        record(&db, &texts, &all[8]).await;
        texts.follow(&db, &catalog).await.unwrap();
        assert_eq!(world.look("select count(*) from click_text"), 0);
        // Of eight, but not stored yet.
        all.extend(members(&db, &texts, AGENT, 7, 3).await);
        assert_eq!(world.look(shared), 0);
        texts.follow(&db, &catalog).await.unwrap();
        all.extend(members(&db, &texts, AGENT, 10, 2).await);
        all.extend(members(&db, &texts, "rare", 20, 2).await);
        assert_eq!((world.look("select count(*) from click_text"), world.look(shared)), (1, 2));
        for click in &all {
            assert_eq!(found(&db, click).await.as_ref(), Some(click));
        }
        // Another process finds it stored; after a start it is known from the newest clicks.
        let other = Texts::default();
        all.extend(members(&db, &other, AGENT, 30, 8).await);
        other.follow(&db, &catalog).await.unwrap();
        all.extend(members(&db, &other, AGENT, 40, 1).await);
        let live = Arc::new(Live::default());
        Follower::load(db.clone(), Arc::clone(&live)).await.unwrap();
        all.extend(members(&db, &live.texts, AGENT, 50, 1).await);
        assert_eq!((world.look("select count(*) from click_text"), world.look(shared)), (1, 4));
        for click in &all {
            assert_eq!(found(&db, click).await.as_ref(), Some(click));
        }
        db.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_meets_another_under_its_key_stays_in_its_clicks() {
    let hash = Sha256::digest(AGENT.as_bytes());
    let key = i32::from_be_bytes(hash[..4].try_into().unwrap());
    on_each_engine(async |world| {
        let (db, texts) = (open(world, MIGRATIONS), Texts::default());
        world.behind(&format!("insert into click_text (text_hash, text) values ({key}, 'another')"));
        let mut all = members(&db, &texts, AGENT, 0, 8).await;
        texts.follow(&db, &Catalog::default()).await.unwrap();
        all.extend(members(&db, &texts, AGENT, 10, 2).await);
        assert_eq!(world.look("select count(*) from click where agent_hash is not null"), 0);
        for click in &all {
            assert_eq!(found(&db, click).await.as_ref(), Some(click));
        }
        db.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_cannot_be_stored_is_not_named() {
    on_each_engine(async |world| {
        let (db, texts, catalog) = (open(world, MIGRATIONS), Texts::default(), Catalog::default());
        members(&db, &texts, AGENT, 0, 8).await;
        world.behind("alter table click_text rename to gone");
        assert!(texts.follow(&db, &catalog).await.is_err());
        world.behind("alter table gone rename to click_text");
        let own = members(&db, &texts, AGENT, 10, 1).await;
        assert_eq!(world.look("select count(*) from click where agent_hash is not null"), 0);
        // It is tried again.
        texts.follow(&db, &catalog).await.unwrap();
        let shared = members(&db, &texts, AGENT, 20, 1).await;
        assert_eq!(world.look("select count(*) from click where agent_hash is not null"), 1);
        for click in own.iter().chain(&shared) {
            assert_eq!(found(&db, click).await.as_ref(), Some(click));
        }
        db.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_of_before_are_read_as_they_were() {
    let before = MIGRATIONS.iter().position(|text| text.name == "V14__click_text").unwrap();
    let mut old = click(1, "m", "a \"quoted\" \\ back\\x41slash, ü and\ttab");
    old.facts.parameters = vec![(domain::visit::Param::Sub1, "o'clock €".to_owned())];
    old.facts.destination = "https://shop.example/?c=1".to_owned();
    let facts = serde_json::to_string(&old.facts).unwrap().replace('\'', "''");
    on_each_engine(async |world| {
        open(world, &MIGRATIONS[..before]).close().await;
        let hex = |id: Uuid| {
            let hex = id.simple();
            if world.is_sqlite() { format!("x'{hex}'") } else { format!("'\\x{hex}'::bytea") }
        };
        world.behind(&format!(
            "insert into click (click_id, link_id, verdict, marks, pub_click_id, pub_member_id, facts)
             values ({}, {}, 0, 0, '1', 'm', '{facts}')",
            hex(old.id.uuid()),
            hex(old.link.uuid()),
        ));
        let db = open(world, MIGRATIONS);
        assert_eq!(found(&db, &old).await.as_ref(), Some(&old));
        let new = click(2, "m", AGENT);
        record(&db, &Texts::default(), &new).await;
        assert_eq!(found(&db, &new).await.as_ref(), Some(&new));
        db.close().await;
    })
    .await;
}
