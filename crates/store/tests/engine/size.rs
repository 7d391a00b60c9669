//! What a stored click costs. Bytes are the same on every machine, so this is a test and no measurement.

use std::net::Ipv4Addr;
use std::sync::Arc;

use domain::advertiser::{Advertiser, Proof};
use domain::catalog::Catalog;
use domain::click::{Click, Decision, Destination, Hit, Marks, Verdict};
use domain::id::{AdvertiserId, ClickId, LinkId, NetworkId, OfferId, PartnerId};
use domain::link::{Link, LinkApproval};
use domain::money::Rate;
use domain::network::Network;
use domain::offer::{Approval, ConversionKind, Offer, OfferStatus, Results, Rules, Terms};
use domain::partner::{Partner, PartnerStatus};
use domain::sequence::Order;
use domain::time::{DAY_MS, Timestamp};
use domain::visit::Visit;
use domain::visitor::{Agent, Device, Visitor, Whereabouts};
use store::live::Texts;
use store::{Db, Options, click};
use uuid::{Builder, Uuid};

use crate::world::World;

const CLICKS: u64 = 20_000;
const STEP: u64 = 500;

/// What browsers say that come from the apps of partners, one a line.
const AGENTS: &str = include_str!("../../../../benches/src/user_agents.txt");

/// The link of an offer with a usual destination.
pub(crate) fn link() -> Link {
    let network = NetworkId(Uuid::from_u128(1));
    let terms = Terms {
        revenue: Rate::Flat(2),
        payout: Rate::Flat(1),
        reward_points: 0,
        approval: Approval::Automatic,
        pending_days: 0,
        repeats: false,
        caps: Vec::new(),
        order: Order::default(),
    };
    let offer = Offer {
        id: OfferId(Uuid::from_u128(2)),
        network: Arc::new(Network {
            id: network,
            label: "acme".into(),
            name: "Acme".into(),
            currency: "USD".parse().unwrap(),
            zone: "UTC".into(),
            fallback_url: None,
        }),
        advertiser: Arc::new(Advertiser {
            id: AdvertiserId(Uuid::from_u128(3)),
            network,
            slug: "shop".into(),
            name: "Shop".into(),
            proof: Proof::Token,
            allowed_addresses: Vec::new(),
        }),
        slug: "game".into(),
        name: "Game".into(),
        categories: Vec::new(),
        status: OfferStatus::Active,
        launches: None,
        expires: None,
        currency: "USD".parse().unwrap(),
        conversion_kind: ConversionKind::FlatRate,
        results: Results::Single(terms),
        destination: Destination::parse(
            "https://shop.example/install?click={gk_click_id}&source={gk_partner_id}&sub={pub_sub_1}",
        )
        .unwrap(),
        fallback_url: None,
        attribution_window_ms: 30 * DAY_MS,
        rules: Rules::default(),
        changes: Vec::new(),
    };
    let partner = Partner {
        id: PartnerId(Uuid::from_u128(4)),
        network,
        slug: "app".into(),
        name: "App".into(),
        status: PartnerStatus::Active,
    };
    Link {
        id: LinkId(Uuid::from_u128(5)),
        offer: Arc::new(offer),
        partner: Arc::new(partner),
        approval: LinkApproval::Approved,
    }
}

/// The `number`-th usual visitor: two ids, two sub parameters, one of twelve browsers.
pub(crate) fn usual(link: &Link, number: u64) -> Click {
    let query = format!(
        "pub_click_id=c-{:012x}&pub_member_id=m-{}&pub_sub_1=wall-{}&pub_sub_2=slot-{}",
        number * 2_654_435_761 % (1 << 40),
        number * 7_919 % 100_000,
        number % 40,
        number % 7
    );
    let visit = Visit::read(&query);
    let agents: Vec<&str> = AGENTS.lines().collect();
    let at_ms = 1_795_377_600_000 + number * 7;
    let random: [u8; 10] = Uuid::new_v4().as_bytes()[..10].try_into().unwrap();
    let visitor = Visitor {
        visit: &visit,
        address: Ipv4Addr::from(0xc633_6400 + u32::try_from(number % 250).unwrap()).into(),
        whereabouts: &Whereabouts { country: "DE".parse().ok(), region: None },
        agent: &Agent {
            device: Some(Device::Android),
            os: "Android".into(),
            browser: "Chrome Mobile".into(),
            bot: false,
        },
        languages: "",
        now: Timestamp::from_ms(at_ms.cast_signed()),
        trusts_partner: false,
    };
    let hit = Hit {
        id: ClickId(Builder::from_unix_timestamp_millis(at_ms, &random).into_uuid()),
        link,
        visitor: &visitor,
        user_agent: agents[usize::try_from(number).unwrap() % agents.len()],
        random: number,
        marks: Marks::default(),
    };
    hit.decided(Decision::new(Verdict::Ok, ""))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_usual_click_costs_at_most_110_bytes_and_its_share_of_the_page() {
    let world = World::sqlite();
    let db = Db::open(&world.target, &Options::default(), store::schema::MIGRATIONS, &click::LOG).unwrap();
    let (link, texts) = (Arc::new(link()), Arc::new(Texts::default()));
    let catalog = Catalog { version: 1, links: [(link.id, Arc::clone(&link))].into(), ..Catalog::default() };
    for first in (0..CLICKS).step_by(usize::try_from(STEP).unwrap()) {
        texts.follow(&db, &catalog).await.unwrap();
        let clicks: Vec<Click> = (first..first + STEP).map(|number| usual(&link, number)).collect();
        let own = Arc::clone(&texts);
        db.write(move |tx| click::append_many(tx, &own, &clicks)).await.unwrap();
    }
    let clicks = world.look("select count(*) from click");
    let bytes = |column: &str| world.look(&format!("select sum({column}) from dbstat where name = 'click'"));
    let (row, page) = (bytes("payload") / clicks, bytes("pgsize") / clicks);
    assert!(row <= 110 && page <= 128, "{row} bytes a row, {page} bytes on disk");
    assert!(world.look("select count(*) from click_text") <= 13, "twelve browsers and a skeleton");
    db.close().await;
}
