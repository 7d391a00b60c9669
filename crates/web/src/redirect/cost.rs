//! What a click costs in instructions, part by part, as callgrind counts them. Time says little on a shared machine;
//! this count hardly moves unless the code does.
//!
//! The figures are those of the tests' own build, whose rules are optimised as in the product. When a part is made
//! cheaper, lower its figure; when one must become dearer, raise it in the commit that says why.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::Arc;

use domain::advertiser::{Advertiser, Proof};
use domain::catalog::Catalog;
use domain::click::{self, Destination, Hit, Marks, Shared, Skeleton};
use domain::id::{AdvertiserId, ClickId, LinkId, NetworkId, OfferId, PartnerId};
use domain::link::{Link, LinkApproval};
use domain::money::Rate;
use domain::network::Network;
use domain::offer::{Approval, ConversionKind, Offer, OfferStatus, Results, Rules, Terms};
use domain::partner::{Partner, PartnerStatus};
use domain::sequence::Order;
use domain::sketch::Seen;
use domain::time::{DAY_MS, Timestamp};
use domain::visit::Visit;
use domain::visitor::{Agent, Device, Visitor, Whereabouts};
use ipnet::IpNet;
use store::live::{Known, Live};
use uuid::Uuid;

use super::Ordinary;
use crate::listen::answer::Pen;

/// The instructions of one click: until the head of its request is read; until it is decided; with its destination
/// expanded; and then packed for the record, or with its answer written.
const GUARDED: [(&str, u64); 5] =
    [("read", 11_421), ("decided", 24_932), ("expanded", 29_337), ("packed", 31_399), ("answered", 33_527)];

/// How much a part may rise before it is told, in percent.
const RISE: u64 = 5;

const ROUNDS: u64 = 200;

/// Names the part to a copy of this test that runs under callgrind.
const PART: &str = "PITLANE_COUNTED_PART";

/// As a browser sends it through a proxy.
const HEAD: &str = "GET /api/v1/offer-link/redirect/0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6\
    ?pub_click_id=clk-0198f1c27a3b-17&pub_member_id=member-4711&pub_sub_1=campaign-3&pub_sub_2=creative-7 HTTP/1.1\r\n\
    Host: api.acme.example\r\n\
    User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/128.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.9\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Cookie: consent=1\r\n\
    X-Forwarded-For: 198.51.100.77\r\n\
    Connection: keep-alive\r\n\r\n";
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                     Chrome/128.0.0.0 Safari/537.36";
const DESTINATION: &str =
    "https://shop.example/land?click={gk_click_id}&partner={gk_partner_id}&sub={pub_sub_1}&c={country}";
const NOW: Timestamp = Timestamp::from_ms(1_795_000_000_000);

#[test]
#[allow(clippy::disallowed_methods, reason = "the environment tells the copy under callgrind what to do")]
fn a_click_costs_no_more_instructions_than_it_did() {
    if let Ok(part) = std::env::var(PART) {
        let world = World::new();
        (0..10).for_each(|_| world.run(&part));
        return counted(&world, &part);
    }
    let found = GUARDED.map(|(part, guarded)| (part, guarded, instructions(part)));
    let risen = found.iter().filter(|(_, guarded, now)| now * 100 > guarded * (100 + RISE));
    let told: Vec<String> =
        risen.map(|(part, guarded, now)| format!("{part}: {guarded} before, {now} now")).collect();
    assert_eq!(told, [""; 0], "instructions a click; all of them: {found:?}");
}

/// The instructions of a part of one click.
fn instructions(part: &str) -> u64 {
    let out = std::env::temp_dir().join(format!("pitlane_cost_{part}_{}", std::process::id()));
    let test = "redirect::cost::a_click_costs_no_more_instructions_than_it_did";
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*cost::counted"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(PART, part)
        .output()
        .expect("valgrind is installed: `apt-get install valgrind`");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let report = std::fs::read_to_string(&out).unwrap();
    std::fs::remove_file(&out).unwrap();
    let total = report.lines().find_map(|line| line.strip_prefix("totals: ")).expect("callgrind's totals");
    total.trim().parse::<u64>().unwrap() / ROUNDS
}

/// Only what happens in here is counted.
#[inline(never)]
fn counted(world: &World, part: &str) {
    (0..ROUNDS).for_each(|_| world.run(part));
}

/// A link with a full sketch, and somebody who follows it.
struct World {
    catalog: Catalog,
    link: Link,
    live: Live,
    skeleton: Skeleton,
    agent: Agent,
    whereabouts: Whereabouts,
    proxies: Vec<IpNet>,
}

impl World {
    fn new() -> Self {
        let link = link();
        let (live, agent) = (
            Live::default(),
            Agent {
                os: "Windows".into(),
                browser: "Chrome".into(),
                device: Some(Device::Browser),
                bot: false,
            },
        );
        for number in 0..domain::sketch::WINDOW {
            let (click, member) = (format!("click-{number}"), format!("member-{number}"));
            let address = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
            live.sketches.learn_seen(link.id, Seen::of(&click, &member, address, AGENT, NOW));
        }
        let skeleton = Skeleton::of(&link).unwrap();
        let (catalog, whereabouts, proxies) =
            (Catalog::default(), Whereabouts::default(), vec![PROXY.into()]);
        Self { catalog, link, live, skeleton, agent, whereabouts, proxies }
    }

    /// One click, up to this part.
    fn run(&self, part: &str) {
        let head = std::hint::black_box(HEAD).as_bytes();
        let asked = Ordinary::read(head, PROXY, &self.proxies).expect("an ordinary head").asked;
        if part == "read" {
            std::hint::black_box(asked);
            return;
        }
        let visit = Visit::read(asked.query);
        let visitor = Visitor {
            visit: &visit,
            address: asked.address,
            whereabouts: &self.whereabouts,
            agent: &self.agent,
            languages: asked.languages,
            now: NOW,
            trusts_partner: false,
        };
        let seen = super::seen(&visitor, &asked.user_agent).unwrap();
        let recent = self.live.sketches.recent(self.link.id, seen, 86_400);
        let known = Known { live: &self.live, catalog: &self.catalog, recent };
        let decision = click::decide(&self.link, &visitor, &known, &mut ());
        if part == "decided" {
            std::hint::black_box(decision);
            return;
        }
        let hit = Hit {
            id: ClickId(Uuid::from_u128(0x0198_f1c2_7a3b_7c4d_8e5f_a1b2_c3d4_e5f6)),
            link: &self.link,
            visitor: &visitor,
            user_agent: &asked.user_agent,
            random: 7,
            marks: Marks::default(),
        };
        let click = hit.decided(decision);
        match part {
            "expanded" => drop(std::hint::black_box(click)),
            "packed" => {
                let shared = Shared { agent: Some(1), skeleton: Some((2, &self.skeleton)) };
                drop(std::hint::black_box(click.pack(shared)));
            }
            _ => {
                let reply = super::Hit { click, seen: None, parameter: None }.reply();
                std::hint::black_box(Pen::default().redirect(&reply, false));
            }
        }
    }
}

/// An offer without any limit, and a partner who may run it.
fn link() -> Link {
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
    let advertiser = Advertiser {
        id: AdvertiserId(Uuid::from_u128(3)),
        network,
        slug: "a".into(),
        name: "A".into(),
        proof: Proof::Token,
        allowed_addresses: Vec::new(),
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
        advertiser: Arc::new(advertiser),
        slug: "o".into(),
        name: "An offer".into(),
        categories: Vec::new(),
        status: OfferStatus::Active,
        launches: None,
        expires: None,
        currency: "USD".parse().unwrap(),
        conversion_kind: ConversionKind::FlatRate,
        results: Results::Single(terms),
        destination: Destination::parse(DESTINATION).unwrap(),
        fallback_url: None,
        attribution_window_ms: 30 * DAY_MS,
        rules: Rules::default(),
        changes: Vec::new(),
    };
    let partner = Partner {
        id: PartnerId(Uuid::from_u128(5)),
        network,
        slug: "app".into(),
        name: "App".into(),
        status: PartnerStatus::Active,
    };
    Link {
        id: LinkId(Uuid::from_u128(4)),
        offer: Arc::new(offer),
        partner: Arc::new(partner),
        approval: LinkApproval::Approved,
    }
}
