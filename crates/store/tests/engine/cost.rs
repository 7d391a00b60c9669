//! What a conversion costs the writer in instructions, as callgrind counts them: from the postback as it was read to
//! the last statement before the commit. Time says little on a shared machine; this count hardly moves unless the code
//! does.
//!
//! The figures are those of the tests' own build. When a conversion is made cheaper, lower them; when one must become
//! dearer, raise them in the commit that says why.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::Arc;

use domain::ambient::Ambient;
use domain::catalog::Catalog;
use domain::click::Click;
use domain::id::InboundId;
use domain::inbound::{Answer, Outcome, Postback, Stated};
use domain::link::Link;
use domain::time::Timestamp;
use store::inbound::{self, Received};
use store::live::Texts;
use store::{Db, Error, Options, Tx, click};
use uuid::{Builder, Uuid};

use crate::size::{link, usual};
use crate::world::World;

/// The instructions of a new conversion, and of a copy of its postback.
const GUARDED: [(&str, u64); 2] = [("new", 309_720), ("duplicate", 175_127)];

/// How much each may rise before it is told, in percent.
const RISE: u64 = 5;

const ROUNDS: u64 = 200;

/// Names the part to a copy of this test that runs under callgrind.
const PART: &str = "PITLANE_COUNTED_PART";

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "the environment tells the copy under callgrind what to do")]
async fn a_conversion_costs_no_more_instructions_than_it_did() {
    if let Ok(part) = std::env::var(PART) {
        return convert(&part).await;
    }
    let found = GUARDED.map(|(part, guarded)| (part, guarded, instructions(part)));
    let risen = found.iter().filter(|(_, guarded, now)| now * 100 > guarded * (100 + RISE));
    let told: Vec<String> =
        risen.map(|(part, guarded, now)| format!("{part}: {guarded} before, {now} now")).collect();
    assert_eq!(told, [""; 0], "instructions a conversion; all of them: {found:?}");
}

/// The instructions of one postback.
fn instructions(part: &str) -> u64 {
    let out = std::env::temp_dir().join(format!("pitlane_conversion_{part}_{}", std::process::id()));
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*cost::counted*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "cost::a_conversion_costs_no_more_instructions_than_it_did"])
        .env(PART, part)
        .output()
        .expect("valgrind is installed: `apt-get install valgrind`");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let report = std::fs::read_to_string(&out).unwrap();
    std::fs::remove_file(&out).unwrap();
    let total = report.lines().find_map(|line| line.strip_prefix("totals: ")).expect("callgrind's totals");
    total.trim().parse::<u64>().unwrap() / ROUNDS
}

/// Reports each of some clicks twice, and has one of the two counted.
async fn convert(part: &str) {
    let world = World::sqlite();
    let db = Db::open(&world.target, &Options::default(), store::schema::MIGRATIONS, &click::LOG).unwrap();
    let link = Arc::new(link());
    let catalog = Catalog { version: 1, links: [(link.id, Arc::clone(&link))].into(), ..Catalog::default() };
    // As many before them as it takes for every index to have some pages.
    let clicks: Vec<Click> = (0..4 * ROUNDS).map(|number| usual(&link, number)).collect();
    let received: Vec<Received> = clicks.iter().map(|click| received(click, &link)).collect();
    let (before, own) = received.split_at(usize::try_from(3 * ROUNDS).unwrap());
    let (before, own, catalog) = (Arc::new(before.to_vec()), Arc::new(own.to_vec()), Arc::new(catalog));
    db.write(move |tx| click::append_many(tx, &Texts::default(), &clicks)).await.unwrap();
    report(&db, &catalog, &before, false, Answer::Recorded).await;
    report(&db, &catalog, &own, part == "new", Answer::Recorded).await;
    report(&db, &catalog, &own, part == "duplicate", Answer::Duplicate).await;
    db.close().await;
}

async fn report(db: &Db, catalog: &Arc<Catalog>, all: &Arc<Vec<Received>>, counts: bool, wanted: Answer) {
    let (catalog, all) = (Arc::clone(catalog), Arc::clone(all));
    let answers = db.write(move |tx| {
        let one = |own| if counts { counted(tx, &catalog, own) } else { receive(tx, &catalog, own) };
        all.iter().map(one).collect::<Result<Vec<_>, _>>()
    });
    let answers = answers.await.unwrap();
    assert!(answers.iter().all(|outcome| outcome.answer == wanted), "{answers:?}");
}

/// Only what happens in here is counted.
#[inline(never)]
fn counted(tx: &mut Tx<'_>, catalog: &Catalog, received: &Received) -> Result<Outcome, Error> {
    receive(tx, catalog, received)
}

fn receive(tx: &mut Tx<'_>, catalog: &Catalog, received: &Received) -> Result<Outcome, Error> {
    // Each request is logged under an id of its own.
    let received = Received { id: InboundId(new_id(received.at)), ..received.clone() };
    inbound::receive(tx, catalog, Ambient { now: || Timestamp::from_ms(0), new_id, random: || 7 }, &received)
}

fn new_id(at: Timestamp) -> Uuid {
    let random: [u8; 10] = Uuid::new_v4().as_bytes()[..10].try_into().unwrap();
    Builder::from_unix_timestamp_millis(at.ms().try_into().unwrap(), &random).into_uuid()
}

/// A minute after the click, with an order number.
fn received(click: &Click, link: &Link) -> Received {
    let at = click.id.at().plus_ms(60_000);
    Received {
        id: InboundId(Uuid::nil()),
        network: Some(link.offer.network.id),
        proven: vec![link.offer.advertiser.id],
        at,
        address: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 77)),
        method: "GET".to_owned(),
        target: format!("/postback?gk_click_id={}&token=***&cnv_conversion_id=order-{}", click.id, click.id),
        body: String::new(),
        postback: Ok(Postback {
            click: click.id,
            event_code: None,
            amount_micros: None,
            currency: None,
            advertiser_key: Some(format!("order-{}", click.id)),
            status: None,
            kept: BTreeMap::new(),
            stated: Stated::default(),
        }),
    }
}
